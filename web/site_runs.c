/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of runs: the list, one run, one job with its log. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/model/run.h"
#include "agent/store/datasets.h"
#include "agent/store/environments.h"
#include "agent/store/repos.h"
#include "agent/store/runs.h"
#include "agent/store/tracking.h"
#include "agent/store/workflows.h"
#include "web/handlers.h"
#include "web/log_window.h"
#include "web/site.h"

#define REPOS_SHOWN 100

static bool show_runs(Request *request, const char *repo, GError **error)
{
	const char *after;
	int64_t limit;
	if (!request_page(request, &after, &limit, error))
		return false;
	Store *store = request->face->store;
	g_autoptr(json_t) filter = request_filter(request, "status branch workflow event");
	g_autoptr(json_t) asked = json_copy(filter);
	if (repo)
		json_set_string(asked, "repo", repo);
	g_autoptr(json_t) repos = repos_list(store, NULL, REPOS_SHOWN, error);
	json_t *data = repos ? runs_list(store, asked, after, limit, error) : NULL;
	if (!data)
		return false;
	json_set(data, "filter", json_incref(filter));
	json_set(data, "repos", json_incref(json_object_get(repos, "repos")));
	json_set_string(data, "repo", repo);
	return site_answer(request, page_runs, data);
}

bool site_runs(Request *request, GError **error)
{
	return show_runs(request, NULL, error);
}

bool site_repo(Request *request, GError **error)
{
	g_autofree char *name = request_repo(request);
	g_autoptr(json_t) known = repos_get(request->face->store, name, error);
	return known && show_runs(request, name, error);
}

static json_t *find_run(Request *request, GError **error)
{
	int64_t number, attempt;
	g_autofree char *repo = request_repo(request);
	return request_param_id(request, "number", &number, error) &&
	                request_query_int(request, "attempt", 1, G_MAXINT64, 0, &attempt, error)
	        ? runs_get_number(request->face->store, repo, number, attempt, error)
	        : NULL;
}

/** Puts the HTML of a job's summaries beside their Markdown. The pages show it by web/safe_html.h; the API never does. */
static bool with_html(Store *store, json_t *job, GError **error)
{
	json_t *summaries = json_object_get(job, "summaries");
	if (json_array_size(summaries) == 0)
		return true;
	g_autoptr(json_t) made = runs_summaries_html(store, json_get_int(job, "id", 0), error);
	size_t i, k;
	json_t *one, *summary;
	json_array_foreach(made, i, one)
		json_array_foreach(summaries, k, summary)
			if (json_get_int(one, "step", 0) == json_get_int(summary, "step", -1))
				json_set(summary, "html", json_incref(json_object_get(one, "html")));
	return made != NULL;
}

/** The brief jobs of a run, each in full. */
static json_t *jobs_in_full(Store *store, const json_t *run, GError **error)
{
	g_autoptr(json_t) jobs = json_array();
	size_t index;
	json_t *brief;
	json_array_foreach(json_object_get(run, "jobs"), index, brief) {
		json_t *job = runs_job(store, json_get_int(brief, "id", 0), error);
		if (!job || !with_html(store, job, error)) {
			json_decref(job);
			return NULL;
		}
		json_array_append_new(jobs, job);
	}
	return g_steal_pointer(&jobs);
}

/** Puts a part into the page's data; false when it could not be read. Takes part. */
static bool put(json_t *data, const char *key, json_t *part)
{
	if (part)
		json_set(data, key, part);
	return part != NULL;
}

bool site_run(Request *request, GError **error)
{
	Store *store = request->face->store;
	g_autoptr(json_t) run = find_run(request, error);
	if (!run)
		return false;
	int64_t id = json_get_int(run, "id", 0), attempt = json_get_int(run, "attempt", 1);
	if (!put(run, "jobs", jobs_in_full(store, run, error)) || !put(run, "reports", runs_reports(store, id, attempt, error)) ||
	        !put(run, "data", datasets_of_run(store, id, error)) || !put(run, "tracking", tracking_of_run(store, id, error)))
		return false;
	g_autoptr(json_t) artifacts = runs_artifact_get(store, id, attempt, NULL, error);
	if (!artifacts)
		return false;
	json_t *list = json_is_array(artifacts) ? artifacts : json_object_get(artifacts, "artifacts");
	json_set(run, "artifacts", json_incref(list));
	return site_show(request, 200, page_run, run, (SiteFlash){0});
}

bool site_run_cancel(Request *request, GError **error)
{
	int64_t id;
	if (!request_param_id(request, "id", &id, error))
		return false;
	g_autoptr(json_t) run = runs_get(request->face->store, id, error);
	if (!run || !daemon_cancel(request->face->daemon, id, request_user(request), error))
		return false;
	g_autofree char *location = g_strdup_printf("/%s/runs/%" G_GINT64_FORMAT "?done=cancel", json_get_string(run, "repo", ""),
	        json_get_int(run, "number", 0));
	return reply_redirect(request, location);
}

static json_t *find_workflows(Request *request, GError **error)
{
	Store *store = request->face->store;
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) known = repos_get(store, repo, error);
	g_autoptr(json_t) data = known ? workflows_list(store, json_get_int(known, "id", 0), error) : NULL;
	if (!data || !put(data, "environments", environments_list(store, repo, error)))
		return NULL;
	json_set_string(data, "repo", repo);
	return g_steal_pointer(&data);
}

