/* SPDX-License-Identifier: Apache-2.0 */
/* JSON with limits. jansson does the parsing: 64-bit integers, checked UTF-8, refused duplicates. */
#include "agent/base/json.h"

#include <math.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"

json_t *json_parse(const char *text, size_t len, const char *what, GError **error)
{
	if (len > JSON_TEXT_BYTES_MAX) {
		fail(error, ASSAY_ERROR_USER, "%s: more than %d MiB of JSON", what, JSON_TEXT_BYTES_MAX >> 20);
		return NULL;
	}
	json_error_t where;
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
	if (!value)
		fail(error, ASSAY_ERROR_USER, "%s: not JSON: %s (line %d, column %d)", what, where.text,
		        where.line, where.column);
	return value;
}

json_t *json_parse_file(const char *path, size_t limit_bytes, GError **error)
{
	g_autoptr(GBytes) bytes = fd_read_file(path, limit_bytes, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	return json_parse(text ? text : "", len, path, error);
}

static char *text_of(const json_t *value, size_t flags)
{
	char *raw = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | flags);
	if (!raw)
		return g_strdup("null");
	char *text = g_strdup(raw);
	free(raw);
	return text;
}

char *json_text(const json_t *value)
{
	return text_of(value, JSON_SORT_KEYS);
}

char *json_text_unsorted(const json_t *value)
{
	return text_of(value, 0);
}

const char *json_get_string(const json_t *object, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : fallback;
}

int64_t json_get_int(const json_t *object, const char *key, int64_t fallback)
{
	const json_t *value = json_object_get(object, key);
	return json_is_integer(value) ? json_integer_value(value) : fallback;
}

double json_get_real(const json_t *object, const char *key, double fallback)
{
	const json_t *value = json_object_get(object, key);
	if (json_is_number(value))
		return json_number_value(value);
	const char *text = json_string_value(value);
	if (g_strcmp0(text, "NaN") == 0)
		return NAN;
	if (g_strcmp0(text, "Infinity") == 0)
		return INFINITY;
	if (g_strcmp0(text, "-Infinity") == 0)
		return -INFINITY;
	return fallback;
}

bool json_get_bool(const json_t *object, const char *key, bool fallback)
{
	const json_t *value = json_object_get(object, key);
	return json_is_boolean(value) ? json_is_true(value) : fallback;
}

void json_set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value ? value : json_null());
}

json_t *json_string_any(const char *bytes, size_t len)
{
	json_t *value = json_stringn(bytes, len);
	if (value)
		return value;
	g_autofree char *valid = g_utf8_make_valid(bytes, (gssize)len);
	return json_string(valid);
}

void json_append_string(GString *out, const char *text)
{
	g_autofree char *valid = g_utf8_validate(text, -1, NULL) ? NULL : g_utf8_make_valid(text, -1);
	const char *at = valid ? valid : text;
	g_string_append_c(out, '"');
	while (*at) {
		size_t plain = 0;
		while ((uint8_t)at[plain] >= ' ' && at[plain] != '"' && at[plain] != '\\')
			plain++;
		g_string_append_len(out, at, (gssize)plain);
		at += plain;
		if (!*at)
			break;
		static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
		const char *is_named = strchr(named, *at);
		if (is_named)
			g_string_append_printf(out, "\\%c", letters[is_named - named]);
		else
			g_string_append_printf(out, "\\u%04X", (unsigned)(uint8_t)*at);
		at++;
	}
	g_string_append_c(out, '"');
}

void json_set_string(json_t *object, const char *key, const char *text)
{
	json_set(object, key, text ? json_string_any(text, strlen(text)) : json_null());
}

void json_set_int(json_t *object, const char *key, int64_t number)
{
	json_set(object, key, json_integer(number));
}

void json_set_real(json_t *object, const char *key, double number)
{
	if (isnan(number))
		json_set_string(object, key, "NaN");
	else if (isinf(number))
		json_set_string(object, key, number > 0 ? "Infinity" : "-Infinity");
	else
		json_set(object, key, json_real(number));
}

void json_set_bool(json_t *object, const char *key, bool truth)
{
	json_set(object, key, json_boolean(truth));
}

void json_set_time(json_t *object, const char *key, int64_t time_us)
{
	g_autofree char *text = clock_dup(time_us);
	json_set_string(object, key, text);
}
