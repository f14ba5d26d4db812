/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of a comparison: a small text, read strictly, so that a misspelt word never makes a gate softer. */
#include "ml-steps/rules.h"

#include <math.h>
#include <string.h>

#include "agent/base/error.h"

#define RULES_BYTES_MAX (64 * 1024)

static const struct {
	const char *name;
	bool higher;
	bool share;
} metrics[METRIC_KINDS] = {
        [METRIC_ACCURACY] = {"accuracy", true, true},
        [METRIC_ERROR_RATE] = {"error_rate", false, true},
        [METRIC_LOG_LOSS] = {"log_loss", false, false},
        [METRIC_MAE] = {"mae", false, false},
        [METRIC_RMSE] = {"rmse", false, false},
        [METRIC_AUC] = {"auc", true, false},
        [METRIC_F1_MACRO] = {"f1_macro", true, false},
};

const char *metric_name(MetricKind kind)
{
	return metrics[kind].name;
}

bool metric_higher_is_better(MetricKind kind)
{
	return metrics[kind].higher;
}

bool metric_is_share(MetricKind kind)
{
	return metrics[kind].share;
}

static void rule_clear(void *data)
{
	g_free(((Rule *)data)->positive);
}

static bool metric_of(const char *word, MetricKind *out)
{
	for (size_t i = 0; i < METRIC_KINDS; i++) {
		if (strcmp(metrics[i].name, word) == 0) {
			*out = (MetricKind)i;
			return true;
		}
	}
	return false;
}

static bool read_number(const char *word, const char *value, double *out, GError **error)
{
	char *end = NULL;
	double number = g_ascii_strtod(value, &end);
	if (strchr(value, '%') != NULL)
		return fail(error, ASSAY_ERROR_USER, "'%s %s': write %s as a plain number, as 0.01", word, value, word);
	if (value[0] == '\0' || *end != '\0' || !isfinite(number))
		return fail(error, ASSAY_ERROR_USER, "'%s %s': a number is missing behind '%s'", word, value, word);
	*out = number;
	return true;
}

/* A margin: a positive number, given once, not both absolute and relative. */
static bool read_margin(Rule *rule, const char *word, const char *value, GError **error)
{
	bool relative = g_str_has_prefix(word, "relative-");
	bool slice = g_str_has_suffix(word, "slice-margin");
	double *into = slice ? &rule->slice_margin : &rule->margin;
	if (!isnan(*into))
		return fail(error, ASSAY_ERROR_USER, "the margin stands there twice");
	if ((!isnan(rule->margin) || !isnan(rule->slice_margin)) && relative != rule->relative)
		return fail(error, ASSAY_ERROR_USER, "one margin is relative and the other is not; write both alike");
	rule->relative = relative;
	if (!read_number(word, value, into, error))
		return false;
	if (!(*into > 0))
		return fail(error, ASSAY_ERROR_USER,
		        "'%s %s': a margin is greater than zero: no test can show that nothing was lost", word, value);
	return true;
}

/* `floor` for what should be high, `ceiling` for what should be low; the other way round is a mistake. */
static bool read_bound(Rule *rule, const char *word, const char *value, GError **error)
{
	bool floor_word = g_str_has_suffix(word, "floor");
	const char *name = metrics[rule->metric].name;
	if (floor_word != metrics[rule->metric].higher)
		return fail(error, ASSAY_ERROR_USER, "'%s': %s is better when it is %s; write '%s'", word, name,
		        floor_word ? "lower" : "higher", floor_word ? "ceiling" : "floor");
	return read_number(word, value, g_str_has_prefix(word, "slice-") ? &rule->slice_bound : &rule->bound, error);
}

static bool read_min_rows(Rule *rule, const char *value, GError **error)
{
	return g_ascii_string_to_signed(value, 10, 2, 1000000000, &rule->min_rows, NULL) ||
	       fail(error, ASSAY_ERROR_USER, "'min-rows %s': a whole number from 2 is missing", value);
}

static bool is_one_of(const char *word, const char *const *words)
{
	return g_strv_contains(words, word);
}

