/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a job's steps in order: conditions, continue-on-error, time limits, outputs, and what runs afterwards. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/job/child.h"
#include "agent/job/job.h"

/** All steps, then the posts in reverse order. What failed first is in job->end. */
void steps_run(Job *job);

/** Runs a script as a `run:` step would: shell and folder as they are said (NULL: the defaults). */
void steps_script(Job *job, const char *name, const char *script, const char *shell, const char *folder,
        StepResult *out);
/** Runs a command with the environment files around it; what it is in ChildSpec. */
void steps_command(Job *job, const ChildSpec *spec, StepResult *out);
/** The folder of a command as it sees it: relative ones begin at the workspace; the caller's. */
char *steps_folder(const Job *job, const char *folder);
/** Takes note of a cancellation, or of the job's time limit, that has come since: job->state is CANCELLED then. */
void steps_notice_end(Job *job);
/** Does a step's `if` hold now? */
bool steps_condition(Job *job, const json_t *step, bool *out, GError **error);
/** Its name, or what it does; the caller's. */
char *steps_name(Job *job, const json_t *step);
/** Runs one step's `run` or `uses`, without its `if`; `around` is the environment of the action it is a part of. */
void steps_body(Job *job, const json_t *step, const char *name, const json_t *around, StepResult *out);
/** Sets what `env` of the step and of the action around it say. */
bool steps_set_env(Job *job, const json_t *step, const json_t *around, GError **error);
/** Begins and tells of a step of its own beside those of the definition: before them all, or after. */
void steps_beside(Job *job, const char *name, const json_t *step, JobPost *post);
/** Does it not count when this step fails? */
bool steps_goes_on(Job *job, const json_t *step);
/** What steps.<id> shows of a step that has ended; outputs are job->step_outputs. */
void steps_set_context(Job *job, const char *id, RunState outcome, RunState conclusion);
/** Adds what a part of a step used to what the step used; -1 is unknown, and stays so only where all parts are. */
void steps_add_usage(StepResult *sum, const StepResult *part);
/** Turns the end of a command into a step's result; what it used is added to that of the commands before. */
void steps_take_end(Job *job, const ChildEnd *end, StepResult *out);
/** The environment files: made before a command, read after it. false when one cannot be used. */
bool steps_make_files(Job *job, GError **error);
bool steps_read_files(Job *job, GError **error);
