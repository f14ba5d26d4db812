/* SPDX-License-Identifier: Apache-2.0 */
/* What json_quick() reads is what jansson reads, in the same order; what it does not read is left to jansson. */
#include "agent/base/json.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json_quick.h"

static char *in_order(const json_t *value)
{
	return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

static void check_same(const char *text, size_t len, bool must)
{
	g_autoptr(json_t) ours = json_quick(text, len);
	g_autoptr(json_t) theirs = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (must && !ours)
		g_error("not read quickly: %.*s", (int)len, text);
	if (!ours)
		return;
	if (!json_equal(ours, theirs))
		g_error("read otherwise: %.*s", (int)len, text);
	char *a = in_order(ours);
	char *b = in_order(theirs);
	g_assert_cmpstr(a, ==, b);
	free(a);
	free(b);
}

static void test_plain(void)
{
	static const char *const texts[] = {"{}", "[]", "null", "true", " false ", "\"\"", "\t\r\n 0", "-0", "7", "-12", "999999999999999999",
	        "-999999999999999999", "0.0", "-0.0", "1.5e3", "1E+2", "2e-3", "0.1", "123456789.123456789", "5e-324", "[1,2 , 3]", "[[],{},[{}]]",
	        "{\"a\":1}", " { \"a\" : [ true , null ] , \"b\" : \"c\" } ", "{\"\":1}", "\"a\\n\\t\\\"\\\\\\/\\b\\f\\rz\"", "\"\\\\\"", "\"\\\\\\\"\"",
	        "\"gr\xc3\xbc\xc3\x9f\xe2\x82\xac\"", "\"\xc3\xbc\\n\xc3\xbc\"", "{\"z\":1,\"a\":2,\"m\":{\"y\":1,\"b\":2}}", "\"\x7f\""};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		check_same(texts[i], strlen(texts[i]), true);
}

/* Either jansson reads it, or nobody does. */
static void test_left_to_jansson(void)
{
	static const char *const texts[] = {"", " ", "{", "}", "[", "]", "[1", "[1,", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":1 \"b\":2}",
	        "{\"a\":1,\"a\":2}", "\"", "\"a", "\"\\", "\"\\\"", "\"\\x\"", "\"a\nb\"", "\"a\\n\nb\"", "\"\\u0041\"", "\"\xff\"", "\"\xc3\"", "\"a\\n\xed\xa0\x80\"",
	        "{\"\xc3\xbc\":1}", "{\"\\u0061\":1}", "{\"a\\n\":1}", "01", "-", "+1", ".5", "1.", "1.e2", "1e", "1e+", "--1", "1e400", "-1e999", "9223372036854775807", "9223372036854775808",
	        "-9223372036854775808", "1234567890123456789012", "tru", "nul", "falsey", "True", "NaN", "1 2", "{} {}", "\xef\xbb\xbf{}", "/**/1", "'a'"};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_assert_null(json_quick(texts[i], strlen(texts[i])));
		g_autoptr(GError) error = NULL;
		g_autoptr(json_t) value = json_parse(texts[i], strlen(texts[i]), "it", &error);
		g_autoptr(json_t) theirs = json_loadb(texts[i], strlen(texts[i]), JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		g_assert_true((value != NULL) == (theirs != NULL));
		g_assert_true((value == NULL) == (error != NULL));
	}
	check_same("\"a\0b\"", 5, false);
	check_same("1\0", 2, false);
}

static void test_ends_anywhere(void)
{
	static const char text[] = "{\"a\":[1,-2.5e1,true,null,\"x\\n\\\"\xc3\xbc\"],\"b\":{\"c\":\"\\\\\"}}";
	check_same(text, strlen(text), true);
	for (size_t len = 0; len < strlen(text); len++) {
		g_autofree char *copy = g_memdup2(text, len + 1); /* so that a step too far is found */
		g_assert_null(json_quick(copy, len));
	}
}

static void test_depth(void)
{
	g_autoptr(GString) text = g_string_new(NULL);
	for (int depth = 1; depth < 200; depth++) {
		g_string_assign(text, "");
		for (int i = 0; i < depth; i++)
			g_string_append_c(text, '[');
		for (int i = 0; i < depth; i++)
			g_string_append_c(text, ']');
		check_same(text->str, text->len, depth < 60);
		g_autoptr(json_t) value = json_parse(text->str, text->len, "it", NULL);
		g_assert_nonnull(value);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/json/quick_reads_what_is_plain", test_plain);
	g_test_add_func("/json/quick_leaves_the_rest", test_left_to_jansson);
	g_test_add_func("/json/quick_stops_at_any_end", test_ends_anywhere);
	g_test_add_func("/json/quick_leaves_deep_ones", test_depth);
	return g_test_run();
}
