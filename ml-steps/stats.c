/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paired comparisons of two models on the same rows. A gate asks "is the candidate worse than the release by more
 * than the margin?", so each test gives an interval and the decision is read from its ends; p-values stand beside it.
 */
#include "ml-steps/stats.h"

#include <glib.h>
#include <math.h>

#include "ml-steps/distribution.h"

#define JACKKNIFE_GROUPS 200
#define POWER 0.8
#define ROWS_NEEDED_MAX 1e12

double mcnemar_exact(int64_t only_a, int64_t only_b)
{
	int64_t n = only_a + only_b;
	if (n == 0 || only_a == only_b)
		return 1;
	return fmin(1, 2 * binomial_cdf(MIN(only_a, only_b), n, 0.5));
}

double mcnemar_mid_p(int64_t only_a, int64_t only_b)
{
	int64_t n = only_a + only_b;
	if (n == 0)
		return 1;
	double at = binomial_pmf(MIN(only_a, only_b), n, 0.5);
	return only_a == only_b ? 1 - at / 2 : mcnemar_exact(only_a, only_b) - at;
}

/* Tango's score: how far the observed discordant counts are from those of a true difference delta. */
static double tango_score(double x12, double x21, double n, double delta)
{
	double a = 2 * n;
	double b = -x12 - x21 + (2 * n - x12 + x21) * delta;
	double c = -x21 * delta * (1 - delta);
	double q21 = (sqrt(fmax(b * b - 4 * a * c, 0)) - b) / (2 * a);
	double variance = n * (2 * q21 + delta * (1 - delta));
	double away = x12 - x21 - n * delta;
	if (variance <= 0)
		return fabs(away) < 1e-12 ? 0 : copysign(INFINITY, away);
	return away / sqrt(variance);
}

/* The delta at which the score, which falls as delta grows, meets `level`. */
static double tango_end(double x12, double x21, double n, double level, double low, double high)
{
	for (int i = 0; i < 100; i++) {
		double middle = low + (high - low) / 2;
		if (tango_score(x12, x21, n, middle) > level)
			low = middle;
		else
			high = middle;
	}
	return low + (high - low) / 2;
}

Estimate paired_proportions(int64_t only_a, int64_t only_b, int64_t n, double confidence)
{
	double x12 = (double)only_a;
	double x21 = (double)only_b;
	double rows = (double)n;
	double difference = (x12 - x21) / rows;
	double z = normal_quantile(0.5 + confidence / 2);
	double share = (x12 + x21) / rows;
	return (Estimate){
	        .difference = difference,
	        .low = tango_end(x12, x21, rows, z, -1, difference),
	        .high = tango_end(x12, x21, rows, -z, difference, 1),
	        .p = mcnemar_mid_p(only_a, only_b),
	        .row_sd = sqrt(fmax(share - difference * difference, 0)),
	};
}

