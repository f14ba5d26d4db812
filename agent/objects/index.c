/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table probes linearly: ids are hashes already, so their first bytes are the place to begin. The file is searched
 * by interpolation for the same reason: a guess lands within about the square root of the count.
 */
#include "agent/objects/index.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/objects/bytes.h"

struct IndexTable {
	IndexPlace *slots; /* entry.raw is 0 in an empty one */
	size_t mask;
	size_t count;
};

IndexTable *index_table_new(void)
{
	IndexTable *table = g_new0(IndexTable, 1);
	table->mask = 255;
	table->slots = g_new0(IndexPlace, table->mask + 1);
	return table;
}

void index_table_free(IndexTable *table)
{
	if (!table)
		return;
	g_free(table->slots);
	g_free(table);
}

static IndexPlace *slot_of(const IndexTable *table, const uint8_t *id)
{
	size_t at = (size_t)get64(id) & table->mask;
	while (table->slots[at].entry.raw && memcmp(table->slots[at].entry.id, id, HASH_BYTES) != 0)
		at = (at + 1) & table->mask;
	return &table->slots[at];
}

IndexPlace *index_table_get(const IndexTable *table, const uint8_t id[HASH_BYTES])
{
	IndexPlace *slot = slot_of(table, id);
	return slot->entry.raw ? slot : NULL;
}

static void grow(IndexTable *table)
{
	IndexPlace *old = table->slots;
	size_t old_count = table->mask + 1;
	table->mask = 2 * old_count - 1;
	table->slots = g_new0(IndexPlace, table->mask + 1);
	for (size_t i = 0; i < old_count; i++)
		if (old[i].entry.raw)
			*slot_of(table, old[i].entry.id) = old[i];
	g_free(old);
}

void index_table_put(IndexTable *table, const IndexPlace *place)
{
	g_assert(place->entry.raw > 0);
	if (table->count * 8 >= (table->mask + 1) * 5)
		grow(table);
	IndexPlace *slot = slot_of(table, place->entry.id);
	table->count += slot->entry.raw == 0;
	*slot = *place;
}

size_t index_table_count(const IndexTable *table)
{
	return table->count;
}

void index_table_each(const IndexTable *table, void (*each)(const IndexPlace *place, void *data), void *data)
{
	for (size_t i = 0; i <= table->mask; i++)
		if (table->slots[i].entry.raw)
			each(&table->slots[i], data);
}

int index_place_compare(const void *a, const void *b)
{
	const IndexPlace *left = a;
	const IndexPlace *right = b;
	return memcmp(left->entry.id, right->entry.id, HASH_BYTES);
}

/* The file: a header of 32 bytes, the names of the packs, then entries as in a footer with the pack's number in front. */
#define FILE_HEADER_BYTES 32
#define FILE_ENTRY_BYTES (4 + PACK_ENTRY_BYTES)
static const uint8_t file_magic[8] = {'A', 'S', 'S', 'A', 'Y', 'I', 'D', 'X'};

struct IndexFile {
	uint8_t *bytes;
	size_t len;
	const uint8_t *packs;
	const uint8_t *entries;
	uint32_t pack_count;
	uint64_t count;
};

IndexFile *index_file_open(int folder_fd, const char *name)
{
	autofd int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat info;
	if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || info.st_size < FILE_HEADER_BYTES)
		return NULL;
	size_t len = (size_t)info.st_size;
	uint8_t *bytes = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return NULL;
	uint32_t packs = get32(bytes + 12);
	uint64_t count = get64(bytes + 16);
	uint64_t rest = len - FILE_HEADER_BYTES;
	bool good = memcmp(bytes, file_magic, sizeof file_magic) == 0 && bytes[8] == PACK_VERSION &&
	            bytes[9] == PACK_SHA256 && packs <= rest / HASH_BYTES &&
	            count == (rest - (uint64_t)packs * HASH_BYTES) / FILE_ENTRY_BYTES &&
	            (uint64_t)packs * HASH_BYTES + count * FILE_ENTRY_BYTES == rest;
	if (!good) {
		munmap(bytes, len);
		return NULL;
	}
	IndexFile *file = g_new0(IndexFile, 1);
	*file = (IndexFile){
	        .bytes = bytes,
	        .len = len,
	        .packs = bytes + FILE_HEADER_BYTES,
	        .entries = bytes + FILE_HEADER_BYTES + (size_t)packs * HASH_BYTES,
	        .pack_count = packs,
	        .count = count,
	};
	return file;
}

void index_file_free(IndexFile *file)
{
	if (!file)
		return;
	munmap(file->bytes, file->len);
	g_free(file);
}

uint32_t index_file_packs(const IndexFile *file)
{
	return file->pack_count;
}

