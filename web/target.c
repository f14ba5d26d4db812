/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets. The path is cut at its slashes before it is decoded, so that an encoded slash stays inside its segment and
 * no pattern can be reached by two spellings of a separator. Each segment must be UTF-8 without control characters.
 */
#include "web/target.h"

#include <string.h>

#include "agent/base/error.h"

/** Decodes %XX (and '+' in a query); NULL when it is malformed or not plain text. The caller's. */
static char *decode(const char *text, size_t len, bool is_query)
{
	GString *out = g_string_sized_new(len);
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%') {
			if (len - i < 3 || !g_ascii_isxdigit(text[i + 1]) || !g_ascii_isxdigit(text[i + 2])) {
				g_string_free(out, TRUE);
				return NULL;
			}
			c = (char)(g_ascii_xdigit_value(text[i + 1]) << 4 | g_ascii_xdigit_value(text[i + 2]));
			i += 2;
		} else if (c == '+' && is_query) {
			c = ' ';
		}
		g_string_append_c(out, c);
	}
	bool plain = memchr(out->str, 0, out->len) == NULL && g_utf8_validate(out->str, (gssize)out->len, NULL);
	for (size_t i = 0; plain && i < out->len; i++) {
		unsigned char c = (unsigned char)out->str[i];
		bool is_line = is_query && (c == '\n' || c == '\r' || c == '\t');
		plain = (c >= ' ' && c != 127) || is_line;
	}
	return g_string_free(out, !plain);
}

static bool read_segments(Target *target, const char *path, size_t len)
{
	const char *at = path + 1, *end = path + len;
	if (at == end)
		return true;
	for (;;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		const char *stop = slash ? slash : end;
		char *segment = target->segments->len < TARGET_SEGMENTS_MAX ? decode(at, (size_t)(stop - at), false) : NULL;
		if (!segment)
			return false;
		g_ptr_array_add(target->segments, segment);
		if (g_str_equal(segment, ".") || g_str_equal(segment, ".."))
			return false;
		if (!slash)
			return true;
		at = slash + 1;
	}
}

static bool read_pairs(GPtrArray *pairs, const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	while (at < end) {
		const char *stop = memchr(at, '&', (size_t)(end - at));
		if (!stop)
			stop = end;
		const char *equals = memchr(at, '=', (size_t)(stop - at));
		if (stop > at) {
			const char *name_end = equals ? equals : stop, *value = equals ? equals + 1 : stop;
			char *name = decode(at, (size_t)(name_end - at), true);
			char *decoded = decode(value, (size_t)(stop - value), true);
			if (!name || !decoded || pairs->len >= 2 * TARGET_PAIRS_MAX) {
				g_free(name);
				g_free(decoded);
				return false;
			}
			g_ptr_array_add(pairs, name);
			g_ptr_array_add(pairs, decoded);
		}
		at = stop < end ? stop + 1 : end;
	}
	return true;
}

Target *target_parse(const char *raw, GError **error)
{
	g_autoptr(Target) target = g_new0(Target, 1);
	target->raw = g_strdup(raw);
	target->segments = g_ptr_array_new_with_free_func(g_free);
	target->query = g_ptr_array_new_with_free_func(g_free);
	size_t len = strnlen(raw, TARGET_BYTES_MAX + 1);
	if (len > TARGET_BYTES_MAX || raw[0] != '/') {
		fail(error, ASSAY_ERROR_USER, "cannot read the address: it must begin with a slash and have at most %d bytes",
		        TARGET_BYTES_MAX);
		return NULL;
	}
	const char *query = memchr(raw, '?', len);
	size_t path_len = query ? (size_t)(query - raw) : len;
	if (!read_segments(target, raw, path_len) ||
	        (query && !read_pairs(target->query, query + 1, len - path_len - 1))) {
		fail(error, ASSAY_ERROR_USER, "cannot read the address: it is not properly encoded UTF-8 text");
		return NULL;
	}
	return g_steal_pointer(&target);
}

void target_free(Target *target)
{
	if (!target)
		return;
	g_clear_pointer(&target->segments, g_ptr_array_unref);
	g_clear_pointer(&target->query, g_ptr_array_unref);
	g_free(target->raw);
	g_free(target);
}

const char *target_pair(const GPtrArray *pairs, const char *name)
{
	for (guint i = 0; pairs && i + 1 < pairs->len; i += 2)
		if (g_str_equal(pairs->pdata[i], name))
			return pairs->pdata[i + 1];
	return NULL;
}

const char *target_query(const Target *target, const char *name)
{
	return target ? target_pair(target->query, name) : NULL;
}

bool target_fits(const Target *target, const char *pattern, GPtrArray *params)
{
	if (params)
		g_ptr_array_set_size(params, 0);
	guint segment = 0;
	const char *at = pattern + 1;
	while (*at) {
		if (segment >= target->segments->len)
			return false;
		char *given = target->segments->pdata[segment++];
		size_t len = strcspn(at, "/");
		if (*at == '{') {
			if (!*given)
				return false;
			if (params) {
				g_ptr_array_add(params, (char *)at + 1);
				g_ptr_array_add(params, given);
			}
		} else if (strlen(given) != len || memcmp(given, at, len) != 0) {
			return false;
		}
		at += len;
		if (*at == '/')
			at++;
	}
	return segment == target->segments->len;
}

const char *target_param(const GPtrArray *params, const char *name)
{
	size_t len = strlen(name);
	for (guint i = 0; params && i + 1 < params->len; i += 2) {
		const char *given = params->pdata[i];
		if (strncmp(given, name, len) == 0 && given[len] == '}')
			return params->pdata[i + 1];
	}
	return NULL;
}

GPtrArray *target_form(const char *text, size_t len, GError **error)
{
	g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
	if (!read_pairs(pairs, text, len)) {
		fail(error, ASSAY_ERROR_USER, "cannot read the form: it is not properly encoded UTF-8 text");
		return NULL;
	}
	return g_steal_pointer(&pairs);
}

char *target_escape(const char *text)
{
	return g_uri_escape_string(text, NULL, FALSE);
}