bool site_workflows(Request *request, GError **error)
{
	return site_answer(request, page_workflows, find_workflows(request, error));
}

/* What a form sent for the inputs that a workflow declares: input.NAME; a box that is not ticked is not sent. */
static json_t *inputs_of_form(Request *request, const json_t *workflow)
{
	json_t *inputs = json_object();
	size_t i;
	json_t *input;
	json_array_foreach(json_object_get(workflow, "inputs"), i, input) {
		const char *name = json_get_string(input, "name", "");
		bool boolean = strcmp(json_get_string(input, "type", "string"), "boolean") == 0;
		g_autofree char *field = g_strconcat("input.", name, NULL);
		const char *value = request_form(request, field);
		if (boolean)
			json_set_string(inputs, name, value ? "true" : "false");
		else if (value && (*value || json_object_get(input, "default")))
			json_set_string(inputs, name, value);
	}
	return inputs;
}

bool site_dispatch(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) data = find_workflows(request, error);
	const char *path = request_form(request, "workflow"), *ref = request_form(request, "ref");
	if (!data)
		return false;
	g_autoptr(json_t) wish = json_object();
	size_t i;
	json_t *workflow;
	json_set_string(wish, "workflow", path);
	if (ref && *ref)
		json_set_string(wish, "ref", ref);
	json_array_foreach(json_object_get(data, "workflows"), i, workflow)
		if (g_strcmp0(json_get_string(workflow, "path", NULL), path) == 0)
			json_set(wish, "inputs", inputs_of_form(request, workflow));
	g_autofree char *delivery = NULL;
	g_autoptr(GError) why = NULL;
	if (!daemon_dispatch(request->face->daemon, repo, wish, request_user(request), &delivery, &why)) {
		if (!g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_USER)) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		json_set(data, "given", json_incref(wish));
		return site_show(request, error_http_status(why), page_workflows, data, (SiteFlash){why->message, true});
	}
	g_autofree char *location = g_strdup_printf("/%s?done=dispatch", repo);
	return reply_redirect(request, location);
}

/* The form's buttons: jobs=all, jobs=failed, or jobs=<id of one>; debug=1. */
bool site_run_rerun(Request *request, GError **error)
{
	int64_t id, attempt;
	if (!request_param_id(request, "id", &id, error))
		return false;
	const char *jobs = request_form(request, "jobs");
	gint64 one = 0;
	g_autoptr(json_t) wish = json_object();
	if (jobs && g_ascii_string_to_signed(jobs, 10, 1, G_MAXINT64, &one, NULL))
		json_set(wish, "jobs", json_pack("[I]", (json_int_t)one));
	else
		json_set_string(wish, "jobs", jobs);
	json_set_bool(wish, "debug", request_form(request, "debug") != NULL);
	g_autoptr(json_t) run = runs_get(request->face->store, id, error);
	if (!run || !daemon_rerun(request->face->daemon, id, wish, request_user(request), &attempt, error))
		return false;
	g_autofree char *location = g_strdup_printf("/%s/runs/%" G_GINT64_FORMAT "?done=rerun", json_get_string(run, "repo", ""),
	        json_get_int(run, "number", 0));
	return reply_redirect(request, location);
}

static json_t *find_job(Request *request, GError **error)
{
	g_autoptr(json_t) run = find_run(request, error);
	if (!run)
		return NULL;
	const char *key = request_param(request, "key");
	size_t index;
	json_t *brief;
	json_array_foreach(json_object_get(run, "jobs"), index, brief) {
		if (g_strcmp0(json_get_string(brief, "key", NULL), key) == 0)
			return runs_job(request->face->store, json_get_int(brief, "id", 0), error);
	}
	fail(error, ASSAY_ERROR_ABSENT, "this run has no job '%s'", key);
	return NULL;
}

bool site_job(Request *request, GError **error)
{
	int64_t from, at;
	if (!request_query_int(request, "from", 1, G_MAXINT64, 0, &from, error) ||
	        !request_query_int(request, "at", 0, G_MAXINT64, -1, &at, error))
		return false;
	g_autoptr(json_t) data = json_object();
	json_t *job = find_job(request, error);
	if (!put(data, "job", job) || !with_html(request->face->store, job, error))
		return false;
	RunState state = RUN_QUEUED;
	bool has_ended = run_state_parse(json_get_string(job, "status", ""), &state) && run_state_is_end(state);
	g_autofree char *path = daemon_log_path(request->face->daemon, json_get_int(json_object_get(job, "run"), "id", 0),
	        json_get_int(job, "id", 0));
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT)
		return fail_errno(error, errno, "cannot open the log of job '%s'", json_get_string(job, "key", ""));
	const LogWish wish = {.from = from, .at = at, .search = request_query(request, "q"), .has_ended = has_ended,
	        .lines_max = PAGE_LOG_LINES};
	json_t *log = log_window(fd, &wish, error);
	if (!log)
		return false;
	json_set(data, "log", log);
	return site_show(request, 200, page_job, data, (SiteFlash){0});
}
