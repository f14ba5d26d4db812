/* SPDX-License-Identifier: Apache-2.0 */
/* `assay runs …`: what runs there are, one of them, its log; cancel, rerun and dispatch. */
#include <stdio.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/cli/cli.h"
#include "agent/cli/client.h"
#include "agent/cli/table.h"
#include "agent/cli/verbs_agent.h"
#include "agent/model/run.h"

#define POLL_US (300 * 1000)
#define TOLD_JOBS_MAX 50
#define SUMMARY_LINES 12
#define CALL_LEVELS_MAX 10

static void append_query(GString *path, const char *key, const char *value)
{
	if (!value)
		return;
	g_autofree char *escaped = client_escape(value);
	g_string_append_printf(path, "%c%s=%s", strchr(path->str, '?') ? '&' : '?', key, escaped);
}

int verb_runs_list(int argc, char **argv)
{
	g_autofree char *repo = NULL, *status = NULL, *branch = NULL, *workflow = NULL, *delivery = NULL, *limit = NULL, *after = NULL;
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {
	        {"repo", 0, 0, G_OPTION_ARG_STRING, &repo, "of this repo", "OWNER/NAME"},
	        {"status", 0, 0, G_OPTION_ARG_STRING, &status, "with this status", "STATUS"},
	        {"branch", 0, 0, G_OPTION_ARG_STRING, &branch, "of this branch", "NAME"},
	        {"workflow", 0, 0, G_OPTION_ARG_STRING, &workflow, "of this workflow", "NAME"},
	        {"delivery", 0, 0, G_OPTION_ARG_STRING, &delivery, "of this delivery", "ID"},
	        {"limit", 0, 0, G_OPTION_ARG_STRING, &limit, "at most so many (50)", "N"},
	        {"after", 0, 0, G_OPTION_ARG_STRING, &after, "the next page's key", "KEY"},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL},
	        {0},
	};
	if (!cli_parse(options, "", 0, 0, &argc, &argv))
		return 2;
	g_autoptr(GString) path = g_string_new("/api/v1/runs");
	append_query(path, "repo", repo);
	append_query(path, "status", status);
	append_query(path, "branch", branch);
	append_query(path, "workflow", workflow);
	append_query(path, "delivery", delivery);
	append_query(path, "limit", limit);
	append_query(path, "after", after);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) list = NULL;
	if (!client_request("GET", path->str, NULL, &list, &error))
		return error_print(error);
	static const TableColumn columns[] = {{"ID", "id"}, {"REPO", "repo"}, {"RUN", "number"}, {"STATUS", "status"},
	        {"WORKFLOW", "workflow"}, {"EVENT", "event"}, {"CREATED", "created_at"}, {"TITLE", "title"}};
	if (as_json)
		table_print_json(list);
	else
		table_print(json_object_get(list, "runs"), columns, G_N_ELEMENTS(columns), "no runs yet: push to a repo that 'assay repo add' knows");
	return 0;
}

/* attempt: NULL for the newest. */
static json_t *get_run(const char *id, const char *attempt, GError **error)
{
	g_autofree char *escaped = client_escape(id);
	g_autoptr(GString) path = g_string_new("/api/v1/runs/");
	g_string_append(path, escaped);
	append_query(path, "attempt", attempt);
	json_t *run = NULL;
	return client_request("GET", path->str, NULL, &run, error) ? run : NULL;
}

/* Called jobs below their call, as they are on the run's page. Calls name each other in no circle: levels bound it anyway. */
static void add_below(const json_t *jobs, const char *caller, int level, json_t *out)
{
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		if (g_strcmp0(json_get_string(job, "caller", NULL), caller) != 0)
			continue;
		json_array_append(out, job);
		if (json_get_bool(job, "call", false) && level < CALL_LEVELS_MAX)
			add_below(jobs, json_get_string(job, "key", ""), level + 1, out);
	}
}

static json_t *in_tree_order(const json_t *jobs)
{
	json_t *out = json_array();
	add_below(jobs, NULL, 1, out);
	return out;
}

