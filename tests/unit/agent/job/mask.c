/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/mask.h"

#include <string.h>

#include "agent/base/json.h"

static void add(Mask *mask, const char *secret)
{
	mask_add(mask, secret, strlen(secret));
}

static void assert_masked(Mask *mask, const char *text, const char *expected)
{
	g_autofree char *got = mask_text(mask, text);
	g_assert_cmpstr(got, ==, expected);
}

static void plain_secret_becomes_stars(void)
{
	g_autoptr(Mask) mask = mask_new();
	assert_masked(mask, "nothing to hide", "nothing to hide");
	add(mask, "hunter2");
	assert_masked(mask, "hunter2", "***");
	assert_masked(mask, "a hunter2 b hunter2", "a *** b ***");
	assert_masked(mask, "hunter hunter", "hunter hunter");
	assert_masked(mask, "hunter2hunter2", "******");
	assert_masked(mask, "", "");
	add(mask, "");
	add(mask, "x");
	assert_masked(mask, "axb", "a***b");
}

static void overlapping_secrets_leak_nothing(void)
{
	g_autoptr(Mask) mask = mask_new();
	add(mask, "abcd");
	add(mask, "cdef");
	add(mask, "zabcdefz");
	assert_masked(mask, "abcdef", "***");
	assert_masked(mask, "zabcdefz", "***");
	assert_masked(mask, "zabcdefy", "z***y");
	assert_masked(mask, "xbc", "xbc");
}

static void variants_are_found(void)
{
	static const char secret[] = "p@ss'w\"ord\\1 $x&<y>";
	g_autoptr(Mask) mask = mask_new();
	add(mask, secret);
	for (size_t shift = 0; shift < 3; shift++) {
		g_autofree char *before = g_strnfill(shift, 'u');
		g_autofree char *text = g_strconcat(before, secret, "tail that follows", NULL);
		g_autofree char *encoded = g_base64_encode((const guchar *)text, strlen(text));
		g_autofree char *masked = mask_text(mask, encoded);
		g_assert_nonnull(strstr(masked, "***"));
		g_assert_cmpuint(strlen(masked), <=, strlen(encoded) - strlen(secret) + 1);
	}
	g_autofree char *url = g_uri_escape_string(secret, NULL, FALSE);
	assert_masked(mask, url, "***");
	g_autoptr(json_t) string = json_string(secret);
	g_autofree char *json = json_text(string);
	assert_masked(mask, json, "\"***\"");
	g_autofree char *quoted = g_shell_quote(secret);
	assert_masked(mask, quoted, "'***'");
	g_autoptr(GString) hex = g_string_new(NULL);
	for (const char *at = secret; *at; at++)
		g_string_append_printf(hex, "%02x", (unsigned char)*at);
	assert_masked(mask, hex->str, "***");
}

static void lines_of_a_secret_are_secrets(void)
{
	g_autoptr(Mask) mask = mask_new();
	add(mask, "-----BEGIN KEY-----\r\nMIIEpAIBAAKC\r\nab\r\n-----END KEY-----\n");
	assert_masked(mask, "line MIIEpAIBAAKC here", "line *** here");
	assert_masked(mask, "ab", "ab");
}

static void values_of_a_json_secret_are_secrets(void)
{
	g_autoptr(Mask) mask = mask_new();
	add(mask, "{\"user\":\"bob\",\"keys\":[{\"private\":\"sesame-open\"}]}");
	assert_masked(mask, "the key is sesame-open", "the key is ***");
	assert_masked(mask, "bob", "bob");
}

/* Every way to cut a text in three gives the same, and never more than the whole. */
static void cuts_change_nothing(void)
{
	g_autoptr(Mask) mask = mask_new();
	add(mask, "secret-one");
	add(mask, "one-two");
	add(mask, "aaaa");
	static const char text[] = "secret-one-two secret-on aaaaaaa secret-one";
	g_autofree char *expected = mask_text(mask, text);
	g_assert_null(strstr(expected, "two"));
	size_t len = strlen(text);
	for (size_t first = 0; first <= len; first++)
		for (size_t second = first; second <= len; second++) {
			MaskStream *stream = mask_stream_new(mask);
			g_autoptr(GByteArray) out = g_byte_array_new();
			mask_stream_feed(stream, text, first, out);
			mask_stream_feed(stream, text + first, second - first, out);
			mask_stream_feed(stream, text + second, len - second, out);
			mask_stream_end(stream, out);
			mask_stream_free(stream);
			g_assert_cmpmem(out->data, out->len, expected, strlen(expected));
		}
}

static void later_secrets_count_from_the_next_byte(void)
{
	g_autoptr(Mask) mask = mask_new();
	add(mask, "alphabet");
	MaskStream *stream = mask_stream_new(mask);
	g_autoptr(GByteArray) out = g_byte_array_new();
	mask_stream_feed(stream, "alpha", 5, out);
	g_assert_cmpuint(out->len, ==, 0);
	add(mask, "phantom");
	mask_stream_feed(stream, "phantom alphabet", 16, out);
	mask_stream_end(stream, out);
	mask_stream_free(stream);
	g_assert_cmpmem(out->data, out->len, "alpha*** ***", 12);
}

static void json_keeps_its_shape(void)
{
	g_autoptr(Mask) mask = mask_new();
	add(mask, "hidden");
	g_autoptr(json_t) value = json_pack("{s:[s,i],s:{s:s}}", "a", "is hidden", 3, "hidden", "b", "c");
	g_autoptr(json_t) masked = mask_json(mask, value);
	g_autofree char *text = json_text(masked);
	g_assert_cmpstr(text, ==, "{\"a\":[\"is ***\",3],\"hidden\":{\"b\":\"c\"}}");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mask/plain_secret_becomes_stars", plain_secret_becomes_stars);
	g_test_add_func("/mask/overlapping_secrets_leak_nothing", overlapping_secrets_leak_nothing);
	g_test_add_func("/mask/variants_are_found", variants_are_found);
	g_test_add_func("/mask/lines_of_a_secret_are_secrets", lines_of_a_secret_are_secrets);
	g_test_add_func("/mask/values_of_a_json_secret_are_secrets", values_of_a_json_secret_are_secrets);
	g_test_add_func("/mask/cuts_change_nothing", cuts_change_nothing);
	g_test_add_func("/mask/later_secrets_count_from_the_next_byte", later_secrets_count_from_the_next_byte);
	g_test_add_func("/mask/json_keeps_its_shape", json_keeps_its_shape);
	return g_test_run();
}
