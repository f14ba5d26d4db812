/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of expressions. Parameters are evaluated when they are needed, in order, like the reference's. */
#include <string.h>

#include "agent/base/error.h"
#include "agent/model/expr_eval.h"

#define FORMAT_INDEX_MAX 255
#define TREE_DEPTH_MAX 2048 /* jansson's own */

/** A value's text, whose bytes live as long as the evaluation. */
typedef struct Text {
	const char *text;
	size_t len;
	char buffer[EXPR_NUMBER_BYTES];
} Text;

static void text_of(const ExprValue *value, Text *out)
{
	expr_value_text(value, out->buffer, &out->text, &out->len);
}

static int32_t parameter(const ExprEval *eval, const ExprNode *call, uint16_t number)
{
	int32_t node = call->first;
	for (uint16_t i = 0; i < number; i++)
		node = eval->tree->nodes[node].next;
	return node;
}

static bool own_string(ExprEval *eval, GString *string, ExprValue *out)
{
	size_t len = string->len;
	*out = expr_eval_own_text(eval, g_string_free(string, FALSE), len);
	return true;
}

static bool append(ExprEval *eval, GString *out, const char *text, size_t len)
{
	if (!expr_eval_count(eval, len))
		return false;
	g_string_append_len(out, text, (gssize)len);
	return true;
}

/* contains, startsWith, endsWith */

static bool array_contains(const json_t *array, const ExprValue *wanted)
{
	size_t i = 0;
	json_t *item = NULL;
	json_array_foreach((json_t *)array, i, item) {
		ExprValue value = expr_value_of_json(item);
		if (expr_value_equal(wanted, &value))
			return true;
	}
	return false;
}

static bool text_contains(ExprFunction function, const GString *left, const GString *right)
{
	if (right->len > left->len)
		return false;
	if (function == EXPR_STARTS_WITH)
		return memcmp(left->str, right->str, right->len) == 0;
	if (function == EXPR_ENDS_WITH)
		return memcmp(left->str + left->len - right->len, right->str, right->len) == 0;
	return memmem(left->str, left->len, right->str, right->len) != NULL;
}

static bool call_contains(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	ExprValue left;
	ExprValue right;
	if (!expr_eval_node(eval, call->first, &left))
		return false;
	*out = expr_value_boolean(false);
	if (!expr_value_is_primitive(&left)) {
		if (call->function != EXPR_CONTAINS || json_array_size(left.json) == 0)
			return true;
		if (!expr_eval_node(eval, call->last, &right))
			return false;
		*out = expr_value_boolean(array_contains(left.json, &right));
		return true;
	}
	if (!expr_eval_node(eval, call->last, &right))
		return false;
	if (!expr_value_is_primitive(&right))
		return true;
	Text left_text;
	Text right_text;
	text_of(&left, &left_text);
	text_of(&right, &right_text);
	if (!expr_eval_count(eval, left_text.len + right_text.len))
		return false;
	g_autoptr(GString) left_upper = g_string_sized_new(left_text.len + 1);
	g_autoptr(GString) right_upper = g_string_sized_new(right_text.len + 1);
	expr_append_upper(left_upper, left_text.text, left_text.len);
	expr_append_upper(right_upper, right_text.text, right_text.len);
	*out = expr_value_boolean(text_contains(call->function, left_upper, right_upper));
	return true;
}

/* format */

/** Reads `{7}` after its brace: the number, or -1. Moves *at behind the closing brace. */
static int read_placeholder(const char *text, size_t len, size_t *at, bool *specifier)
{
	size_t i = *at;
	int number = 0;
	size_t digits = 0;
	for (; i < len && g_ascii_isdigit(text[i]) && number <= FORMAT_INDEX_MAX; i++, digits++)
		number = number * 10 + (text[i] - '0');
	if (digits == 0 || number > FORMAT_INDEX_MAX || i >= len)
		return -1;
	*specifier = false;
	if (text[i] == ':') {
		for (i++; i < len && (text[i] != '}' || (i + 1 < len && text[i + 1] == '}')); i++) {
			i += text[i] == '}';
			*specifier = true;
		}
	}
	if (i >= len || text[i] != '}')
		return -1;
	*at = i + 1;
	return number;
}

