/* SPDX-License-Identifier: Apache-2.0 */
/* A node of a tree: what is accepted has exactly one encoding, and no name leads anywhere. */
#include <stddef.h>
#include <string.h>

#include "agent/objects/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(ManifestNode) node = manifest_parse(data, size, NULL);
	if (!node)
		return 0;
	for (uint32_t i = 0; i < node->count; i++) {
		const ManifestEntry *entry = &node->entries[i];
		g_assert(!entry->name || (strlen(entry->name) == entry->name_len && !strchr(entry->name, '/')));
		g_assert(!entry->link || strlen(entry->link) == entry->link_len);
	}
	g_autoptr(GByteArray) again = g_byte_array_new();
	manifest_encode(node->kind, node->level, node->entries, node->count, again);
	g_assert(again->len == size && memcmp(again->data, data, size) == 0);
	return 0;
}
