/* SPDX-License-Identifier: Apache-2.0 */
/* The way back: compact text, byte by byte what jansson writes. What it would refuse, or what is deep, is left to it. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/json_quick.h"

#define DEPTH_MAX 64
#define SORTED_ON_STACK 64
#define NUMBER_BYTES 24

typedef struct Line {
	char *bytes;
	size_t len;
	size_t room;
	bool sorted;
} Line;

static bool write_value(Line *line, const json_t *value, int depth);

/* Room for so many more, and for a NUL. */
static char *make_room(Line *line, size_t more)
{
	if (line->len + more + 1 > line->room) {
		line->room = MAX(line->room * 2, line->len + more + 1);
		line->bytes = g_realloc(line->bytes, line->room);
	}
	return line->bytes + line->len;
}

static void put(Line *line, const char *bytes, size_t len)
{
	memcpy(make_room(line, len), bytes, len);
	line->len += len;
}

static void put_char(Line *line, char c)
{
	*make_room(line, 1) = c;
	line->len++;
}

static void put_escape(Line *line, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char letters[] = "btn\0fr"; /* of 8 to 13; there is none for 11 */
	const char number[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
	const char letter[] = {'\\', c == '"' || c == '\\' ? (char)c : c >= 8 && c <= 13 ? letters[c - 8] : '\0'};
	if (letter[1])
		put(line, letter, sizeof letter);
	else
		put(line, number, sizeof number);
}

static bool write_string(Line *line, const char *text, size_t len)
{
	unsigned char all = 0;
	size_t from = 0;
	put_char(line, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		all |= c;
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		put(line, text + from, i - from);
		put_escape(line, c);
		from = i + 1;
	}
	put(line, text + from, len - from);
	put_char(line, '"');
	return all < 0x80 || g_utf8_validate_len(text, len, NULL);
}

static void write_integer(Line *line, json_int_t number)
{
	char digits[NUMBER_BYTES];
	size_t at = sizeof digits;
	uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	do
		digits[--at] = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (number < 0)
		digits[--at] = '-';
	put(line, digits + at, sizeof digits - at);
}

static bool write_real(Line *line, const json_t *value)
{
	char text[64];
	size_t len = json_dumpb(value, text, sizeof text, JSON_ENCODE_ANY | JSON_COMPACT);
	if (len == 0 || len > sizeof text)
		return false;
	put(line, text, len);
	return true;
}

static bool write_array(Line *line, const json_t *array, int depth)
{
	put_char(line, '[');
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (i > 0)
			put_char(line, ',');
		if (!write_value(line, json_array_get(array, i), depth))
			return false;
	}
	put_char(line, ']');
	return true;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool write_member(Line *line, const char *key, const json_t *value, bool first, int depth)
{
	if (!first)
		put_char(line, ',');
	if (!write_string(line, key, strlen(key)))
		return false;
	put_char(line, ':');
	return write_value(line, value, depth);
}

static bool write_sorted(Line *line, json_t *object, int depth)
{
	const char *few[SORTED_ON_STACK];
	size_t count = json_object_size(object), i = 0;
	g_autofree const char **many = count > SORTED_ON_STACK ? g_new(const char *, count) : NULL;
	const char **keys = many ? many : few;
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value)
		keys[i++] = key;
	qsort(keys, count, sizeof *keys, by_key);
	for (i = 0; i < count; i++)
		if (!write_member(line, keys[i], json_object_get(object, keys[i]), i == 0, depth))
			return false;
	return true;
}

static bool write_object(Line *line, json_t *object, int depth)
{
	bool first = true;
	const char *key;
	json_t *value;
	put_char(line, '{');
	if (line->sorted && !write_sorted(line, object, depth))
		return false;
	if (!line->sorted)
		json_object_foreach(object, key, value) {
			if (!write_member(line, key, value, first, depth))
				return false;
			first = false;
		}
	put_char(line, '}');
	return true;
}

static bool write_value(Line *line, const json_t *value, int depth)
{
	if (depth == 0 || !value)
		return false;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return write_object(line, (json_t *)(uintptr_t)value, depth - 1);
	case JSON_ARRAY:
		return write_array(line, value, depth - 1);
	case JSON_STRING:
		return write_string(line, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		write_integer(line, json_integer_value(value));
		return true;
	case JSON_REAL:
		return write_real(line, value);
	case JSON_TRUE:
		put(line, "true", 4);
		return true;
	case JSON_FALSE:
		put(line, "false", 5);
		return true;
	case JSON_NULL:
		put(line, "null", 4);
		return true;
	}
	return false;
}

char *json_quick_text(const json_t *value, bool sorted, size_t *out_len)
{
	Line line = {.sorted = sorted};
	if (!write_value(&line, value, DEPTH_MAX)) {
		g_free(line.bytes);
		return NULL;
	}
	line.bytes[line.len] = '\0';
	*out_len = line.len;
	return line.bytes;
}
