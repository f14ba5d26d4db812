/* SPDX-License-Identifier: Apache-2.0 */
/* States of run, job and step, and the table of allowed moves. Pure. */
#pragma once

#include <stdbool.h>

typedef enum RunState {
	RUN_QUEUED,
	RUN_WAITING, /* for a gate */
	RUN_RUNNING,
	RUN_SUCCESS,
	RUN_FAILURE,
	RUN_CANCELLED,
	RUN_SKIPPED,
} RunState;

/** Why something did not succeed: the words of the API's "cause". */
#define CAUSE_EXIT "exit"           /* a command ended with a status other than 0 */
#define CAUSE_SIGNAL "signal"
#define CAUSE_OOM "oom"
#define CAUSE_TIMEOUT "timeout"
#define CAUSE_CANCELLED "cancelled"
#define CAUSE_AGENT "agent"         /* the worker died, or the machine could not start it */
#define CAUSE_DISK "disk"
#define CAUSE_GATE "gate"           /* rejected, expired or superseded */
#define CAUSE_LIMIT "limit"         /* processes, file size, log size */
#define CAUSE_INVALID "invalid"     /* the workflow, or an input, cannot be used */
#define CAUSE_NEEDS "needs"         /* a job it needs did not succeed */
#define CAUSE_CONDITION "condition" /* its `if` was false */
#define CAUSE_STEP "step"           /* a step that is not a command failed */

/** "queued", "waiting", … Static. */
const char *run_state_name(RunState state);
bool run_state_parse(const char *name, RunState *out);
/** success, failure, cancelled or skipped. */
bool run_state_is_end(RunState state);
/** May a job or a step move from one to the other? */
bool run_state_may_move(RunState from, RunState to);
