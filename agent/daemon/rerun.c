/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs again what a run did: all of it, what failed, or some jobs. What was asked for gets new jobs with the commit, the
 * workflow and the event of the first attempt; what needs it is resolved again; everything else is kept with its outputs.
 * Siblings may still be running: only what runs again, and what needs it, must have ended or not have begun.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/store/attempts.h"
#include "agent/store/audit.h"
#include "agent/store/runs.h"

typedef enum Fate {
	FATE_KEPT,
	FATE_AGAIN,     /* asked for: as it was resolved then */
	FATE_RESOLVED,  /* needs one that runs again: its group is resolved anew */
	FATE_TAKEN_OVER, /* the same, but it has not begun yet */
	FATE_DROPPED    /* its call is resolved anew, and makes new ones */
} Fate;

typedef struct Rerun {
	Daemon *daemon;
	int64_t run;
	json_t *jobs;     /* of the newest attempt, brief */
	Fate *fates;      /* one a job */
	bool ended;       /* the run has */
	bool debug;
	int64_t attempt;  /* the new one */
	GArray *ready;    /* int64_t: new jobs that are resolved */
} Rerun;

static const char *group_of(const json_t *job)
{
	return json_get_string(job, "group", "");
}

static bool has_ended(const json_t *job)
{
	RunState state;
	return run_state_parse(json_get_string(job, "status", NULL), &state) && run_state_is_end(state);
}

static bool has_failed(const json_t *job)
{
	const char *status = json_get_string(job, "status", "");
	return strcmp(status, "failure") == 0 || strcmp(status, "cancelled") == 0;
}

/* Is a job part of a call, directly or not? */
static bool is_below(const json_t *job, const json_t *call)
{
	g_autofree char *prefix = g_strconcat(json_get_string(call, "key", ""), " / ", NULL);
	return json_get_bool(call, "call", false) && json_get_string(job, "caller", NULL) &&
	       g_str_has_prefix(json_get_string(job, "key", ""), prefix);
}

static bool select_failed(Rerun *rerun, GError **error)
{
	bool any = false;
	size_t i;
	json_t *job;
	json_array_foreach(rerun->jobs, i, job)
		if (has_failed(job)) {
			rerun->fates[i] = FATE_AGAIN;
			any = true;
		}
	return any || fail(error, ASSAY_ERROR_USER, "run %" G_GINT64_FORMAT " has no failed job; to run all of it again ask for 'all'",
	                      rerun->run);
}

static bool select_all(Rerun *rerun, GError **error)
{
	if (!rerun->ended)
		return fail(error, ASSAY_ERROR_BUSY,
		        "run %" G_GINT64_FORMAT " has not ended; cancel it first, or run only its failed jobs again", rerun->run);
	for (size_t i = 0; i < json_array_size(rerun->jobs); i++)
		rerun->fates[i] = FATE_AGAIN;
	return true;
}

static bool select_one(Rerun *rerun, int64_t id, GError **error)
{
	size_t i;
	json_t *job;
	json_array_foreach(rerun->jobs, i, job) {
		if (json_get_int(job, "id", 0) != id)
			continue;
		if (!has_ended(job))
			return fail(error, ASSAY_ERROR_BUSY, "job '%s' has not ended; cancel the run, or wait for the job",
			        json_get_string(job, "key", ""));
		rerun->fates[i] = FATE_AGAIN;
		for (size_t k = 0; k < json_array_size(rerun->jobs); k++)
			if (is_below(json_array_get(rerun->jobs, k), job))
				rerun->fates[k] = FATE_AGAIN;
		return true;
	}
	return fail(error, ASSAY_ERROR_USER,
	        "job %" G_GINT64_FORMAT " is not in the newest attempt of run %" G_GINT64_FORMAT "; see 'assay runs show %"
	        G_GINT64_FORMAT "'", id, rerun->run, rerun->run);
}

