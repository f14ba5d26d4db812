/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A comparison in words. The sentence is what a reviewer reads first, perhaps on a phone and perhaps only that: it says
 * what happened, by how much, how sure that is and on how many rows. Shares are written in points and percent.
 */
#include "ml-steps/report.h"

#include <math.h>

#include "agent/base/json.h"

#define MINUS "\xE2\x88\x92" /* U+2212 */
#define MARKDOWN_ROWS_MAX 200
#define BOUND_SLACK 1e-12 /* 0.9 as 486 / 540 is not below a floor of 0.9 */

static const char *const finding_words[] = {
        [FINDING_PASS] = "pass",
        [FINDING_FAIL] = "fail",
        [FINDING_INCONCLUSIVE] = "inconclusive",
        [FINDING_INSUFFICIENT] = "insufficient",
        [FINDING_NO_TEST] = "no-test",
};

/* Fills in what the test says about a margin. */
static void decide_by_test(Check *check, double confidence)
{
	static const Finding findings[] = {
	        [OUTCOME_PASS] = FINDING_PASS,
	        [OUTCOME_FAIL] = FINDING_FAIL,
	        [OUTCOME_INCONCLUSIVE] = FINDING_INCONCLUSIVE,
	};
	const Estimate *estimate = &check->score.estimate;
	bool higher = metric_higher_is_better(check->rule->metric);
	check->finding = findings[non_inferiority(estimate, check->margin, higher)];
	check->inferior = check->finding == FINDING_FAIL;
	if (check->finding != FINDING_INCONCLUSIVE)
		return;
	bool proportions = metric_is_share(check->rule->metric);
	int64_t rows = rows_needed(estimate, check->margin, higher, confidence, proportions);
	check->rows_needed = rows > 0 ? MAX(rows, (int64_t)check->rows + 1) : 0;
}

void check_decide(Check *check, bool has_release, double confidence)
{
	const Score *score = &check->score;
	bool higher = metric_higher_is_better(check->rule->metric);
	double above = higher ? score->candidate - check->bound : check->bound - score->candidate;
	check->bound_broken = !isnan(check->bound) && !(above >= -BOUND_SLACK);
	check->inferior = false;
	check->rows_needed = 0;
	if ((int64_t)check->rows < check->rule->min_rows) {
		check->finding = FINDING_INSUFFICIENT;
		check->rows_needed = check->rule->min_rows;
		return;
	}
	if (!has_release || isnan(check->margin))
		check->finding = isnan(check->bound) ? FINDING_NO_TEST : FINDING_PASS;
	else if (!score->tested)
		check->finding = FINDING_NO_TEST;
	else
		decide_by_test(check, confidence);
	if (check->bound_broken) {
		check->finding = FINDING_FAIL;
		check->rows_needed = 0;
	}
}

/* Digits behind the point that show a number of this size to four figures. */
static int decimals_of(double size)
{
	if (!(fabs(size) > 0) || isinf(size))
		return 4;
	return CLAMP(3 - (int)floor(log10(fabs(size))), 0, 6);
}

static void append_signed(GString *text, double value, int decimals)
{
	g_autofree char *digits = g_strdup_printf("%.*f", decimals, fabs(value));
	bool zero = strspn(digits, "0.") == strlen(digits);
	g_string_append_printf(text, "%s%s", zero ? "" : value < 0 ? MINUS : "+", digits);
}

static void append_value(GString *text, MetricKind metric, double value)
{
	if (isnan(value))
		g_string_append(text, "not defined");
	else if (metric_is_share(metric))
		g_string_append_printf(text, "%.1f %%", value * 100);
	else
		g_string_append_printf(text, "%.*f", decimals_of(value), value);
}

static void append_name(GString *text, const Check *check)
{
	g_string_append(text, metric_name(check->rule->metric));
	if (check->column)
		g_string_append_printf(text, " where %s = %s", check->column, check->value);
}

