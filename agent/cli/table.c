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

char *table_text(const json_t *row, const char *key)
{
	const json_t *value = find(row, key);
	if (json_is_string(value))
		return printable(json_string_value(value));
	if (!value || json_is_null(value))
		return g_strdup("-");
	return json_text(value);
}

static void print_cell(const char *text, size_t width, bool last)
{
	g_autofree char *cut = g_utf8_strlen(text, -1) > COLUMN_CHARS_MAX && !last
	        ? g_utf8_substring(text, 0, COLUMN_CHARS_MAX) : g_strdup(text);
	size_t chars = (size_t)g_utf8_strlen(cut, -1);
	fputs(cut, stdout);
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

void table_print_json(const json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
	puts(text ? text : "null");
	free(text);
}
