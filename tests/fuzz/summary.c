/* SPDX-License-Identifier: Apache-2.0 */
/* Markdown of a stranger, through the library and into a page. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/job/summary.h"
#include "web/safe_html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	char *html = summary_render((const char *)data, size);
	g_assert_nonnull(html);
	g_autoptr(GString) out = g_string_new(NULL);
	safe_html(out, html, strlen(html));
	g_assert_null(strstr(out->str, "<script"));
	free(html);
	return 0;
}
