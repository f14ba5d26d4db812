/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writing half of packs. A pack begins in memory; its file is made when the first MiB is full, so a small run makes
 * one file however many threads it has. The file is locked as long as its writer lives: one without a lock was left
 * behind by a kill and is removed by whoever meets it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/objects/bytes.h"
#include "agent/objects/pack.h"

#define CHUNK_ROOM_BYTES (512 * 1024)
#define BUFFER_BYTES (1024 * 1024)
#define ZSTD_LEVEL 1
#define MISSES_BEFORE_SKIP 4 /* chunks of a file that did not compress, before most of the others are not tried */
#define SKIP_BETWEEN_TRIES 16

struct PackWriter {
	int folder_fd;
	int fd; /* -1 until the first buffer is full */
	char temporary[32];
	uint8_t header[PACK_HEADER_BYTES];
	uint32_t offset; /* where the next chunk begins */
	GByteArray *buffer;
	GArray *entries;
	ZSTD_CCtx *zstd;
	uint8_t *squeezed;
	size_t squeezed_bytes;
	unsigned misses;
};

static void begin(PackWriter *writer)
{
	pack_write_header(writer->header);
	g_byte_array_set_size(writer->buffer, 0);
	g_byte_array_append(writer->buffer, writer->header, sizeof writer->header);
	g_array_set_size(writer->entries, 0);
	writer->offset = PACK_HEADER_BYTES;
	writer->fd = -1;
	writer->misses = 0;
}

PackWriter *pack_writer_new(int folder_fd)
{
	PackWriter *writer = g_new0(PackWriter, 1);
	writer->folder_fd = folder_fd;
	writer->buffer = g_byte_array_new();
	writer->entries = g_array_new(FALSE, FALSE, sizeof(PackEntry));
	begin(writer);
	return writer;
}

void pack_writer_free(PackWriter *writer)
{
	if (!writer)
		return;
	if (writer->fd >= 0) {
		unlinkat(writer->folder_fd, writer->temporary, 0);
		close(writer->fd);
	}
	g_byte_array_unref(writer->buffer);
	g_array_unref(writer->entries);
	ZSTD_freeCCtx(writer->zstd);
	g_free(writer->squeezed);
	g_free(writer);
}

bool pack_writer_fits(const PackWriter *writer, size_t len)
{
	uint64_t footer = ((uint64_t)writer->entries->len + 1) * PACK_ENTRY_BYTES + PACK_TRAILER_BYTES;
	return writer->entries->len < PACK_CHUNKS_MAX && writer->offset + len + footer <= PACK_BYTES_MAX;
}

void pack_writer_new_file(PackWriter *writer)
{
	writer->misses = 0;
}

const GArray *pack_writer_entries(const PackWriter *writer)
{
	return writer->entries;
}

/* Makes the file, and locks it. Between its making and its locking somebody may take it for abandoned: then again. */
static bool open_file(PackWriter *writer, GError **error)
{
	for (int tries = 0; tries < 100; tries++) {
		uint8_t noise[8];
		char hex[17];
		random_bytes(noise, sizeof noise);
		hex_write(noise, sizeof noise, hex);
		g_snprintf(writer->temporary, sizeof writer->temporary, PACK_TEMPORARY_PREFIX "%s", hex);
		autofd int fd = openat(writer->folder_fd, writer->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		        0644);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			return fail_errno(error, errno, "cannot make a pack in the content store");
		struct stat info;
		if (flock(fd, LOCK_EX) < 0 || fstat(fd, &info) < 0) {
			int why = errno;
			unlinkat(writer->folder_fd, writer->temporary, 0);
			return fail_errno(error, why, "cannot lock a new pack in the content store");
		}
		if (info.st_nlink > 0) {
			writer->fd = fd_steal(&fd);
			return true;
		}
	}
	return fail(error, ASSAY_ERROR_SYSTEM, "cannot make a pack in the content store: its new files vanish");
}

static bool flush(PackWriter *writer, GError **error)
{
	if (writer->fd < 0 && !open_file(writer, error))
		return false;
	if (!fd_write_all(writer->fd, writer->buffer->data, writer->buffer->len, "a pack of the content store", error))
		return false;
	g_byte_array_set_size(writer->buffer, 0);
	return true;
}

static bool append(PackWriter *writer, const uint8_t *bytes, size_t len, GError **error)
{
	if (len >= BUFFER_BYTES) { /* large ones do not pass through the buffer */
		if (!flush(writer, error))
			return false;
		return fd_write_all(writer->fd, bytes, len, "a pack of the content store", error);
	}
	if (writer->buffer->len + len > BUFFER_BYTES && !flush(writer, error))
		return false;
	g_byte_array_append(writer->buffer, bytes, (guint)len);
	return true;
}

