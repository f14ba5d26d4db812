/* SPDX-License-Identifier: Apache-2.0 */
#include "webhooks/claim.h"

#include <glib.h>
#include <string.h>

static void expect(const char *json, const char *wanted)
{
	g_autofree char *claim = claim_repo(json, strlen(json), "repository", "full_name");
	g_assert_cmpstr(claim, ==, wanted);
}

static void test_finds(void)
{
	expect("{\"repository\":{\"full_name\":\"acme/digits\"}}", "acme/digits");
	expect(" { \"a\" : [1, {\"b\":-1.5e3}, null] ,\n\"repository\" : { \"id\":1 , \"full_name\" : \"acme\\/digits\" } }", "acme/digits");
}

static void test_not_fooled(void)
{
	expect("{\"m\":\"\\\"repository\\\":{\\\"full_name\\\":\\\"evil/x\\\"}\",\"repository\":{\"full_name\":\"a/b\"}}", "a/b");
	expect("{\"commits\":[{\"repository\":{\"full_name\":\"evil/x\"}}],\"repository\":{\"full_name\":\"a/b\"}}", "a/b");
	expect("{\"repository\":{\"owner\":{\"full_name\":\"evil/x\"},\"full_name\":\"a/b\"}}", "a/b");
	expect("[{\"repository\":{\"full_name\":\"a/b\"}}]", NULL);
}

static void test_refuses(void)
{
	static const char *const bad[] = {"", "{", "{}", "{\"repository\"", "{\"repository\":\"a/b\"}",
	        "{\"repository\":{\"full_name\":\"../b\"}}", "{\"repository\":{\"full_name\":\"a\"}}",
	        "{\"repository\":{\"full_name\":\"a/b/c\"}}", "{\"repository\":{\"full_name\":\"a\\u002fb\"}}",
	        "{\"repository\":{\"full_name\":\"a/b", "{\"repository\":{\"full_name\":\"a/b\\", "{\"x\":}}", "{\"x\":]}"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		expect(bad[i], NULL);
}

static void test_deep(void)
{
	g_autoptr(GString) json = g_string_new("{\"x\":");
	for (int i = 0; i < 100000; i++)
		g_string_append_c(json, '[');
	g_autofree char *claim = claim_repo(json->str, json->len, "repository", "full_name");
	g_assert_null(claim);
}

static void test_names(void)
{
	g_assert_true(claim_is_repo_name("acme/digits.v2_x-y"));
	static const char *const bad[] = {"/", "a/", "/b", "a/..", "./b", "a b/c", "a/b\n", "a//b", "ä/b"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(claim_is_repo_name(bad[i]));
	g_assert_false(claim_is_repo_name(NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/claim/finds_the_repo", test_finds);
	g_test_add_func("/claim/is_not_fooled_by_strings_and_deeper_keys", test_not_fooled);
	g_test_add_func("/claim/refuses_what_is_no_claim", test_refuses);
	g_test_add_func("/claim/bounds_depth", test_deep);
	g_test_add_func("/claim/knows_a_repos_name", test_names);
	return g_test_run();
}
