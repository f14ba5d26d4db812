/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks of jobs, carried out once, in the transaction that also keeps the answer (docs/formats.md, "Asks"). A refusal is
 * an answer. What changes data or models is refused to runs of strangers.
 */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/daemon/state.h"
#include "agent/model/gate.h"
#include "agent/store/audit.h"
#include "agent/store/caches.h"
#include "agent/store/datasets.h"
#include "agent/store/environments.h"
#include "agent/store/gates.h"
#include "agent/store/models.h"
#include "agent/store/repos.h"
#include "agent/store/runs.h"
#include "agent/store/tracking.h"

#define DAY_US (24 * 3600 * G_GINT64_CONSTANT(1000000))

/* One ask under way. */
typedef struct Ask {
	Daemon *daemon;
	const Task *task;
	const json_t *with;
	const json_t *job; /* runs_job_internal */
} Ask;

typedef json_t *(*AskHandler)(const Ask *ask, GError **error);

static const char *text(const Ask *ask, const char *key)
{
	return json_get_string(ask->with, key, NULL);
}

/* Digests, counts and names come from a worker: their form is checked before they reach a table. */
static bool need_text(const Ask *ask, const char *key, GError **error)
{
	const char *value = text(ask, key);
	return (value && value[0] && strlen(value) <= 512) ||
	       fail(error, ASSAY_ERROR_USER, "'%s' is missing, or longer than 512 bytes", key);
}

static bool need_digest(const Ask *ask, GError **error)
{
	const char *digest = text(ask, "digest");
	return (digest && strlen(digest) == 64 && strspn(digest, "0123456789abcdef") == 64) ||
	       fail(error, ASSAY_ERROR_USER, "'digest' is not 64 hex characters");
}

static json_t *dataset_put(const Ask *ask, GError **error)
{
	if (!need_text(ask, "name", error) || !need_digest(ask, error))
		return NULL;
	json_t *version = datasets_put(ask->daemon->store, ask->task->repo, ask->task->run, text(ask, "name"), ask->with, error);
	if (version && !datasets_use(ask->daemon->store, ask->task->run, ask->task->job, text(ask, "digest"),
	                       text(ask, "name"), json_get_int(version, "version", 0), error)) {
		json_decref(version);
		return NULL;
	}
	return version;
}

static json_t *dataset_get(const Ask *ask, GError **error)
{
	if (!need_text(ask, "name", error))
		return NULL;
	json_t *version = datasets_get(ask->daemon->store, ask->task->repo, text(ask, "name"),
	        json_get_int(ask->with, "version", 0), text(ask, "digest"), error);
	if (version && !datasets_use(ask->daemon->store, ask->task->run, ask->task->job,
	                       json_get_string(version, "digest", ""), text(ask, "name"), json_get_int(version, "version", 0), error)) {
		json_decref(version);
		return NULL;
	}
	return version;
}

static json_t *dataset_judged(const Ask *ask, GError **error)
{
	if (!need_digest(ask, error))
		return NULL;
	int64_t count = datasets_judged(ask->daemon->store, text(ask, "digest"), ask->task->run, error);
	return count < 0 ? NULL : json_pack("{s:I}", "candidates", (json_int_t)count);
}

/* Of the own run, or of another run of the same repo; that is not for strangers. */
static json_t *artifact_get(const Ask *ask, GError **error)
{
	int64_t other = json_get_int(ask->with, "run", 0);
	if (other > 0 && other != ask->task->run) {
		g_autoptr(json_t) run = runs_get(ask->daemon->store, other, NULL);
		const json_t *own = json_object_get(ask->job, "run");
		if (json_get_bool(own, "untrusted", false) || !run ||
		        g_strcmp0(json_get_string(run, "repo", NULL), json_get_string(own, "repo", NULL)) != 0) {
			fail(error, ASSAY_ERROR_ABSENT, "this repo has no run %" G_GINT64_FORMAT " whose artifacts this job may have", other);
			return NULL;
		}
		return runs_artifact_get(ask->daemon->store, other, 0, text(ask, "name"), error);
	}
	return runs_artifact_get(ask->daemon->store, ask->task->run, json_get_int(ask->job, "attempt", 0), text(ask, "name"),
	        error);
}

static json_t *artifact_check(const Ask *ask, GError **error)
{
	if (!need_text(ask, "name", error) ||
	        !runs_artifact_check(ask->daemon->store, ask->task->run, ask->task->job, text(ask, "name"), error))
		return NULL;
	return json_object();
}

