/* SPDX-License-Identifier: Apache-2.0 */
/* Terminal text of a stranger: whatever the bytes, only our own markup comes out. */
#include <stdint.h>

#include "web/ansi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GString) out = g_string_new(NULL);
	AnsiState state;
	ansi_init(&state);
	size_t start = 0;
	for (size_t i = 0; i <= size; i++) {
		if (i < size && data[i] != '\n')
			continue;
		ansi_html(out, &state, (const char *)data + start, i - start);
		start = i + 1;
	}
	g_assert(g_utf8_validate(out->str, (gssize)out->len, NULL));
	g_assert(state.fore >= ANSI_NONE && state.fore < ANSI_COLOURS && state.back >= ANSI_NONE &&
	         state.back < ANSI_COLOURS);
	size_t open = 0;
	for (const char *p = out->str; (p = strchr(p, '<')); p++) {
		if (g_str_has_prefix(p, "<span class=\"a"))
			open++;
		else if (g_str_has_prefix(p, "</span>") && open > 0)
			open--;
		else
			g_assert_not_reached();
	}
	g_assert(open == 0);
	return 0;
}
