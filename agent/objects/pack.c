/* SPDX-License-Identifier: Apache-2.0 */
/* The reading half of packs, and the codec. */
#include "agent/objects/pack.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "agent/base/error.h"
#include "agent/objects/bytes.h"

static const uint8_t header_magic[8] = {'A', 'S', 'S', 'A', 'Y', 'P', 'A', 'K'};
#define TRAILER_MAGIC UINT32_C(0x4b415041) /* "APAK" */

void pack_write_header(uint8_t header[PACK_HEADER_BYTES])
{
	memcpy(header, header_magic, sizeof header_magic);
	header[8] = PACK_VERSION;
	header[9] = PACK_SHA256;
	random_bytes(header + 10, PACK_HEADER_BYTES - 10);
}

bool pack_parse_header(const uint8_t *header, GError **error)
{
	if (memcmp(header, header_magic, sizeof header_magic) != 0)
		return fail(error, ASSAY_ERROR_SYSTEM, "not a pack: it begins with other bytes");
	if (header[8] != PACK_VERSION || header[9] != PACK_SHA256)
		return fail(error, ASSAY_ERROR_SYSTEM,
		        "a pack of version %d with algorithm %d, which this program does not know", header[8],
		        header[9]);
	return true;
}

static void hash_ends(const uint8_t *header, const uint8_t *entries, uint32_t count, uint8_t out[HASH_BYTES])
{
	g_autoptr(Hash) hash = hash_new();
	hash_update(hash, header, PACK_HEADER_BYTES);
	hash_update(hash, entries, (size_t)count * PACK_ENTRY_BYTES);
	hash_final(hash, out);
}

void pack_write_trailer(const uint8_t *header, const uint8_t *entries, uint32_t count,
        uint8_t trailer[PACK_TRAILER_BYTES], uint8_t hash[HASH_BYTES])
{
	hash_ends(header, entries, count, hash);
	put32(trailer, TRAILER_MAGIC);
	put32(trailer + 4, count);
	memcpy(trailer + 8, hash, 8);
}

bool pack_parse_trailer(const uint8_t *trailer, uint64_t file_bytes, uint32_t *out_count, uint64_t *out_offset,
        GError **error)
{
	if (get32(trailer) != TRAILER_MAGIC)
		return fail(error, ASSAY_ERROR_SYSTEM, "the pack has no trailer: it was cut off");
	uint32_t count = get32(trailer + 4);
	if (count == 0 || count > PACK_CHUNKS_MAX || file_bytes > PACK_BYTES_MAX)
		return fail(error, ASSAY_ERROR_SYSTEM, "the pack's trailer tells of impossible sizes");
	uint64_t behind = (uint64_t)count * PACK_ENTRY_BYTES + PACK_TRAILER_BYTES;
	if (file_bytes < PACK_HEADER_BYTES + behind)
		return fail(error, ASSAY_ERROR_SYSTEM, "the pack is shorter than its footer");
	*out_count = count;
	*out_offset = file_bytes - behind;
	return true;
}

void pack_write_entry(const PackEntry *entry, uint8_t *to)
{
	memcpy(to, entry->id, HASH_BYTES);
	put32(to + 32, entry->offset);
	put32(to + 36, entry->stored);
	put32(to + 40, entry->raw);
	to[44] = entry->codec;
	to[45] = entry->kind;
	to[46] = to[47] = 0;
}

