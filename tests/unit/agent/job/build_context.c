/* SPDX-License-Identifier: Apache-2.0 */
/* What a Dockerfile's COPY may take: patterns as Docker's, nothing from outside of the folder, the same digest for the same files. */
#include "agent/job/build_context.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"

static void patterns_match(void)
{
	static const struct {
		const char *pattern, *path;
		bool wanted;
	} cases[] = {{"a", "a", true}, {"a", "ab", false}, {"a", "a/b", true}, {"a/b", "a", false}, {"*", "a", true}, {"*", "a/b", true},
	        {"*.md", "a.md", true}, {"*.md", "a/b.md", false}, {"**/*.md", "a.md", true}, {"**/*.md", "a/b/c.md", true},
	        {"a/**", "a/b/c", true}, {"a/**", "a", false}, {"a/**/z", "a/z", true}, {"a/**/z", "a/b/c/z", true}, {"a/**/z", "a/b", false},
	        {"a?c", "abc", true}, {"a?c", "ac", false}, {"[a-c]x", "bx", true}, {"[^a-c]x", "bx", false}, {"[]x", "[]x", true},
	        {"\\*", "*", true}, {"\\*", "a", false}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false}, {"**", "a/b", true},
	        {"**/node_modules", "x/node_modules/y", true}, {"*/*", "a", false}};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		if (build_pattern_matches(cases[i].pattern, cases[i].path) != cases[i].wanted)
			g_error("%s on %s", cases[i].pattern, cases[i].path);
	g_autoptr(GString) slow = g_string_new(NULL), text = g_string_new(NULL);
	for (int i = 0; i < 120; i++)
		g_string_append(slow, "*a");
	for (int i = 0; i < 250; i++)
		g_string_append_c(text, 'a');
	g_string_append_c(text, 'b');
	g_assert_false(build_pattern_matches(slow->str, text->str));
	g_string_assign(slow, "");
	g_string_assign(text, "");
	for (int i = 0; i < 200; i++)
		g_string_append(slow, "**/a/");
	for (int i = 0; i < 1000; i++)
		g_string_append(text, "a/");
	g_string_append(slow, "b");
	g_string_append(text, "c");
	g_assert_false(build_pattern_matches(slow->str, text->str));
}

typedef struct Fixture {
	char *root;
	int folder_fd, stage_fd;
	BuildContext context;
	int count;
} Fixture;

static void write_file(Fixture *fixture, const char *path, const char *text)
{
	g_autofree char *whole = g_build_filename(fixture->root, path, NULL);
	g_autofree char *folder = g_path_get_dirname(whole);
	g_assert_true(fd_make_folder(folder, 0755, NULL));
	g_assert_true(g_file_set_contents(whole, text, -1, NULL));
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->root = g_dir_make_tmp("assay-context-XXXXXX", NULL);
	write_file(fixture, "outside", "do-not-take-me");
	write_file(fixture, "in/Dockerfile", "FROM x");
	write_file(fixture, "in/a/one.txt", "1");
	write_file(fixture, "in/a/deep/two.txt", "2");
	write_file(fixture, "in/a/three.log", "3");
	g_assert_true(fd_make_folder(fixture->root, 0755, NULL));
	g_autofree char *in = g_build_filename(fixture->root, "in", NULL);
	g_autofree char *stage = g_build_filename(fixture->root, "stage", NULL);
	g_assert_true(fd_make_folder(stage, 0755, NULL));
	fixture->folder_fd = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture->stage_fd = open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(symlinkat("one.txt", fixture->folder_fd, "a/inner"), ==, 0);
	g_assert_cmpint(symlinkat("../outside", fixture->folder_fd, "out"), ==, 0);
	g_assert_cmpint(symlinkat("..", fixture->folder_fd, "up"), ==, 0);
	g_assert_cmpint(symlinkat("/etc/passwd", fixture->folder_fd, "absolute"), ==, 0);
	g_assert_cmpint(mkfifoat(fixture->folder_fd, "pipe", 0600), ==, 0);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	build_context_clear(&fixture->context);
	close(fixture->folder_fd);
	close(fixture->stage_fd);
	g_assert_true(fd_remove_tree(fixture->root, NULL));
	g_free(fixture->root);
}

static void opens(Fixture *fixture)
{
	g_autoptr(GError) error = NULL;
	build_context_clear(&fixture->context);
	fixture->context = (BuildContext){.folder_fd = fixture->folder_fd};
	g_assert_true(build_context_open(&fixture->context, "Dockerfile", &error));
	g_assert_no_error(error);
}

