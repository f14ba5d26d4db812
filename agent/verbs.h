/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb table: everything `assay <noun> <verb>` can be told, one row each. Help, completion and the man pages are
 * made from it. It is compiled into both programs; which of them does the work is the row's `half`.
 */
#pragma once

#include <glib.h>
#include <string.h>

typedef enum VerbHalf {
	VERB_SERVER, /* `assay` does it itself, or asks the agent */
	VERB_WORKER, /* `assay` hands over to `assay-worker` with the same arguments */
} VerbHalf;

typedef struct Verb {
	const char *noun;
	const char *verb;    /* NULL when the noun alone is the command, as in `assay doctor` */
	VerbHalf half;
	const char *summary; /* one line */
	const char *usage;   /* what follows the words: options and operands */
} Verb;

/** Sorted by noun, then verb; ends with a NULL noun. */
extern const Verb verbs[];

/** The row for argv's first words, or NULL; `second` may be NULL. */
static inline const Verb *verb_find(const char *first, const char *second)
{
	for (const Verb *row = verbs; row->noun; row++)
		if (strcmp(row->noun, first) == 0 && (!row->verb || g_strcmp0(row->verb, second) == 0))
			return row;
	return NULL;
}
