/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coercions and comparisons of expressions. They follow GitHub's, which follow ECMA-262 (5.1, section 11.9.3) with two
 * changes: strings compare without regard to case, and arrays and objects equal only themselves.
 */
#include "agent/model/expr_value.h"

#include <stdint.h>
#include <string.h>

#include "agent/model/expr.h"

#define WHOLE_MAX 9007199254740992.0
#define NUMBER_TEXT_MAX 400 /* longer digits change nothing in a double that matters here */

ExprValue expr_value_boolean(bool truth)
{
	return (ExprValue){.kind = EXPR_VALUE_BOOLEAN, .truth = truth};
}

ExprValue expr_value_number(double number)
{
	return (ExprValue){.kind = EXPR_VALUE_NUMBER, .number = number};
}

ExprValue expr_value_string(const char *text, size_t len)
{
	return (ExprValue){.kind = EXPR_VALUE_STRING, .text = text, .len = len};
}

ExprValue expr_value_of_json(const json_t *json)
{
	if (!json)
		return (ExprValue){.kind = EXPR_VALUE_NULL};
	switch (json_typeof(json)) {
	case JSON_TRUE:
	case JSON_FALSE:
		return expr_value_boolean(json_is_true(json));
	case JSON_INTEGER:
	case JSON_REAL:
		return expr_value_number(json_number_value(json));
	case JSON_STRING:
		return expr_value_string(json_string_value(json), json_string_length(json));
	case JSON_ARRAY:
		return (ExprValue){.kind = EXPR_VALUE_ARRAY, .json = json};
	case JSON_OBJECT:
		return (ExprValue){.kind = EXPR_VALUE_OBJECT, .json = json};
	case JSON_NULL:
		break;
	}
	return (ExprValue){.kind = EXPR_VALUE_NULL};
}

json_t *expr_value_to_json(const ExprValue *value)
{
	switch (value->kind) {
	case EXPR_VALUE_BOOLEAN:
		return json_boolean(value->truth);
	case EXPR_VALUE_NUMBER:
		if (isnan(value->number))
			return json_string("NaN");
		if (isinf(value->number))
			return json_string(value->number > 0 ? "Infinity" : "-Infinity");
		if (value->number == floor(value->number) && fabs(value->number) <= WHOLE_MAX)
			return json_integer((json_int_t)value->number);
		return json_real(value->number);
	case EXPR_VALUE_STRING:
		return json_stringn(value->text, value->len);
	case EXPR_VALUE_ARRAY:
	case EXPR_VALUE_OBJECT:
		return json_incref((json_t *)value->json);
	case EXPR_VALUE_NULL:
		break;
	}
	return json_null();
}

bool expr_value_is_primitive(const ExprValue *value)
{
	return value->kind != EXPR_VALUE_ARRAY && value->kind != EXPR_VALUE_OBJECT;
}

bool expr_value_is_truthy(const ExprValue *value)
{
	switch (value->kind) {
	case EXPR_VALUE_NULL:
		return false;
	case EXPR_VALUE_BOOLEAN:
		return value->truth;
	case EXPR_VALUE_NUMBER:
		return value->number != 0 && !isnan(value->number);
	case EXPR_VALUE_STRING:
		return value->len > 0;
	case EXPR_VALUE_ARRAY:
	case EXPR_VALUE_OBJECT:
		break;
	}
	return true;
}

bool expr_is_space(gunichar c)
{
	return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
	       c == 0x3000;
}

void expr_trim(const char **text, size_t *len)
{
	const char *p = *text;
	const char *end = p + *len;
	while (p < end && expr_is_space(g_utf8_get_char(p)))
		p = g_utf8_next_char(p);
	while (end > p) {
		const char *last = g_utf8_prev_char(end);
		if (!expr_is_space(g_utf8_get_char(last)))
			break;
		end = last;
	}
	*text = p;
	*len = (size_t)(end - p);
}

/** Hexadecimal and octal are 32 bits wide and signed, like the reference's. */
static double parse_based(const char *digits, size_t len, int base)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < len; i++) {
		int digit = g_ascii_xdigit_value(digits[i]);
		if (digit < 0 || digit >= base)
			return NAN;
		sum = sum * (uint64_t)base + (uint64_t)digit;
		if (sum > UINT32_MAX)
			return NAN;
	}
	return (double)(int32_t)(uint32_t)sum;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && g_ascii_strncasecmp(text, word, len) == 0;
}

