/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of a machine that does not exist, in a folder. */
#include "agent/job/energy.h"

#include <glib.h>
#include <glib/gstdio.h>

#include "tests/lib/store.h"

static void put(const char *folder, int package, const char *file, const char *text)
{
	g_autofree char *zone = g_strdup_printf("%s/intel-rapl:%d", folder, package);
	g_autofree char *path = g_build_filename(zone, file, NULL);
	g_mkdir_with_parents(zone, 0700);
	/* In place: the counter's file is open. */
	FILE *to = fopen(path, "w");
	g_assert_nonnull(to);
	g_assert_cmpint(fputs(text, to), >=, 0);
	g_assert_cmpint(fclose(to), ==, 0);
}

static void packages_are_added_up(void)
{
	char *folder = test_folder();
	put(folder, 0, "energy_uj", "1000\n");
	put(folder, 0, "max_energy_range_uj", "5000\n");
	put(folder, 1, "energy_uj", "4900\n");
	put(folder, 1, "max_energy_range_uj", "5000\n");
	Energy *energy = energy_open(folder);
	g_assert_nonnull(energy);
	EnergyMark mark;
	energy_mark(energy, &mark);
	g_assert_cmpint(energy_since(energy, &mark), ==, 0);
	put(folder, 0, "energy_uj", "1700\n");
	put(folder, 1, "energy_uj", "50\n"); /* it has started again */
	g_assert_cmpint(energy_since(energy, &mark), ==, 700 + 150);
	put(folder, 1, "energy_uj", "");
	g_assert_cmpint(energy_since(energy, &mark), ==, -1);
	energy_close(energy);
	test_folder_remove(folder);
}

static void what_cannot_be_read_is_unknown(void)
{
	char *folder = test_folder();
	g_assert_null(energy_open(folder));
	EnergyMark mark;
	energy_mark(NULL, &mark);
	g_assert_cmpint(energy_since(NULL, &mark), ==, -1);
	put(folder, 0, "energy_uj", "4000");
	Energy *energy = energy_open(folder);
	energy_mark(energy, &mark);
	put(folder, 0, "energy_uj", "10");
	g_assert_cmpint(energy_since(energy, &mark), ==, -1); /* nobody says where it starts again */
	energy_close(energy);
	energy_close(NULL);
	test_folder_remove(folder);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/energy/packages_are_added_up", packages_are_added_up);
	g_test_add_func("/energy/what_cannot_be_read_is_unknown", what_cannot_be_read_is_unknown);
	return g_test_run();
}
