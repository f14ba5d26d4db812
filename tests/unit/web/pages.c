/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every page from golden JSON, read back with a strict little reader of our own HTML: tags are balanced, ids unique,
 * nothing is inline, and hostile strings put into every text of every page come out as text. With ASSAY_PAGES_OUT set
 * to a folder, the pages are written there to be looked at.
 */
#include <glib/gstdio.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "web/ansi.h"
#include "web/html.h"
#include "web/markdown.h"
#include "web/page.h"
#include "web/usage.h"

#define HOSTILE "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;javascript:"

typedef void (*Page)(GString *out, const PageView *view, const json_t *data);

typedef struct Golden {
	const char *name;
	Page page;
	const char *path;
} Golden;

static const Golden goldens[] = {
	{ "sign_in", page_sign_in, "/sign-in" },
	{ "sign_in_link", page_sign_in, "/sign-in?link=x" },
	{ "runs", page_runs, "/" },
	{ "runs_repo", page_runs, "/acme/digits?branch=main" },
	{ "runs_empty", page_runs, "/" },
	{ "workflows", page_workflows, "/acme/digits/workflows" },
	{ "run_waiting", page_run, "/acme/digits/runs/42" },
	{ "run_calls", page_run, "/acme/digits/runs/42" },
	{ "run_failure", page_run, "/acme/vision/runs/11" },
	{ "run_simple", page_run, "/acme/digits/runs/41" },
	{ "run_attempt", page_run, "/acme/vision/runs/11?attempt=2" },
	{ "run_rerun", page_run, "/acme/vision/runs/11" },
	{ "job_call", page_job, "/acme/vision/runs/11/jobs/test%20%283.12%29" },
	{ "job_failure", page_job, "/acme/vision/runs/11/jobs/test%20%283.12%29" },
	{ "job_attempt", page_job, "/acme/vision/runs/11/jobs/test%20%283.12%29?attempt=1" },
	{ "job_running", page_job, "/acme/vision/runs/12/jobs/test%20%283.12%29" },
	{ "job_window", page_job, "/acme/vision/runs/11/jobs/test%20%283.12%29?from=41001" },
	{ "gates", page_gates, "/gates" },
	{ "gates_empty", page_gates, "/gates" },
	{ "gate_fail", page_gate, "/gates/17" },
	{ "gate_pass", page_gate, "/gates/18" },
	{ "gate_decided", page_gate, "/gates/15" },
	{ "gate_locked", page_gate, "/gates/17" },
	{ "models", page_models, "/models" },
	{ "models_empty", page_models, "/models" },
	{ "model", page_model, "/models/acme/digits/digits" },
	{ "model_version", page_model_version, "/models/acme/digits/digits/7" },
	{ "data", page_data, "/data" },
	{ "data_empty", page_data, "/data" },
	{ "dataset", page_dataset, "/data/acme/digits/digits-train" },
	{ "audit", page_audit, "/audit" },
	{ "admin", page_admin, "/admin" },
	{ "error", page_error, "/acme/digits/runs/99" },
};

static PageView a_view(const Golden *golden)
{
	PageView view = { .user = "alice", .role = "admin", .csrf = "c5rf-t0ken", .path = golden->path,
		.base_url = "https://ci.example.org", .asset_css = "style.css", .asset_phone = "phone.css", .asset_js = "app.js", .asset_logo = "logo.svg",
		.gates_waiting = 2 };
	g_assert_true(clock_parse("2026-05-04T09:56:30Z", &view.now_us));
	if (golden->page == page_sign_in)
		view.user = view.role = NULL;
	return view;
}

static json_t *read_golden(const char *name)
{
	g_autofree char *path = g_strdup_printf(TEST_SOURCE_DIR "/tests/golden/pages/%s.json", name);
	g_autoptr(GError) error = NULL;
	json_t *data = json_parse_file(path, JSON_TEXT_BYTES_MAX, &error);
	g_assert_no_error(error);
	return data;
}

