/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run: did it work, and if not, why? The sentence first, then the graph, the jobs with their causes, what steps
 * reported, and the facts that an auditor asks for.
 */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/report.h"
#include "web/svg.h"
#include "web/told.h"
#include "web/usage.h"

static void job_link(GString *out, const json_t *run, const json_t *job)
{
	const char *name = json_get_string(job, "name", json_get_string(job, "key", "job"));
	if (json_get_bool(job, "call", false)) { /* it has no log: its jobs stand below it */
		html(out, "<a href=\"#call-%" PRId64 "\">%s</a>", json_get_int(job, "id", 0), name);
		return;
	}
	g_string_append(out, "<a");
	frame_job_href(out, run, json_get_string(job, "key", ""));
	html(out, ">%s</a>", name);
}

/* A job that did something says more than the call that it is part of. */
static const json_t *first_with_status(const json_t *jobs, const char *status)
{
	const json_t *call = NULL;
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		if (strcmp(json_get_string(job, "status", ""), status) != 0)
			continue;
		if (!json_get_bool(job, "call", false))
			return job;
		call = call ? call : job;
	}
	return call;
}

static int64_t took(const json_t *thing, int64_t now)
{
	const char *started = json_get_string(thing, "started_at", NULL);
	return started ? html_between(started, json_get_string(thing, "finished_at", NULL), now) : -1;
}

static void sentence(GString *out, const PageView *view, const json_t *run)
{
	const json_t *jobs = json_object_get(run, "jobs");
	const char *status = json_get_string(run, "status", "queued");
	const char *message = json_get_string(run, "message", NULL);
	const json_t *job = NULL;
	html(out, "<p class=\"lead %s\">", frame_colour(status));
	if (strcmp(status, "failure") == 0 && (job = first_with_status(jobs, "failure"))) {
		job_link(out, run, job);
		const char *cause = json_get_string(job, "message", message);
		html(out, " failed%s%s", cause ? ": " : ".", cause);
	} else if (strcmp(status, "waiting") == 0 && (job = first_with_status(jobs, "waiting"))) {
		job_link(out, run, job);
		html(out, " waits for the gate of %s. ", json_get_string(job, "environment", "its environment"));
		if (json_is_integer(json_object_get(job, "gate")))
			html(out, "<a href=\"/gates/%" PRId64 "\">See the evidence</a>", json_get_int(job, "gate", 0));
	} else if (strcmp(status, "running") == 0 && (job = first_with_status(jobs, "running"))) {
		job_link(out, run, job);
		g_string_append(out, " has been running for ");
		html_duration(out, took(job, view->now_us));
		g_string_append_c(out, '.');
	} else if (strcmp(status, "success") == 0) {
		g_string_append(out, "Everything succeeded, in ");
		html_duration(out, took(run, view->now_us));
		g_string_append_c(out, '.');
	} else if (message) {
		html_text(out, message);
	} else if (strcmp(status, "cancelled") == 0) {
		g_string_append(out, "It was cancelled.");
	} else if (strcmp(status, "queued") == 0) {
		job = first_with_status(jobs, "queued");
		const char *waits = json_get_string(job, "message", NULL);
		html(out, "%s", waits ? waits : "It waits for a free slot.");
	} else {
		html_text(out, status);
	}
	g_string_append(out, "</p>");
}

#define INDENT_MAX 3 /* style.css has so many */

static void indent(GString *out, int depth)
{
	if (depth > 0)
		html(out, " class=\"in%d\"", MIN(depth, INDENT_MAX));
}

/* What stands below its caller needs not say its name, or key, again. */
static const char *own_part(const char *name, const char *caller)
{
	size_t len = caller ? strlen(caller) : 0;
	bool below = len > 0 && strncmp(name, caller, len) == 0 && g_str_has_prefix(name + len, " / ");
	return below ? name + len + strlen(" / ") : name;
}

