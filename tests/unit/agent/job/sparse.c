/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a sparse checkout writes: compared with what git says in its manual. */
#include "agent/job/sparse.h"

#include "agent/base/error.h"

static void assert_wants(const Sparse *sparse, const char *const *yes, const char *const *no)
{
	for (; *yes; yes++)
		if (!sparse_wants(sparse, *yes))
			g_error("%s is not wanted", *yes);
	for (; *no; no++)
		if (sparse_wants(sparse, *no))
			g_error("%s is wanted", *no);
}

static void a_cone_is_folders_and_what_leads_there(void)
{
	g_autoptr(Sparse) sparse = sparse_new("/A/B/C/\n D \n\n", true, NULL);
	assert_wants(sparse, (const char *const[]){"root", "A/f", "A/B/f", "A/B/C/f", "A/B/C/x/y", "D/f", "D/x/y", NULL},
	        (const char *const[]){"A/x/f", "A/B/x/f", "E/f", "A/B/CC/f", "DD/f", NULL});
	g_assert_cmpstr(sparse_text(sparse), ==, "/*\n!/*/\n/A/\n!/A/*/\n/A/B/\n!/A/B/*/\n/A/B/C/\n/D/\n");
}

static void a_cone_takes_no_patterns(void)
{
	static const char *const wrong[] = {"*.py", "!x", "a/../b"};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(sparse_new(wrong[i], true, &error));
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	}
}

static void the_last_pattern_that_fits_decides(void)
{
	g_autoptr(Sparse) sparse = sparse_new("/*\n!unwanted/\n*.py\n!/top.py\ndocs/**/*.md\n# no\n", false, NULL);
	assert_wants(sparse, (const char *const[]){"a", "x/y/z", "unwanted/deep/a.py", "docs/a/b/c.md", NULL},
	        (const char *const[]){"unwanted/f", "unwanted/x/f", "top.py", NULL});
	g_autoptr(Sparse) few = sparse_new("/src/a\nREADME*\n", false, NULL);
	assert_wants(few, (const char *const[]){"src/a/x/y", "README.md", "deep/README", NULL},
	        (const char *const[]){"src/b/x", "x/src/a/y", "other", NULL});
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sparse/a_cone_is_folders_and_what_leads_there", a_cone_is_folders_and_what_leads_there);
	g_test_add_func("/sparse/a_cone_takes_no_patterns", a_cone_takes_no_patterns);
	g_test_add_func("/sparse/the_last_pattern_that_fits_decides", the_last_pattern_that_fits_decides);
	return g_test_run();
}
