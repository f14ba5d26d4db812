/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what is written by hand is what the library writes, what is read by hand is what it reads. */
#include "agent/base/json.h"

#include <string.h>

#include "agent/base/json_quick.h"
#include "agent/base/json_write.h"

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

static const unsigned flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;

static void the_usual_is_read_quickly(void)
{
	static const char *const texts[] = {"{}", "[]", " [ 1 , -2.5e3 , true , false , null ] ", "\"\\u00fc\\ud83d\\ude42\\n/\"", "-0",
	        "{\"a\":{\"b\\n\":[{\"c\":\"d\\\"e\"},\"\"]},\"z\":999999999999999999}", "{\"\":{\"\":0}}"};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(json_t) quick = json_quick(texts[i], strlen(texts[i]));
		g_autoptr(json_t) slow = json_loads(texts[i], flags, NULL);
		g_assert_nonnull(quick);
		g_assert_true(json_equal(quick, slow));
	}
}

/* All of these are left to the library: some it refuses, some it reads. */
static void the_rest_is_left_to_the_library(void)
{
	static const char *const texts[] = {"", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\":1,\"\\u0061\":2}", "01", "1.", ".5", "+1", "1e", "truex",
	        "[1 2]", "'a'", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\u0000\"", "\"\t\"", "\"\xff\"", "[1]x",
	        "9223372036854775807", "99999999999999999999", "1e999", "{1:2}", "\xef\xbb\xbf{}"};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(json_quick(texts[i], strlen(texts[i])));
		g_autoptr(json_t) slow = json_loads(texts[i], flags, NULL);
		g_autoptr(json_t) got = json_parse(texts[i], strlen(texts[i]), "it", &error);
		g_assert_true(slow ? json_equal(got, slow) : got == NULL && error != NULL);
	}
	g_autofree char *deep = g_strdup_printf("%0100d%0100d", 0, 0);
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	g_assert_null(json_quick(deep, 200));
	g_autoptr(json_t) read = json_parse(deep, 200, "it", NULL);
	g_assert_nonnull(read);
}

static void values_are_written_as_the_library_does(void)
{
	static const char *const texts[] = {"{}", "[]", "[[],{},\"\",null,true,false]", "{\"b\":1,\"a\":{\"z\":[],\"y\":-0.0},\"ab\":2,\"\":0}",
	        "[0,-1,9223372036854775807,-9223372036854775808,10,1234567890123]", "[1.0,0.1,-2.5e-300,1e20,123456789.123]",
	        "{\"\\u00fc\":1,\"u\":2,\"\\u0001\":3,\"\\ud83d\\ude42\":4,\"~\":5}", "\"top\"", "17", "\"\\u0001\\\\\\\"\\/\\b\\u007f\\n\\t\""};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(json_t) value = json_loads(texts[i], flags, NULL);
		g_assert_nonnull(value);
		g_autofree char *quick = json_write_quick(value);
		char *want = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
		g_assert_cmpstr(quick, ==, want);
		free(want);
	}
	g_autoptr(json_t) many = json_object();
	for (int i = 0; i < 300; i++) {
		g_autofree char *key = g_strdup_printf("%x-%d", (unsigned)(i * 2654435761U), i % 7);
		json_set_int(many, key, i);
	}
	g_autofree char *quick = json_write_quick(many);
	char *want = json_dumps(many, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(quick, ==, want);
	free(want);
}

static void what_is_rare_is_written_by_the_library(void)
{
	g_autoptr(json_t) nul = json_stringn("a\0b", 3);
	g_autoptr(json_t) bad = json_string_nocheck("\xff");
	g_autoptr(json_t) deep = json_integer(1);
	for (int i = 0; i < 100; i++)
		deep = json_pack("[o]", deep);
	const json_t *const rare[] = {nul, bad, deep, NULL};
	for (size_t i = 0; i < G_N_ELEMENTS(rare); i++) {
		g_assert_null(json_write_quick(rare[i]));
		g_autofree char *got = json_text(rare[i]);
		char *want = json_dumps(rare[i], JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
		g_assert_cmpstr(got, ==, want ? want : "null");
		free(want);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/json/strings_are_written_as_the_library_does", strings_are_written_as_the_library_does);
	g_test_add_func("/json/the_usual_is_read_quickly", the_usual_is_read_quickly);
	g_test_add_func("/json/the_rest_is_left_to_the_library", the_rest_is_left_to_the_library);
	g_test_add_func("/json/values_are_written_as_the_library_does", values_are_written_as_the_library_does);
	g_test_add_func("/json/what_is_rare_is_written_by_the_library", what_is_rare_is_written_by_the_library);
	return g_test_run();
}