static void matrix_begin(GString *out, const char *group, const char *call, int depth)
{
	g_string_append(out, "<tr class=\"group\" id=\"group-");
	html_query(out, group);
	g_string_append(out, "\"><th colspan=\"4\" scope=\"rowgroup\"");
	indent(out, depth);
	html(out, ">%s</th></tr>", own_part(group, call));
}

static void job_name(GString *out, const json_t *run, const json_t *job, const json_t *caller)
{
	const char *name = own_part(json_get_string(job, "name", json_get_string(job, "key", "job")),
	        json_get_string(caller, "name", NULL));
	if (json_get_bool(job, "call", false)) {
		html(out, "%s <span class=\"soft\">calls</span>", name);
		return;
	}
	g_string_append(out, "<a");
	frame_job_href(out, run, json_get_string(job, "key", ""));
	html(out, ">%s</a>", name);
}

/* The jobs as a tree: every call, and below it what it calls. */
typedef struct Table {
	GString *out;
	const PageView *view;
	const json_t *run;
	const json_t *jobs;
	int64_t longest;
	bool *shown;
} Table;

static void job_row(const Table *table, const json_t *job, const json_t *caller, int depth)
{
	GString *out = table->out;
	const json_t *run = table->run;
	const char *status = json_get_string(job, "status", "queued");
	const char *message = json_get_string(job, "message", NULL);
	html(out, "<tr class=\"%s\"", frame_colour(status));
	if (json_get_bool(job, "call", false))
		html(out, " id=\"call-%" PRId64 "\"", json_get_int(job, "id", 0));
	g_string_append(out, "><td class=\"state\">");
	frame_status(out, status);
	g_string_append(out, "</td><th scope=\"row\"");
	indent(out, depth);
	g_string_append_c(out, '>');
	job_name(out, run, job, caller);
	int64_t made = json_get_int(job, "attempt", 1);
	if (made < json_get_int(run, "attempt", 1))
		html(out, " <span class=\"soft\">kept from attempt %" PRId64 "</span>", made);
	if (message && *message && strcmp(status, "success") != 0)
		html(out, "<p class=\"why\">%s</p>", message);
	g_string_append(out, "</th><td>");
	if (json_is_integer(json_object_get(job, "gate")))
		html(out, "<a class=\"gate-link\" href=\"/gates/%" PRId64 "\">gate of %s</a>", json_get_int(job, "gate", 0),
		        json_get_string(job, "environment", "its environment"));
	else
		html_text(out, json_get_string(job, "environment", NULL));
	g_string_append(out, "</td><td class=\"num\">");
	int64_t duration = took(job, table->view->now_us);
	if (duration >= 0) {
		g_string_append(out, "<span class=\"took\">");
		svg_bar(out, duration, 0, table->longest, frame_colour(status));
		html_duration(out, duration);
		g_string_append(out, "</span>");
	}
	g_string_append(out, "</td></tr>");
}

static size_t group_size(const json_t *jobs, const char *group)
{
	size_t count = 0, i;
	json_t *job;
	json_array_foreach(jobs, i, job)
		count += g_strcmp0(json_get_string(job, "group", NULL), group) == 0;
	return count;
}

/* Is a job directly below a call, or, for NULL, below none of this table? */
static bool is_below(const Table *table, const json_t *job, const char *call)
{
	const char *caller = json_get_string(job, "caller", NULL);
	size_t i;
	json_t *other;
	if (call)
		return g_strcmp0(caller, call) == 0;
	json_array_foreach(table->jobs, i, other)
		if (caller && g_strcmp0(json_get_string(other, "key", NULL), caller) == 0)
			return false;
	return true;
}

static bool is_first_of_group(const Table *table, size_t index, const char *group)
{
	for (size_t i = 0; i < json_array_size(table->jobs); i++)
		if (i != index && table->shown[i] &&
		        g_strcmp0(json_get_string(json_array_get(table->jobs, i), "group", NULL), group) == 0)
			return false;
	return true;
}