static bool append_parameter(ExprEval *eval, const ExprNode *call, int number, bool specifier, GString *out)
{
	ExprValue value;
	if (!expr_eval_node(eval, parameter(eval, call, (uint16_t)(number + 1)), &value))
		return false;
	if (specifier)
		return fail(eval->error, ASSAY_ERROR_USER, "format(): specifiers after ':' are not supported in {%d:…}",
		        number);
	Text text;
	text_of(&value, &text);
	return append(eval, out, text.text, text.len);
}

static bool format_into(ExprEval *eval, const ExprNode *call, const Text *format, GString *out)
{
	const char *text = format->text;
	size_t len = format->len;
	for (size_t at = 0; at < len;) {
		char c = text[at];
		bool doubled = at + 1 < len && text[at + 1] == c;
		if (c != '{' && c != '}') {
			size_t run = at;
			while (run < len && text[run] != '{' && text[run] != '}')
				run++;
			if (!append(eval, out, text + at, run - at))
				return false;
			at = run;
			continue;
		}
		if (doubled) {
			if (!append(eval, out, &c, 1))
				return false;
			at += 2;
			continue;
		}
		bool specifier = false;
		int number = -1;
		if (c == '{') {
			at++;
			number = read_placeholder(text, len, &at, &specifier);
		}
		if (number < 0)
			return fail(eval->error, ASSAY_ERROR_USER, "The following format string is invalid: %.*s",
			        (int)MIN(len, 1000), text);
		if (number > call->count - 2)
			return fail(eval->error, ASSAY_ERROR_USER,
			        "The following format string references more arguments than were supplied: %.*s",
			        (int)MIN(len, 1000), text);
		if (!append_parameter(eval, call, number, specifier, out))
			return false;
	}
	return true;
}

static bool call_format(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	ExprValue format;
	if (!expr_eval_node(eval, call->first, &format))
		return false;
	Text text;
	text_of(&format, &text);
	g_autoptr(GString) string = g_string_new(NULL);
	if (!format_into(eval, call, &text, string))
		return false;
	return own_string(eval, g_steal_pointer(&string), out);
}

/* join */

static bool join_into(ExprEval *eval, const ExprNode *call, const json_t *items, GString *out)
{
	Text separator = {.text = ",", .len = 1};
	if (call->count > 1 && json_array_size(items) > 1) {
		ExprValue value;
		if (!expr_eval_node(eval, call->last, &value))
			return false;
		if (expr_value_is_primitive(&value))
			text_of(&value, &separator);
	}
	size_t i = 0;
	json_t *item = NULL;
	json_array_foreach((json_t *)items, i, item) {
		ExprValue value = expr_value_of_json(item);
		Text text;
		text_of(&value, &text);
		if (i > 0 && !append(eval, out, separator.text, separator.len))
			return false;
		if (!append(eval, out, text.text, text.len))
			return false;
	}
	return true;
}

static bool call_join(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	ExprValue items;
	if (!expr_eval_node(eval, call->first, &items))
		return false;
	g_autoptr(GString) string = g_string_new(NULL);
	if (items.kind == EXPR_VALUE_ARRAY) {
		if (!join_into(eval, call, items.json, string))
			return false;
	} else if (expr_value_is_primitive(&items)) {
		Text text;
		text_of(&items, &text);
		if (!append(eval, string, text.text, text.len))
			return false;
	}
	return own_string(eval, g_steal_pointer(&string), out);
}

/* toJSON, fromJSON */

