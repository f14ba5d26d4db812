/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of a candidate and a release over all of the rows or a slice of them, with the test of their difference. */
#pragma once

#include "ml-steps/judge.h"
#include "ml-steps/rules.h"
#include "ml-steps/stats.h"

/** What one metric says about some rows. */
typedef struct Score {
	double candidate;
	double release;    /* NAN when there is none */
	bool tested;       /* estimate holds */
	Estimate estimate;
	const char *test;  /* static; NULL when nothing was tested */
	char why_not[160]; /* why there is no test */
} Score;

/**
 * Computes a metric over chosen rows.
 *
 * @chosen   numbers of rows of the candidate's table
 * Returns   false with USER when the tables lack what the metric needs
 */
bool judged_score(const Judged *judged, const Rule *rule, const uint32_t *chosen, size_t len, double confidence,
        Score *out, GError **error);
