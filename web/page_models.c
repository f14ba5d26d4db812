/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: which version is in production, since when, by whose word, and what is it made of? The list, one model
 * with its history and ledger, one version with its card and lineage.
 */
#include <inttypes.h>
#include <math.h>

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/markdown.h"
#include "web/svg.h"

#define PLOTS_MAX 4
#define POINTS_MAX 60

static double metric_value(const json_t *metrics, const char *name)
{
	const json_t *metric = json_object_get(metrics, name);
	if (json_is_object(metric))
		metric = json_object_get(metric, "value");
	return json_is_number(metric) ? json_number_value(metric) : NAN;
}

static double metric_side(const json_t *metrics, const char *name, const char *side)
{
	return json_get_real(json_object_get(metrics, name), side, NAN);
}

static bool has_alias(const json_t *version, const char *alias)
{
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(version, "aliases"), i, one) {
		if (g_strcmp0(json_string_value(one), alias) == 0)
			return true;
	}
	return false;
}

static void aliases(GString *out, const json_t *version)
{
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(version, "aliases"), i, one)
		html(out, "<span class=\"flag%s\">%s</span>", g_strcmp0(json_string_value(one), "production") == 0 ? " good" : "",
		        json_string_value(one));
}

/* "accuracy 0.977 · log loss 0.098": as many as fit a line. */
static void metrics_line(GString *out, const json_t *metrics, size_t most)
{
	const char *name;
	json_t *value;
	size_t count = 0;
	json_object_foreach((json_t *)metrics, name, value) {
		double number = metric_value(metrics, name);
		if (isnan(number) || count == most)
			continue;
		html(out, "%s%s ", count++ ? " · " : "", name);
		html_number(out, number, fabs(number) < 10 ? 3 : 1, false);
	}
}

void page_models(GString *out, const PageView *view, const json_t *data)
{
	const json_t *models = json_object_get(data, "models");
	frame_begin(out, view, &(Frame){ .title = "Models", .section = "models", .live_run = -1 });
	g_string_append(out, "<h1>Models</h1>");
	if (json_array_size(models) == 0) {
		g_string_append(out, "<div class=\"empty\"><p class=\"lead\">No model yet.</p><p>A step registers what a run has made; it "
		                     "gets the next version:</p>");
		frame_command(out, "- uses: assay/register@v1\n  with:\n    name: digits\n    path: model/");
		g_string_append(out, "<p>The version that carries the alias <code>production</code> is the release.</p></div>");
		frame_end(out, view);
		return;
	}
	g_string_append(out, "<ul class=\"cards-list\">");
	size_t i;
	json_t *model;
	json_array_foreach(models, i, model) {
		const json_t *release = json_object_get(model, "release"), *newest = json_object_get(model, "newest");
		const char *repo = json_get_string(model, "repo", ""), *name = json_get_string(model, "name", "");
		g_string_append(out, "<li><a class=\"run-title\"");
		html_href(out, "/models/%s/%s", repo, name);
		html(out, ">%s</a> <span class=\"soft\">%s</span><p>", name, repo);
		if (json_is_object(release)) {
			html(out, "<strong>Version %" PRId64 "</strong> is in production. ", json_get_int(release, "version", 0));
			metrics_line(out, json_object_get(release, "metrics"), 3);
		} else {
			g_string_append(out, "No version is in production.");
		}
		g_string_append(out, "</p><p class=\"soft\">");
		const json_t *versions = json_object_get(model, "versions");
		html_counted(out, json_is_array(versions) ? (int64_t)json_array_size(versions) : json_get_int(model, "versions", 0),
		        "version");
		if (json_is_object(newest)) {
			html(out, " · newest %" PRId64 ", ", json_get_int(newest, "version", 0));
			html_time(out, json_get_string(newest, "created_at", NULL), view->now_us);
		}
		g_string_append(out, "</p></li>");
	}
	g_string_append(out, "</ul>");
	frame_next(out, view, data);
	frame_end(out, view);
}

/* One history per metric name of the newest version, oldest version on the left. */
static void histories(GString *out, const json_t *versions)
{
	size_t count = MIN(json_array_size(versions), (size_t)POINTS_MAX);
	const json_t *newest = json_object_get(json_array_get(versions, 0), "metrics");
	if (count < 2 || json_object_size(newest) == 0)
		return;
	frame_section(out, "history", "Metrics across versions");
	g_string_append(out, "<div class=\"plots\">");
	const char *name;
	json_t *value;
	unsigned id = 0;
	json_object_foreach((json_t *)newest, name, value) {
		SvgPoint points[POINTS_MAX];
		char labels[POINTS_MAX][24];
		size_t filled = 0;
		for (size_t back = count; back > 0 && id < PLOTS_MAX; back--) {
			const json_t *version = json_array_get(versions, back - 1);
			const json_t *metrics = json_object_get(version, "metrics");
			double number = metric_value(metrics, name);
			if (isnan(number))
				continue;
			g_snprintf(labels[filled], sizeof labels[filled], "%" PRId64, json_get_int(version, "version", 0));
			points[filled] = (SvgPoint){ .label = labels[filled], .value = number, .low = metric_side(metrics, name, "low"),
				.high = metric_side(metrics, name, "high"), .marked = has_alias(version, "production") };
			filled++;
		}
		if (filled >= 2)
			svg_history(out, name, points, filled, id++);
	}
	g_string_append(out, "</div>");
	frame_section_end(out);
}

