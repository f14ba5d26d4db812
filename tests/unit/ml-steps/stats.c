/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comparisons against values computed with scipy 1.10.1 (Tango's interval there by numeric maximisation of the
 * likelihood), and their calibration: what a gate does with models whose true difference is known.
 */
#include "ml-steps/stats.h"

#include <glib.h>
#include <math.h>

#include "ml-steps/distribution.h"

#define NEAR(value, expected) g_assert_cmpfloat_with_epsilon((value), (expected), 1e-10)

static void test_mcnemar(void)
{
	NEAR(mcnemar_exact(1, 7), 0.0703125);
	NEAR(mcnemar_mid_p(1, 7), 0.0390625);
	NEAR(mcnemar_mid_p(5, 5), 0.876953125);
	NEAR(mcnemar_exact(25, 12), 0.04703102743951604);
	NEAR(mcnemar_mid_p(12, 25), 0.03355243967962451);
	NEAR(mcnemar_mid_p(0, 6), 0.015625);
	NEAR(mcnemar_mid_p(300, 340), 0.1140582386366375);
	NEAR(mcnemar_mid_p(0, 0), 1);
}

static void test_paired_proportions(void)
{
	static const struct {
		int64_t a, b, n;
		double low, high;
	} rows[] = {
	        {10, 20, 540, -0.04022386068584474, 0.0014479843434505924},
	        {0, 6, 100, -0.12476815681965084, -0.020786892495963806},
	        {30, 20, 1000, -0.0040004577663231115, 0.02460190860725283},
	        {53, 16, 1500, 0.014240266235374761, 0.036237376506178184},
	        {1, 1, 54, -0.08189728642, 0.08189728642},
	        {3, 40, 60, -0.741762135732441, -0.4444982617387492},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		Estimate got = paired_proportions(rows[i].a, rows[i].b, rows[i].n, 0.95);
		g_assert_cmpfloat_with_epsilon(got.low, rows[i].low, 2e-8);
		g_assert_cmpfloat_with_epsilon(got.high, rows[i].high, 2e-8);
		NEAR(got.difference, (double)(rows[i].a - rows[i].b) / (double)rows[i].n);
	}
	/* No row differs: the interval is z^2 / (n + z^2), never empty. */
	double z = normal_quantile(0.975);
	Estimate same = paired_proportions(0, 0, 540, 0.95);
	NEAR(same.high, z * z / (540 + z * z));
	NEAR(same.low, -same.high);
	Estimate other = paired_proportions(540, 0, 540, 0.95);
	g_assert_cmpfloat(other.low, >, 0.98);
	g_assert_cmpfloat(other.high, <=, 1);
}

static void test_paired_t(void)
{
	const double values[] = {0.3, -0.1, 0.25, 0.8, -0.4, 0.05, 0.6, 0.11, -0.2, 0.35};
	Estimate got = paired_t(values, G_N_ELEMENTS(values), 0.95);
	NEAR(got.difference, 0.176);
	NEAR(got.low, -0.08410326384458272);
	NEAR(got.high, 0.4361032638445827);
	NEAR(got.p, 0.16020220436589555);
	NEAR(got.row_sd, 0.363599291039524);
	const double zeros[3] = {0, 0, 0};
	got = paired_t(zeros, 3, 0.95);
	NEAR(got.low, 0);
	NEAR(got.p, 1);
}

static void test_delong(void)
{
	const bool positive[] = {1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1};
	const double a[] = {.9, .3, .8, .4, .5, .1, .7, .4, .6, .2, .65, .95};
	const double b[] = {.6, .3, .7, .4, .45, .2, .3, .35, .5, .2, .65, .9};
	double areas[2];
	Estimate got;
	g_assert_true(delong_paired(a, b, positive, 12, 0.95, areas, &got));
	NEAR(areas[0], 0.9027777777777778);
	NEAR(areas[1], 0.7916666666666666);
	NEAR(got.low, -0.10936803297721182);
	NEAR(got.high, 0.33159025519943414);
	NEAR(got.p, 0.3232850955135641);
	g_assert_false(delong_paired(a, b, positive, 2, 0.95, areas, &got));
}

