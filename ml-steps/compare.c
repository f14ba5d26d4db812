/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assay/compare: is the candidate worse than the release? Both models' predictions for the same rows are compared by
 * the rules, over all rows and in each slice; an answer that the data cannot give is "inconclusive", not "pass". The
 * step fails only when `on-failure: fail` asks for it: a gate shows the verdict to a person otherwise.
 */
#include <math.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "ml-steps/report.h"
#include "ml-steps/workspace.h"

#define SLICES_MAX 20
#define SLICE_VALUES_MAX 100

static Columns *read_table(MlContext *context, const char *path, GError **error)
{
	ColumnsFormat format;
	if (!columns_format(path, &format, error))
		return NULL;
	g_autoptr(GBytes) bytes = workspace_read(context, path, COLUMNS_BYTES_MAX, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	return columns_parse(text ? text : "", len, format, path, error);
}

static bool read_confidence(MlContext *context, double *out, GError **error)
{
	const char *text = step_input(context, "confidence");
	char *end = NULL;
	double value = g_ascii_strtod(text ? text : "0.95", &end);
	if (*end != '\0' || !(value >= 0.5 && value <= 0.9999))
		return fail(error, ASSAY_ERROR_USER, "confidence: '%s' is not a share between 0.5 and 0.9999; write 0.95", text);
	*out = value;
	return true;
}

static bool read_on_failure(MlContext *context, bool *out_fails, GError **error)
{
	const char *text = step_input(context, "on-failure");
	*out_fails = g_strcmp0(text, "fail") == 0;
	if (!text || *out_fails || strcmp(text, "report") == 0)
		return true;
	return fail(error, ASSAY_ERROR_USER, "on-failure: '%s' is neither 'report' nor 'fail'", text);
}

/* The version of the model that is live, 0 when there is none or it is not known. */
static int64_t ask_live_version(MlContext *context, const char *model)
{
	g_autoptr(json_t) answer = NULL;
	g_autoptr(GError) why = NULL;
	json_t *with = json_object();
	json_set_string(with, "name", model);
	if (step_ask(context, "model.get", with, &answer, &why))
		return json_get_int(answer, "version", 0);
	if (!g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_ABSENT))
		context->log(context, "The release's version is not known: %s", why->message);
	return 0;
}

/*
 * The release as it is called: "digits 7". Without a version the registry is asked for the one that is live. Where there
 * is a release, its predictions must be there: a forgotten file may not turn into "no release yet".
 */
static bool read_release(MlContext *context, bool has_release, ReportHead *head, char **out_label, GError **error)
{
	head->model = step_input(context, "model");
	const char *version = step_input(context, "release-version");
	if (version && !g_ascii_string_to_signed(version, 10, 1, G_MAXINT64, &head->version, NULL))
		return fail(error, ASSAY_ERROR_USER, "release-version: '%s' is not a version's number", version);
	if (head->model && head->version == 0)
		head->version = ask_live_version(context, head->model);
	if (!has_release) {
		if (head->version == 0)
			return true;
		return fail(error, ASSAY_ERROR_USER,
		        "release: no predictions of version %" G_GINT64_FORMAT
		        ", which is live, were found; does the step that makes them run?",
		        head->version);
	}
	if (head->model && head->version > 0)
		*out_label = g_strdup_printf("%s %" G_GINT64_FORMAT, head->model, head->version);
	else
		*out_label = g_strdup(head->model ? head->model : "release");
	return true;
}

/* How many candidates this evaluation data has judged: the more, the less its numbers mean. */
static void count_candidates(MlContext *context, ReportHead *head)
{
	g_autoptr(json_t) answer = NULL;
	g_autoptr(GError) why = NULL;
	json_t *with = json_object();
	json_set_string(with, "digest", head->data_digest);
	head->candidates_before = -1;
	if (step_ask(context, "dataset.judged", with, &answer, &why))
		head->candidates_before = MAX(json_get_int(answer, "candidates", 0) - 1, -1);
	else
		context->log(context, "How often this data has judged is not known: %s", why->message);
}

static double absolute_margin(const Rule *rule, double margin, double release)
{
	return rule->relative ? margin * fabs(release) : margin;
}

static bool add_check(GArray *checks, const Judged *judged, const Rule *rule, Check check, const uint32_t *rows,
        double confidence, GError **error)
{
	check.rule = rule;
	if (!judged_score(judged, rule, rows, check.rows, confidence, &check.score, error))
		return false;
	check.margin = absolute_margin(rule, check.margin, check.score.release);
	check_decide(&check, judged->sides_len == SIDES, confidence);
	g_array_append_val(checks, check);
	return true;
}

typedef struct Slice {
	const char *value;
	GArray *rows; /* uint32_t */
} Slice;

