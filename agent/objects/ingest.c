/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading by read() into one buffer a thread: the files are a stranger's, and one that is cut short under a mapping
 * would kill us.
 */
#include "agent/objects/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/objects/chunk.h"
#include "agent/objects/tree.h"

#define READ_BYTES (1024 * 1024)
G_STATIC_ASSERT(READ_BYTES > CHUNK_BYTES_MAX);

struct Ingest {
	ShelfWriter *writer;
	TreeBuilder *lists;
	uint8_t *buffer; /* made with the first file */
};

Ingest *ingest_new(ShelfWriter *writer)
{
	Ingest *ingest = g_new0(Ingest, 1);
	ingest->writer = writer;
	ingest->lists = tree_builder_new(MANIFEST_LIST, writer);
	return ingest;
}

void ingest_free(Ingest *ingest)
{
	if (!ingest)
		return;
	tree_builder_free(ingest->lists);
	g_free(ingest->buffer);
	g_free(ingest);
}

/* Reads up to len bytes behind what the buffer has; fewer only at the end. */
static bool fill(Ingest *ingest, int fd, size_t *have, size_t len, GError **error)
{
	while (*have < len) {
		ssize_t got = read(fd, ingest->buffer + *have, len - *have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(error, errno, "cannot read it");
		if (got == 0)
			break;
		*have += (size_t)got;
	}
	return true;
}

/* Cuts and stores what is in the buffer and what comes behind it, as a list of chunks. */
static bool store_long(Ingest *ingest, int fd, size_t have, IngestFile *out, GError **error)
{
	bool end = have < READ_BYTES;
	size_t at = 0;
	for (;;) {
		if (!end && have - at < CHUNK_BYTES_MAX) {
			memmove(ingest->buffer, ingest->buffer + at, have - at);
			have -= at;
			at = 0;
			if (!fill(ingest, fd, &have, READ_BYTES, error))
				return false;
			end = have < READ_BYTES;
		}
		if (at == have)
			break;
		size_t len = chunk_cut(ingest->buffer + at, have - at);
		ManifestEntry chunk = {.type = MANIFEST_CHUNK, .bytes = len};
		if (!shelf_add(ingest->writer, PACK_DATA, ingest->buffer + at, len, chunk.id, error) ||
		        !tree_builder_add(ingest->lists, &chunk, error))
			return false;
		at += len;
	}
	uint64_t files;
	return tree_builder_end(ingest->lists, out->id, &files, &out->bytes, error);
}

static bool store(Ingest *ingest, int fd, uint64_t size, IngestFile *out, GError **error)
{
	size_t have = 0;
	if (!ingest->buffer)
		ingest->buffer = g_malloc(READ_BYTES);
	/* One byte more than it should have tells that it has grown. */
	if (!fill(ingest, fd, &have, (size_t)MIN(size + 1, (uint64_t)READ_BYTES), error) ||
	        (have > size && !fill(ingest, fd, &have, READ_BYTES, error)))
		return false;
	shelf_writer_new_file(ingest->writer);
	out->bytes = have;
	return have <= CHUNK_WHOLE_BYTES
	               ? shelf_add(ingest->writer, PACK_DATA, ingest->buffer, have, out->id, error)
	               : store_long(ingest, fd, have, out, error);
}

bool ingest_file(Ingest *ingest, int folder_fd, const char *name, IngestFile *out, GError **error)
{
	memset(out, 0, sizeof *out);
	autofd int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		out->vanished = true;
		return true;
	}
	struct stat before;
	struct stat after;
	if (fd < 0 || fstat(fd, &before) < 0)
		return fail_errno(error, errno, "cannot open it");
	if (!S_ISREG(before.st_mode))
		return fail(error, ASSAY_ERROR_BUSY, "it became something else while it was read; try again");
	if (!store(ingest, fd, (uint64_t)before.st_size, out, error))
		return false;
	if (fstat(fd, &after) < 0)
		return fail_errno(error, errno, "cannot read it");
	StatKey first = statcache_key(&before);
	StatKey last = statcache_key(&after);
	if (memcmp(&first, &last, sizeof first) == 0 && (uint64_t)after.st_size == out->bytes)
		out->key = last;
	return true;
}
