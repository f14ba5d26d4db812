/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document around every page: head, sprite, header, the message about what was just done, footer. Status and verdict
 * are an icon, a word and a colour, always all three, and this is the one place that pairs them.
 */
#include "web/frame.h"

#include <inttypes.h>

#include "agent/base/json.h"

#define LINES_BEFORE 20 /* that are shown above a line which is linked to */

/* 16 x 16, drawn with strokes of the text's own colour; class "f" marks what is filled. */
static const char sprite[] =
        "<svg class=\"sprite\" aria-hidden=\"true\" width=\"0\" height=\"0\">"
        "<symbol id=\"i-queued\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"5.5\" stroke-dasharray=\"2.3 2.02\"/>"
        "</symbol>"
        "<symbol id=\"i-waiting\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M8 4.5V8l2.4 1.8\"/>"
        "</symbol>"
        "<symbol id=\"i-running\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6\" opacity=\".3\"/>"
        "<path d=\"M8 2a6 6 0 0 1 6 6\"/></symbol>"
        "<symbol id=\"i-success\" viewBox=\"0 0 16 16\"><path d=\"m3 8.6 3.3 3.3L13 4.8\"/></symbol>"
        "<symbol id=\"i-failure\" viewBox=\"0 0 16 16\"><path d=\"m4 4 8 8M12 4l-8 8\"/></symbol>"
        "<symbol id=\"i-cancelled\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"m4 12 8-8\"/></symbol>"
        "<symbol id=\"i-skipped\" viewBox=\"0 0 16 16\"><path d=\"M4 8h8\"/></symbol>"
        "<symbol id=\"i-warning\" viewBox=\"0 0 16 16\"><path d=\"M8 2.5 14.2 13.5H1.8ZM8 6.5v3.2M8 11.4v.2\"/></symbol>"
        "<symbol id=\"i-arrow\" viewBox=\"0 0 16 16\"><path d=\"M2.5 8h11M9.5 4l4 4-4 4\"/></symbol>"
        "<symbol id=\"i-commit\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"3\"/><path d=\"M1 8h4M11 8h4\"/></symbol>"
        "<symbol id=\"i-branch\" viewBox=\"0 0 16 16\"><circle cx=\"4\" cy=\"3.5\" r=\"1.8\"/><circle cx=\"4\" cy=\"12.5\" "
        "r=\"1.8\"/><circle cx=\"12\" cy=\"5.5\" r=\"1.8\"/><path d=\"M4 5.3v5.4M12 7.3c0 2.4-3 2.7-7 3.4\"/></symbol>"
        "<symbol id=\"i-logo\" viewBox=\"0 0 32 32\"><path d=\"M9 3h14l6 6v14l-6 6H9l-6-6V9Z\"/>"
        "<path d=\"M10 22.5 16 9l6 13.5M12.4 17.6h7.2\"/></symbol></svg>";

typedef struct Word {
	const char *word;
	const char *icon;
	const char *colour;
	const char *shown; /* NULL: the word itself */
} Word;

static const Word words[] = {
	{ "queued", "queued", "off", NULL },
	{ "waiting", "waiting", "wait", NULL },
	{ "running", "running", "run", NULL },
	{ "success", "success", "good", NULL },
	{ "failure", "failure", "bad", NULL },
	{ "cancelled", "cancelled", "off", NULL },
	{ "skipped", "skipped", "off", NULL },
	{ "approved", "success", "good", NULL },
	{ "rejected", "failure", "bad", NULL },
	{ "expired", "cancelled", "bad", NULL },
	{ "approve", "success", "good", "approved" },
	{ "reject", "failure", "bad", "rejected" },
	{ "pass", "success", "good", NULL },
	{ "fail", "failure", "bad", NULL },
	{ "inconclusive", "waiting", "wait", NULL },
	{ "insufficient", "waiting", "wait", "too few rows" },
	{ "no-test", "skipped", "off", "not tested" },
	{ "none", "skipped", "off", "nothing compared" },
	{ "runs", "success", "good", "runs" },
	{ "ignored", "skipped", "off", NULL },
	{ "failed", "failure", "bad", NULL },
	{ "FINISHED", "success", "good", "finished" },
	{ "FAILED", "failure", "bad", "failed" },
	{ "RUNNING", "running", "run", "running" },
	{ "KILLED", "cancelled", "off", "killed" },
};