static void print_run(const json_t *run)
{
	static const TableColumn columns[] = {{"JOB", "id"}, {"NAME", "name"}, {"STATUS", "status"}, {"CAUSE", "cause"},
	        {"GATE", "gate"}, {"STARTED", "started_at"}, {"FINISHED", "finished_at"}, {"MESSAGE", "message"}};
	static const TableColumn fields[] = {{"repo", "repo"}, {"number", "number"}, {"workflow", "workflow"}, {"event", "event"}, {"ref", "ref"}, {"sha", "sha"},
	        {"title", "title"}, {"actor", "actor"}, {"status", "status"}, {"cause", "cause"}, {"message", "message"}};
	size_t attempts = json_array_size(json_object_get(run, "attempts"));
	table_print_fields(run, fields, G_N_ELEMENTS(fields));
	if (attempts > 1)
		printf("%-9s %" G_GINT64_FORMAT " of %zu\n", "attempt", json_get_int(run, "attempt", 1), attempts);
	printf("\n");
	g_autoptr(json_t) jobs = in_tree_order(json_object_get(run, "jobs"));
	table_print(jobs, columns, G_N_ELEMENTS(columns), "no jobs");
}

/* "error    tell: src/a.c:7: expected a brace" */
static void print_annotations(const json_t *job)
{
	size_t i;
	json_t *note;
	json_array_foreach(json_object_get(job, "annotations"), i, note) {
		const char *file = json_get_string(note, "file", NULL);
		int64_t line = json_get_int(note, "line", 0);
		printf("%-8s %s: ", json_get_string(note, "level", ""), json_get_string(job, "name", ""));
		if (file && line > 0)
			printf("%s:%" G_GINT64_FORMAT ": ", file, line);
		else if (file)
			printf("%s: ", file);
		g_autofree char *message = table_text(note, "message");
		printf("%s\n", message);
	}
}

/* The first lines of each summary, as they were written. */
static void print_summaries(const json_t *job)
{
	size_t i;
	json_t *summary;
	json_array_foreach(json_object_get(job, "summaries"), i, summary) {
		g_auto(GStrv) lines = g_strsplit(json_get_string(summary, "markdown", ""), "\n", SUMMARY_LINES + 1);
		printf("\n== summary of %s ==\n", json_get_string(job, "name", ""));
		for (size_t k = 0; lines[k] && k < SUMMARY_LINES; k++) {
			for (char *at = lines[k]; *at; at++) /* nobody's terminal is a stranger's to move */
				if (g_ascii_iscntrl(*at) && *at != '\t')
					*at = ' ';
			printf("%s\n", lines[k]);
		}
		if (g_strv_length(lines) > SUMMARY_LINES && lines[SUMMARY_LINES][0])
			printf("… the rest is on the run's page\n");
	}
}

/* What the jobs told; their own requests, and none of a run with very many. */
static bool print_told(const json_t *run, GError **error)
{
	const json_t *jobs = json_object_get(run, "jobs");
	g_autoptr(json_t) full = json_array();
	size_t i, notes = 0;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		if (!json_get_string(job, "started_at", NULL) || i >= TOLD_JOBS_MAX)
			continue;
		g_autofree char *path = g_strdup_printf("/api/v1/jobs/%" G_GINT64_FORMAT, json_get_int(job, "id", 0));
		json_t *one = NULL;
		if (!client_request("GET", path, NULL, &one, error))
			return false;
		notes += json_array_size(json_object_get(one, "annotations"));
		json_array_append_new(full, one);
	}
	if (notes > 0)
		printf("\n");
	json_array_foreach(full, i, job)
		print_annotations(job);
	json_array_foreach(full, i, job)
		print_summaries(job);
	return true;
}

int verb_runs_show(int argc, char **argv)
{
	g_autofree char *attempt = NULL;
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {
	        {"attempt", 0, 0, G_OPTION_ARG_STRING, &attempt, "as it was in this attempt (the newest)", "N"},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL},
	        {0},
	};
	if (!cli_parse(options, "RUN", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) run = get_run(argv[1], attempt, &error);
	if (!run)
		return error_print(error);
	if (as_json) {
		table_print_json(run);
		return 0;
	}
	print_run(run);
	return print_told(run, &error) ? 0 : error_print(error);
}

/* Is a job the one that was asked for, or one that it calls? */
static bool is_asked_for(const json_t *job, const char *wanted)
{
	const char *key = json_get_string(job, "key", "");
	size_t len = wanted ? strlen(wanted) : 0;
	if (!wanted || strcmp(key, wanted) == 0)
		return true;
	return json_get_string(job, "caller", NULL) && strncmp(key, wanted, len) == 0 && g_str_has_prefix(key + len, " / ");
}

