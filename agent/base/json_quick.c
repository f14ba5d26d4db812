/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson's reader takes each byte through four functions: 140 instructions, and 1.1 million for a webhook's payload, which was most of
 * what the agent did with it. This one reads what JSON is made of nearly always, and gives up at everything else: what is
 * wrong, long numbers, deep nesting, NUL. Whoever asked then asks jansson, which decides and words the error. So it may accept
 * nothing that jansson refuses, nor read it differently: tests/fuzz/json.c holds one against the other.
 */
#include "agent/base/json_quick.h"

#include <glib.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "agent/base/autoptr.h"

#define DEPTH_MAX 64
#define INTEGER_DIGITS_MAX 18 /* always fit 64 bits */
#define REAL_BYTES_MAX 40

typedef struct Reader {
	const char *at, *end;
	GString *plain; /* of a string with escapes; NULL until there is one */
	int depth;
} Reader;

static json_t *read_value(Reader *reader);

static void skip_space(Reader *reader)
{
	while (reader->at < reader->end &&
	        (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r'))
		reader->at++;
}

static bool take(Reader *reader, char wanted)
{
	if (reader->at >= reader->end || *reader->at != wanted)
		return false;
	reader->at++;
	return true;
}

/** The four digits of \uXXXX; -1 when they are not. */
static int read_unit(Reader *reader)
{
	int unit = 0;
	if (reader->end - reader->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = g_ascii_xdigit_value(*reader->at++);
		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

/** What follows the backslash, into plain. */
static bool read_escape(Reader *reader)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	if (reader->at >= reader->end || !*reader->at)
		return false;
	char letter = *reader->at++;
	const char *known = strchr(letters, letter);
	if (known) {
		g_string_append_c(reader->plain, meant[known - letters]);
		return true;
	}
	int unit = letter == 'u' ? read_unit(reader) : -1;
	if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff))
		return false;
	if (unit >= 0xd800 && unit <= 0xdbff) {
		int low = take(reader, '\\') && take(reader, 'u') ? read_unit(reader) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
	}
	g_string_append_unichar(reader->plain, (gunichar)unit);
	return true;
}

/** A string's bytes: in the text itself where it has no escapes, else good until the next string. */
static bool read_string(Reader *reader, const char **out, size_t *out_len)
{
	if (!take(reader, '"'))
		return false;
	const char *start = reader->at;
	bool is_plain = true;
	for (;;) {
		const char *from = reader->at;
		while (reader->at < reader->end && *reader->at != '"' && *reader->at != '\\' && (unsigned char)*reader->at >= ' ')
			reader->at++;
		if (reader->at >= reader->end || (unsigned char)*reader->at < ' ')
			return false;
		if (*reader->at == '"' && is_plain) {
			*out = start;
			*out_len = (size_t)(reader->at++ - start);
			return true;
		}
		if (is_plain && !reader->plain)
			reader->plain = g_string_new(NULL);
		if (is_plain)
			g_string_truncate(reader->plain, 0);
		is_plain = false;
		g_string_append_len(reader->plain, from, reader->at - from);
		if (*reader->at++ == '"') {
			*out = reader->plain->str;
			*out_len = reader->plain->len;
			return true;
		}
		if (!read_escape(reader))
			return false;
	}
}

static size_t skip_digits(Reader *reader)
{
	const char *start = reader->at;
	while (reader->at < reader->end && g_ascii_isdigit(*reader->at))
		reader->at++;
	return (size_t)(reader->at - start);
}

static json_t *read_real(const char *start, const char *end)
{
	char text[REAL_BYTES_MAX + 1];
	size_t len = (size_t)(end - start);
	if (len > REAL_BYTES_MAX)
		return NULL;
	memcpy(text, start, len);
	text[len] = '\0';
	double number = g_ascii_strtod(text, NULL);
	return isfinite(number) ? json_real(number) : NULL;
}

static json_t *read_number(Reader *reader)
{
	const char *start = reader->at;
	bool is_negative = take(reader, '-');
	const char *first = reader->at;
	size_t digits = skip_digits(reader);
	if (digits == 0 || digits > INTEGER_DIGITS_MAX || (*first == '0' && digits > 1))
		return NULL;
	const char *integer_end = reader->at;
	if (take(reader, '.') && skip_digits(reader) == 0)
		return NULL;
	if (reader->at < reader->end && (*reader->at == 'e' || *reader->at == 'E')) {
		reader->at++;
		if (reader->at < reader->end && (*reader->at == '+' || *reader->at == '-'))
			reader->at++;
		if (skip_digits(reader) == 0)
			return NULL;
	}
	if (reader->at > integer_end)
		return read_real(start, reader->at);
	json_int_t number = 0;
	for (const char *digit = first; digit < integer_end; digit++)
		number = number * 10 + (*digit - '0');
	return json_integer(is_negative ? -number : number);
}

static json_t *read_object(Reader *reader)
{
	g_autoptr(json_t) object = json_object();
	reader->at++;
	skip_space(reader);
	if (take(reader, '}'))
		return g_steal_pointer(&object);
	for (;;) {
		const char *key = NULL;
		size_t len = 0;
		if (!read_string(reader, &key, &len))
			return NULL;
		/* The value's own strings may take the place of a key that had escapes. */
		g_autofree char *kept = reader->plain && key == reader->plain->str ? g_strndup(key, len) : NULL;
		skip_space(reader);
		if (!take(reader, ':'))
			return NULL;
		json_t *value = read_value(reader);
		size_t before = json_object_size(object);
		if (!value || json_object_setn_new_nocheck(object, kept ? kept : key, len, value) != 0)
			return NULL;
		if (json_object_size(object) == before)
			return NULL; /* the key was there */
		skip_space(reader);
		if (take(reader, '}'))
			return g_steal_pointer(&object);
		if (!take(reader, ','))
			return NULL;
		skip_space(reader);
	}
}

static json_t *read_array(Reader *reader)
{
	g_autoptr(json_t) array = json_array();
	reader->at++;
	skip_space(reader);
	if (take(reader, ']'))
		return g_steal_pointer(&array);
	for (;;) {
		json_t *value = read_value(reader);
		if (!value || json_array_append_new(array, value) != 0)
			return NULL;
		skip_space(reader);
		if (take(reader, ']'))
			return g_steal_pointer(&array);
		if (!take(reader, ','))
			return NULL;
	}
}

static json_t *read_word(Reader *reader)
{
	static const char *const words[] = {"true", "false", "null"};
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		size_t len = strlen(words[i]);
		if ((size_t)(reader->end - reader->at) >= len && memcmp(reader->at, words[i], len) == 0) {
			reader->at += len;
			return i == 2 ? json_null() : json_boolean(i == 0);
		}
	}
	return NULL;
}

/** With the space before it. */
static json_t *read_value(Reader *reader)
{
	skip_space(reader);
	if (reader->at >= reader->end)
		return NULL;
	const char *text = NULL;
	size_t len = 0;
	json_t *value = NULL;
	switch (*reader->at) {
	case '"':
		return read_string(reader, &text, &len) ? json_stringn_nocheck(text, len) : NULL;
	case '{':
	case '[':
		if (reader->depth >= DEPTH_MAX)
			return NULL;
		reader->depth++;
		value = *reader->at == '{' ? read_object(reader) : read_array(reader);
		reader->depth--;
		return value;
	case 't':
	case 'f':
	case 'n':
		return read_word(reader);
	default:
		return read_number(reader);
	}
}

json_t *json_quick(const char *text, size_t len)
{
	/* All of it at once, and no NUL. */
	if (!text || !g_utf8_validate_len(text, len, NULL))
		return NULL;
	Reader reader = {.at = text, .end = text + len};
	g_autoptr(json_t) value = read_value(&reader);
	skip_space(&reader);
	if (reader.plain)
		g_string_free(reader.plain, TRUE);
	return value && reader.at == reader.end ? g_steal_pointer(&value) : NULL;
}