static double weighted_mean(const uint32_t *weights, size_t n, void *data)
{
	const double *values = data;
	double sum = 0;
	double rows = 0;
	for (size_t i = 0; i < n; i++) {
		sum += weights[i] * values[i];
		rows += weights[i];
	}
	return sum / rows;
}

static void test_bootstrap(void)
{
	double values[] = {1.187, -0.05, 0.501, -0.271, -0.77, -0.366, -0.158, -0.685, -0.742, 0.201, 0.29, 0.366,
	        -0.572, 1.382, 0.632, 1.214, -0.282, -0.717, -0.362, -0.231, 1.322, -0.756, -0.671, 0.064, -0.445,
	        -0.104, 0.388, -0.758, 0.973, -0.799, 1.348, 0.129, -0.495, -0.104, 0.507, -0.283, -0.368, 0.281,
	        0.674, -0.435, -0.424, -0.493, 1.317, 0.538, -0.788, -0.233, -0.707, 0.448, 0.213, -0.019, -0.201,
	        0.616, -0.476, -0.396, 1.79, 0.477, 0.524, -0.674, 0.029, -0.411};
	size_t n = G_N_ELEMENTS(values);
	Estimate got;
	g_assert_true(paired_bootstrap(weighted_mean, values, n, 20000, BOOTSTRAP_SEED, 0.95, &got));
	/* scipy.stats.bootstrap, method BCa, 200 000 draws. */
	g_assert_cmpfloat_with_epsilon(got.difference, 0.03608333333333334, 1e-12);
	g_assert_cmpfloat_with_epsilon(got.low, -0.1202, 0.006);
	g_assert_cmpfloat_with_epsilon(got.high, 0.2159, 0.006);
	g_assert_cmpfloat_with_epsilon(got.row_sd / sqrt((double)n), 0.08543524845228108, 0.002);
	Estimate again;
	g_assert_true(paired_bootstrap(weighted_mean, values, n, 20000, BOOTSTRAP_SEED, 0.95, &again));
	g_assert_cmpmem(&got, sizeof got, &again, sizeof again);
}

static double never(const uint32_t *weights, size_t n, void *data)
{
	(void)weights, (void)n, (void)data;
	return NAN;
}

static void test_bootstrap_of_nothing(void)
{
	Estimate got;
	g_assert_false(paired_bootstrap(never, NULL, 10, 100, 1, 0.95, &got));
	g_assert_false(paired_bootstrap(never, NULL, 1, 100, 1, 0.95, &got));
}

static void test_outcomes(void)
{
	Estimate estimate = {.difference = 0, .low = -0.009, .high = 0.01};
	g_assert_cmpint(non_inferiority(&estimate, 0.01, true), ==, OUTCOME_PASS);
	g_assert_cmpint(non_inferiority(&estimate, 0.005, true), ==, OUTCOME_INCONCLUSIVE);
	estimate = (Estimate){.difference = -0.03, .low = -0.05, .high = -0.02};
	g_assert_cmpint(non_inferiority(&estimate, 0.01, true), ==, OUTCOME_FAIL);
	g_assert_cmpint(non_inferiority(&estimate, 0.01, false), ==, OUTCOME_PASS); /* a loss that fell */
	g_assert_cmpint(non_inferiority(&estimate, 0.03, true), ==, OUTCOME_INCONCLUSIVE);
}

static void test_rows_needed(void)
{
	/* sd 0.2449, distance 0.01: (1.96 + 0.8416)^2 * 0.06 / 0.0001 = 4709.3 */
	Estimate estimate = {.difference = 0, .row_sd = sqrt(0.06)};
	g_assert_cmpint(rows_needed(&estimate, 0.01, true, 0.95, true), ==, 4710);
	estimate.difference = -0.01;
	g_assert_cmpint(rows_needed(&estimate, 0.01, true, 0.95, true), ==, 0);
	estimate = (Estimate){.difference = 0, .row_sd = 0};
	g_assert_cmpint(rows_needed(&estimate, 0.01, true, 0.95, true), ==, 381);
	g_assert_cmpint(rows_needed(&estimate, 0.01, false, 0.95, false), ==, 0);
}