/* The jobs below a call; NULL: those below none. */
static void job_rows(const Table *table, const json_t *caller, int depth)
{
	const char *call = json_get_string(caller, "key", NULL);
	size_t i;
	json_t *job;
	json_array_foreach(table->jobs, i, job) {
		if (table->shown[i] || !is_below(table, job, call))
			continue;
		table->shown[i] = true;
		const char *own = json_get_string(job, "group", "");
		bool member = group_size(table->jobs, own) > 1;
		if (member && is_first_of_group(table, i, own))
			matrix_begin(table->out, own, call, depth);
		job_row(table, job, caller, depth + member);
		if (json_get_bool(job, "call", false))
			job_rows(table, job, depth + member + 1);
	}
}

static void jobs_table(GString *out, const PageView *view, const json_t *run)
{
	const json_t *jobs = json_object_get(run, "jobs");
	if (json_array_size(jobs) == 0)
		return;
	int64_t longest = 0;
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job)
		longest = MAX(longest, took(job, view->now_us));
	frame_section(out, "jobs", "Jobs");
	svg_graph(out, run, view->now_us);
	g_string_append(out, "<table class=\"jobs\"><caption class=\"hidden\">Every job of this run</caption><thead class=\"hidden\">"
	                     "<tr><th scope=\"col\">Status</th><th scope=\"col\">Job</th><th scope=\"col\">Environment</th>"
	                     "<th scope=\"col\">Duration</th></tr></thead><tbody>");
	g_autofree bool *shown = g_new0(bool, json_array_size(jobs));
	const Table table = {.out = out, .view = view, .run = run, .jobs = jobs, .longest = longest, .shown = shown};
	job_rows(&table, NULL, 0);
	g_string_append(out, "</tbody></table>");
	frame_section_end(out);
}

static void reports(GString *out, const json_t *run)
{
	const json_t *all = json_object_get(run, "reports");
	if (json_array_size(all) == 0)
		return;
	frame_section(out, "reports", "What the steps reported");
	ReportIds ids = 0;
	size_t i;
	json_t *one;
	json_array_foreach(all, i, one) {
		const json_t *report = json_object_get(one, "report");
		html(out, "<article class=\"report\"><h3>%s", report_title(report));
		if (json_is_string(json_object_get(one, "job")))
			html(out, " <span class=\"soft\">by %s</span>", json_get_string(one, "job", NULL));
		g_string_append(out, "</h3>");
		report_html(out, report, &ids);
		g_string_append(out, "</article>");
	}
	frame_section_end(out);
}

static void artifacts(GString *out, const json_t *run)
{
	const json_t *all = json_object_get(run, "artifacts");
	if (json_array_size(all) == 0)
		return;
	frame_section(out, "artifacts", "Artifacts");
	g_string_append(out, "<table><caption class=\"hidden\">Artifacts of this run</caption><thead><tr><th scope=\"col\">Name</th>"
	                     "<th scope=\"col\" class=\"num\">Files</th><th scope=\"col\" class=\"num\">Size</th>"
	                     "<th scope=\"col\">Kept until</th><th scope=\"col\">Digest</th></tr></thead><tbody>");
	g_autofree char *run_id = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(run, "id", 0));
	g_autofree char *attempt = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(run, "attempt", 1));
	size_t i;
	json_t *one;
	json_array_foreach(all, i, one) {
		const char *name = json_get_string(one, "name", "");
		g_string_append(out, "<tr><th scope=\"row\"><a");
		html_href(out, "/api/v1/runs/%s/artifacts/%s?attempt=%s", run_id, name, attempt);
		html(out, " download title=\"Download as a zip\">%s</a></th><td class=\"num\">", name);
		html_count(out, json_get_int(one, "files", 0));
		g_string_append(out, "</td><td class=\"num\">");
		html_bytes(out, json_get_int(one, "bytes", 0));
		g_string_append(out, "</td><td>");
		const char *until = json_get_string(one, "expires_at", NULL);
		if (until)
			html_day(out, until);
		else
			g_string_append(out, "as long as the run");
		g_string_append(out, "</td><td>");
		html_digest(out, json_get_string(one, "digest", NULL));
		g_string_append(out, "</td></tr>");
	}
	g_string_append(out, "</tbody></table>");
	frame_section_end(out);
}

