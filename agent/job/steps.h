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
/** The folder of a command as it sees it: relative ones begin at the workspace; the caller's. */
char *steps_folder(const Job *job, const char *folder);
/** Turns the end of a command into a step's result. */
void steps_take_end(Job *job, const ChildEnd *end, StepResult *out);
/** The environment files: made before a command, read after it. false when one cannot be used. */
bool steps_make_files(Job *job, GError **error);
bool steps_read_files(Job *job, GError **error);
