/* SPDX-License-Identifier: Apache-2.0 */
/* What of a stranger's HTML is shown, and what becomes text. */
#include "web/safe_html.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/clock.h"

static char *safe(const char *text)
{
	GString *out = g_string_new(NULL);
	safe_html(out, text, strlen(text));
	return g_string_free(out, FALSE);
}

#define assert_safe(text, want)                       \
	do {                                          \
		g_autofree char *got_ = safe(text);   \
		g_assert_cmpstr(got_, ==, want);      \
	} while (0)

static void known_elements_are_written_anew(void)
{
	assert_safe("<p ALIGN=center onclick=\"x()\" style='y'>a<br/>b</P>", "<p align=\"center\">a<br>b</p>");
	assert_safe("<h1>A</h1><h3 id=\"x\">B</h3>", "<h3>A</h3><h4>B</h4>");
	assert_safe("<details open><summary>s</summary>t</details>", "<details open><summary>s</summary>t</details>");
	assert_safe("<sub>1</sub><sup>2</sup><kbd>3</kbd>", "<sub>1</sub><sup>2</sup><kbd>3</kbd>");
	assert_safe("<td colspan=\"2\" rowspan=\"x\">", "<td colspan=\"2\"></td>");
	assert_safe("<ol start=\"3\"><li>a<li>b</ol>", "<ol start=\"3\"><li>a</li><li>b</li></ol>");
	assert_safe("<li><input type=\"checkbox\" checked=\"\" disabled=\"\" /> done</li>",
	        "<li><input type=\"checkbox\" disabled checked aria-label=\"task\"> done</li>");
}

static void everything_else_is_text(void)
{
	assert_safe("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
	assert_safe("<iframe src=x></iframe>", "&lt;iframe src=x&gt;&lt;/iframe&gt;");
	assert_safe("<svg/onload=alert(1)>", "&lt;svg/onload=alert(1)&gt;");
	assert_safe("<form><input name=csrf><button>", "&lt;form&gt;&lt;button&gt;");
	assert_safe("a < b & c > d &amp; &#x3c; &bad; & &;", "a &lt; b &amp; c &gt; d &amp; &#x3c; &bad; &amp; &amp;;");
	assert_safe("<!-- <script> -->x<!DOCTYPE html>", "x&lt;!DOCTYPE html&gt;");
	assert_safe("<p", "&lt;p");
	assert_safe("<p a=\"", "&lt;p a=&quot;");
	assert_safe("<p <b>x</b>", "&lt;p <b>x</b>");
}

static void it_ends_what_it_began_and_nothing_else(void)
{
	assert_safe("</article></main></div>x", "&lt;/article&gt;&lt;/main&gt;x");
	assert_safe("<div><b>x", "<div><b>x</b></div>");
	assert_safe("<b><i>x</b>y</i>", "<b><i>x</i></b>y");
	assert_safe("<table><tr><td>1", "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of the summary\">"
	        "<table><tr><td>1</td></tr></table></div>");
	assert_safe("<a href=\"https://a.example\">x<a href=\"https://b.example\">y",
	        "<a rel=\"nofollow noopener\" href=\"https://a.example\">x</a><a rel=\"nofollow noopener\" href=\"https://b.example\">y</a>");
}

static void addresses_lead_to_the_web_only(void)
{
	assert_safe("<a href=\"javascript:alert(1)\">x</a>", "<a rel=\"nofollow noopener\">x</a>");
	assert_safe("<a href=\" java\tscript:alert(1)\">x</a>", "<a rel=\"nofollow noopener\">x</a>");
	assert_safe("<a href=\"//evil.example\">x</a>", "<a rel=\"nofollow noopener\">x</a>");
	assert_safe("<a href=\"/runs/1/cancel\">x</a>", "<a rel=\"nofollow noopener\">x</a>");
	assert_safe("<a href='https://e.example/?a=1&b=\"2'>x</a>",
	        "<a rel=\"nofollow noopener\" href=\"https://e.example/?a=1&amp;b=&quot;2\">x</a>");
	assert_safe("<img src=\"https://e.example/x.png\" alt=\"a < b\">",
	        "<a rel=\"nofollow noopener\" href=\"https://e.example/x.png\">a &lt; b</a>");
	assert_safe("<img src=\"data:image/png;base64,iVBORw0=\" alt=\"dot\" width=\"50%\" onerror=\"x\">",
	        "<img src=\"data:image/png;base64,iVBORw0=\" alt=\"dot\" width=\"50%\" loading=\"lazy\">");
	assert_safe("<img src=\"data:image/svg+xml;base64,AAAA\" alt=\"no\">", "no");
	assert_safe("<img src=\"data:image/png;base64,A\" onerror=x alt=\"\">", "<img src=\"data:image/png;base64,A\" alt=\"\" loading=\"lazy\">");
}

static void it_is_never_nested_deeper(void)
{
	g_autoptr(GString) deep = g_string_new(NULL);
	for (int i = 0; i < 5000; i++)
		g_string_append(deep, "<div>");
	g_autofree char *got = safe(deep->str);
	size_t opened = 0, closed = 0;
	for (const char *at = got; (at = strstr(at, "<div>")); at++)
		opened++;
	for (const char *at = got; (at = strstr(at, "</div>")); at++)
		closed++;
	g_assert_cmpuint(opened, ==, SAFE_HTML_DEPTH);
	g_assert_cmpuint(closed, ==, SAFE_HTML_DEPTH);
}

static void it_takes_time_by_length_alone(void)
{
	static const char *const pieces[] = {"<a/x=", "<a x=\"", "<a x='<b y=\"", "<!--", "<p ", "&", "<a x=<", "</p", "<table><td>"};
	for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
		g_autoptr(GString) text = g_string_new(NULL);
		while (text->len < 1024 * 1024)
			g_string_append(text, pieces[i]);
		g_string_append(text, " \"");
		int64_t begin = monotonic_us();
		g_autofree char *got = safe(text->str);
		int64_t took = monotonic_us() - begin;
		g_test_message("%s: %d ms", pieces[i], (int)(took / 1000));
		g_assert_cmpint(took, <, 5 * G_USEC_PER_SEC);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(test) g_test_add_func("/safe_html/" #test, test)
	ADD(known_elements_are_written_anew);
	ADD(everything_else_is_text);
	ADD(it_ends_what_it_began_and_nothing_else);
	ADD(addresses_lead_to_the_web_only);
	ADD(it_is_never_nested_deeper);
	ADD(it_takes_time_by_length_alone);
	return g_test_run();
}
