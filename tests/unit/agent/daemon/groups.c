/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written where, on a tree of plain files that looks like version 2. That a kernel takes it is shown in the guest
 * (tests/guest/groups.sh). The group is ours by its owner, so as root these cases become an ordinary user.
 */
#include "agent/daemon/groups.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/store.h"

#define PID 4711

static void put(const char *base, const char *file, const char *text)
{
	g_autofree char *path = g_build_filename(base, file, NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_holds(const char *base, const char *file, const char *want)
{
	g_autofree char *path = g_build_filename(base, file, NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, want);
}

/* A group of a unit, with one process and a leaf that has files as the kernel would make them. */
static void make_unit(const char *base, const char *procs)
{
	put(base, "cgroup.procs", procs);
	put(base, "cgroup.controllers", "cpuset cpu io memory pids\n");
	put(base, "cgroup.subtree_control", "");
	put(base, "agent/cgroup.procs", "");
}

static void it_moves_and_hands_down(void)
{
	char *base = test_folder();
	const char *why = NULL;
	make_unit(base, "4711\n");
	g_autofree char *down = groups_enter(base, PID, NULL, &why);
	g_assert_cmpstr(down, ==, "memory pids cpu io");
	assert_holds(base, "agent/cgroup.procs", "0");
	assert_holds(base, "cgroup.subtree_control", "+iousry"); /* "+memory", "+pids", "+cpu", "+io", each over the last: a plain file */
	test_folder_remove(base);
}

static void it_stays_where_others_are(void)
{
	char *base = test_folder();
	const char *why = NULL;
	make_unit(base, "17\n4711\n");
	g_assert_null(groups_enter(base, PID, NULL, &why));
	g_assert_cmpstr(why, ==, "other processes are in the agent's group");
	assert_holds(base, "agent/cgroup.procs", "");
	assert_holds(base, "cgroup.subtree_control", "");
	test_folder_remove(base);
}

static void a_leaf_is_not_left(void)
{
	char *base = test_folder();
	const char *why = NULL;
	make_unit(base, "");
	put(base, "cgroup.controllers", "memory\n");
	g_autofree char *leaf = g_build_filename(base, GROUPS_LEAF, NULL);
	g_autofree char *down = groups_enter(leaf, PID, NULL, &why);
	g_assert_cmpstr(down, ==, "memory");
	assert_holds(base, "cgroup.subtree_control", "+memory");
	assert_holds(base, "agent/cgroup.procs", "");
	put(base, "cgroup.controllers", "\n");
	g_assert_null(groups_enter(leaf, PID, NULL, &why));
	g_assert_nonnull(strstr(why, "Delegate="));
	test_folder_remove(base);
}

static void limits_survive_a_restart(void)
{
	char *base = test_folder();
	const char *why = NULL;
	g_autofree char *kept = g_build_filename(base, "kept", NULL);
	g_autofree char *control = g_build_filename(base, ".control", NULL);
	make_unit(base, "4711\n");
	put(base, "cgroup.subtree_control", "memory pids\n");
	g_assert_true(groups_make_way(control, kept)); /* its manager put it into the leaf: nothing to do */
	assert_holds(base, "cgroup.subtree_control", "memory pids\n");
	g_autofree char *first = groups_enter(base, PID, kept, &why);
	g_assert_nonnull(first);
	assert_holds(base, "kept", "");
	put(base, "cgroup.subtree_control", "memory pids\n");
	put(base, "assay-12-0/memory.max", "536870912\n");
	put(base, "assay-12-0/memory.swap.max", "0\n");
	put(base, "assay-12-0/pids.max", "max\n");
	put(base, "assay-12-0/cpu.max", "50000 100000\n");
	put(base, "assay-12-0/io.max", "254:0 rbps=max wbps=1048576 riops=max wiops=max\n");
	put(base, "other/memory.max", "1\n");
	g_assert_true(groups_make_way(control, kept));
	put(base, "assay-12-0/memory.max", "max\n");
	put(base, "assay-12-0/cpu.max", "max 100000\n");
	put(base, "assay-12-0/io.max", "\n");
	put(base, "other/memory.max", "max\n");
	g_autofree char *down = groups_enter(base, PID, kept, &why);
	g_assert_nonnull(down);
	g_autofree char *memory = NULL, *path = g_build_filename(base, "assay-12-0/memory.max", NULL);
	g_assert_true(g_file_get_contents(path, &memory, NULL, NULL));
	g_assert_true(g_str_has_prefix(memory, "536870912"));
	assert_holds(base, "assay-12-0/io.max", "254:0 rbps=max wbps=1048576 riops=max wiops=max");
	assert_holds(base, "assay-12-0/pids.max", "max\n");
	assert_holds(base, "other/memory.max", "max\n");
	assert_holds(base, "kept", ""); /* once */
	g_autofree char *leaf = g_build_filename(base, GROUPS_LEAF, NULL);
	g_autofree char *placed = groups_enter(leaf, PID, kept, &why);
	g_assert_nonnull(placed);
	g_assert_false(g_file_test(kept, G_FILE_TEST_EXISTS));
	test_folder_remove(base);
}

static void what_is_kept_is_not_believed(void)
{
	char *base = test_folder();
	const char *why = NULL;
	make_unit(base, "4711\n");
	put(base, "victim/memory.max", "max");
	put(base, "assay-1-0/cgroup.procs", "");
	put(base, "kept", "assay-1-0/../victim memory.max 1\nvictim memory.max 1\nassay-1-0 cgroup.procs 1\nassay-1-0\n\n");
	g_autofree char *kept = g_build_filename(base, "kept", NULL);
	g_autofree char *down = groups_enter(base, PID, kept, &why);
	assert_holds(base, "victim/memory.max", "max");
	assert_holds(base, "assay-1-0/cgroup.procs", "");
	test_folder_remove(base);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 77;
	prctl(PR_SET_DUMPABLE, 1); /* LeakSanitizer looks at us by ptrace */
	g_test_add_func("/groups/it_moves_and_hands_down", it_moves_and_hands_down);
	g_test_add_func("/groups/it_stays_where_others_are", it_stays_where_others_are);
	g_test_add_func("/groups/a_leaf_is_not_left", a_leaf_is_not_left);
	g_test_add_func("/groups/limits_survive_a_restart", limits_survive_a_restart);
	g_test_add_func("/groups/what_is_kept_is_not_believed", what_is_kept_is_not_believed);
	return g_test_run();
}
