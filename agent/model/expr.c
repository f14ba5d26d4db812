/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluates trees of expressions. A value on the way is a small struct that borrows from the contexts; only what a
 * function makes new is owned by the evaluation, counted, and freed with it. The tree is at most fifty deep, so the
 * recursion is bounded.
 */
#include "agent/model/expr.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/model/expr_eval.h"

struct Expr {
	char *source;
	ExprTree tree;
};

void expr_eval_clear(ExprEval *eval)
{
	g_slist_free_full(eval->texts, g_free);
	for (GSList *at = eval->trees; at; at = at->next)
		json_decref(at->data);
	g_slist_free(eval->trees);
}

bool expr_eval_count(ExprEval *eval, size_t bytes)
{
	eval->bytes += bytes;
	if (eval->bytes <= EXPR_MEMORY_MAX)
		return true;
	return fail(eval->error, ASSAY_ERROR_USER, "The maximum allowed memory size of an expression, %d MiB, was exceeded",
	        EXPR_MEMORY_MAX >> 20);
}

ExprValue expr_eval_own_text(ExprEval *eval, char *text, size_t len)
{
	eval->texts = g_slist_prepend(eval->texts, text);
	return expr_value_string(text, len);
}

ExprValue expr_eval_own_json(ExprEval *eval, json_t *json)
{
	eval->trees = g_slist_prepend(eval->trees, json);
	return expr_value_of_json(json);
}

/* Index: `.name`, `[…]`, `.*` */

static bool append_all(ExprEval *eval, json_t *out, const json_t *collection)
{
	size_t i = 0;
	json_t *item = NULL;
	const char *key = NULL;
	if (!expr_eval_count(eval, sizeof(void *) * (json_array_size(collection) + json_object_size(collection))))
		return false;
	json_array_foreach((json_t *)collection, i, item)
		json_array_append(out, item);
	json_object_foreach((json_t *)collection, key, item)
		json_array_append(out, item);
	return true;
}

/** What an index finds in one array or object: NULL for nothing. */
static const json_t *find_item(const json_t *collection, const ExprValue *index)
{
	if (json_is_array(collection)) {
		double number = expr_value_to_number(index);
		if (!(number >= 0 && number < (double)json_array_size(collection)))
			return NULL;
		return json_array_get(collection, (size_t)number);
	}
	if (!json_is_object(collection) || !expr_value_is_primitive(index))
		return NULL;
	char buffer[EXPR_NUMBER_BYTES];
	const char *key = NULL;
	size_t len = 0;
	expr_value_text(index, buffer, &key, &len);
	return expr_object_get(collection, key, len);
}

/** An index into what `*` gave applies to each item of it. */
static bool index_filtered(ExprEval *eval, const json_t *items, const ExprValue *index, bool wildcard, json_t *out)
{
	size_t i = 0;
	json_t *item = NULL;
	json_array_foreach((json_t *)items, i, item) {
		const json_t *found = NULL;
		if (wildcard && !append_all(eval, out, item))
			return false;
		if (!wildcard && (found = find_item(item, index))) {
			if (!expr_eval_count(eval, sizeof(void *)))
				return false;
			json_array_append(out, (json_t *)found);
		}
	}
	return true;
}

static bool eval_index(ExprEval *eval, const ExprNode *node, ExprValue *out)
{
	ExprValue left;
	ExprValue index = {0};
	int32_t second = eval->tree->nodes[node->first].next;
	bool wildcard = eval->tree->nodes[second].kind == EXPR_WILDCARD;
	if (!expr_eval_node(eval, node->first, &left))
		return false;
	/* The index into what has no items is not looked at, like the reference's. */
	if (!wildcard && expr_value_is_primitive(&left)) {
		*out = (ExprValue){.kind = EXPR_VALUE_NULL};
		return true;
	}
	if (!wildcard && !expr_eval_node(eval, second, &index))
		return false;
	if (!wildcard && !left.filtered) {
		*out = expr_value_of_json(find_item(left.json, &index));
		return true;
	}
	json_t *items = json_array();
	*out = expr_eval_own_json(eval, items);
	out->filtered = true;
	if (expr_value_is_primitive(&left))
		return true;
	return left.filtered ? index_filtered(eval, left.json, &index, wildcard, items)
	                     : append_all(eval, items, left.json);
}

