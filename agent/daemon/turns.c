/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is: concurrency groups of runs and jobs, and the places of a matrix (max-parallel). Who waits stays
 * queued and is no task. A job stands in line for its matrix first and for its group then, and a run before its jobs, so
 * no two wait for each other. Runs of forks have groups of their own: a stranger neither delays nor cancels a release.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/store/runs.h"
#include "agent/store/turns.h"

/* Who asks for a group. */
typedef struct Asker {
	int64_t repo;
	int64_t run;
	int64_t job; /* 0: the run */
	const char *group;
	char *lock;
} Asker;

static char *group_lock(const char *group, bool untrusted)
{
	g_autofree char *folded = g_utf8_casefold(group, -1);
	return g_strconcat(untrusted ? "fork-group " : "group ", folded, NULL);
}

static char *describe(const json_t *turn)
{
	const char *key = json_get_string(turn, "key", NULL);
	int64_t number = json_get_int(turn, "number", 0);
	return key ? g_strdup_printf("job '%s' of run %" G_GINT64_FORMAT, key, number)
	           : g_strdup_printf("run %" G_GINT64_FORMAT, number);
}

static bool is_asker(const Asker *asker, const json_t *turn)
{
	return json_get_int(turn, "run", 0) == asker->run && json_get_int(turn, "job", 0) == asker->job;
}

static bool give_way(Daemon *daemon, const Asker *asker, const json_t *older, GError **error)
{
	g_autofree char *message = g_strdup_printf("a newer run took its place in the concurrency group '%s'", asker->group);
	int64_t job = json_get_int(older, "job", 0);
	int64_t run = json_get_int(older, "run", 0);
	log_info("gives way in a concurrency group", KV("run", run), KV("to", asker->run), KV("group", asker->group));
	if (job == 0)
		return cancel_run(daemon, run, message, error);
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, job, error);
	return internal && cancel_job(daemon, internal, message, error) && graph_advance(daemon, run, error);
}

/* Only the newest waits, unless the queue is for all; with cancel-in-progress nobody is waited for longer than needed. */
static bool make_way(Daemon *daemon, const Asker *asker, const json_t *concurrency, const json_t *holder, GError **error)
{
	if (g_strcmp0(json_get_string(concurrency, "queue", NULL), "max") == 0)
		return true;
	g_autoptr(json_t) waiting = turns_waiting(daemon->store, asker->repo, asker->lock, error);
	if (!waiting)
		return false;
	size_t i;
	json_t *older;
	json_array_foreach(waiting, i, older)
		if (!is_asker(asker, older) && !give_way(daemon, asker, older, error))
			return false;
	return !holder || !json_get_bool(concurrency, "cancel_in_progress", false) ||
	       give_way(daemon, asker, holder, error);
}

static char *wait_message(Daemon *daemon, const Asker *asker, const json_t *holder)
{
	g_autoptr(json_t) first = turns_first(daemon->store, asker->repo, asker->lock, NULL);
	if (!holder || (first && !is_asker(asker, first)))
		return g_strdup_printf("waits for its turn in the concurrency group '%s'", asker->group);
	g_autofree char *who = describe(holder);
	return g_strdup_printf("waits for %s, which holds the concurrency group '%s'", who, asker->group);
}

/* Does a job end before the holder can: a call that it is part of, or (0) its run? */
static bool is_inside(Daemon *daemon, int64_t run, int64_t job, int64_t holder)
{
	if (holder == 0)
		return true;
	g_autoptr(json_t) jobs = runs_jobs_brief(daemon->store, run, NULL);
	const char *caller = NULL;
	size_t i;
	json_t *one;
	json_array_foreach(jobs, i, one)
		if (json_get_int(one, "id", 0) == job)
			caller = json_get_string(one, "caller", NULL);
	while (caller) {
		const json_t *call = calls_find(jobs, caller);
		if (json_get_int(call, "id", 0) == holder)
			return true;
		caller = json_get_string(call, "caller", NULL);
	}
	return false;
}

/* *out_message: what it waits for, when it has to wait since now; the caller's. */
static bool ask_group(Daemon *daemon, const Asker *asker, const json_t *concurrency, bool *out, char **out_message,
        GError **error)
{
	TurnState state = TURN_HOLDS;
	if (!turns_take(daemon->store, asker->repo, asker->lock, 1, asker->run, asker->job, &state, error))
		return false;
	*out = state == TURN_HOLDS;
	if (state != TURN_WAITS_NEWLY)
		return true;
	g_autoptr(GError) inner = NULL;
	g_autoptr(json_t) holder = turns_holder(daemon->store, asker->repo, asker->lock, &inner);
	if (inner) {
		g_propagate_error(error, g_steal_pointer(&inner));
		return false;
	}
	if (asker->job > 0 && json_get_int(holder, "run", 0) == asker->run &&
	        is_inside(daemon, asker->run, asker->job, json_get_int(holder, "job", 0))) {
		g_autofree char *why = g_strdup_printf(
		        "its concurrency group '%s' is held by its own %s, which ends after it; give the job another group",
		        asker->group, json_get_int(holder, "job", 0) > 0 ? "caller" : "run");
		return runs_move_job(daemon->store, asker->job, RUN_FAILURE, CAUSE_INVALID, why, error);
	}
	if (!make_way(daemon, asker, concurrency, holder, error))
		return false;
	*out_message = wait_message(daemon, asker, holder);
	return true;
}

