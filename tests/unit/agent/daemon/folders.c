/* SPDX-License-Identifier: Apache-2.0 */
/* Which folders of ended tasks the next ones get, and with what in them. */
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/fd.h"
#include "agent/daemon/state.h"
#include "tests/lib/store.h"

typedef struct Fixture {
	char *data;
	Config config;
	Daemon daemon;
	int64_t last;
	char *folder; /* of the last task */
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
	(void)data;
	f->data = test_folder();
	f->config.data = f->data;
	f->daemon.config = &f->config;
	f->daemon.store = test_store();
	f->daemon.active = g_hash_table_new(g_int64_hash, g_int64_equal);
	folders_open(&f->daemon);
	g_autofree char *jobs = g_build_filename(f->data, "jobs", NULL);
	assert_ok(fd_make_folder(jobs, 0711, &error));
}

static void tear_down(Fixture *f, gconstpointer data)
{
	(void)data;
	folders_forget(&f->daemon);
	g_ptr_array_unref(f->daemon.ended);
	g_hash_table_unref(f->daemon.active);
	store_close(f->daemon.store);
	g_free(f->folder);
	test_folder_remove(f->data);
}

static char *inside(const Fixture *f, const char *name)
{
	return g_build_filename(f->folder, name, NULL);
}

/* A task begins: its folder, with what is to be done. */
static void begin(Fixture *f, const char *description)
{
	g_free(f->folder);
	f->folder = g_strdup_printf("%s/jobs/%d", f->data, (int)++f->last);
	assert_ok(folders_make(&f->daemon, f->folder, description, &error));
}

static void make(const Fixture *f, const char *path)
{
	g_autofree char *whole = inside(f, path);
	g_assert_cmpint(g_mkdir_with_parents(whole, 0755), ==, 0);
}

static void put(const Fixture *f, const char *path, const char *text)
{
	g_autofree char *whole = inside(f, path);
	g_autofree char *folder = g_path_get_dirname(whole);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(whole, text, -1, NULL));
}

static ino_t inode(const char *path)
{
	struct stat info;
	return lstat(path, &info) == 0 ? info.st_ino : 0;
}

/* A task ends, and the agent comes to its folder: is it kept for another? */
static bool end(Fixture *f, bool emptied)
{
	guint before = f->daemon.spares;
	folders_release(&f->daemon, f->folder, emptied);
	while (f->daemon.ended->len > 0)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(inode(f->folder), ==, 0);
	return f->daemon.spares > before;
}

static void a_folder_is_used_again(Fixture *f, gconstpointer data)
{
	(void)data;
	begin(f, "{\"a long description\":1}");
	make(f, "work/_temp");
	make(f, "work/digits/digits");
	make(f, "home/work");
	put(f, "events.jsonl", "{\"type\":\"end\"}\n");
	put(f, "answers.jsonl", "{}\n");
	ino_t was = inode(f->folder);
	g_assert_true(end(f, true));
	begin(f, "{}");
	g_assert_cmpuint(inode(f->folder), ==, was);
	static const char *const want[][2] = {{"job.json", "{}"}, {"events.jsonl", ""}};
	for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
		g_autofree char *path = inside(f, want[i][0]);
		g_autofree char *text = NULL;
		g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
		g_assert_cmpstr(text, ==, want[i][1]);
	}
	g_autofree char *answers = inside(f, "answers.jsonl");
	g_assert_cmpuint(inode(answers), ==, 0);
}

/* Whose worker was killed, or is of an older release. */
static void what_nobody_spoke_for_is_looked_at(Fixture *f, gconstpointer data)
{
	(void)data;
	begin(f, "{}");
	make(f, "work/digits/digits");
	make(f, "home/work");
	g_assert_true(end(f, false));
	static const char *const left[] = {"work/file", "work/digits/digits/file", "home/.netrc", "home/work/file"};
	for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
		begin(f, "{}");
		put(f, left[i], "left");
		g_assert_false(end(f, false));
	}
	begin(f, "{}");
	make(f, "work/1/2/3/4/5/6/7/8/9");
	g_assert_false(end(f, false));
	begin(f, "{}");
	make(f, "work");
	g_autofree char *link = inside(f, "work/link");
	g_assert_cmpint(symlink("/etc", link), ==, 0);
	g_assert_false(end(f, false));
}

/* Beside work/ and home/ nobody's word is taken. */
static void nothing_else_is_kept_whatever_was_said(Fixture *f, gconstpointer data)
{
	(void)data;
	static const char *const strange[] = {"service/upload", "file", ".hidden", "work-of-another/x", "job.json/x", "events.jsonl/x"};
	for (size_t i = 0; i < G_N_ELEMENTS(strange); i++) {
		begin(f, "{}");
		g_autofree char *top = g_path_get_dirname(strange[i]);
		g_autofree char *path = inside(f, top);
		unlink(path);
		put(f, strange[i], "left");
		g_assert_false(end(f, true));
	}
	static const char *const links[] = {"work", "home", "job.json", "events.jsonl"};
	for (size_t i = 0; i < G_N_ELEMENTS(links); i++) {
		begin(f, "{}");
		g_autofree char *path = inside(f, links[i]);
		unlink(path);
		g_assert_cmpint(symlink(i < 2 ? "/tmp" : "/dev/null", path), ==, 0);
		g_assert_false(end(f, true));
		begin(f, "{}");
		g_autofree char *pipe = inside(f, links[i]);
		unlink(pipe);
		g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
		g_assert_false(end(f, true));
	}
	g_assert_true(g_file_test("/tmp", G_FILE_TEST_IS_DIR));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/folders/" #name, Fixture, NULL, set_up, name, tear_down)
	ADD(a_folder_is_used_again);
	ADD(what_nobody_spoke_for_is_looked_at);
	ADD(nothing_else_is_kept_whatever_was_said);
	return g_test_run();
}
