/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a comparison found, as JSON (docs/formats.md, "Reports"), as sentences for a person, and as a Markdown table
 * for a comment. Pure.
 */
#pragma once

#include <jansson.h>

#include "ml-steps/scores.h"

typedef enum Finding {
	FINDING_PASS,
	FINDING_FAIL,
	FINDING_INCONCLUSIVE,
	FINDING_INSUFFICIENT, /* too few rows */
	FINDING_NO_TEST,      /* reported, or not defined for these rows */
} Finding;

/** One metric over all rows or one slice, with what was asked of it. */
typedef struct Check {
	const Rule *rule;
	const char *column; /* of the slice; NULL: all rows */
	const char *value;
	size_t rows;
	Score score;
	double margin;      /* absolute; NAN: the difference is not judged */
	double bound;       /* NAN: any value is accepted */
	bool bound_broken;
	bool inferior;      /* the test says so, whatever the bound says */
	Finding finding;
	int64_t rows_needed; /* 0: unknown */
} Check;

/** What all checks have in common. */
typedef struct ReportHead {
	const char *candidate;     /* label: "commit 3f2c1ab" */
	const char *release;       /* label: "digits 7"; NULL when there is no release */
	const char *model;         /* of the release; NULL when not known */
	int64_t version;           /* 0 when not known */
	size_t rows;
	double confidence;
	const char *data_digest;
	int64_t candidates_before; /* -1 when not known */
} ReportHead;

/** Fills in finding, bound_broken and rows_needed from the rest. */
void check_decide(Check *check, bool has_release, double confidence);
/** "Worse than the release (digits 7): accuracy −1.9 points, …" without a full stop; the caller's. */
char *check_sentence(const Check *check, const ReportHead *head);
/** The report of all checks: array of Check, at least one. */
json_t *report_compare(const GArray *checks, const ReportHead *head);
/** A report of any kind as Markdown for a comment; the caller's. */
char *report_markdown(const json_t *report);