const uint8_t *index_file_pack(const IndexFile *file, uint32_t i)
{
	g_assert(i < file->pack_count);
	return file->packs + (size_t)i * HASH_BYTES;
}

uint64_t index_file_count(const IndexFile *file)
{
	return file->count;
}

static const uint8_t *id_at(const IndexFile *file, uint64_t i)
{
	return file->entries + i * FILE_ENTRY_BYTES + 4;
}

void index_file_at(const IndexFile *file, uint64_t i, IndexPlace *out)
{
	const uint8_t *at = id_at(file, i);
	out->pack = get32(at - 4);
	memcpy(out->entry.id, at, HASH_BYTES);
	out->entry.offset = get32(at + 32);
	out->entry.stored = get32(at + 36);
	out->entry.raw = get32(at + 40);
	out->entry.codec = at[44];
	out->entry.kind = at[45];
}

__extension__ typedef unsigned __int128 Wide;

/* The first entry that is not below id: a guess from the first eight bytes, wider and wider around it, then halving. */
static uint64_t lower_bound(const IndexFile *file, const uint8_t *id)
{
	uint64_t first = GUINT64_SWAP_LE_BE(get64(id));
	uint64_t guess = (uint64_t)(((Wide)first * file->count) >> 64);
	uint64_t low = guess;
	uint64_t high = guess;
	uint64_t step = 16;
	while (low > 0 && memcmp(id_at(file, low), id, HASH_BYTES) >= 0) {
		low -= MIN(low, step);
		step *= 4;
	}
	step = 16;
	while (high < file->count && memcmp(id_at(file, high), id, HASH_BYTES) < 0) {
		high += MIN(file->count - high, step);
		step *= 4;
	}
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		if (memcmp(id_at(file, middle), id, HASH_BYTES) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool index_file_get(const IndexFile *file, const uint8_t id[HASH_BYTES], IndexPlace *out)
{
	if (file->count == 0)
		return false;
	uint64_t at = lower_bound(file, id);
	if (at >= file->count || memcmp(id_at(file, at), id, HASH_BYTES) != 0)
		return false;
	index_file_at(file, at, out);
	const PackEntry *entry = &out->entry;
	return out->pack < file->pack_count && entry->raw > 0 && entry->raw <= PACK_CHUNK_BYTES_MAX &&
	       entry->stored <= entry->raw && entry->codec <= PACK_ZSTD &&
	       (entry->codec == PACK_ZSTD || entry->stored == entry->raw);
}

bool index_file_write(int folder_fd, const char *name, const uint8_t *packs, uint32_t pack_count,
        const IndexPlace *places, uint64_t count, GError **error)
{
	g_autofree char *temporary = g_strdup_printf("%s.new", name);
	autofd int fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail_errno(error, errno, "cannot write the index of the content store");
	/* One process writes at a time; who comes second leaves it. A file that a kill left half is begun again. */
	struct stat mine;
	struct stat named;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &mine) < 0 ||
	        fstatat(folder_fd, temporary, &named, AT_SYMLINK_NOFOLLOW) < 0 || mine.st_ino != named.st_ino)
		return true;
	if (ftruncate(fd, 0) < 0)
		return fail_errno(error, errno, "cannot write the index of the content store");
	uint8_t header[FILE_HEADER_BYTES] = {0};
	memcpy(header, file_magic, sizeof file_magic);
	header[8] = PACK_VERSION;
	header[9] = PACK_SHA256;
	put32(header + 12, pack_count);
	put64(header + 16, count);
	const char *what = "the index of the content store";
	g_autoptr(GByteArray) buffer = g_byte_array_new();
	g_byte_array_append(buffer, header, sizeof header);
	bool done = fd_write_all(fd, buffer->data, buffer->len, what, error) &&
	            fd_write_all(fd, packs, (size_t)pack_count * HASH_BYTES, what, error);
	g_byte_array_set_size(buffer, 0);
	for (uint64_t i = 0; done && i < count; i++) {
		uint8_t entry[FILE_ENTRY_BYTES];
		put32(entry, places[i].pack);
		pack_write_entry(&places[i].entry, entry + 4);
		g_byte_array_append(buffer, entry, sizeof entry);
		if (buffer->len > 256 * 1024 || i + 1 == count) {
			done = fd_write_all(fd, buffer->data, buffer->len, what, error);
			g_byte_array_set_size(buffer, 0);
		}
	}
	if (done && (fdatasync(fd) < 0 || renameat(folder_fd, temporary, folder_fd, name) < 0))
		done = fail_errno(error, errno, "cannot write the index of the content store");
	if (!done)
		unlinkat(folder_fd, temporary, 0);
	return done;
}