static const Word *find_word(const char *word)
{
	static const Word unknown = { "unknown", "skipped", "off", NULL };
	for (size_t i = 0; word && i < G_N_ELEMENTS(words); i++) {
		if (strcmp(words[i].word, word) == 0)
			return &words[i];
	}
	return &unknown;
}

void frame_icon(GString *out, const char *name)
{
	html(out, "<svg class=\"icon\" aria-hidden=\"true\"><use href=\"#i-%s\"/></svg>", name);
}

void frame_status(GString *out, const char *status)
{
	const Word *word = find_word(status);
	html(out, "<span class=\"status %s s-%s\">", word->colour, word->icon);
	frame_icon(out, word->icon);
	html(out, "%s</span>", word->shown ? word->shown : word->word);
}

void frame_verdict(GString *out, const char *verdict)
{
	frame_status(out, verdict ? verdict : "none");
}

const char *frame_colour(const char *word)
{
	return find_word(word)->colour;
}

bool frame_may(const PageView *view, const char *role)
{
	static const char *const roles[] = { "viewer", "developer", "reviewer", "admin" };
	size_t have = 0, want = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
		if (g_strcmp0(view->role, roles[i]) == 0)
			have = i + 1;
		if (g_strcmp0(role, roles[i]) == 0)
			want = i + 1;
	}
	return view->user && have >= want;
}

void frame_job_href(GString *out, const json_t *run, const char *key)
{
	html_href(out, "/%s/runs/%" PRId64 "/jobs/", json_get_string(run, "repo", ""), json_get_int(run, "number", 0));
	g_string_truncate(out, out->len - 1); /* the quote */
	html_query(out, key);
	if (frame_old_attempt(run))
		html(out, "?attempt=%" PRId64, frame_old_attempt(run));
	g_string_append_c(out, '"');
}

void frame_job_line_href(GString *out, const json_t *run, const char *key, int64_t line)
{
	frame_job_href(out, run, key);
	if (line < 1)
		return;
	g_string_truncate(out, out->len - 1);
	html(out, "%cfrom=%" PRId64 "#L%" PRId64, frame_old_attempt(run) ? '&' : '?', MAX(line - LINES_BEFORE, 1), line);
	g_string_append_c(out, '"');
}

int64_t frame_old_attempt(const json_t *run)
{
	int64_t shown = json_get_int(run, "attempt", 1);
	return shown < (int64_t)json_array_size(json_object_get(run, "attempts")) ? shown : 0;
}

void frame_csrf(GString *out, const PageView *view)
{
	if (view->csrf)
		html(out, "<input type=\"hidden\" name=\"csrf\" value=\"%s\">", view->csrf);
}

static void entry(GString *out, const Frame *frame, const char *section, const char *address, const char *text,
        int64_t count)
{
	bool here = g_strcmp0(frame->section, section) == 0;
	html(out, here ? "<a href=\"%s\" aria-current=\"true\">%s" : "<a href=\"%s\">%s", address, text);
	if (count > 0)
		html(out, " <span class=\"count\">%" PRId64 "<span class=\"hidden\"> waiting for you</span></span>", count);
	g_string_append(out, "</a>");
}

static void header(GString *out, const PageView *view, const Frame *frame)
{
	g_string_append(out, "<header class=\"top\"><div class=\"bar\"><a class=\"brand\" href=\"/\">"
	                     "<svg class=\"logo\" aria-hidden=\"true\"><use href=\"#i-logo\"/></svg>Assay</a>");
	if (view->user) {
		g_string_append(out, "<nav class=\"rooms\" aria-label=\"Main\">");
		entry(out, frame, "runs", "/", "Runs", 0);
		entry(out, frame, "gates", "/gates", "Gates", view->gates_waiting);
		entry(out, frame, "models", "/models", "Models", 0);
		entry(out, frame, "data", "/data", "Data", 0);
		if (frame_may(view, "admin")) {
			entry(out, frame, "audit", "/audit", "Audit", 0);
			entry(out, frame, "admin", "/admin", "Admin", 0);
		}
		html(out, "</nav><details class=\"menu\"><summary>%s</summary><div><p class=\"soft\">%s</p>"
		          "<form method=\"post\" action=\"/sign-out\">",
		        view->user, view->role);
		frame_csrf(out, view);
		g_string_append(out, "<button>Sign out</button></form></div></details>");
	}
	g_string_append(out, "</div></header>");
}

