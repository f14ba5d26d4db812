/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mathematics of a comparison alone: two models on the same rows, the difference candidate - release, its
 * interval, and what follows from it. No I/O, no domain words; every function names its source.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A difference with what is known about it. */
typedef struct Estimate {
	double difference; /* candidate - release, in the metric's own unit */
	double low;        /* two-sided interval at the confidence asked for */
	double high;
	double p;          /* two-sided, of "no difference"; NAN when there is none */
	double row_sd;     /* standard deviation of one row's contribution: sd(difference) * sqrt(n) */
} Estimate;

/**
 * The exact two-sided McNemar test by its binomial law, and its mid-p form, which holds its level and has more power.
 *
 * @only_a   rows that only the first model has right; @only_b likewise
 * Source    McNemar 1947; Fagerland, Lydersen & Laake 2013 (BMC Medical Research Methodology 13:91)
 */
double mcnemar_exact(int64_t only_a, int64_t only_b);
double mcnemar_mid_p(int64_t only_a, int64_t only_b);

/**
 * The difference of two paired proportions, (only_a - only_b) / n, with the score interval; p is McNemar's mid-p.
 *
 * Source    Tango 1998 (Statistics in Medicine 17:891-908)
 */
Estimate paired_proportions(int64_t only_a, int64_t only_b, int64_t n, double confidence);

/**
 * The mean of paired differences with the interval of Student's t. Needs two rows.
 *
 * Source    Student 1908; Fisher 1925
 */
Estimate paired_t(const double *differences, size_t n, double confidence);

/**
 * A statistic of weighted rows: weights[i] is how often row i was drawn. NAN when it is not defined for them; such
 * a draw is left out.
 */
typedef double (*Statistic)(const uint32_t *weights, size_t n, void *data);

#define BOOTSTRAP_DRAWS 2000
#define BOOTSTRAP_SEED 20260503 /* fixed, so that the same two files always give the same report */

/**
 * The paired bootstrap: rows are drawn with replacement, for both models together; a bias-corrected and accelerated
 * interval (percentiles where the acceleration is not defined); p is the share of draws on the other side of zero,
 * doubled, (r + 1) / (B + 1).
 *
 * @data     the statistic's
 * Returns   false when the statistic is not defined for the rows, or for most of the draws
 * Source    Efron & Tibshirani 1993, chapters 13 and 14.3; the acceleration from a jackknife of at most 200 groups
 */
bool paired_bootstrap(Statistic statistic, void *data, size_t n, size_t draws, uint64_t seed, double confidence,
        Estimate *out);

/**
 * Two correlated areas under the ROC curve on the same rows.
 *
 * @positive   which rows are of the positive class
 * @out_areas  the area of a, then of b
 * Returns     false when one of the classes has fewer than two rows
 * Source      DeLong, DeLong & Clarke-Pearson 1988 by the midranks of Sun & Xu 2014, O(n log n)
 */
bool delong_paired(const double *scores_a, const double *scores_b, const bool *positive, size_t n,
        double confidence, double out_areas[2], Estimate *out);

typedef enum Outcome { OUTCOME_PASS, OUTCOME_FAIL, OUTCOME_INCONCLUSIVE } Outcome;

/**
 * Non-inferiority: pass when the interval lies above -margin, fail when it lies below it, else inconclusive. The
 * ends of a two-sided interval at 95 % make it a test at one-sided 2.5 %.
 *
 * @higher_is_better  otherwise the interval is mirrored first
 * Source             FDA 2016, "Non-Inferiority Clinical Trials"; several metrics and slices that must all pass
 *                    need no correction: intersection-union test, Berger 1982
 */
Outcome non_inferiority(const Estimate *estimate, double margin, bool higher_is_better);

/**
 * How many rows would decide, if the difference and the variance stay as they were seen: power 80 %.
 *
 * @proportions   also asks for as many as the score interval needs when no row differs
 * Returns        0 when no number of rows would (the difference lies on the margin)
 * Source         n = ((z_alpha + z_beta) * sd / distance)^2, Chow, Shao & Wang 2008, chapter 3
 */
int64_t rows_needed(const Estimate *estimate, double margin, bool higher_is_better, double confidence,
        bool proportions);
