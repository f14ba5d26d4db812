/* SPDX-License-Identifier: Apache-2.0 */
/* The sentences for a limit that was reached: which one it is, how much it allows, and who can raise it. All the caller's. */
#pragma once

#include <stdbool.h>

#include "agent/job/child.h"
#include "agent/job/job.h"

/** Of the step, or of the job where that came first. */
char *limits_step_time(const Job *job);
char *limits_job_time(const Job *job);
char *limits_memory(const Job *job);
char *limits_processes(const Job *job);
/** Did it end by the signal of a file that grew too large, or pass on that end of a command of its own as shells do? */
bool limits_is_file_size(const Job *job, const ChildEnd *end);
char *limits_file_size(const Job *job);
