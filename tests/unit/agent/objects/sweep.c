/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep removes what no one names, later; and never what someone names, whoever writes meanwhile. */
#include "agent/objects/sweep.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"

#define HOUR INT64_C(3600000000)
/* A snapshot of this much is one pack. What two threads wrote joins only while it is in memory (1 MiB each). */
#define ONE_PACK 800000

typedef struct Place {
	char *root;
	int fd;
	Objects *objects;
	int64_t now_us;
	GPtrArray *live; /* digests */
} Place;

static Objects *open_store(const Place *place)
{
	g_autofree char *folder = g_build_filename(place->root, "store", NULL);
	Objects *objects = objects_open(folder, NULL);
	g_assert_nonnull(objects);
	return objects;
}

static void set_up(Place *place, G_GNUC_UNUSED const void *data)
{
	place->root = g_dir_make_tmp("assay-sweep-XXXXXX", NULL);
	place->fd = open(place->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place->objects = open_store(place);
	place->live = g_ptr_array_new_with_free_func(g_free);
	place->now_us = g_get_real_time() + 24 * HOUR; /* so nothing is young */
}

static void tear_down(Place *place, G_GNUC_UNUSED const void *data)
{
	objects_close(place->objects);
	close(place->fd);
	g_ptr_array_unref(place->live);
	g_assert_true(fd_remove_tree(place->root, NULL));
	g_free(place->root);
}

static void write_noise(const Place *place, const char *path, size_t len, uint64_t seed)
{
	g_autofree uint8_t *bytes = g_malloc(len + 8);
	for (size_t i = 0; i < len; i += 8) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		memcpy(bytes + i, &seed, 8);
	}
	g_autofree char *full = g_build_filename(place->root, path, NULL);
	g_autofree char *folder = g_path_get_dirname(full);
	g_assert_true(fd_make_folder(folder, 0755, NULL));
	g_assert_true(fd_replace_file(full, bytes, len, 0644, false, NULL));
}

static ObjectsTree snapshot(Objects *objects, const Place *place, const char *path)
{
	g_autoptr(GError) error = NULL;
	ObjectsTree tree;
	objects_snapshot(objects, place->fd, path, &tree, &error);
	g_assert_no_error(error);
	return tree;
}

static bool live(SweepKeep keep, void *keeper, void *data, GError **error)
{
	const Place *place = data;
	for (guint i = 0; i < place->live->len; i++)
		if (!keep(place->live->pdata[i], keeper, error))
			return false;
	return true;
}

static SweepResult sweep(Place *place)
{
	g_autoptr(GError) error = NULL;
	SweepResult result;
	objects_sweep(place->objects, place->now_us, HOUR, live, place, &result, &error);
	g_assert_no_error(error);
	return result;
}

/* The tree is whole: it can be read back by somebody who has just come. */
static void assert_whole(const Place *place, const char *digest)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Objects) other = open_store(place);
	objects_restore(other, digest, place->fd, "back", true, &error);
	g_assert_no_error(error);
	g_assert_true(objects_verify(other, true, NULL, &error));
	g_assert_no_error(error);
}

