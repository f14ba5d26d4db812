/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a mistake in YAML is, shown to a person: the line, and a caret below the column. A long line is cut around it, and
 * control characters never reach a terminal.
 */
#include <string.h>

#include "agent/base/yaml.h"

#define CARET_BEFORE 80 /* characters of a long line shown on either side of the column */

/** The length of the line break at p: libyaml's set, so that our count of lines is its count. */
static size_t break_length(const char *p, const char *end)
{
	size_t left = (size_t)(end - p);
	if (*p == '\n')
		return 1;
	if (*p == '\r')
		return left > 1 && p[1] == '\n' ? 2 : 1;
	if (left > 1 && memcmp(p, "\xC2\x85", 2) == 0)
		return 2;
	if (left > 2 && (memcmp(p, "\xE2\x80\xA8", 3) == 0 || memcmp(p, "\xE2\x80\xA9", 3) == 0))
		return 3;
	return 0;
}

static size_t character_length(const char *p, const char *end)
{
	unsigned char lead = (unsigned char)*p;
	size_t len = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
	return MIN(len, (size_t)(end - p));
}

/** One character for a terminal: a control character becomes '?', so that a file cannot steer the screen. */
static void append_visible(GString *out, const char *p, size_t len)
{
	gunichar c = g_utf8_get_char_validated(p, (gssize)len);
	if (c == '\t')
		g_string_append_c(out, '\t');
	else if (c == (gunichar)-1 || c == (gunichar)-2 || g_unichar_iscntrl(c) ||
	         g_unichar_type(c) == G_UNICODE_FORMAT)
		g_string_append_c(out, '?');
	else
		g_string_append_len(out, p, (gssize)len);
}

static const char *line_start(const char *p, const char *end, int line)
{
	for (int at = 1; p < end && at < line;) {
		size_t len = break_length(p, end);
		at += len > 0;
		p += len > 0 ? len : 1;
	}
	return p;
}

char *yaml_caret(const YamlDocument *document, int line, int column, const char *message)
{
	GString *out = g_string_new(document->name);
	if (line > 0)
		g_string_append_printf(out, ":%d:%d", line, column);
	g_string_append_printf(out, ": %s", message);
	if (line <= 0)
		return g_string_free(out, FALSE);

	const char *end = document->source + document->source_len;
	const char *p = line_start(document->source, end, line);
	if (line == 1 && document->source_len >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
		p += 3;
	g_autoptr(GString) shown = g_string_new(NULL);
	g_autoptr(GString) caret = g_string_new(NULL);
	int first = column > CARET_BEFORE ? column - CARET_BEFORE : 1;
	if (first > 1) {
		g_string_append(shown, "…");
		g_string_append_c(caret, ' ');
	}
	int at = 1;
	for (; p < end && break_length(p, end) == 0; at++) {
		size_t len = character_length(p, end);
		if (at >= column + CARET_BEFORE) {
			g_string_append(shown, "…");
			break;
		}
		if (at >= first) {
			append_visible(shown, p, len);
			if (at < column)
				g_string_append_c(caret, *p == '\t' ? '\t' : ' ');
		}
		p += len;
	}
	for (; at < column; at++)
		g_string_append_c(caret, ' ');
	g_string_append_printf(out, "\n%s\n%s^", shown->str, caret->str);
	return g_string_free(out, FALSE);
}

void yaml_position(const YamlDocument *document, size_t offset, int *out_line, int *out_column)
{
	const char *p = document->source;
	const char *end = p + MIN(offset, document->source_len);
	/* A byte order mark is no column. */
	if (end - p >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
		p += 3;
	*out_line = 1;
	*out_column = 1;
	while (p < end) {
		size_t len = break_length(p, end);
		if (len > 0) {
			*out_line += 1;
			*out_column = 1;
		} else {
			len = character_length(p, end);
			*out_column += 1;
		}
		p += len;
	}
}