/** [+-] digits [. digits] [e [+-] digits], with a digit before or after the point. */
static bool is_decimal(const char *text, size_t len)
{
	size_t i = len > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
	size_t digits = 0;
	for (; i < len && g_ascii_isdigit(text[i]); i++)
		digits++;
	if (i < len && text[i] == '.')
		for (i++; i < len && g_ascii_isdigit(text[i]); i++)
			digits++;
	if (digits == 0)
		return false;
	if (i < len && (text[i] == 'e' || text[i] == 'E')) {
		i++;
		i += i < len && (text[i] == '-' || text[i] == '+');
		size_t before = i;
		while (i < len && g_ascii_isdigit(text[i]))
			i++;
		if (i == before)
			return false;
	}
	return i == len;
}

double expr_parse_number(const char *text, size_t len)
{
	expr_trim(&text, &len);
	if (len == 0)
		return 0;
	if (len == 1 && g_ascii_isdigit(text[0]))
		return text[0] - '0';
	if (is_decimal(text, len)) {
		char buffer[NUMBER_TEXT_MAX + 1];
		if (len <= NUMBER_TEXT_MAX) {
			memcpy(buffer, text, len);
			buffer[len] = '\0';
			return g_ascii_strtod(buffer, NULL);
		}
		g_autofree char *copy = g_strndup(text, len);
		return g_ascii_strtod(copy, NULL);
	}
	if (len > 2 && text[0] == '0' && text[1] == 'x')
		return parse_based(text + 2, len - 2, 16);
	if (len > 2 && text[0] == '0' && text[1] == 'o')
		return parse_based(text + 2, len - 2, 8);
	bool sign = text[0] == '-' || text[0] == '+';
	if (is_word(text + sign, len - sign, "Infinity"))
		return text[0] == '-' ? -INFINITY : INFINITY;
	return NAN;
}

double expr_value_to_number(const ExprValue *value)
{
	switch (value->kind) {
	case EXPR_VALUE_NULL:
		return 0;
	case EXPR_VALUE_BOOLEAN:
		return value->truth ? 1 : 0;
	case EXPR_VALUE_NUMBER:
		return value->number;
	case EXPR_VALUE_STRING:
		return expr_parse_number(value->text, value->len);
	case EXPR_VALUE_ARRAY:
	case EXPR_VALUE_OBJECT:
		break;
	}
	return NAN;
}

/** .NET's "G15": fifteen significant digits, an exponent below 1E-04 and from 1E+15. */
static const char *number_text(double number, char buffer[EXPR_NUMBER_BYTES])
{
	if (isnan(number))
		return "NaN";
	if (isinf(number))
		return number > 0 ? "Infinity" : "-Infinity";
	if (number == 0)
		return "0";
	return g_ascii_formatd(buffer, EXPR_NUMBER_BYTES, "%.15G", number);
}

void expr_value_text(const ExprValue *value, char buffer[EXPR_NUMBER_BYTES], const char **out, size_t *out_len)
{
	const char *text = "";
	switch (value->kind) {
	case EXPR_VALUE_NULL:
		break;
	case EXPR_VALUE_BOOLEAN:
		text = value->truth ? "true" : "false";
		break;
	case EXPR_VALUE_NUMBER:
		text = number_text(value->number, buffer);
		break;
	case EXPR_VALUE_STRING:
		*out = value->text;
		*out_len = value->len;
		return;
	case EXPR_VALUE_ARRAY:
		text = "Array";
		break;
	case EXPR_VALUE_OBJECT:
		text = "Object";
		break;
	}
	*out = text;
	*out_len = strlen(text);
}

/* Case */

/** Simple upper case; the dotless i and the long s stay what they are, as in .NET's ordinal tables. */
static gunichar upper(gunichar c)
{
	if (c < 0x80)
		return c >= 'a' && c <= 'z' ? c - 32 : c;
	if (c == 0x131 || c == 0x17F)
		return c;
	gunichar raised = g_unichar_toupper(c);
	/* A character whose upper case is two characters stays as well. */
	return raised < 0x80 ? c : raised;
}

void expr_append_upper(GString *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x80) {
			g_string_append_c(out, (char)upper(c));
			i++;
		} else {
			g_string_append_unichar(out, upper(g_utf8_get_char(text + i)));
			i += (size_t)(g_utf8_next_char(text + i) - (text + i));
		}
	}
}

/** Orders by UTF-16 code units: characters beyond the BMP stand before U+E000. */
static int compare_characters(gunichar a, gunichar b)
{
	bool a_wide = a >= 0x10000;
	bool b_wide = b >= 0x10000;
	if (a_wide != b_wide) {
		if (a_wide && b >= 0xE000)
			return -1;
		if (b_wide && a >= 0xE000)
			return 1;
	}
	return a < b ? -1 : 1;
}

