/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading of commands and environment files, after actions/runner's ActionCommand and FileCommandManager: `%25`, `%0D`
 * and `%0A` are escapes in the text, `%3A` and `%2C` also in properties.
 */
#include "agent/job/commands.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

static char *unescape(const char *text, size_t len, bool property)
{
	static const struct {
		const char *code;
		char byte;
		bool property;
	} escapes[] = {{"%25", '%', false}, {"%0D", '\r', false}, {"%0A", '\n', false}, {"%3A", ':', true},
	        {"%2C", ',', true}};
	g_autoptr(GString) out = g_string_sized_new(len);
	for (size_t i = 0; i < len;) {
		size_t row = G_N_ELEMENTS(escapes);
		if (text[i] == '%' && i + 3 <= len)
			for (row = 0; row < G_N_ELEMENTS(escapes); row++)
				if ((property || !escapes[row].property) && g_ascii_strncasecmp(text + i, escapes[row].code, 3) == 0)
					break;
		if (row < G_N_ELEMENTS(escapes)) {
			g_string_append_c(out, escapes[row].byte);
			i += 3;
		} else {
			g_string_append_c(out, text[i++]);
		}
	}
	return g_utf8_make_valid(out->str, (gssize)out->len);
}

static void read_properties(const char *text, size_t len, json_t *out)
{
	const char *end = text + len;
	for (const char *at = text; at < end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;
		const char *equals = memchr(at, '=', (size_t)(stop - at));
		if (equals && json_object_size(out) < 64) {
			g_autofree char *raw = g_utf8_make_valid(at, equals - at);
			g_autofree char *key = g_ascii_strdown(g_strstrip(raw), -1);
			g_autofree char *value = unescape(equals + 1, (size_t)(stop - equals - 1), true);
			if (key[0])
				json_set_string(out, key, value);
		}
		at = stop + 1;
	}
}

Command *command_parse(const char *line, size_t len)
{
	while (len > 0 && (line[0] == ' ' || line[0] == '\t'))
		line++, len--;
	if (len < 4 || line[0] != ':' || line[1] != ':')
		return NULL;
	const char *head = line + 2;
	const char *end = line + len;
	const char *close = memmem(head, (size_t)(end - head), "::", 2);
	if (!close || close == head)
		return NULL;
	const char *space = memchr(head, ' ', (size_t)(close - head));
	const char *name_end = space ? space : close;
	if (name_end == head)
		return NULL;
	Command *command = g_new0(Command, 1);
	command->name = g_utf8_make_valid(head, name_end - head);
	command->properties = json_object();
	if (space)
		read_properties(space + 1, (size_t)(close - space - 1), command->properties);
	command->data = unescape(close + 2, (size_t)(end - close - 2), false);
	return command;
}

void command_free(Command *command)
{
	if (!command)
		return;
	g_free(command->name);
	json_decref(command->properties);
	g_free(command->data);
	g_free(command);
}

/* The next line without its newline; NULL at the end. */
static const char *next_line(const char **at, const char *end, size_t *out_len)
{
	if (*at >= end)
		return NULL;
	const char *line = *at;
	const char *newline = memchr(line, '\n', (size_t)(end - line));
	*at = newline ? newline + 1 : end;
	*out_len = (size_t)((newline ? newline : end) - line);
	if (*out_len > 0 && line[*out_len - 1] == '\r')
		(*out_len)--;
	return line;
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isspace(line[i]))
			return false;
	return true;
}

static bool set_pair(json_t *pairs, const char *name, size_t name_len, const char *value, size_t value_len,
        const char *what, GError **error)
{
	g_autofree char *key = g_utf8_make_valid(name, (gssize)name_len);
	g_strstrip(key);
	if (!key[0])
		return fail(error, ASSAY_ERROR_USER, "%s: a line without a name before its '='", what);
	if (json_object_size(pairs) >= COMMANDS_PAIRS_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s: more than %d names", what, COMMANDS_PAIRS_MAX);
	g_autofree char *text = g_utf8_make_valid(value, (gssize)value_len);
	json_set_string(pairs, key, text);
	return true;
}

json_t *commands_read_pairs(const char *text, size_t len, const char *what, GError **error)
{
	g_autoptr(json_t) pairs = json_object();
	const char *at = text;
	const char *end = text + len;
	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		at += 3;
	size_t line_len = 0;
	for (const char *line; (line = next_line(&at, end, &line_len));) {
		if (is_blank(line, line_len))
			continue;
		const char *equals = memchr(line, '=', line_len);
		const char *heredoc = memmem(line, line_len, "<<", 2);
		if (equals && (!heredoc || equals < heredoc)) {
			if (!set_pair(pairs, line, (size_t)(equals - line), equals + 1,
			            line_len - (size_t)(equals + 1 - line), what, error))
				return NULL;
			continue;
		}
		g_autofree char *shown = g_utf8_make_valid(line, (gssize)MIN(line_len, (size_t)80));
		if (!heredoc) {
			fail(error, ASSAY_ERROR_USER, "%s: '%s' is neither name=value nor name<<END", what, shown);
			return NULL;
		}
		const char *mark = heredoc + 2;
		size_t mark_len = line_len - (size_t)(mark - line);
		if (mark_len == 0) {
			fail(error, ASSAY_ERROR_USER, "%s: '%s' has no end mark after '<<'", what, shown);
			return NULL;
		}
		const char *value = at;
		const char *value_end = NULL;
		size_t piece_len = 0;
		for (const char *piece; (piece = next_line(&at, end, &piece_len));)
			if (piece_len == mark_len && memcmp(piece, mark, mark_len) == 0) {
				value_end = piece;
				break;
			}
		if (!value_end) {
			fail(error, ASSAY_ERROR_USER, "%s: the end mark of '%s' does not follow", what, shown);
			return NULL;
		}
		if (value_end > value && value_end[-1] == '\n') {
			value_end--;
			if (value_end > value && value_end[-1] == '\r')
				value_end--;
		}
		if (!set_pair(pairs, line, (size_t)(heredoc - line), value, (size_t)(value_end - value), what, error))
			return NULL;
	}
	return g_steal_pointer(&pairs);
}

char **commands_read_lines(const char *text, size_t len)
{
	GPtrArray *lines = g_ptr_array_new();
	const char *at = text;
	size_t line_len = 0;
	for (const char *line; (line = next_line(&at, text + len, &line_len));)
		if (!is_blank(line, line_len) && lines->len < COMMANDS_PAIRS_MAX)
			g_ptr_array_add(lines, g_utf8_make_valid(line, (gssize)line_len));
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(lines, FALSE);
}
