/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that are used again: what a job may have done to one must not reach the next. */
#include "agent/job/tree.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/fd.h"

typedef struct Fixture {
	char *folder;
	int fd;
} Fixture;

static const TreeOwner ours = {0};
static const char *const keep[] = {"_temp", "digits", "digits/digits", NULL};

static void set_up(Fixture *f, gconstpointer data)
{
	(void)data;
	f->folder = g_dir_make_tmp("assay-tree-XXXXXX", NULL);
	f->fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(f->fd, >=, 0);
	umask(022);
}

static void tear_down(Fixture *f, gconstpointer data)
{
	(void)data;
	close(f->fd);
	fd_remove_tree(f->folder, NULL);
	g_free(f->folder);
}

static void make(Fixture *f, const char *path)
{
	g_autoptr(GError) error = NULL;
	autofd int fd = tree_make_folder(f->fd, path, ours, &error);
	g_assert_no_error(error);
	g_assert_cmpint(fd, >=, 0);
}

static ino_t inode(Fixture *f, const char *path)
{
	struct stat info;
	return fstatat(f->fd, path, &info, AT_SYMLINK_NOFOLLOW) == 0 ? info.st_ino : 0;
}

static void strip(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(tree_strip(f->fd, "work", keep, &ours, &error));
	g_assert_no_error(error);
}

static void named_folders_stay_and_all_else_goes(Fixture *f, gconstpointer data)
{
	(void)data;
	make(f, "work/_temp/deep/deeper");
	make(f, "work/digits/digits/.git/refs");
	make(f, "work/digits/other");
	make(f, "work/digits/digits/digits");
	make(f, "work/elsewhere/digits");
	g_assert_cmpint(symlinkat("/etc", f->fd, "work/digits/digits/link"), ==, 0);
	ino_t temp = inode(f, "work/_temp"), digits = inode(f, "work/digits/digits");
	strip(f);
	g_assert_cmpuint(inode(f, "work/_temp"), ==, temp);
	g_assert_cmpuint(inode(f, "work/digits/digits"), ==, digits);
	static const char *const gone[] = {"work/_temp/deep", "work/digits/digits/.git", "work/digits/other",
	        "work/digits/digits/digits", "work/elsewhere", "work/digits/digits/link"};
	for (size_t i = 0; i < G_N_ELEMENTS(gone); i++)
		g_assert_cmpuint(inode(f, gone[i]), ==, 0);
	g_assert_true(g_file_test("/etc", G_FILE_TEST_IS_DIR));
}

static void a_link_in_place_of_a_folder_goes(Fixture *f, gconstpointer data)
{
	(void)data;
	make(f, "work/digits");
	make(f, "outside/digits");
	g_assert_cmpint(symlinkat("../../outside/digits", f->fd, "work/digits/digits"), ==, 0);
	g_assert_cmpint(symlinkat("../outside", f->fd, "work/_temp"), ==, 0);
	strip(f);
	g_assert_cmpuint(inode(f, "work/digits/digits"), ==, 0);
	g_assert_cmpuint(inode(f, "work/_temp"), ==, 0);
	g_assert_cmpuint(inode(f, "outside/digits"), !=, 0);
}

static void another_mode_is_not_fresh(Fixture *f, gconstpointer data)
{
	(void)data;
	make(f, "work/_temp");
	make(f, "work/digits/digits");
	g_assert_cmpint(fchmodat(f->fd, "work/_temp", 01777, 0), ==, 0);
	g_assert_cmpint(fchmodat(f->fd, "work/digits/digits", 0, 0), ==, 0);
	strip(f);
	g_assert_cmpuint(inode(f, "work/_temp"), ==, 0);
	g_assert_cmpuint(inode(f, "work/digits/digits"), ==, 0);
	g_assert_cmpint(fchmodat(f->fd, "work", 0700, 0), ==, 0);
	strip(f);
	g_assert_cmpuint(inode(f, "work"), ==, 0);
}

