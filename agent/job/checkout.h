/* SPDX-License-Identifier: Apache-2.0 */
/* A commit from a mirror into the job's workspace, with a .git that stands on its own. */
#pragma once

#include <stdbool.h>

#include "agent/job/job.h"
#include "agent/job/mirror.h"

typedef struct CheckoutSpec {
	const char *repository; /* OWNER/NAME of another one; NULL: the job's */
	const char *ref;        /* branch, tag, full ref or commit; NULL: the run's commit, of another one the default branch */
	const char *path;       /* below the workspace; NULL: the workspace itself */
	int depth;              /* commits of history; 0: all */
	bool clean;             /* what is there already is removed first */
	bool tags;              /* the mirror's tags are made known, too (with depth 0 they always are) */
	int submodules;         /* 0: none; 1: the commit's own; 2: theirs, too */
	bool lfs;               /* bytes in place of pointers */
	const char *sparse;     /* folders or patterns; NULL: everything is written */
	bool cone;
	bool persist;           /* the token stays in .git for the job's own git */
	MirrorSource with;      /* credentials; its url is not looked at */
} CheckoutSpec;

/** Checks out; outputs `commit` and `ref` of the step are set. */
bool checkout_run(Job *job, const CheckoutSpec *spec, GError **error);
