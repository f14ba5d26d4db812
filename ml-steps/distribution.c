/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probability, as far as the comparisons of stats.c need it: no state, no I/O, no allocation. The golden values of
 * the unit test come from scipy.
 */
#include "ml-steps/distribution.h"

#include <math.h>
#include <stdbool.h>

double normal_cdf(double z)
{
	return 0.5 * erfc(-z / M_SQRT2);
}

/* A polynomial by Horner's rule, the highest power first. */
static double horner(const double *coefficients, size_t len, double x)
{
	double sum = 0;
	for (size_t i = 0; i < len; i++)
		sum = sum * x + coefficients[i];
	return sum;
}

double normal_quantile(double p)
{
	static const double a[] = {2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
	        45921.953931549871457, 13731.693765509461125, 1971.5909503065514427, 133.14166789178437745,
	        3.387132872796366608};
	static const double b[] = {5226.495278852545925, 28729.085735721942674, 39307.89580009271061,
	        21213.794301586595867, 5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0};
	static const double c[] = {7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
	        1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959,
	        1.42343711074968357734};
	static const double d[] = {1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
	        0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0};
	static const double e[] = {2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
	        0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699,
	        6.6579046435011037772};
	static const double f[] = {2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
	        7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769,
	        1.0};
	if (isnan(p) || p < 0 || p > 1)
		return NAN;
	if (p <= 0 || p >= 1)
		return p <= 0 ? -INFINITY : INFINITY;
	double q = p - 0.5;
	if (fabs(q) <= 0.425) {
		double r = 0.180625 - q * q;
		return q * horner(a, 8, r) / horner(b, 8, r);
	}
	double r = sqrt(-log(q < 0 ? p : 1 - p));
	double z = r <= 5 ? horner(c, 8, r - 1.6) / horner(d, 8, r - 1.6) : horner(e, 8, r - 5) / horner(f, 8, r - 5);
	return q < 0 ? -z : z;
}

/* The continued fraction of the incomplete beta function; converges fast for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double c = 1;
	double d = 1 - (a + b) * x / (a + 1);
	d = 1 / (fabs(d) < tiny ? tiny : d);
	double value = d;
	for (int m = 1; m <= 100000; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		d = 1 + even * d;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = 1 + even / c;
		c = fabs(c) < tiny ? tiny : c;
		value *= d * c;
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		d = 1 + odd * d;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = 1 + odd / c;
		c = fabs(c) < tiny ? tiny : c;
		double change = d * c;
		value *= change;
		if (fabs(change - 1) < 1e-15)
			break;
	}
	return value;
}

double beta_incomplete(double a, double b, double x)
{
	if (isnan(x) || !(a > 0) || !(b > 0))
		return NAN;
	if (x <= 0 || x >= 1)
		return x <= 0 ? 0 : 1;
	double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double t_cdf(double t, double degrees)
{
	if (isnan(t) || !(degrees > 0))
		return NAN;
	if (isinf(t))
		return t < 0 ? 0 : 1;
	double tail = 0.5 * beta_incomplete(degrees / 2, 0.5, degrees / (degrees + t * t));
	return t < 0 ? tail : 1 - tail;
}

double t_quantile(double p, double degrees)
{
	if (isnan(p) || p < 0 || p > 1 || !(degrees > 0))
		return NAN;
	if (p <= 0 || p >= 1)
		return p <= 0 ? -INFINITY : INFINITY;
	if (p < 0.5)
		return -t_quantile(1 - p, degrees);
	double low = 0;
	double high = 1;
	while (t_cdf(high, degrees) < p && high < 1e300)
		high *= 2;
	for (int i = 0; i < 200 && high - low > 1e-15 * (1 + high); i++) {
		double middle = low + (high - low) / 2;
		if (t_cdf(middle, degrees) < p)
			low = middle;
		else
			high = middle;
	}
	return low + (high - low) / 2;
}

double binomial_pmf(int64_t k, int64_t n, double p)
{
	if (k < 0 || k > n || n < 0)
		return 0;
	if (p <= 0 || p >= 1)
		return (p <= 0 ? k == 0 : k == n) ? 1 : 0;
	double ways = lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
	return exp(ways + (double)k * log(p) + (double)(n - k) * log1p(-p));
}

double binomial_cdf(int64_t k, int64_t n, double p)
{
	if (k < 0)
		return 0;
	if (k >= n)
		return 1;
	return beta_incomplete((double)(n - k), (double)k + 1, 1 - p);
}

double quantile_sorted(const double *sorted, size_t len, double q)
{
	if (len == 0 || isnan(q))
		return NAN;
	double at = fmin(fmax(q, 0), 1) * (double)(len - 1);
	size_t below = (size_t)at;
	if (below + 1 >= len)
		return sorted[len - 1];
	return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

void random_seed(Random *random, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		seed += 0x9e3779b97f4a7c15U;
		uint64_t mixed = seed;
		mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
		mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
		random->state[i] = mixed ^ (mixed >> 31);
	}
}

static uint64_t rotate(uint64_t value, int by)
{
	return (value << by) | (value >> (64 - by));
}

uint64_t random_next(Random *random)
{
	uint64_t *s = random->state;
	uint64_t result = rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

double random_uniform(Random *random)
{
	return (double)(random_next(random) >> 11) * 0x1p-53;
}

uint32_t random_below(Random *random, uint64_t bound)
{
	return (uint32_t)(((random_next(random) >> 32) * bound) >> 32);
}
