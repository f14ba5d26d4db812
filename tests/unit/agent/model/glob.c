/* SPDX-License-Identifier: Apache-2.0 */
/* Filter patterns: the examples of GitHub's documentation, and patterns made to be slow. */
#include "agent/model/glob.h"

#include <string.h>

static void assert_match(const char *pattern, const char *text, bool wanted)
{
	if (glob_matches(pattern, text) != wanted)
		g_test_message("%s on %s", pattern, text);
	g_assert_true(glob_matches(pattern, text) == wanted);
}

static void branches_match_as_documented(void)
{
	assert_match("feature/*", "feature/my-branch", true);
	assert_match("feature/*", "feature/a/b", false);
	assert_match("feature/**", "feature/beta-a/my-branch", true);
	assert_match("main", "main", true);
	assert_match("main", "mainline", false);
	assert_match("releases/mona-the-cat", "releases/mona-the-cat", true);
	assert_match("*", "releases/x", false);
	assert_match("**", "all/the/branches", true);
	assert_match("*feature", "mona-feature", true);
	assert_match("*feature", "a/feature", false);
	assert_match("v2*", "v2.0", true);
	assert_match("v[12].[0-9]+.[0-9]+", "v1.10.1", true);
	assert_match("v[12].[0-9]+.[0-9]+", "v3.10.1", false);
	assert_match("v[12].[0-9]+.[0-9]+", "v1..1", false);
	assert_match("[CDG]", "D", true);
	assert_match("[^a-c]x", "dx", true);
	assert_match("[^a-c]x", "bx", false);
}

static void paths_match_as_documented(void)
{
	assert_match("*", "server.rb", true);
	assert_match("*", "docs/hello.md", false);
	assert_match("*.jsx?", "page.js", true);
	assert_match("*.jsx?", "page.jsx", true);
	assert_match("*.jsx?", "page.jsxx", false);
	assert_match("**.js", "js/src/index.js", true);
	assert_match("docs/*", "docs/file.txt", true);
	assert_match("docs/*", "docs/mona/file.txt", false);
	assert_match("docs/**/*.md", "docs/README.md", true);
	assert_match("docs/**/*.md", "docs/a/markdown/file.md", true);
	assert_match("docs/**/*.md", "docsx.md", false);
	assert_match("**/docs/**", "docs/hello.md", true);
	assert_match("**/docs/**", "space/docs/plan.doc", true);
	assert_match("**/README.md", "README.md", true);
	assert_match("**/README.md", "js/README.md", true);
	assert_match("**/README.md", "jsREADME.md", false);
	assert_match("**/*src/**", "my-src/code/js/app.js", true);
	assert_match("**/*-post.md", "path/their-post.md", true);
	assert_match("**/migrate-*.sql", "db/migrate-v1.0.sql", true);
}

static void special_characters_are_taken_literally(void)
{
	assert_match("a\\*b", "a*b", true);
	assert_match("a\\*b", "axb", false);
	assert_match("?x", "?x", true);
	assert_match("a[b", "a[b", true);
	assert_match("é+", "éé", true);
	assert_match("", "", true);
	assert_match("", "a", false);
	assert_match("a", "", false);
}

static void the_last_match_decides(void)
{
	const char *const list[] = {"releases/**", "!releases/**-alpha", "releases/9-alpha", NULL};
	g_assert_true(glob_list_matches(list, "releases/10"));
	g_assert_false(glob_list_matches(list, "releases/10-alpha"));
	g_assert_true(glob_list_matches(list, "releases/9-alpha"));
	g_assert_false(glob_list_matches(list, "main"));
}

static void hostile_patterns_end_soon(void)
{
	GString *pattern = g_string_new(NULL);
	GString *text = g_string_new(NULL);
	for (int i = 0; i < 500; i++) {
		g_string_append(pattern, "*a?**");
		g_string_append(text, "aaaa");
	}
	g_string_append_c(text, 'b');
	g_string_append_c(pattern, 'c');
	gint64 start = g_get_monotonic_time();
	assert_match(pattern->str, text->str, false);
	g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
	g_string_free(pattern, TRUE);
	g_string_free(text, TRUE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/glob/branches_match_as_documented", branches_match_as_documented);
	g_test_add_func("/glob/paths_match_as_documented", paths_match_as_documented);
	g_test_add_func("/glob/special_characters_are_taken_literally", special_characters_are_taken_literally);
	g_test_add_func("/glob/the_last_match_decides", the_last_match_decides);
	g_test_add_func("/glob/hostile_patterns_end_soon", hostile_patterns_end_soon);
	return g_test_run();
}
