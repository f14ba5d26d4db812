/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evidence table is what a reviewer decides by: all rows share one axis, counted in margins, so that the line of no
 * difference and the line of the margin run through the table from top to bottom; better is always to the right.
 */
#include "web/report.h"

#include <inttypes.h>
#include <math.h>

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/html.h"
#include "web/svg.h"

#define REACH_MOST 4.0 /* margins; what lies beyond is drawn as an arrow */

static bool lower_is_better(const json_t *metric)
{
	return strcmp(json_get_string(metric, "direction", "higher"), "lower") == 0;
}

static double metric_margin(const json_t *metric)
{
	return fabs(json_get_real(metric, "margin", 0));
}

static double extent(const json_t *metric)
{
	double most = 0;
	static const char *const keys[] = { "low", "high", "difference" };
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		double value = fabs(json_get_real(metric, keys[i], 0));
		most = isfinite(value) ? MAX(most, value) : most;
	}
	return most;
}

/* The axis of the rows that have a margin, in margins. */
static double common_reach(const json_t *metrics)
{
	double reach = 1.5;
	size_t i;
	json_t *metric;
	json_array_foreach(metrics, i, metric) {
		if (metric_margin(metric) > 0)
			reach = MAX(reach, extent(metric) / metric_margin(metric) * 1.08);
	}
	return MIN(reach, REACH_MOST);
}

static int metric_decimals(const json_t *metric)
{
	double width = json_get_real(metric, "high", NAN) - json_get_real(metric, "low", NAN);
	if (!isfinite(width) || width <= 0)
		width = fabs(json_get_real(metric, "difference", 0));
	double size = fabs(json_get_real(metric, "candidate", 0));
	return MAX(html_decimals(width), size > 0 && size < 1 ? 3 : 0); /* shares line up */
}

static char *slice_text(const json_t *metric)
{
	const json_t *slice = json_object_get(metric, "slice");
	if (!json_is_object(slice))
		return NULL;
	const json_t *value = json_object_get(slice, "value");
	g_autofree char *other = json_is_string(value) ? NULL : json_text(value);
	return g_strdup_printf("%s %s", json_get_string(slice, "column", "slice"),
	        other ? other : json_string_value(value));
}

static void name_cell(GString *out, const json_t *metric, const char *slice)
{
	const char *name = json_get_string(metric, "name", "metric");
	html(out, "<th scope=\"row\" class=\"%s\">", slice ? "slice" : "");
	if (slice)
		html(out, "<span class=\"soft\">%s, </span>%s", name, slice);
	else
		html(out, "%s", name);
	html(out, "<span class=\"note\">%s is better", lower_is_better(metric) ? "lower" : "higher");
	if (json_is_integer(json_object_get(metric, "n"))) {
		g_string_append(out, " · ");
		html_counted(out, json_get_int(metric, "n", 0), "row");
	}
	g_string_append(out, "</span></th>");
}

static void number_cell(GString *out, const char *label, const json_t *metric, const char *key, int decimals)
{
	html(out, "<td class=\"num\" data-label=\"%s\">", label);
	html_number(out, json_get_real(metric, key, NAN), decimals, false);
	g_string_append(out, "</td>");
}

static char *difference_text(const json_t *metric, int decimals)
{
	GString *text = g_string_new(NULL);
	html_number(text, json_get_real(metric, "difference", NAN), decimals, true);
	double low = json_get_real(metric, "low", NAN), high = json_get_real(metric, "high", NAN);
	if (!isnan(low) && !isnan(high)) {
		g_string_append(text, ", interval ");
		html_number(text, low, decimals, true);
		g_string_append(text, " to ");
		html_number(text, high, decimals, true);
	}
	if (metric_margin(metric) > 0) {
		g_string_append(text, ", margin ");
		html_number(text, metric_margin(metric), html_decimals(metric_margin(metric)), false);
	}
	return g_string_free(text, FALSE);
}