Estimate paired_t(const double *differences, size_t n, double confidence)
{
	double mean = 0;
	double squares = 0; /* Welford 1962: one pass without cancellation */
	for (size_t i = 0; i < n; i++) {
		double from_mean = differences[i] - mean;
		mean += from_mean / (double)(i + 1);
		squares += from_mean * (differences[i] - mean);
	}
	double sd = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
	double error = sd / sqrt((double)n);
	double t = t_quantile(0.5 + confidence / 2, (double)n - 1);
	double p = 1;
	if (error > 0)
		p = 2 * t_cdf(-fabs(mean / error), (double)n - 1);
	else if (fabs(mean) > 0)
		p = 0;
	return (Estimate){mean, mean - t * error, mean + t * error, p, sd};
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The acceleration: a sixth of the skewness of the jackknife's values; NAN when they do not vary. */
static double jackknife_acceleration(Statistic statistic, void *data, size_t n, uint32_t *weights)
{
	size_t groups = MIN(n, (size_t)JACKKNIFE_GROUPS);
	double values[JACKKNIFE_GROUPS];
	double mean = 0;
	for (size_t group = 0; group < groups; group++) {
		for (size_t i = 0; i < n; i++)
			weights[i] = i % groups != group;
		values[group] = statistic(weights, n, data);
		if (!isfinite(values[group]))
			return NAN;
		mean += values[group] / (double)groups;
	}
	double squares = 0;
	double cubes = 0;
	for (size_t group = 0; group < groups; group++) {
		double away = mean - values[group];
		squares += away * away;
		cubes += away * away * away;
	}
	return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : NAN;
}

/* Where the bias-corrected and accelerated interval cuts the sorted draws, for the normal quantile z. */
static double bca_quantile(double bias, double acceleration, double z)
{
	double shifted = bias + z;
	double scale = 1 - acceleration * shifted;
	return scale > 0 ? normal_cdf(bias + shifted / scale) : NAN;
}

static void bootstrap_interval(const double *sorted, size_t len, double acceleration, double confidence,
        Estimate *out)
{
	double z = normal_quantile(0.5 + confidence / 2);
	double low = 0.5 - confidence / 2;
	double high = 0.5 + confidence / 2;
	double below = 0;
	for (size_t i = 0; i < len; i++) /* a draw equal to the estimate counts half */
		below += sorted[i] < out->difference ? 1 : sorted[i] <= out->difference ? 0.5 : 0;
	double bias = normal_quantile(below / (double)len);
	if (isfinite(bias) && isfinite(acceleration)) {
		double bca_low = bca_quantile(bias, acceleration, -z);
		double bca_high = bca_quantile(bias, acceleration, z);
		if (isfinite(bca_low) && isfinite(bca_high)) {
			low = bca_low;
			high = bca_high;
		}
	}
	out->low = quantile_sorted(sorted, len, low);
	out->high = quantile_sorted(sorted, len, high);
}

bool paired_bootstrap(Statistic statistic, void *data, size_t n, size_t draws, uint64_t seed, double confidence,
        Estimate *out)
{
	if (n < 2 || n > G_MAXUINT32 || draws < 2)
		return false;
	g_autofree uint32_t *weights = g_new(uint32_t, n);
	for (size_t i = 0; i < n; i++)
		weights[i] = 1;
	Estimate estimate = {.difference = statistic(weights, n, data)};
	if (!isfinite(estimate.difference))
		return false;
	double acceleration = jackknife_acceleration(statistic, data, n, weights);

	Random random;
	random_seed(&random, seed);
	g_autofree double *values = g_new(double, draws);
	size_t len = 0;
	double mean = 0;
	double squares = 0;
	size_t below = 0;
	size_t above = 0;
	for (size_t draw = 0; draw < draws; draw++) {
		memset(weights, 0, n * sizeof *weights);
		for (size_t i = 0; i < n; i++)
			weights[random_below(&random, n)]++;
		double value = statistic(weights, n, data);
		if (!isfinite(value))
			continue;
		values[len++] = value;
		double from_mean = value - mean;
		mean += from_mean / (double)len;
		squares += from_mean * (value - mean);
		below += value <= 0;
		above += value >= 0;
	}
	if (len < draws / 2 || len < 2)
		return false;
	qsort(values, len, sizeof *values, compare_doubles);
	bootstrap_interval(values, len, acceleration, confidence, &estimate);
	estimate.p = fmin(1, 2 * ((double)MIN(below, above) + 1) / ((double)len + 1));
	estimate.row_sd = sqrt(squares / (double)(len - 1) * (double)n);
	*out = estimate;
	return true;
}

typedef struct Ranked {
	double score;
	size_t at;
} Ranked;

static int compare_ranked(const void *a, const void *b)
{
	double x = ((const Ranked *)a)->score;
	double y = ((const Ranked *)b)->score;
	return (x > y) - (x < y);
}

/* Ranks from 1; equal values share the middle of their ranks. `chosen` leaves rows out; NULL takes all. */
static void midranks(const double *scores, const bool *positive, int chosen, size_t n, double *ranks)
{
	g_autofree Ranked *order = g_new(Ranked, n);
	size_t len = 0;
	for (size_t i = 0; i < n; i++)
		if (chosen < 0 || positive[i] == (chosen == 1))
			order[len++] = (Ranked){scores[i], i};
	qsort(order, len, sizeof *order, compare_ranked);
	for (size_t first = 0; first < len;) {
		size_t last = first;
		while (last < len && order[last].score <= order[first].score)
			last++;
		for (size_t i = first; i < last; i++)
			ranks[order[i].at] = (double)(first + last + 1) / 2;
		first = last;
	}
}

/*
 * The structural components: for a positive row the share of negatives below it, for a negative row the share of
 * positives above it. Returns the area.
 */
static double components(const double *scores, const bool *positive, size_t n, size_t positives, double *out)
{
	g_autofree double *all = g_new(double, n);
	g_autofree double *own = g_new(double, n);
	midranks(scores, positive, -1, n, all);
	midranks(scores, positive, 1, n, own);
	midranks(scores, positive, 0, n, own);
	double negatives = (double)(n - positives);
	double area = 0;
	for (size_t i = 0; i < n; i++) {
		if (positive[i]) {
			out[i] = (all[i] - own[i]) / negatives;
			area += out[i] / (double)positives;
		} else {
			out[i] = 1 - (all[i] - own[i]) / (double)positives;
		}
	}
	return area;
}

bool delong_paired(const double *scores_a, const double *scores_b, const bool *positive, size_t n,
        double confidence, double out_areas[2], Estimate *out)
{
	size_t positives = 0;
	for (size_t i = 0; i < n; i++)
		positives += positive[i];
	if (positives < 2 || n - positives < 2)
		return false;
	g_autofree double *a = g_new(double, n);
	g_autofree double *b = g_new(double, n);
	double area_a = components(scores_a, positive, n, positives, a);
	double area_b = components(scores_b, positive, n, positives, b);
	double difference = area_a - area_b;
	double squares[2] = {0, 0}; /* of the negatives, of the positives */
	for (size_t i = 0; i < n; i++) {
		double away = a[i] - b[i] - difference;
		squares[positive[i]] += away * away;
	}
	double m = (double)positives;
	double k = (double)(n - positives);
	double variance = squares[1] / (m - 1) / m + squares[0] / (k - 1) / k;
	double error = sqrt(variance);
	double z = normal_quantile(0.5 + confidence / 2);
	double p = 1;
	if (error > 0)
		p = 2 * normal_cdf(-fabs(difference / error));
	else if (fabs(difference) > 0)
		p = 0;
	out_areas[0] = area_a;
	out_areas[1] = area_b;
	*out = (Estimate){difference, fmax(difference - z * error, -1), fmin(difference + z * error, 1), p,
	        error * sqrt((double)n)};
	return true;
}

Outcome non_inferiority(const Estimate *estimate, double margin, bool higher_is_better)
{
	double low = higher_is_better ? estimate->low : -estimate->high;
	double high = higher_is_better ? estimate->high : -estimate->low;
	if (low > -margin)
		return OUTCOME_PASS;
	return high < -margin ? OUTCOME_FAIL : OUTCOME_INCONCLUSIVE;
}

int64_t rows_needed(const Estimate *estimate, double margin, bool higher_is_better, double confidence,
        bool proportions)
{
	double difference = higher_is_better ? estimate->difference : -estimate->difference;
	double distance = fabs(difference + margin);
	double alpha = normal_quantile(0.5 + confidence / 2);
	double ratio = (alpha + normal_quantile(POWER)) * estimate->row_sd / distance;
	double rows = ceil(ratio * ratio);
	if (proportions && difference > -margin) /* with no discordant row the score interval is z^2 / (n + z^2) */
		rows = fmax(rows, ceil(alpha * alpha * (1 - distance) / distance));
	return isfinite(rows) && rows < ROWS_NEEDED_MAX ? (int64_t)rows : 0;
}
