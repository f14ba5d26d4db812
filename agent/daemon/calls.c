/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of reusable workflows. A call is a job that no worker ever has: it is running while its jobs are on their way,
 * and ends as they did. What it hands on is an expression of a stranger's, so a worker evaluates it.
 */
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/store/runs.h"

static RunState state_of(const json_t *job)
{
	RunState state = RUN_QUEUED;
	run_state_parse(json_get_string(job, "status", NULL), &state);
	return state;
}

static bool is_called_by(const json_t *job, const char *call)
{
	return g_strcmp0(json_get_string(job, "caller", NULL), call) == 0;
}

const json_t *calls_find(const json_t *jobs, const char *key)
{
	size_t i;
	json_t *job;
	json_array_foreach((json_t *)(uintptr_t)jobs, i, job)
		if (g_strcmp0(json_get_string(job, "key", NULL), key) == 0)
			return job;
	return NULL;
}

bool calls_begin(Daemon *daemon, int64_t run, int64_t job, GError **error)
{
	if (!runs_move_job(daemon->store, job, RUN_RUNNING, NULL, NULL, error))
		return false;
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, job, error);
	g_autoptr(json_t) jobs = internal ? runs_jobs_brief(daemon->store, run, error) : NULL;
	if (!jobs)
		return false;
	size_t i;
	json_t *called;
	json_array_foreach(jobs, i, called)
		if (is_called_by(called, json_get_string(internal, "key", "")) && json_get_bool(called, "resolved", false) &&
		        state_of(called) == RUN_QUEUED && !graph_ready(daemon, json_get_int(called, "id", 0), error))
			return false;
	return true;
}

bool calls_run(const json_t *jobs, const json_t *job)
{
	const char *caller = json_get_string(job, "caller", NULL);
	const json_t *call = caller ? calls_find(jobs, caller) : NULL;
	return !caller || (call && state_of(call) == RUN_RUNNING);
}

/* How the jobs of a call went together. */
typedef struct Outcome {
	bool open; /* one has not ended */
	size_t in[RUN_SKIPPED + 1];
	const char *blamed; /* the first that failed, else that was cancelled */
} Outcome;

static Outcome outcome_of(const json_t *jobs, const char *call)
{
	Outcome outcome = {0};
	size_t i;
	json_t *job;
	json_array_foreach((json_t *)(uintptr_t)jobs, i, job) {
		if (!is_called_by(job, call))
			continue;
		RunState state = state_of(job);
		if (state == RUN_FAILURE && json_get_bool(job, "continue_on_error", false))
			state = RUN_SUCCESS;
		outcome.open = outcome.open || !run_state_is_end(state);
		bool worse = state == RUN_FAILURE ? outcome.in[RUN_FAILURE] == 0
		                                  : state == RUN_CANCELLED && !outcome.blamed;
		if (worse)
			outcome.blamed = json_get_string(job, "key", "");
		outcome.in[state]++;
	}
	return outcome;
}

static RunState outcome_state(const Outcome *outcome)
{
	if (outcome->in[RUN_FAILURE])
		return RUN_FAILURE;
	if (outcome->in[RUN_CANCELLED])
		return RUN_CANCELLED;
	return outcome->in[RUN_SUCCESS] ? RUN_SUCCESS : RUN_SKIPPED;
}

static bool end_call(Daemon *daemon, int64_t call, const Outcome *outcome, GError **error)
{
	RunState state = outcome_state(outcome);
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, call, error);
	if (!internal)
		return false;
	const char *said = json_get_string(internal, "message", NULL);
	g_autofree char *message = NULL;
	const char *cause = NULL;
	if (state == RUN_FAILURE) {
		message = g_strdup_printf("its job '%s' failed", outcome->blamed);
		cause = CAUSE_NEEDS;
	} else if (state == RUN_CANCELLED) {
		message = said ? g_strdup(said) : g_strdup_printf("its job '%s' was cancelled", outcome->blamed);
		cause = CAUSE_CANCELLED;
	} else if (state == RUN_SKIPPED) {
		message = g_strdup("none of its jobs had to run");
		cause = CAUSE_CONDITION;
	}
	return runs_move_job(daemon->store, call, state, cause, message, error) &&
	       (state != RUN_FAILURE || graph_stop_siblings(daemon, internal, error));
}

