/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrices. An entry of `include` adds its other keys to every combination that agrees with it in the vectors' keys; one
 * that agrees with none becomes a combination of its own. Values are compared as expressions compare them.
 */
#include "agent/model/matrix.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/model/expr.h"

/* Combinations before `exclude`: far above what may remain, and far below what would take long. */
#define PRODUCT_MAX 65536
#define LABEL_CHARACTERS_MAX 150

typedef struct Matrix {
	const json_t *vectors; /* name → array */
	const json_t *include;
	const json_t *exclude;
	bool *used; /* entries of include that were added to a combination */
} Matrix;

static bool is_vector(const char *key)
{
	return strcmp(key, "include") != 0 && strcmp(key, "exclude") != 0;
}

/** Does every leaf of a filter equal what stands in the same place of a value? */
static bool filter_matches(const json_t *filter, const json_t *value)
{
	const char *key = NULL;
	json_t *inner = NULL;
	size_t i = 0;
	if (!json_is_object(filter) && !json_is_array(filter))
		return expr_equal(value, filter);
	json_object_foreach((json_t *)filter, key, inner)
		if (!filter_matches(inner, json_object_get(value, key)))
			return false;
	json_array_foreach((json_t *)filter, i, inner)
		if (!filter_matches(inner, json_array_get(value, i)))
			return false;
	return true;
}

static bool is_excluded(const Matrix *matrix, const json_t *values)
{
	size_t i = 0;
	json_t *filter = NULL;
	json_array_foreach((json_t *)matrix->exclude, i, filter)
		if (filter_matches(filter, values))
			return true;
	return false;
}

/** Adds the other keys of the entries that agree, later ones over earlier ones. */
static void add_included(Matrix *matrix, json_t *values)
{
	g_autoptr(json_t) extra = json_object();
	size_t i = 0;
	json_t *entry = NULL;
	json_array_foreach((json_t *)matrix->include, i, entry) {
		const char *key = NULL;
		json_t *value = NULL;
		bool agrees = true;
		json_object_foreach(entry, key, value)
			if (json_object_get(matrix->vectors, key))
				agrees = agrees && filter_matches(value, json_object_get(values, key));
		if (!agrees)
			continue;
		matrix->used[i] = true;
		json_object_foreach(entry, key, value)
			if (!json_object_get(matrix->vectors, key))
				json_object_set(extra, key, value);
	}
	json_object_update(values, extra);
}

/** "3.11, ubuntu": every number, boolean and text in a combination, in order. */
static void append_label(GString *label, const json_t *value)
{
	const char *key = NULL;
	json_t *inner = NULL;
	size_t i = 0;
	json_object_foreach((json_t *)value, key, inner)
		append_label(label, inner);
	json_array_foreach((json_t *)value, i, inner)
		append_label(label, inner);
	if (json_is_object(value) || json_is_array(value))
		return;
	g_autofree char *text = expr_to_string(value);
	if (*text && label->len < LABEL_CHARACTERS_MAX * 4)
		g_string_append_printf(label, "%s%s", label->len > 0 ? ", " : "", text);
}

static bool add_combination(json_t *out, json_t *values, const char *label, GError **error)
{
	if (json_array_size(out) >= MATRIX_JOBS_MAX) {
		json_decref(values);
		return fail(error, ASSAY_ERROR_USER, "The matrix makes more than %d jobs", MATRIX_JOBS_MAX);
	}
	g_autofree char *cut = g_utf8_strlen(label, -1) > LABEL_CHARACTERS_MAX
	                               ? g_utf8_substring(label, 0, LABEL_CHARACTERS_MAX)
	                               : g_strdup(label);
	json_array_append_new(out, json_pack("{s:o,s:s}", "values", values, "label", cut));
	return true;
}

static bool add_product(Matrix *matrix, size_t product, json_t *out, GError **error)
{
	for (size_t at = 0; at < product; at++) {
		g_autoptr(json_t) values = json_object();
		size_t block = product;
		const char *key = NULL;
		json_t *vector = NULL;
		json_object_foreach((json_t *)matrix->vectors, key, vector) {
			size_t len = json_array_size(vector);
			block /= len;
			json_object_set(values, key, json_array_get(vector, at / block % len));
		}
		if (is_excluded(matrix, values))
			continue;
		g_autoptr(GString) label = g_string_new(NULL);
		append_label(label, values);
		add_included(matrix, values);
		if (!add_combination(out, g_steal_pointer(&values), label->str, error))
			return false;
	}
	return true;
}

static bool add_rest(const Matrix *matrix, json_t *out, GError **error)
{
	size_t i = 0;
	json_t *entry = NULL;
	json_array_foreach((json_t *)matrix->include, i, entry) {
		if (matrix->used[i])
			continue;
		g_autoptr(GString) label = g_string_new(NULL);
		append_label(label, entry);
		if (!add_combination(out, json_copy(entry), label->str, error))
			return false;
	}
	return true;
}

/** Filters are arrays of mappings that are not empty. */
static bool check_filters(const json_t *filters, const char *name, GError **error)
{
	size_t i = 0;
	json_t *entry = NULL;
	if (filters && !json_is_array(filters))
		return fail(error, ASSAY_ERROR_USER, "'%s' of the matrix is not a sequence", name);
	json_array_foreach((json_t *)filters, i, entry)
		if (json_object_size(entry) == 0)
			return fail(error, ASSAY_ERROR_USER,
			        "entry %zu in '%s' of the matrix is not a mapping with keys", i + 1, name);
	return true;
}

/** Gathers the vectors and multiplies their lengths. */
static bool measure(const json_t *matrix, json_t *vectors, size_t *out_product, GError **error)
{
	const char *key = NULL;
	json_t *value = NULL;
	size_t product = 1;
	json_object_foreach((json_t *)matrix, key, value) {
		if (!is_vector(key))
			continue;
		if (!json_is_array(value))
			return fail(error, ASSAY_ERROR_USER, "Matrix vector '%s' is not a sequence", key);
		if (json_array_size(value) == 0)
			return fail(error, ASSAY_ERROR_USER, "Matrix vector '%s' does not contain any values", key);
		product *= json_array_size(value);
		if (product > PRODUCT_MAX)
			return fail(error, ASSAY_ERROR_USER, "The matrix makes more than %d jobs", MATRIX_JOBS_MAX);
		json_object_set(vectors, key, value);
	}
	*out_product = json_object_size(vectors) > 0 ? product : 0;
	return true;
}

json_t *matrix_unfold(const json_t *object, GError **error)
{
	if (!json_is_object(object)) {
		fail(error, ASSAY_ERROR_USER, "The matrix is not a mapping");
		return NULL;
	}
	g_autoptr(json_t) vectors = json_object();
	Matrix matrix = {.vectors = vectors,
	        .include = json_object_get(object, "include"),
	        .exclude = json_object_get(object, "exclude")};
	size_t product = 0;
	if (!check_filters(matrix.include, "include", error) || !check_filters(matrix.exclude, "exclude", error) ||
	        !measure(object, vectors, &product, error))
		return NULL;
	if (product == 0 && json_array_size(matrix.include) == 0) {
		fail(error, ASSAY_ERROR_USER, "Matrix must define at least one vector");
		return NULL;
	}
	g_autofree bool *used = g_new0(bool, json_array_size(matrix.include) + 1);
	matrix.used = used;
	g_autoptr(json_t) out = json_array();
	if (!add_product(&matrix, product, out, error) || !add_rest(&matrix, out, error))
		return NULL;
	return g_steal_pointer(&out);
}
