/* SPDX-License-Identifier: Apache-2.0 */
/* A commit from the mirror into the job's workspace, with a .git that stands on its own. */
#pragma once

#include <stdbool.h>

#include "agent/job/job.h"

typedef struct CheckoutSpec {
	const char *ref;    /* branch, tag, full ref or commit; NULL: the run's commit */
	const char *path;   /* below the workspace; NULL: the workspace itself */
	int depth;          /* commits of history; 0: all */
	bool clean;         /* what is there already is removed first */
	bool tags;          /* the mirror's tags are made known, too (with depth 0 they always are) */
} CheckoutSpec;

/** Checks out; outputs `commit` and `ref` of the step are set. */
bool checkout_run(Job *job, const CheckoutSpec *spec, GError **error);
