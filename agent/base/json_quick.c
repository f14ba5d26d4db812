/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever is not plain ends with NULL, and jansson reads the document again: so nothing has to be explained here, and what
 * is accepted is a part of what jansson accepts. tests/unit/agent/base/json.c and tests/fuzz/json.c compare the two.
 */
#include "agent/base/json_quick.h"

#include <glib.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/autoptr.h"

#define DEPTH_MAX 64
#define DIGITS_MAX 18 /* of an integer that is not too large for certain */
#define REAL_BYTES_MAX 64

typedef struct Text {
	const char *at;
	const char *end;
} Text;

static json_t *read_value(Text *text, int depth);

static void skip_blanks(Text *text)
{
	while (text->at < text->end && (*text->at == ' ' || *text->at == '\n' || *text->at == '\t' || *text->at == '\r'))
		text->at++;
}

static bool take(Text *text, char wanted)
{
	if (text->at == text->end || *text->at != wanted)
		return false;
	text->at++;
	return true;
}

/* Goes to the end of what stands for itself; says whether there was more than ASCII. */
static bool skip_plain(Text *text)
{
	unsigned char all = 0;
	while (text->at < text->end && *text->at != '"' && *text->at != '\\' && (unsigned char)*text->at >= 0x20)
		all |= (unsigned char)*text->at++;
	return all >= 0x80;
}

/* Behind the quote. A string with escapes is put together in a buffer, which cannot be larger than what is left of the text. */
static json_t *read_escaped(Text *text, const char *begin)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *close = text->at;
	while (close < text->end && *close != '"')
		close += *close == '\\' ? 2 : 1;
	if (close >= text->end)
		return NULL;
	g_autofree char *bytes = g_malloc((size_t)(close - begin));
	size_t len = 0;
	for (;;) {
		size_t run = (size_t)(text->at - begin);
		memcpy(bytes + len, begin, run);
		len += run;
		if (text->at >= close)
			break;
		if (*text->at != '\\')
			return NULL; /* a control character */
		const char *found = text->at[1] ? strchr(letters, text->at[1]) : NULL;
		if (!found)
			return NULL;
		bytes[len++] = meant[found - letters];
		text->at += 2;
		begin = text->at;
		skip_plain(text);
	}
	text->at++;
	return json_stringn(bytes, len);
}

static json_t *read_string(Text *text)
{
	const char *begin = text->at;
	bool wide = skip_plain(text);
	if (text->at < text->end && *text->at == '\\')
		return read_escaped(text, begin);
	size_t len = (size_t)(text->at - begin);
	if (!take(text, '"'))
		return NULL;
	return wide ? json_stringn(begin, len) : json_stringn_nocheck(begin, len);
}

static size_t skip_digits(Text *text)
{
	const char *begin = text->at;
	while (text->at < text->end && *text->at >= '0' && *text->at <= '9')
		text->at++;
	return (size_t)(text->at - begin);
}

static json_t *read_real(Text *text, const char *begin)
{
	char copy[REAL_BYTES_MAX];
	if (take(text, '.') && skip_digits(text) == 0)
		return NULL;
	if (take(text, 'e') || take(text, 'E')) {
		if (!take(text, '-'))
			take(text, '+');
		if (skip_digits(text) == 0)
			return NULL;
	}
	size_t len = (size_t)(text->at - begin);
	if (len >= sizeof copy)
		return NULL;
	memcpy(copy, begin, len);
	copy[len] = '\0';
	double number = g_ascii_strtod(copy, NULL);
	return isfinite(number) ? json_real(number) : NULL;
}

static json_t *read_number(Text *text)
{
	const char *begin = text->at;
	bool negative = take(text, '-');
	const char *first = text->at;
	size_t digits = skip_digits(text);
	if (digits == 0 || (digits > 1 && *first == '0'))
		return NULL;
	if (text->at < text->end && (*text->at == '.' || *text->at == 'e' || *text->at == 'E'))
		return read_real(text, begin);
	if (digits > DIGITS_MAX)
		return NULL;
	int64_t number = 0;
	for (; first < text->at; first++)
		number = number * 10 + (*first - '0');
	return json_integer(negative ? -number : number);
}

static json_t *read_object(Text *text, int depth)
{
	g_autoptr(json_t) object = json_object();
	skip_blanks(text);
	if (take(text, '}'))
		return g_steal_pointer(&object);
	for (size_t count = 1;; count++) {
		skip_blanks(text);
		if (!take(text, '"'))
			return NULL;
		const char *key = text->at;
		bool wide = skip_plain(text);
		size_t len = (size_t)(text->at - key);
		if (wide || !take(text, '"'))
			return NULL;
		skip_blanks(text);
		json_t *value = take(text, ':') ? read_value(text, depth) : NULL;
		if (!value || json_object_setn_new_nocheck(object, key, len, value) < 0 || json_object_size(object) != count)
			return NULL; /* the last: the key was there */
		skip_blanks(text);
		if (take(text, '}'))
			return g_steal_pointer(&object);
		if (!take(text, ','))
			return NULL;
	}
}

static json_t *read_array(Text *text, int depth)
{
	g_autoptr(json_t) array = json_array();
	skip_blanks(text);
	if (take(text, ']'))
		return g_steal_pointer(&array);
	for (;;) {
		json_t *value = read_value(text, depth);
		if (!value || json_array_append_new(array, value) < 0)
			return NULL;
		skip_blanks(text);
		if (take(text, ']'))
			return g_steal_pointer(&array);
		if (!take(text, ','))
			return NULL;
	}
}

static json_t *read_word(Text *text, const char *word, json_t *value)
{
	size_t len = strlen(word);
	if ((size_t)(text->end - text->at) < len || memcmp(text->at, word, len) != 0)
		return NULL;
	text->at += len;
	return value;
}

static json_t *read_value(Text *text, int depth)
{
	skip_blanks(text);
	if (text->at == text->end || depth == 0)
		return NULL;
	switch (*text->at) {
	case '{':
		text->at++;
		return read_object(text, depth - 1);
	case '[':
		text->at++;
		return read_array(text, depth - 1);
	case '"':
		text->at++;
		return read_string(text);
	case 't':
		return read_word(text, "true", json_true());
	case 'f':
		return read_word(text, "false", json_false());
	case 'n':
		return read_word(text, "null", json_null());
	default:
		return read_number(text);
	}
}

json_t *json_quick(const char *text, size_t len)
{
	Text all = {.at = text, .end = text + len};
	g_autoptr(json_t) value = read_value(&all, DEPTH_MAX);
	skip_blanks(&all);
	return all.at == all.end ? g_steal_pointer(&value) : NULL;
}