static bool is_void(const char *name)
{
	static const char *const names[] = { "meta", "link", "input", "hr", "br", "img" };
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* Reads the attributes of one tag; returns the position of its end. Every value must be quoted. */
static const char *check_attributes(const char *p, GHashTable *ids, bool *out_closed)
{
	*out_closed = false;
	for (;;) {
		p += strspn(p, " ");
		if (*p == '>')
			return p;
		if (p[0] == '/' && p[1] == '>') {
			*out_closed = true;
			return p + 1;
		}
		size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789");
		g_assert_cmpuint(len, >, 0);
		g_autofree char *name = g_strndup(p, len);
		g_assert_false(g_str_has_prefix(name, "on"));
		g_assert_cmpstr(name, !=, "style");
		p += len;
		if (*p != '=')
			continue;
		g_assert_cmpint(p[1], ==, '"');
		const char *end = strchr(p + 2, '"');
		g_assert_nonnull(end);
		g_autofree char *value = g_strndup(p + 2, (gsize)(end - p - 2));
		g_assert_null(strpbrk(value, "<>"));
		if (strcmp(name, "id") == 0) {
			if (!g_hash_table_add(ids, g_strdup(value)))
				g_error("the id %s is there twice", value);
		}
		if (strcmp(name, "href") == 0 || strcmp(name, "action") == 0 || strcmp(name, "src") == 0) {
			g_assert_null(strstr(value, "javascript:alert"));
			g_assert_false(g_str_has_prefix(value, "//"));
			g_assert_false(g_str_has_prefix(value, "javascript:"));
		}
		p = end + 1;
	}
}

static void check_document(const char *name, const GString *page)
{
	g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) open = g_ptr_array_new_with_free_func(g_free);
	g_assert_true(g_utf8_validate(page->str, (gssize)page->len, NULL));
	g_assert_true(g_str_has_prefix(page->str, "<!DOCTYPE html>\n"));
	size_t scripts = 0;
	for (const char *p = page->str + strlen("<!DOCTYPE html>"); (p = strchr(p, '<')); p++) {
		bool closing = p[1] == '/';
		const char *word = p + (closing ? 2 : 1);
		size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789");
		if (len == 0)
			g_error("%s: a stray '<' before: %.40s", name, p);
		g_autofree char *tag = g_strndup(word, len);
		if (closing) {
			const char *last = open->len ? g_ptr_array_index(open, open->len - 1) : "nothing";
			if (strcmp(last, tag) != 0)
				g_error("%s: </%s> closes <%s>: %.60s", name, tag, last, p);
			g_ptr_array_remove_index(open, open->len - 1);
			g_assert_cmpint(word[len], ==, '>');
			continue;
		}
		bool closed = false;
		p = check_attributes(word + len, ids, &closed);
		scripts += strcmp(tag, "script") == 0;
		g_assert_cmpstr(tag, !=, "style");
		g_assert_cmpstr(tag, !=, "img");
		if (strcmp(tag, "script") == 0)
			g_assert_true(g_str_has_prefix(p, "></script>"));
		if (!closed && !is_void(tag))
			g_ptr_array_add(open, g_steal_pointer(&tag));
	}
	g_assert_cmpuint(open->len, ==, 0);
	g_assert_cmpuint(scripts, ==, 1);
}

static void check_references(const char *name, const GString *page)
{
	static const char *const references[] = { "href=\"#i-", "aria-labelledby=\"" };
	for (size_t i = 0; i < G_N_ELEMENTS(references); i++) {
		const char *start = references[i];
		for (const char *p = page->str; (p = strstr(p, start)); p += strlen(start)) {
			const char *value = strchr(p, '"') + 1 + (i == 0 ? 1 : 0);
			g_autofree char *id = g_strndup(value, strcspn(value, "\" "));
			g_autofree char *target = g_strdup_printf(" id=\"%s\"", id);
			if (!strstr(page->str, target))
				g_error("%s: nothing has the id %s", name, id);
		}
	}
}

static void test_golden(gconstpointer data)
{
	const Golden *golden = data;
	g_autoptr(json_t) json = read_golden(golden->name);
	g_autoptr(GString) page = g_string_new(NULL);
	PageView view = a_view(golden);
	int64_t before = monotonic_us();
	golden->page(page, &view, json);
	g_test_message("%s: %zu bytes in %d us", golden->name, page->len, (int)(monotonic_us() - before));
	check_document(golden->name, page);
	check_references(golden->name, page);
	const char *folder = g_getenv("ASSAY_PAGES_OUT");
	if (folder) {
		g_autofree char *path = g_strdup_printf("%s/%s.html", folder, golden->name);
		g_assert_true(g_file_set_contents(path, page->str, (gssize)page->len, NULL));
	}
}

