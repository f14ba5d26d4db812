/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson's writer takes each character through three functions, and looks each key of a sorted object up again: of what the agent
 * did for a short job a quarter. This one writes the same bytes, and gives up at what is rare: deep nesting (a circle is one), NUL
 * in a string, what is not UTF-8. Whoever asked then asks jansson. tests/fuzz/json.c holds one against the other.
 */
#include "agent/base/json_write.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64
#define FEW 16 /* keys: on the stack, and put in order one by one */
#define NUMBER_BYTES 64

typedef struct Writer {
	char *text;
	size_t len, room;
	int depth;
} Writer;

typedef struct Member {
	const char *key;
	size_t len;
	const json_t *value;
} Member;

static bool write_value(Writer *writer, const json_t *value);

static void put(Writer *writer, const char *bytes, size_t len)
{
	if (writer->room - writer->len < len) {
		writer->room = MAX(writer->room * 2, writer->len + len);
		writer->text = g_realloc(writer->text, writer->room);
	}
	memcpy(writer->text + writer->len, bytes, len);
	writer->len += len;
}

static void put_char(Writer *writer, char byte)
{
	put(writer, &byte, 1);
}

static void put_escape(Writer *writer, unsigned char byte)
{
	static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt", digits[] = "0123456789ABCDEF";
	const char *is_named = strchr(named, byte);
	if (is_named) {
		const char two[] = {'\\', letters[is_named - named]};
		put(writer, two, sizeof two);
	} else {
		const char six[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
		put(writer, six, sizeof six);
	}
}

static bool write_string(Writer *writer, const char *text, size_t len)
{
	size_t from = 0;
	unsigned char all = 0; /* of its bytes: is one beyond ASCII? */
	put_char(writer, '"');
	for (size_t at = 0; at < len; at++) {
		unsigned char byte = (unsigned char)text[at];
		all |= byte;
		if (G_LIKELY(byte >= ' ' && byte != '"' && byte != '\\'))
			continue;
		if (byte == '\0')
			return false;
		put(writer, text + from, at - from);
		put_escape(writer, byte);
		from = at + 1;
	}
	put(writer, text + from, len - from);
	put_char(writer, '"');
	return !(all & 0x80) || g_utf8_validate_len(text, len, NULL);
}

static void write_integer(Writer *writer, json_int_t number)
{
	char digits[NUMBER_BYTES];
	char *at = digits + sizeof digits;
	uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	do
		*--at = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (number < 0)
		*--at = '-';
	put(writer, at, (size_t)(digits + sizeof digits - at));
}

/* There are few; how many digits they need is a science. */
static bool write_real(Writer *writer, const json_t *value)
{
	char text[NUMBER_BYTES];
	size_t len = json_dumpb(value, text, sizeof text, JSON_ENCODE_ANY);
	if (len == 0 || len > sizeof text)
		return false;
	put(writer, text, len);
	return true;
}

static int compare(const void *one, const void *other)
{
	const Member *a = one, *b = other;
	int order = memcmp(a->key, b->key, MIN(a->len, b->len));
	return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* Mostly they are in order: they were read from such a text. */
static void sort(Member *members, size_t count)
{
	if (count > FEW) {
		qsort(members, count, sizeof *members, compare);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		const Member one = members[i];
		size_t at = i;
		for (; at > 0 && compare(&members[at - 1], &one) > 0; at--)
			members[at] = members[at - 1];
		members[at] = one;
	}
}

static bool write_members(Writer *writer, const Member *members, size_t count)
{
	put_char(writer, '{');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			put_char(writer, ',');
		if (!write_string(writer, members[i].key, members[i].len))
			return false;
		put_char(writer, ':');
		if (!write_value(writer, members[i].value))
			return false;
	}
	put_char(writer, '}');
	return true;
}

static bool write_object(Writer *writer, json_t *object)
{
	size_t count = json_object_size(object), i = 0;
	Member few[FEW];
	g_autofree Member *many = count > FEW ? g_new(Member, count) : NULL;
	Member *members = many ? many : few;
	for (void *iter = json_object_iter(object); iter && i < count; iter = json_object_iter_next(object, iter))
		members[i++] = (Member){.key = json_object_iter_key(iter), .len = json_object_iter_key_len(iter),
		        .value = json_object_iter_value(iter)};
	sort(members, i);
	return write_members(writer, members, i);
}

static bool write_array(Writer *writer, const json_t *array)
{
	size_t count = json_array_size(array);
	put_char(writer, '[');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			put_char(writer, ',');
		if (!write_value(writer, json_array_get(array, i)))
			return false;
	}
	put_char(writer, ']');
	return true;
}

static bool write_value(Writer *writer, const json_t *value)
{
	bool good = false;
	if (!value || writer->depth >= DEPTH_MAX)
		return false;
	writer->depth++;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		good = write_object(writer, (json_t *)(uintptr_t)value); /* its iterators are for who writes, too */
		break;
	case JSON_ARRAY:
		good = write_array(writer, value);
		break;
	case JSON_STRING:
		good = write_string(writer, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		write_integer(writer, json_integer_value(value));
		good = true;
		break;
	case JSON_REAL:
		good = write_real(writer, value);
		break;
	case JSON_TRUE:
		put(writer, "true", 4);
		good = true;
		break;
	case JSON_FALSE:
		put(writer, "false", 5);
		good = true;
		break;
	case JSON_NULL:
		put(writer, "null", 4);
		good = true;
		break;
	}
	writer->depth--;
	return good;
}

char *json_write_quick(const json_t *value)
{
	Writer writer = {.room = 256};
	writer.text = g_malloc(writer.room);
	if (write_value(&writer, value)) {
		put_char(&writer, '\0');
		return writer.text;
	}
	g_free(writer.text);
	return NULL;
}
