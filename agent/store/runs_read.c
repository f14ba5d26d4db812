/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs and jobs as the API shows them (docs/api.md). The shapes are the aliases of queries.def; this file only joins
 * what comes from several statements.
 */
#include <string.h>

#include "agent/store/runs.h"
#include "agent/base/clock.h"
#include "agent/store/sql.h"

/* Takes a key out of an object. */
static json_t *take(json_t *object, const char *key)
{
	json_t *value = json_incref(json_object_get(object, key));
	json_object_del(object, key);
	return value;
}

/* Sets object[key] to the rows of a query about one id. */
static bool attach(Store *store, json_t *object, const char *key, Query query, int64_t id, GError **error)
{
	json_t *rows = sql_array(store, query, VALUES(INT(id)), error);
	if (!rows)
		return false;
	json_set(object, key, rows);
	return true;
}

static bool attach_jobs(Store *store, json_t *run, int64_t attempt, GError **error)
{
	json_t *jobs = sql_array(store, QUERY_RUN_JOBS, VALUES(INT(json_get_int(run, "id", 0)), INT(attempt)), error);
	if (jobs)
		json_set(run, "jobs", jobs);
	return jobs != NULL;
}

static const char *const of_attempt[] = {"status", "cause", "message", "started_at", "finished_at"};

static void copy_state(json_t *to, const json_t *from)
{
	for (size_t i = 0; i < G_N_ELEMENTS(of_attempt); i++)
		json_set(to, of_attempt[i], json_incref(json_object_get(from, of_attempt[i])));
}

/* Every attempt of a run, the newest with the run's own state. */
static json_t *attempts_of(Store *store, const json_t *run, GError **error)
{
	json_t *attempts = sql_array(store, QUERY_ATTEMPT_LIST, VALUES(INT(json_get_int(run, "id", 0))), error);
	if (!attempts)
		return NULL;
	if (json_array_size(attempts) == 0) {
		json_t *only = json_pack("{s:i,s:n,s:n,s:b}", "attempt", 1, "actor", "jobs", "debug", 0);
		json_set(only, "created_at", json_incref(json_object_get(run, "created_at")));
		json_array_append_new(attempts, only);
	}
	copy_state(json_array_get(attempts, json_array_size(attempts) - 1), run);
	return attempts;
}

/* Shows a run as it is in this attempt; 0: the newest. Takes run. */
static json_t *with_jobs(Store *store, json_t *run, int64_t attempt, GError **error)
{
	g_autoptr(json_t) owned = run;
	json_t *attempts = owned ? attempts_of(store, owned, error) : NULL;
	if (!attempts)
		return NULL;
	json_set(owned, "attempts", attempts);
	int64_t newest = json_get_int(owned, "attempt", 1);
	if (attempt < 0 || attempt > newest) {
		fail(error, ASSAY_ERROR_ABSENT, "run %" G_GINT64_FORMAT " has no attempt %" G_GINT64_FORMAT "; its newest is %"
		        G_GINT64_FORMAT, json_get_int(owned, "id", 0), attempt, newest);
		return NULL;
	}
	attempt = attempt ? attempt : newest;
	copy_state(owned, json_array_get(attempts, (size_t)attempt - 1));
	json_set_int(owned, "attempt", attempt);
	return attach_jobs(store, owned, attempt, error) ? g_steal_pointer(&owned) : NULL;
}

json_t *runs_get(Store *store, int64_t id, GError **error)
{
	return runs_get_attempt(store, id, 0, error);
}

json_t *runs_get_attempt(Store *store, int64_t id, int64_t attempt, GError **error)
{
	return with_jobs(store,
	        sql_one(store, QUERY_RUN_GET, VALUES(INT(id)), error,
	                "no run with id %" G_GINT64_FORMAT "; see 'assay runs list'", id),
	        attempt, error);
}

json_t *runs_get_number(Store *store, const char *repo, int64_t number, int64_t attempt, GError **error)
{
	return with_jobs(store,
	        sql_one(store, QUERY_RUN_GET_NUMBER, VALUES(TEXT(repo), INT(number)), error,
	                "%s has no run %" G_GINT64_FORMAT "; see 'assay runs list'", repo ? repo : "", number),
	        attempt, error);
}

typedef struct Filter {
	SqlValue repo;
	const char *status;
	char *ref;
	const char *workflow; /* a name or a path */
	char *file;           /* the last part of a path */
	const char *event;
	const char *actor;
	const char *delivery;
} Filter;

static void filter_clear(Filter *filter)
{
	g_free(filter->ref);
	g_free(filter->file);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Filter, filter_clear)

static const char *filter_word(const json_t *filter, const char *key)
{
	const char *word = json_get_string(filter, key, NULL);
	return word && *word ? word : NULL;
}

/* People name a workflow as it names itself, by its file, or by the path of its file. */
static void filter_workflow(Filter *filter, const char *word)
{
	bool path = word && strchr(word, '/');
	bool file = word && !path && (g_str_has_suffix(word, ".yml") || g_str_has_suffix(word, ".yaml"));
	filter->workflow = file ? NULL : word;
	filter->file = file || path ? g_path_get_basename(word) : NULL;
}

