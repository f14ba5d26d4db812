/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plan, a resolution or a job's end means for its run. Every function works inside the caller's transaction, so
 * a run's rows never disagree. No job starts here: it is put into the queue, or in front of a gate.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/model/gate.h"
#include "agent/store/deliveries.h"
#include "agent/store/environments.h"
#include "agent/store/models.h"
#include "agent/store/runs.h"

#define JOBS_MAX 4096 /* of one run */

static bool is_type(const json_t *event, const char *type)
{
	return g_strcmp0(json_get_string(event, "type", NULL), type) == 0;
}

static void take_key(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);
	if (value && !json_is_null(value))
		json_set(to, key, json_incref(value));
}

static json_t *run_fields(const Task *task, const json_t *event)
{
	static const char *const from_plan[] = {"workflow", "workflow_path", "workflow_digest", "title", "sha", "ref",
	        "actor", "github", "concurrency"};
	static const char *const from_event[] = {"event", "before", "actor", "untrusted", "title", "sha", "ref"};
	json_t *fields = json_object();
	const json_t *cause = json_object_get(task->input, "event");
	for (size_t i = 0; i < G_N_ELEMENTS(from_event); i++)
		take_key(fields, cause, from_event[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(from_plan); i++)
		take_key(fields, event, from_plan[i]);
	take_key(fields, task->input, "delivery");
	if (!json_object_get(fields, "ref"))
		json_set_string(fields, "ref", "");
	if (!json_object_get(fields, "sha"))
		json_set_string(fields, "sha", "");
	return fields;
}

static bool add_failed_run(Daemon *daemon, const Task *task, const char *workflow, const char *path,
        const char *message, GError **error)
{
	g_autoptr(json_t) empty = json_object();
	g_autoptr(json_t) fields = run_fields(task, empty);
	json_set_string(fields, "workflow", workflow);
	json_set_string(fields, "workflow_path", path);
	int64_t run = 0;
	if (!runs_add(daemon->store, task->repo, fields, &run, error) ||
	        !runs_fail(daemon->store, run, CAUSE_INVALID, message, error))
		return false;
	daemon_touch(daemon, run);
	log_info("run failed before it began", KV("run", run), KV("why", message));
	return true;
}

static bool add_invalid(Daemon *daemon, const Task *task, const json_t *event, GError **error)
{
	const char *path = json_get_string(event, "workflow_path", "workflow");
	const json_t *errors = json_object_get(event, "errors");
	const json_t *first = json_array_get(errors, 0);
	g_autofree char *more = json_array_size(errors) > 1
	        ? g_strdup_printf(" (and %zu more)", json_array_size(errors) - 1) : g_strdup("");
	g_autofree char *message = g_strdup_printf("%s:%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT ": %s%s", path,
	        json_get_int(first, "line", 1), json_get_int(first, "column", 1),
	        json_get_string(first, "message", "cannot be used"), more);
	return add_failed_run(daemon, task, path, path, message, error);
}

/* Nothing has to be asked about it: it runs, no environment protects it, and it waits for no turn. */
static bool is_plain(const json_t *resolved)
{
	return json_get_bool(resolved, "run", true) && !json_is_object(json_object_get(resolved, "environment")) &&
	       !json_is_object(json_object_get(resolved, "call")) && !turns_needed(resolved);
}

/* The run of a `run` event and the jobs that name its local number. */
static bool add_run(Daemon *daemon, const Task *task, const json_t *event, json_t *const *events, size_t count,
        GError **error)
{
	g_autoptr(json_t) fields = run_fields(task, event);
	int64_t run = 0;
	int64_t local = json_get_int(event, "run", 0);
	if (!runs_add(daemon->store, task->repo, fields, &run, error))
		return false;
	g_autoptr(GArray) ready = g_array_new(FALSE, FALSE, sizeof(int64_t));
	g_autoptr(GArray) plain = g_array_new(FALSE, FALSE, sizeof(int64_t));
	size_t jobs = 0;
	for (size_t i = 0; i < count; i++) {
		if (!is_type(events[i], "job") || json_get_int(events[i], "run", 0) != local)
			continue;
		if (++jobs > JOBS_MAX)
			return fail(error, ASSAY_ERROR_USER, "a run may have at most %d jobs", JOBS_MAX);
		int64_t job = 0;
		if (!runs_add_job(daemon->store, run, events[i], &job, error))
			return false;
		const json_t *resolved = json_object_get(events[i], "resolved");
		if (json_get_string(events[i], "caller", NULL))
			continue; /* it begins with its caller */
		if (json_is_object(resolved) && is_plain(resolved))
			g_array_append_val(plain, job);
		else if (json_is_object(resolved))
			g_array_append_val(ready, job);
	}
	log_info("run planned", KV("run", run), KV("jobs", jobs), KV("workflow", json_get_string(event, "workflow", "")));
	daemon_touch(daemon, run);
	bool goes = true;
	if (!turns_ask_run(daemon, task->repo, run, json_get_bool(fields, "untrusted", false),
	            json_object_get(event, "concurrency"), &goes, error))
		return false;
	const char *ref = json_get_string(fields, "ref", "");
	if (g_strcmp0(json_get_string(fields, "event", NULL), "push") == 0 &&
	        !gatekeeper_supersede(daemon, task->repo, ref, json_get_string(fields, "sha", ""), run, error))
		return false;
	for (guint i = 0; goes && i < plain->len; i++)
		if (!queue_put(daemon->store, "job", task->repo, run, g_array_index(plain, int64_t, i), NULL, 0, NULL, error))
			return false;
	for (guint i = 0; goes && i < ready->len; i++)
		if (!graph_ready(daemon, g_array_index(ready, int64_t, i), error))
			return false;
	return !goes || graph_advance(daemon, run, error);
}

bool graph_begin(Daemon *daemon, int64_t run, GError **error)
{
	g_autoptr(json_t) jobs = runs_jobs_brief(daemon->store, run, error);
	if (!jobs)
		return false;
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job)
		if (json_get_bool(job, "resolved", false) && g_strcmp0(json_get_string(job, "status", NULL), "queued") == 0 &&
		        !json_get_string(job, "caller", NULL) && !graph_ready(daemon, json_get_int(job, "id", 0), error))
			return false;
	return graph_advance(daemon, run, error);
}

