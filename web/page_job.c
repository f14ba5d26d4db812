/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job and its log: why did it fail, and where? The document holds one window of the log, folded by step and by group;
 * the rest is behind links, so a million lines open like a hundred.
 */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/ansi.h"
#include "web/frame.h"
#include "web/told.h"
#include "web/usage.h"

typedef struct LogPrinter {
	GString *out;
	AnsiState ansi;
	const json_t *steps;
	size_t step;      /* the next step that has not begun */
	bool in_step, in_group;
	bool open_all;    /* a short log needs no folding */
	int64_t now_us;
} LogPrinter;

static int64_t took(const json_t *thing, int64_t now)
{
	const char *started = json_get_string(thing, "started_at", NULL);
	return started ? html_between(started, json_get_string(thing, "finished_at", NULL), now) : -1;
}

static void end_group(LogPrinter *printer)
{
	if (printer->in_group)
		g_string_append(printer->out, "</div></details>");
	printer->in_group = false;
}

static void end_step(LogPrinter *printer)
{
	end_group(printer);
	if (printer->in_step)
		g_string_append(printer->out, "</div></details>");
	printer->in_step = false;
}

static void begin_step(LogPrinter *printer, const json_t *step)
{
	end_step(printer);
	const char *status = json_get_string(step, "status", "queued");
	bool open = printer->open_all || strcmp(status, "failure") == 0 || strcmp(status, "running") == 0;
	html(printer->out, "<details class=\"step %s\" id=\"step-%" PRId64 "\"%s><summary>", frame_colour(status),
	        json_get_int(step, "number", 0), open ? " open" : "");
	frame_status(printer->out, status);
	html(printer->out, "<span class=\"step-name\">%s</span>", json_get_string(step, "name", "step"));
	int64_t duration = took(step, printer->now_us);
	if (duration >= 0) {
		g_string_append(printer->out, "<span class=\"soft num\">");
		html_duration(printer->out, duration);
		g_string_append(printer->out, "</span>");
	}
	g_string_append(printer->out, "</summary><div class=\"lines\">");
	printer->in_step = true;
	ansi_init(&printer->ansi);
}

/*
 * Begins the steps whose log starts at or before this offset; the last of them is the one the line belongs to. Those that
 * ended before the window are left out; those that wrote nothing are headings without lines.
 */
static void steps_until(LogPrinter *printer, int64_t offset, bool first)
{
	const json_t *current = NULL;
	for (; printer->step < json_array_size(printer->steps); printer->step++) {
		const json_t *step = json_array_get(printer->steps, printer->step);
		if (!json_is_integer(json_object_get(step, "log_offset")))
			continue; /* it never ran */
		if (json_get_int(step, "log_offset", 0) > offset)
			break;
		if (current && !first)
			begin_step(printer, current);
		current = step;
	}
	if (current)
		begin_step(printer, current);
}

static const char *after(const char *text, const char *marker)
{
	return g_str_has_prefix(text, marker) ? text + strlen(marker) : NULL;
}

static void line(LogPrinter *printer, const json_t *entry)
{
	GString *out = printer->out;
	const char *text = json_get_string(entry, "text", "");
	int64_t number = json_get_int(entry, "number", 0);
	const char *rest, *class = "";
	if ((rest = after(text, "##[group]"))) {
		end_group(printer);
		html(out, "<details class=\"fold\" open><summary id=\"L%" PRId64 "\">", number);
		ansi_html(out, &printer->ansi, rest, strlen(rest));
		g_string_append(out, "</summary><div class=\"lines\">");
		printer->in_group = true;
		return;
	}
	if (after(text, "##[endgroup]")) {
		end_group(printer);
		return;
	}
	if ((rest = after(text, "##[error]")))
		class = " error";
	else if ((rest = after(text, "##[warning]")))
		class = " warning";
	else if ((rest = after(text, "##[notice]")))
		class = " notice";
	else if ((rest = after(text, "##[command]")))
		class = " command";
	else if ((rest = after(text, "##[debug]")))
		class = " debug";
	else
		rest = text;
	html(out, "<div class=\"l%s\" id=\"L%" PRId64 "\"><a class=\"n\" href=\"#L%" PRId64 "\" tabindex=\"-1\">%" PRId64 "</a>",
	        class, number, number, number);
	const char *time = json_get_string(entry, "time", NULL);
	if (time && strlen(time) > 19) {
		g_string_append(out, "<span class=\"t\">");
		html_text_len(out, time + 11, strcspn(time + 11, "Z+"));
		g_string_append(out, "</span>");
	}
	g_string_append(out, "<span class=\"x\">");
	ansi_html(out, &printer->ansi, rest, strlen(rest));
	g_string_append(out, "</span></div>");
}