/* When the artifact goes: at a time or after days, but not later than the config says. 0: with its run. */
static bool artifact_expiry(const Ask *ask, int64_t *out, GError **error)
{
	int64_t days = json_get_int(ask->with, "retention_days", 0);
	int64_t longest = ask->daemon->config->artifact_age_us;
	int64_t at = days > 0 && days < 100000 ? now_us() + days * DAY_US : 0;
	const char *when = text(ask, "expires_at");
	if (days < 0)
		return fail(error, ASSAY_ERROR_USER, "'retention-days' is a number from 0");
	if (when && !clock_parse(when, &at))
		return fail(error, ASSAY_ERROR_USER, "'expires_at' is no time");
	if (longest > 0)
		at = at > 0 ? MIN(at, now_us() + longest) : now_us() + longest;
	*out = at;
	return true;
}

static json_t *artifact_put(const Ask *ask, GError **error)
{
	int64_t expires_us = 0;
	const char *name = text(ask, "name");
	Store *store = ask->daemon->store;
	if (!need_text(ask, "name", error) || !need_digest(ask, error) || !artifact_expiry(ask, &expires_us, error))
		return NULL;
	if (!json_get_bool(ask->with, "overwrite", false) &&
	        !runs_artifact_check(store, ask->task->run, ask->task->job, name, error))
		return NULL;
	g_autoptr(json_t) artifact = json_copy((json_t *)(uintptr_t)ask->with);
	json_set_int(artifact, "expires_us", expires_us);
	if (!runs_artifact_put(store, ask->task->run, ask->task->job, artifact, error))
		return NULL;
	g_autoptr(json_t) got = artifact_get(ask, error);
	return got ? json_incref(json_array_get(json_object_get(got, "artifacts"), 0)) : NULL;
}

static json_t *artifact_delete(const Ask *ask, GError **error)
{
	g_autoptr(json_t) got = need_text(ask, "name", error) ? artifact_get(ask, error) : NULL;
	if (!got || !runs_artifact_remove(ask->daemon->store, ask->task->run, ask->task->job, text(ask, "name"), error))
		return NULL;
	return json_incref(json_array_get(json_object_get(got, "artifacts"), 0));
}

/* What a run writes, and reads first. What strangers wrote is read by nobody but the same strangers. */
static char *own_scope(const Ask *ask)
{
	const json_t *run = json_object_get(ask->job, "run");
	const char *ref = json_get_string(run, "ref", "");
	return json_get_bool(run, "untrusted", false) ? g_strconcat("fork ", ref, NULL) : g_strdup(ref);
}

/* The scopes whose caches a run may read, nearest first. */
static json_t *cache_scopes(const Ask *ask)
{
	const json_t *run = json_object_get(ask->job, "run");
	g_autofree char *context = runs_github(ask->daemon->store, ask->task->run, NULL);
	g_autoptr(json_t) github = context ? json_parse(context, strlen(context), "a run's context", NULL) : NULL;
	const char *base = json_get_string(github, "base_ref", NULL);
	g_autofree char *own = own_scope(ask);
	json_t *scopes = json_array();
	json_array_append_new(scopes, json_string(own));
	if (json_get_bool(run, "untrusted", false))
		json_array_append_new(scopes, json_string(json_get_string(run, "ref", "")));
	if (base && base[0])
		json_array_append_new(scopes, json_sprintf("refs/heads/%s", base));
	g_autoptr(json_t) repo = ask->task->repo ? repos_get_id(ask->daemon->store, ask->task->repo, NULL) : NULL;
	json_array_append_new(scopes, json_sprintf("refs/heads/%s", json_get_string(repo, "default_branch", "main")));
	return scopes;
}

static json_t *cache_put(const Ask *ask, GError **error)
{
	if (!need_text(ask, "key", error) || !need_digest(ask, error))
		return NULL;
	const json_t *versions = json_object_get(ask->with, "versions");
	g_autofree char *scope = own_scope(ask);
	const char *form = text(ask, "form");
	const CacheEntry entry = {.scope = scope, .key = text(ask, "key"), .digest = text(ask, "digest"),
	        .version = json_string_value(json_array_get(versions, 0)),
	        .other_version = json_string_value(json_array_get(versions, 1)),
	        .form = g_strcmp0(form, "blob") == 0 ? "blob" : "tree",
	        .bytes = MAX(json_get_int(ask->with, "bytes", 0), 0)};
	const CacheLimits limits = {.bytes = ask->daemon->config->cache_bytes, .age_us = ask->daemon->config->cache_age_us};
	int64_t id = 0;
	if (!caches_put(ask->daemon->store, ask->task->repo, &entry, limits, &id, error))
		return NULL;
	return json_pack("{s:I}", "id", (json_int_t)id);
}

