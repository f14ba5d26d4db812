/* SPDX-License-Identifier: Apache-2.0 */
/* The step as a workflow uses it: real predictions of examples/digits, its rules, and what a reviewer reads. */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "ml-steps/report.h"
#include "tests/lib/fake_step.h"

#define GOLDEN TEST_SOURCE_DIR "/tests/golden/ml-steps/"
#define RULES "accuracy: margin 0.01, floor 0.90, slice-margin 0.05\nlog_loss: margin 0.05\nf1_macro: report"

extern const MlStep ml_step_compare;

static void give(FakeStep *fake, const char *path, const char *name)
{
	g_autofree char *from = g_strconcat(GOLDEN, name, NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(from, &text, NULL, NULL));
	fake_step_write(fake, path, text);
}

/* A workplace with digits 7 as the release and a candidate. */
static FakeStep *digits(const char *candidate, const char *release)
{
	FakeStep *fake = fake_step_new();
	give(fake, "candidate.csv", candidate);
	if (release)
		give(fake, "release.csv", release);
	fake_step_input(fake, "candidate", "candidate.csv");
	fake_step_input(fake, "release", "release.csv");
	fake_step_input(fake, "rules", RULES);
	fake_step_input(fake, "model", "digits");
	fake_step_input(fake, "release-version", release ? "7" : "");
	fake_step_answer(fake, "dataset.judged", "{\"candidates\":7}");
	return fake;
}

