/* SPDX-License-Identifier: Apache-2.0 */
/* Probability: distribution functions and quantiles of the normal, t and binomial laws, and seeded random numbers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** P(Z <= z) of the standard normal law. Source: C99 erfc; ISO C 7.12.8.2. */
double normal_cdf(double z);
/** The z with P(Z <= z) = p; infinite at 0 and 1. Source: Wichura 1988, algorithm AS 241 (PPND16). */
double normal_quantile(double p);

/** I_x(a, b), the regularised incomplete beta function. Source: DLMF 8.17.22, by Lentz's method (Thompson & Barnett 1986). */
double beta_incomplete(double a, double b, double x);
/** P(T <= t) of Student's law. Source: Abramowitz & Stegun 26.7.1 by 26.5. */
double t_cdf(double t, double degrees);
/** The t with P(T <= t) = p, by bisection of t_cdf(). */
double t_quantile(double p, double degrees);

/** P(X = k) of n trials with chance p, in logarithms so that large n do not underflow early. */
double binomial_pmf(int64_t k, int64_t n, double p);
/** P(X <= k). Source: DLMF 8.17.5 (the binomial sum is an incomplete beta function). */
double binomial_cdf(int64_t k, int64_t n, double p);

/**
 * The q-quantile of sorted values, linear between order statistics.
 * Source: Hyndman & Fan 1996, definition 7 (what numpy and R give by default).
 */
double quantile_sorted(const double *sorted, size_t len, double q);

/** A generator of pseudo-random numbers: the same seed gives the same numbers everywhere. */
typedef struct Random {
	uint64_t state[4];
} Random;

/** Source: xoshiro256** 1.0 (Blackman & Vigna 2018), seeded by splitmix64 (Steele, Lea & Flood 2014). */
void random_seed(Random *random, uint64_t seed);
uint64_t random_next(Random *random);
/** Uniform in [0, 1), 53 bits. */
double random_uniform(Random *random);
/** Uniform in 0 … bound - 1; bound at most 2^32. Source: Lemire 2019 (multiply and shift; bias below bound / 2^32). */
uint32_t random_below(Random *random, uint64_t bound);
