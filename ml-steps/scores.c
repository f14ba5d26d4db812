/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics of two models on the same rows, and the test that belongs to each (the table at the end). A metric over a
 * slice gathers what it needs of the chosen rows, for both models alike.
 */
#include "ml-steps/scores.h"

#include <math.h>

#include "agent/base/error.h"

#define CLASSES_MAX 1000 /* of f1_macro and of probabilities */
#define PROBABILITY_MIN 1e-15

/* The rows that a metric is computed over. */
typedef struct Choice {
	const Judged *judged;
	const uint32_t *rows;
	size_t len;
	double confidence;
	const Rule *rule;
} Choice;

static bool score_shares(const Choice *choice, Score *out, GError **error)
{
	(void)error;
	const Judged *judged = choice->judged;
	int64_t right[SIDES] = {0};
	int64_t only[SIDES] = {0};
	for (size_t i = 0; i < choice->len; i++) {
		uint32_t row = choice->rows[i];
		bool is[SIDES] = {false};
		for (size_t side = 0; side < judged->sides_len; side++) {
			is[side] = judged->sides[side].predicted[row] == judged->label[row];
			right[side] += is[side];
		}
		only[CANDIDATE] += is[CANDIDATE] && !is[RELEASE];
		only[RELEASE] += is[RELEASE] && !is[CANDIDATE];
	}
	bool errors = choice->rule->metric == METRIC_ERROR_RATE;
	double n = (double)choice->len;
	out->candidate = errors ? 1 - (double)right[CANDIDATE] / n : (double)right[CANDIDATE] / n;
	if (judged->sides_len < SIDES)
		return true;
	out->release = errors ? 1 - (double)right[RELEASE] / n : (double)right[RELEASE] / n;
	out->estimate = paired_proportions(only[errors ? RELEASE : CANDIDATE], only[errors ? CANDIDATE : RELEASE],
	        (int64_t)choice->len, choice->confidence);
	out->test = "McNemar, mid-p";
	out->tested = true;
	return true;
}

static double residual(const Choice *choice, size_t side, uint32_t row)
{
	const Side *from = &choice->judged->sides[side];
	return columns_number(from->table, (size_t)from->prediction, from->row[row]) -
	       columns_number(from->table, (size_t)from->label, from->row[row]);
}

static bool needs_numbers(const Choice *choice, GError **error)
{
	return choice->judged->numeric || fail(error, ASSAY_ERROR_USER, "%s needs labels and predictions that are numbers",
	                                          metric_name(choice->rule->metric));
}

/* The mean of a loss a row, and Student's t for the paired differences. `losses[side]` has one number a row. */
static void score_mean(const Choice *choice, double *losses[SIDES], Score *out)
{
	double sums[SIDES] = {0};
	for (size_t side = 0; side < choice->judged->sides_len; side++)
		for (size_t i = 0; i < choice->len; i++)
			sums[side] += losses[side][i];
	out->candidate = sums[CANDIDATE] / (double)choice->len;
	if (choice->judged->sides_len < SIDES)
		return;
	out->release = sums[RELEASE] / (double)choice->len;
	if (choice->len < 2) {
		g_strlcpy(out->why_not, "one row has no variance", sizeof out->why_not);
		return;
	}
	for (size_t i = 0; i < choice->len; i++)
		losses[CANDIDATE][i] -= losses[RELEASE][i];
	out->estimate = paired_t(losses[CANDIDATE], choice->len, choice->confidence);
	out->test = "paired t";
	out->tested = true;
}

static bool score_mae(const Choice *choice, Score *out, GError **error)
{
	if (!needs_numbers(choice, error))
		return false;
	g_autofree double *candidate = g_new0(double, choice->len);
	g_autofree double *release = g_new0(double, choice->len);
	double *losses[SIDES] = {candidate, release};
	for (size_t side = 0; side < choice->judged->sides_len; side++)
		for (size_t i = 0; i < choice->len; i++)
			losses[side][i] = fabs(residual(choice, side, choice->rows[i]));
	score_mean(choice, losses, out);
	return true;
}

