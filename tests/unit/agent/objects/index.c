/* SPDX-License-Identifier: Apache-2.0 */
/* The index finds what is in it and nothing else, in memory and in its file. */
#include "agent/objects/index.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/fd.h"

#define COUNT 5000

static IndexPlace place_of(uint32_t i)
{
	IndexPlace place = {.pack = i % 3, .entry = {.offset = 16 + i, .stored = i + 1, .raw = i + 1}};
	hash_bytes(&i, sizeof i, place.entry.id);
	return place;
}

static void a_table_finds_what_was_put(void)
{
	g_autoptr(IndexTable) table = index_table_new();
	for (uint32_t i = 0; i < COUNT; i++) {
		IndexPlace place = place_of(i);
		g_assert_null(index_table_get(table, place.entry.id));
		index_table_put(table, &place);
		index_table_put(table, &place);
	}
	g_assert_cmpuint(index_table_count(table), ==, COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		IndexPlace place = place_of(i);
		g_assert_cmpuint(index_table_get(table, place.entry.id)->entry.raw, ==, i + 1);
	}
}

static void a_file_finds_what_was_written(void)
{
	g_autofree char *root = g_dir_make_tmp("assay-index-XXXXXX", NULL);
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (uint32_t count = 0; count <= COUNT; count = count * 3 + 1) {
		g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(IndexPlace));
		for (uint32_t i = 0; i < count; i++) {
			IndexPlace place = place_of(i);
			g_array_append_val(places, place);
		}
		g_array_sort(places, index_place_compare);
		uint8_t packs[3 * HASH_BYTES] = {7};
		g_assert_true(index_file_write(fd, "index", packs, 3, (const IndexPlace *)(const void *)places->data,
		        count, NULL));
		g_autoptr(IndexFile) file = index_file_open(fd, "index");
		g_assert_nonnull(file);
		g_assert_cmpuint(index_file_count(file), ==, count);
		g_assert_cmpuint(index_file_packs(file), ==, 3);
		for (uint32_t i = 0; i < COUNT; i++) {
			IndexPlace wanted = place_of(i);
			IndexPlace found;
			g_assert_cmpint(index_file_get(file, wanted.entry.id, &found), ==, i < count);
			g_assert_true(i >= count || (found.pack == i % 3 && found.entry.offset == 16 + i));
		}
	}
	close(fd);
	g_assert_true(fd_remove_tree(root, NULL));
}

static void a_damaged_file_is_no_index(void)
{
	g_autofree char *root = g_dir_make_tmp("assay-index-XXXXXX", NULL);
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_null(index_file_open(fd, "index"));
	uint8_t packs[HASH_BYTES] = {0};
	IndexPlace place = place_of(0);
	g_assert_true(index_file_write(fd, "index", packs, 1, &place, 1, NULL));
	g_autofree char *path = g_build_filename(root, "index", NULL);
	g_assert_cmpint(truncate(path, 100), ==, 0);
	g_assert_null(index_file_open(fd, "index"));
	g_assert_cmpint(truncate(path, 0), ==, 0);
	g_assert_null(index_file_open(fd, "index"));
	close(fd);
	g_assert_true(fd_remove_tree(root, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/index/a_table_finds_what_was_put", a_table_finds_what_was_put);
	g_test_add_func("/index/a_file_finds_what_was_written", a_file_finds_what_was_written);
	g_test_add_func("/index/a_damaged_file_is_no_index", a_damaged_file_is_no_index);
	return g_test_run();
}
