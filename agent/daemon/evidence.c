/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gate shows: collected once, when it opens, from what the run's jobs reported and what the release was made of
 * (docs/api.md, "Evidence"). Its digest covers commit, workflow, data and reports, and a verdict is bound to it.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/daemon/state.h"
#include "agent/store/datasets.h"
#include "agent/store/gates.h"
#include "agent/store/models.h"
#include "agent/store/runs.h"
#include "agent/store/tracking.h"

static int rank(const char *verdict)
{
	static const char *const order[] = {"none", "pass", "inconclusive", "fail"};
	for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
		if (g_strcmp0(verdict, order[i]) == 0)
			return (int)i;
	return 0;
}

/* The worst comparison decides the sentence; where nothing was compared it says so. */
static void summarise(json_t *evidence, const json_t *reports)
{
	const char *verdict = "none";
	const char *sentence = NULL;
	size_t i;
	json_t *entry;
	json_array_foreach(reports, i, entry) {
		const json_t *report = json_object_get(entry, "report");
		const char *kind = json_get_string(report, "kind", "");
		const char *says = json_get_string(report, "verdict", "none");
		if (strcmp(kind, "compare") != 0 && strcmp(kind, "validate-data") != 0 && strcmp(kind, "drift") != 0)
			continue;
		if (!sentence || rank(says) > rank(verdict)) {
			verdict = says;
			sentence = json_get_string(report, "sentence", NULL);
		}
	}
	json_set_string(evidence, "verdict", verdict);
	json_set_string(evidence, "sentence", sentence ? sentence : "Nothing was compared in this run.");
}

/* The model version that this run registered last. */
static json_t *candidate_of(const json_t *reports)
{
	json_t *model = NULL;
	size_t i;
	json_t *entry;
	json_array_foreach(reports, i, entry) {
		const json_t *report = json_object_get(entry, "report");
		if (strcmp(json_get_string(report, "kind", ""), "register") != 0)
			continue;
		json_decref(model);
		model = json_object();
		json_set_string(model, "name", json_get_string(report, "name", NULL));
		json_set_int(model, "version", json_get_int(report, "version", 0));
		json_set_string(model, "digest", json_get_string(report, "digest", NULL));
	}
	return model;
}

/* Who let the release through, and since when: the newest entry of the ledger. */
static void add_ledger(Daemon *daemon, json_t *release, const char *repo, const char *name)
{
	g_autoptr(json_t) shown = models_show(daemon->store, repo, name, NULL);
	size_t i;
	json_t *entry;
	json_array_foreach(json_object_get(shown, "ledger"), i, entry) {
		if (strcmp(json_get_string(entry, "alias", ""), "production") != 0 ||
		        json_get_int(entry, "version", 0) != json_get_int(release, "version", 0))
			continue;
		json_set_string(release, "since", json_get_string(entry, "at", NULL));
		int64_t gate_id = json_get_int(entry, "gate", 0);
		g_autoptr(json_t) gate = gate_id ? gates_get(daemon->store, gate_id, NULL) : NULL;
		const json_t *verdict = json_array_get(json_object_get(gate, "verdicts"), 0);
		json_set_string(release, "approved_by", json_get_string(verdict, "user", NULL));
		return;
	}
}

static json_t *release_of(Daemon *daemon, int64_t repo_id, const char *repo, const char *name, json_t **out_params)
{
	g_autoptr(json_t) version = name ? models_get(daemon->store, repo_id, name, 0, "production", NULL) : NULL;
	if (!version)
		return NULL;
	const json_t *lineage = json_object_get(version, "lineage");
	json_t *release = json_object();
	json_set_string(release, "name", name);
	json_set_int(release, "version", json_get_int(version, "version", 0));
	json_set_string(release, "sha", json_get_string(lineage, "sha", NULL));
	json_set_int(release, "run", json_get_int(lineage, "run", 0));
	json_t *data = json_object_get(lineage, "data");
	json_set(release, "data", data ? json_incref(data) : json_array());
	json_t *metrics = json_object_get(version, "metrics");
	json_set(release, "metrics", metrics ? json_incref(metrics) : json_object());
	json_set_string(release, "since", NULL);
	json_set_string(release, "approved_by", NULL);
	add_ledger(daemon, release, repo, name);
	g_autoptr(json_t) tracking = tracking_of_run(daemon->store, json_get_int(lineage, "run_id", 0), NULL);
	*out_params = json_deep_copy(json_object_get(json_array_get(tracking, 0), "params"));
	return release;
}

/* [{"name","from","to"}] of what differs between two objects of strings. */
static json_t *changed_params(const json_t *before, const json_t *after)
{
	json_t *changes = json_array();
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)after, key, value) {
		json_t *old = json_object_get(before, key);
		if (!old || !json_equal(old, value))
			json_array_append_new(changes, json_pack("{s:s, s:O?, s:O}", "name", key, "from", old, "to", value));
	}
	json_object_foreach((json_t *)(uintptr_t)before, key, value)
		if (!json_object_get(after, key))
			json_array_append_new(changes, json_pack("{s:s, s:O, s:n}", "name", key, "from", value, "to"));
	return changes;
}

