/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matches two models' predictions by id. Labels and predictions become the numbers of classes here, once; scores.c
 * computes with them.
 */
#include "ml-steps/judge.h"

#include <math.h>

#include "agent/base/error.h"
#include "agent/base/hash.h"

static bool find_column(Side *side, const char *name, int *out, GError **error)
{
	*out = columns_find(side->table, name);
	if (*out >= 0)
		return true;
	g_autofree char *names = columns_names(side->table);
	return fail(error, ASSAY_ERROR_USER, "%s: the column '%s' is missing; there are %.500s", side->name, name, names);
}

bool judged_fail(GError **error, const Side *side, size_t row, const char *why)
{
	return fail(error, ASSAY_ERROR_USER, "%s: line %zu: %s", side->name, columns_line(side->table, row), why);
}

static bool open_side(Side *side, const Columns *table, const char *name, GError **error)
{
	side->table = table;
	side->name = name;
	if (!find_column(side, "id", &side->id, error) || !find_column(side, "label", &side->label, error) ||
	        !find_column(side, "prediction", &side->prediction, error))
		return false;
	side->score = columns_find(table, "score");
	if (columns_rows(table) == 0)
		return fail(error, ASSAY_ERROR_USER, "%s: no rows; write one line a prediction", name);
	return true;
}

/* The text that stands for a class: of numbers the shortest, so that 1 and 1.0 are the same class. */
static char *class_key(const Columns *table, int column, size_t row, bool numeric)
{
	if (!numeric)
		return g_strdup(columns_text(table, (size_t)column, row));
	char text[G_ASCII_DTOSTR_BUF_SIZE];
	return g_strdup(g_ascii_formatd(text, sizeof text, "%.15g", columns_number(table, (size_t)column, row)));
}

bool judged_cell(const Side *side, int column, size_t row, bool numeric, GError **error)
{
	const char *name = columns_name(side->table, (size_t)column);
	const char *text = columns_text(side->table, (size_t)column, row);
	if (text[0] != '\0' && !(numeric && isnan(columns_number(side->table, (size_t)column, row))))
		return true;
	g_autofree char *why = g_strdup_printf("the %s is %s", name, text[0] ? "not a number" : "empty");
	return judged_fail(error, side, row, why);
}

/* Finds for each row of the candidate the row of this table with the same id. */
static bool match_rows(Judged *judged, Side *side, GError **error)
{
	const Side *candidate = &judged->sides[CANDIDATE];
	size_t rows = columns_rows(side->table);
	g_autoptr(GHashTable) by_id = g_hash_table_new(g_str_hash, g_str_equal);
	for (size_t row = 0; row < rows; row++) {
		const char *id = columns_text(side->table, (size_t)side->id, row);
		if (!judged_cell(side, side->id, row, false, error))
			return false;
		if (!g_hash_table_insert(by_id, (void *)id, GUINT_TO_POINTER((guint)row))) {
			g_autofree char *why = g_strdup_printf("the id '%.100s' stands there twice", id);
			return judged_fail(error, side, row, why);
		}
	}
	side->row = g_new(uint32_t, judged->rows);
	for (size_t row = 0; row < judged->rows; row++) {
		const char *id = columns_text(candidate->table, (size_t)candidate->id, row);
		void *found = NULL;
		if (!g_hash_table_lookup_extended(by_id, id, NULL, &found))
			return fail(error, ASSAY_ERROR_USER,
			        "%s: the id '%.100s' (%s, line %zu) is missing; both models must judge the same rows",
			        side->name, id, candidate->name, columns_line(candidate->table, row));
		side->row[row] = GPOINTER_TO_UINT(found);
		g_hash_table_remove(by_id, id);
	}
	GHashTableIter iter;
	void *id = NULL;
	void *value = NULL;
	guint first = G_MAXUINT;
	g_hash_table_iter_init(&iter, by_id);
	while (g_hash_table_iter_next(&iter, &id, &value))
		first = MIN(first, GPOINTER_TO_UINT(value));
	if (first == G_MAXUINT)
		return true;
	return fail(error, ASSAY_ERROR_USER,
	        "%s: the id '%.100s' (%s, line %zu) is missing; both models must judge the same rows", candidate->name,
	        columns_text(side->table, (size_t)side->id, first), side->name, columns_line(side->table, first));
}

static uint32_t class_of(Judged *judged, GHashTable *known, char *taken)
{
	g_autofree char *key = taken;
	void *found = NULL;
	if (g_hash_table_lookup_extended(known, key, NULL, &found))
		return GPOINTER_TO_UINT(found);
	guint number = judged->classes->len;
	g_hash_table_insert(known, key, GUINT_TO_POINTER(number));
	g_ptr_array_add(judged->classes, g_steal_pointer(&key));
	return number;
}

