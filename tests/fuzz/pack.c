/* SPDX-License-Identifier: Apache-2.0 */
/* A pack as a stranger might leave it: header, footer and every chunk, as verify reads them. */
#include <stddef.h>
#include <string.h>

#include "agent/objects/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* With the footer's hash put right, so that the entries behind it are reached. */
static void read_pack(const uint8_t *data, size_t size)
{
	uint8_t trailer[PACK_TRAILER_BYTES];
	uint32_t count;
	uint64_t offset;
	memcpy(trailer, data + size - PACK_TRAILER_BYTES, PACK_TRAILER_BYTES);
	pack_parse_header(data, NULL);
	if (!pack_parse_trailer(trailer, size, &count, &offset, NULL))
		return;
	uint8_t hash[HASH_BYTES];
	g_autoptr(Hash) ends = hash_new();
	hash_update(ends, data, PACK_HEADER_BYTES);
	hash_update(ends, data + offset, (size_t)count * PACK_ENTRY_BYTES);
	hash_final(ends, hash);
	memcpy(trailer + 8, hash, 8);
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(PackEntry));
	if (!pack_parse_entries(data + offset, count, data, trailer, size, NULL, entries, NULL))
		return;
	for (guint i = 0; i < entries->len; i++) {
		const PackEntry *entry = &g_array_index(entries, PackEntry, i);
		g_assert((uint64_t)entry->offset + entry->stored <= offset);
		if (entry->raw > 1024 * 1024)
			continue;
		g_autofree uint8_t *stored = g_memdup2(data + entry->offset, entry->stored);
		g_autofree uint8_t *raw = g_malloc(entry->raw);
		pack_decode(entry, stored, raw, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= PACK_HEADER_BYTES + PACK_TRAILER_BYTES)
		read_pack(data, size);
	return 0;
}