static void ledger(GString *out, const PageView *view, const json_t *entries)
{
	if (json_array_size(entries) == 0)
		return;
	frame_section(out, "ledger", "Ledger");
	g_string_append(out, "<ol class=\"timeline\">");
	size_t i;
	json_t *one;
	json_array_foreach(entries, i, one) {
		g_string_append(out, "<li class=\"run\">");
		frame_icon(out, "arrow");
		g_string_append(out, "<div><span class=\"when soft\">");
		html_time(out, json_get_string(one, "at", NULL), view->now_us);
		html(out, "</span><p><strong>%s</strong> moved ", json_get_string(one, "alias", "alias"));
		if (json_is_integer(json_object_get(one, "previous")))
			html(out, "from version %" PRId64 " ", json_get_int(one, "previous", 0));
		html(out, "to <strong>version %" PRId64 "</strong> by %s", json_get_int(one, "version", 0),
		        json_get_string(one, "actor", "the agent"));
		if (json_get_int(one, "gate", 0) > 0)
			html(out, ", through <a href=\"/gates/%" PRId64 "\">gate %" PRId64 "</a>", json_get_int(one, "gate", 0),
			        json_get_int(one, "gate", 0));
		g_string_append(out, "</p></div></li>");
	}
	g_string_append(out, "</ol>");
	frame_section_end(out);
}

void page_model(GString *out, const PageView *view, const json_t *data)
{
	const char *repo = json_get_string(data, "repo", ""), *name = json_get_string(data, "name", "model");
	const json_t *versions = json_object_get(data, "versions"), *release = NULL;
	frame_begin(out, view, &(Frame){ .title = name, .section = "models", .live_run = -1 });
	frame_crumbs(out, "Models", "/models", name, NULL, NULL);
	html(out, "<h1>%s</h1><p class=\"lead\">", name);
	size_t i;
	json_t *version;
	json_array_foreach(versions, i, version)
		release = !release && has_alias(version, "production") ? version : release;
	const json_t *move = NULL;
	json_t *entry;
	json_array_foreach(json_object_get(data, "ledger"), i, entry) {
		if (!move && strcmp(json_get_string(entry, "alias", ""), "production") == 0)
			move = entry;
	}
	if (release) {
		html(out, "Version %" PRId64 " is in production", json_get_int(release, "version", 0));
		if (move) {
			g_string_append(out, " since ");
			html_day(out, json_get_string(move, "at", NULL));
			html(out, ", by %s", json_get_string(move, "actor", "the agent"));
		}
		g_string_append(out, ".</p>");
	} else {
		g_string_append(out, "No version is in production.</p>");
	}
	histories(out, versions);
	frame_section(out, "versions", "Versions");
	g_string_append(out, "<table class=\"cards\"><caption class=\"hidden\">Versions, newest first</caption><thead><tr>"
	                     "<th scope=\"col\">Version</th><th scope=\"col\">Metrics</th><th scope=\"col\" class=\"num\">Size</th>"
	                     "<th scope=\"col\">Digest</th><th scope=\"col\">Made</th></tr></thead><tbody>");
	json_array_foreach(versions, i, version) {
		g_string_append(out, "<tr><th scope=\"row\"><a");
		html_href(out, "/models/%s/%s/%" PRId64, repo, name, json_get_int(version, "version", 0));
		html(out, ">%s %" PRId64 "</a> ", name, json_get_int(version, "version", 0));
		aliases(out, version);
		g_string_append(out, "</th><td data-label=\"Metrics\">");
		metrics_line(out, json_object_get(version, "metrics"), 3);
		g_string_append(out, "</td><td class=\"num\" data-label=\"Size\">");
		html_bytes(out, json_get_int(version, "bytes", 0));
		g_string_append(out, "</td><td data-label=\"Digest\">");
		html_digest(out, json_get_string(version, "digest", NULL));
		g_string_append(out, "</td><td data-label=\"Made\">");
		html_time(out, json_get_string(version, "created_at", NULL), view->now_us);
		g_string_append(out, "</td></tr>");
	}
	g_string_append(out, "</tbody></table>");
	frame_section_end(out);
	ledger(out, view, json_object_get(data, "ledger"));
	frame_end(out, view);
}

