/* SPDX-License-Identifier: Apache-2.0 */
/* Lists on a terminal. What came from strangers (titles, names) never reaches it with its control characters. */
#include "agent/cli/table.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/json.h"

#define COLUMN_CHARS_MAX 60

static const json_t *find(const json_t *row, const char *key)
{
	g_auto(GStrv) parts = g_strsplit(key, ".", 8);
	for (char **part = parts; row && *part; part++)
		row = json_object_get(row, *part);
	return row;
}

static char *printable(const char *text)
{
	GString *out = g_string_new(NULL);
	for (const char *at = text; *at; at = g_utf8_next_char(at)) {
		gunichar c = g_utf8_get_char(at);
		g_string_append_unichar(out, g_unichar_isprint(c) ? c : 0xFFFD);
	}
	return g_string_free(out, FALSE);
}

static void append_value(GString *out, const json_t *value);

static void append_members(GString *out, const json_t *value)
{
	size_t i;
	const json_t *member;
	const char *key;
	json_array_foreach(value, i, member) {
		g_string_append(out, i > 0 ? ", " : "");
		append_value(out, member);
	}
	const char *between = "";
	json_object_foreach((json_t *)value, key, member) {
		g_autofree char *name = printable(key);
		g_string_append_printf(out, "%s%s ", between, name);
		append_value(out, member);
		between = ", ";
	}
}

static void append_value(GString *out, const json_t *value)
{
	char number[G_ASCII_DTOSTR_BUF_SIZE];
	if (json_is_string(value)) {
		g_autofree char *text = printable(json_string_value(value));
		g_string_append(out, text);
	} else if (json_is_real(value)) {
		g_string_append(out, g_ascii_formatd(number, sizeof number, "%.6g", json_real_value(value)));
	} else if (json_array_size(value) + json_object_size(value) > 0) {
		append_members(out, value);
	} else if (json_is_integer(value) || json_is_boolean(value)) {
		g_autofree char *text = json_text(value);
		g_string_append(out, text);
	} else {
		g_string_append_c(out, '-');
	}
}

char *table_text(const json_t *row, const char *key)
{
	GString *out = g_string_new(NULL);
	append_value(out, find(row, key));
	return g_string_free(out, FALSE);
}

static void print_cell(const char *text, size_t width, bool last)
{
	bool cut = g_utf8_strlen(text, -1) > COLUMN_CHARS_MAX && !last;
	g_autofree char *head = cut ? g_utf8_substring(text, 0, COLUMN_CHARS_MAX - 1) : NULL;
	size_t chars = cut ? COLUMN_CHARS_MAX : (size_t)g_utf8_strlen(text, -1);
	fputs(cut ? head : text, stdout);
	if (cut)
		fputs("…", stdout);
	if (last)
		putchar('\n');
	else
		for (size_t i = chars; i < width + 2; i++)
			putchar(' ');
}

void table_print(const json_t *rows, const TableColumn *columns, size_t count, const char *empty)
{
	if (json_array_size(rows) == 0) {
		fprintf(stderr, "%s\n", empty);
		return;
	}
	g_autofree size_t *widths = g_new0(size_t, count);
	size_t i;
	json_t *row;
	for (size_t k = 0; k < count; k++)
		widths[k] = strlen(columns[k].heading);
	json_array_foreach(rows, i, row)
		for (size_t k = 0; k < count; k++) {
			g_autofree char *text = table_text(row, columns[k].key);
			widths[k] = MAX(widths[k], MIN((size_t)g_utf8_strlen(text, -1), (size_t)COLUMN_CHARS_MAX));
		}
	for (size_t k = 0; k < count; k++)
		print_cell(columns[k].heading, widths[k], k + 1 == count);
	json_array_foreach(rows, i, row)
		for (size_t k = 0; k < count; k++) {
			g_autofree char *text = table_text(row, columns[k].key);
			print_cell(text, widths[k], k + 1 == count);
		}
}

void table_print_fields(const json_t *object, const TableColumn *fields, size_t count)
{
	size_t width = 0;
	for (size_t i = 0; i < count; i++)
		width = MAX(width, strlen(fields[i].heading));
	for (size_t i = 0; i < count; i++) {
		g_autofree char *text = table_text(object, fields[i].key);
		print_cell(fields[i].heading, width, false);
		print_cell(text, 0, true);
	}
}

void table_print_json(const json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
	puts(text ? text : "null");
	free(text);
}