static json_t *cache_get(const Ask *ask, GError **error)
{
	if (!need_text(ask, "key", error))
		return NULL;
	g_autoptr(json_t) scopes = cache_scopes(ask);
	return caches_get(ask->daemon->store, ask->task->repo, scopes, text(ask, "key"), json_object_get(ask->with, "versions"),
	        json_object_get(ask->with, "restore_keys"), error);
}

static json_t *cache_reserve(const Ask *ask, GError **error)
{
	g_autofree char *scope = own_scope(ask);
	const char *version = json_string_value(json_array_get(json_object_get(ask->with, "versions"), 0));
	if (!need_text(ask, "key", error) ||
	        !caches_check(ask->daemon->store, ask->task->repo, scope, text(ask, "key"), version, error))
		return NULL;
	return json_object();
}

static json_t *tracking_start_ask(const Ask *ask, GError **error)
{
	return tracking_start(ask->daemon->store, ask->task->repo, ask->task->run, ask->task->job, ask->with, error);
}

/* A tracking run is only written by a job of the run that made it. */
static bool owns_tracking(const Ask *ask, GError **error)
{
	if (!need_text(ask, "tracking_run", error))
		return false;
	g_autoptr(json_t) mine = tracking_of_run(ask->daemon->store, ask->task->run, error);
	size_t i;
	json_t *one;
	json_array_foreach(mine, i, one)
		if (g_strcmp0(json_get_string(one, "tracking_run", NULL), text(ask, "tracking_run")) == 0)
			return true;
	return mine && fail(error, ASSAY_ERROR_DENIED, "tracking run '%s' is not of this run", text(ask, "tracking_run"));
}

static json_t *tracking_log_ask(const Ask *ask, GError **error)
{
	if (!owns_tracking(ask, error) || !tracking_log(ask->daemon->store, text(ask, "tracking_run"), ask->with, error))
		return NULL;
	return json_object();
}

static json_t *tracking_end_ask(const Ask *ask, GError **error)
{
	const char *status = text(ask, "status");
	if (!owns_tracking(ask, error) ||
	        !tracking_end(ask->daemon->store, text(ask, "tracking_run"), status ? status : "FINISHED", error))
		return NULL;
	return json_object();
}

static json_t *model_get(const Ask *ask, GError **error)
{
	if (!need_text(ask, "name", error))
		return NULL;
	const char *alias = text(ask, "alias");
	return models_get(ask->daemon->store, ask->task->repo, text(ask, "name"), json_get_int(ask->with, "version", 0),
	        alias ? alias : "production", error);
}

static json_t *lineage(const Ask *ask, GError **error)
{
	const json_t *run = json_object_get(ask->job, "run");
	g_autoptr(json_t) data = datasets_of_run(ask->daemon->store, ask->task->run, error);
	if (!data)
		return NULL;
	json_t *object = json_object();
	static const char *const keys[] = {"repo", "sha", "ref", "workflow", "workflow_path", "workflow_digest", "actor"};
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		json_set_string(object, keys[i], json_get_string(run, keys[i], NULL));
	json_set_int(object, "run", json_get_int(run, "number", 0));
	json_set_int(object, "run_id", ask->task->run);
	json_set_string(object, "job", json_get_string(ask->job, "key", NULL));
	json_set(object, "data", g_steal_pointer(&data));
	return object;
}

static json_t *model_register(const Ask *ask, GError **error)
{
	json_t *origin = need_text(ask, "name", error) && need_digest(ask, error) ? lineage(ask, error) : NULL;
	if (!origin)
		return NULL;
	g_autoptr(json_t) version = json_copy((json_t *)(uintptr_t)ask->with);
	json_set(version, "lineage", origin);
	g_autoptr(json_t) parent = models_get(ask->daemon->store, ask->task->repo, text(ask, "name"), 0, "production", NULL);
	if (parent)
		json_set(origin, "parent", json_pack("{s:s, s:I}", "name", text(ask, "name"), "version",
		        (json_int_t)json_get_int(parent, "version", 0)));
	return models_register(ask->daemon->store, ask->task->repo, ask->task->run, ask->task->job, text(ask, "name"),
	        version, error);
}