bool graph_plan(Daemon *daemon, const Task *task, json_t *const *events, size_t count, GError **error)
{
	size_t runs = 0;
	const json_t *end = NULL;
	for (size_t i = 0; i < count; i++) {
		bool good = true;
		if (is_type(events[i], "run"))
			good = add_run(daemon, task, events[i], events, count, error);
		else if (is_type(events[i], "invalid"))
			good = add_invalid(daemon, task, events[i], error);
		else if (is_type(events[i], "workflows"))
			good = schedule_learn(daemon, task, events[i], error);
		else if (is_type(events[i], "end"))
			end = events[i];
		if (!good)
			return false;
		runs += is_type(events[i], "run") || is_type(events[i], "invalid");
	}
	bool failed = !end || g_strcmp0(json_get_string(end, "status", NULL), "success") != 0;
	const char *message = end ? json_get_string(end, "message", NULL) : "the process that read the repo ended without a result";
	if (failed && json_get_bool(task->input, "survey", false)) {
		log_info("a repo's workflows cannot be read now", KV("repo", task->repo), KV("why", message ? message : ""));
		return true;
	}
	if (failed && runs == 0) {
		const char *workflow = json_get_string(task->input, "workflow", "delivery");
		if (!add_failed_run(daemon, task, workflow, workflow, message ? message : "cannot be planned", error))
			return false;
	}
	int64_t delivery = json_get_int(task->input, "delivery_row", 0);
	if (delivery == 0)
		return true;
	const char *outcome = failed ? "failed" : runs > 0 ? "runs" : "ignored";
	if (!failed && runs == 0)
		message = "no workflow of the repo asks for this event";
	return deliveries_done(daemon->store, delivery, outcome, message, error);
}

/* What a resolution adds is counted with what the run has. */
static bool check_size(Daemon *daemon, int64_t run, size_t resolved, json_t *const *events, size_t count, GError **error)
{
	size_t jobs = resolved - 1;
	for (size_t i = 0; i < count; i++)
		jobs += is_type(events[i], "job");
	if (jobs == 0)
		return true;
	g_autoptr(json_t) there = runs_jobs_brief(daemon->store, run, error);
	return there && (json_array_size(there) + jobs <= JOBS_MAX ||
	                        fail(error, ASSAY_ERROR_USER, "a run may have at most %d jobs", JOBS_MAX));
}