static void what_no_one_names_goes_after_the_grace(Place *place, G_GNUC_UNUSED const void *data)
{
	write_noise(place, "kept/a", ONE_PACK, 1);
	write_noise(place, "dead/b", ONE_PACK, 2);
	ObjectsTree kept = snapshot(place->objects, place, "kept");
	ObjectsTree dead = snapshot(place->objects, place, "dead");
	g_ptr_array_add(place->live, g_strdup(kept.digest));
	SweepResult first = sweep(place);
	g_assert_cmpint(first.condemned, ==, 1);
	g_assert_cmpint(first.removed, ==, 0);
	g_assert_cmpint(first.missing, ==, 0);
	place->now_us += HOUR / 2;
	g_assert_cmpint(sweep(place).removed, ==, 0);
	place->now_us += HOUR;
	SweepResult last = sweep(place);
	g_assert_cmpint(last.removed, ==, 1);
	g_assert_cmpint(last.removed_bytes, >=, ONE_PACK);
	assert_whole(place, kept.digest);
	g_autoptr(GError) error = NULL;
	g_assert_false(objects_restore(place->objects, dead.digest, place->fd, "gone", false, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_ABSENT);
}

static void a_young_pack_is_left_alone(Place *place, G_GNUC_UNUSED const void *data)
{
	write_noise(place, "new/a", 100000, 1);
	place->now_us = g_get_real_time();
	snapshot(place->objects, place, "new");
	SweepResult result = sweep(place);
	g_assert_cmpint(result.condemned, ==, 0);
}

static void a_digest_that_comes_late_takes_its_pack_off_the_list(Place *place, G_GNUC_UNUSED const void *data)
{
	write_noise(place, "tree/a", ONE_PACK, 1);
	ObjectsTree tree = snapshot(place->objects, place, "tree");
	g_assert_cmpint(sweep(place).condemned, ==, 1);
	g_ptr_array_add(place->live, g_strdup(tree.digest));
	place->now_us += 2 * HOUR;
	SweepResult result = sweep(place);
	g_assert_cmpint(result.removed, ==, 0);
	g_assert_cmpint(result.condemned, ==, 0);
	assert_whole(place, tree.digest);
	g_assert_cmpint(snapshot(place->objects, place, "tree").new_bytes, ==, 0);
}

static void a_snapshot_never_relies_on_a_condemned_pack(Place *place, G_GNUC_UNUSED const void *data)
{
	write_noise(place, "tree/large", 20000000, 1); /* so that the stat cache knows it */
	for (int i = 0; i < 100; i++) {
		g_autofree char *path = g_strdup_printf("tree/%d", i);
		write_noise(place, path, 1000, (uint64_t)i + 2);
	}
	g_usleep(60000);
	ObjectsTree before = snapshot(place->objects, place, "tree");
	sweep(place);
	g_autoptr(Objects) other = open_store(place);
	ObjectsTree after = snapshot(other, place, "tree");
	g_assert_cmpstr(before.digest, ==, after.digest);
	g_assert_cmpint(after.new_bytes, >=, 20000000);
	g_assert_cmpint(snapshot(other, place, "tree").new_bytes, ==, 0);
	/* The digest is written down too late for this sweep, which removes the old pack; the new one is there. */
	place->now_us += 2 * HOUR;
	sweep(place);
	assert_whole(place, after.digest);
}

static void packs_that_are_mostly_dead_are_rewritten(Place *place, G_GNUC_UNUSED const void *data)
{
	write_noise(place, "tree/keep", ONE_PACK / 8, 1);
	write_noise(place, "tree/drop", ONE_PACK / 8 * 7, 2);
	snapshot(place->objects, place, "tree");
	g_assert_cmpint(unlinkat(place->fd, "tree/drop", 0), ==, 0);
	ObjectsTree small = snapshot(place->objects, place, "tree");
	g_ptr_array_add(place->live, g_strdup(small.digest));
	SweepResult first = sweep(place);
	g_assert_cmpint(first.rewritten, ==, 1);
	g_assert_cmpint(first.condemned, ==, 1);
	assert_whole(place, small.digest);
	place->now_us += 2 * HOUR;
	SweepResult second = sweep(place);
	g_assert_cmpint(second.removed, ==, 1);
	g_assert_cmpint(second.rewritten, ==, 0);
	g_assert_cmpint(second.removed_bytes, >=, ONE_PACK);
	assert_whole(place, small.digest);
}

static void many_small_packs_become_one(Place *place, G_GNUC_UNUSED const void *data)
{
	for (int i = 0; i < 20; i++) {
		char digest[65];
		g_assert_true(objects_put(place->objects, &i, sizeof i, digest, NULL));
		g_ptr_array_add(place->live, g_strdup(digest));
	}
	g_autoptr(Objects) other = open_store(place);
	g_assert_cmpint(sweep(place).rewritten, ==, 20);
	place->now_us += 2 * HOUR;
	g_assert_cmpint(sweep(place).removed, ==, 20);
	g_autoptr(json_t) report = NULL;
	g_assert_true(objects_verify(place->objects, true, &report, NULL));
	g_assert_cmpint(json_get_int(report, "packs", 0), ==, 1);
	for (int i = 0; i < 20; i++) { /* a handle from before finds them where they are now */
		g_autoptr(GBytes) bytes = objects_get(other, place->live->pdata[i], 100, NULL);
		g_assert_nonnull(bytes);
	}
}

static bool fail_to_tell(G_GNUC_UNUSED SweepKeep keep, G_GNUC_UNUSED void *keeper, G_GNUC_UNUSED void *data,
        GError **error)
{
	return fail(error, ASSAY_ERROR_SYSTEM, "the database is away");
}

static void a_caller_that_fails_stops_the_sweep(Place *place, G_GNUC_UNUSED const void *data)
{
	write_noise(place, "tree/a", 100000, 1);
	snapshot(place->objects, place, "tree");
	SweepResult result;
	g_autoptr(GError) error = NULL;
	g_assert_false(objects_sweep(place->objects, place->now_us, HOUR, fail_to_tell, NULL, &result, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_SYSTEM);
	g_assert_cmpint(snapshot(place->objects, place, "tree").new_bytes, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add("/sweep/" #name, Place, NULL, set_up, name, tear_down)
	TEST(what_no_one_names_goes_after_the_grace);
	TEST(a_young_pack_is_left_alone);
	TEST(a_digest_that_comes_late_takes_its_pack_off_the_list);
	TEST(a_snapshot_never_relies_on_a_condemned_pack);
	TEST(packs_that_are_mostly_dead_are_rewritten);
	TEST(many_small_packs_become_one);
	TEST(a_caller_that_fails_stops_the_sweep);
	return g_test_run();
}