static void pages(GString *out, const json_t *log, const char *label)
{
	int64_t total = json_get_int(log, "total_lines", 0), from = json_get_int(log, "from", 1);
	int64_t shown = (int64_t)json_array_size(json_object_get(log, "lines"));
	if (shown == 0 || (from <= 1 && shown >= total))
		return;
	html(out, "<nav class=\"pager\" aria-label=\"%s\"><p>Lines ", label);
	html_count(out, from);
	g_string_append(out, " to ");
	html_count(out, from + shown - 1);
	g_string_append(out, " of ");
	html_count(out, total);
	g_string_append(out, "</p>");
	if (from > 1)
		html(out, "<a class=\"button\" href=\"?from=1\">First</a><a class=\"button\" href=\"?from=%" PRId64 "\">Earlier</a>",
		        MAX(from - PAGE_LOG_LINES, 1));
	if (from + shown <= total)
		html(out, "<a class=\"button\" href=\"?from=%" PRId64 "\">Later</a><a class=\"button\" href=\"?from=%" PRId64
		          "\">Last</a>",
		        from + shown, MAX(total - PAGE_LOG_LINES + 1, 1));
	g_string_append(out, "</nav>");
}

static void found(GString *out, const json_t *log)
{
	const json_t *search = json_object_get(log, "search");
	if (!json_is_object(search))
		return;
	html(out, "<section class=\"found\" aria-label=\"Found lines\"><p><strong>");
	html_counted(out, json_get_int(search, "count", 0), "line");
	html(out, "</strong> with “%s”</p><ol>", json_get_string(search, "q", ""));
	size_t i;
	json_t *hit;
	json_array_foreach(json_object_get(search, "lines"), i, hit) {
		int64_t number = json_get_int(hit, "number", 0);
		AnsiState plain;
		ansi_init(&plain);
		html(out, "<li><a href=\"?from=%" PRId64 "#L%" PRId64 "\">%" PRId64 "</a> <code>", MAX(number - 20, 1), number, number);
		const char *text = json_get_string(hit, "text", "");
		ansi_html(out, &plain, text, strlen(text));
		g_string_append(out, "</code></li>");
	}
	g_string_append(out, "</ol></section>");
}

static void tools(GString *out, const json_t *job, const json_t *log)
{
	g_string_append(out, "<div class=\"log-tools\"><form method=\"get\" role=\"search\" aria-label=\"Search in the log\"><label>"
	                     "<span class=\"hidden\">Search in the log</span><input type=\"search\" name=\"q\" placeholder=\"Search the log\"");
	html_attr(out, "value", json_get_string(json_object_get(log, "search"), "q", ""));
	html(out, "></label><button>Search</button></form><a class=\"button\" href=\"/api/v1/jobs/%" PRId64 "/log\">Raw text</a></div>",
	        json_get_int(job, "id", 0));
}

static void log_html(GString *out, const PageView *view, const json_t *job, const json_t *log)
{
	const json_t *lines = json_object_get(log, "lines");
	size_t count = json_array_size(lines);
	bool ended = json_is_true(json_object_get(log, "ended"));
	frame_section(out, "log", "Log");
	tools(out, job, log);
	found(out, log);
	if (count == 0 && ended) {
		g_string_append(out, "<p class=\"soft\">Nothing was written to this log.</p>");
		frame_section_end(out);
		return;
	}
	pages(out, log, "Parts of the log");
	g_string_append(out, "<div class=\"log-box\"><input type=\"checkbox\" id=\"times\"><label for=\"times\">Times</label>"
	                     "<input type=\"checkbox\" id=\"wrap\" checked><label for=\"wrap\">Wrap</label>");
	int64_t last = json_get_int(log, "from", 1) + (int64_t)count - 1;
	bool live = !ended && last >= json_get_int(log, "total_lines", 0);
	if (live)
		g_string_append(out, "<input type=\"checkbox\" id=\"follow\" checked><label for=\"follow\">Follow</label>");
	g_string_append(out, "<div class=\"log\" tabindex=\"0\" role=\"region\" aria-label=\"Lines of the log\"");
	if (live)
		html(out, " data-stream=\"/api/v1/jobs/%" PRId64 "/log/stream?offset=%" PRId64 "\" data-line=\"%" PRId64 "\"",
		        json_get_int(job, "id", 0), json_get_int(log, "end_offset", 0), last);
	g_string_append_c(out, '>');
	LogPrinter printer = { .out = out, .steps = json_object_get(job, "steps"), .open_all = count <= 60,
		.now_us = view->now_us };
	ansi_init(&printer.ansi);
	size_t i;
	json_t *entry;
	json_array_foreach(lines, i, entry) {
		steps_until(&printer, json_get_int(entry, "offset", 0), i == 0);
		line(&printer, entry);
	}
	if (last >= json_get_int(log, "total_lines", 0))
		steps_until(&printer, INT64_MAX, count == 0);
	end_step(&printer);
	g_string_append(out, "</div></div>");
	pages(out, log, "Parts of the log, below it");
	frame_section_end(out);
}

