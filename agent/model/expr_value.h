/* SPDX-License-Identifier: Apache-2.0 */
/* Values of expressions: kinds, GitHub's coercions and comparisons. For the files expr*.c alone. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum ExprValueKind {
	EXPR_VALUE_NULL,
	EXPR_VALUE_BOOLEAN,
	EXPR_VALUE_NUMBER,
	EXPR_VALUE_STRING,
	EXPR_VALUE_ARRAY,
	EXPR_VALUE_OBJECT,
} ExprValueKind;

/** A value; owns nothing. */
typedef struct ExprValue {
	ExprValueKind kind;
	bool truth;
	bool filtered; /* an array made by `*`: an index applies to each item */
	double number;
	const char *text; /* not terminated */
	size_t len;
	const json_t *json; /* of an array or object */
} ExprValue;

#define EXPR_NUMBER_BYTES 40

ExprValue expr_value_of_json(const json_t *json);
ExprValue expr_value_boolean(bool truth);
ExprValue expr_value_number(double number);
ExprValue expr_value_string(const char *text, size_t len);
/** A new reference; NaN and infinities are strings. */
json_t *expr_value_to_json(const ExprValue *value);

bool expr_value_is_primitive(const ExprValue *value);
bool expr_value_is_truthy(const ExprValue *value);
double expr_value_to_number(const ExprValue *value);
/** The text of a value; a number's is written to buffer. */
void expr_value_text(const ExprValue *value, char buffer[EXPR_NUMBER_BYTES], const char **out, size_t *out_len);

/** Loose equality, like JavaScript's `==` but without regard to case. */
bool expr_value_equal(const ExprValue *left, const ExprValue *right);
/** True when left < right (sign -1) or left > right (sign 1). */
bool expr_value_ordered(const ExprValue *left, const ExprValue *right, int sign);

/** White space as .NET's Char.IsWhiteSpace has it. */
bool expr_is_space(gunichar c);
/** Takes white space off both ends of valid UTF-8. */
void expr_trim(const char **text, size_t *len);
/** Number() of JavaScript, as GitHub has it: NaN when text is no number, 0 when it is blank. */
double expr_parse_number(const char *text, size_t len);
/** The value of a key without regard to case; the exact one first. */
const json_t *expr_object_get(const json_t *object, const char *key, size_t len);
/** Upper case, one character for one, as .NET's ordinal comparison has it; appends. */
void expr_append_upper(GString *out, const char *text, size_t len);
int expr_compare_ignoring_case(const char *a, size_t a_len, const char *b, size_t b_len);
