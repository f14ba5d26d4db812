/* SPDX-License-Identifier: Apache-2.0 */
/* What a scalar means: the YAML 1.2 core schema, section 10.3.2. */
#include "agent/base/yaml_scalar.h"

#include <math.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const words[])
{
	for (size_t i = 0; words[i]; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

bool yaml_is_null(const char *text)
{
	return is_one_of(text, (const char *const[]){"", "~", "null", "Null", "NULL", NULL});
}

bool yaml_is_boolean(const char *text, bool *out)
{
	*out = is_one_of(text, (const char *const[]){"true", "True", "TRUE", NULL});
	return *out || is_one_of(text, (const char *const[]){"false", "False", "FALSE", NULL});
}

static bool is_based(const char *digits, int base, double *out)
{
	double sum = 0;
	for (const char *p = digits; *p; p++) {
		int digit = g_ascii_xdigit_value(*p);
		if (digit < 0 || digit >= base)
			return false;
		sum = sum * base + digit;
	}
	*out = sum;
	return *digits != '\0';
}

bool yaml_is_integer(const char *text, double *out)
{
	if (g_str_has_prefix(text, "0x"))
		return is_based(text + 2, 16, out);
	if (g_str_has_prefix(text, "0o"))
		return is_based(text + 2, 8, out);
	const char *p = text + (*text == '-' || *text == '+');
	if (!*p || p[strspn(p, "0123456789")])
		return false;
	*out = g_ascii_strtod(text, NULL) + 0.0; /* + 0.0: an integer has no -0 */
	return true;
}

bool yaml_is_float(const char *text, double *out)
{
	if (is_one_of(text, (const char *const[]){".nan", ".NaN", ".NAN", NULL})) {
		*out = NAN;
		return true;
	}
	const char *p = text + (*text == '-' || *text == '+');
	if (is_one_of(p, (const char *const[]){".inf", ".Inf", ".INF", NULL})) {
		*out = *text == '-' ? -INFINITY : INFINITY;
		return true;
	}
	size_t before = strspn(p, "0123456789");
	p += before;
	size_t after = 0;
	if (*p == '.') {
		after = strspn(p + 1, "0123456789");
		p += 1 + after;
	}
	if (before + after == 0)
		return false;
	if (*p == 'e' || *p == 'E') {
		p += 1 + (p[1] == '-' || p[1] == '+');
		size_t exponent = strspn(p, "0123456789");
		if (exponent == 0)
			return false;
		p += exponent;
	}
	if (*p)
		return false;
	*out = g_ascii_strtod(text, NULL);
	return true;
}

void yaml_set_plain(YamlNode *node)
{
	/* Most scalars are strings, and their first character tells. */
	if (*node->text && !strchr("~nNtTfF.+-0123456789", *node->text)) {
		node->kind = YAML_STRING;
		return;
	}
	bool letter = g_ascii_isalpha(*node->text);
	if ((node->len <= 1 || node->len == 4) && yaml_is_null(node->text))
		node->kind = YAML_NULL;
	else if (letter && (node->len == 4 || node->len == 5) && yaml_is_boolean(node->text, &node->truth))
		node->kind = YAML_BOOLEAN;
	else if (!letter && (yaml_is_integer(node->text, &node->number) || yaml_is_float(node->text, &node->number)))
		node->kind = YAML_NUMBER;
	else
		node->kind = YAML_STRING;
}