static void step_list(GString *out, const PageView *view, const json_t *job, const json_t *log)
{
	const json_t *steps = json_object_get(job, "steps");
	const json_t *lines = json_object_get(log, "lines");
	if (json_array_size(steps) == 0)
		return;
	int64_t first = json_get_int(json_array_get(lines, 0), "offset", 0);
	int64_t last = json_get_int(json_array_get(lines, json_array_size(lines) - 1), "offset", -1);
	/* The window begins inside the last step that starts at or before its first line. */
	int64_t holds = INT64_MIN;
	size_t i;
	json_t *step;
	json_array_foreach(steps, i, step) {
		int64_t offset = json_get_int(step, "log_offset", -1);
		holds = offset >= 0 && offset <= first ? MAX(holds, offset) : holds;
	}
	frame_section(out, "steps", "Steps");
	g_string_append(out, "<ol class=\"steps-list\">");
	json_array_foreach(steps, i, step) {
		const char *status = json_get_string(step, "status", "queued"), *message = json_get_string(step, "message", NULL);
		int64_t offset = json_get_int(step, "log_offset", -1), number = json_get_int(step, "number", 0);
		html(out, "<li class=\"%s\">", frame_colour(status));
		frame_status(out, status);
		if (offset >= 0 && last >= 0 && offset >= holds && offset <= last)
			html(out, "<a class=\"step-name\" href=\"#step-%" PRId64 "\">", number);
		else if (offset >= 0)
			html(out, "<a class=\"step-name\" href=\"?at=%" PRId64 "#step-%" PRId64 "\">", offset, number);
		else
			g_string_append(out, "<span class=\"step-name\">");
		html_text(out, json_get_string(step, "name", "step"));
		g_string_append(out, offset >= 0 ? "</a>" : "</span>");
		int64_t memory = json_get_int(step, "memory_peak_bytes", 0), duration = took(step, view->now_us);
		g_string_append(out, "<span class=\"soft num\">");
		if (memory > 0) {
			html_bytes(out, memory);
			g_string_append(out, " · ");
		}
		if (duration >= 0)
			html_duration(out, duration);
		g_string_append(out, "</span>");
		if (message && *message && strcmp(status, "success") != 0)
			html(out, "<p class=\"why\">%s</p>", message);
		g_string_append(out, "</li>");
	}
	g_string_append(out, "</ol>");
	frame_section_end(out);
}

static void sentence(GString *out, const PageView *view, const json_t *job)
{
	const char *status = json_get_string(job, "status", "queued"), *message = json_get_string(job, "message", NULL);
	html(out, "<p class=\"lead %s\">", frame_colour(status));
	if (strcmp(status, "success") == 0) {
		g_string_append(out, "It succeeded, in ");
		html_duration(out, took(job, view->now_us));
		g_string_append_c(out, '.');
	} else if (message && *message) {
		html_text(out, message);
	} else if (strcmp(status, "running") == 0) {
		g_string_append(out, "It has been running for ");
		html_duration(out, took(job, view->now_us));
		g_string_append_c(out, '.');
	} else if (strcmp(status, "waiting") == 0) {
		html(out, "It waits for the gate of %s.", json_get_string(job, "environment", "its environment"));
	} else if (strcmp(status, "queued") == 0) {
		g_string_append(out, "It waits for a free slot.");
	} else {
		html(out, "It ended as %s.", status);
	}
	if (json_is_integer(json_object_get(job, "gate")))
		html(out, " <a href=\"/gates/%" PRId64 "\">The gate</a>", json_get_int(job, "gate", 0));
	g_string_append(out, "</p>");
}

/* "acme/shared/.github/workflows/x.yml@v1, at 1c4e2499": which file, and what it was then. */
static void workflow_file(GString *out, const json_t *job)
{
	const json_t *file = json_object_get(job, "workflow_file");
	const char *path = json_get_string(file, "path", NULL);
	const char *repo = json_get_string(file, "repository", NULL), *ref = json_get_string(file, "ref", NULL);
	if (!path)
		return;
	frame_fact_begin(out, json_get_bool(job, "call", false) ? "Calls" : "Called file");
	html(out, "%s%s%s%s%s ", repo, repo ? "/" : "", path, ref ? "@" : "", ref);
	html_digest(out, json_get_string(file, "sha", NULL));
	frame_fact_end(out);
}

