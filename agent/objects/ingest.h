/* SPDX-License-Identifier: Apache-2.0 */
/* One file into the store: read, cut, hashed, and stored as a chunk or as a list of chunks. */
#pragma once

#include "agent/objects/shelf.h"
#include "agent/objects/statcache.h"

/** What one thread needs for it. */
typedef struct Ingest Ingest;
/** @writer  borrowed */
Ingest *ingest_new(ShelfWriter *writer);
void ingest_free(Ingest *ingest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ingest, ingest_free)

/** A file as it was read. */
typedef struct IngestFile {
	bool vanished; /* there is no such file: nothing was stored */
	uint64_t bytes;
	uint8_t id[HASH_BYTES];
	StatKey key; /* all zero when the file changed while it was read: what was read is stored, and not cached */
} IngestFile;

/** Stores folder_fd/name, a regular file; a link is not followed. */
bool ingest_file(Ingest *ingest, int folder_fd, const char *name, IngestFile *out, GError **error);