/* Operators */

/** The first child that decides, or the last one. */
static bool eval_chain(ExprEval *eval, const ExprNode *node, ExprValue *out)
{
	bool stop_at = node->kind == EXPR_OR;
	for (int32_t child = node->first; child != EXPR_NO_NODE; child = eval->tree->nodes[child].next) {
		if (!expr_eval_node(eval, child, out))
			return false;
		if (expr_value_is_truthy(out) == stop_at)
			break;
	}
	return true;
}

static bool eval_comparison(ExprEval *eval, const ExprNode *node, ExprValue *out)
{
	ExprValue left;
	ExprValue right;
	if (!expr_eval_node(eval, node->first, &left) || !expr_eval_node(eval, node->last, &right))
		return false;
	bool truth = false;
	if (node->kind == EXPR_EQUAL || node->kind == EXPR_GREATER_EQUAL || node->kind == EXPR_LESS_EQUAL)
		truth = expr_value_equal(&left, &right);
	else if (node->kind == EXPR_NOT_EQUAL)
		truth = !expr_value_equal(&left, &right);
	if (node->kind == EXPR_GREATER || node->kind == EXPR_GREATER_EQUAL)
		truth = truth || expr_value_ordered(&left, &right, 1);
	else if (node->kind == EXPR_LESS || node->kind == EXPR_LESS_EQUAL)
		truth = truth || expr_value_ordered(&left, &right, -1);
	*out = expr_value_boolean(truth);
	return true;
}

bool expr_eval_node(ExprEval *eval, int32_t number, ExprValue *out)
{
	const ExprNode *node = &eval->tree->nodes[number];
	switch (node->kind) {
	case EXPR_NULL:
	case EXPR_WILDCARD:
		*out = (ExprValue){.kind = EXPR_VALUE_NULL};
		return true;
	case EXPR_BOOLEAN:
		*out = expr_value_boolean(node->truth);
		return true;
	case EXPR_NUMBER:
		*out = expr_value_number(node->number);
		return true;
	case EXPR_STRING:
		*out = expr_value_string(node->text, node->len);
		return true;
	case EXPR_CONTEXT:
		*out = expr_value_of_json(expr_object_get(eval->scope->contexts, node->text, node->len));
		return true;
	case EXPR_CALL:
		return expr_eval_call(eval, node, out);
	case EXPR_INDEX:
		return eval_index(eval, node, out);
	case EXPR_NOT:
		if (!expr_eval_node(eval, node->first, out))
			return false;
		*out = expr_value_boolean(!expr_value_is_truthy(out));
		return true;
	case EXPR_AND:
	case EXPR_OR:
		return eval_chain(eval, node, out);
	case EXPR_EQUAL:
	case EXPR_NOT_EQUAL:
	case EXPR_GREATER:
	case EXPR_GREATER_EQUAL:
	case EXPR_LESS:
	case EXPR_LESS_EQUAL:
		return eval_comparison(eval, node, out);
	}
	g_assert_not_reached();
}

/* Names */

bool expr_tree_calls_status(const ExprTree *tree)
{
	for (int32_t i = 0; i < tree->nodes_len; i++)
		if (tree->nodes[i].kind == EXPR_CALL && expr_function_is_status(tree->nodes[i].function))
			return true;
	return false;
}

