/* SPDX-License-Identifier: Apache-2.0 */
/* Summaries: GitHub's Markdown becomes HTML, and what would take too long does not hold anybody up. */
#include "agent/job/summary.h"

#include <string.h>

#include "agent/base/clock.h"

static void markdown_of_github(void)
{
	static const char text[] = "# A *b*\n\n| x | y |\n|:-:|--|\n| 1 | ~~2~~ |\n\n- [x] done\n- [ ] open\n\nhttps://e.example <b>raw</b>\n";
	g_autofree char *html = summary_html(text, strlen(text));
	g_assert_nonnull(html);
	g_assert_nonnull(strstr(html, "<h1>A <em>b</em></h1>"));
	g_assert_nonnull(strstr(html, "<th align=\"center\">x</th>"));
	g_assert_nonnull(strstr(html, "<td><del>2</del></td>"));
	g_assert_nonnull(strstr(html, "<input type=\"checkbox\" checked=\"\" disabled=\"\" /> done"));
	g_assert_nonnull(strstr(html, "<a href=\"https://e.example\">https://e.example</a> <b>raw</b>"));
}

static void a_megabyte_is_rendered_or_given_up_soon(void)
{
	static const char *const pieces[] = {"a **b** ", "> ", "[", "* ", "<a", "`", "| a ", "_a __b ", "![](", "www.a.b@"};
	for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
		g_autoptr(GString) text = g_string_new(NULL);
		while (text->len < 1024 * 1024 - 16)
			g_string_append(text, pieces[i]);
		int64_t begin = monotonic_us();
		g_autofree char *html = summary_html(text->str, text->len);
		int64_t took = monotonic_us() - begin;
		g_test_message("'%s': %s, %d ms", pieces[i], html ? "rendered" : "given up", (int)(took / 1000));
		g_assert_cmpint(took, <, 60 * G_USEC_PER_SEC); /* two seconds of CPU, and a machine with much to do */
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/summary/markdown_of_github", markdown_of_github);
	g_test_add_func("/summary/a_megabyte_is_rendered_or_given_up_soon", a_megabyte_is_rendered_or_given_up_soon);
	return g_test_run();
}