static bool filter_read(Store *store, const json_t *json, Filter *out, GError **error)
{
	const char *repo = filter_word(json, "repo");
	const char *branch = filter_word(json, "branch");
	RunState state = RUN_QUEUED;
	*out = (Filter){
	        .status = filter_word(json, "status"),
	        .event = filter_word(json, "event"),
	        .actor = filter_word(json, "actor"),
	        .delivery = filter_word(json, "delivery"),
	};
	filter_workflow(out, filter_word(json, "workflow"));
	if (branch)
		out->ref = g_str_has_prefix(branch, "refs/") ? g_strdup(branch) : g_strconcat("refs/heads/", branch, NULL);
	if (out->status && !run_state_parse(out->status, &state))
		return fail(error, ASSAY_ERROR_USER,
		        "'%.40s' is not a status; use queued, waiting, running, success, failure, cancelled or skipped",
		        out->status);
	if (!repo)
		return true;
	out->repo = INT(-1); /* an unknown repo has no runs */
	return sql_int(store, QUERY_REPO_ID, VALUES(TEXT(repo), INT(1)), &out->repo.number, NULL, error);
}

/* The statement whose index leaves the fewest runs to look at. */
static Query filter_query(const Filter *filter)
{
	bool repo = filter->repo.kind == SQL_INT;
	if (filter->delivery)
		return QUERY_RUN_LIST_DELIVERY;
	/* What is under way or went wrong is rare; success is not. */
	if (filter->status && strcmp(filter->status, "success") != 0)
		return repo ? QUERY_RUN_LIST_REPO_STATUS : QUERY_RUN_LIST_STATUS;
	if (filter->ref)
		return repo ? QUERY_RUN_LIST_REPO_REF : QUERY_RUN_LIST_REF;
	if (filter->file)
		return repo ? QUERY_RUN_LIST_REPO_FILE : QUERY_RUN_LIST_FILE;
	if (filter->workflow)
		return repo ? QUERY_RUN_LIST_REPO_WORKFLOW : QUERY_RUN_LIST_WORKFLOW;
	if (filter->actor)
		return QUERY_RUN_LIST_ACTOR;
	if (filter->status)
		return repo ? QUERY_RUN_LIST_REPO_STATUS : QUERY_RUN_LIST_STATUS;
	if (repo)
		return QUERY_RUN_LIST_REPO;
	return filter->event ? QUERY_RUN_LIST_EVENT : QUERY_RUN_LIST_ALL;
}

static bool each_with_jobs(Store *store, json_t *runs, GError **error)
{
	size_t i;
	json_t *run;
	json_array_foreach(runs, i, run)
		if (!attach_jobs(store, run, G_MAXINT64, error))
			return false;
	return true;
}

json_t *runs_list(Store *store, const json_t *filter, const char *after, int64_t limit, GError **error)
{
	Page page;
	g_auto(Filter) want = {0};
	if (!page_parse(after, limit, &page, error) || !filter_read(store, filter, &want, error))
		return NULL;
	g_autoptr(json_t) answer = sql_page(store, filter_query(&want),
	        VALUES(INT(page.at), INT(page.rows), want.repo, TEXT(want.status), TEXT(want.ref), TEXT(want.workflow),
	                TEXT(want.event), TEXT(want.actor), TEXT(want.delivery), TEXT(want.file)),
	        "runs", &page, error);
	if (!answer || !each_with_jobs(store, json_object_get(answer, "runs"), error))
		return NULL;
	return g_steal_pointer(&answer);
}

json_t *runs_job(Store *store, int64_t id, GError **error)
{
	g_autoptr(json_t) job = sql_one(store, QUERY_JOB_GET, VALUES(INT(id)), error,
	        "no job with id %" G_GINT64_FORMAT "; see 'assay runs list'", id);
	if (!job)
		return NULL;
	g_autoptr(json_t) run_id = take(job, "run_id");
	json_t *run = sql_one(store, QUERY_RUN_GET, VALUES(INT(json_integer_value(run_id))), error, "its run is gone");
	if (!run)
		return NULL;
	json_t *attempts = sql_array(store, QUERY_JOB_ATTEMPTS,
	        VALUES(INT(json_get_int(run, "id", 0)), TEXT(json_get_string(job, "key", ""))), error);
	json_set(job, "run", run);
	if (!attempts)
		return NULL;
	json_set(job, "attempts", attempts);
	if (!attach(store, job, "steps", QUERY_STEP_LIST, id, error) ||
	        !attach(store, job, "annotations", QUERY_ANNOTATION_LIST, id, error) ||
	        !attach(store, job, "summaries", QUERY_SUMMARY_LIST, id, error) ||
	        !attach(store, job, "reports", QUERY_REPORT_OF_JOB, id, error) ||
	        !attach(store, job, "artifacts", QUERY_ARTIFACT_OF_JOB, id, error))
		return NULL;
	return g_steal_pointer(&job);
}

