/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts with `${{ … }}` in them. An expression ends at the first `}}` outside a quoted string. A text that is one
 * expression alone keeps the value's kind; any other becomes a string.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/model/expr_eval.h"
#include "agent/model/expr_lint.h"

#define OPEN "${{"
#define OPEN_BYTES 3
#define TREE_DEPTH_MAX 2048

/** The next expression of a text: what stands before it, and itself without blanks around. */
typedef struct Segment {
	const char *before;
	size_t before_len;
	const char *expression; /* NULL: there is none, only `before` */
	size_t len;
	const char *rest;
} Segment;

static bool next_segment(const char *text, const char *end, Segment *out, GError **error)
{
	const char *open = memmem(text, (size_t)(end - text), OPEN, OPEN_BYTES);
	*out = (Segment){.before = text, .before_len = (size_t)((open ? open : end) - text), .rest = end};
	if (!open)
		return true;
	bool quoted = false;
	const char *close = NULL;
	for (const char *p = open + OPEN_BYTES; p + 1 < end && !close; p++) {
		if (*p == '\'')
			quoted = !quoted;
		else if (!quoted && p[0] == '}' && p[1] == '}')
			close = p;
	}
	if (!close)
		return fail(error, ASSAY_ERROR_USER, "The expression is not closed. An unescaped ${{ sequence was found, "
		                                     "but the closing }} sequence was not found");
	const char *first = open + OPEN_BYTES;
	size_t len = (size_t)(close - first);
	expr_trim(&first, &len);
	if (len == 0)
		return fail(error, ASSAY_ERROR_USER, "An expression was expected between ${{ and }}");
	out->expression = first;
	out->len = len;
	out->rest = close + 2;
	return true;
}

bool expr_next(const char **at, const char *end, const char **out, size_t *out_len)
{
	Segment segment;
	if (!next_segment(*at, end, &segment, NULL) || !segment.expression)
		return false;
	*at = segment.rest;
	*out = segment.expression;
	*out_len = segment.len;
	return true;
}

bool expr_is_template(const char *text)
{
	return strstr(text, OPEN) != NULL;
}

/* A text that is not UTF-8 has no segments: what trims an expression reads characters. */
static bool only_segment(const char *text, Segment *out)
{
	size_t len = strlen(text);
	const char *end = text + len;
	return g_utf8_validate_len(text, len, NULL) && next_segment(text, end, out, NULL) && out->expression &&
	       out->before_len == 0 && out->rest == end;
}

bool expr_is_single(const char *text)
{
	Segment segment;
	return only_segment(text, &segment);
}

bool expr_is_insert(const char *text)
{
	Segment segment;
	return only_segment(text, &segment) && segment.len == strlen("insert") &&
	       memcmp(segment.expression, "insert", segment.len) == 0;
}

static bool is_utf8(const char *text, GError **error)
{
	return g_utf8_validate(text, -1, NULL) || fail(error, ASSAY_ERROR_USER, "The text is not UTF-8");
}

/** Evaluates one segment. */
static json_t *evaluate_segment(const Segment *segment, const ExprScope *scope, GError **error)
{
	ExprTree tree;
	json_t *result = NULL;
	ExprEval eval = {.tree = &tree, .scope = scope, .error = error};
	ExprValue value;
	if (expr_tree_parse(&tree, segment->expression, segment->len, error) &&
	        expr_scope_allows(&tree, scope, error) && tree.root != EXPR_NO_NODE &&
	        expr_eval_node(&eval, tree.root, &value))
		result = expr_value_to_json(&value);
	expr_eval_clear(&eval);
	expr_tree_clear(&tree);
	return result;
}

static bool append_value(GString *out, const json_t *json, GError **error)
{
	ExprValue value = expr_value_of_json(json);
	char buffer[EXPR_NUMBER_BYTES];
	const char *text = NULL;
	size_t len = 0;
	expr_value_text(&value, buffer, &text, &len);
	if (out->len + len > EXPR_MEMORY_MAX)
		return fail(error, ASSAY_ERROR_USER, "The text becomes larger than %d MiB", EXPR_MEMORY_MAX >> 20);
	g_string_append_len(out, text, (gssize)len);
	return true;
}

static json_t *evaluate_template(const char *text, size_t len, const ExprScope *scope, GError **error)
{
	const char *end = text + len;
	Segment segment;
	if (!next_segment(text, end, &segment, error))
		return NULL;
	if (!segment.expression)
		return json_stringn(text, len);
	if (segment.before_len == 0 && segment.rest == end)
		return evaluate_segment(&segment, scope, error);
	g_autoptr(GString) out = g_string_sized_new(len);
	for (;;) {
		g_string_append_len(out, segment.before, (gssize)segment.before_len);
		if (!segment.expression)
			break;
		json_t *value = evaluate_segment(&segment, scope, error);
		bool good = value && append_value(out, value, error);
		json_decref(value);
		if (!good || !next_segment(segment.rest, end, &segment, error))
			return NULL;
	}
	return json_stringn(out->str, out->len);
}

