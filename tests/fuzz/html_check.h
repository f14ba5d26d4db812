/* SPDX-License-Identifier: Apache-2.0 */
/* What all HTML that we write must be, whatever a stranger put into it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define HTML_CHECK_DEPTH 128

/* Every '<' begins a tag of ours, and every tag that opens is closed in order. */
static inline void html_check_balance(const char *text)
{
	const char *open[HTML_CHECK_DEPTH];
	size_t depth = 0;
	for (const char *at = text; (at = strchr(at, '<')); at++) {
		if (g_ascii_strncasecmp(at, "<!doctype", 9) == 0)
			continue;
		bool ends = at[1] == '/';
		const char *name = at + 1 + ends;
		size_t len = strcspn(name, " >/\n");
		const char *close = at;
		for (bool quoted = false; *close && (quoted || *close != '>'); close++)
			quoted = *close == '"' ? !quoted : quoted;
		g_assert_true(len > 0 && *close == '>');
		static const char *const voids[] = {"br", "hr", "img", "input", "meta", "link", "wbr", "col"};
		bool is_void = close[-1] == '/';
		for (size_t i = 0; i < G_N_ELEMENTS(voids); i++)
			is_void = is_void || (strlen(voids[i]) == len && strncmp(voids[i], name, len) == 0);
		at = close;
		if (is_void)
			continue;
		if (!ends) {
			g_assert_cmpuint(depth, <, G_N_ELEMENTS(open));
			open[depth++] = name;
		} else {
			g_assert_cmpuint(depth, >, 0);
			g_assert_true(strncmp(open[--depth], name, len) == 0 && strchr(" >", open[depth][len]));
		}
	}
	g_assert_cmpuint(depth, ==, 0);
}