int expr_compare_ignoring_case(const char *a, size_t a_len, const char *b, size_t b_len)
{
	const char *a_end = a + a_len;
	const char *b_end = b + b_len;
	while (a < a_end && b < b_end) {
		if (((unsigned char)*a | (unsigned char)*b) < 0x80) {
			gunichar a_upper = upper((unsigned char)*a++);
			gunichar b_upper = upper((unsigned char)*b++);
			if (a_upper != b_upper)
				return a_upper < b_upper ? -1 : 1;
			continue;
		}
		gunichar a_upper = upper(g_utf8_get_char(a));
		gunichar b_upper = upper(g_utf8_get_char(b));
		if (a_upper != b_upper)
			return compare_characters(a_upper, b_upper);
		a = g_utf8_next_char(a);
		b = g_utf8_next_char(b);
	}
	return a < a_end ? 1 : b < b_end ? -1 : 0;
}

const json_t *expr_object_get(const json_t *object, const char *key, size_t len)
{
	const json_t *value = json_object_getn(object, key, len);
	if (value)
		return value;
	for (void *at = json_object_iter((json_t *)object); at; at = json_object_iter_next((json_t *)object, at))
		if (expr_compare_ignoring_case(json_object_iter_key(at), json_object_iter_key_len(at), key, len) == 0)
			return json_object_iter_value(at);
	return NULL;
}

/* Comparisons */

/** Brings two values of different kinds to numbers where the rules say so. */
static void coerce(ExprValue *left, ExprValue *right)
{
	if (left->kind == right->kind)
		return;
	bool left_loose = left->kind == EXPR_VALUE_BOOLEAN || left->kind == EXPR_VALUE_NULL;
	bool right_loose = right->kind == EXPR_VALUE_BOOLEAN || right->kind == EXPR_VALUE_NULL;
	if (left_loose)
		*left = expr_value_number(expr_value_to_number(left));
	if (right_loose)
		*right = expr_value_number(expr_value_to_number(right));
	if (left->kind == EXPR_VALUE_NUMBER && right->kind == EXPR_VALUE_STRING)
		*right = expr_value_number(expr_value_to_number(right));
	else if (left->kind == EXPR_VALUE_STRING && right->kind == EXPR_VALUE_NUMBER)
		*left = expr_value_number(expr_value_to_number(left));
}

bool expr_value_equal(const ExprValue *left_value, const ExprValue *right_value)
{
	ExprValue left = *left_value;
	ExprValue right = *right_value;
	coerce(&left, &right);
	if (left.kind != right.kind)
		return false;
	switch (left.kind) {
	case EXPR_VALUE_NULL:
		return true;
	case EXPR_VALUE_BOOLEAN:
		return left.truth == right.truth;
	case EXPR_VALUE_NUMBER:
		return left.number == right.number;
	case EXPR_VALUE_STRING:
		return expr_compare_ignoring_case(left.text, left.len, right.text, right.len) == 0;
	case EXPR_VALUE_ARRAY:
	case EXPR_VALUE_OBJECT:
		break;
	}
	return left.json == right.json;
}

bool expr_value_ordered(const ExprValue *left_value, const ExprValue *right_value, int sign)
{
	ExprValue left = *left_value;
	ExprValue right = *right_value;
	coerce(&left, &right);
	if (left.kind != right.kind)
		return false;
	switch (left.kind) {
	case EXPR_VALUE_BOOLEAN:
		return (int)left.truth - (int)right.truth == sign;
	case EXPR_VALUE_NUMBER:
		return sign < 0 ? left.number < right.number : left.number > right.number;
	case EXPR_VALUE_STRING:
		return expr_compare_ignoring_case(left.text, left.len, right.text, right.len) * sign > 0;
	case EXPR_VALUE_NULL:
	case EXPR_VALUE_ARRAY:
	case EXPR_VALUE_OBJECT:
		break;
	}
	return false;
}

/* For the rest of the house */

bool expr_truthy(const json_t *json)
{
	ExprValue value = expr_value_of_json(json);
	return expr_value_is_truthy(&value);
}

char *expr_to_string(const json_t *json)
{
	ExprValue value = expr_value_of_json(json);
	char buffer[EXPR_NUMBER_BYTES];
	const char *text = NULL;
	size_t len = 0;
	expr_value_text(&value, buffer, &text, &len);
	return g_strndup(text, len);
}

char *expr_text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return value && !json_is_null(value) ? expr_to_string(value) : NULL;
}

double expr_to_number(const json_t *json)
{
	ExprValue value = expr_value_of_json(json);
	return expr_value_to_number(&value);
}

bool expr_equal(const json_t *left, const json_t *right)
{
	ExprValue left_value = expr_value_of_json(left);
	ExprValue right_value = expr_value_of_json(right);
	return expr_value_equal(&left_value, &right_value);
}