static bool select_jobs(Rerun *rerun, const json_t *wanted, GError **error)
{
	const char *word = json_string_value(wanted);
	size_t i;
	json_t *id;
	if (!wanted || g_strcmp0(word, "all") == 0)
		return select_all(rerun, error);
	if (g_strcmp0(word, "failed") == 0)
		return select_failed(rerun, error);
	if (json_array_size(wanted) == 0)
		return fail(error, ASSAY_ERROR_USER, "'jobs' is \"all\", \"failed\" or a list of job ids");
	json_array_foreach(wanted, i, id) {
		if (!json_is_integer(id))
			return fail(error, ASSAY_ERROR_USER, "'jobs' holds something that is no job's id");
		if (!select_one(rerun, json_integer_value(id), error))
			return false;
	}
	return true;
}

/* Does a job need a group of which something runs again? */
static bool needs_again(const Rerun *rerun, const json_t *job)
{
	size_t i, k;
	json_t *need, *other;
	json_array_foreach(json_object_get(job, "needs"), i, need)
		json_array_foreach(rerun->jobs, k, other)
			if (rerun->fates[k] != FATE_KEPT && rerun->fates[k] != FATE_DROPPED && strcmp(group_of(other), json_string_value(need)) == 0)
				return true;
	return false;
}

static bool take_in(Rerun *rerun, size_t index, const json_t *job, GError **error)
{
	if (has_ended(job)) {
		rerun->fates[index] = FATE_RESOLVED;
		return true;
	}
	g_autoptr(Task) task = queue_of_job(rerun->daemon->store, json_get_int(job, "id", 0), NULL);
	if (task || json_get_bool(job, "resolved", false) || strcmp(json_get_string(job, "status", ""), "queued") != 0)
		return fail(error, ASSAY_ERROR_BUSY, "job '%s' needs what is to run again, and has begun; wait until it has ended",
		        json_get_string(job, "key", ""));
	rerun->fates[index] = FATE_TAKEN_OVER;
	return true;
}

/* The calls around a job that runs again end anew; one that has not ended takes it in as it is. */
static bool add_callers(Rerun *rerun)
{
	bool more = false;
	size_t i, k;
	json_t *job, *call;
	json_array_foreach(rerun->jobs, i, job) {
		if (rerun->fates[i] == FATE_KEPT || rerun->fates[i] == FATE_DROPPED || !json_get_string(job, "caller", NULL))
			continue;
		json_array_foreach(rerun->jobs, k, call)
			if (rerun->fates[k] == FATE_KEPT && has_ended(call) &&
			        strcmp(json_get_string(call, "key", ""), json_get_string(job, "caller", "")) == 0) {
				rerun->fates[k] = FATE_AGAIN;
				more = true;
			}
	}
	return more;
}

/* The jobs of a call that is resolved anew are made anew. */
static void drop_called(Rerun *rerun)
{
	size_t i, k;
	json_t *call, *job;
	json_array_foreach(rerun->jobs, i, call) {
		if (rerun->fates[i] != FATE_RESOLVED || !json_get_bool(call, "call", false))
			continue;
		json_array_foreach(rerun->jobs, k, job)
			if (is_below(job, call))
				rerun->fates[k] = FATE_DROPPED;
	}
}

/* What needs something that runs again, runs again, and so on; in the order of the file, as often as it takes. */
static bool add_dependents(Rerun *rerun, GError **error)
{
	for (bool more = true; more;) {
		more = add_callers(rerun);
		size_t i;
		json_t *job;
		json_array_foreach(rerun->jobs, i, job) {
			if (rerun->fates[i] == FATE_RESOLVED || rerun->fates[i] == FATE_TAKEN_OVER || rerun->fates[i] == FATE_DROPPED ||
			        !needs_again(rerun, job))
				continue;
			if (!take_in(rerun, i, job, error))
				return false;
			more = true;
		}
		drop_called(rerun);
	}
	return true;
}

