/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks that summaries use, line by line. It is given a stranger's text; anything unknown is a paragraph. */
#include "web/markdown.h"

#include <stdbool.h>
#include <string.h>

#include "web/html.h"

typedef enum Block { BLOCK_NONE, BLOCK_PARAGRAPH, BLOCK_BULLETS, BLOCK_NUMBERS, BLOCK_QUOTE, BLOCK_TABLE, BLOCK_CODE } Block;

static const char *const closings[] = {
	[BLOCK_NONE] = "",          [BLOCK_PARAGRAPH] = "</p>",      [BLOCK_BULLETS] = "</li></ul>",
	[BLOCK_NUMBERS] = "</li></ol>", [BLOCK_QUOTE] = "</p></blockquote>", [BLOCK_TABLE] = "</tbody></table></div>",
	[BLOCK_CODE] = "</code></pre>",
};

static void to_block(GString *out, Block *block, Block next, const char *opening)
{
	if (*block == next)
		return;
	g_string_append(out, closings[*block]);
	g_string_append(out, opening);
	*block = next;
}

/* [text](url), and ![text](url): returns the index behind it, or 0 when it is no link. */
static size_t link_at(GString *out, const char *text, size_t len, size_t at)
{
	size_t open = at + (text[at] == '!' ? 2 : 1);
	const char *close = open < len ? memchr(text + open, ']', len - open) : NULL;
	if (!close || (size_t)(close - text) + 1 >= len || close[1] != '(')
		return 0;
	const char *url = close + 2;
	const char *end = memchr(url, ')', len - (size_t)(url - text));
	if (!end)
		return 0;
	g_autofree char *address = g_strndup(url, strcspn(url, " )"));
	g_string_append(out, "<a rel=\"nofollow noopener\"");
	html_url(out, "href", address);
	g_string_append_c(out, '>');
	if (close == text + open)
		g_string_append(out, "picture");
	html_text_len(out, text + open, (size_t)(close - text) - open);
	g_string_append(out, "</a>");
	return (size_t)(end - text) + 1;
}

/* Writes what stands between two equal marks inside the element; returns the index behind them, or 0. */
static size_t marked(GString *out, const char *text, size_t len, size_t at, const char *mark, const char *element)
{
	size_t width = strlen(mark);
	if (at + width >= len || strncmp(text + at, mark, width) != 0 || text[at + width] == ' ')
		return 0;
	const char *inside = text + at + width;
	const char *end = g_strstr_len(inside, (gssize)(len - at - width), mark);
	if (!end || end == inside)
		return 0;
	g_string_append_printf(out, "<%s>", element);
	html_text_len(out, inside, (size_t)(end - inside));
	g_string_append_printf(out, "</%s>", element);
	return (size_t)(end - text) + width;
}

static void inline_html(GString *out, const char *text, size_t len)
{
	size_t plain = 0;
	for (size_t i = 0; i < len;) {
		size_t mark = out->len;
		if (!strchr("`*_[!\\", text[i])) {
			i++;
			continue;
		}
		html_text_len(out, text + plain, i - plain);
		plain = i;
		size_t next = 0;
		bool word_before = i > 0 && g_ascii_isalnum(text[i - 1]);
		if (text[i] == '\\' && i + 1 < len && g_ascii_ispunct(text[i + 1])) {
			html_text_len(out, text + i + 1, 1);
			next = i + 2;
		} else if (text[i] == '`') {
			next = marked(out, text, len, i, "`", "code");
		} else if (text[i] == '*') {
			next = marked(out, text, len, i, "**", "strong");
			next = next ? next : marked(out, text, len, i, "*", "em");
		} else if (text[i] == '_' && !word_before) {
			next = marked(out, text, len, i, "_", "em");
		} else if (text[i] == '[' || (text[i] == '!' && i + 1 < len && text[i + 1] == '[')) {
			next = link_at(out, text, len, i);
		}
		if (next) {
			plain = i = next;
		} else {
			g_assert(out->len >= mark);
			i++;
		}
	}
	html_text_len(out, text + plain, len - plain);
}

static bool is_table_rule(const char *line)
{
	return line && strchr(line, '|') && strchr(line, '-') && strspn(line, " |:-\t\r") == strlen(line);
}