/* Called jobs stand below their call, with their own part of the name; the graph shows the call alone. */
static void test_calls(void)
{
	static const char *const in_order[] = { "id=\"call-2\"", ">check <span class=\"soft\">calls", "class=\"in3\"><a", ">look</a>",
		">put</th>", ">Put it (1)</a>", ">Put it (2)</a>", ">Put it</a>", ">after</a>" };
	static const Golden golden = { "run_calls", page_run, "/acme/digits/runs/42" };
	g_autoptr(json_t) json = read_golden(golden.name);
	g_autoptr(GString) page = g_string_new(NULL);
	PageView view = a_view(&golden);
	page_run(page, &view, json);
	const char *table = strstr(page->str, "<table class=\"jobs\">");
	const char *at = table;
	for (size_t i = 0; i < G_N_ELEMENTS(in_order); i++) {
		const char *found = strstr(at, in_order[i]);
		if (!found)
			g_error("not there, or not in order: %s", in_order[i]);
		at = found + 1;
	}
	const char *graph = strstr(page->str, "<svg class=\"graph\"");
	g_autofree char *drawn = g_strndup(graph, (gsize)(strstr(graph, "</svg>") - graph));
	g_assert_nonnull(strstr(drawn, "failure · 4 jobs"));
	g_assert_null(strstr(drawn, "look"));
	g_assert_nonnull(strstr(drawn, "href=\"#call-11\""));
}

/* Words that steer what is drawn stay, so that the hostile page still walks every branch. */
static bool steers(const char *key, const char *text)
{
	static const char *const keys[] = { "status", "verdict", "kind", "direction", "level", "created_at", "started_at",
		"finished_at", "opened_at", "at", "alias", "time" };
	for (size_t i = 0; key && i < G_N_ELEMENTS(keys); i++) {
		if (strcmp(keys[i], key) == 0)
			return true;
	}
	return g_str_has_prefix(text, "##[");
}

static json_t *poisoned(const char *key, const json_t *value)
{
	if (json_is_string(value))
		return steers(key, json_string_value(value)) ? json_copy((json_t *)value) : json_string(HOSTILE);
	size_t i;
	json_t *item;
	const char *name;
	if (json_is_array(value)) {
		json_t *array = json_array();
		json_array_foreach((json_t *)value, i, item)
			json_array_append_new(array, poisoned(key, item));
		return array;
	}
	if (!json_is_object(value))
		return json_copy((json_t *)value);
	json_t *object = json_object();
	json_object_foreach((json_t *)value, name, item)
		json_object_set_new(object, name, poisoned(name, item));
	return object;
}

static void test_hostile(gconstpointer data)
{
	const Golden *golden = data;
	g_autoptr(json_t) json = read_golden(golden->name);
	g_autoptr(json_t) hostile = poisoned(NULL, json);
	g_autoptr(GString) page = g_string_new(NULL);
	PageView view = a_view(golden);
	view.csrf = view.path = view.base_url = view.flash = HOSTILE;
	if (view.user)
		view.user = HOSTILE;
	golden->page(page, &view, hostile);
	check_document(golden->name, page);
	g_assert_null(strstr(page->str, "<script>"));
	g_assert_null(strstr(page->str, "<img"));
}

static void test_nothing(gconstpointer data)
{
	const Golden *golden = data;
	g_autoptr(json_t) empty = json_object();
	g_autoptr(GString) page = g_string_new(NULL);
	PageView view = { 0 };
	golden->page(page, &view, empty);
	g_string_truncate(page, 0);
	golden->page(page, &view, NULL);
	g_assert_nonnull(strstr(page->str, "</html>"));
}

static void test_gate_form(void)
{
	g_autoptr(json_t) fail = read_golden("gate_fail"), pass = read_golden("gate_pass"), locked = read_golden("gate_locked");
	g_autoptr(GString) page = g_string_new(NULL);
	PageView view = a_view(&goldens[0]);
	page_gate(page, &view, fail);
	g_assert_nonnull(strstr(page->str, "action=\"/gates/17/verdict\""));
	g_assert_nonnull(strstr(page->str, "name=\"override_reason\" rows=\"2\" required"));
	g_assert_nonnull(strstr(page->str, "value=\"reject\" formnovalidate"));
	const char *digest = json_get_string(json_object_get(fail, "gate"), "evidence_digest", NULL);
	g_autofree char *field = g_strdup_printf("name=\"evidence_digest\" value=\"%s\"", digest);
	g_assert_nonnull(strstr(page->str, field));
	g_string_truncate(page, 0);
	page_gate(page, &view, pass);
	g_assert_null(strstr(page->str, "override_reason"));
	g_string_truncate(page, 0);
	page_gate(page, &view, locked);
	g_assert_null(strstr(page->str, "<textarea"));
	g_assert_nonnull(strstr(page->str, "You are the author"));
}

