/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading chunks. Each reader keeps the last few packs open: a tree was written folder by folder, so its chunks lie
 * close together. A pack that is gone was removed by a sweep, and what it held that is still named is in another one.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/objects/bytes.h"
#include "agent/objects/shelf_private.h"

#define OPEN_PACKS 8

struct ShelfReader {
	Shelf *shelf;
	struct {
		uint32_t pack;
		int fd;
	} open[OPEN_PACKS];
	unsigned next; /* to be closed */
	uint8_t *stored;
	size_t stored_room;
	uint8_t *raw;
	size_t raw_room;
};

ShelfReader *shelf_reader_new(Shelf *shelf)
{
	ShelfReader *reader = g_new0(ShelfReader, 1);
	reader->shelf = shelf;
	for (unsigned i = 0; i < OPEN_PACKS; i++)
		reader->open[i].fd = -1;
	return reader;
}

void shelf_reader_free(ShelfReader *reader)
{
	if (!reader)
		return;
	for (unsigned i = 0; i < OPEN_PACKS; i++)
		autofd_close(&reader->open[i].fd);
	g_free(reader->stored);
	g_free(reader->raw);
	g_free(reader);
}

bool shelf_is_empty_id(const uint8_t id[HASH_BYTES])
{
	static const uint8_t empty[HASH_BYTES] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
	        0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b,
	        0x78, 0x52, 0xb8, 0x55};
	return memcmp(id, empty, HASH_BYTES) == 0;
}

static void make_room(uint8_t **buffer, size_t *room, size_t len)
{
	if (*room >= len)
		return;
	g_free(*buffer);
	*room = MAX(len, (size_t)128 * 1024);
	*buffer = g_malloc(*room);
}

/* A descriptor for a pack, the reader's; -1 with errno. */
static int open_pack(ShelfReader *reader, uint32_t number)
{
	for (unsigned i = 0; i < OPEN_PACKS; i++)
		if (reader->open[i].fd >= 0 && reader->open[i].pack == number)
			return reader->open[i].fd;
	char name[PACK_NAME_BYTES];
	g_mutex_lock(&reader->shelf->lock);
	g_strlcpy(name, ((const ShelfPack *)reader->shelf->packs->pdata[number])->name, sizeof name);
	g_mutex_unlock(&reader->shelf->lock);
	int fd = openat(reader->shelf->packs_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	unsigned slot = reader->next++ % OPEN_PACKS;
	autofd_close(&reader->open[slot].fd);
	reader->open[slot].fd = fd;
	reader->open[slot].pack = number;
	return fd;
}

static bool absent(const uint8_t *id, GError **error)
{
	char hex[HASH_HEX_BYTES];
	hex_write(id, HASH_BYTES, hex);
	return fail(error, ASSAY_ERROR_ABSENT, "object %s is not in the content store; see 'assay data verify'", hex);
}

/* Finds the chunk and opens its pack, reading packs/ again when either is missing. */
static int locate(ShelfReader *reader, const uint8_t *id, IndexPlace *out, GError **error)
{
	for (int tries = 0; tries < 2; tries++) {
		if (shelf_find(reader->shelf, id, out) && out->pack != INDEX_PACK_NONE) {
			int fd = open_pack(reader, out->pack);
			if (fd >= 0)
				return fd;
			if (errno != ENOENT) {
				fail_errno(error, errno, "cannot open a pack of the content store");
				return -1;
			}
		}
		if (tries == 0 && !shelf_refresh(reader->shelf, error))
			return -1;
	}
	absent(id, error);
	return -1;
}

const uint8_t *shelf_read(ShelfReader *reader, const uint8_t id[HASH_BYTES], size_t *out_len, GError **error)
{
	static const uint8_t nothing[1];
	if (shelf_is_empty_id(id)) {
		*out_len = 0;
		return nothing;
	}
	IndexPlace place;
	int fd = locate(reader, id, &place, error);
	if (fd < 0)
		return NULL;
	make_room(&reader->stored, &reader->stored_room, place.entry.stored);
	make_room(&reader->raw, &reader->raw_room, place.entry.raw);
	if (!pack_read_at(fd, reader->stored, place.entry.stored, place.entry.offset, error) ||
	        !pack_decode(&place.entry, reader->stored, reader->raw, error)) {
		char hex[HASH_HEX_BYTES];
		hex_write(id, HASH_BYTES, hex);
		g_prefix_error(error, "object %s: ", hex);
		return NULL;
	}
	*out_len = place.entry.raw;
	return reader->raw;
}