typedef struct Squares {
	double *of[SIDES];
} Squares;

static double rmse_of(const uint32_t *weights, size_t n, const double *squares)
{
	double sum = 0;
	double rows = 0;
	for (size_t i = 0; i < n; i++) {
		sum += weights[i] * squares[i];
		rows += weights[i];
	}
	return sqrt(sum / rows);
}

static double rmse_difference(const uint32_t *weights, size_t n, void *data)
{
	const Squares *squares = data;
	return rmse_of(weights, n, squares->of[CANDIDATE]) - rmse_of(weights, n, squares->of[RELEASE]);
}

static void bootstrap_score(const Choice *choice, Statistic statistic, void *data, Score *out)
{
	out->tested = paired_bootstrap(statistic, data, choice->len, BOOTSTRAP_DRAWS, BOOTSTRAP_SEED,
	        choice->confidence, &out->estimate);
	if (out->tested)
		out->test = "paired bootstrap, BCa";
	else
		g_strlcpy(out->why_not, "not defined for most draws of these rows", sizeof out->why_not);
}

static bool score_rmse(const Choice *choice, Score *out, GError **error)
{
	if (!needs_numbers(choice, error))
		return false;
	g_autofree double *candidate = g_new0(double, choice->len);
	g_autofree double *release = g_new0(double, choice->len);
	Squares squares = {{candidate, release}};
	double sums[SIDES] = {0};
	for (size_t side = 0; side < choice->judged->sides_len; side++) {
		for (size_t i = 0; i < choice->len; i++) {
			double away = residual(choice, side, choice->rows[i]);
			squares.of[side][i] = away * away;
			sums[side] += away * away;
		}
	}
	out->candidate = sqrt(sums[CANDIDATE] / (double)choice->len);
	if (choice->judged->sides_len < SIDES)
		return true;
	out->release = sqrt(sums[RELEASE] / (double)choice->len);
	bootstrap_score(choice, rmse_difference, &squares, out);
	return true;
}

/* The column with the probability of a class: pX, p_X or proba_X; -1 when there is none. */
static int probability_column(const Side *side, const char *class)
{
	static const char *const forms[] = {"p", "p_", "proba_"};
	for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
		g_autofree char *name = g_strconcat(forms[i], class, NULL);
		int column = columns_find(side->table, name);
		if (column >= 0)
			return column;
	}
	return -1;
}

/* The greater of two classes is the positive one: 1 over 0, true over false, yes over no. */
static bool is_greater(const Judged *judged, const char *a, const char *b)
{
	return judged->numeric ? g_ascii_strtod(a, NULL) > g_ascii_strtod(b, NULL) : strcmp(a, b) > 0;
}

/* The two classes of all labels; false when there are not two. */
static bool two_classes(const Choice *choice, uint32_t *out_positive, GError **error)
{
	const Judged *judged = choice->judged;
	const char *metric = metric_name(choice->rule->metric);
	uint32_t classes[2];
	size_t found = 0;
	for (guint i = 0; i < judged->classes->len && found < 3; i++) {
		if (judged->is_label[i] && found < 2)
			classes[found] = i;
		found += judged->is_label[i];
	}
	if (found != 2)
		return fail(error, ASSAY_ERROR_USER, "%s needs labels of exactly two classes", metric);
	const char *texts[2] = {g_ptr_array_index(judged->classes, classes[0]),
	        g_ptr_array_index(judged->classes, classes[1])};
	const char *named = choice->rule->positive;
	if (named && strcmp(named, texts[0]) != 0 && strcmp(named, texts[1]) != 0)
		return fail(error, ASSAY_ERROR_USER, "%s: 'positive %s': the labels are %.100s and %.100s", metric, named,
		        texts[0], texts[1]);
	size_t positive = named ? strcmp(named, texts[1]) == 0 : is_greater(judged, texts[1], texts[0]);
	*out_positive = classes[positive];
	return true;
}