static void plot_cell(GString *out, const json_t *metric, const char *slice, double reach, int decimals, ReportIds *ids)
{
	double low = json_get_real(metric, "low", NAN), high = json_get_real(metric, "high", NAN);
	double difference = json_get_real(metric, "difference", NAN), margin = metric_margin(metric);
	g_autofree char *name = slice ? g_strdup_printf("%s, %s", json_get_string(metric, "name", "metric"), slice) :
	                                g_strdup(json_get_string(metric, "name", "metric"));
	g_autofree char *text = difference_text(metric, decimals);
	SvgInterval interval = { .name = name, .text = text, .colour = frame_colour(json_get_string(metric, "verdict", NULL)),
		.value = difference, .low = low, .high = high, .margin = margin, .lower_is_better = lower_is_better(metric),
		.reach = margin > 0 ? reach : extent(metric) * 1.3, .id = (*ids)++ };
	g_string_append(out, "<td class=\"plotted\">");
	if (!isnan(difference))
		svg_interval(out, &interval);
	g_string_append(out, "</td><td class=\"num diff\" data-label=\"Difference\"><span><strong>");
	html_number(out, difference, decimals, true);
	g_string_append(out, "</strong>");
	if (!isnan(low) && !isnan(high)) {
		g_string_append(out, "<span class=\"note\">");
		html_number(out, low, decimals, true);
		g_string_append(out, " to ");
		html_number(out, high, decimals, true);
		g_string_append(out, "</span>");
	}
	g_string_append(out, "</span></td>");
}

static void verdict_cell(GString *out, const json_t *metric)
{
	g_string_append(out, "<td class=\"verdict\" data-label=\"Verdict\"><span>");
	frame_verdict(out, json_get_string(metric, "verdict", NULL));
	int64_t rows = json_get_int(metric, "rows_needed", 0);
	if (rows > 0) {
		g_string_append(out, "<span class=\"note\">");
		html_counted(out, rows, "row");
		g_string_append(out, " would decide</span>");
	}
	g_string_append(out, "</span></td>");
}

/* What the table leaves out for calm: the test of each row, its p, its margin, its own sentence. */
static void how_tested(GString *out, const json_t *report)
{
	g_string_append(out, "<details class=\"numbers\"><summary>How each row was tested</summary><div class=\"scroll\" tabindex=\"0\" "
	                     "role=\"region\" aria-label=\"How each row was tested\"><table><caption class=\"hidden\">Tests"
	                     "</caption><thead><tr><th scope=\"col\">Metric</th><th scope=\"col\">Test</th>"
	                     "<th scope=\"col\" class=\"num\">p</th><th scope=\"col\" class=\"num\">Margin</th>"
	                     "<th scope=\"col\" class=\"num\">Floor</th><th scope=\"col\">In words</th></tr></thead><tbody>");
	size_t i;
	json_t *metric;
	json_array_foreach(json_object_get(report, "metrics"), i, metric) {
		g_autofree char *slice = slice_text(metric);
		html(out, "<tr><th scope=\"row\">%s%s%s</th><td>%s</td><td class=\"num\">", json_get_string(metric, "name", "metric"),
		        slice ? ", " : "", slice, json_get_string(metric, "test", "–"));
		double p = json_get_real(metric, "p", NAN);
		if (p < 0.0001)
			g_string_append(out, "&lt; 0.0001");
		else
			html_number(out, p, p < 0.01 ? 4 : 3, false);
		g_string_append(out, "</td><td class=\"num\">");
		html_json(out, json_object_get(metric, "margin"));
		g_string_append(out, "</td><td class=\"num\">");
		html_json(out, json_object_get(metric, "floor"));
		html(out, "</td><td>%s</td></tr>", json_get_string(metric, "sentence", ""));
	}
	g_string_append(out, "</tbody></table></div></details>");
}

static const char *label_of(const json_t *report, const char *key, const char *fallback)
{
	const json_t *side = json_object_get(report, key);
	const char *label = json_get_string(side, "label", NULL);
	return label && *label ? label : fallback;
}

