/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics and their tests against scikit-learn 1.2.1 and scipy 1.10.1, on the golden tables; and matching by id. */
#include "ml-steps/scores.h"

#include <math.h>

#include "agent/base/error.h"

#define GOLDEN TEST_SOURCE_DIR "/tests/golden/ml-steps/"

static Columns *table(const char *text)
{
	g_autoptr(GError) error = NULL;
	Columns *columns = columns_parse(text, strlen(text), COLUMNS_CSV, "t.csv", &error);
	g_assert_no_error(error);
	return columns;
}

static Columns *golden(const char *name)
{
	g_autofree char *path = g_strconcat(GOLDEN, name, NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return table(text);
}

static Score score_of(const Judged *judged, MetricKind metric)
{
	g_autofree uint32_t *rows = g_new(uint32_t, judged_rows(judged));
	for (uint32_t i = 0; i < judged_rows(judged); i++)
		rows[i] = i;
	Rule rule = {.metric = metric};
	Score score;
	g_autoptr(GError) error = NULL;
	judged_score(judged, &rule, rows, judged_rows(judged), 0.95, &score, &error);
	g_assert_no_error(error);
	return score;
}

static void assert_scores(const Judged *judged, MetricKind metric, double candidate, double release)
{
	Score score = score_of(judged, metric);
	g_assert_cmpfloat_with_epsilon(score.candidate, candidate, 1e-9);
	g_assert_cmpfloat_with_epsilon(score.release, release, 1e-9);
	g_assert_true(score.tested);
	g_assert_cmpfloat_with_epsilon(score.estimate.difference, candidate - release, 1e-9);
	g_assert_cmpfloat(score.estimate.low, <=, score.estimate.difference);
	g_assert_cmpfloat(score.estimate.high, >=, score.estimate.difference);
}

static void test_binary(void)
{
	g_autoptr(Columns) candidate = golden("binary-candidate.csv");
	g_autoptr(Columns) release = golden("binary-release.csv");
	g_autoptr(Judged) judged = judged_new(candidate, "c", release, "r", NULL);
	assert_scores(judged, METRIC_ACCURACY, 0.775, 0.625);
	assert_scores(judged, METRIC_ERROR_RATE, 0.225, 0.375);
	assert_scores(judged, METRIC_AUC, 0.860613810741688, 0.6751918158567775);
	assert_scores(judged, METRIC_LOG_LOSS, 0.4704606976725422, 0.6797648778473506);
	assert_scores(judged, METRIC_F1_MACRO, 0.7714285714285714, 0.6050032916392363);
	Score right = score_of(judged, METRIC_ACCURACY);
	Score wrong = score_of(judged, METRIC_ERROR_RATE);
	g_assert_cmpfloat_with_epsilon(right.estimate.low, -wrong.estimate.high, 1e-9);
}

static void test_regression(void)
{
	g_autoptr(Columns) candidate = golden("regression-candidate.csv");
	g_autoptr(Columns) release = golden("regression-release.csv");
	g_autoptr(Judged) judged = judged_new(candidate, "c", release, "r", NULL);
	g_assert_true(judged_is_regression(judged));
	assert_scores(judged, METRIC_MAE, 0.65175, 0.8455);
	assert_scores(judged, METRIC_RMSE, 0.8424681002862956, 0.9833971730689488);
	Score mae = score_of(judged, METRIC_MAE);
	g_assert_cmpfloat_with_epsilon(mae.estimate.low, -0.3954486757096338, 1e-9);
	g_assert_cmpfloat_with_epsilon(mae.estimate.high, 0.00794867570963359, 1e-9);
	g_assert_cmpfloat_with_epsilon(mae.estimate.p, 0.05926245340323105, 1e-9);
	Score rmse = score_of(judged, METRIC_RMSE); /* scipy.stats.bootstrap, BCa, 50 000 draws */
	g_assert_cmpfloat_with_epsilon(rmse.estimate.low, -0.3577, 0.03);
	g_assert_cmpfloat_with_epsilon(rmse.estimate.high, 0.1124, 0.03);
}

static void test_ten_classes(void)
{
	g_autoptr(Columns) candidate = golden("digits-worse.csv");
	g_autoptr(Columns) release = golden("digits-candidate.csv");
	g_autoptr(Judged) judged = judged_new(candidate, "c", release, "r", NULL);
	g_assert_false(judged_is_regression(judged));
	assert_scores(judged, METRIC_ACCURACY, 0.8416945373467113, 0.9899665551839465);
	assert_scores(judged, METRIC_F1_MACRO, 0.8437085354333751, 0.9902500245578348);
	assert_scores(judged, METRIC_LOG_LOSS, 1.2246512202528115, 0.10512466479912973);
}

static void test_order_and_spelling_do_not_matter(void)
{
	g_autoptr(Columns) candidate = table("id,label,prediction\na,1,1\nb,0,1\nc,1,0\n");
	g_autoptr(Columns) release = table("prediction,id,label\n0.0,b,0\n1.0,c,1.0\n1,a,1\n");
	g_autoptr(Judged) judged = judged_new(candidate, "c", release, "r", NULL);
	g_assert_nonnull(judged);
	Score score = score_of(judged, METRIC_ACCURACY);
	g_assert_cmpfloat_with_epsilon(score.candidate, 1.0 / 3, 1e-12);
	g_assert_cmpfloat_with_epsilon(score.release, 1, 1e-12);
	g_autoptr(Judged) alone = judged_new(candidate, "c", NULL, NULL, NULL);
	g_autoptr(Judged) other = judged_new(release, "r", NULL, NULL, NULL);
	g_autofree char *digest = judged_digest(alone);
	g_autofree char *same = judged_digest(other);
	g_assert_cmpstr(digest, ==, same);
	g_assert_cmpuint(strlen(digest), ==, 64);
}

static void test_differences_are_named(void)
{
	static const struct {
		const char *candidate, *release, *expected;
	} rows[] = {
	        {"id,label\n1,a\n", NULL, "c: the column 'prediction' is missing; there are id, label"},
	        {"id,label,prediction\n", NULL, "c: no rows"},
	        {"id,label,prediction\n1,a,b\n1,a,b\n", NULL, "c: line 3: the id '1' stands there twice"},
	        {"id,label,prediction\n1,,b\n", NULL, "c: line 2: the label is empty"},
	        {"id,label,prediction\n1,a,\n", NULL, "c: line 2: the prediction is empty"},
	        {"id,label,prediction\n1,a,b\n2,a,b\n", "id,label,prediction\n1,a,b\n", "r: the id '2' (c, line 3) is missing"},
	        {"id,label,prediction\n1,a,b\n", "id,label,prediction\n1,a,b\n7,a,b\n", "c: the id '7' (r, line 3) is missing"},
	        {"id,label,prediction\n1,a,b\n", "id,label,prediction\n1,x,b\n",
	                "r: line 2: the id '1' has the label 'x', but 'a' in c"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Columns) candidate = table(rows[i].candidate);
		g_autoptr(Columns) release = rows[i].release ? table(rows[i].release) : NULL;
		g_autoptr(GError) error = NULL;
		g_assert_null(judged_new(candidate, "c", release, "r", &error));
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
		if (!strstr(error->message, rows[i].expected))
			g_error("row %zu: '%s' does not say '%s'", i, error->message, rows[i].expected);
	}
}

static void test_what_a_metric_needs(void)
{
	static const struct {
		const char *text;
		MetricKind metric;
		const char *expected;
	} rows[] = {
	        {"id,label,prediction\n1,a,b\n", METRIC_MAE, "mae needs labels and predictions that are numbers"},
	        {"id,label,prediction\n1,a,b\n2,b,b\n", METRIC_LOG_LOSS, "log_loss needs a column 'pa'"},
	        {"id,label,prediction\n1,a,b\n2,b,b\n", METRIC_AUC, "auc needs a column 'score', or 'pb'"},
	        {"id,label,prediction,score\n1,a,b,1\n", METRIC_AUC, "exactly two classes"},
	        {"id,label,prediction,score\n1,a,b,1\n2,b,b,\n", METRIC_AUC, "c: line 3: the score is empty"},
	        {"id,label,prediction,pa,pb\n1,a,b,1,0\n2,b,b,0,1.5\n", METRIC_LOG_LOSS, "line 3: 'pb' is not a probability"},
	};
	const uint32_t all[] = {0, 1};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Columns) columns = table(rows[i].text);
		g_autoptr(Judged) judged = judged_new(columns, "c", NULL, NULL, NULL);
		g_autoptr(GError) error = NULL;
		Rule rule = {.metric = rows[i].metric};
		Score score;
		g_assert_false(judged_score(judged, &rule, all, judged_rows(judged), 0.95, &score, &error));
		if (!strstr(error->message, rows[i].expected))
			g_error("row %zu: '%s' does not say '%s'", i, error->message, rows[i].expected);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/scores/binary_is_scikit_learns", test_binary);
	g_test_add_func("/scores/regression_is_scikit_learns", test_regression);
	g_test_add_func("/scores/ten_classes_are_scikit_learns", test_ten_classes);
	g_test_add_func("/scores/order_and_spelling_do_not_matter", test_order_and_spelling_do_not_matter);
	g_test_add_func("/scores/differences_of_the_tables_are_named", test_differences_are_named);
	g_test_add_func("/scores/what_a_metric_needs_is_named", test_what_a_metric_needs);
	return g_test_run();
}
