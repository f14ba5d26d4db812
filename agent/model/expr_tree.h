/* SPDX-License-Identifier: Apache-2.0 */
/* Expression text → tree of nodes. For the files expr*.c alone; the rest of the house calls expr.h. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPR_LENGTH_MAX 21000 /* characters, as GitHub's */
#define EXPR_DEPTH_MAX 50

typedef enum ExprKind {
	EXPR_NULL,
	EXPR_BOOLEAN,
	EXPR_NUMBER,
	EXPR_STRING,
	EXPR_WILDCARD,
	EXPR_CONTEXT,
	EXPR_CALL,
	EXPR_INDEX,
	EXPR_NOT,
	EXPR_AND,
	EXPR_OR,
	EXPR_EQUAL,
	EXPR_NOT_EQUAL,
	EXPR_GREATER,
	EXPR_GREATER_EQUAL,
	EXPR_LESS,
	EXPR_LESS_EQUAL,
} ExprKind;

typedef enum ExprFunction {
	EXPR_ALWAYS,
	EXPR_CANCELLED,
	EXPR_CASE,
	EXPR_CONTAINS,
	EXPR_ENDS_WITH,
	EXPR_FAILURE,
	EXPR_FORMAT,
	EXPR_FROM_JSON,
	EXPR_HASH_FILES,
	EXPR_JOIN,
	EXPR_STARTS_WITH,
	EXPR_SUCCESS,
	EXPR_TO_JSON,
} ExprFunction;

#define EXPR_NO_NODE (-1)

/** A node; children are a list of numbers of nodes. */
typedef struct ExprNode {
	ExprKind kind;
	ExprFunction function; /* a call's */
	bool truth;            /* a boolean's */
	uint16_t depth;
	uint16_t count; /* of children */
	int32_t first;
	int32_t last;
	int32_t next;     /* the next child of the same parent */
	uint32_t offset;  /* in the text, in bytes */
	uint32_t len;     /* a string's, a context's */
	const char *text; /* not terminated */
	double number;
} ExprNode;

#define EXPR_NODES_INLINE 24

/** A parsed expression. Nodes and texts point into the expression's text, which must live as long. */
typedef struct ExprTree {
	const char *source; /* not terminated */
	size_t source_len;
	ExprNode *nodes;
	int32_t nodes_len;
	int32_t nodes_size;
	int32_t root;      /* EXPR_NO_NODE: an empty expression */
	GSList *unescaped; /* strings that held '' */
	ExprNode nodes_inline[EXPR_NODES_INLINE];
} ExprTree;

/** Parses into a tree of the caller's, which expr_tree_clear() empties, also after an error. */
bool expr_tree_parse(ExprTree *tree, const char *text, size_t len, GError **error);
void expr_tree_clear(ExprTree *tree);

/** "hashFiles"; static. */
const char *expr_function_name(ExprFunction function);
bool expr_function_is_status(ExprFunction function);
/** Fails with "why 'symbol'. Located at position N within expression: …". */
bool expr_tree_fail(const ExprTree *tree, uint32_t offset, GError **error, const char *format, ...)
        G_GNUC_PRINTF(4, 5);