static char *drawn(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(goldens); i++) {
		if (strcmp(goldens[i].name, name) != 0)
			continue;
		g_autoptr(json_t) data = read_golden(name);
		PageView view = a_view(&goldens[i]);
		GString *out = g_string_new(NULL);
		goldens[i].page(out, &view, data);
		return g_string_free(out, FALSE);
	}
	g_assert_not_reached();
}

static void test_attempts(void)
{
	g_autofree char *old = drawn("run_attempt"), *newest = drawn("run_rerun"), *job = drawn("job_attempt");
	/* An older attempt is a record: it leads to its own jobs, and nothing can be done to it. */
	g_assert_nonnull(strstr(old, "<a href=\"?attempt=3\">Attempt 3</a>"));
	g_assert_nonnull(strstr(old, "<strong aria-current=\"page\">Attempt 2</strong>"));
	g_assert_nonnull(strstr(old, "/jobs/test%20%283.12%29?attempt=2\""));
	g_assert_nonnull(strstr(old, "dana ran the failed jobs again with debug output"));
	g_assert_nonnull(strstr(old, "kept from attempt 1"));
	g_assert_null(strstr(old, "/rerun\""));
	g_assert_nonnull(strstr(newest, "action=\"/runs/44/rerun\""));
	g_assert_nonnull(strstr(newest, "<button name=\"jobs\" value=\"failed\">"));
	g_assert_nonnull(strstr(newest, "<button name=\"jobs\" value=\"all\">"));
	g_assert_null(strstr(newest, "/jobs/lint?attempt"));
	g_assert_nonnull(strstr(job, "<a href=\"?attempt=2\">Attempt 2</a>"));
	g_assert_null(strstr(job, "/rerun\""));
	g_autofree char *plain = drawn("job_failure");
	g_assert_nonnull(strstr(plain, "Run this job again"));
}

/* A column is drawn to its largest value; what nobody measured is no number. */
static void test_usage(void)
{
	g_autofree char *measured = drawn("job_failure"), *without_energy = drawn("job_running"), *none = drawn("run_simple");
	g_assert_nonnull(strstr(measured, "<td class=\"num\" data-label=\"CPU time\"><span class=\"took\"><svg class=\"gauge run\""));
	g_assert_nonnull(strstr(measured, "<path class=\"fill\" d=\"M0 4H56.0\"/></svg>3m 32s</span>"));
	g_assert_nonnull(strstr(measured, "700 MiB"));
	g_assert_nonnull(strstr(measured, "2.2 kJ"));
	g_assert_nonnull(strstr(measured, "Energy is that of all processors"));
	g_assert_nonnull(strstr(without_energy, "Energy: not readable on this machine."));
	g_assert_null(strstr(without_energy, "data-label=\"Energy\""));
	g_assert_nonnull(strstr(without_energy, "data-label=\"Written\">0 B</td>"));
	g_assert_null(strstr(none, "id=\"usage\""));
	g_autoptr(json_t) run = json_pack("{s:[{s:s,s:[{s:I,s:I},{s:I,s:I}]},{s:s}]}", "jobs", "name", "both", "steps", "cpu_us",
	        (json_int_t)1500000, "memory_peak_bytes", (json_int_t)2048, "cpu_us", (json_int_t)1500000, "memory_peak_bytes",
	        (json_int_t)1024, "name", "waits");
	g_autoptr(GString) out = g_string_new(NULL);
	usage_of_run(out, run);
	g_assert_nonnull(strstr(out->str, "3 s</span>"));
	g_assert_nonnull(strstr(out->str, "2.0 KiB</span>"));
	g_assert_null(strstr(out->str, "waits"));
}

