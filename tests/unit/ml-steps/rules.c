/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: what is read, and that a mistake is an error with its line, never a softer gate. */
#include "ml-steps/rules.h"

#include <math.h>
#include <string.h>

#include "agent/base/error.h"

static void test_reads(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) rules = rules_parse("# gate\naccuracy: margin 0.01, floor 0.90, slice-margin 0.1  # points\n\n"
	                                      "log_loss: lower, relative-margin 0.05, ceiling 0.4, min-rows 100\n"
	                                      "auc: positive spam, margin 0.005\r\nf1_macro: report",
	        &error);
	g_assert_no_error(error);
	g_assert_cmpuint(rules->len, ==, 4);
	const Rule *accuracy = &g_array_index(rules, Rule, 0);
	g_assert_cmpfloat(accuracy->margin, ==, 0.01);
	g_assert_cmpfloat(accuracy->slice_margin, ==, 0.1);
	g_assert_cmpfloat(accuracy->bound, ==, 0.90);
	g_assert_false(accuracy->relative);
	g_assert_cmpint(accuracy->min_rows, ==, RULE_MIN_ROWS);
	const Rule *loss = &g_array_index(rules, Rule, 1);
	g_assert_true(loss->relative && isnan(loss->slice_margin));
	g_assert_cmpfloat(loss->bound, ==, 0.4);
	g_assert_cmpint(loss->min_rows, ==, 100);
	g_assert_cmpstr(g_array_index(rules, Rule, 2).positive, ==, "spam");
	g_assert_true(isnan(g_array_index(rules, Rule, 3).margin));
}

static void test_mistakes(void)
{
	static const char *const rows[][2] = {
	        {"", "there is none"},
	        {"# nothing\n", "there is none"},
	        {"accuracy", "line 1: 'accuracy' is not 'metric: options'"},
	        {"accuracy: margin 0.01\nacuracy: margin 1", "line 2: the metric 'acuracy' is not known"},
	        {"accuracy: margin 0.01\naccuracy: floor 0.9", "line 2: accuracy stands there twice"},
	        {"accuracy:", "nothing to judge"},
	        {"accuracy: margin", "a number is missing"},
	        {"accuracy: margin 1%", "as a plain number"},
	        {"accuracy: margin 0", "greater than zero"},
	        {"accuracy: margin -0.01", "greater than zero"},
	        {"accuracy: margin nan", "a number is missing"},
	        {"accuracy: margin 0.01, margin 0.02", "twice"},
	        {"accuracy: margin 0.01, relative-slice-margin 0.1", "write both alike"},
	        {"accuracy: ceiling 0.9", "better when it is higher; write 'floor'"},
	        {"log_loss: floor 0.9", "better when it is lower; write 'ceiling'"},
	        {"accuracy: lower, margin 0.01", "accuracy is better when it is higher"},
	        {"accuracy: report, margin 0.01", "nothing is judged"},
	        {"accuracy: margin 0.01, min-rows 1", "min-rows"},
	        {"accuracy: margin 0.01, flor 0.9", "'flor' is not known here"},
	        {"accuracy: margin 0.01, positive 1", "'positive' is not known here"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(rules_parse(rows[i][0], &error));
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
		if (!strstr(error->message, rows[i][1]))
			g_error("'%s': '%s' does not say '%s'", rows[i][0], error->message, rows[i][1]);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/rules/reads_what_the_readme_says", test_reads);
	g_test_add_func("/rules/mistakes_name_their_line", test_mistakes);
	return g_test_run();
}
