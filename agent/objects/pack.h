/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: files of chunks, written once from front to back. A name is never used twice, as each header has random bytes
 * in it: so a sweep cannot remove a pack that was just written again. The bytes on disk are drawn in README.md; the
 * reading half is a parser of foreign bytes and trusts nothing.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/hash.h"

#define PACK_BYTES_MAX (64U * 1024 * 1024)
#define PACK_CHUNK_BYTES_MAX (32U * 1024 * 1024)
#define PACK_CHUNKS_MAX 131072U
#define PACK_HEADER_BYTES 16
#define PACK_ENTRY_BYTES 48
#define PACK_TRAILER_BYTES 16
#define PACK_TEMPORARY_PREFIX "new-"
#define PACK_NAME_BYTES (HASH_HEX_BYTES + 5) /* hex of the SHA-256 of header and footer, ".pack", NUL */

/** What a chunk's bytes are. A hint for verify and sweep: what a reference says is what counts. */
typedef enum PackKind {
	PACK_DATA,
	PACK_NODE,
} PackKind;

typedef enum PackCodec {
	PACK_PLAIN,
	PACK_ZSTD,
} PackCodec;

/** One chunk in a pack. */
typedef struct PackEntry {
	uint8_t id[HASH_BYTES];
	uint32_t offset;
	uint32_t stored; /* bytes in the pack */
	uint32_t raw;    /* bytes of the chunk, never 0 */
	uint8_t codec;
	uint8_t kind;
} PackEntry;

/** Where the entries are, from a pack's last PACK_TRAILER_BYTES. */
bool pack_parse_trailer(const uint8_t *trailer, uint64_t file_bytes, uint32_t *out_count, uint64_t *out_offset,
        GError **error);
/**
 * The entries of a footer: exactly `count` of them. Each must begin where the one before ends, the first behind the
 * header, the last before the footer; the hash, of header and footer, must be the trailer's and, with `name`, the one
 * the pack is named by.
 *
 * @out  a GArray of PackEntry, appended to
 */
bool pack_parse_entries(const uint8_t *bytes, uint32_t count, const uint8_t *header, const uint8_t *trailer,
        uint64_t file_bytes, const char *name, GArray *out, GError **error);
bool pack_parse_header(const uint8_t *header, GError **error);
/** Both, from an open pack. Out: its entries, appended; and its size. */
bool pack_read_entries(int fd, const char *name, GArray *out, uint64_t *out_bytes, GError **error);
/** True for a name that a finished pack has. */
bool pack_is_name(const char *name);

/**
 * Makes the stored bytes of a chunk into the chunk and checks its id.
 *
 * @raw      room for entry->raw bytes
 * Returns   false with SYSTEM when the bytes are damaged
 */
bool pack_decode(const PackEntry *entry, const uint8_t *stored, uint8_t *raw, GError **error);

/** One pack being written. Thread: one at a time. */
typedef struct PackWriter PackWriter;

/** @folder_fd  borrowed; the pack appears in it when it is published */
PackWriter *pack_writer_new(int folder_fd);
/** Frees it; what was not sealed is gone. */
void pack_writer_free(PackWriter *writer);
/** Whether a chunk of `len` bytes surely has room in this pack. */
bool pack_writer_fits(const PackWriter *writer, size_t len);
/** Tells that the next chunks are of another file: whether they compress is found out anew. */
void pack_writer_new_file(PackWriter *writer);
/** Appends a chunk, 1 … PACK_CHUNK_BYTES_MAX bytes. */
bool pack_writer_add(PackWriter *writer, const uint8_t id[HASH_BYTES], PackKind kind, const void *bytes, size_t len,
        PackEntry *out, GError **error);
/** The entries so far, PackEntry. */
const GArray *pack_writer_entries(const PackWriter *writer);
/** Moves what `from` holds behind what `to` holds, if all of it is in memory still and fits; `from` is empty then. */
bool pack_writer_merge(PackWriter *to, PackWriter *from, GError **error);

/** A whole pack under a temporary name. */
typedef struct PackSealed {
	int fd;
	char temporary[32];
	char name[PACK_NAME_BYTES];
} PackSealed;

/** Writes the footer and makes the writer ready for the next pack. It must hold a chunk. */
bool pack_writer_seal(PackWriter *writer, PackSealed *out, GError **error);
/** Syncs the pack and gives it its name. Closes it. The folder's sync is the caller's. */
bool pack_publish(int folder_fd, PackSealed *sealed, GError **error);
/** Removes packs that their writers left behind when they were killed. */
void pack_remove_abandoned(int folder_fd);