json_t *expr_template(const char *text, const ExprScope *scope, GError **error)
{
	return is_utf8(text, error) ? evaluate_template(text, strlen(text), scope, error) : NULL;
}

char *expr_template_string(const char *text, const ExprScope *scope, GError **error)
{
	json_t *value = expr_template(text, scope, error);
	char *string = value ? expr_to_string(value) : NULL;
	json_decref(value);
	return string;
}

/* Trees */

static json_t *evaluate_tree(const json_t *tree, const ExprScope *scope, int depth, GError **error);

static bool insert_all(json_t *out, const json_t *value, const ExprScope *scope, int depth, GError **error)
{
	json_t *inserted = evaluate_tree(value, scope, depth, error);
	bool good = json_is_object(inserted);
	if (inserted && !good)
		fail(error, ASSAY_ERROR_USER, "${{ insert }} needs a mapping");
	if (good)
		json_object_update_missing(out, inserted);
	json_decref(inserted);
	return good;
}

static bool evaluate_pair(json_t *out, const char *key, const json_t *value, const ExprScope *scope, int depth,
        GError **error)
{
	if (expr_is_template(key) && expr_is_insert(key))
		return insert_all(out, value, scope, depth, error);
	g_autofree char *name = expr_is_template(key) ? expr_template_string(key, scope, error) : g_strdup(key);
	json_t *result = name ? evaluate_tree(value, scope, depth, error) : NULL;
	if (!result)
		return false;
	json_object_set_new(out, name, result);
	return true;
}

static json_t *evaluate_tree(const json_t *tree, const ExprScope *scope, int depth, GError **error)
{
	if (depth > TREE_DEPTH_MAX) {
		fail(error, ASSAY_ERROR_USER, "nested deeper than %d", TREE_DEPTH_MAX);
		return NULL;
	}
	if (json_is_string(tree))
		return evaluate_template(json_string_value(tree), json_string_length(tree), scope, error);
	if (!json_is_array(tree) && !json_is_object(tree))
		return json_incref((json_t *)tree);
	json_t *out = json_is_array(tree) ? json_array() : json_object();
	bool good = true;
	size_t i = 0;
	json_t *item = NULL;
	const char *key = NULL;
	json_array_foreach((json_t *)tree, i, item) {
		json_t *value = evaluate_tree(item, scope, depth + 1, error);
		good = value && json_array_append_new(out, value) == 0;
		if (!good)
			break;
	}
	json_object_foreach((json_t *)tree, key, item) {
		good = evaluate_pair(out, key, item, scope, depth + 1, error);
		if (!good)
			break;
	}
	if (good)
		return out;
	json_decref(out);
	return NULL;
}

json_t *expr_template_tree(const json_t *tree, const ExprScope *scope, GError **error)
{
	return evaluate_tree(tree, scope, 0, error);
}

/* Checks */

bool expr_check_template(const char *text, const ExprRules *rules, GError **error)
{
	const char *end = text + strlen(text);
	Segment segment = {.rest = text};
	if (!is_utf8(text, error))
		return false;
	do {
		if (!next_segment(segment.rest, end, &segment, error))
			return false;
		g_autofree char *expression = segment.expression ? g_strndup(segment.expression, segment.len) : NULL;
		if (expression && !expr_check(expression, rules, error))
			return false;
	} while (segment.expression);
	return true;
}

/* Conditions */

/** Does an expression call a status function? False with error when it cannot be parsed. */
static bool calls_status(const char *expression, size_t len, bool *out, GError **error)
{
	ExprTree tree;
	bool good = expr_tree_parse(&tree, expression, len, error);
	if (good)
		*out = *out || expr_tree_calls_status(&tree);
	expr_tree_clear(&tree);
	return good;
}

static bool condition_calls_status(const char *text, bool *out, GError **error)
{
	const char *end = text + strlen(text);
	if (!expr_is_template(text))
		return calls_status(text, strlen(text), out, error);
	if (!is_utf8(text, error))
		return false;
	Segment segment = {.rest = text};
	do {
		if (!next_segment(segment.rest, end, &segment, error))
			return false;
		if (segment.expression && !calls_status(segment.expression, segment.len, out, error))
			return false;
	} while (segment.expression);
	return true;
}

bool expr_condition(const char *text, const ExprScope *scope, bool *out, GError **error)
{
	bool succeeded = scope->status == EXPR_STATUS_SUCCESS || scope->status == EXPR_STATUS_NONE;
	g_autofree char *trimmed = g_strstrip(g_strdup(text ? text : ""));
	if (!*trimmed) {
		*out = succeeded;
		return true;
	}
	/* Text around `${{ }}`, a line's end included, makes a string of the whole, as with GitHub: always true. */
	const char *condition = expr_is_template(trimmed) ? text : trimmed;
	bool called = false;
	if (!condition_calls_status(condition, &called, error))
		return false;
	if (!called && !succeeded) {
		*out = false;
		return true;
	}
	json_t *value = expr_is_template(condition) ? expr_template(condition, scope, error)
	                                            : expr_evaluate(condition, scope, error);
	if (!value)
		return false;
	*out = expr_truthy(value);
	json_decref(value);
	return true;
}