/** A string as Newtonsoft writes it: line separators are escaped besides what JSON asks for. */
static void append_quoted(GString *out, const char *text, size_t len)
{
	static const char *const short_escapes[0x20] = {
	        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
	g_string_append_c(out, '"');
	for (const char *p = text, *end = text + len; p < end; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (c < 0x20 && short_escapes[c])
			g_string_append(out, short_escapes[c]);
		else if (c < 0x20 || c == 0x85 || c == 0x2028 || c == 0x2029)
			g_string_append_printf(out, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			g_string_append_printf(out, "\\%c", (char)c);
		else
			g_string_append_unichar(out, c);
	}
	g_string_append_c(out, '"');
}

static void append_line(GString *out, int depth)
{
	g_string_append_c(out, '\n');
	for (int i = 0; i < depth; i++)
		g_string_append(out, "  ");
}

static bool write_json(ExprEval *eval, const ExprValue *value, int depth, GString *out);

static bool write_items(ExprEval *eval, const json_t *json, int depth, GString *out)
{
	size_t i = 0;
	json_t *item = NULL;
	json_array_foreach((json_t *)json, i, item) {
		if (i > 0)
			g_string_append_c(out, ',');
		append_line(out, depth + 1);
		ExprValue value = expr_value_of_json(item);
		if (!write_json(eval, &value, depth + 1, out))
			return false;
	}
	const char *separator = "";
	for (void *at = json_object_iter((json_t *)json); at; at = json_object_iter_next((json_t *)json, at)) {
		g_string_append(out, separator);
		separator = ",";
		append_line(out, depth + 1);
		append_quoted(out, json_object_iter_key(at), json_object_iter_key_len(at));
		g_string_append(out, ": ");
		ExprValue value = expr_value_of_json(json_object_iter_value(at));
		if (!write_json(eval, &value, depth + 1, out))
			return false;
	}
	append_line(out, depth);
	return true;
}

static bool write_json(ExprEval *eval, const ExprValue *value, int depth, GString *out)
{
	if (depth > TREE_DEPTH_MAX)
		return fail(eval->error, ASSAY_ERROR_USER, "toJSON(): nested deeper than %d", TREE_DEPTH_MAX);
	if (value->kind == EXPR_VALUE_ARRAY || value->kind == EXPR_VALUE_OBJECT) {
		bool array = value->kind == EXPR_VALUE_ARRAY;
		g_string_append_c(out, array ? '[' : '{');
		if (json_array_size(value->json) + json_object_size(value->json) > 0 &&
		        !write_items(eval, value->json, depth, out))
			return false;
		g_string_append_c(out, array ? ']' : '}');
	} else if (value->kind == EXPR_VALUE_STRING) {
		append_quoted(out, value->text, value->len);
	} else if (value->kind == EXPR_VALUE_NULL) {
		g_string_append(out, "null");
	} else {
		Text text;
		text_of(value, &text);
		g_string_append_len(out, text.text, (gssize)text.len);
	}
	/* The whole is counted once it is made; here it only must not run away. */
	return out->len <= EXPR_MEMORY_MAX || expr_eval_count(eval, out->len);
}

static bool call_to_json(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	ExprValue value;
	if (!expr_eval_node(eval, call->first, &value))
		return false;
	g_autoptr(GString) string = g_string_new(NULL);
	if (!write_json(eval, &value, 0, string) || !expr_eval_count(eval, string->len))
		return false;
	return own_string(eval, g_steal_pointer(&string), out);
}

/** Keys of one object that differ in case alone become one: the first spelling, the last value. */
static json_t *merge_cases(json_t *object)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	json_t *merged = NULL;
	for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
		const char *key = json_object_iter_key(at);
		GString *upper = g_string_new(NULL);
		expr_append_upper(upper, key, strlen(key));
		const char *first = g_hash_table_lookup(seen, upper->str);
		if (first && !merged)
			merged = json_copy(object);
		if (first) {
			json_object_set(merged, first, json_object_iter_value(at));
			json_object_del(merged, key);
			g_string_free(upper, TRUE);
		} else {
			g_hash_table_insert(seen, g_string_free(upper, FALSE), g_strdup(key));
		}
	}
	return merged;
}

/** Merges all objects of a tree. Its depth is bounded by the parser. */
static json_t *merge_all(json_t *tree)
{
	size_t i = 0;
	json_t *item = NULL;
	json_array_foreach(tree, i, item)
		if (json_is_array(item) || json_is_object(item))
			json_array_set_new(tree, i, merge_all(json_incref(item)));
	for (void *at = json_object_iter(tree); at; at = json_object_iter_next(tree, at)) {
		item = json_object_iter_value(at);
		if (json_is_array(item) || json_is_object(item))
			json_object_iter_set_new(tree, at, merge_all(json_incref(item)));
	}
	json_t *merged = json_object_size(tree) > 1 ? merge_cases(tree) : NULL;
	if (!merged)
		return tree;
	json_decref(tree);
	return merged;
}