static void isolation_fact(GString *out, const json_t *jobs)
{
	size_t i;
	json_t *job;
	const char *executor = NULL, *weakest = NULL;
	json_array_foreach(jobs, i, job) {
		const char *level = json_get_string(job, "isolation", NULL);
		executor = executor ? executor : json_get_string(job, "executor", NULL);
		if (level && (!weakest || strcmp(level, "none") == 0 || strcmp(weakest, "full") == 0))
			weakest = level;
	}
	if (!executor && !weakest)
		return;
	frame_fact_begin(out, "Executor");
	html(out, "%s%s%s", executor, executor && weakest ? ", isolation " : "", weakest);
	frame_fact_end(out);
}

static void facts(GString *out, const PageView *view, const json_t *run)
{
	g_autofree char *ref = html_ref(json_get_string(run, "ref", NULL));
	const json_t *jobs = json_object_get(run, "jobs");
	frame_section(out, "facts", "Facts");
	g_string_append(out, "<dl class=\"facts\">");
	frame_fact(out, "Event", json_get_string(run, "event", NULL));
	frame_fact(out, "By", json_get_string(run, "actor", NULL));
	frame_fact(out, "Branch", ref);
	frame_fact_begin(out, "Commit");
	html_digest(out, json_get_string(run, "sha", NULL));
	frame_fact_end(out);
	frame_fact(out, "Workflow", json_get_string(run, "workflow_path", NULL));
	frame_fact_begin(out, "Created");
	html_time(out, json_get_string(run, "created_at", NULL), view->now_us);
	frame_fact_end(out);
	if (took(run, view->now_us) >= 0) {
		frame_fact_begin(out, "Duration");
		html_duration(out, took(run, view->now_us));
		frame_fact_end(out);
	}
	isolation_fact(out, jobs);
	if (json_is_true(json_object_get(run, "untrusted")))
		frame_fact(out, "Trust", "from a fork: no secrets");
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(run, "data"), i, one) {
		frame_fact_begin(out, "Data");
		g_string_append(out, "<a");
		html_href(out, "/data/%s/%s", json_get_string(run, "repo", ""), json_get_string(one, "name", ""));
		html(out, ">%s v%" PRId64 "</a> ", json_get_string(one, "name", ""), json_get_int(one, "version", 0));
		html_digest(out, json_get_string(one, "digest", NULL));
		frame_fact_end(out);
	}
	json_array_foreach(json_object_get(run, "tracking"), i, one) {
		frame_fact_begin(out, "Tracking run");
		html(out, "%s ", json_get_string(one, "name", json_get_string(one, "experiment", "")));
		html_digest(out, json_get_string(one, "tracking_run", NULL));
		frame_fact_end(out);
	}
	frame_fact(out, "Delivery", json_get_string(run, "delivery", NULL));
	g_string_append(out, "</dl>");
	frame_section_end(out);
}

static bool any_failed(const json_t *jobs)
{
	return first_with_status(jobs, "failure") || first_with_status(jobs, "cancelled");
}

static void rerun_buttons(GString *out, const PageView *view, const json_t *run)
{
	bool ended = json_is_string(json_object_get(run, "finished_at")), failed = any_failed(json_object_get(run, "jobs"));
	if (json_array_size(json_object_get(run, "jobs")) == 0 || (!ended && !failed))
		return;
	html(out, "<form class=\"head-side\" method=\"post\" action=\"/runs/%" PRId64 "/rerun\">", json_get_int(run, "id", 0));
	frame_csrf(out, view);
	g_string_append(out, "<label><input type=\"checkbox\" name=\"debug\" value=\"1\">debug output</label>");
	if (failed)
		g_string_append(out, "<button name=\"jobs\" value=\"failed\">Run failed jobs again</button>");
	if (ended)
		g_string_append(out, "<button name=\"jobs\" value=\"all\">Run all again</button>");
	g_string_append(out, "</form>");
}

