/* SPDX-License-Identifier: Apache-2.0 */
/* Matchers: any file (up to a line "--") is read or refused, and any lines behind it give valid issues or none. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "agent/job/matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = text + size;
	const char *cut = size ? memmem(text, size, "\n--\n", 4) : NULL;
	g_autoptr(Matchers) matchers = matchers_new();
	g_autofree char *owners = NULL;
	if (!matchers_add(matchers, text, (size_t)((cut ? cut : end) - text), &owners, NULL) || !cut)
		return 0;
	int lines = 0;
	for (const char *line = cut + 4; line < end && lines++ < 50;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *stop = newline ? newline : end;
		g_auto(Issue) issue = {0};
		g_autofree char *tired = NULL;
		if (matchers_line(matchers, line, (size_t)(stop - line), &issue, &tired)) {
			g_assert_true(issue.message && g_utf8_validate(issue.message, -1, NULL));
			g_assert_true(!issue.file || g_utf8_validate(issue.file, -1, NULL));
			g_assert_true(issue.line >= 0 && issue.column >= 0);
		}
		line = stop + 1;
	}
	return 0;
}
