/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: one value, one encoding; anything else is refused. */
#include "agent/objects/manifest.h"

#include <string.h>

#include "agent/base/error.h"

static GByteArray *folder(const ManifestEntry *entries, size_t count)
{
	GByteArray *bytes = g_byte_array_new();
	manifest_encode(MANIFEST_FOLDER, 0, entries, count, bytes);
	return bytes;
}

static bool parses(const GByteArray *bytes)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ManifestNode) node = manifest_parse(bytes->data, bytes->len, &error);
	g_assert_true((node != NULL) == (error == NULL));
	return node != NULL;
}

static const ManifestEntry three[] = {
        {.type = MANIFEST_FILE, .name = "a", .name_len = 1, .bytes = 5, .id = {1}},
        {.type = MANIFEST_LINK, .name = "b", .name_len = 1, .link = "a", .link_len = 1},
        {.type = MANIFEST_SUBFOLDER, .name = "c", .name_len = 1, .files = 3, .bytes = 9, .id = {2}},
};

static void a_node_is_read_as_it_was_written(void)
{
	g_autoptr(GByteArray) bytes = folder(three, 3);
	g_autoptr(ManifestNode) node = manifest_parse(bytes->data, bytes->len, NULL);
	g_assert_nonnull(node);
	g_assert_cmpuint(node->count, ==, 3);
	g_assert_cmpstr(node->entries[0].name, ==, "a");
	g_assert_cmpuint(node->entries[0].bytes, ==, 5);
	g_assert_cmpstr(node->entries[1].link, ==, "a");
	g_assert_cmpuint(node->entries[2].files, ==, 3);
	g_assert_cmpmem(node->entries[2].id, HASH_BYTES, three[2].id, HASH_BYTES);
}

static void a_cut_node_is_refused_at_every_length(void)
{
	g_autoptr(GByteArray) bytes = folder(three, 3);
	for (guint len = 0; len < bytes->len; len++)
		g_assert_null(manifest_parse(bytes->data, len, NULL));
	g_byte_array_append(bytes, (const uint8_t *)"x", 1);
	g_assert_false(parses(bytes));
}

static void names_that_lead_elsewhere_are_refused(void)
{
	static const char *const bad[] = {"", ".", "..", "/", "a/b", "../x"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		ManifestEntry entry = {.type = MANIFEST_FILE, .name = bad[i], .name_len = (uint16_t)strlen(bad[i])};
		g_autoptr(GByteArray) bytes = folder(&entry, 1);
		g_assert_false(parses(bytes));
	}
	ManifestEntry nul = {.type = MANIFEST_FILE, .name = "a\0b", .name_len = 3};
	g_autoptr(GByteArray) bytes = folder(&nul, 1);
	g_assert_false(parses(bytes));
}

static void names_out_of_order_or_twice_are_refused(void)
{
	ManifestEntry twisted[] = {three[1], three[0]};
	ManifestEntry twice[] = {three[0], three[0]};
	g_autoptr(GByteArray) first = folder(twisted, 2);
	g_autoptr(GByteArray) second = folder(twice, 2);
	g_assert_false(parses(first));
	g_assert_false(parses(second));
}

static void other_versions_and_kinds_are_refused(void)
{
	static const guint places[] = {0, 1, 2, 3, 4, 6, 7, 9, 10, 11};
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autoptr(GByteArray) bytes = folder(three, 3);
		bytes->data[places[i]] ^= 0x40;
		g_assert_false(parses(bytes));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/manifest/a_node_is_read_as_it_was_written", a_node_is_read_as_it_was_written);
	g_test_add_func("/manifest/a_cut_node_is_refused_at_every_length", a_cut_node_is_refused_at_every_length);
	g_test_add_func("/manifest/names_that_lead_elsewhere_are_refused", names_that_lead_elsewhere_are_refused);
	g_test_add_func("/manifest/names_out_of_order_or_twice_are_refused", names_out_of_order_or_twice_are_refused);
	g_test_add_func("/manifest/other_versions_and_kinds_are_refused", other_versions_and_kinds_are_refused);
	return g_test_run();
}