/* A call's outputs are asked for once, unless nobody will look at them. */
static bool end_or_ask(Daemon *daemon, int64_t run, int64_t call, const Outcome *outcome, bool *out_ended, GError **error)
{
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, call, error);
	if (!internal)
		return false;
	const json_t *outputs = json_object_get(json_object_get(json_object_get(internal, "definition"), "called"), "outputs");
	RunState state = outcome_state(outcome);
	*out_ended = json_object_size(outputs) == 0 || state == RUN_CANCELLED || state == RUN_SKIPPED;
	if (*out_ended)
		return end_call(daemon, call, outcome, error);
	g_autoptr(Task) already = queue_of_job(daemon->store, call, NULL);
	if (already)
		return true;
	g_autoptr(json_t) input = json_object();
	json_set_bool(input, "outputs", true);
	return queue_put(daemon->store, "resolve", json_get_int(json_object_get(internal, "run"), "repo_id", 0), run, call, input,
	        0, NULL, error);
}

bool calls_settle(Daemon *daemon, int64_t run, GError **error)
{
	int64_t open = runs_calls(daemon->store, run, error);
	/* The end of an inner call may be the end of the one around it. */
	for (bool moved = open > 0; moved;) {
		moved = false;
		g_autoptr(json_t) jobs = runs_jobs_brief(daemon->store, run, error);
		if (!jobs)
			return false;
		size_t i;
		json_t *job;
		json_array_foreach(jobs, i, job) {
			if (!json_get_bool(job, "call", false) || state_of(job) != RUN_RUNNING)
				continue;
			const Outcome outcome = outcome_of(jobs, json_get_string(job, "key", ""));
			bool ended = false;
			if (!outcome.open && !end_or_ask(daemon, run, json_get_int(job, "id", 0), &outcome, &ended, error))
				return false;
			moved = moved || ended;
		}
	}
	return open >= 0;
}

bool calls_told(Daemon *daemon, const Task *task, json_t *const *events, size_t count, GError **error)
{
	const json_t *outputs = NULL;
	const json_t *end = NULL;
	for (size_t i = 0; i < count; i++) {
		const char *type = json_get_string(events[i], "type", "");
		if (strcmp(type, "outputs") == 0)
			outputs = json_object_get(events[i], "outputs");
		else if (strcmp(type, "end") == 0)
			end = events[i];
	}
	daemon_touch(daemon, task->run);
	if (!outputs)
		return graph_end_job(daemon, task->run, task->job, "failure", json_get_string(end, "cause", CAUSE_INVALID),
		        json_get_string(end, "message", "the outputs of the called workflow cannot be evaluated"), error);
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, task->job, error);
	g_autoptr(json_t) jobs = internal ? runs_jobs_brief(daemon->store, task->run, error) : NULL;
	if (!jobs)
		return false;
	const Outcome outcome = outcome_of(jobs, json_get_string(internal, "key", ""));
	return runs_set_outputs(daemon->store, task->job, outputs, error) &&
	       end_call(daemon, task->job, &outcome, error) && graph_advance(daemon, task->run, error);
}

bool calls_cancel(Daemon *daemon, const json_t *call, const char *message, GError **error)
{
	int64_t id = json_get_int(call, "id", 0);
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, id, error);
	g_autoptr(json_t) jobs =
	        internal ? runs_jobs_brief(daemon->store, json_get_int(json_object_get(internal, "run"), "id", 0), error) : NULL;
	size_t i;
	json_t *job;
	if (!jobs)
		return false;
	json_array_foreach(jobs, i, job)
		if (is_called_by(job, json_get_string(internal, "key", "")) && !cancel_job(daemon, job, message, error))
			return false;
	return true;
}