static void slice_clear(void *data)
{
	g_array_unref(((Slice *)data)->rows);
}

static int compare_slices(const void *a, const void *b)
{
	const char *x = ((const Slice *)a)->value;
	const char *y = ((const Slice *)b)->value;
	double number_x = g_ascii_strtod(x, NULL);
	double number_y = g_ascii_strtod(y, NULL);
	if (number_x < number_y || number_x > number_y)
		return number_x < number_y ? -1 : 1;
	return strcmp(x, y);
}

/* The rows of each value of a column, values in order. */
static GArray *slices_of(const Columns *table, const char *name, const char *column_name, GError **error)
{
	int column = columns_find(table, column_name);
	if (column < 0) {
		g_autofree char *names = columns_names(table);
		fail(error, ASSAY_ERROR_USER, "slices: %s has no column '%s'; there are %.500s", name, column_name, names);
		return NULL;
	}
	g_autoptr(GArray) slices = g_array_new(FALSE, FALSE, sizeof(Slice));
	g_array_set_clear_func(slices, slice_clear);
	g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
	for (uint32_t row = 0; row < columns_rows(table); row++) {
		const char *value = columns_text(table, (size_t)column, row);
		void *found = NULL;
		if (!g_hash_table_lookup_extended(known, value, NULL, &found)) {
			if (slices->len >= SLICE_VALUES_MAX) {
				fail(error, ASSAY_ERROR_USER,
				        "slices: the column '%s' has more than %d values; write groups into a column of its own",
				        column_name, SLICE_VALUES_MAX);
				return NULL;
			}
			found = GUINT_TO_POINTER(slices->len);
			g_hash_table_insert(known, (void *)value, found);
			Slice slice = {value, g_array_new(FALSE, FALSE, sizeof(uint32_t))};
			g_array_append_val(slices, slice);
		}
		g_array_append_val(g_array_index(slices, Slice, GPOINTER_TO_UINT(found)).rows, row);
	}
	g_array_sort(slices, compare_slices);
	return g_steal_pointer(&slices);
}

/* Every rule that says something about slices, in every slice of one column. */
static bool check_slices(GArray *checks, const Judged *judged, const GArray *rules, const char *column,
        GArray *slices, double confidence, GError **error)
{
	for (guint s = 0; s < slices->len; s++) {
		const Slice *slice = &g_array_index(slices, Slice, s);
		for (guint i = 0; i < rules->len; i++) {
			const Rule *rule = &g_array_index(rules, Rule, i);
			double margin = isnan(rule->slice_margin) ? rule->margin : rule->slice_margin;
			if (isnan(margin) && isnan(rule->slice_bound))
				continue;
			Check check = {.column = column, .value = slice->value, .rows = slice->rows->len,
			        .margin = margin, .bound = rule->slice_bound};
			if (!add_check(checks, judged, rule, check, (const uint32_t *)(void *)slice->rows->data, confidence,
			            error))
				return false;
		}
	}
	return true;
}

static bool check_all(GArray *checks, const Judged *judged, const GArray *rules, double confidence, GError **error)
{
	g_autofree uint32_t *rows = g_new(uint32_t, judged->rows);
	for (uint32_t i = 0; i < judged->rows; i++)
		rows[i] = i;
	for (guint i = 0; i < rules->len; i++) {
		const Rule *rule = &g_array_index(rules, Rule, i);
		Check check = {.rows = judged->rows, .margin = rule->margin, .bound = rule->bound};
		if (!add_check(checks, judged, rule, check, rows, confidence, error))
			return false;
	}
	return true;
}

/* Writes and hands over what was found. */
static bool publish(MlContext *context, const json_t *report, GError **error)
{
	g_autofree char *digest = json_digest(report);
	g_autofree char *name = g_strdup_printf("compare-%.12s.json", digest);
	g_autofree char *table_name = g_strdup_printf("compare-%.12s.md", digest);
	g_autofree char *text = json_text(report);
	g_autofree char *table = report_markdown(report);
	g_autofree char *path = workspace_write(context, name, text, error);
	g_autofree char *table_path = path ? workspace_write(context, table_name, table, error) : NULL;
	if (!table_path)
		return false;
	const json_t *metrics = json_object_get(report, "metrics");
	for (size_t i = 0; i < json_array_size(metrics); i++) {
		const json_t *item = json_array_get(metrics, i);
		context->log(context, "%s: %s", json_get_string(item, "verdict", ""), json_get_string(item, "sentence", ""));
	}
	context->log(context, "Verdict %s. %s", json_get_string(report, "verdict", ""),
	        json_get_string(report, "sentence", ""));
	step_output(context, "verdict", json_get_string(report, "verdict", ""));
	step_output(context, "sentence", json_get_string(report, "sentence", ""));
	step_output(context, "report", path);
	step_output(context, "table", table_path);
	context->report(context, report);
	return true;
}