static void table_row(GString *out, const char *line, const char *cell)
{
	g_autofree char *trimmed = g_strstrip(g_strdup(line));
	size_t len = strlen(trimmed);
	if (len > 0 && trimmed[len - 1] == '|')
		trimmed[len - 1] = '\0';
	g_auto(GStrv) cells = g_strsplit(*trimmed == '|' ? trimmed + 1 : trimmed, "|", 64);
	g_string_append(out, "<tr>");
	for (char **one = cells; *one; one++) {
		g_strstrip(*one);
		g_string_append_printf(out, "<%s%s>", cell, *cell == 't' && cell[1] == 'h' ? " scope=\"col\"" : "");
		inline_html(out, *one, strlen(*one));
		g_string_append_printf(out, "</%s>", cell);
	}
	g_string_append(out, "</tr>");
}

static void table_begin(GString *out, Block *block, const char *line)
{
	to_block(out, block, BLOCK_NONE, "");
	g_string_append(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of the summary\"><table><thead>");
	table_row(out, line, "th");
	g_string_append(out, "</thead><tbody>");
	*block = BLOCK_TABLE;
}

/* One line that is neither code nor part of a table. */
static void plain_line(GString *out, Block *block, int *heading, const char *line)
{
	const char *text = line + strspn(line, " \t");
	size_t hashes = strspn(text, "#");
	size_t digits = strspn(text, "0123456789");
	if (!*text) {
		to_block(out, block, BLOCK_NONE, "");
	} else if (hashes >= 1 && hashes <= 6 && text[hashes] == ' ') {
		to_block(out, block, BLOCK_NONE, "");
		int level = MIN((int)hashes + 2, MIN(*heading + 1, 6)); /* no level is left out, whatever the text says */
		*heading = level;
		g_string_append_printf(out, "<h%d>", level);
		inline_html(out, text + hashes + 1, strlen(text + hashes + 1));
		g_string_append_printf(out, "</h%d>", level);
	} else if (strspn(text, "-*_") >= 3 && strspn(text, "-*_ ") == strlen(text)) {
		to_block(out, block, BLOCK_NONE, "");
		g_string_append(out, "<hr>");
	} else if (strchr("-*+", *text) && text[1] == ' ') {
		if (*block == BLOCK_BULLETS)
			g_string_append(out, "</li><li>");
		to_block(out, block, BLOCK_BULLETS, "<ul><li>");
		inline_html(out, text + 2, strlen(text + 2));
	} else if (digits > 0 && digits < 9 && text[digits] == '.' && text[digits + 1] == ' ') {
		if (*block == BLOCK_NUMBERS)
			g_string_append(out, "</li><li>");
		to_block(out, block, BLOCK_NUMBERS, "<ol><li>");
		inline_html(out, text + digits + 2, strlen(text + digits + 2));
	} else if (*text == '>') {
		to_block(out, block, BLOCK_QUOTE, "<blockquote><p>");
		inline_html(out, text + 1, strlen(text + 1));
		g_string_append_c(out, ' ');
	} else {
		if (*block == BLOCK_NONE || *block == BLOCK_TABLE)
			to_block(out, block, BLOCK_PARAGRAPH, "<p>");
		else
			g_string_append_c(out, ' ');
		inline_html(out, text, strlen(text));
	}
}

void markdown_html(GString *out, const char *text)
{
	Block block = BLOCK_NONE;
	int heading = 2; /* what stands above on the page */
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	for (size_t i = 0; lines[i]; i++) {
		char *line = lines[i];
		size_t len = strlen(line);
		if (len == 0 && !lines[i + 1])
			break; /* behind the last line's end there is no line */
		if (len > 0 && line[len - 1] == '\r')
			line[len - 1] = '\0';
		bool fence = g_str_has_prefix(line + strspn(line, " "), "```");
		if (block == BLOCK_CODE) {
			if (fence)
				to_block(out, &block, BLOCK_NONE, "");
			else
				html(out, "%s\n", line);
		} else if (fence) {
			to_block(out, &block, BLOCK_CODE, "<pre tabindex=\"0\"><code>");
		} else if (block == BLOCK_TABLE && strchr(line, '|')) {
			table_row(out, line, "td");
		} else if (strchr(line, '|') && is_table_rule(lines[i + 1])) {
			table_begin(out, &block, line);
			i++;
		} else {
			plain_line(out, &block, &heading, line);
		}
	}
	to_block(out, &block, BLOCK_NONE, "");
}