void frame_begin(GString *out, const PageView *view, const Frame *frame)
{
	html(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s · Assay</title>"
	          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
	          "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"same-origin\">",
	        frame->title);
	if (view->asset_css)
		html(out, "<link rel=\"stylesheet\" href=\"%s\">", view->asset_css);
	if (view->asset_phone)
		html(out, "<link rel=\"stylesheet\" media=\"(max-width:720px)\" href=\"%s\">", view->asset_phone);
	if (view->asset_logo)
		html(out, "<link rel=\"icon\" type=\"image/svg+xml\" href=\"%s\">", view->asset_logo);
	if (view->asset_js)
		html(out, "<script src=\"%s\" defer></script>", view->asset_js);
	g_string_append(out, "</head><body");
	if (frame->body)
		html_attr(out, "class", frame->body);
	g_string_append_c(out, '>');
	g_string_append(out, "<a class=\"skip\" href=\"#main\">Skip to the content</a>");
	g_string_append(out, sprite);
	header(out, view, frame);
	g_string_append(out, "<main id=\"main\" tabindex=\"-1\"");
	if (frame->live_run > 0)
		html(out, " data-live=\"%" PRId64 "\"", frame->live_run);
	else if (frame->live_run < 0)
		g_string_append(out, " data-live=\"any\"");
	g_string_append_c(out, '>');
	if (view->flash && *view->flash) {
		html(out, "<p class=\"flash %s\" role=\"%s\">", view->flash_failed ? "bad" : "good",
		        view->flash_failed ? "alert" : "status");
		frame_icon(out, view->flash_failed ? "warning" : "success");
		html(out, "<span>%s</span></p>", view->flash);
	}
}

void frame_end(GString *out, const PageView *view)
{
	html(out, "</main><footer class=\"foot\"><p>Assay %s", ASSAY_VERSION);
	if (view->user)
		g_string_append(out, " · <a href=\"/api/v1/openapi.json\">API</a>");
	g_string_append(out, "</p></footer></body></html>\n");
}

void frame_crumbs(GString *out, ...)
{
	va_list args;
	va_start(args, out);
	g_string_append(out, "<nav class=\"crumbs\" aria-label=\"Breadcrumb\"><ol>");
	for (const char *text; (text = va_arg(args, const char *));) {
		const char *address = va_arg(args, const char *);
		g_string_append(out, "<li>");
		if (address) {
			g_string_append(out, "<a");
			html_href(out, "%s", address);
			html(out, ">%s</a></li>", text);
		} else {
			html(out, "<span aria-current=\"page\">%s</span></li>", text);
			break;
		}
	}
	g_string_append(out, "</ol></nav>");
	va_end(args);
}

void frame_fact_begin(GString *out, const char *name)
{
	html(out, "<div><dt>%s</dt><dd>", name);
}

void frame_fact_end(GString *out)
{
	g_string_append(out, "</dd></div>");
}

void frame_fact(GString *out, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	frame_fact_begin(out, name);
	html_text(out, value);
	frame_fact_end(out);
}

void frame_section(GString *out, const char *id, const char *title)
{
	html(out, "<section aria-labelledby=\"%s\"><h2 id=\"%s\">%s</h2>", id, id, title);
}

void frame_section_end(GString *out)
{
	g_string_append(out, "</section>");
}

void frame_command(GString *out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	html(out, "<pre class=\"shell\" tabindex=\"0\" data-copy><code>%s</code></pre>", text);
}

void frame_next(GString *out, const PageView *view, const json_t *data)
{
	const json_t *next = json_object_get(data, "next");
	g_autofree char *key = json_is_integer(next) ? g_strdup_printf("%" PRId64, (int64_t)json_integer_value(next)) :
	                                               g_strdup(json_string_value(next));
	if (!key)
		return;
	const char *path = view->path && *view->path == '/' && view->path[1] != '/' ? view->path : "/";
	size_t bare = strcspn(path, "?");
	g_string_append(out, "<p class=\"more\"><a class=\"button\" href=\"");
	html_text_len(out, path, bare);
	g_string_append_c(out, '?');
	g_auto(GStrv) pairs = g_strsplit(path[bare] ? path + bare + 1 : "", "&", -1);
	for (char **pair = pairs; *pair; pair++) {
		if (**pair && !g_str_has_prefix(*pair, "after="))
			html(out, "%s&amp;", *pair);
	}
	g_string_append(out, "after=");
	html_query(out, key);
	g_string_append(out, "\" rel=\"next\">Older</a></p>");
}
