/* SPDX-License-Identifier: Apache-2.0 */
/* What is suspicious in an expression that is valid, and which names it reads. For a linter; nothing is evaluated. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/** What is known of a value before it is computed. */
typedef enum ExprGuess {
	EXPR_GUESS_ANY,
	EXPR_GUESS_NULL,
	EXPR_GUESS_BOOLEAN,
	EXPR_GUESS_NUMBER,
	EXPR_GUESS_STRING,
	EXPR_GUESS_ARRAY,
	EXPR_GUESS_OBJECT,
} ExprGuess;

#define EXPR_PARTS_MAX 8

/** A chain of names as it is written: `github.event.commits[0].message`. */
typedef struct ExprReference {
	char *parts[EXPR_PARTS_MAX + 1]; /* the context first, NULL-terminated; "*" for `.*`, an index or a computed name */
	bool shown;                      /* its text may be part of the expression's value */
	bool computed;                   /* the first name behind the context is computed */
} ExprReference;

/** One suspicion. */
typedef struct ExprFinding {
	const char *rule; /* static */
	char *message;
} ExprFinding;

/** What there is to say of one expression; lists own their items. */
typedef struct ExprFacts {
	GPtrArray *references; /* ExprReference */
	GPtrArray *findings;   /* ExprFinding */
	bool literal;          /* it is one literal */
	bool constant;         /* it reads no context, and calls nothing that the run decides */
	bool computes;         /* it calls a function, other than to write a list or an object */
	ExprGuess guess;
} ExprFacts;

/** Looks at a valid expression (one that does not parse has no facts); expr_facts_clear() empties `out`. */
void expr_facts(const char *expression, size_t len, ExprFacts *out);
void expr_facts_clear(ExprFacts *facts);

/**
 * The next `${{ }}` of a text from *at on, which moves behind it; false at the end, or where one is not closed.
 *
 * @out   the expression without blanks around; points into the text
 */
bool expr_next(const char **at, const char *end, const char **out, size_t *out_len);