/* An older attempt is a record: nothing can be done to it. */
static void buttons(GString *out, const PageView *view, const json_t *run)
{
	if (frame_old_attempt(run) || !frame_may(view, "developer"))
		return;
	rerun_buttons(out, view, run);
	if (json_is_string(json_object_get(run, "finished_at")))
		return;
	html(out, "<form method=\"post\" action=\"/runs/%" PRId64 "/cancel\">", json_get_int(run, "id", 0));
	frame_csrf(out, view);
	g_string_append(out, "<button>Cancel the run</button></form>");
}

static void attempts(GString *out, const PageView *view, const json_t *run)
{
	const json_t *all = json_object_get(run, "attempts");
	if (json_array_size(all) < 2)
		return;
	int64_t shown = json_get_int(run, "attempt", 1);
	const json_t *own = json_array_get(all, (size_t)shown - 1);
	const char *jobs = json_get_string(own, "jobs", NULL), *actor = json_get_string(own, "actor", NULL);
	g_string_append(out, "<nav class=\"crumbs repos\" aria-label=\"Attempts\"><ol>");
	size_t i;
	json_t *one;
	json_array_foreach(all, i, one) {
		int64_t number = json_get_int(one, "attempt", 1);
		const char *status = json_get_string(one, "status", "queued");
		g_string_append(out, "<li>");
		if (number == shown)
			html(out, "<strong aria-current=\"page\">Attempt %" PRId64 "</strong> ", number);
		else
			html(out, "<a href=\"?attempt=%" PRId64 "\">Attempt %" PRId64 "</a> ", number, number);
		frame_status(out, status);
		g_string_append(out, "</li>");
	}
	g_string_append(out, "</ol></nav>");
	if (!actor)
		return;
	html(out, "<p class=\"soft under\">%s ran %s again%s, ", actor, jobs && strcmp(jobs, "failed") == 0 ? "the failed jobs" : jobs && *jobs ? jobs : "it",
	        json_is_true(json_object_get(own, "debug")) ? " with debug output" : "");
	html_time(out, json_get_string(own, "created_at", NULL), view->now_us);
	g_string_append(out, "</p>");
}

void page_run(GString *out, const PageView *view, const json_t *data)
{
	const char *repo = json_get_string(data, "repo", "");
	int64_t number = json_get_int(data, "number", 0);
	const char *title = json_get_string(data, "title", NULL);
	g_autofree char *name = g_strdup_printf("%s #%" PRId64, json_get_string(data, "workflow", "Run"), number);
	g_autofree char *tab = g_strdup_printf("%s · %s", name, repo);
	g_autofree char *repo_address = g_strdup_printf("/%s", repo);
	frame_begin(out, view, &(Frame){ .title = tab, .section = "runs", .live_run = json_get_int(data, "id", 0) });
	frame_crumbs(out, "Runs", "/", repo, repo_address, name, NULL, NULL);
	html(out, "<div class=\"head\"><h1>%s</h1><div class=\"head-side\">", title && *title ? title : name);
	frame_status(out, json_get_string(data, "status", "queued"));
	buttons(out, view, data);
	g_string_append(out, "</div></div>");
	attempts(out, view, data);
	sentence(out, view, data);
	jobs_table(out, view, data);
	told_annotations(out, data, json_object_get(data, "jobs"));
	reports(out, data);
	told_summaries(out, data, json_object_get(data, "jobs"));
	artifacts(out, data);
	usage_of_run(out, data);
	facts(out, view, data);
	frame_end(out, view);
}