void report_evidence(GString *out, const json_t *report, ReportIds *ids)
{
	const json_t *metrics = json_object_get(report, "metrics");
	if (json_array_size(metrics) == 0)
		return;
	const char *candidate = label_of(report, "candidate", "candidate");
	const char *release = label_of(report, "release", "release");
	double confidence = json_get_real(report, "confidence", 0.95);
	html(out, "<table class=\"evidence cards\"><caption class=\"hidden\">Candidate %s beside %s: difference with its %.0f %% "
	          "interval, and verdict</caption><thead><tr><th scope=\"col\">Metric</th>",
	        candidate, release, confidence * 100);
	html(out, "<th scope=\"col\" class=\"num\">Candidate<span class=\"note\">%s</span></th>"
	          "<th scope=\"col\" class=\"num\">Release<span class=\"note\">%s</span></th>"
	          "<th scope=\"col\" class=\"plotted\"><span class=\"axis-words\"><span>← worse</span><span>better →</span></span></th>"
	          "<th scope=\"col\" class=\"num\">Difference<span class=\"note\">%.0f %% interval</span></th>"
	          "<th scope=\"col\">Verdict</th></tr></thead><tbody>",
	        strcmp(candidate, "candidate") == 0 ? "" : candidate, strcmp(release, "release") == 0 ? "" : release,
	        confidence * 100);
	double reach = common_reach(metrics);
	bool any_margin = false;
	size_t i;
	json_t *metric;
	json_array_foreach(metrics, i, metric) {
		g_autofree char *slice = slice_text(metric);
		int decimals = metric_decimals(metric);
		any_margin = any_margin || metric_margin(metric) > 0;
		html(out, "<tr class=\"%s\">", frame_colour(json_get_string(metric, "verdict", NULL)));
		name_cell(out, metric, slice);
		number_cell(out, "Candidate", metric, "candidate", decimals);
		number_cell(out, "Release", metric, "release", decimals);
		plot_cell(out, metric, slice, reach, decimals, ids);
		verdict_cell(out, metric);
		g_string_append(out, "</tr>");
	}
	g_string_append(out, "</tbody></table><p class=\"soft legend\">");
	if (any_margin)
		g_string_append(out, "The solid line is no difference; the dashed line is the margin, the most that may be lost. "
		                     "The shaded side is allowed.");
	int64_t before = json_get_int(report, "candidates_before", 0);
	if (before > 0) {
		g_string_append(out, " This test set has judged ");
		html_counted(out, before, "candidate");
		g_string_append(out, " before.");
	}
	g_string_append(out, "</p>");
	how_tested(out, report);
}

const char *report_title(const json_t *report)
{
	static const char *const titles[][2] = {
		{ "compare", "Candidate against release" }, { "snapshot", "Data snapshot" }, { "train", "Training" },
		{ "register", "Model registered" },         { "promote", "Alias moved" },    { "validate-data", "Data checks" },
		{ "drift", "Drift" },                       { "monitor", "Monitoring" },     { "deploy", "Deployment" },
		{ "package", "Package" },                   { "dataset", "Data used" },      { "metrics", "Metrics" },
	};
	const char *kind = json_get_string(report, "kind", "report");
	for (size_t i = 0; i < G_N_ELEMENTS(titles); i++) {
		if (strcmp(titles[i][0], kind) == 0)
			return titles[i][1];
	}
	return kind;
}

static void fact_value(GString *out, const char *key, const json_t *value)
{
	if (strstr(key, "digest") && json_is_string(value))
		html_digest(out, json_string_value(value));
	else if ((strcmp(key, "bytes") == 0 || g_str_has_suffix(key, "_bytes")) && json_is_integer(value))
		html_bytes(out, json_integer_value(value));
	else if (strcmp(key, "seconds") == 0 && json_is_number(value))
		html_duration(out, (int64_t)(CLAMP(json_number_value(value), 0, 1e9) * 1e6));
	else if (strcmp(key, "tracking_run") == 0)
		html_digest(out, json_string_value(value));
	else
		html_json(out, value);
}

static void fact_rows(GString *out, const json_t *object, bool nested)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)object, key, value) {
		static const char *const said[] = { "version", "kind", "verdict", "sentence" };
		bool already = false;
		for (size_t i = 0; i < G_N_ELEMENTS(said) && !nested; i++)
			already = already || strcmp(said[i], key) == 0;
		if (already && !(strcmp(key, "version") == 0 && json_object_get(object, "name")))
			continue;
		if (json_is_object(value) && !nested) {
			fact_rows(out, value, true);
			continue;
		}
		if (json_is_array(value) && json_array_size(value) == 0)
			continue;
		g_autofree char *words = g_strdelimit(g_strdup(key), "_-", ' ');
		frame_fact_begin(out, nested ? key : words);
		fact_value(out, key, value);
		frame_fact_end(out);
	}
}

void report_html(GString *out, const json_t *report, ReportIds *ids)
{
	const char *verdict = json_get_string(report, "verdict", "none");
	const char *sentence = json_get_string(report, "sentence", NULL);
	g_string_append(out, "<p class=\"said\">");
	if (strcmp(verdict, "none") != 0) {
		frame_verdict(out, verdict);
		g_string_append_c(out, ' ');
	}
	html(out, "%s</p>", sentence);
	if (json_is_array(json_object_get(report, "metrics"))) {
		report_evidence(out, report, ids);
		return;
	}
	g_string_append(out, "<details class=\"numbers\"><summary>Everything in this report</summary><dl class=\"facts\">");
	fact_rows(out, report, false);
	g_string_append(out, "</dl></details>");
}