static void facts(GString *out, const json_t *job)
{
	frame_section(out, "facts", "Facts");
	g_string_append(out, "<dl class=\"facts\">");
	frame_fact(out, "Executor", json_get_string(job, "executor", NULL));
	frame_fact(out, "Isolation", json_get_string(job, "isolation", NULL));
	workflow_file(out, job);
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(job, "missing"), i, one)
		frame_fact(out, "Not isolated", json_string_value(one));
	const char *key;
	json_object_foreach(json_object_get(job, "matrix"), key, one) {
		frame_fact_begin(out, key);
		html_json(out, one);
		frame_fact_end(out);
	}
	json_object_foreach(json_object_get(job, "outputs"), key, one) {
		g_autofree char *name = g_strdup_printf("output %s", key);
		frame_fact_begin(out, name);
		html_json(out, one);
		frame_fact_end(out);
	}
	g_string_append(out, "</dl>");
	frame_section_end(out);
}

/* The other records of this job: one for each time that it ran. */
static void attempts(GString *out, const json_t *job)
{
	const json_t *all = json_object_get(job, "attempts");
	if (json_array_size(all) < 2)
		return;
	g_string_append(out, "<nav class=\"crumbs repos\" aria-label=\"Attempts\"><ol>");
	size_t i;
	json_t *one;
	json_array_foreach(all, i, one) {
		int64_t number = json_get_int(one, "attempt", 1);
		g_string_append(out, "<li>");
		if (number == json_get_int(job, "attempt", 1))
			html(out, "<strong aria-current=\"page\">Attempt %" PRId64 "</strong> ", number);
		else
			html(out, "<a href=\"?attempt=%" PRId64 "\">Attempt %" PRId64 "</a> ", number, number);
		frame_status(out, json_get_string(one, "status", "queued"));
		g_string_append(out, "</li>");
	}
	g_string_append(out, "</ol></nav>");
}

static void rerun_button(GString *out, const PageView *view, const json_t *job)
{
	if (json_is_integer(json_object_get(job, "replaced")) || !json_is_string(json_object_get(job, "finished_at")) ||
	        !frame_may(view, "developer"))
		return;
	html(out, "<form class=\"head-side\" method=\"post\" action=\"/runs/%" PRId64 "/rerun\">",
	        json_get_int(json_object_get(job, "run"), "id", 0));
	frame_csrf(out, view);
	html(out, "<label><input type=\"checkbox\" name=\"debug\" value=\"1\">debug output</label>"
	          "<button name=\"jobs\" value=\"%" PRId64 "\">Run this job again</button></form>", json_get_int(job, "id", 0));
}

void page_job(GString *out, const PageView *view, const json_t *data)
{
	const json_t *job = json_object_get(data, "job"), *log = json_object_get(data, "log");
	const json_t *run = json_object_get(job, "run");
	const char *repo = json_get_string(run, "repo", ""), *name = json_get_string(job, "name", "job");
	g_autofree char *run_name = g_strdup_printf("%s #%" PRId64, json_get_string(run, "workflow", "Run"),
	        json_get_int(run, "number", 0));
	g_autofree char *repo_address = g_strdup_printf("/%s", repo);
	g_autofree char *run_address = g_strdup_printf("/%s/runs/%" PRId64, repo, json_get_int(run, "number", 0));
	g_autofree char *tab = g_strdup_printf("%s · %s · %s", name, run_name, repo);
	frame_begin(out, view, &(Frame){ .title = tab, .section = "runs", .live_run = json_get_int(run, "id", 0) });
	frame_crumbs(out, "Runs", "/", repo, repo_address, run_name, run_address, name, NULL, NULL);
	html(out, "<div class=\"head\"><h1>%s</h1><div class=\"head-side\">", name);
	frame_status(out, json_get_string(job, "status", "queued"));
	rerun_button(out, view, job);
	g_string_append(out, "</div></div>");
	attempts(out, job);
	sentence(out, view, job);
	step_list(out, view, job, log);
	g_autoptr(json_t) alone = job ? json_pack("[O]", job) : NULL;
	told_annotations(out, run, alone);
	if (json_get_bool(job, "call", false))
		html(out, "<p>It calls a reusable workflow. Its jobs, and their logs, are on <a href=\"%s#call-%" PRId64 "\">the run's page</a>.</p>",
		        run_address, json_get_int(job, "id", 0));
	else
		log_html(out, view, job, log);
	told_summaries(out, run, alone);
	usage_of_job(out, job);
	facts(out, job);
	frame_end(out, view);
}