/* "accuracy −1.9 points, 95 % interval −2.8 to −1.0" */
static void append_difference(GString *text, const Check *check, double confidence)
{
	const Estimate *estimate = &check->score.estimate;
	bool share = metric_is_share(check->rule->metric);
	double unit = share ? 100 : 1;
	double size = fmax(fabs(check->score.candidate), fabs(check->score.release));
	int decimals = share ? 1 : decimals_of(size);
	append_name(text, check);
	g_string_append_c(text, ' ');
	append_signed(text, estimate->difference * unit, decimals);
	g_string_append_printf(text, "%s, %g %% interval ", share ? " points" : "", confidence * 100);
	append_signed(text, estimate->low * unit, decimals);
	g_string_append(text, " to ");
	append_signed(text, estimate->high * unit, decimals);
}

static void append_margin(GString *text, const Check *check)
{
	bool share = metric_is_share(check->rule->metric);
	if (share)
		g_string_append_printf(text, ", margin %.3g points", check->margin * 100);
	else
		g_string_append_printf(text, ", margin %.3g", check->margin);
}

static void append_rows(GString *text, const Check *check)
{
	g_string_append_printf(text, ", %zu row%s", check->rows, check->rows == 1 ? "" : "s");
}

static void append_against(GString *text, const char *words, const ReportHead *head)
{
	if (head->model)
		g_string_append_printf(text, "%s the release (%s): ", words, head->release);
	else
		g_string_append_printf(text, "%s the release: ", words);
}

static void append_bound(GString *text, const Check *check)
{
	bool higher = metric_higher_is_better(check->rule->metric);
	if (check->bound_broken)
		g_string_append(text, higher ? "Below the floor: " : "Above the ceiling: ");
	append_name(text, check);
	g_string_append_c(text, ' ');
	append_value(text, check->rule->metric, check->score.candidate);
	append_rows(text, check);
	g_string_append(text, higher ? "; at least " : "; at most ");
	append_value(text, check->rule->metric, check->bound);
	g_string_append(text, " is asked");
}

static void append_untested(GString *text, const Check *check, const ReportHead *head)
{
	append_name(text, check);
	g_string_append_c(text, ' ');
	append_value(text, check->rule->metric, check->score.candidate);
	if (head->release && !isnan(check->score.release)) {
		g_string_append(text, ", of the release ");
		append_value(text, check->rule->metric, check->score.release);
	}
	append_rows(text, check);
	if (check->score.why_not[0] != '\0')
		g_string_append_printf(text, "; no test possible: %s", check->score.why_not);
	else
		g_string_append(text, "; reported, not judged");
}

static void append_tested(GString *text, const Check *check, const ReportHead *head)
{
	const Estimate *estimate = &check->score.estimate;
	bool better = metric_higher_is_better(check->rule->metric) ? estimate->low > 0 : estimate->high < 0;
	if (check->finding == FINDING_FAIL)
		append_against(text, "Worse than", head);
	else if (check->finding == FINDING_INCONCLUSIVE)
		append_against(text, "Undecided against", head);
	else
		append_against(text, better ? "Better than" : "Not worse than", head);
	append_difference(text, check, head->confidence);
	if (check->finding == FINDING_INCONCLUSIVE)
		append_margin(text, check);
	append_rows(text, check);
	if (check->finding == FINDING_INCONCLUSIVE && check->rows_needed > 0)
		g_string_append_printf(text, "; about %" G_GINT64_FORMAT " rows would decide", check->rows_needed);
}

