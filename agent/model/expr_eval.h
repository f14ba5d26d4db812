/* SPDX-License-Identifier: Apache-2.0 */
/* One evaluation of a tree: what it owns and how much it may take. For the files expr*.c alone. */
#pragma once

#include "agent/model/expr.h"
#include "agent/model/expr_tree.h"
#include "agent/model/expr_value.h"

/** An evaluation under way; values it hands out live until expr_eval_clear(). */
typedef struct ExprEval {
	const ExprTree *tree;
	const ExprScope *scope;
	GSList *texts; /* owned */
	GSList *trees; /* json_t, owned */
	size_t bytes;
	GError **error;
} ExprEval;

void expr_eval_clear(ExprEval *eval);
/** Evaluates a node; false with eval->error set. */
bool expr_eval_node(ExprEval *eval, int32_t node, ExprValue *out);
/** Calls a function. */
bool expr_eval_call(ExprEval *eval, const ExprNode *call, ExprValue *out);

/** Counts bytes against EXPR_MEMORY_MAX. */
bool expr_eval_count(ExprEval *eval, size_t bytes);
/** Takes text. */
ExprValue expr_eval_own_text(ExprEval *eval, char *text, size_t len);
/** Takes json. */
ExprValue expr_eval_own_json(ExprEval *eval, json_t *json);

/** Are all names of the tree known in the scope? */
bool expr_scope_allows(const ExprTree *tree, const ExprScope *scope, GError **error);
/** Is one of success(), failure(), cancelled(), always() called? */
bool expr_tree_calls_status(const ExprTree *tree);