/* Compresses, if that saves more than a sixteenth. Returns the stored length, or 0 for plain. */
static size_t squeeze(PackWriter *writer, const void *bytes, size_t len)
{
	if (writer->misses >= MISSES_BEFORE_SKIP &&
	        (writer->misses++ - MISSES_BEFORE_SKIP) % SKIP_BETWEEN_TRIES != SKIP_BETWEEN_TRIES - 1)
		return 0;
	size_t room = len - len / 16;
	if (room == len) /* less than sixteen bytes */
		return 0;
	if (!writer->zstd) {
		writer->zstd = ZSTD_createCCtx();
		g_assert(writer->zstd);
	}
	if (writer->squeezed_bytes < room) {
		g_free(writer->squeezed);
		writer->squeezed_bytes = MAX(room, (size_t)CHUNK_ROOM_BYTES);
		writer->squeezed = g_malloc(writer->squeezed_bytes);
	}
	size_t got = ZSTD_compressCCtx(writer->zstd, writer->squeezed, room, bytes, len, ZSTD_LEVEL);
	if (ZSTD_isError(got) || got >= room) { /* an error is: no room, so it does not save enough */
		writer->misses++;
		return 0;
	}
	writer->misses = 0;
	return got;
}

bool pack_writer_add(PackWriter *writer, const uint8_t id[HASH_BYTES], PackKind kind, const void *bytes, size_t len,
        PackEntry *out, GError **error)
{
	g_assert(len > 0 && len <= PACK_CHUNK_BYTES_MAX && pack_writer_fits(writer, len));
	size_t small = squeeze(writer, bytes, len);
	PackEntry entry = {
	        .offset = writer->offset,
	        .stored = (uint32_t)(small ? small : len),
	        .raw = (uint32_t)len,
	        .codec = small ? PACK_ZSTD : PACK_PLAIN,
	        .kind = (uint8_t)kind,
	};
	memcpy(entry.id, id, HASH_BYTES);
	if (!append(writer, small ? writer->squeezed : bytes, entry.stored, error))
		return false;
	writer->offset += entry.stored;
	g_array_append_val(writer->entries, entry);
	*out = entry;
	return true;
}

bool pack_writer_merge(PackWriter *to, PackWriter *from, GError **error)
{
	uint32_t bytes = from->offset - PACK_HEADER_BYTES;
	guint chunks = to->entries->len + from->entries->len;
	if (from->fd >= 0 || chunks > PACK_CHUNKS_MAX ||
	        (uint64_t)to->offset + bytes + (uint64_t)chunks * PACK_ENTRY_BYTES + PACK_TRAILER_BYTES > PACK_BYTES_MAX)
		return true;
	if (!append(to, from->buffer->data + PACK_HEADER_BYTES, bytes, error))
		return false;
	for (guint i = 0; i < from->entries->len; i++) {
		PackEntry entry = g_array_index(from->entries, PackEntry, i);
		entry.offset += to->offset - PACK_HEADER_BYTES;
		g_array_append_val(to->entries, entry);
	}
	to->offset += bytes;
	begin(from);
	return true;
}

bool pack_writer_seal(PackWriter *writer, PackSealed *out, GError **error)
{
	guint count = writer->entries->len;
	g_assert(count > 0);
	size_t len = (size_t)count * PACK_ENTRY_BYTES;
	g_autofree uint8_t *footer = g_malloc(len + PACK_TRAILER_BYTES);
	for (guint i = 0; i < count; i++)
		pack_write_entry(&g_array_index(writer->entries, PackEntry, i), footer + (size_t)i * PACK_ENTRY_BYTES);
	uint8_t hash[HASH_BYTES];
	pack_write_trailer(writer->header, footer, count, footer + len, hash);
	if (!append(writer, footer, len + PACK_TRAILER_BYTES, error) || !flush(writer, error))
		return false;
	char hex[HASH_HEX_BYTES];
	hex_write(hash, HASH_BYTES, hex);
	out->fd = writer->fd;
	g_strlcpy(out->temporary, writer->temporary, sizeof out->temporary);
	g_snprintf(out->name, sizeof out->name, "%s.pack", hex);
	begin(writer);
	return true;
}

bool pack_publish(int folder_fd, PackSealed *sealed, GError **error)
{
	autofd int fd = sealed->fd;
	sealed->fd = -1;
	if (fdatasync(fd) < 0)
		fail_errno(error, errno, "cannot sync a pack of the content store");
	else if (fchmod(fd, 0444) < 0 || renameat(folder_fd, sealed->temporary, folder_fd, sealed->name) < 0)
		fail_errno(error, errno, "cannot name a pack of the content store");
	else
		return true;
	unlinkat(folder_fd, sealed->temporary, 0);
	return false;
}

void pack_remove_abandoned(int folder_fd)
{
	int copy = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
	if (!folder) {
		if (copy >= 0)
			close(copy);
		return;
	}
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (!g_str_has_prefix(entry->d_name, PACK_TEMPORARY_PREFIX))
			continue;
		autofd int fd = openat(folder_fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(folder_fd, entry->d_name, 0);
	}
	closedir(folder);
}
