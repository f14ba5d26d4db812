/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts are part of the format: these numbers never change. */
#include "agent/objects/chunk.h"

#include <glib.h>
#include <string.h>

static uint8_t *noise(size_t len, uint64_t seed)
{
	uint8_t *bytes = g_malloc(len + 8);
	for (size_t i = 0; i < len; i += 8) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		memcpy(bytes + i, &seed, 8);
	}
	return bytes;
}

static void cuts_keep_their_bounds_and_average(void)
{
	size_t len = 64 * 1024 * 1024;
	g_autofree uint8_t *bytes = noise(len, 1);
	size_t count = 0;
	for (size_t at = 0; at < len; count++) {
		size_t cut = chunk_cut(bytes + at, len - at);
		g_assert_cmpuint(cut, <=, CHUNK_BYTES_MAX);
		g_assert_true(cut >= CHUNK_BYTES_MIN || at + cut == len);
		at += cut;
	}
	g_assert_cmpuint(len / count, >, CHUNK_BYTES_AVERAGE * 8 / 10);
	g_assert_cmpuint(len / count, <, CHUNK_BYTES_AVERAGE * 14 / 10);
}

static void the_same_bytes_are_cut_the_same(void)
{
	g_autofree uint8_t *bytes = noise(2 * CHUNK_BYTES_MAX, 1);
	g_assert_cmpuint(chunk_cut(bytes, CHUNK_BYTES_MAX), ==, chunk_cut(bytes, 2 * CHUNK_BYTES_MAX));
	g_assert_cmpuint(chunk_cut(bytes, CHUNK_BYTES_MAX), ==, 146520);
	memset(bytes, 0, CHUNK_BYTES_MAX);
	g_assert_cmpuint(chunk_cut(bytes, CHUNK_BYTES_MAX), ==, 524288);
}

static void short_pieces_are_not_cut(void)
{
	g_autofree uint8_t *bytes = noise(CHUNK_BYTES_MIN, 1);
	g_assert_cmpuint(chunk_cut(bytes, 0), ==, 0);
	g_assert_cmpuint(chunk_cut(bytes, 1), ==, 1);
	g_assert_cmpuint(chunk_cut(bytes, CHUNK_BYTES_MIN), ==, CHUNK_BYTES_MIN);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/chunk/cuts_keep_their_bounds_and_average", cuts_keep_their_bounds_and_average);
	g_test_add_func("/chunk/the_same_bytes_are_cut_the_same", the_same_bytes_are_cut_the_same);
	g_test_add_func("/chunk/short_pieces_are_not_cut", short_pieces_are_not_cut);
	return g_test_run();
}