/* One number a chosen row: the score, or the probability of the positive class. */
static bool gather_scores(const Choice *choice, const Side *side, uint32_t positive, double *out, GError **error)
{
	int column = side->score;
	if (column < 0)
		column = probability_column(side, g_ptr_array_index(choice->judged->classes, positive));
	if (column < 0)
		return fail(error, ASSAY_ERROR_USER, "%s: %s needs a column 'score', or 'p%s' with the probability",
		        side->name, metric_name(choice->rule->metric),
		        (char *)g_ptr_array_index(choice->judged->classes, positive));
	for (size_t i = 0; i < choice->len; i++) {
		uint32_t row = side->row[choice->rows[i]];
		out[i] = columns_number(side->table, (size_t)column, row);
		if (isnan(out[i]))
			return judged_cell(side, column, row, true, error);
	}
	return true;
}

static bool score_auc(const Choice *choice, Score *out, GError **error)
{
	const Judged *judged = choice->judged;
	uint32_t class = 0;
	if (!two_classes(choice, &class, error))
		return false;
	g_autofree bool *positive = g_new0(bool, choice->len);
	g_autofree double *scores = g_new0(double, choice->len);
	g_autofree double *others = g_new0(double, choice->len);
	for (size_t i = 0; i < choice->len; i++)
		positive[i] = judged->label[choice->rows[i]] == class;
	bool paired = judged->sides_len == SIDES;
	if (!gather_scores(choice, &judged->sides[CANDIDATE], class, scores, error) ||
	        (paired && !gather_scores(choice, &judged->sides[RELEASE], class, others, error)))
		return false;
	double areas[SIDES] = {NAN, NAN};
	Estimate estimate;
	bool tested = delong_paired(scores, paired ? others : scores, positive, choice->len, choice->confidence, areas,
	        &estimate);
	out->candidate = areas[CANDIDATE];
	if (!tested)
		g_strlcpy(out->why_not, "fewer than two rows of one of the classes", sizeof out->why_not);
	if (!paired)
		return true;
	out->release = areas[RELEASE];
	out->tested = tested;
	out->estimate = estimate;
	out->test = tested ? "DeLong" : NULL;
	return true;
}

/* -log of the probability of the true class, a chosen row. In two classes a score in 0 … 1 is the positive's. */
static bool gather_log_loss(const Choice *choice, const Side *side, double *out, GError **error)
{
	const Judged *judged = choice->judged;
	g_autofree int *columns = g_new(int, judged->classes->len);
	uint32_t positive = G_MAXUINT32;
	for (guint i = 0; i < judged->classes->len; i++) {
		const char *class = g_ptr_array_index(judged->classes, i);
		columns[i] = judged->is_label[i] ? probability_column(side, class) : -1;
		if (!judged->is_label[i] || columns[i] >= 0)
			continue;
		if (side->score < 0)
			return fail(error, ASSAY_ERROR_USER, "%s: log_loss needs a column 'p%.100s' with the probability of %.100s",
			        side->name, class, class);
		if (positive == G_MAXUINT32 && !two_classes(choice, &positive, error))
			return false;
	}
	for (size_t i = 0; i < choice->len; i++) {
		uint32_t label = judged->label[choice->rows[i]];
		uint32_t row = side->row[choice->rows[i]];
		int column = columns[label] >= 0 ? columns[label] : side->score;
		double p = columns_number(side->table, (size_t)column, row);
		if (!(p >= 0 && p <= 1)) {
			g_autofree char *why = g_strdup_printf("'%s' is not a probability between 0 and 1",
			        columns_name(side->table, (size_t)column));
			return judged_fail(error, side, row, why);
		}
		if (columns[label] < 0 && label != positive)
			p = 1 - p;
		out[i] = -log(fmax(p, PROBABILITY_MIN));
	}
	return true;
}

