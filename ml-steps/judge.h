/* SPDX-License-Identifier: Apache-2.0 */
/* Two models' predictions for the same rows, matched by id. Pure: tables in, numbers of classes out. */
#pragma once

#include "ml-steps/columns.h"

enum { CANDIDATE, RELEASE, SIDES };

/** One model's table, and where its columns are. */
typedef struct Side {
	const Columns *table;
	const char *name;
	uint32_t *row;        /* row of the candidate → row of this table */
	int id, label, prediction, score;
	uint32_t *predicted;  /* class of the prediction, by row of the candidate */
} Side;

typedef struct Judged {
	Side sides[SIDES];
	size_t sides_len;
	size_t rows;
	bool numeric;          /* labels and predictions of all tables are numbers */
	GPtrArray *classes;    /* char *: texts of labels and predictions, each once */
	uint32_t *label;       /* class of the label, by row */
	bool *is_label;        /* by class: occurs as a label */
} Judged;

/**
 * Matches the rows of two tables with the columns id, label and prediction, and optionally score and probabilities
 * (pX, p_X or proba_X for the class X). Both tables must judge the same ids with the same labels.
 *
 * @release   NULL when there is no release yet
 * Returns    NULL with USER, which names the first difference
 */
Judged *judged_new(const Columns *candidate, const char *candidate_name, const Columns *release,
        const char *release_name, GError **error);
void judged_free(Judged *judged);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Judged, judged_free)

size_t judged_rows(const Judged *judged);
/** Are the labels numbers of which at least one has a fraction, so that counting hits makes no sense? */
bool judged_is_regression(const Judged *judged);
/** SHA-256 of ids and labels in the order of the ids: names the evaluation data. The caller's. */
char *judged_digest(const Judged *judged);

/** Fails with the file and line of a row of this side's table. */
bool judged_fail(GError **error, const Side *side, size_t row, const char *why);
/** Fails when a cell is empty, or when it is not a number though `numeric` asks for one. */
bool judged_cell(const Side *side, int column, size_t row, bool numeric, GError **error);
