/* SPDX-License-Identifier: Apache-2.0 */
/* The distribution functions against values computed with scipy 1.10.1. */
#include "ml-steps/distribution.h"

#include <glib.h>
#include <math.h>

#define NEAR(value, expected) \
	g_assert_cmpfloat_with_epsilon((value), (expected), 1e-9 * fmax(1, fabs((double)(expected))))

static void test_normal(void)
{
	g_assert_cmpfloat_with_epsilon(normal_cdf(-6), 9.865876450376946e-10, 1e-20);
	NEAR(normal_cdf(-1.96), 0.024997895148220435);
	NEAR(normal_cdf(0), 0.5);
	NEAR(normal_cdf(0.5), 0.6914624612740131);
	NEAR(normal_cdf(3), 0.9986501019683699);
	NEAR(normal_quantile(1e-12), -7.034483825301131);
	NEAR(normal_quantile(0.025), -1.9599639845400545);
	NEAR(normal_quantile(0.3), -0.5244005127080409);
	NEAR(normal_quantile(0.8), 0.8416212335729143);
	NEAR(normal_quantile(0.975), 1.959963984540054);
	NEAR(normal_quantile(1 - 1e-6), 4.753424308817087);
	g_assert_true(isinf(normal_quantile(0)) && isinf(normal_quantile(1)));
	g_assert_true(isnan(normal_quantile(1.5)) && isnan(normal_quantile(NAN)));
}

static void test_student(void)
{
	NEAR(t_cdf(-2.5, 3), 0.04385332350403277);
	NEAR(t_cdf(0.7, 1), 0.6944001122142147);
	NEAR(t_cdf(1.96, 1000), 0.9748634075221256);
	g_assert_cmpfloat_with_epsilon(t_cdf(-12, 20), 6.797778512940339e-11, 1e-20);
	NEAR(t_cdf(2, 539), 0.9769992269218337);
	NEAR(t_quantile(0.975, 1), 12.706204736432095);
	NEAR(t_quantile(0.975, 9), 2.2621571627409915);
	NEAR(t_quantile(0.95, 539), 1.647685551661799);
	NEAR(t_quantile(0.001, 4), -7.17318221491777);
	g_assert_true(isnan(t_quantile(0.5, 0)));
}

static void test_beta_and_binomial(void)
{
	NEAR(beta_incomplete(0.5, 2.5, 0.3), 0.7968893362799451);
	NEAR(beta_incomplete(30, 70, 0.25), 0.1358149042834273);
	NEAR(beta_incomplete(1000, 1.5, 0.999), 0.5720952721757464);
	NEAR(beta_incomplete(2, 3, 0.9), 0.9963);
	NEAR(binomial_cdf(3, 10, 0.5), 0.171875);
	NEAR(binomial_cdf(120, 300, 0.5), 0.00031711000346417985);
	NEAR(binomial_cdf(0, 7, 0.1), 0.4782969);
	NEAR(binomial_cdf(499, 1000, 0.5), 0.4873874909108199);
	NEAR(binomial_pmf(3, 10, 0.5), 0.1171875);
	NEAR(binomial_pmf(499, 1000, 0.5), 0.025174668840679464);
	NEAR(binomial_pmf(0, 4, 0), 1);
	NEAR(binomial_cdf(-1, 4, 0.5), 0);
	NEAR(binomial_cdf(4, 4, 0.5), 1);
}

static void test_quantiles_are_linear(void)
{
	const double values[] = {1, 2, 4, 8, 16};
	NEAR(quantile_sorted(values, 5, 0), 1);
	NEAR(quantile_sorted(values, 5, 0.1), 1.4);
	NEAR(quantile_sorted(values, 5, 0.5), 4);
	NEAR(quantile_sorted(values, 5, 0.9), 12.8);
	NEAR(quantile_sorted(values, 5, 0.975), 15.2);
	NEAR(quantile_sorted(values, 5, 1), 16);
	g_assert_true(isnan(quantile_sorted(values, 0, 0.5)));
}

static void test_random_is_the_same_everywhere(void)
{
	Random random;
	random_seed(&random, 0);
	/* splitmix64 of 0 is published: 0xe220a8397b1dcdaf is its first number. */
	g_assert_cmphex(random.state[0], ==, 0xe220a8397b1dcdafU);
	double sum = 0;
	unsigned counts[7] = {0};
	for (int i = 0; i < 70000; i++) {
		sum += random_uniform(&random);
		counts[random_below(&random, 7)]++;
	}
	g_assert_cmpfloat_with_epsilon(sum / 70000, 0.5, 0.005);
	for (int i = 0; i < 7; i++)
		g_assert_cmpuint(counts[i], >, 9600);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/distribution/normal_is_scipys", test_normal);
	g_test_add_func("/distribution/student_is_scipys", test_student);
	g_test_add_func("/distribution/beta_and_binomial_are_scipys", test_beta_and_binomial);
	g_test_add_func("/distribution/quantiles_are_linear", test_quantiles_are_linear);
	g_test_add_func("/distribution/random_is_the_same_everywhere", test_random_is_the_same_everywhere);
	return g_test_run();
}
