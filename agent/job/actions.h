/* SPDX-License-Identifier: Apache-2.0 */
/* `uses:` of a step: built in (builtin.c), an ML step (mlsteps.c), or brought from elsewhere (action_use.c). */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/job/job.h"
#include "agent/mlstep.h"

/** An input that a built-in action knows; of what is not in its table is warned. */
typedef struct ActionInput {
	const char *name;
	const char *fallback; /* NULL: absent */
	bool passed_over;     /* known, and of no consequence here */
} ActionInput;

/** A built-in replacement of an action that everybody uses. */
typedef struct Action {
	const char *name; /* "actions/checkout" */
	const char *summary;
	const ActionInput *inputs; /* ends with a NULL name */
	bool (*run)(Job *job, const json_t *with, GError **error);
} Action;

/** Ends with a NULL name; the rows are in builtin.c. */
extern const Action actions[];

/**
 * Runs what `uses` names.
 *
 * @with   object of strings, evaluated
 */
void actions_run(Job *job, const char *uses, const json_t *with, StepResult *out);

/** Is it one of the rows (and not one that the admin wants fetched), or an ML step? */
bool actions_is_built_in(const Job *job, const char *uses);
/** `uses: assay/NAME@v1`. */
void mlsteps_run(Job *job, const char *name, const json_t *with, StepResult *out);