bool expr_scope_allows(const ExprTree *tree, const ExprScope *scope, GError **error)
{
	for (int32_t i = 0; i < tree->nodes_len; i++) {
		const ExprNode *node = &tree->nodes[i];
		if (node->kind == EXPR_CONTEXT && !expr_object_get(scope->contexts, node->text, node->len))
			return expr_tree_fail(tree, node->offset, error, "Unrecognized named-value: '%.*s'",
			        (int)node->len, node->text);
		if (node->kind != EXPR_CALL)
			continue;
		bool absent = (expr_function_is_status(node->function) && scope->status == EXPR_STATUS_NONE) ||
		              (node->function == EXPR_HASH_FILES && !scope->hash_files);
		if (absent)
			return expr_tree_fail(tree, node->offset, error, "%s() cannot be used here",
			        expr_function_name(node->function));
	}
	return true;
}

static bool is_allowed(const ExprRules *rules, const ExprNode *node)
{
	for (size_t i = 0; rules->allowed && rules->allowed[i]; i++)
		if (strlen(rules->allowed[i]) == node->len &&
		        g_ascii_strncasecmp(rules->allowed[i], node->text, node->len) == 0)
			return true;
	return !rules->allowed;
}

static bool tree_check(const ExprTree *tree, const ExprRules *rules, GError **error)
{
	for (int32_t i = 0; i < tree->nodes_len; i++) {
		const ExprNode *node = &tree->nodes[i];
		if (node->kind == EXPR_CONTEXT && !is_allowed(rules, node)) {
			g_autofree char *names = rules->allowed[0] ? g_strjoinv(", ", (char **)rules->allowed)
			                                           : g_strdup("no context");
			return expr_tree_fail(tree, node->offset, error,
			        "Unrecognized named-value: '%.*s'; available here: %s", (int)node->len, node->text,
			        names);
		}
		if (node->kind != EXPR_CALL)
			continue;
		bool absent = (expr_function_is_status(node->function) && !rules->status_functions) ||
		              (node->function == EXPR_HASH_FILES && !rules->hash_files);
		if (absent)
			return expr_tree_fail(tree, node->offset, error, "Unrecognized function: '%s': it cannot be used here",
			        expr_function_name(node->function));
		if (expr_function_is_status(node->function) && node->count > 0 && !rules->status_arguments)
			return expr_tree_fail(tree, node->offset, error, "Too many parameters supplied: '%s'",
			        expr_function_name(node->function));
	}
	return true;
}

/* For the rest of the house */

static json_t *run_tree(const ExprTree *tree, const ExprScope *scope, GError **error)
{
	if (tree->root == EXPR_NO_NODE)
		return json_null();
	if (!expr_scope_allows(tree, scope, error))
		return NULL;
	ExprEval eval = {.tree = tree, .scope = scope, .error = error};
	ExprValue value;
	json_t *result = NULL;
	if (expr_eval_node(&eval, tree->root, &value))
		result = expr_value_to_json(&value);
	expr_eval_clear(&eval);
	return result;
}

json_t *expr_evaluate(const char *expression, const ExprScope *scope, GError **error)
{
	ExprTree tree;
	json_t *result = NULL;
	if (expr_tree_parse(&tree, expression, strlen(expression), error))
		result = run_tree(&tree, scope, error);
	expr_tree_clear(&tree);
	return result;
}

bool expr_check(const char *expression, const ExprRules *rules, GError **error)
{
	ExprTree tree;
	bool good = expr_tree_parse(&tree, expression, strlen(expression), error) && tree_check(&tree, rules, error);
	expr_tree_clear(&tree);
	return good;
}

Expr *expr_parse(const char *expression, GError **error)
{
	Expr *expr = g_new0(Expr, 1);
	expr->source = g_strdup(expression);
	if (expr_tree_parse(&expr->tree, expr->source, strlen(expr->source), error))
		return expr;
	expr_free(expr);
	return NULL;
}

json_t *expr_run(const Expr *expr, const ExprScope *scope, GError **error)
{
	return run_tree(&expr->tree, scope, error);
}

void expr_free(Expr *expr)
{
	if (!expr)
		return;
	expr_tree_clear(&expr->tree);
	g_free(expr->source);
	g_free(expr);
}