bool graph_resolved(Daemon *daemon, const Task *task, json_t *const *events, size_t count, GError **error)
{
	if (json_get_bool(task->input, "outputs", false))
		return calls_told(daemon, task, events, count, error);
	const json_t *jobs = NULL;
	const json_t *end = NULL;
	for (size_t i = 0; i < count; i++) {
		if (is_type(events[i], "resolved"))
			jobs = json_object_get(events[i], "jobs");
		if (is_type(events[i], "end"))
			end = events[i];
	}
	daemon_touch(daemon, task->run);
	if (json_array_size(jobs) == 0)
		return graph_end_job(daemon, task->run, task->job, "failure", json_get_string(end, "cause", CAUSE_INVALID),
		        json_get_string(end, "message", "its condition, matrix or environment cannot be evaluated"), error);
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, task->job, error);
	if (!internal || !check_size(daemon, task->run, json_array_size(jobs), events, count, error))
		return false;
	g_autoptr(GArray) ready = g_array_new(FALSE, FALSE, sizeof(int64_t));
	size_t i;
	json_t *resolved;
	json_array_foreach(jobs, i, resolved) {
		int64_t job = task->job;
		g_autoptr(json_t) object = json_object();
		take_key(object, resolved, "key");
		take_key(object, resolved, "name");
		json_set(object, "resolved", json_incref(resolved));
		take_key(object, internal, "group");
		take_key(object, internal, "needs");
		take_key(object, internal, "caller");
		take_key(object, internal, "definition");
		take_key(object, internal, "attempt");
		take_key(object, internal, "debug");
		bool good = i == 0 ? runs_resolve_job(daemon->store, job, resolved, error)
		                   : runs_add_job(daemon->store, task->run, object, &job, error);
		if (!good)
			return false;
		g_array_append_val(ready, job);
	}
	for (size_t e = 0; e < count; e++)
		if (is_type(events[e], "job")) {
			take_key(events[e], internal, "attempt");
			take_key(events[e], internal, "debug");
			if (!runs_add_job(daemon->store, task->run, events[e], NULL, error))
				return false;
		}
	for (guint k = 0; k < ready->len; k++)
		if (!graph_ready(daemon, g_array_index(ready, int64_t, k), error))
			return false;
	return graph_advance(daemon, task->run, error);
}

/* A resolved job: skipped, refused, told to wait for its turn, held at a gate, or queued. */
bool graph_ready(Daemon *daemon, int64_t job, GError **error)
{
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, job, error);
	if (!internal)
		return false;
	const json_t *resolved = json_object_get(internal, "resolved");
	const json_t *run = json_object_get(internal, "run");
	int64_t run_id = json_get_int(run, "id", 0);
	if (!json_get_bool(resolved, "run", true))
		return runs_move_job(daemon->store, job, RUN_SKIPPED, json_get_string(resolved, "cause", CAUSE_CONDITION),
		        json_get_string(resolved, "message", "its condition did not hold"), error);
	const char *environment = json_get_string(json_object_get(resolved, "environment"), "name", NULL);
	const char *repo = json_get_string(run, "repo", NULL);
	g_autoptr(json_t) rules = NULL;
	if (environment && !daemon->local) {
		g_autoptr(GError) why = NULL;
		rules = environments_get(daemon->store, repo, environment, &why);
		if (why) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
	}
	if (rules && !gate_branch_allowed(rules, json_get_string(run, "ref", ""))) {
		g_autofree char *message = g_strdup_printf("%s may not use the environment '%s'; its branches are set by an admin",
		        json_get_string(run, "ref", ""), environment);
		return runs_move_job(daemon->store, job, RUN_FAILURE, CAUSE_GATE, message, error);
	}
	if (rules && json_get_bool(run, "untrusted", false)) {
		g_autofree char *message = g_strdup_printf("a run from a fork may not use the environment '%s'", environment);
		return runs_move_job(daemon->store, job, RUN_FAILURE, CAUSE_GATE, message, error);
	}
	bool goes = true;
	if (!turns_ask_job(daemon, internal, &goes, error))
		return false;
	if (!goes)
		return true;
	if (json_is_object(json_object_get(resolved, "call")))
		return calls_begin(daemon, run_id, job, error);
	if (rules && gate_is_held(rules))
		return gatekeeper_open(daemon, job, environment, rules, error);
	if (json_get_string(internal, "message", NULL) && !runs_move_job(daemon->store, job, RUN_QUEUED, NULL, NULL, error))
		return false; /* it said what it waited for */
	return queue_put(daemon->store, "job", json_get_int(run, "repo_id", 0), run_id, job, NULL, 0, NULL, error);
}

static bool needs_ended(const json_t *jobs, const json_t *needs)
{
	size_t i, k;
	json_t *need, *job;
	json_array_foreach(needs, i, need)
		json_array_foreach(jobs, k, job) {
			RunState state;
			if (g_strcmp0(json_get_string(job, "group", NULL), json_string_value(need)) == 0 &&
			        run_state_parse(json_get_string(job, "status", NULL), &state) && !run_state_is_end(state))
				return false;
		}
	return true;
}