static const json_t *find_named(const json_t *array, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach(array, i, item)
		if (g_strcmp0(json_get_string(item, "name", NULL), name) == 0)
			return item;
	return NULL;
}

static json_t *changed_data(const json_t *before, const json_t *after)
{
	json_t *changes = json_array();
	size_t i;
	json_t *now;
	json_array_foreach(after, i, now) {
		const char *name = json_get_string(now, "name", "");
		const json_t *old = find_named(before, name);
		if (g_strcmp0(json_get_string(old, "digest", NULL), json_get_string(now, "digest", NULL)) == 0)
			continue;
		json_t *change = json_object();
		json_set_string(change, "name", name);
		json_set(change, "from", old ? json_incref(json_object_get(old, "version")) : json_null());
		json_set(change, "to", json_incref(json_object_get(now, "version")));
		json_array_append_new(changes, change);
	}
	return changes;
}

/* The first tracking run that a job of this attempt made: those of jobs that ran again are not what is released. */
static const json_t *first_of_jobs(const json_t *tracking, const json_t *jobs)
{
	size_t i, k;
	json_t *one, *job;
	json_array_foreach(tracking, i, one)
		json_array_foreach(jobs, k, job)
			if (json_get_int(one, "job", -1) == json_get_int(job, "id", -2))
				return one;
	return NULL;
}

static json_t *changes_of(Daemon *daemon, int64_t run, const json_t *internal, const json_t *jobs, const json_t *release,
        const json_t *data, const json_t *params_before)
{
	json_t *changes = json_object();
	const char *since = json_get_string(release, "sha", NULL);
	const json_t *known = json_object_get(json_object_get(internal, "resolved"), "changes");
	json_t *commits = since ? json_object_get(known, since) : NULL;
	bool same = since && g_strcmp0(since, json_get_string(json_object_get(internal, "run"), "sha", NULL)) == 0;
	json_set(changes, "commits", commits ? json_incref(commits) : same ? json_array() : json_null());
	json_set(changes, "data", release ? changed_data(json_object_get(release, "data"), data) : json_array());
	g_autoptr(json_t) tracking = tracking_of_run(daemon->store, run, NULL);
	const json_t *params = json_object_get(first_of_jobs(tracking, jobs), "params");
	json_set(changes, "params", release && params ? changed_params(params_before, params) : json_array());
	return changes;
}

static json_t *reports_with_keys(const json_t *reports, const json_t *jobs)
{
	json_t *out = json_array();
	size_t i, k;
	json_t *entry, *job;
	json_array_foreach(reports, i, entry) {
		json_t *copy = json_object();
		json_array_foreach(jobs, k, job)
			if (json_get_int(job, "id", -1) == json_get_int(entry, "job", -2))
				json_set_string(copy, "job", json_get_string(job, "key", NULL));
		json_set_string(copy, "digest", json_get_string(entry, "digest", NULL));
		json_set(copy, "report", json_incref(json_object_get(entry, "report")));
		json_array_append_new(out, copy);
	}
	return out;
}

json_t *evidence_collect(Daemon *daemon, int64_t job, const char *environment, GError **error)
{
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, job, error);
	const json_t *run = json_object_get(internal, "run");
	int64_t run_id = json_get_int(run, "id", 0);
	g_autoptr(json_t) reports = internal ? runs_reports(daemon->store, run_id, 0, error) : NULL;
	g_autoptr(json_t) jobs = reports ? runs_jobs_brief(daemon->store, run_id, error) : NULL;
	json_t *data = jobs ? datasets_of_run(daemon->store, run_id, error) : NULL;
	if (!data)
		return NULL;
	const char *repo = json_get_string(run, "repo", "");
	json_t *evidence = json_object();
	json_set_string(evidence, "repo", repo);
	json_set_string(evidence, "environment", environment);
	json_set_string(evidence, "ref", json_get_string(run, "ref", NULL));
	json_set_string(evidence, "sha", json_get_string(run, "sha", NULL));
	json_set_string(evidence, "title", json_get_string(run, "title", NULL));
	json_set_string(evidence, "workflow_path", json_get_string(run, "workflow_path", NULL));
	json_set_string(evidence, "workflow_digest", json_get_string(run, "workflow_digest", NULL));
	json_set_string(evidence, "author", json_get_string(run, "actor", NULL));
	json_set_int(evidence, "run", json_get_int(run, "number", 0));
	json_set(evidence, "data", data);
	json_set(evidence, "reports", reports_with_keys(reports, jobs));
	summarise(evidence, reports);
	json_t *model = candidate_of(reports);
	g_autoptr(json_t) params = NULL;
	json_t *release = release_of(daemon, json_get_int(run, "repo_id", 0), repo, json_get_string(model, "name", NULL), &params);
	json_set(evidence, "model", model);
	json_set(evidence, "release", release);
	json_set(evidence, "changes", changes_of(daemon, run_id, internal, jobs, release, data, params));
	return evidence;
}