static bool read_labels(Judged *judged, GHashTable *known, GError **error)
{
	const Side *first = &judged->sides[CANDIDATE];
	judged->label = g_new(uint32_t, judged->rows);
	for (size_t row = 0; row < judged->rows; row++) {
		if (!judged_cell(first, first->label, row, judged->numeric, error))
			return false;
		judged->label[row] = class_of(judged, known, class_key(first->table, first->label, row, judged->numeric));
	}
	judged->is_label = g_new0(bool, judged->classes->len);
	memset(judged->is_label, 1, judged->classes->len * sizeof(bool)); /* predictions come after the labels */
	for (size_t i = 1; i < judged->sides_len; i++) {
		const Side *side = &judged->sides[i];
		for (size_t row = 0; row < judged->rows; row++) {
			g_autofree char *key = class_key(side->table, side->label, side->row[row], judged->numeric);
			const char *expected = g_ptr_array_index(judged->classes, judged->label[row]);
			if (strcmp(key, expected) == 0)
				continue;
			return fail(error, ASSAY_ERROR_USER,
			        "%s: line %zu: the id '%.100s' has the label '%.100s', but '%.100s' in %s; both models must "
			        "judge the same labels",
			        side->name, columns_line(side->table, side->row[row]),
			        columns_text(first->table, (size_t)first->id, row), key, expected, first->name);
		}
	}
	return true;
}

static bool read_predictions(Judged *judged, Side *side, GHashTable *known, GError **error)
{
	side->predicted = g_new(uint32_t, judged->rows);
	for (size_t row = 0; row < judged->rows; row++) {
		if (!judged_cell(side, side->prediction, side->row[row], judged->numeric, error))
			return false;
		side->predicted[row] =
		        class_of(judged, known, class_key(side->table, side->prediction, side->row[row], judged->numeric));
	}
	return true;
}

Judged *judged_new(const Columns *candidate, const char *candidate_name, const Columns *release,
        const char *release_name, GError **error)
{
	g_autoptr(Judged) judged = g_new0(Judged, 1);
	judged->classes = g_ptr_array_new_with_free_func(g_free);
	judged->sides_len = release ? 2 : 1;
	judged->numeric = true;
	if (!open_side(&judged->sides[CANDIDATE], candidate, candidate_name, error))
		return NULL;
	if (release && !open_side(&judged->sides[RELEASE], release, release_name, error))
		return NULL;
	judged->rows = columns_rows(candidate);
	for (size_t i = 0; i < judged->sides_len; i++) {
		Side *side = &judged->sides[i];
		judged->numeric = judged->numeric &&
		                  columns_type(side->table, (size_t)side->label) == COLUMN_NUMBER &&
		                  columns_type(side->table, (size_t)side->prediction) == COLUMN_NUMBER;
		if (!match_rows(judged, side, error))
			return NULL;
	}
	g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
	if (!read_labels(judged, known, error))
		return NULL;
	guint labels = judged->classes->len;
	for (size_t i = 0; i < judged->sides_len; i++)
		if (!read_predictions(judged, &judged->sides[i], known, error))
			return NULL;
	judged->is_label = g_renew(bool, judged->is_label, judged->classes->len);
	for (guint i = labels; i < judged->classes->len; i++)
		judged->is_label[i] = false;
	return g_steal_pointer(&judged);
}

void judged_free(Judged *judged)
{
	if (!judged)
		return;
	for (size_t i = 0; i < SIDES; i++) {
		g_free(judged->sides[i].row);
		g_free(judged->sides[i].predicted);
	}
	if (judged->classes)
		g_ptr_array_unref(judged->classes);
	g_free(judged->label);
	g_free(judged->is_label);
	g_free(judged);
}

size_t judged_rows(const Judged *judged)
{
	return judged->rows;
}

bool judged_is_regression(const Judged *judged)
{
	if (!judged->numeric)
		return false;
	const Side *side = &judged->sides[CANDIDATE];
	for (size_t row = 0; row < judged->rows; row++) {
		double label = columns_number(side->table, (size_t)side->label, row);
		if (fabs(label - round(label)) > 0)
			return true;
	}
	return false;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *judged_digest(const Judged *judged)
{
	const Side *side = &judged->sides[CANDIDATE];
	g_autoptr(GPtrArray) lines = g_ptr_array_new_full((guint)judged->rows, g_free);
	for (size_t row = 0; row < judged->rows; row++)
		g_ptr_array_add(lines,
		        g_strdup_printf("%s\x1f%s\n", columns_text(side->table, (size_t)side->id, row),
		                (char *)g_ptr_array_index(judged->classes, judged->label[row])));
	g_ptr_array_sort(lines, compare_texts);
	g_autoptr(Hash) hash = hash_new();
	for (guint i = 0; i < lines->len; i++)
		hash_update(hash, g_ptr_array_index(lines, i), strlen(g_ptr_array_index(lines, i)));
	uint8_t digest[HASH_BYTES];
	hash_final(hash, digest);
	char *hex = g_malloc(HASH_HEX_BYTES);
	hex_write(digest, HASH_BYTES, hex);
	return hex;
}
