/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/files.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"

static void patterns_fit_by_components(void)
{
	static const struct {
		const char *pattern;
		const char *path;
		bool fits;
	} cases[] = {
	        {"*.c", "a.c", true}, {"*.c", "d/a.c", false}, {"**/*.c", "a.c", true}, {"**/*.c", "d/e/a.c", true},
	        {"d/**", "d/e/f", true}, {"d/**/f", "d/f", true}, {"d/**/f", "d/e/e/f", true}, {"d/*/f", "d/e/e/f", false},
	        {"a?c", "abc", true}, {"a?c", "a/c", false}, {"[a-c]x", "bx", true}, {"[!a-c]x", "bx", false},
	        {"[a", "[a", true}, {"**", "any/thing", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false},
	        {"**/a/**/b", "x/a/y/z/b", true}, {"**/a/**/b", "x/y/z/b", false},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		if (files_match(cases[i].pattern, cases[i].path) != cases[i].fits)
			g_error("%s on %s", cases[i].pattern, cases[i].path);
}

static void hard_patterns_end_soon(void)
{
	g_autoptr(GString) pattern = g_string_new(NULL);
	g_autoptr(GString) path = g_string_new(NULL);
	for (int i = 0; i < 60; i++) {
		g_string_append(pattern, "**/*a*a*/");
		g_string_append(path, "aaaaaaaaaaaaaaaa/");
	}
	g_string_append(pattern, "b");
	g_string_append(path, "c");
	g_assert_false(files_match(pattern->str, path->str));
}

static void walk_follows_no_link(void)
{
	g_autofree char *root = g_dir_make_tmp("assay-files-XXXXXX", NULL);
	g_autofree char *folder = g_build_filename(root, "d", NULL);
	g_autofree char *file = g_build_filename(root, "d", "a.txt", NULL);
	g_autofree char *hidden = g_build_filename(root, "d", ".b.txt", NULL);
	g_autofree char *link = g_build_filename(root, "etc", NULL);
	g_assert_cmpint(g_mkdir(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(file, "x", 1, NULL));
	g_assert_true(g_file_set_contents(hidden, "x", 1, NULL));
	g_assert_cmpint(symlink("/etc", link), ==, 0);
	autofd int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_autoptr(GError) error = NULL;
	const char *const all[] = {"**"};
	g_autoptr(GPtrArray) found = files_find(fd, all, 1, (FilesRules){0}, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(found->len, ==, 2); /* the link itself, not what it points at */
	g_assert_cmpstr(found->pdata[0], ==, "d/a.txt");
	const char *const some[] = {"d", "!**/a*"};
	g_autoptr(GPtrArray) rest = files_find(fd, some, 2, (FilesRules){.hidden = true, .folders_whole = true}, &error);
	g_assert_cmpuint(rest->len, ==, 1);
	g_assert_cmpstr(rest->pdata[0], ==, "d/.b.txt");
	const char *const out[] = {"../*"};
	g_assert_null(files_find(fd, out, 1, (FilesRules){0}, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_DENIED);
	g_clear_error(&error);
	const char *const none[] = {"*.none"};
	g_autofree char *empty = files_hash(fd, none, 1, &error);
	g_assert_cmpstr(empty, ==, "");
	const char *const text[] = {"**/a.txt"};
	g_autofree char *hash = files_hash(fd, text, 1, &error);
	g_assert_cmpuint(strlen(hash), ==, 64);
	fd_remove_tree(root, NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/files/patterns_fit_by_components", patterns_fit_by_components);
	g_test_add_func("/files/hard_patterns_end_soon", hard_patterns_end_soon);
	g_test_add_func("/files/walk_follows_no_link", walk_follows_no_link);
	return g_test_run();
}