bool pack_parse_entries(const uint8_t *bytes, uint32_t count, const uint8_t *header, const uint8_t *trailer,
        uint64_t file_bytes, const char *name, GArray *out, GError **error)
{
	uint8_t hash[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_ends(header, bytes, count, hash);
	hex_write(hash, HASH_BYTES, hex);
	if (memcmp(hash, trailer + 8, 8) != 0 || (name && strncmp(name, hex, HASH_HEX_BYTES - 1) != 0))
		return fail(error, ASSAY_ERROR_SYSTEM, "the pack's header or footer is damaged");
	uint64_t at = PACK_HEADER_BYTES;
	guint before = out->len;
	for (uint32_t i = 0; i < count; i++, bytes += PACK_ENTRY_BYTES) {
		PackEntry entry = {
		        .offset = get32(bytes + 32),
		        .stored = get32(bytes + 36),
		        .raw = get32(bytes + 40),
		        .codec = bytes[44],
		        .kind = bytes[45],
		};
		memcpy(entry.id, bytes, HASH_BYTES);
		bool fits = entry.offset == at && entry.raw > 0 && entry.raw <= PACK_CHUNK_BYTES_MAX &&
		            entry.codec <= PACK_ZSTD && entry.kind <= PACK_NODE && !bytes[46] && !bytes[47] &&
		            (entry.codec == PACK_PLAIN ? entry.stored == entry.raw
		                                       : entry.stored > 0 && entry.stored < entry.raw);
		if (!fits) {
			g_array_set_size(out, before);
			return fail(error, ASSAY_ERROR_SYSTEM, "the pack's entry %u is impossible", i);
		}
		at += entry.stored;
		g_array_append_val(out, entry);
	}
	if (at + (uint64_t)count * PACK_ENTRY_BYTES + PACK_TRAILER_BYTES == file_bytes)
		return true;
	g_array_set_size(out, before);
	return fail(error, ASSAY_ERROR_SYSTEM, "the pack's chunks do not reach to its footer");
}

bool pack_read_at(int fd, void *to, size_t len, uint64_t offset, GError **error)
{
	uint8_t *at = to;
	while (len > 0) {
		ssize_t got = pread(fd, at, len, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(error, errno, "cannot read the pack");
		if (got == 0)
			return fail(error, ASSAY_ERROR_SYSTEM, "the pack ends too early");
		at += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return true;
}

bool pack_read_entries(int fd, const char *name, GArray *out, uint64_t *out_bytes, GError **error)
{
	struct stat info;
	if (fstat(fd, &info) < 0)
		return fail_errno(error, errno, "cannot read the pack");
	uint64_t file_bytes = (uint64_t)info.st_size;
	if (file_bytes < PACK_HEADER_BYTES + PACK_TRAILER_BYTES)
		return fail(error, ASSAY_ERROR_SYSTEM, "the pack is shorter than its header");
	uint8_t header[PACK_HEADER_BYTES];
	uint8_t trailer[PACK_TRAILER_BYTES];
	uint32_t count;
	uint64_t offset;
	if (!pack_read_at(fd, header, sizeof header, 0, error) || !pack_parse_header(header, error) ||
	        !pack_read_at(fd, trailer, sizeof trailer, file_bytes - sizeof trailer, error) ||
	        !pack_parse_trailer(trailer, file_bytes, &count, &offset, error))
		return false;
	g_autofree uint8_t *entries = g_malloc((size_t)count * PACK_ENTRY_BYTES);
	if (!pack_read_at(fd, entries, (size_t)count * PACK_ENTRY_BYTES, offset, error) ||
	        !pack_parse_entries(entries, count, header, trailer, file_bytes, name, out, error))
		return false;
	*out_bytes = file_bytes;
	return true;
}

bool pack_is_name(const char *name)
{
	size_t hex = HASH_HEX_BYTES - 1;
	if (strlen(name) != hex + 5 || strcmp(name + hex, ".pack") != 0)
		return false;
	for (size_t i = 0; i < hex; i++)
		if (!g_ascii_isdigit(name[i]) && !(name[i] >= 'a' && name[i] <= 'f'))
			return false;
	return true;
}

bool pack_decode(const PackEntry *entry, const uint8_t *stored, uint8_t *raw, GError **error)
{
	if (entry->codec == PACK_PLAIN) {
		memcpy(raw, stored, entry->raw);
	} else {
		size_t got = ZSTD_decompress(raw, entry->raw, stored, entry->stored);
		if (ZSTD_isError(got) || got != entry->raw)
			return fail(error, ASSAY_ERROR_SYSTEM, "a chunk does not decompress: it is damaged");
	}
	uint8_t id[HASH_BYTES];
	hash_bytes(raw, entry->raw, id);
	if (memcmp(id, entry->id, HASH_BYTES) != 0)
		return fail(error, ASSAY_ERROR_SYSTEM, "a chunk has another hash than its name: it is damaged");
	return true;
}
