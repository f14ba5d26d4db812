/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of a comparison, one metric a line:
 *
 *   accuracy: margin 0.01, floor 0.90, slice-margin 0.10   # whatever stands behind a # is a comment
 *   log_loss: lower, relative-margin 0.05
 *   auc: positive spam, margin 0.005
 *   f1_macro: report
 *
 * README.md has the grammar and what each word means.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum MetricKind {
	METRIC_ACCURACY,
	METRIC_ERROR_RATE,
	METRIC_LOG_LOSS,
	METRIC_MAE,
	METRIC_RMSE,
	METRIC_AUC,
	METRIC_F1_MACRO,
	METRIC_KINDS,
} MetricKind;

/** The word for a metric, as rules and reports write it. */
const char *metric_name(MetricKind kind);
/** accuracy, auc and f1_macro; the others are better when they are lower. */
bool metric_higher_is_better(MetricKind kind);
/** Is it a share that people read in percent and points? */
bool metric_is_share(MetricKind kind);

#define RULE_MIN_ROWS 30

typedef struct Rule {
	MetricKind metric;
	double margin;       /* NAN: the difference is reported, not judged */
	bool relative;       /* the margins are shares of the release's value */
	double slice_margin; /* NAN: as margin */
	double bound;        /* the worst value that is accepted, overall; NAN: any */
	double slice_bound;  /* the same for each slice */
	int64_t min_rows;    /* fewer rows are "insufficient" */
	char *positive;      /* the class that auc asks for; NULL: the greater of the two */
} Rule;

/** What stands for absent rules. */
#define RULES_DEFAULT "accuracy: margin 0.01"

/** Array of Rule, in the order of the text; NULL with USER: "rules: line 2: …". */
GArray *rules_parse(const char *text, GError **error);