json_t *runs_summaries_html(Store *store, int64_t job, GError **error)
{
	return sql_array(store, QUERY_SUMMARY_HTML, VALUES(INT(job)), error);
}

json_t *runs_job_internal(Store *store, int64_t id, GError **error)
{
	g_autoptr(json_t) job = sql_one(store, QUERY_JOB_INTERNAL, VALUES(INT(id)), error,
	        "no job with id %" G_GINT64_FORMAT, id);
	if (!job)
		return NULL;
	g_autoptr(json_t) run_id = take(job, "run_id");
	json_t *run = sql_one(store, QUERY_RUN_INTERNAL, VALUES(INT(json_integer_value(run_id))), error, "its run is gone");
	if (!run)
		return NULL;
	json_set(job, "run", run);
	return g_steal_pointer(&job);
}

json_t *runs_job_spec(Store *store, int64_t id, GError **error)
{
	json_t *job = sql_one(store, QUERY_JOB_SPEC, VALUES(INT(id)), error, "no job with id %" G_GINT64_FORMAT, id);
	if (!job)
		return NULL;
	json_t *run = json_object();
	json_set(run, "id", take(job, "run_id"));
	json_set(run, "number", take(job, "number"));
	json_set(run, "sha", take(job, "sha"));
	json_set(run, "untrusted", take(job, "untrusted"));
	json_set(job, "run", run);
	return job;
}

char *runs_github(Store *store, int64_t run, GError **error)
{
	GError *inner = NULL;
	g_auto(Rows) rows = sql_query(store, QUERY_RUN_CONTEXT_GET, VALUES(INT(run)), &inner);
	char *text = rows_next(&rows, &inner) ? g_strdup(rows_text(&rows, 0)) : NULL;
	if (inner) {
		g_propagate_error(error, inner);
		return NULL;
	}
	return text ? text : g_strdup("{}");
}

json_t *runs_jobs_brief(Store *store, int64_t run, GError **error)
{
	return sql_array(store, QUERY_RUN_JOBS_BRIEF, VALUES(INT(run)), error);
}

int64_t runs_unresolved(Store *store, int64_t run, GError **error)
{
	int64_t count = 0;
	return sql_int(store, QUERY_RUN_UNRESOLVED, VALUES(INT(run)), &count, NULL, error) ? count : -1;
}

int64_t runs_calls(Store *store, int64_t run, GError **error)
{
	int64_t count = 0;
	return sql_int(store, QUERY_RUN_CALLS, VALUES(INT(run)), &count, NULL, error) ? count : -1;
}

json_t *runs_open_of_ref(Store *store, int64_t repo, const char *ref, int64_t except, GError **error)
{
	return sql_list(store, QUERY_RUN_OPEN_OF_REF, VALUES(INT(repo), TEXT(ref), INT(except)), error);
}

json_t *runs_reports(Store *store, int64_t run, int64_t attempt, GError **error)
{
	return sql_array(store, QUERY_REPORT_OF_RUN, VALUES(INT(run), INT(attempt ? attempt : G_MAXINT64)), error);
}

json_t *runs_artifact_get(Store *store, int64_t run, int64_t attempt, const char *name, GError **error)
{
	int64_t shown = attempt ? attempt : G_MAXINT64;
	g_autoptr(json_t) artifacts = name
	        ? sql_array(store, QUERY_ARTIFACT_NAMED, VALUES(INT(run), INT(shown), INT(now_us()), TEXT(name)), error)
	        : sql_array(store, QUERY_ARTIFACT_OF_RUN, VALUES(INT(run), INT(shown), INT(now_us())), error);
	if (!artifacts)
		return NULL;
	if (name && json_array_size(artifacts) == 0) {
		fail(error, ASSAY_ERROR_ABSENT, "run %" G_GINT64_FORMAT " has no artifact '%.200s'", run, name);
		return NULL;
	}
	json_t *answer = json_object();
	json_set(answer, "artifacts", g_steal_pointer(&artifacts));
	return answer;
}

json_t *runs_artifact_find(Store *store, int64_t run, int64_t attempt, const char *name, int64_t id, GError **error)
{
	g_autoptr(json_t) found = sql_array(store, QUERY_ARTIFACT_FIND,
	        VALUES(INT(run), INT(attempt ? attempt : G_MAXINT64), INT(now_us()), TEXT(name), ID(id)), error);
	if (!found)
		return NULL;
	json_t *one = json_array_get(found, 0);
	if (one)
		return json_incref(one);
	if (name)
		fail(error, ASSAY_ERROR_ABSENT, "run %" G_GINT64_FORMAT " has no artifact '%.200s'", run, name);
	else
		fail(error, ASSAY_ERROR_ABSENT, "run %" G_GINT64_FORMAT " has no artifact with the id %" G_GINT64_FORMAT, run, id);
	return NULL;
}
