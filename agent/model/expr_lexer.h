/* SPDX-License-Identifier: Apache-2.0 */
/* Expression text → tokens, each of which may stand where it stands. For expr_tree.c alone. */
#pragma once

#include "agent/model/expr_tree.h"

typedef enum TokenKind {
	TOKEN_START, /* before the first */
	TOKEN_OPEN_GROUP,
	TOKEN_OPEN_INDEX,
	TOKEN_OPEN_CALL,
	TOKEN_CLOSE_GROUP,
	TOKEN_CLOSE_INDEX,
	TOKEN_CLOSE_CALL,
	TOKEN_COMMA,
	TOKEN_DOT,
	TOKEN_WILDCARD,
	TOKEN_NOT,
	TOKEN_BINARY,
	TOKEN_LITERAL,
	TOKEN_PROPERTY,
	TOKEN_FUNCTION,
	TOKEN_CONTEXT,
	TOKEN_WRONG,
} TokenKind;

typedef struct ExprToken {
	TokenKind kind;
	ExprKind node;    /* of a literal or an operator */
	uint8_t binding;  /* how tightly an operator binds */
	bool truth;
	uint32_t offset;
	uint32_t len;
	double number;
	int32_t call; /* the node of an open call */
} ExprToken;

/** A text being read. The parser keeps `last` and `open`: what stands before, and the innermost thing that is open. */
typedef struct ExprLexer {
	const char *text;
	uint32_t len;
	uint32_t at;
	TokenKind last;
	TokenKind open;
} ExprLexer;

/** Skips white space; false at the end. */
bool expr_lexer_has_more(ExprLexer *lexer);
/** Reads a token; false with "Unexpected symbol" when it may not stand here. */
bool expr_lexer_next(ExprLexer *lexer, const ExprTree *tree, ExprToken *out, GError **error);
/** May an expression end with this token? */
bool expr_token_ends_value(TokenKind kind);