static bool call_from_json(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	ExprValue value;
	if (!expr_eval_node(eval, call->first, &value))
		return false;
	Text text;
	text_of(&value, &text);
	/* A tree takes several times the bytes of its text. */
	if (!expr_eval_count(eval, text.len * 4))
		return false;
	json_error_t where;
	json_t *json = json_loadb(text.text, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
	if (!json && json_error_code(&where) == json_error_numeric_overflow)
		json = json_loadb(text.text, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &where);
	if (!json && json_error_code(&where) == json_error_numeric_overflow) {
		/* A tree cannot hold an infinity; a number alone may be one. */
		double number = expr_parse_number(text.text, text.len);
		if (isinf(number)) {
			*out = expr_value_number(number);
			return true;
		}
	}
	if (!json)
		return fail(eval->error, ASSAY_ERROR_USER, "Error parsing fromJson: %s (line %d, column %d)", where.text,
		        where.line, where.column);
	*out = expr_eval_own_json(eval, merge_all(json));
	return true;
}

/* case, hashFiles, status */

static bool call_case(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	int32_t node = call->first;
	for (uint16_t i = 0; i + 1 < call->count; i += 2) {
		ExprValue predicate;
		if (!expr_eval_node(eval, node, &predicate))
			return false;
		if (predicate.kind != EXPR_VALUE_BOOLEAN)
			return fail(eval->error, ASSAY_ERROR_USER, "case predicate must evaluate to a boolean value");
		int32_t result = eval->tree->nodes[node].next;
		if (predicate.truth)
			return expr_eval_node(eval, result, out);
		node = eval->tree->nodes[result].next;
	}
	return expr_eval_node(eval, node, out);
}

static bool call_hash_files(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	g_autoptr(GPtrArray) patterns = g_ptr_array_new_with_free_func(g_free);
	for (int32_t node = call->first; node != EXPR_NO_NODE; node = eval->tree->nodes[node].next) {
		ExprValue value;
		Text text;
		if (!expr_eval_node(eval, node, &value))
			return false;
		text_of(&value, &text);
		if (!expr_eval_count(eval, text.len))
			return false;
		g_ptr_array_add(patterns, g_strndup(text.text, text.len));
	}
	char *hash = eval->scope->hash_files(eval->scope->data, (const char *const *)patterns->pdata, patterns->len,
	        eval->error);
	if (!hash)
		return false;
	*out = expr_eval_own_text(eval, hash, strlen(hash));
	return true;
}

/** success('a', 'b') and failure('a', 'b') ask for the jobs they name alone. */
static bool status_of_named(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	const json_t *needs = expr_object_get(eval->scope->contexts, "needs", strlen("needs"));
	const char *wanted = call->function == EXPR_SUCCESS ? "success" : "failure";
	bool all = true;
	bool any = false;
	for (int32_t node = call->first; node != EXPR_NO_NODE; node = eval->tree->nodes[node].next) {
		ExprValue name;
		Text text;
		if (!expr_eval_node(eval, node, &name))
			return false;
		text_of(&name, &text);
		const json_t *need = json_is_object(needs) ? expr_object_get(needs, text.text, text.len) : NULL;
		if (!need)
			return fail(eval->error, ASSAY_ERROR_USER, "%s(): '%.*s' is not a job that this one needs",
			        expr_function_name(call->function), (int)text.len, text.text);
		bool is = g_strcmp0(json_string_value(json_object_get(need, "result")), wanted) == 0;
		all = all && is;
		any = any || is;
	}
	*out = expr_value_boolean(call->function == EXPR_SUCCESS ? all : any);
	return true;
}

static bool call_status(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	ExprStatus status = eval->scope->status;
	if (call->count > 0)
		return status_of_named(eval, call, out);
	bool truth = call->function == EXPR_ALWAYS ||
	             (call->function == EXPR_SUCCESS && status == EXPR_STATUS_SUCCESS) ||
	             (call->function == EXPR_FAILURE && status == EXPR_STATUS_FAILURE) ||
	             (call->function == EXPR_CANCELLED && status == EXPR_STATUS_CANCELLED);
	*out = expr_value_boolean(truth);
	return true;
}

bool expr_eval_call(ExprEval *eval, const ExprNode *call, ExprValue *out)
{
	switch (call->function) {
	case EXPR_CONTAINS:
	case EXPR_STARTS_WITH:
	case EXPR_ENDS_WITH:
		return call_contains(eval, call, out);
	case EXPR_FORMAT:
		return call_format(eval, call, out);
	case EXPR_JOIN:
		return call_join(eval, call, out);
	case EXPR_TO_JSON:
		return call_to_json(eval, call, out);
	case EXPR_FROM_JSON:
		return call_from_json(eval, call, out);
	case EXPR_CASE:
		return call_case(eval, call, out);
	case EXPR_HASH_FILES:
		return call_hash_files(eval, call, out);
	case EXPR_ALWAYS:
	case EXPR_CANCELLED:
	case EXPR_FAILURE:
	case EXPR_SUCCESS:
		return call_status(eval, call, out);
	}
	g_assert_not_reached();
}