int verb_runs_log(int argc, char **argv)
{
	g_autofree char *job = NULL, *attempt = NULL;
	const GOptionEntry options[] = {
	        {"job", 0, 0, G_OPTION_ARG_STRING, &job, "only this job, by its key, and what it calls", "KEY"},
	        {"attempt", 0, 0, G_OPTION_ARG_STRING, &attempt, "of this attempt (the newest)", "N"},
	        {0},
	};
	if (!cli_parse(options, "RUN", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) run = get_run(argv[1], attempt, &error);
	if (!run)
		return error_print(error);
	g_autoptr(json_t) jobs = in_tree_order(json_object_get(run, "jobs"));
	bool found = false;
	size_t i;
	json_t *one;
	json_array_foreach(jobs, i, one) {
		const char *key = json_get_string(one, "key", "");
		if (!is_asked_for(one, job))
			continue;
		found = true;
		if (!json_get_string(one, "started_at", NULL) || json_get_bool(one, "call", false))
			continue;
		if (!job || strcmp(job, key) != 0)
			printf("== %s ==\n", key);
		g_autofree char *path = g_strdup_printf("/api/v1/jobs/%" G_GINT64_FORMAT "/log", json_get_int(one, "id", 0));
		if (!client_print(path, &error))
			return error_print(error);
	}
	if (found)
		return 0;
	fprintf(stderr, "assay: run %s has no job '%s'; see 'assay runs show %s'\n", argv[1], job ? job : "", argv[1]);
	return 3;
}

int verb_runs_cancel(int argc, char **argv)
{
	const GOptionEntry options[] = {{0}};
	if (!cli_parse(options, "RUN", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autofree char *escaped = client_escape(argv[1]);
	g_autofree char *path = g_strdup_printf("/api/v1/runs/%s/cancel", escaped);
	return client_request("POST", path, NULL, NULL, &error) ? 0 : error_print(error);
}

/* Waits until every run has ended that a path answers with: a list, or one; says on stderr what changes. */
static int wait_for(const char *path, bool as_json)
{
	g_autofree char *said = g_strdup("");
	for (;;) {
		g_autoptr(GError) error = NULL;
		g_autoptr(json_t) list = NULL;
		if (!client_request("GET", path, NULL, &list, &error))
			return error_print(error);
		g_autoptr(json_t) alone = json_object_get(list, "runs") ? NULL : json_pack("[O]", list);
		const json_t *runs = alone ? alone : json_object_get(list, "runs");
		bool ended = json_array_size(runs) > 0;
		bool success = ended;
		size_t i;
		json_t *run;
		json_array_foreach(runs, i, run) {
			RunState state = RUN_QUEUED;
			run_state_parse(json_get_string(run, "status", NULL), &state);
			ended = ended && run_state_is_end(state);
			success = success && state == RUN_SUCCESS;
			g_autofree char *now = g_strdup_printf("run %" G_GINT64_FORMAT ": %s", json_get_int(run, "id", 0), json_get_string(run, "status", ""));
			if (strcmp(now, said) != 0)
				fprintf(stderr, "%s\n", now);
			g_free(said);
			said = g_steal_pointer(&now);
		}
		if (ended) {
			if (as_json)
				table_print_json(list);
			return success ? 0 : 1;
		}
		g_usleep(POLL_US);
	}
}

/* The ids of jobs that people name by key or by id. */
static json_t *job_ids(const char *id, char **names, GError **error)
{
	g_autoptr(json_t) run = get_run(id, NULL, error);
	if (!run)
		return NULL;
	g_autoptr(json_t) ids = json_array();
	for (; *names; names++) {
		size_t i, before = json_array_size(ids);
		json_t *job;
		json_array_foreach(json_object_get(run, "jobs"), i, job) {
			g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(job, "id", 0));
			if (strcmp(*names, number) == 0 || strcmp(*names, json_get_string(job, "key", "")) == 0)
				json_array_append(ids, json_object_get(job, "id"));
		}
		if (json_array_size(ids) == before) {
			fail(error, ASSAY_ERROR_ABSENT, "run %s has no job '%s'; see 'assay runs show %s'", id, *names, id);
			return NULL;
		}
	}
	return g_steal_pointer(&ids);
}

int verb_runs_rerun(int argc, char **argv)
{
	g_auto(GStrv) jobs = NULL;
	gboolean failed = FALSE, debug = FALSE, wait = FALSE, as_json = FALSE;
	const GOptionEntry options[] = {
	        {"failed", 0, 0, G_OPTION_ARG_NONE, &failed, "only the jobs that failed, and what needs them", NULL},
	        {"job", 0, 0, G_OPTION_ARG_STRING_ARRAY, &jobs, "only this job and what needs it; more than once for more", "JOB"},
	        {"debug", 0, 0, G_OPTION_ARG_NONE, &debug, "with RUNNER_DEBUG=1 and what steps say by ::debug::", NULL},
	        {"wait", 0, 0, G_OPTION_ARG_NONE, &wait, "until it has ended; exit 0 when it succeeded", NULL},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL},
	        {0},
	};
	if (!cli_parse(options, "RUN", 1, 1, &argc, &argv))
		return 2;
	if (failed && jobs) {
		fprintf(stderr, "assay: --failed and --job exclude each other: give one of them\n");
		return 2;
	}
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) wanted = jobs ? job_ids(argv[1], jobs, &error) : json_string(failed ? "failed" : "all");
	if (!wanted)
		return error_print(error);
	g_autoptr(json_t) body = json_object();
	json_set(body, "jobs", json_incref(wanted));
	json_set_bool(body, "debug", debug);
	g_autofree char *escaped = client_escape(argv[1]);
	g_autofree char *path = g_strdup_printf("/api/v1/runs/%s", escaped);
	g_autofree char *rerun = g_strconcat(path, "/rerun", NULL);
	g_autoptr(json_t) run = NULL;
	if (!client_request("POST", rerun, body, &run, &error))
		return error_print(error);
	if (wait)
		return wait_for(path, as_json);
	if (as_json)
		table_print_json(run);
	else
		printf("attempt %" G_GINT64_FORMAT "\n", json_get_int(run, "attempt", 1));
	return 0;
}

