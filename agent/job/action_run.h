/* SPDX-License-Identifier: Apache-2.0 */
/* Running an action that is not built in: its inputs, what it sees, and its stages before, in and after its step. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/job/action_use.h"
#include "agent/job/job.h"

typedef enum ActionStage { ACTION_PRE, ACTION_MAIN, ACTION_POST } ActionStage;

/** What steps see differently within an action, held so that it can be set again. */
typedef struct ActionView {
	json_t *inputs;
	json_t *steps;
	json_t *github; /* action_path, action_repository, action_ref */
	const ActionUse *within;
	int depth;
} ActionView;

/** What holds now; the caller's (action_view_clear). */
ActionView action_view_take(Job *job);
void action_view_set(Job *job, const ActionView *view);
void action_view_clear(ActionView *view);
/** Goes into an action: from now on `inputs`, `steps` and github.action_* are its own. */
void action_view_enter(Job *job, const ActionUse *use, json_t *inputs);

/** Everything that runs before the job's first step. */
void action_pres_run(Job *job);
/** The step of a job or composite action that uses it. */
void action_run(Job *job, ActionUse *use, const json_t *with, StepResult *out);
/** Warns of inputs that are not declared, in GitHub's words; `given` and `declared` are arrays of names. */
void action_warn_unexpected(Job *job, const json_t *given, const json_t *declared);
/** Its steps, one after the other; `inputs` are evaluated. */
void composite_run(Job *job, ActionUse *use, const json_t *inputs, StepResult *out);
/** INPUT_* and STATE_* as "NAME=value", the last entry NULL; the caller's. */
GPtrArray *action_stage_environment(const json_t *inputs, const json_t *saved);
/** A step that names an image: `uses: docker://…`, with `entrypoint` and `args`. */
void action_docker_step(Job *job, const char *uses, const json_t *with, StepResult *out);
/** A docker action's stage. */
void action_docker(Job *job, ActionUse *use, ActionStage stage, const json_t *inputs, const json_t *saved,
        StepResult *out);