static const json_t *run_well(FakeStep *fake)
{
	g_autoptr(GError) error = NULL;
	fake_step_run(fake, &ml_step_compare, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(json_array_size(fake->reports), ==, 1);
	return json_array_get(fake->reports, 0);
}

static void test_worse_is_fail(void)
{
	g_autoptr(FakeStep) fake = digits("digits-worse.csv", "digits-candidate.csv");
	fake_step_input(fake, "slices", "ink");
	const json_t *report = run_well(fake);
	g_assert_cmpstr(fake_step_output(fake, "verdict"), ==, "fail");
	g_assert_cmpstr(json_get_string(report, "verdict", ""), ==, "fail");
	g_assert_cmpstr(json_get_string(report, "sentence", ""), ==,
	        "Worse than the release (digits 7): accuracy \xE2\x88\x92" "14.8 points, 95 % interval "
	        "\xE2\x88\x92" "17.3 to \xE2\x88\x92" "12.6, 897 rows; below the floor of 90.0 %; 7 more checks failed.");
	g_assert_cmpint(json_get_int(report, "rows", 0), ==, 897);
	g_assert_cmpint(json_get_int(report, "candidates_before", 0), ==, 6);
	g_assert_cmpstr(json_get_string(json_object_get(report, "release"), "label", ""), ==, "digits 7");
	g_assert_cmpint(json_get_int(json_object_get(report, "release"), "version", 0), ==, 7);
	const json_t *metrics = json_object_get(report, "metrics");
	g_assert_cmpuint(json_array_size(metrics), ==, 3 + 3 * 2); /* f1_macro is not judged in slices */
	const json_t *slice = json_object_get(json_array_get(metrics, 3), "slice");
	g_assert_cmpstr(json_get_string(slice, "column", ""), ==, "ink");

	g_autofree char *text = fake_step_read(fake, fake_step_output(fake, "report"));
	g_autofree char *same = json_text(report);
	g_assert_cmpstr(text, ==, same);
	g_autofree char *markdown = report_markdown(report);
	g_autofree char *written = fake_step_read(fake, fake_step_output(fake, "table"));
	g_assert_cmpstr(written, ==, markdown);
	g_assert_nonnull(strstr(markdown, "| accuracy | 0.99 | 0.8417 | -0.1483 |"));
}

static void test_sentence_of_a_loss(void)
{
	g_autoptr(FakeStep) fake = digits("digits-worse.csv", "digits-candidate.csv");
	fake_step_input(fake, "rules", "accuracy: margin 0.01");
	const json_t *report = run_well(fake);
	g_assert_cmpstr(json_get_string(report, "sentence", ""), ==,
	        "Worse than the release (digits 7): accuracy \xE2\x88\x92" "14.8 points, 95 % interval "
	        "\xE2\x88\x92" "17.3 to \xE2\x88\x92" "12.6, 897 rows.");
}

static void test_same_is_pass(void)
{
	g_autoptr(FakeStep) fake = digits("digits-candidate.csv", "digits-candidate.csv");
	fake_step_input(fake, "slices", "ink");
	const json_t *report = run_well(fake);
	g_assert_cmpstr(json_get_string(report, "verdict", ""), ==, "pass");
	g_assert_cmpstr(json_get_string(report, "sentence", ""), ==,
	        "Not worse than the release (digits 7): accuracy 0.0 points, 95 % interval \xE2\x88\x92" "0.4 to +0.4, 897 rows.");
}

static void test_better_is_said(void)
{
	g_autoptr(FakeStep) fake = digits("digits-candidate.csv", "digits-worse.csv");
	const json_t *report = run_well(fake);
	g_assert_cmpstr(json_get_string(report, "verdict", ""), ==, "pass");
	g_assert_true(g_str_has_prefix(json_get_string(report, "sentence", ""), "Better than the release (digits 7): accuracy +14.8"));
}

static void test_first_release(void)
{
	g_autoptr(FakeStep) fake = digits("digits-candidate.csv", NULL);
	const json_t *report = run_well(fake);
	g_assert_cmpstr(json_get_string(report, "verdict", ""), ==, "pass");
	g_assert_true(json_is_null(json_object_get(report, "release")));
	g_assert_cmpstr(json_get_string(report, "sentence", ""), ==,
	        "No release yet: accuracy 99.0 %, 897 rows; at least 90.0 % is asked.");
	fake_step_input(fake, "rules", "accuracy: margin 0.01");
	json_array_clear(fake->reports);
	report = run_well(fake);
	g_assert_cmpstr(json_get_string(report, "verdict", ""), ==, "none");
}

static void test_floor(void)
{
	g_autoptr(FakeStep) fake = digits("digits-worse.csv", NULL);
	const json_t *report = run_well(fake);
	g_assert_cmpstr(json_get_string(report, "verdict", ""), ==, "fail");
	g_assert_cmpstr(json_get_string(report, "sentence", ""), ==,
	        "Below the floor: accuracy 84.2 %, 897 rows; at least 90.0 % is asked.");
}

static void test_inconclusive_is_not_pass(void)
{
	g_autoptr(FakeStep) fake = digits("binary-candidate.csv", "binary-release.csv");
	fake_step_input(fake, "rules", "auc: margin 0.01\naccuracy: margin 0.05");
	give(fake, "candidate.csv", "binary-release.csv");
	give(fake, "release.csv", "binary-candidate.csv");
	const json_t *report = run_well(fake);
	g_assert_cmpstr(fake_step_output(fake, "verdict"), ==, "inconclusive");
	const json_t *accuracy = json_array_get(json_object_get(report, "metrics"), 1);
	g_assert_cmpint(json_get_int(accuracy, "rows_needed", 0), >, 40);
	g_assert_nonnull(strstr(json_get_string(accuracy, "sentence", ""), "Undecided against the release (digits 7)"));
	g_assert_nonnull(strstr(json_get_string(accuracy, "sentence", ""), "rows would decide"));
}

static void test_on_failure(void)
{
	g_autoptr(FakeStep) fake = digits("digits-worse.csv", "digits-candidate.csv");
	fake_step_input(fake, "on-failure", "fail");
	g_autoptr(GError) error = NULL;
	g_assert_false(fake_step_run(fake, &ml_step_compare, &error));
	g_assert_true(g_str_has_prefix(error->message, "Worse than the release"));
	g_assert_cmpuint(json_array_size(fake->reports), ==, 1); /* it is reported all the same */
}

static void test_small_slices_warn(void)
{
	g_autoptr(FakeStep) fake = fake_step_new();
	g_autoptr(GString) text = g_string_new("id,label,prediction,site\n");
	for (int i = 0; i < 500; i++)
		g_string_append_printf(text, "%d,%d,%d,%s\n", i, i % 2, i % 2, i < 5 ? "north | \"x\"" : "south");
	g_autoptr(GString) quoted = g_string_new(NULL);
	g_auto(GStrv) lines = g_strsplit(text->str, "north | \"x\"", -1);
	g_autofree char *joined = g_strjoinv("\"north | \"\"x\"\"\"", lines);
	fake_step_write(fake, "c.csv", joined);
	fake_step_write(fake, "r.csv", joined);
	fake_step_input(fake, "candidate", "/home/runner/work/digits/digits/c.csv");
	fake_step_input(fake, "release", "./r.csv");
	fake_step_input(fake, "slices", "site");
	const json_t *report = run_well(fake);
	g_assert_cmpstr(json_get_string(report, "verdict", ""), ==, "pass");
	g_assert_nonnull(strstr(json_get_string(report, "sentence", ""), "1 slice too small to judge."));
	g_assert_true(json_is_null(json_object_get(report, "candidates_before"))); /* nobody answered: said in the log */
	g_assert_nonnull(strstr(fake->log->str, "is not known"));
	g_autofree char *markdown = report_markdown(report);
	g_assert_nonnull(strstr(markdown, "north \\| \"x\""));
}

static void test_live_version_is_asked(void)
{
	g_autoptr(FakeStep) fake = digits("digits-candidate.csv", "digits-candidate.csv");
	fake_step_input(fake, "release-version", "");
	fake_step_answer(fake, "model.get", "{\"name\":\"digits\",\"version\":12}");
	const json_t *report = run_well(fake);
	g_assert_cmpstr(json_get_string(json_object_get(report, "release"), "label", ""), ==, "digits 12");
}

static void test_forgotten_predictions(void)
{
	g_autoptr(FakeStep) fake = digits("digits-candidate.csv", NULL);
	fake_step_answer(fake, "model.get", "{\"name\":\"digits\",\"version\":12}");
	g_autoptr(GError) error = NULL;
	g_assert_false(fake_step_run(fake, &ml_step_compare, &error));
	g_assert_nonnull(strstr(error->message, "no predictions of version 12, which is live"));
}

static void test_mistakes(void)
{
	static const char *const rows[][3] = {
	        {"candidate", "absent.csv", "absent.csv"},
	        {"candidate", "../candidate.csv", "'..' leads out"},
	        {"candidate", "/etc/passwd.csv", "not in the workspace"},
	        {"candidate", "model.parquet", "Parquet"},
	        {"candidate", "", "the input 'candidate' is required"},
	        {"rules", "accuracy: margin x", "rules: line 1"},
	        {"confidence", "95", "confidence"},
	        {"on-failure", "ignore", "on-failure"},
	        {"slices", "absent", "slices: candidate.csv has no column 'absent'"},
	        {"slices", "id", "more than 100 values"},
	        {"data", "digits:3", "data: 'digits:3' is not a digest"},
	        {"release-version", "seven", "release-version"},
	        {"release", "absent.csv", "release: no predictions of version 7"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(FakeStep) fake = digits("digits-candidate.csv", "digits-candidate.csv");
		fake_step_input(fake, rows[i][0], rows[i][1]);
		g_autoptr(GError) error = NULL;
		g_assert_false(fake_step_run(fake, &ml_step_compare, &error));
		g_assert_nonnull(error);
		if (!strstr(error->message, rows[i][2]))
			g_error("row %zu: '%s' does not say '%s'", i, error->message, rows[i][2]);
		g_assert_cmpuint(json_array_size(fake->reports), ==, 0);
	}
}

static void test_links_are_not_followed_out(void)
{
	g_autoptr(FakeStep) fake = digits("digits-candidate.csv", NULL);
	g_autofree char *link = g_build_filename(fake->workspace, ".assay", NULL);
	g_assert_cmpint(symlink("/tmp", link), ==, 0);
	g_autoptr(GError) error = NULL;
	g_assert_false(fake_step_run(fake, &ml_step_compare, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_DENIED);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/compare/worse_is_fail", test_worse_is_fail);
	g_test_add_func("/compare/sentence_says_how_much", test_sentence_of_a_loss);
	g_test_add_func("/compare/same_is_pass", test_same_is_pass);
	g_test_add_func("/compare/better_is_said", test_better_is_said);
	g_test_add_func("/compare/first_release_is_judged_by_floors", test_first_release);
	g_test_add_func("/compare/floor_is_hard", test_floor);
	g_test_add_func("/compare/inconclusive_is_not_pass", test_inconclusive_is_not_pass);
	g_test_add_func("/compare/on_failure_fails_the_step", test_on_failure);
	g_test_add_func("/compare/small_slices_warn", test_small_slices_warn);
	g_test_add_func("/compare/live_version_is_asked", test_live_version_is_asked);
	g_test_add_func("/compare/forgotten_predictions_are_no_first_release", test_forgotten_predictions);
	g_test_add_func("/compare/mistakes_are_named", test_mistakes);
	g_test_add_func("/compare/links_are_not_followed_out", test_links_are_not_followed_out);
	return g_test_run();
}