/* The digest of what a source gives; the caller's. */
static char *takes(Fixture *fixture, const char *source)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Hash) hash = hash_new();
	if (!build_context_take(&fixture->context, source, fixture->stage_fd, &fixture->count, hash, &error))
		g_error("%s: %s", source, error->message);
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_final(hash, digest);
	hex_write(digest, sizeof digest, hex);
	return g_strdup(hex);
}

static void refuses(Fixture *fixture, const char *source, const char *part)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Hash) hash = hash_new();
	g_assert_false(build_context_take(&fixture->context, source, fixture->stage_fd, &fixture->count, hash, &error));
	if (!strstr(error->message, part))
		g_error("%s: '%s'", source, error->message);
	g_assert_cmpint(error->code, ==, ASSAY_ERROR_USER);
}

static bool is_there(Fixture *fixture, const char *path)
{
	struct stat info;
	return fstatat(fixture->stage_fd, path, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

static void files_are_copied_aside(Fixture *fixture, gconstpointer data)
{
	(void)data;
	opens(fixture);
	g_free(takes(fixture, "a/one.txt"));
	g_assert_true(is_there(fixture, "0.file/one.txt"));
	g_free(takes(fixture, "/a/"));
	g_assert_true(is_there(fixture, "1.folder/one.txt") && is_there(fixture, "1.folder/deep/two.txt") && is_there(fixture, "1.folder/inner"));
	g_free(takes(fixture, "a/*.txt"));
	g_assert_true(is_there(fixture, "2.file/one.txt"));
	g_free(takes(fixture, "a/inner")); /* a link that is named is what it means */
	g_assert_true(is_there(fixture, "3.file/inner"));
	struct stat info;
	g_assert_true(fstatat(fixture->stage_fd, "3.file/inner", &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode));
	g_free(takes(fixture, "."));
	g_assert_true(is_there(fixture, "4.folder/out") && !is_there(fixture, "4.folder/pipe"));
}

static void nothing_of_outside_is_taken(Fixture *fixture, gconstpointer data)
{
	(void)data;
	opens(fixture);
	refuses(fixture, "../outside", "leads out of");
	refuses(fixture, "a/../../outside", "leads out of");
	refuses(fixture, "out", "cannot be read below");
	refuses(fixture, "ou*", "cannot be read below");
	refuses(fixture, "absolute", "cannot be read below");
	refuses(fixture, "up/outside", "cannot be read below");
	refuses(fixture, "up/*", "is not there");
	refuses(fixture, "pipe", "neither a file nor a folder");
	refuses(fixture, "/etc/passwd", "is not there");
	refuses(fixture, "no*", "is not there");
	fixture->context.bytes_max = 1;
	fixture->context.bytes = 0;
	refuses(fixture, "a", "more than 1 bytes");
}

static void what_is_ignored_stays(Fixture *fixture, gconstpointer data)
{
	(void)data;
	write_file(fixture, "in/.dockerignore", "# all of them\n**/*.log\n/a/deep\n!a/deep/t*.txt\nout\n");
	opens(fixture);
	g_free(takes(fixture, "."));
	g_assert_false(is_there(fixture, "0.folder/a/three.log") || is_there(fixture, "0.folder/out"));
	g_assert_true(is_there(fixture, "0.folder/a/one.txt") && is_there(fixture, "0.folder/a/deep/two.txt"));
	refuses(fixture, "a/three.log", ".dockerignore leaves it out");
	write_file(fixture, "in/Dockerfile.dockerignore", "*\n!a/one.txt\n"); /* goes before the other */
	opens(fixture);
	g_free(takes(fixture, "."));
	g_assert_true(is_there(fixture, "1.folder/a/one.txt") && !is_there(fixture, "1.folder/a/deep") && !is_there(fixture, "1.folder/Dockerfile"));
}

static void the_digest_is_that_of_the_files(Fixture *fixture, gconstpointer data)
{
	(void)data;
	opens(fixture);
	g_autofree char *first = takes(fixture, "a");
	g_autofree char *again = takes(fixture, "a");
	g_assert_cmpstr(first, ==, again);
	write_file(fixture, "in/a/one.txt", "2");
	g_autofree char *changed = takes(fixture, "a");
	g_assert_cmpstr(first, !=, changed);
	write_file(fixture, "in/a/one.txt", "1");
	g_assert_cmpint(fchmodat(fixture->folder_fd, "a/one.txt", 0755, 0), ==, 0);
	g_autofree char *mode = takes(fixture, "a");
	g_assert_cmpstr(first, !=, mode);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/build_context/patterns_match", patterns_match);
#define CASE(name) g_test_add("/build_context/" #name, Fixture, NULL, set_up, name, tear_down)
	CASE(files_are_copied_aside);
	CASE(nothing_of_outside_is_taken);
	CASE(what_is_ignored_stays);
	CASE(the_digest_is_that_of_the_files);
#undef CASE
	return g_test_run();
}
