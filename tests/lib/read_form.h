/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workflow that was read, in the form in which the public conformance cases expect it (their README). Values come from
 * the Workflow, as the planner sees them; places come from its document.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/model/workflow.h"

/** What a case asks for. */
typedef struct ReadForm {
	bool places;        /* `include-source`: every token with file, line and column */
	bool events;        /* `on` is shown too */
	bool sorted_files;  /* the table of files is sorted by name, whatever their numbers */
	GHashTable *called; /* label → Workflow, read again: for places in called files */
	GPtrArray *files;   /* labels, as numbered; filled here when places are wanted */
} ReadForm;

/** A new reference. */
json_t *read_form(ReadForm *form, const Workflow *workflow);