/* Was this job let through a gate of this environment? Its id, 0 when not. */
static int64_t passed_gate(const Ask *ask, const char *environment)
{
	g_autoptr(json_t) job = runs_job(ask->daemon->store, ask->task->job, NULL);
	int64_t id = json_get_int(job, "gate", 0);
	g_autoptr(json_t) gate = id ? gates_get(ask->daemon->store, id, NULL) : NULL;
	bool passed = g_strcmp0(json_get_string(gate, "status", NULL), "approved") == 0 &&
	              g_strcmp0(json_get_string(gate, "environment", NULL), environment) == 0;
	return passed ? id : 0;
}

static json_t *model_promote(const Ask *ask, GError **error)
{
	if (!need_text(ask, "name", error))
		return NULL;
	const char *alias = text(ask, "alias");
	alias = alias && alias[0] ? alias : "production";
	int64_t version = json_get_int(ask->with, "version", 0);
	const json_t *run = json_object_get(ask->job, "run");
	int64_t gate = passed_gate(ask, alias);
	g_autoptr(json_t) rules = ask->daemon->local ? NULL
	        : environments_get(ask->daemon->store, json_get_string(run, "repo", ""), alias, NULL);
	if (rules && gate_is_held(rules) && gate == 0) {
		fail(error, ASSAY_ERROR_DENIED, "the alias '%s' moves only in a job with 'environment: %s' that its reviewers approved",
		        alias, alias);
		return NULL;
	}
	g_autofree char *actor = g_strdup_printf("run %" G_GINT64_FORMAT, json_get_int(run, "number", 0));
	json_t *moved = models_alias(ask->daemon->store, ask->task->repo, text(ask, "name"), version, alias, gate, actor, error);
	if (moved) {
		g_autofree char *subject = g_strdup_printf("%s %" G_GINT64_FORMAT, text(ask, "name"), version);
		g_autoptr(json_t) detail = json_pack("{s:s, s:I}", "alias", alias, "gate", (json_int_t)gate);
		if (audit_add(ask->daemon->store, actor, "model.promote", subject, detail, error))
			return moved;
		json_decref(moved);
	}
	return NULL;
}

static const struct {
	const char *what;
	AskHandler handler;
	bool trusted; /* only for runs that are not of strangers */
} handlers[] = {
        {"artifact.check", artifact_check, false},
        {"artifact.delete", artifact_delete, false},
        {"artifact.get", artifact_get, false},
        {"artifact.put", artifact_put, false},
        {"cache.get", cache_get, false},
        {"cache.put", cache_put, false}, /* into a scope that says who wrote it */
        {"cache.reserve", cache_reserve, false},
        {"dataset.get", dataset_get, false},
        {"dataset.judged", dataset_judged, false},
        {"dataset.put", dataset_put, true},
        {"model.get", model_get, false},
        {"model.promote", model_promote, true},
        {"model.register", model_register, true},
        {"tracking.end", tracking_end_ask, true},
        {"tracking.log", tracking_log_ask, true},
        {"tracking.start", tracking_start_ask, true},
};

static json_t *carry_out(const Ask *ask, const char *what, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(handlers); i++) {
		if (strcmp(handlers[i].what, what) != 0)
			continue;
		if (handlers[i].trusted && json_get_bool(json_object_get(ask->job, "run"), "untrusted", false)) {
			fail(error, ASSAY_ERROR_DENIED, "'%s' is not for runs of forks", what);
			return NULL;
		}
		return handlers[i].handler(ask, error);
	}
	fail(error, ASSAY_ERROR_USER, "this agent knows no ask '%s'", what);
	return NULL;
}

json_t *asks_answer(Daemon *daemon, const Task *task, const char *what, const json_t *with)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) job = runs_job_internal(daemon->store, task->job, &error);
	Ask ask = {.daemon = daemon, .task = task, .with = with, .job = job};
	json_t *result = job ? carry_out(&ask, what, &error) : NULL;
	json_t *answer = json_object();
	json_set_bool(answer, "ok", result != NULL);
	if (result) {
		json_set(answer, "result", result);
		return answer;
	}
	json_set_string(answer, "type", error_type(error));
	json_set_string(answer, "message", error ? error->message : "refused without a reason");
	return answer;
}
