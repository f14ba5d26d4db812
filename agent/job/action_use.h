/* SPDX-License-Identifier: Apache-2.0 */
/* The actions that a job's steps name and that are not built in: found, brought into the job's folder, read. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/job/action_file.h"
#include "agent/job/job.h"

/** An action as it lies in the job's folder. Owned by the job. */
typedef struct ActionUse {
	char *uses;    /* as it is called: "acme/kit/lint@v1", "./lint" */
	char *repo;    /* "acme/kit"; NULL: of the workspace */
	char *ref;
	char *folder;  /* the action's, below its repository's root or the workspace; "" for that itself */
	char *inside;  /* its folder as steps see it */
	char *work;    /* the same below the job's work folder */
	char *made;    /* the key of the image that was made of its Dockerfile; NULL: none was */
	ActionFile *file;
	bool ready;    /* what its own steps use is brought too */
	bool busy;     /* that is being done: who names it now goes in a circle */
	bool has_pre;  /* it, or one that it uses, runs something before the job's steps */
} ActionUse;

/** What a job has brought; made at the first use. */
typedef struct ActionUses ActionUses;
/** Accepts NULL. */
void action_uses_free(ActionUses *uses);

/**
 * Brings everything that the job's steps, and the composite actions among them, name from other repositories.
 * The error names the step and its line.
 */
bool action_use_prepare(Job *job, GError **error);
/**
 * The action of a name, which need not be prepared (a composite action of the workspace may name others).
 *
 * @within   the composite action whose step names it; NULL: the job's own. A `./path` is looked for in the workspace,
 *           and then in that action's repository and folder
 */
ActionUse *action_use_find(Job *job, const char *uses, const ActionUse *within, GError **error);
/** The image of an action that has a Dockerfile: made, unless it is there already. */
bool action_use_make_image(Job *job, ActionUse *use, GError **error);
/** The same for what its own steps name, all the way down. */
bool action_use_prepare_inner(Job *job, ActionUse *use, GError **error);
