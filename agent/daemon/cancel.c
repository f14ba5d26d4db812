/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancels jobs and runs. What has no worker ends at once; a worker is told, and ends its job itself. The message is kept
 * with the job until then, for the worker does not know who cancelled it.
 */
#include <string.h>

#include "agent/base/json.h"
#include "agent/daemon/state.h"
#include "agent/store/gates.h"
#include "agent/store/runs.h"

/* A gate at which nobody waits any more cannot be decided. */
static bool close_gate(Daemon *daemon, int64_t job, const char *message, GError **error)
{
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, job, error);
	int64_t gate = json_get_int(internal, "gate", 0);
	return internal && (gate == 0 || gates_decide(daemon->store, gate, "expired", message, error));
}

bool cancel_job(Daemon *daemon, const json_t *job, const char *message, GError **error)
{
	int64_t id = json_get_int(job, "id", 0);
	RunState state;
	if (!run_state_parse(json_get_string(job, "status", NULL), &state) || run_state_is_end(state))
		return true;
	if (json_get_bool(job, "call", false)) {
		if (!calls_cancel(daemon, job, message, error))
			return false;
		if (state == RUN_RUNNING) /* it ends when its jobs have */
			return runs_move_job(daemon->store, id, state, NULL, message, error);
	}
	g_autoptr(Task) task = queue_of_job(daemon->store, id, error);
	Active *active = task ? g_hash_table_lookup(daemon->active, &task->id) : NULL;
	if (active && active->ahead) { /* no worker was asked for */
		active = NULL;
		daemon->next_void = true;
		daemon_wake(daemon);
	}
	if (active && strcmp(task->kind, "job") == 0) {
		if (!runs_move_job(daemon->store, id, state, NULL, message, error))
			return false;
		follow_cancel(active);
		return true;
	}
	if (task && !active && !queue_finish(daemon->store, task->id, error))
		return false;
	if (state == RUN_WAITING && !close_gate(daemon, id, message, error))
		return false;
	return runs_move_job(daemon->store, id, RUN_CANCELLED, CAUSE_CANCELLED, message, error);
}

bool cancel_run(Daemon *daemon, int64_t run, const char *message, GError **error)
{
	g_autoptr(json_t) jobs = runs_jobs_brief(daemon->store, run, error);
	if (!jobs)
		return false;
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) /* called jobs are cancelled with their caller */
		if (!json_get_string(job, "caller", NULL) && !cancel_job(daemon, job, message, error))
			return false;
	daemon_touch(daemon, run);
	return calls_settle(daemon, run, error) && runs_settle(daemon->store, run, NULL, error);
}
