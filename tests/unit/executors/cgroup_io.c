/* SPDX-License-Identifier: Apache-2.0 */
/* Which disk a file system's device is on, by a folder made as the kernel makes /sys/dev/block; and the order for io.max. */
#include "executors/cgroup_io.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/base/fd.h"

static void put(const char *base, const char *file, const char *text)
{
	g_autofree char *path = g_build_filename(base, file, NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void lead(const char *base, const char *name, const char *target)
{
	g_autofree char *path = g_build_filename(base, "dev/block", name, NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_cmpint(symlink(target, path), ==, 0);
}

static void a_part_leads_to_its_disk(void)
{
	g_autofree char *base = g_dir_make_tmp("assay-io-XXXXXX", NULL);
	g_autofree char *blocks = g_build_filename(base, "dev/block", NULL);
	put(base, "devices/pci/vda/dev", "254:0\n");
	put(base, "devices/pci/vda/vda3/dev", "254:3\n");
	put(base, "devices/pci/vda/vda3/partition", "3\n");
	put(base, "devices/virtual/dm-1/dev", "253:1\n");
	lead(base, "254:0", "../../devices/pci/vda");
	lead(base, "254:3", "../../devices/pci/vda/vda3");
	lead(base, "253:1", "../../devices/virtual/dm-1");
	const struct {
		dev_t device;
		const char *disk;
	} rows[] = {{makedev(254, 3), "254:0"}, {makedev(254, 0), "254:0"}, {makedev(253, 1), "253:1"}, {makedev(0, 41), NULL},
	        {makedev(254, 4), NULL}};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *disk = cgroup_io_disk(blocks, rows[i].device);
		g_assert_cmpstr(disk, ==, rows[i].disk);
	}
	fd_remove_tree(base, NULL);
}

/* A file system in memory has no disk: not a limit in name. */
static void without_a_disk_there_is_a_reason(void)
{
	struct stat info;
	const char *why = NULL;
	if (stat("/proc", &info) < 0 || major(info.st_dev) != 0) {
		g_test_skip("there is no /proc");
		return;
	}
	g_autofree char *group = g_dir_make_tmp("assay-io-XXXXXX", NULL);
	put(group, "io.max", "");
	g_assert_false(cgroup_io_limit(group, "/proc", 1 << 20, 1 << 20, &why));
	g_assert_nonnull(why);
	g_autofree char *path = g_build_filename(group, "io.max", NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "");
	fd_remove_tree(group, NULL);
}

static void the_order_names_what_is_limited(void)
{
	struct stat info;
	const char *why = NULL;
	g_autofree char *folder = g_dir_make_tmp("assay-io-XXXXXX", NULL);
	g_autofree char *disk = stat(folder, &info) == 0 ? cgroup_io_disk("/sys/dev/block", info.st_dev) : NULL;
	if (!disk) {
		g_test_skip("this machine's folder of temporary files is on no disk");
		fd_remove_tree(folder, NULL);
		return;
	}
	put(folder, "io.max", "");
	g_assert_true(cgroup_io_limit(folder, folder, 0, 3 << 20, &why));
	g_autofree char *path = g_build_filename(folder, "io.max", NULL);
	g_autofree char *text = NULL;
	g_autofree char *wanted = g_strdup_printf("%s wbps=3145728", disk);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, wanted);
	fd_remove_tree(folder, NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cgroup_io/a_part_leads_to_its_disk", a_part_leads_to_its_disk);
	g_test_add_func("/cgroup_io/without_a_disk_there_is_a_reason", without_a_disk_there_is_a_reason);
	g_test_add_func("/cgroup_io/the_order_names_what_is_limited", the_order_names_what_is_limited);
	return g_test_run();
}