/* A job's name before it is resolved. The caller's. */
static char *plain_name(const json_t *definition, const char *group)
{
	const char *caller = json_get_string(json_object_get(definition, "call"), "name", NULL);
	const char *name = json_get_string(definition, "name", NULL);
	const char *id = g_strrstr(group, " / ");
	const char *own = name && !strstr(name, "${{") ? name : id ? id + strlen(" / ") : group;
	return caller ? g_strconcat(caller, " / ", own, NULL) : g_strdup(own);
}

/* A job of a call that begins anew begins with it. */
static bool waits_for_call(const Rerun *rerun, const json_t *job)
{
	size_t i;
	json_t *call;
	json_array_foreach(rerun->jobs, i, call)
		if (g_strcmp0(json_get_string(call, "key", NULL), json_get_string(job, "caller", NULL)) == 0)
			return rerun->fates[i] != FATE_KEPT;
	return false;
}

/* The new job of an old one; anew: as it was before its group was resolved. */
static bool add_job(Rerun *rerun, const json_t *job, bool anew, GError **error)
{
	Store *store = rerun->daemon->store;
	g_autoptr(json_t) old = runs_job_internal(store, json_get_int(job, "id", 0), error);
	if (!old)
		return false;
	const json_t *definition = json_object_get(old, "definition");
	json_t *resolved = json_object_get(old, "resolved");
	g_autofree char *name = plain_name(definition, group_of(job));
	bool keeps = !anew && json_is_object(resolved);
	g_autoptr(json_t) fresh = json_object();
	json_set_string(fresh, "group", group_of(job));
	json_set_string(fresh, "key", anew ? group_of(job) : json_get_string(old, "key", ""));
	json_set_string(fresh, "name", anew ? name : json_get_string(old, "name", ""));
	json_set_string(fresh, "caller", json_get_string(old, "caller", NULL));
	json_set(fresh, "needs", json_incref(json_object_get(old, "needs")));
	json_set(fresh, "definition", json_incref(json_object_get(old, "definition")));
	if (keeps)
		json_set(fresh, "resolved", json_incref(resolved));
	json_set_int(fresh, "attempt", rerun->attempt);
	json_set_bool(fresh, "debug", rerun->debug);
	int64_t id = 0;
	if (!runs_add_job(store, rerun->run, fresh, &id, error))
		return false;
	if (keeps && !waits_for_call(rerun, job))
		g_array_append_val(rerun->ready, id);
	return true;
}

/* Is this the first of its group? One job stands for a group that is resolved again. */
static bool is_first(const Rerun *rerun, size_t index)
{
	const char *group = group_of(json_array_get(rerun->jobs, index));
	for (size_t i = 0; i < index; i++)
		if (strcmp(group_of(json_array_get(rerun->jobs, i)), group) == 0)
			return false;
	return true;
}

static bool add_jobs(Rerun *rerun, GError **error)
{
	Store *store = rerun->daemon->store;
	size_t i;
	json_t *job;
	json_array_foreach(rerun->jobs, i, job) {
		int64_t id = json_get_int(job, "id", 0);
		Fate fate = rerun->fates[i];
		if (fate == FATE_TAKEN_OVER && !attempts_take_over(store, id, rerun->attempt, rerun->debug, error))
			return false;
		if ((fate == FATE_AGAIN || fate == FATE_RESOLVED || fate == FATE_DROPPED) && !attempts_replace(store, id, rerun->attempt, error))
			return false;
	}
	json_array_foreach(rerun->jobs, i, job) {
		Fate fate = rerun->fates[i];
		if (fate == FATE_AGAIN && !add_job(rerun, job, false, error))
			return false;
		if (fate == FATE_RESOLVED && is_first(rerun, i) && !add_job(rerun, job, true, error))
			return false;
	}
	return true;
}