bool turns_ask_run(Daemon *daemon, int64_t repo, int64_t run, bool untrusted, const json_t *concurrency, bool *out,
        GError **error)
{
	const char *group = json_get_string(concurrency, "group", NULL);
	*out = true;
	if (!group)
		return true;
	g_autofree char *lock = group_lock(group, untrusted);
	g_autofree char *message = NULL;
	const Asker asker = {.repo = repo, .run = run, .group = group, .lock = lock};
	return ask_group(daemon, &asker, concurrency, out, &message, error) &&
	       (!message || turns_say(daemon->store, run, message, error));
}

/* A place among the jobs of its matrix, when they are more than may run at once. */
static bool ask_matrix(Daemon *daemon, const json_t *internal, bool *out, GError **error)
{
	const json_t *strategy = json_object_get(json_object_get(internal, "resolved"), "strategy");
	const json_t *run = json_object_get(internal, "run");
	int64_t total = json_get_int(strategy, "job-total", 1);
	int64_t places = json_get_int(strategy, "max-parallel", total);
	*out = true;
	if (places < 1 || places >= total)
		return true;
	TurnState state = TURN_HOLDS;
	g_autofree char *lock = g_strdup_printf("matrix %" G_GINT64_FORMAT " %s", json_get_int(run, "id", 0),
	        json_get_string(internal, "group", ""));
	int64_t job = json_get_int(internal, "id", 0);
	if (!turns_take(daemon->store, json_get_int(run, "repo_id", 0), lock, places, json_get_int(run, "id", 0), job, &state,
	            error))
		return false;
	*out = state == TURN_HOLDS;
	if (state != TURN_WAITS_NEWLY)
		return true;
	g_autofree char *message = g_strdup_printf("waits for a job of its matrix to end (max-parallel: %" G_GINT64_FORMAT ")",
	        places);
	return runs_move_job(daemon->store, job, RUN_QUEUED, NULL, message, error);
}

bool turns_needed(const json_t *resolved)
{
	const json_t *strategy = json_object_get(resolved, "strategy");
	int64_t total = json_get_int(strategy, "job-total", 1);
	return json_is_object(json_object_get(resolved, "concurrency")) ||
	       json_is_object(json_object_get(json_object_get(resolved, "call"), "concurrency")) ||
	       json_get_int(strategy, "max-parallel", total) < total;
}

/* One of the groups that a job asks for; it says what it waits for. */
static bool ask_job_group(Daemon *daemon, const json_t *internal, const json_t *concurrency, bool *out, GError **error)
{
	const json_t *run = json_object_get(internal, "run");
	const char *group = json_get_string(concurrency, "group", NULL);
	if (!*out || !group)
		return true;
	g_autofree char *lock = group_lock(group, json_get_bool(run, "untrusted", false));
	g_autofree char *message = NULL;
	const Asker asker = {.repo = json_get_int(run, "repo_id", 0), .run = json_get_int(run, "id", 0),
	        .job = json_get_int(internal, "id", 0), .group = group, .lock = lock};
	return ask_group(daemon, &asker, concurrency, out, &message, error) &&
	       (!message || runs_move_job(daemon->store, asker.job, RUN_QUEUED, NULL, message, error));
}

/* A call asks for its own group, and then for that of the workflow it calls. */
bool turns_ask_job(Daemon *daemon, const json_t *internal, bool *out, GError **error)
{
	const json_t *resolved = json_object_get(internal, "resolved");
	return ask_matrix(daemon, internal, out, error) &&
	       ask_job_group(daemon, internal, json_object_get(resolved, "concurrency"), out, error) &&
	       ask_job_group(daemon, internal, json_object_get(json_object_get(resolved, "call"), "concurrency"), out, error);
}

static bool begin(Daemon *daemon, const json_t *turn, GError **error)
{
	int64_t run = json_get_int(turn, "run", 0);
	int64_t job = json_get_int(turn, "job", 0);
	if (!turns_hold(daemon->store, json_get_int(turn, "id", 0), error))
		return false;
	log_info("its turn has come", KV("run", run), KV("job", job));
	if (job > 0)
		return graph_ready(daemon, job, error) && graph_advance(daemon, run, error);
	return turns_say(daemon->store, run, NULL, error) && graph_begin(daemon, run, error);
}

/* What cannot begin ends, or those after it would wait for ever. */
static bool end(Daemon *daemon, const json_t *turn, const char *why, GError **error)
{
	int64_t job = json_get_int(turn, "job", 0);
	int64_t run = json_get_int(turn, "run", 0);
	return job > 0 ? graph_end_job(daemon, run, job, "failure", CAUSE_AGENT, why, error)
	               : cancel_run(daemon, run, why, error);
}

void turns_run(Daemon *daemon)
{
	g_autoptr(GError) error = NULL;
	while (!daemon->stopping && !error) {
		g_autoptr(json_t) turn = turns_next(daemon->store, &error);
		if (!turn || !store_begin(daemon->store, &error))
			break;
		g_autoptr(GError) why = NULL;
		bool good = begin(daemon, turn, &why);
		if (!good) {
			store_rollback(daemon->store);
			log_error("what was called cannot begin", KV("run", json_get_int(turn, "run", 0)), KV("why", why->message));
			good = store_begin(daemon->store, &error) && end(daemon, turn, why->message, &error);
		}
		if (good)
			daemon_commit(daemon, &error);
		else if (store_in_transaction(daemon->store))
			store_rollback(daemon->store);
	}
	if (error)
		log_error("who waits for a turn waits on: the store refuses", KV("why", error->message));
}
