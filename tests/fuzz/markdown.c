/* SPDX-License-Identifier: Apache-2.0 */
/* Markdown of a stranger by our own reader: tags are in balance, and no script or address of one comes out. */
#include "web/markdown.h"

#include <stdint.h>

#include "tests/fuzz/html_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autoptr(GString) out = g_string_new(NULL);
	markdown_html(out, text);
	g_assert_true(g_utf8_validate_len(out->str, out->len, NULL));
	g_assert_null(strstr(out->str, "<script"));
	g_assert_null(strstr(out->str, "href=\"javascript:"));
	html_check_balance(out->str);
	return 0;
}