static void without_an_owner_nobody_looks(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	make(f, "work/_temp/deep");
	for (int i = 0; i < 500; i++) { /* more than are read at once */
		g_autofree char *name = g_strdup_printf("work/_temp/folder-with-a-long-name-%d", i);
		make(f, name);
	}
	g_assert_cmpint(fchmodat(f->fd, "work/_temp", 01777, 0), ==, 0);
	ino_t temp = inode(f, "work/_temp");
	g_assert_true(tree_strip(f->fd, "work", keep, NULL, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(inode(f, "work/_temp"), ==, temp);
	autofd int fd = openat(f->fd, "work/_temp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(unlinkat(f->fd, "work/_temp", AT_REMOVEDIR), ==, 0); /* it is empty */
}

static void a_look_tells_what_would_go_and_removes_nothing(Fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_true(tree_is_stripped(f->fd, "work", keep)); /* it is not there */
	make(f, "work/_temp");
	make(f, "work/digits/digits");
	g_assert_true(tree_is_stripped(f->fd, "work", keep));
	static const char *const left[] = {"work/_temp/deep", "work/digits/other", "work/digits/digits/.git", "work/more"};
	for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
		make(f, left[i]);
		g_assert_false(tree_is_stripped(f->fd, "work", keep));
		g_assert_cmpint(unlinkat(f->fd, left[i], AT_REMOVEDIR), ==, 0); /* it is still there */
		g_assert_true(tree_is_stripped(f->fd, "work", keep));
	}
	g_assert_cmpint(unlinkat(f->fd, "work/_temp", AT_REMOVEDIR), ==, 0);
	g_assert_cmpint(symlinkat("digits/digits", f->fd, "work/_temp"), ==, 0);
	g_assert_false(tree_is_stripped(f->fd, "work", keep));
	g_assert_cmpuint(inode(f, "work/_temp"), !=, 0);
}

static void attributes_and_flags_are_not_fresh(Fixture *f, gconstpointer data)
{
	(void)data;
	make(f, "work/_temp");
	make(f, "work/digits/digits");
	autofd int digits = openat(f->fd, "work/digits/digits", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int temp = openat(f->fd, "work/_temp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fsetxattr(digits, "user.left", "x", 1, 0) == 0) {
		strip(f);
		g_assert_cmpuint(inode(f, "work/digits/digits"), ==, 0);
	} else {
		g_test_message("this file system keeps no user attributes: not shown");
	}
	long flags = 0;
	if (ioctl(temp, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NODUMP_FL;
		if (ioctl(temp, FS_IOC_SETFLAGS, &flags) == 0) {
			strip(f);
			g_assert_cmpuint(inode(f, "work/_temp"), ==, 0);
			return;
		}
	}
	g_test_message("this file system keeps no flags: not shown");
}

static void a_folder_that_had_many_entries_is_not_fresh(Fixture *f, gconstpointer data)
{
	(void)data;
	make(f, "work/_temp");
	struct stat info;
	for (int i = 0; i < 4000; i++) {
		char name[64];
		g_snprintf(name, sizeof name, "work/_temp/a-name-that-takes-some-room-%d", i);
		autofd int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		g_assert_cmpint(fd, >=, 0);
	}
	g_assert_cmpint(fstatat(f->fd, "work/_temp", &info, 0), ==, 0);
	strip(f);
	g_assert_true((info.st_size > 4096) == (inode(f, "work/_temp") == 0));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(function, name) g_test_add("/tree/" name, Fixture, NULL, set_up, function, tear_down)
	TEST(named_folders_stay_and_all_else_goes, "named_folders_stay_and_all_else_goes");
	TEST(a_link_in_place_of_a_folder_goes, "a_link_in_place_of_a_folder_goes");
	TEST(another_mode_is_not_fresh, "another_mode_is_not_fresh");
	TEST(without_an_owner_nobody_looks, "without_an_owner_nobody_looks");
	TEST(a_look_tells_what_would_go_and_removes_nothing, "a_look_tells_what_would_go_and_removes_nothing");
	TEST(attributes_and_flags_are_not_fresh, "attributes_and_flags_are_not_fresh");
	TEST(a_folder_that_had_many_entries_is_not_fresh, "a_folder_that_had_many_entries_is_not_fresh");
	return g_test_run();
}
