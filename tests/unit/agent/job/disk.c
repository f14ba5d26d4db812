/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/disk.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/fd.h"

#define KIB 1024

static char *make_tree(int *out_fd)
{
	char *root = g_dir_make_tmp("assay-disk-XXXXXX", NULL);
	*out_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root;
}

static void write_bytes(int at, const char *name, size_t len)
{
	g_autofree char *bytes = g_malloc0(len);
	autofd int fd = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	g_assert_true(fd_write_all(fd, bytes, len, name, NULL));
	g_assert_cmpint(fsync(fd), ==, 0);
}

static void test_counts_what_is_there(void)
{
	autofd int fd = -1;
	g_autofree char *root = make_tree(&fd);
	g_assert_cmpint(mkdirat(fd, "a", 0700) | mkdirat(fd, "a/b", 0700), ==, 0);
	write_bytes(fd, "one", 100 * KIB);
	write_bytes(fd, "a/b/two", 100 * KIB);
	DiskUse use = disk_measure(fd, 0, 0);
	g_assert_cmpint(use.files, ==, 4);
	g_assert_cmpint(use.bytes, >=, 200 * KIB);
	g_assert_cmpint(use.bytes, <, 300 * KIB);
	fd_remove_tree(root, NULL);
}

static void test_follows_no_link_and_counts_hard_links_once(void)
{
	autofd int fd = -1;
	g_autofree char *root = make_tree(&fd);
	g_assert_cmpint(symlinkat("/usr", fd, "link"), ==, 0);
	write_bytes(fd, "one", 400 * KIB);
	for (int i = 0; i < 9; i++) {
		g_autofree char *name = g_strdup_printf("again%d", i);
		g_assert_cmpint(linkat(fd, "one", fd, name, 0), ==, 0);
	}
	DiskUse use = disk_measure(fd, 0, 0);
	g_assert_cmpint(use.files, ==, 11);
	g_assert_cmpint(use.bytes, <, 500 * KIB);
	fd_remove_tree(root, NULL);
}

static bool measure_nothing(int folder_fd, int64_t bytes_max, int64_t files_max, DiskUse *out)
{
	(void)folder_fd;
	*out = (DiskUse){.bytes = bytes_max + 7, .files = files_max + 7};
	return true;
}

static void test_asks_another_where_a_folder_is_shut(void)
{
	autofd int fd = -1;
	g_autofree char *root = make_tree(&fd);
	disk_set_other(measure_nothing);
	write_bytes(fd, "one", 8 * KIB);
	g_assert_cmpint(disk_measure(fd, 0, 0).files, ==, 1); /* nothing is: nobody is asked */
	g_assert_cmpint(mkdirat(fd, "shut", 0), ==, 0);
	if (geteuid() != 0) /* to whom nothing is shut */
		g_assert_cmpint(disk_measure(fd, 0, 100).files, ==, 107);
	else
		g_assert_cmpint(disk_measure(fd, 0, 100).files, ==, 2);
	disk_set_other(NULL);
	g_assert_cmpint(disk_measure(fd, 0, 100).files, ==, 2);
	fd_remove_tree(root, NULL);
}

static void test_stops_at_a_limit(void)
{
	autofd int fd = -1;
	g_autofree char *root = make_tree(&fd);
	for (int i = 0; i < 50; i++) {
		g_autofree char *name = g_strdup_printf("f%d", i);
		write_bytes(fd, name, 8 * KIB);
	}
	g_assert_cmpint(disk_measure(fd, 0, 10).files, ==, 11);
	g_assert_cmpint(disk_measure(fd, 40 * KIB, 0).files, <, 20);
	fd_remove_tree(root, NULL);
}

static void test_names_the_limit_and_waits_between_looks(void)
{
	autofd int fd = -1;
	g_autofree char *root = make_tree(&fd);
	DiskWatch watch = {0};
	g_assert_null(disk_look(&watch, fd, 1024 * KIB, monotonic_us()));
	g_assert_cmpint(watch.next_us, >, monotonic_us() + DISK_LOOK_US / 20);
	write_bytes(fd, "big", 2048 * KIB);
	g_assert_null(disk_look(&watch, fd, 1024 * KIB, monotonic_us()));
	g_autofree char *why = disk_look(&watch, fd, 1024 * KIB, watch.next_us);
	g_assert_nonnull(strstr(why, "1 MiB"));
	g_assert_nonnull(strstr(why, "limits.job_disk"));
	fd_remove_tree(root, NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disk/counts_what_is_there", test_counts_what_is_there);
	g_test_add_func("/disk/follows_no_link_and_counts_hard_links_once", test_follows_no_link_and_counts_hard_links_once);
	g_test_add_func("/disk/asks_another_where_a_folder_is_shut", test_asks_another_where_a_folder_is_shut);
	g_test_add_func("/disk/stops_at_a_limit", test_stops_at_a_limit);
	g_test_add_func("/disk/names_the_limit_and_waits_between_looks", test_names_the_limit_and_waits_between_looks);
	return g_test_run();
}
