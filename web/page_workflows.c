/* SPDX-License-Identifier: Apache-2.0 */
/* The workflows of a repo's default branch: when is each due, and a form for those that are started by hand. */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"

/* What was given when the form was refused, else the default. */
static const json_t *shown_value(const json_t *given, const json_t *input)
{
	const json_t *value = json_object_get(json_object_get(given, "inputs"), json_get_string(input, "name", ""));
	return value ? value : json_object_get(input, "default");
}

static char *text_of(const json_t *value)
{
	if (json_is_string(value))
		return g_strdup(json_string_value(value));
	return value && !json_is_null(value) ? json_dumps(value, JSON_ENCODE_ANY) : g_strdup("");
}

static void options(GString *out, const json_t *list, const char *key, const char *chosen, bool required)
{
	size_t i;
	json_t *one;
	if (!required || !*chosen)
		g_string_append(out, "<option value=\"\"></option>");
	json_array_foreach(list, i, one) {
		g_autofree char *text = text_of(key ? json_object_get(one, key) : one);
		html(out, "<option%s>%s</option>", strcmp(text, chosen) == 0 ? " selected" : "", text);
	}
}

static void field(GString *out, const json_t *data, const json_t *given, const json_t *input)
{
	const char *name = json_get_string(input, "name", ""), *type = json_get_string(input, "type", "string");
	const char *told = json_get_string(input, "description", NULL);
	const json_t *environments = json_object_get(data, "environments");
	bool required = json_is_true(json_object_get(input, "required"));
	g_autofree char *value = text_of(shown_value(given, input));
	const char *must = required ? " required" : "";
	if (strcmp(type, "boolean") == 0) {
		html(out, "<label><input type=\"checkbox\" name=\"input.%s\" value=\"true\"%s>%s</label>", name,
		        strcmp(value, "true") == 0 ? " checked" : "", told && *told ? told : name);
		return;
	}
	html(out, "<label>%s%s", told && *told ? told : name, required ? " *" : "");
	if (told && *told)
		html(out, " <span class=\"soft\">%s</span>", name);
	if (strcmp(type, "choice") == 0 || (strcmp(type, "environment") == 0 && json_array_size(environments) > 0)) {
		bool choice = strcmp(type, "choice") == 0;
		html(out, "<select name=\"input.%s\"%s>", name, must);
		options(out, choice ? json_object_get(input, "options") : environments, choice ? NULL : "name", value, required);
		g_string_append(out, "</select>");
	} else {
		html(out, "<input name=\"input.%s\" value=\"%s\"", name, value);
		g_string_append(out, strcmp(type, "number") == 0 ? " type=\"number\" step=\"any\"" : "");
		html(out, "%s autocomplete=\"off\">", must);
	}
	g_string_append(out, "</label>");
}

static void form(GString *out, const PageView *view, const json_t *data, const json_t *workflow)
{
	const char *path = json_get_string(workflow, "path", ""), *ref = json_get_string(data, "ref", "");
	const json_t *given = json_object_get(data, "given");
	if (g_strcmp0(json_get_string(given, "workflow", NULL), path) != 0)
		given = NULL;
	const char *wanted = json_get_string(given, "ref", ref);
	g_autofree char *shown = html_ref(wanted);
	html(out, "<details%s><summary class=\"button\">Run by hand</summary><form class=\"stack prose\" method=\"post\"", given ? " open" : "");
	html(out, " action=\"/%s/workflows\">", json_get_string(data, "repo", ""));
	frame_csrf(out, view);
	html(out, "<input type=\"hidden\" name=\"workflow\" value=\"%s\"><label>Branch, or a full ref such as refs/tags/v1"
	          "<input name=\"ref\" value=\"%s\" spellcheck=\"false\" autocomplete=\"off\"></label>",
	        path, shown ? shown : "");
	size_t i;
	json_t *input;
	json_array_foreach(json_object_get(workflow, "inputs"), i, input)
		field(out, data, given, input);
	g_string_append(out, "<button class=\"primary\">Run</button></form></details>");
}

static void schedules(GString *out, const PageView *view, const json_t *workflow)
{
	const json_t *list = json_object_get(workflow, "schedule");
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one) {
		const char *zone = json_get_string(one, "timezone", NULL);
		html(out, "<p><code>%s</code> <span class=\"soft\">%s</span> next ", json_get_string(one, "cron", ""), zone ? zone : "UTC");
		html_time(out, json_get_string(one, "next_at", NULL), view->now_us);
		if (json_is_string(json_object_get(one, "last_at"))) {
			g_string_append(out, "<span class=\"soft\">, last ");
			html_time(out, json_get_string(one, "last_at", NULL), view->now_us);
			g_string_append(out, "</span>");
		}
		g_string_append(out, "</p>");
	}
}

void page_workflows(GString *out, const PageView *view, const json_t *data)
{
	const char *repo = json_get_string(data, "repo", "");
	const json_t *list = json_object_get(data, "workflows");
	g_autofree char *tab = g_strdup_printf("Workflows · %s", repo);
	g_autofree char *address = g_strdup_printf("/%s", repo);
	g_autofree char *ref = html_ref(json_get_string(data, "ref", NULL));
	frame_begin(out, view, &(Frame){ .title = tab, .section = "runs" });
	frame_crumbs(out, "Runs", "/", repo, address, "Workflows", NULL, NULL);
	g_string_append(out, "<div class=\"head\"><h1>Workflows</h1></div><p class=\"lead\">");
	if (json_array_size(list) == 0) {
		g_string_append(out, json_is_string(json_object_get(data, "ref")) ? "The default branch has no workflow."
		        : "Nobody has looked at the default branch yet; a push to it, or a moment, will.");
		g_string_append(out, "</p>");
		frame_end(out, view);
		return;
	}
	html_counted(out, (int64_t)json_array_size(list), "workflow");
	html(out, " on %s, as of commit ", ref ? ref : "the default branch");
	html_digest(out, json_get_string(data, "sha", NULL));
	g_string_append(out, ".</p>");
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one) {
		g_autofree char *id = g_strdup_printf("w%zu", i);
		frame_section(out, id, json_get_string(one, "name", json_get_string(one, "path", "")));
		html(out, "<p class=\"soft\"><a");
		html_href(out, "/%s?workflow=%s", repo, json_get_string(one, "path", ""));
		html(out, ">%s</a></p>", json_get_string(one, "path", ""));
		schedules(out, view, one);
		if (json_is_array(json_object_get(one, "inputs")) && frame_may(view, "developer"))
			form(out, view, data, one);
		frame_section_end(out);
	}
	frame_end(out, view);
}
