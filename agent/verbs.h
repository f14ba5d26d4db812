/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb table: everything `assay <noun> <verb>` can be told, one row each. Help, completion and the man pages are
 * made from it. It is compiled into all programs; which of them does the work is the row's `half`.
 */
#pragma once

#include <stddef.h>
#include <string.h>

typedef enum VerbHalf {
	VERB_SERVER, /* assay-agent is the agent, or asks it */
	VERB_WORKER, /* assay-worker does it, with the same arguments */
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
		if (strcmp(row->noun, first) == 0 && (!row->verb || (second && strcmp(row->verb, second) == 0)))
			return row;
	return NULL;
}