static char *candidate_label(MlContext *context)
{
	const char *sha = json_get_string(context->github, "sha", "");
	return sha[0] ? g_strdup_printf("commit %.7s", sha) : g_strdup("candidate");
}

static bool compare_run(MlContext *context, GError **error)
{
	const char *candidate_path = step_required(context, "candidate", error);
	const char *release_path = step_input(context, "release");
	const char *rules_text = step_input(context, "rules");
	bool fails = false;
	const char *data = step_input(context, "data");
	ReportHead head = {.candidates_before = -1};
	if (candidate_path && data && !digest_valid(data))
		return fail(error, ASSAY_ERROR_USER, "data: '%.100s' is not a digest, 64 lower-case hex characters", data);
	if (!candidate_path || !read_confidence(context, &head.confidence, error) ||
	        !read_on_failure(context, &fails, error))
		return false;
	g_autoptr(GArray) rules = rules_parse(rules_text ? rules_text : RULES_DEFAULT, error);
	g_autoptr(Columns) candidate = rules ? read_table(context, candidate_path, error) : NULL;
	if (!candidate)
		return false;
	g_autoptr(Columns) release = NULL;
	if (release_path) {
		g_autofree char *path = workspace_path(context, release_path, error);
		if (!path || (workspace_has(context, path) && !(release = read_table(context, release_path, error))))
			return false;
	}
	g_autofree char *label = NULL;
	if (!read_release(context, release != NULL, &head, &label, error))
		return false;
	g_autoptr(Judged) judged = judged_new(candidate, candidate_path, release, release_path, error);
	if (!judged)
		return false;
	if (!rules_text && judged_is_regression(judged))
		return fail(error, ASSAY_ERROR_USER,
		        "rules: the labels are numbers with fractions, so hits cannot be counted; write rules for mae or rmse");

	g_autoptr(GArray) checks = g_array_new(FALSE, FALSE, sizeof(Check));
	if (!check_all(checks, judged, rules, head.confidence, error))
		return false;
	g_auto(GStrv) columns = step_list(context, "slices");
	if (g_strv_length(columns) > SLICES_MAX)
		return fail(error, ASSAY_ERROR_USER, "slices: more than %d columns", SLICES_MAX);
	g_autoptr(GPtrArray) sliced = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
	for (size_t i = 0; columns[i]; i++) {
		GArray *slices = slices_of(candidate, candidate_path, columns[i], error);
		if (!slices)
			return false;
		g_ptr_array_add(sliced, slices);
		if (!check_slices(checks, judged, rules, columns[i], slices, head.confidence, error))
			return false;
	}

	g_autofree char *own_label = candidate_label(context);
	g_autofree char *rows_digest = judged_digest(judged);
	head.candidate = own_label;
	head.release = label;
	head.rows = judged_rows(judged);
	head.data_digest = data ? data : rows_digest;
	count_candidates(context, &head);
	g_autoptr(json_t) report = report_compare(checks, &head);
	if (!publish(context, report, error))
		return false;
	if (fails && strcmp(json_get_string(report, "verdict", ""), "fail") == 0)
		return fail(error, ASSAY_ERROR_USER, "%s", json_get_string(report, "sentence", ""));
	return true;
}

static const MlInput inputs[] = {
        {"candidate", true, NULL, "table of the candidate's predictions: id, label, prediction, maybe score or pX"},
        {"release", false, NULL, "the release's predictions for the same rows; absent or no file: no release yet"},
        {"rules", false, NULL, "what is judged, one metric a line; default: " RULES_DEFAULT},
        {"slices", false, NULL, "columns of the candidate's table whose values are judged each on its own"},
        {"on-failure", false, "report", "'report': the gate shows the verdict; 'fail': the step fails"},
        {"data", false, NULL, "digest of the evaluation data; default: that of ids and labels"},
        {"confidence", false, "0.95", "of the two-sided interval whose ends decide"},
        {"model", false, NULL, "name of the release's model, for the report"},
        {"release-version", false, NULL, "its version; default: the one with the alias production"},
        {0},
};
static const MlOutput outputs[] = {
        {"verdict", "pass, fail, inconclusive or none"},
        {"report", "path of the report, JSON"},
        {"table", "path of the same as a Markdown table, for a comment or a summary"},
        {"sentence", "the verdict in words"},
        {0},
};
extern const MlStep ml_step_compare;
const MlStep ml_step_compare = {
        .name = "compare",
        .summary = "compares a candidate's predictions with the release's, by rules",
        .inputs = inputs,
        .outputs = outputs,
        .run = compare_run,
};