/* One option between commas. `reported` is set by the word `report`. */
static bool read_option(Rule *rule, char *text, bool *reported, GError **error)
{
	static const char *const margins[] = {"margin", "relative-margin", "slice-margin", "relative-slice-margin", NULL};
	static const char *const bounds[] = {"floor", "ceiling", "slice-floor", "slice-ceiling", NULL};
	char *value = text + strcspn(text, " \t");
	if (*value != '\0')
		*value++ = '\0';
	g_strstrip(value);
	if (is_one_of(text, margins))
		return read_margin(rule, text, value, error);
	if (is_one_of(text, bounds))
		return read_bound(rule, text, value, error);
	if (strcmp(text, "min-rows") == 0)
		return read_min_rows(rule, value, error);
	if (strcmp(text, "positive") == 0 && value[0] != '\0' && rule->metric == METRIC_AUC) {
		g_free(rule->positive);
		rule->positive = g_strdup(value);
		return true;
	}
	bool higher = strcmp(text, "higher") == 0;
	if ((higher || strcmp(text, "lower") == 0) && value[0] == '\0')
		return higher == metrics[rule->metric].higher ||
		       fail(error, ASSAY_ERROR_USER, "'%s': %s is better when it is %s", text,
		               metrics[rule->metric].name, higher ? "lower" : "higher");
	if (strcmp(text, "report") == 0 && value[0] == '\0') {
		*reported = true;
		return true;
	}
	return fail(error, ASSAY_ERROR_USER,
	        "'%s' is not known here; there are margin, relative-margin, slice-margin, relative-slice-margin, "
	        "floor, ceiling, slice-floor, slice-ceiling, min-rows, higher, lower, report, and for auc positive",
	        text);
}

static bool read_rule(char *line, Rule *rule, GError **error)
{
	char *colon = strchr(line, ':');
	if (!colon)
		return fail(error, ASSAY_ERROR_USER, "'%.200s' is not 'metric: options'", line);
	*colon = '\0';
	g_strstrip(line);
	if (!metric_of(line, &rule->metric))
		return fail(error, ASSAY_ERROR_USER,
		        "the metric '%.200s' is not known; there are accuracy, error_rate, log_loss, mae, rmse, auc and "
		        "f1_macro",
		        line);
	bool reported = false;
	g_auto(GStrv) options = g_strsplit(colon + 1, ",", -1);
	for (size_t i = 0; options[i]; i++) {
		char *option = g_strstrip(options[i]);
		if (option[0] != '\0' && !read_option(rule, option, &reported, error))
			return false;
	}
	bool judged = !isnan(rule->margin) || !isnan(rule->bound) || !isnan(rule->slice_margin) ||
	              !isnan(rule->slice_bound);
	if (judged == reported)
		return fail(error, ASSAY_ERROR_USER,
		        reported ? "%s: 'report' means that nothing is judged; leave it or the limits out"
		                 : "%s: nothing to judge; give a margin or a limit, or write 'report'",
		        line);
	return true;
}

GArray *rules_parse(const char *text, GError **error)
{
	g_autoptr(GArray) rules = g_array_new(FALSE, TRUE, sizeof(Rule));
	g_array_set_clear_func(rules, rule_clear);
	if (strlen(text) > RULES_BYTES_MAX) {
		fail(error, ASSAY_ERROR_USER, "rules: longer than %d KiB", RULES_BYTES_MAX >> 10);
		return NULL;
	}
	bool seen[METRIC_KINDS] = {false};
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (size_t i = 0; lines[i]; i++) {
		char *comment = strchr(lines[i], '#');
		if (comment)
			*comment = '\0';
		char *line = g_strstrip(lines[i]);
		if (line[0] == '\0')
			continue;
		Rule rule = {.margin = NAN, .slice_margin = NAN, .bound = NAN, .slice_bound = NAN, .min_rows = RULE_MIN_ROWS};
		bool good = read_rule(line, &rule, error);
		if (good && seen[rule.metric])
			good = fail(error, ASSAY_ERROR_USER, "%s stands there twice", metric_name(rule.metric));
		if (!good) {
			g_free(rule.positive);
			g_prefix_error(error, "rules: line %zu: ", i + 1);
			return NULL;
		}
		seen[rule.metric] = true;
		g_array_append_val(rules, rule);
	}
	if (rules->len == 0) {
		fail(error, ASSAY_ERROR_USER, "rules: there is none; write a line as '" RULES_DEFAULT "'");
		return NULL;
	}
	return g_steal_pointer(&rules);
}