/* The commits that this repo's releases were made from, for "what changed since". */
static json_t *release_shas(Daemon *daemon, int64_t repo_id, const char *repo)
{
	json_t *shas = json_array();
	g_autoptr(json_t) list = repo ? models_list(daemon->store, repo, NULL, 50, NULL) : NULL;
	size_t i;
	json_t *model;
	json_array_foreach(json_object_get(list, "models"), i, model) {
		if (!json_is_object(json_object_get(model, "release")))
			continue;
		g_autoptr(json_t) release = models_get(daemon->store, repo_id, json_get_string(model, "name", ""), 0, "production", NULL);
		const char *sha = json_get_string(json_object_get(release, "lineage"), "sha", NULL);
		if (sha)
			json_array_append_new(shas, json_string(sha));
	}
	return shas;
}

/* Jobs whose needs have ended are resolved. */
static bool resolve_ready(Daemon *daemon, int64_t run, GError **error)
{
	int64_t unresolved = runs_unresolved(daemon->store, run, error);
	if (unresolved <= 0)
		return unresolved == 0;
	g_autoptr(json_t) jobs = runs_jobs_brief(daemon->store, run, error);
	if (!jobs)
		return false;
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		if (json_get_bool(job, "resolved", false) || g_strcmp0(json_get_string(job, "status", NULL), "queued") != 0 ||
		        !needs_ended(jobs, json_object_get(job, "needs")) || !calls_run(jobs, job))
			continue;
		int64_t id = json_get_int(job, "id", 0);
		g_autoptr(Task) already = queue_of_job(daemon->store, id, NULL);
		if (already)
			continue;
		g_autoptr(json_t) internal = runs_job_internal(daemon->store, id, error);
		if (!internal)
			return false;
		const json_t *of = json_object_get(internal, "run");
		g_autoptr(json_t) input = json_object();
		json_set(input, "since", release_shas(daemon, json_get_int(of, "repo_id", 0), json_get_string(of, "repo", NULL)));
		if (!queue_put(daemon->store, "resolve", json_get_int(of, "repo_id", 0), run, id, input, 0, NULL, error))
			return false;
	}
	return true;
}

bool graph_advance(Daemon *daemon, int64_t run, GError **error)
{
	bool ended = false;
	if (!calls_settle(daemon, run, error) || !resolve_ready(daemon, run, error) || !runs_settle(daemon->store, run, &ended, error))
		return false;
	daemon_touch(daemon, run);
	daemon_wake(daemon);
	if (ended)
		log_info("run ended", KV("run", run));
	return true;
}

bool graph_stop_siblings(Daemon *daemon, const json_t *failed, GError **error)
{
	const json_t *resolved = json_object_get(failed, "resolved");
	const json_t *strategy = json_object_get(resolved, "strategy");
	int64_t run = json_get_int(json_object_get(failed, "run"), "id", 0);
	if (json_get_int(strategy, "job-total", 1) < 2 || !json_get_bool(strategy, "fail-fast", true) ||
	        json_get_bool(resolved, "continue_on_error", false))
		return true;
	g_autoptr(json_t) jobs = runs_jobs_brief(daemon->store, run, error);
	if (!jobs)
		return false;
	const char *group = json_get_string(failed, "group", "");
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		RunState state;
		int64_t id = json_get_int(job, "id", 0);
		if (g_strcmp0(json_get_string(job, "group", NULL), group) != 0 ||
		        !run_state_parse(json_get_string(job, "status", NULL), &state) || run_state_is_end(state))
			continue;
		if (id != json_get_int(failed, "id", 0) &&
		        !cancel_job(daemon, job, "another job of its matrix failed (fail-fast)", error))
			return false;
	}
	return true;
}

bool graph_end_job(Daemon *daemon, int64_t run, int64_t job, const char *status, const char *cause, const char *message,
        GError **error)
{
	RunState state;
	if (!run_state_parse(status, &state) || !run_state_is_end(state))
		state = RUN_FAILURE;
	g_autoptr(json_t) internal = NULL;
	if ((state == RUN_FAILURE || state == RUN_CANCELLED) && !(internal = runs_job_internal(daemon->store, job, error)))
		return false;
	const char *told = json_get_string(internal, "message", NULL);
	if (state == RUN_CANCELLED && told) /* who cancelled it said why; its worker only knows that */
		message = told;
	if (json_get_bool(internal, "call", false) && !calls_cancel(daemon, internal, message, error))
		return false;
	if (!runs_move_job(daemon->store, job, state, cause, message, error))
		return false;
	if (state == RUN_FAILURE && !graph_stop_siblings(daemon, internal, error))
		return false;
	return graph_advance(daemon, run, error);
}