/* What was asked for, in words: "all", "failed", "test (3.11), deploy". */
static char *in_words(const Rerun *rerun, const json_t *wanted)
{
	if (!json_is_array(wanted))
		return g_strdup(wanted ? json_string_value(wanted) : "all");
	GString *words = g_string_new(NULL);
	for (size_t i = 0; i < json_array_size(rerun->jobs); i++)
		if (rerun->fates[i] == FATE_AGAIN)
			g_string_append_printf(words, "%s%s", words->len ? ", " : "",
			        json_get_string(json_array_get(rerun->jobs, i), "key", ""));
	return g_string_free(words, FALSE);
}

static bool begin(Rerun *rerun, const json_t *run, GError **error)
{
	Daemon *daemon = rerun->daemon;
	bool goes = true;
	g_autoptr(json_t) internal = json_array_size(rerun->jobs) == 0 ? NULL
	        : runs_job_internal(daemon->store, json_get_int(json_array_get(rerun->jobs, 0), "id", 0), error);
	const json_t *of = json_object_get(internal, "run");
	/* A run that goes on has its turn already. */
	if (!of || (rerun->ended && !turns_ask_run(daemon, json_get_int(of, "repo_id", 0), rerun->run,
	                                    json_get_bool(run, "untrusted", false), json_object_get(of, "concurrency"), &goes, error)))
		return false;
	for (guint i = 0; goes && i < rerun->ready->len; i++)
		if (!graph_ready(daemon, g_array_index(rerun->ready, int64_t, i), error))
			return false;
	daemon_touch(daemon, rerun->run);
	return !goes || graph_advance(daemon, rerun->run, error);
}

/* In the caller's transaction. */
static bool carry_out(Rerun *rerun, const json_t *run, const json_t *wanted, const char *actor, GError **error)
{
	Store *store = rerun->daemon->store;
	g_autofree char *words = in_words(rerun, wanted);
	if (!add_dependents(rerun, error) ||
	        !attempts_begin(store, rerun->run, actor, words, rerun->debug, &rerun->attempt, error) || !add_jobs(rerun, error))
		return false;
	g_autofree char *subject = g_strdup_printf("run %" G_GINT64_FORMAT, rerun->run);
	g_autoptr(json_t) detail = json_pack("{s:I,s:s,s:b}", "attempt", (json_int_t)rerun->attempt, "jobs", words, "debug", rerun->debug);
	return audit_add(store, actor, "run.rerun", subject, detail, error) && begin(rerun, run, error);
}

bool daemon_rerun(Daemon *daemon, int64_t id, const json_t *request, const char *actor, int64_t *out_attempt, GError **error)
{
	g_autoptr(json_t) run = runs_get(daemon->store, id, error);
	g_autoptr(json_t) jobs = run ? runs_jobs_brief(daemon->store, id, error) : NULL;
	if (!jobs)
		return false;
	if (json_array_size(jobs) == 0)
		return fail(error, ASSAY_ERROR_USER, "run %" G_GINT64_FORMAT " has no jobs to run again: %s", id,
		        json_get_string(run, "message", "it could not be planned"));
	g_autofree Fate *fates = g_new0(Fate, json_array_size(jobs));
	g_autoptr(GArray) ready = g_array_new(FALSE, FALSE, sizeof(int64_t));
	Rerun rerun = {.daemon = daemon, .run = id, .jobs = jobs, .fates = fates, .ended = has_ended(run), .ready = ready,
	        .debug = json_get_bool(request, "debug", false)};
	const json_t *wanted = json_object_get(request, "jobs");
	if (!select_jobs(&rerun, wanted, error) || !store_begin(daemon->store, error))
		return false;
	if (!carry_out(&rerun, run, wanted, actor, error)) {
		store_rollback(daemon->store);
		return false;
	}
	if (!daemon_commit(daemon, error))
		return false;
	log_info("run again", KV("run", id), KV("attempt", rerun.attempt), KV("by", actor));
	daemon_wake(daemon);
	*out_attempt = rerun.attempt;
	return true;
}