static void test_html(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	html(out, "<a title=\"%s\">%d %.2f %% %zu</a>", "<\"&'>\x01\xff", -3, 0.5, (size_t)7);
	g_assert_cmpstr(out->str, ==, "<a title=\"&lt;&quot;&amp;&#39;&gt;\xef\xbf\xbd\">-3 0.50 % 7</a>");
	g_string_truncate(out, 0);
	html_href(out, "/%s/x", "/evil.example");
	g_assert_cmpstr(out->str, ==, " href=\"/evil.example/x\"");
	g_string_truncate(out, 0);
	html_url(out, "href", "JavaScript:alert(1)");
	html_url(out, "href", "//evil.example");
	html_url(out, "href", "https://a.example/?a&b");
	g_assert_cmpstr(out->str, ==, " href=\"#\" href=\"#\" href=\"https://a.example/?a&amp;b\"");
	g_string_truncate(out, 0);
	html_duration(out, 450000);
	g_string_append_c(out, '|');
	html_duration(out, 64000000);
	g_string_append_c(out, '|');
	html_bytes(out, 18035712);
	g_string_append_c(out, '|');
	html_count(out, -1240000);
	g_string_append_c(out, '|');
	html_number(out, -0.019, 3, true);
	g_string_append_c(out, '|');
	html_number(out, -0.0001, 2, true);
	g_assert_cmpstr(out->str, ==, "450 ms|1m 04s|17.2 MiB|−1,240,000|−0.019|+0.00");
}

static char *ansi(const char *text)
{
	GString *out = g_string_new(NULL);
	AnsiState state;
	ansi_init(&state);
	ansi_html(out, &state, text, strlen(text));
	return g_string_free(out, FALSE);
}

static void test_ansi(void)
{
	g_autofree char *red = ansi("\x1b[1;31mE\x1b[0m <b>");
	g_assert_cmpstr(red, ==, "<span class=\"a f0 w7\">E</span> &lt;b&gt;");
	g_autofree char *true_colour = ansi("\x1b[38;2;255;128;0mo\x1b[48;5;21mb");
	g_assert_cmpstr(true_colour, ==, "<span class=\"a f1\">o</span><span class=\"a b8\">b</span>");
	g_autofree char *progress = ansi("10%\r\x1b[32m20%\rdone\r\n");
	g_assert_cmpstr(progress, ==, "<span class=\"a f4\">done</span>");
	g_autofree char *link = ansi("\x1b]8;;http://x\x1b\\here\x1b]8;;\x07!");
	g_assert_cmpstr(link, ==, "here!");
}

static void test_style(void)
{
	g_autofree char *text = NULL;
	gsize len = 0;
	g_assert_true(g_file_get_contents(TEST_SOURCE_DIR "/web/assets/style.css", &text, &len, NULL));
	g_assert_cmpuint(len, <, 14 * 1024);
	g_assert_null(strstr(text, "url("));
}

static void test_markdown(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	markdown_html(out, "# A *b*\n\n|x|y|\n|-|-|\n|1|`2`|\n\n- a\n- **b**\n\n![](javascript:x) <b>\n```\n<i>\n");
	g_assert_cmpstr(out->str, ==, "<h3>A <em>b</em></h3><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
	        "aria-label=\"Table of the summary\"><table><thead><tr><th scope=\"col\">x</th><th scope=\"col\">y</th></tr>"
	        "</thead><tbody><tr><td>1</td><td><code>2</code></td></tr></tbody></table></div><ul><li>a</li><li>"
	        "<strong>b</strong></li></ul><p><a rel=\"nofollow noopener\" href=\"#\">picture</a> &lt;b&gt;</p>"
	        "<pre tabindex=\"0\"><code>&lt;i&gt;\n</code></pre>");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(goldens); i++) {
		g_autofree char *well = g_strdup_printf("/pages/%s_is_well_formed", goldens[i].name);
		g_autofree char *safe = g_strdup_printf("/pages/%s_shows_hostile_text_as_text", goldens[i].name);
		g_autofree char *bare = g_strdup_printf("/pages/%s_draws_without_data", goldens[i].name);
		g_test_add_data_func(well, &goldens[i], test_golden);
		g_test_add_data_func(safe, &goldens[i], test_hostile);
		g_test_add_data_func(bare, &goldens[i], test_nothing);
	}
	g_test_add_func("/pages/usage_is_drawn_by_column", test_usage);
	g_test_add_func("/pages/approving_against_evidence_asks_why", test_gate_form);
	g_test_add_func("/pages/an_older_attempt_is_a_record", test_attempts);
	g_test_add_func("/html/escapes_and_phrases", test_html);
	g_test_add_func("/ansi/colours_by_hue", test_ansi);
	g_test_add_func("/assets/style_stays_under_14_kib", test_style);
	g_test_add_func("/markdown/blocks_and_marks", test_markdown);
	g_test_add_func("/pages/calls", test_calls);
	return g_test_run();
}
