/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GitHub's expression language: parse, evaluate, functions. Total and bounded: any input ends in bounded time, depth
 * and memory. Values are json_t; numbers are doubles, kept as json_integer where they are whole and exact.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** What success(), failure(), cancelled() answer; always() is always true. */
typedef enum ExprStatus {
	EXPR_STATUS_NONE,
	EXPR_STATUS_SUCCESS,
	EXPR_STATUS_FAILURE,
	EXPR_STATUS_CANCELLED,
	EXPR_STATUS_SKIPPED, /* a needed job was skipped: neither success, nor failure, nor cancelled */
} ExprStatus;

/** What an expression may see. Borrowed. */
typedef struct ExprScope {
	const json_t *contexts; /* object: name → value; names without regard to case; unknown names are errors */
	ExprStatus status;      /* NONE: the status functions are errors here */
	/** hashFiles(patterns…); NULL: an error here. The caller's string, or NULL with error. */
	char *(*hash_files)(void *data, const char *const *patterns, size_t count, GError **error);
	void *data;
} ExprScope;

/** What all texts and lists made by one evaluation may take together. */
#define EXPR_MEMORY_MAX (10 * 1024 * 1024)

/** Evaluates an expression (without `${{ }}`): a new reference, or NULL with USER. An empty one is null. */
json_t *expr_evaluate(const char *expression, const ExprScope *scope, GError **error);
/** A text with `${{ }}` in it: alone, it gives the value itself; otherwise a string. Text without any is a string. */
json_t *expr_template(const char *text, const ExprScope *scope, GError **error);
/** The same, always as the string that GitHub would make of it; the caller's. */
char *expr_template_string(const char *text, const ExprScope *scope, GError **error);
/** Templates in every string of a tree (keys too), as for `env`, `with`, `outputs`, `matrix`. A new reference. */
json_t *expr_template_tree(const json_t *tree, const ExprScope *scope, GError **error);
/** An `if`: with or without `${{ }}`; `success() &&` is implied when no status function is called. NULL text is success(). */
bool expr_condition(const char *text, const ExprScope *scope, bool *out, GError **error);

/**
 * Checks without evaluating: syntax, known functions with their number of arguments, contexts among `allowed`
 * (NULL-terminated; NULL: any), status functions and hashFiles only where told.
 */
typedef struct ExprRules {
	const char *const *allowed;
	bool status_functions;
	bool status_arguments; /* success('job') and failure('job') too */
	bool hash_files;
} ExprRules;
bool expr_check(const char *expression, const ExprRules *rules, GError **error);
bool expr_check_template(const char *text, const ExprRules *rules, GError **error);

/** An expression parsed once, to be evaluated often. */
typedef struct Expr Expr;
Expr *expr_parse(const char *expression, GError **error);
/** A new reference, or NULL with USER. */
json_t *expr_run(const Expr *expr, const ExprScope *scope, GError **error);
void expr_free(Expr *expr);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Expr, expr_free)

/** True when a text holds `${{`. */
bool expr_is_template(const char *text);
/** True when a text is one `${{ … }}` and nothing else. */
bool expr_is_single(const char *text);
/** True for the mapping key `${{ insert }}`. */
bool expr_is_insert(const char *text);

/** GitHub's coercions. */
bool expr_truthy(const json_t *value);
char *expr_to_string(const json_t *value); /* the caller's; arrays are "Array", objects "Object"; a NUL ends it */
char *expr_text_of(const json_t *object, const char *key); /* likewise of a member; NULL: it is absent or null */
double expr_to_number(const json_t *value);
/** `==` of the language; NULL is null. */
bool expr_equal(const json_t *left, const json_t *right);