static void metrics_table(GString *out, const json_t *metrics)
{
	if (json_object_size(metrics) == 0)
		return;
	frame_section(out, "metrics", "Metrics");
	g_string_append(out, "<table><caption class=\"hidden\">Metrics of this version</caption><thead class=\"hidden\"><tr>"
	                     "<th scope=\"col\">Metric</th><th scope=\"col\">Value</th></tr></thead><tbody>");
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)metrics, name, value) {
		html(out, "<tr><th scope=\"row\">%s</th><td class=\"num\">", name);
		html_json(out, json_is_object(value) ? json_object_get(value, "value") : value);
		g_string_append(out, "</td></tr>");
	}
	g_string_append(out, "</tbody></table>");
	frame_section_end(out);
}

static void lineage(GString *out, const json_t *data, const char *repo)
{
	const json_t *from = json_object_get(data, "lineage");
	frame_section(out, "lineage", "Where it comes from");
	g_string_append(out, "<dl class=\"facts\">");
	int64_t run = json_get_int(from, "run", 0);
	if (run > 0) {
		frame_fact_begin(out, "Run");
		g_string_append(out, "<a");
		html_href(out, "/%s/runs/%" PRId64, repo, run);
		html(out, ">%s run %" PRId64 "</a>", repo, run);
		frame_fact_end(out);
	}
	if (json_get_string(from, "sha", NULL)) {
		frame_fact_begin(out, "Commit");
		html_digest(out, json_get_string(from, "sha", NULL));
		frame_fact_end(out);
	}
	if (json_get_string(from, "workflow_path", NULL)) {
		frame_fact_begin(out, "Workflow");
		html(out, "%s ", json_get_string(from, "workflow_path", ""));
		html_digest(out, json_get_string(from, "workflow_digest", NULL));
		frame_fact_end(out);
	}
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(from, "data"), i, one) {
		frame_fact_begin(out, "Data");
		g_string_append(out, "<a");
		html_href(out, "/data/%s/%s", repo, json_get_string(one, "name", ""));
		html(out, ">%s v%" PRId64 "</a> ", json_get_string(one, "name", ""), json_get_int(one, "version", 0));
		html_digest(out, json_get_string(one, "digest", NULL));
		frame_fact_end(out);
	}
	const json_t *parent = json_object_get(from, "parent");
	if (json_is_object(parent) && json_get_int(parent, "version", 0) > 0) {
		frame_fact_begin(out, "Parent");
		html(out, "%s %" PRId64, json_get_string(parent, "name", json_get_string(data, "name", "")),
		        json_get_int(parent, "version", 0));
		frame_fact_end(out);
	}
	if (json_get_string(data, "tracking_run", NULL)) {
		frame_fact_begin(out, "Tracking run");
		html_digest(out, json_get_string(data, "tracking_run", NULL));
		frame_fact_end(out);
	}
	frame_fact_begin(out, "Files");
	html_counted(out, json_get_int(data, "files", 0), "file");
	g_string_append(out, ", ");
	html_bytes(out, json_get_int(data, "bytes", 0));
	frame_fact_end(out);
	frame_fact_begin(out, "Digest");
	html_digest(out, json_get_string(data, "digest", NULL));
	frame_fact_end(out);
	g_string_append(out, "</dl>");
	frame_section_end(out);
}

void page_model_version(GString *out, const PageView *view, const json_t *data)
{
	const char *repo = json_get_string(data, "repo", ""), *name = json_get_string(data, "name", "model");
	g_autofree char *title = g_strdup_printf("%s %" PRId64, name, json_get_int(data, "version", 0));
	g_autofree char *version = g_strdup_printf("version %" PRId64, json_get_int(data, "version", 0));
	g_autofree char *address = g_strdup_printf("/models/%s/%s", repo, name);
	frame_begin(out, view, &(Frame){ .title = title, .section = "models" });
	frame_crumbs(out, "Models", "/models", name, address, version, NULL, NULL);
	html(out, "<div class=\"head\"><h1>%s</h1><div class=\"head-side\">", title);
	aliases(out, data);
	g_string_append(out, "</div></div><p class=\"lead\">");
	g_string_append(out, has_alias(data, "production") ? "This version is in production. " : "This version is not in production. ");
	g_string_append(out, "Made ");
	html_time(out, json_get_string(data, "created_at", NULL), view->now_us);
	g_string_append(out, ".</p>");
	metrics_table(out, json_object_get(data, "metrics"));
	lineage(out, data, repo);
	const json_t *card = json_object_get(data, "card");
	if (json_is_string(card) && json_string_length(card) > 0) {
		frame_section(out, "card", "Model card");
		g_string_append(out, "<div class=\"prose\">");
		markdown_html(out, json_string_value(card));
		g_string_append(out, "</div>");
		frame_section_end(out);
	} else if (json_object_size(card) > 0) {
		frame_section(out, "card", "Model card");
		g_string_append(out, "<dl class=\"facts\">");
		const char *key;
		json_t *value;
		json_object_foreach((json_t *)card, key, value) {
			frame_fact_begin(out, key);
			html_json(out, value);
			frame_fact_end(out);
		}
		g_string_append(out, "</dl>");
		frame_section_end(out);
	}
	frame_end(out, view);
}
