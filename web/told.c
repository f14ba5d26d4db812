/* SPDX-License-Identifier: Apache-2.0 */
/* Annotations and summaries, as the pages of a run and of a job show them. */
#include "web/told.h"

#include <inttypes.h>

#include "agent/base/json.h"
#include "web/markdown.h"
#include "web/safe_html.h"

static const char *step_name(const json_t *job, int64_t number)
{
	size_t i;
	json_t *step;
	json_array_foreach(json_object_get(job, "steps"), i, step)
		if (json_get_int(step, "number", 0) == number)
			return json_get_string(step, "name", NULL);
	return NULL;
}

static void place(GString *out, const json_t *note)
{
	const char *file = json_get_string(note, "file", NULL);
	int64_t line = json_get_int(note, "line", 0), end = json_get_int(note, "end_line", 0), column = json_get_int(note, "column", 0);
	if (!file || !*file)
		return;
	html(out, " <code>%s", file);
	if (line > 0)
		html(out, ":%" PRId64, line);
	if (line > 0 && end > line)
		html(out, "-%" PRId64, end);
	else if (line > 0 && column > 0)
		html(out, ":%" PRId64, column);
	g_string_append(out, "</code>");
}

static void annotation(GString *out, const json_t *run, const json_t *job, const json_t *note)
{
	const char *level = json_get_string(note, "level", "notice"), *title = json_get_string(note, "title", NULL);
	const char *code = json_get_string(note, "code", NULL), *step = step_name(job, json_get_int(note, "step", 0));
	bool bad = strcmp(level, "error") == 0, wait = strcmp(level, "warning") == 0;
	html(out, "<li class=\"%s\">", bad ? "bad" : wait ? "wait" : "run");
	frame_icon(out, bad ? "failure" : "warning");
	html(out, "<div><strong>%s</strong>", title && *title ? title : bad ? "error" : wait ? "warning" : "notice");
	place(out, note);
	html(out, "<p>%s%s%s%s</p><p class=\"soft\"><a", json_get_string(note, "message", ""), code && *code ? " [" : "",
	        code && *code ? code : "", code && *code ? "]" : "");
	frame_job_line_href(out, run, json_get_string(job, "key", ""), json_get_int(note, "log_line", 0));
	html(out, ">%s%s%s</a></p></div></li>", json_get_string(job, "name", json_get_string(job, "key", "job")), step ? ", " : "",
	        step ? step : "");
}

void told_annotations(GString *out, const json_t *run, const json_t *jobs)
{
	bool any = false;
	size_t i, n;
	json_t *job, *note;
	json_array_foreach(jobs, i, job) {
		json_array_foreach(json_object_get(job, "annotations"), n, note) {
			if (!any) {
				frame_section(out, "annotations", "Annotations");
				g_string_append(out, "<ul class=\"notes\">");
			}
			any = true;
			annotation(out, run, job, note);
		}
	}
	if (any) {
		g_string_append(out, "</ul>");
		frame_section_end(out);
	}
}

void told_summaries(GString *out, const json_t *run, const json_t *jobs)
{
	bool any = false;
	size_t i, n;
	json_t *job, *summary;
	json_array_foreach(jobs, i, job) {
		json_array_foreach(json_object_get(job, "summaries"), n, summary) {
			if (!any)
				frame_section(out, "summaries", "Summaries");
			any = true;
			const char *step = step_name(job, json_get_int(summary, "step", 0));
			const char *made = json_get_string(summary, "html", NULL);
			g_string_append(out, "<article class=\"prose\"><p class=\"soft\"><a");
			frame_job_href(out, run, json_get_string(job, "key", ""));
			html(out, ">%s</a>%s%s</p>", json_get_string(job, "name", json_get_string(job, "key", "job")), step ? ", " : "",
			        step ? step : "");
			if (made)
				safe_html(out, made, strlen(made));
			else
				markdown_html(out, json_get_string(summary, "markdown", ""));
			g_string_append(out, "</article>");
		}
	}
	if (any)
		frame_section_end(out);
}
