/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: a string written by hand is the string that the library writes. */
#include "agent/base/json.h"

#include <string.h>

static void assert_same(const char *text)
{
	g_autoptr(GString) written = g_string_new(NULL);
	json_append_string(written, text);
	g_autoptr(json_t) value = json_string_any(text, strlen(text));
	g_autofree char *want = json_text(value);
	g_assert_cmpstr(written->str, ==, want);
}

static void strings_are_written_as_the_library_does(void)
{
	static const char *const texts[] = {"", "push", "a\"b\\c/d", "\b\f\n\r\t", "\x01\x1f\x7f", "Grüße, 世界 🙂", "a\xff" "b",
	        "\xc3", "\"", "ends with \\", "<script>&amp;"};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		assert_same(texts[i]);
	for (int byte = 1; byte < 256; byte++) {
		const char text[] = {'x', (char)byte, 'y', '\0'};
		assert_same(text);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/json/strings_are_written_as_the_library_does", strings_are_written_as_the_library_does);
	return g_test_run();
}