/* Shares of pass and fail among repeats of a gate on n rows, where a share of the rows differs between the models. */
static void simulate(size_t n, double only_candidate, double only_release, double *pass, double *fails)
{
	const int repeats = 2000;
	Random random;
	random_seed(&random, 41);
	int counts[3] = {0};
	for (int repeat = 0; repeat < repeats; repeat++) {
		int64_t a = 0;
		int64_t b = 0;
		for (size_t i = 0; i < n; i++) {
			double u = random_uniform(&random);
			a += u < only_candidate;
			b += u >= only_candidate && u < only_candidate + only_release;
		}
		Estimate got = paired_proportions(a, b, (int64_t)n, 0.95);
		counts[non_inferiority(&got, 0.01, true)]++;
	}
	*pass = (double)counts[OUTCOME_PASS] / repeats;
	*fails = (double)counts[OUTCOME_FAIL] / repeats;
}

/* Accuracy 0.90 or so, the models disagree on 6 % of the rows, margin one point. */
static void test_calibration(void)
{
	static const size_t sizes[] = {500, 1000, 5000};
	static const double least_pass[] = {0.08, 0.18, 0.75};
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		double pass = 0;
		double fails = 0;
		simulate(sizes[i], 0.03, 0.03, &pass, &fails);
		g_test_message("%zu rows, equal model: pass %.3f, fail %.3f", sizes[i], pass, fails);
		g_assert_cmpfloat(pass, >, least_pass[i]);
		g_assert_cmpfloat(fails, <, 0.005); /* an equal model is rarely refused */
		simulate(sizes[i], 0.025, 0.035, &pass, &fails);
		g_test_message("%zu rows, one point worse: pass %.3f, fail %.3f", sizes[i], pass, fails);
		g_assert_cmpfloat(pass, <, 0.06); /* on the margin: the test's level */
		simulate(sizes[i], 0.01, 0.07, &pass, &fails);
		g_test_message("%zu rows, six points worse: pass %.3f, fail %.3f", sizes[i], pass, fails);
		g_assert_cmpfloat(pass, <, 0.001);
		g_assert_cmpfloat(fails, >, 0.9);
	}
}

/* A bootstrap interval holds the truth about as often as it says. */
static void test_bootstrap_coverage(void)
{
	Random random;
	random_seed(&random, 7);
	int held = 0;
	const int repeats = 300;
	for (int repeat = 0; repeat < repeats; repeat++) {
		double values[100];
		for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
			values[i] = -log(1 - random_uniform(&random)) - 1; /* exponential, mean 0, skewed */
		Estimate got;
		g_assert_true(paired_bootstrap(weighted_mean, values, 100, 500, (uint64_t)repeat, 0.95, &got));
		held += got.low <= 0 && got.high >= 0;
	}
	g_test_message("coverage %.3f", (double)held / repeats);
	g_assert_cmpint(held, >, repeats * 90 / 100);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/stats/mcnemar_is_the_binomial", test_mcnemar);
	g_test_add_func("/stats/paired_proportions_is_tangos", test_paired_proportions);
	g_test_add_func("/stats/paired_t_is_scipys", test_paired_t);
	g_test_add_func("/stats/delong_is_the_naive_sum", test_delong);
	g_test_add_func("/stats/bootstrap_is_scipys_and_repeats", test_bootstrap);
	g_test_add_func("/stats/bootstrap_refuses_the_undefined", test_bootstrap_of_nothing);
	g_test_add_func("/stats/non_inferiority_reads_the_ends", test_outcomes);
	g_test_add_func("/stats/rows_needed_grows_with_variance", test_rows_needed);
	g_test_add_func("/stats/gate_is_calibrated", test_calibration);
	g_test_add_func("/stats/bootstrap_covers", test_bootstrap_coverage);
	return g_test_run();
}