static bool score_log_loss(const Choice *choice, Score *out, GError **error)
{
	if (choice->judged->classes->len > CLASSES_MAX)
		return fail(error, ASSAY_ERROR_USER, "log_loss: more than %d classes", CLASSES_MAX);
	g_autofree double *candidate = g_new0(double, choice->len);
	g_autofree double *release = g_new0(double, choice->len);
	double *losses[SIDES] = {candidate, release};
	for (size_t side = 0; side < choice->judged->sides_len; side++)
		if (!gather_log_loss(choice, &choice->judged->sides[side], losses[side], error))
			return false;
	score_mean(choice, losses, out);
	return true;
}

typedef struct F1 {
	const Choice *choice;
	size_t classes;
	double *hits, *labels, *predictions; /* by class */
} F1;

/* The mean over classes that occur of 2 tp / (labels + predictions); as scikit-learn's f1_score(average="macro"). */
static double f1_macro_of(F1 *f1, size_t side, const uint32_t *weights)
{
	const Judged *judged = f1->choice->judged;
	memset(f1->hits, 0, f1->classes * sizeof(double));
	memset(f1->labels, 0, f1->classes * sizeof(double));
	memset(f1->predictions, 0, f1->classes * sizeof(double));
	for (size_t i = 0; i < f1->choice->len; i++) {
		uint32_t row = f1->choice->rows[i];
		uint32_t label = judged->label[row];
		uint32_t predicted = judged->sides[side].predicted[row];
		double weight = weights ? weights[i] : 1;
		f1->labels[label] += weight;
		f1->predictions[predicted] += weight;
		if (label == predicted)
			f1->hits[label] += weight;
	}
	double sum = 0;
	double classes = 0;
	for (size_t i = 0; i < f1->classes; i++) {
		double all = f1->labels[i] + f1->predictions[i];
		if (all > 0) {
			sum += 2 * f1->hits[i] / all;
			classes++;
		}
	}
	return sum / classes;
}

static double f1_difference(const uint32_t *weights, size_t n, void *data)
{
	(void)n;
	F1 *f1 = data;
	return f1_macro_of(f1, CANDIDATE, weights) - f1_macro_of(f1, RELEASE, weights);
}

static bool score_f1(const Choice *choice, Score *out, GError **error)
{
	size_t classes = choice->judged->classes->len;
	if (classes > CLASSES_MAX)
		return fail(error, ASSAY_ERROR_USER, "f1_macro: more than %d classes", CLASSES_MAX);
	g_autofree double *room = g_new(double, 3 * classes);
	F1 f1 = {choice, classes, room, room + classes, room + 2 * classes};
	out->candidate = f1_macro_of(&f1, CANDIDATE, NULL);
	if (choice->judged->sides_len < SIDES)
		return true;
	out->release = f1_macro_of(&f1, RELEASE, NULL);
	bootstrap_score(choice, f1_difference, &f1, out);
	return true;
}

static bool (*const score_functions[METRIC_KINDS])(const Choice *, Score *, GError **) = {
        [METRIC_ACCURACY] = score_shares,
        [METRIC_ERROR_RATE] = score_shares,
        [METRIC_LOG_LOSS] = score_log_loss,
        [METRIC_MAE] = score_mae,
        [METRIC_RMSE] = score_rmse,
        [METRIC_AUC] = score_auc,
        [METRIC_F1_MACRO] = score_f1,
};

bool judged_score(const Judged *judged, const Rule *rule, const uint32_t *chosen, size_t len, double confidence,
        Score *out, GError **error)
{
	*out = (Score){.candidate = NAN, .release = NAN};
	if (len == 0)
		return fail(error, ASSAY_ERROR_USER, "%s: no rows", metric_name(rule->metric));
	Choice choice = {judged, chosen, len, confidence, rule};
	return score_functions[rule->metric](&choice, out, error);
}