int verb_runs_schedule(int argc, char **argv)
{
	g_autofree char *repo = NULL, *limit = NULL;
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {
	        {"repo", 0, 0, G_OPTION_ARG_STRING, &repo, "of this repo", "OWNER/NAME"},
	        {"limit", 0, 0, G_OPTION_ARG_STRING, &limit, "at most so many (50)", "N"},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL},
	        {0},
	};
	if (!cli_parse(options, "", 0, 0, &argc, &argv))
		return 2;
	g_autoptr(GString) path = g_string_new("/api/v1/schedules");
	append_query(path, "repo", repo);
	append_query(path, "limit", limit);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) list = NULL;
	if (!client_request("GET", path->str, NULL, &list, &error))
		return error_print(error);
	static const TableColumn columns[] = {{"NEXT", "next_at"}, {"LAST", "last_at"}, {"REPO", "repo"}, {"WORKFLOW", "workflow"},
	        {"CRON", "cron"}, {"TIMEZONE", "timezone"}};
	if (as_json)
		table_print_json(list);
	else
		table_print(json_object_get(list, "schedules"), columns, G_N_ELEMENTS(columns), "nothing is scheduled: no workflow of a default branch has 'on: schedule'");
	return 0;
}

int verb_runs_dispatch(int argc, char **argv)
{
	g_autofree char *ref = NULL;
	g_auto(GStrv) inputs = NULL;
	gboolean wait = FALSE, as_json = FALSE;
	const GOptionEntry options[] = {
	        {"ref", 0, 0, G_OPTION_ARG_STRING, &ref, "branch or tag (the repo's default)", "REF"},
	        {"input", 0, 0, G_OPTION_ARG_STRING_ARRAY, &inputs, "an input of the workflow", "NAME=VALUE"},
	        {"wait", 0, 0, G_OPTION_ARG_NONE, &wait, "until it has ended; exit 0 when it succeeded", NULL},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL},
	        {0},
	};
	if (!cli_parse(options, "OWNER/NAME WORKFLOW", 2, 2, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autofree char *repo = client_repo(argv[1], &error);
	if (!repo)
		return error_print(error);
	g_autoptr(json_t) body = json_object();
	json_t *values = json_object();
	json_set_string(body, "workflow", argv[2]);
	if (ref)
		json_set_string(body, "ref", ref);
	json_set(body, "inputs", values);
	for (char **input = inputs; input && *input; input++) {
		const char *equals = strchr(*input, '=');
		if (!equals || equals == *input) {
			fprintf(stderr, "assay: --input '%s': give NAME=VALUE\n", *input);
			return 2;
		}
		g_autofree char *name = g_strndup(*input, (gsize)(equals - *input));
		json_set_string(values, name, equals + 1);
	}
	g_autofree char *path = g_strdup_printf("/api/v1/repos/%s/dispatches", repo);
	g_autoptr(json_t) answer = NULL;
	if (!client_request("POST", path, body, &answer, &error))
		return error_print(error);
	const char *delivery = json_get_string(answer, "delivery", "");
	g_autofree char *escaped = client_escape(delivery);
	g_autofree char *runs = g_strdup_printf("/api/v1/runs?delivery=%s", escaped);
	if (wait)
		return wait_for(runs, as_json);
	if (as_json)
		table_print_json(answer);
	else
		printf("%s\n", delivery);
	return 0;
}