char *check_sentence(const Check *check, const ReportHead *head)
{
	g_autoptr(GString) text = g_string_new(NULL);
	bool judged = head->release && check->score.tested && !isnan(check->margin);
	if (check->finding == FINDING_INSUFFICIENT) {
		g_string_append(text, "Too few rows to judge ");
		append_name(text, check);
		g_string_append_printf(text, ": %zu, and %" G_GINT64_FORMAT " are asked", check->rows,
		        check->rule->min_rows);
	} else if (check->bound_broken && !check->inferior) {
		append_bound(text, check);
	} else if (judged) {
		append_tested(text, check, head);
		if (check->bound_broken) {
			bool higher = metric_higher_is_better(check->rule->metric);
			g_string_append(text, higher ? "; below the floor of " : "; above the ceiling of ");
			append_value(text, check->rule->metric, check->bound);
		}
	} else {
		if (!head->release)
			g_string_append(text, "No release yet: ");
		if (check->finding == FINDING_PASS)
			append_bound(text, check);
		else
			append_untested(text, check, head);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void set_number(json_t *object, const char *key, double number)
{
	json_set(object, key, isfinite(number) ? json_real(number) : json_null());
}

static json_t *check_json(const Check *check, const ReportHead *head)
{
	const Score *score = &check->score;
	json_t *item = json_object();
	json_set_string(item, "name", metric_name(check->rule->metric));
	json_set_string(item, "direction", metric_higher_is_better(check->rule->metric) ? "higher" : "lower");
	json_t *slice = NULL;
	if (check->column) {
		slice = json_object();
		json_set_string(slice, "column", check->column);
		json_set_string(slice, "value", check->value);
	}
	json_set(item, "slice", slice);
	json_set_int(item, "n", (int64_t)check->rows);
	set_number(item, "candidate", score->candidate);
	set_number(item, "release", score->release);
	set_number(item, "difference", score->tested ? score->estimate.difference : score->candidate - score->release);
	set_number(item, "low", score->tested ? score->estimate.low : NAN);
	set_number(item, "high", score->tested ? score->estimate.high : NAN);
	set_number(item, "margin", check->margin);
	set_number(item, "floor", check->bound);
	json_set_string(item, "test", score->test);
	set_number(item, "p", score->tested ? score->estimate.p : NAN);
	json_set_string(item, "verdict", finding_words[check->finding]);
	json_set(item, "rows_needed", check->rows_needed > 0 ? json_integer(check->rows_needed) : NULL);
	g_autofree char *sentence = check_sentence(check, head);
	json_set_string(item, "sentence", sentence);
	return item;
}

/* Does this check stop the whole from passing? What is asked of all rows must be answered; small slices only warn. */
static bool is_open(const Check *check, const ReportHead *head)
{
	if (check->finding == FINDING_INCONCLUSIVE)
		return true;
	if (check->column)
		return false;
	bool asked = !isnan(check->bound) || (head->release && !isnan(check->margin));
	return asked && (check->finding == FINDING_INSUFFICIENT || check->finding == FINDING_NO_TEST);
}

static int rank_of(const Check *check, const ReportHead *head)
{
	if (check->finding == FINDING_FAIL)
		return 3;
	if (is_open(check, head))
		return 2;
	return check->finding == FINDING_PASS ? 1 : 0;
}

json_t *report_compare(const GArray *checks, const ReportHead *head)
{
	static const char *const verdicts[] = {"none", "pass", "inconclusive", "fail"};
	const Check *lead = NULL;
	int worst = -1;
	guint at_worst = 0;
	guint small = 0;
	g_autoptr(json_t) items = json_array();
	for (guint i = 0; i < checks->len; i++) {
		const Check *check = &g_array_index(checks, Check, i);
		int rank = rank_of(check, head);
		if (rank > worst) {
			worst = rank;
			lead = check;
			at_worst = 0;
		}
		at_worst += rank == worst;
		small += check->column && check->finding == FINDING_INSUFFICIENT;
		json_array_append_new(items, check_json(check, head));
	}
	g_autoptr(GString) sentence = g_string_new(NULL);
	g_autofree char *first = check_sentence(lead, head);
	g_string_append(sentence, first);
	if (worst >= 2 && at_worst > 1)
		g_string_append_printf(sentence, "; %u more check%s %s", at_worst - 1, at_worst > 2 ? "s" : "",
		        worst == 3 ? "failed" : "undecided");
	if (small > 0)
		g_string_append_printf(sentence, "; %u slice%s too small to judge", small, small > 1 ? "s" : "");
	g_string_append_c(sentence, '.');

	json_t *report = json_object();
	json_set_int(report, "version", 1);
	json_set_string(report, "kind", "compare");
	json_set_string(report, "verdict", verdicts[worst]);
	json_set_string(report, "sentence", sentence->str);
	json_t *candidate = json_object();
	json_set_string(candidate, "label", head->candidate);
	json_set(report, "candidate", candidate);
	json_t *release = NULL;
	if (head->release) {
		release = json_object();
		json_set_string(release, "label", head->release);
		json_set_string(release, "model", head->model);
		json_set(release, "version", head->version > 0 ? json_integer(head->version) : NULL);
	}
	json_set(report, "release", release);
	json_set_int(report, "rows", (int64_t)head->rows);
	json_set_real(report, "confidence", head->confidence);
	json_set_string(report, "data_digest", head->data_digest);
	json_set(report, "candidates_before",
	        head->candidates_before >= 0 ? json_integer(head->candidates_before) : NULL);
	json_set(report, "metrics", g_steal_pointer(&items));
	return report;
}

/* A cell of a Markdown table: nothing in it may end the cell, the row, or become HTML. */
static void append_cell(GString *text, const char *cell)
{
	g_string_append(text, "| ");
	for (const char *at = cell; *at; at++) {
		if (*at == '|' || *at == '\\' || *at == '`' || *at == '*' || *at == '_' || *at == '[' || *at == ']')
			g_string_append_printf(text, "\\%c", *at);
		else if (*at == '<' || *at == '>' || *at == '&')
			g_string_append(text, *at == '<' ? "&lt;" : *at == '>' ? "&gt;" : "&amp;");
		else
			g_string_append_c(text, g_ascii_iscntrl(*at) ? ' ' : *at);
	}
	g_string_append_c(text, ' ');
}

static void append_number_cell(GString *text, const json_t *item, const char *key)
{
	const json_t *value = json_object_get(item, key);
	g_autofree char *cell = json_is_number(value) ? g_strdup_printf("%.4g", json_number_value(value)) : g_strdup("");
	append_cell(text, cell);
}

static void append_row(GString *text, const json_t *item)
{
	const json_t *slice = json_object_get(item, "slice");
	g_autofree char *name = g_strdup(json_get_string(item, "name", ""));
	if (json_is_object(slice)) {
		g_free(name);
		name = g_strdup_printf("%s, %s = %s", json_get_string(item, "name", ""),
		        json_get_string(slice, "column", ""), json_get_string(slice, "value", ""));
	}
	append_cell(text, name);
	append_number_cell(text, item, "release");
	append_number_cell(text, item, "candidate");
	append_number_cell(text, item, "difference");
	g_autofree char *interval = json_is_number(json_object_get(item, "low"))
	                                    ? g_strdup_printf("%.4g to %.4g", json_get_real(item, "low", 0),
	                                              json_get_real(item, "high", 0))
	                                    : g_strdup("");
	append_cell(text, interval);
	append_number_cell(text, item, "margin");
	append_number_cell(text, item, "n");
	append_cell(text, json_get_string(item, "verdict", ""));
	g_string_append(text, "|\n");
}

char *report_markdown(const json_t *report)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_string_append_printf(text, "**%s** \xE2\x80\x94 ", json_get_string(report, "verdict", "none"));
	g_autoptr(GString) sentence = g_string_new(NULL);
	append_cell(sentence, json_get_string(report, "sentence", ""));
	g_string_append_printf(text, "%s\n", g_strstrip(sentence->str + 2));
	const json_t *metrics = json_object_get(report, "metrics");
	if (!json_is_array(metrics)) /* a training's metrics are an object; its sentence names them */
		return g_string_free(g_steal_pointer(&text), FALSE);
	g_string_append(text, "\n| metric | release | candidate | difference | interval | margin | rows | verdict |\n"
	                      "|---|---:|---:|---:|---|---:|---:|---|\n");
	size_t index;
	json_t *item;
	json_array_foreach(metrics, index, item)
	{
		if (index >= MARKDOWN_ROWS_MAX)
			break;
		append_row(text, item);
	}
	if (json_array_size(metrics) > MARKDOWN_ROWS_MAX)
		g_string_append_printf(text, "\n%zu more rows are in the report.\n",
		        json_array_size(metrics) - MARKDOWN_ROWS_MAX);
	int64_t before = json_get_int(report, "candidates_before", -1);
	if (before > 0)
		g_string_append_printf(text,
		        "\nThis evaluation data has judged %" G_GINT64_FORMAT " candidate%s before.\n", before,
		        before == 1 ? "" : "s");
	return g_string_free(g_steal_pointer(&text), FALSE);
}
