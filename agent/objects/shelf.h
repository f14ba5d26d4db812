/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks by id in one folder: packs and index together. What is above it knows nothing of packs. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/objects/pack.h"

typedef struct Shelf Shelf;

/** Opens or makes D/objects. Thread: all functions on a Shelf may be called by several threads at once. */
Shelf *shelf_open(const char *folder, GError **error);
void shelf_close(Shelf *shelf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Shelf, shelf_close)
/** The store's folder, borrowed. */
int shelf_folder_fd(const Shelf *shelf);
/** Sees the packs that others have written or removed since. Cheap when nothing has changed. */
bool shelf_refresh(Shelf *shelf, GError **error);
/** Changes whenever a sweep has condemned or removed something: what was known of the store may be wrong then. */
uint64_t shelf_epoch(Shelf *shelf);
/** Whether the store has this chunk, and will keep it if it is named: one in a condemned pack does not count. */
bool shelf_has(Shelf *shelf, const uint8_t id[HASH_BYTES]);
/** The length of a chunk; false when the store has none. */
bool shelf_size(Shelf *shelf, const uint8_t id[HASH_BYTES], uint32_t *out);

/** Writes chunks. Thread: one each. What it wrote can be read only after shelf_commit(). */
typedef struct ShelfWriter ShelfWriter;
ShelfWriter *shelf_writer_new(Shelf *shelf);
void shelf_writer_free(ShelfWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ShelfWriter, shelf_writer_free)
/** Tells that what comes is another file. */
void shelf_writer_new_file(ShelfWriter *writer);
/** Stores a chunk unless the store has it. Out: its id. */
bool shelf_add(ShelfWriter *writer, PackKind kind, const void *bytes, size_t len, uint8_t out_id[HASH_BYTES],
        GError **error);
/** Bytes that this writer has added to the store. */
int64_t shelf_writer_new_bytes(const ShelfWriter *writer);
/**
 * Makes all that these writers wrote durable and visible, as one barrier at the end. When it fails, or is not called,
 * the store is as before, apart from packs that nobody names.
 */
bool shelf_commit(Shelf *shelf, ShelfWriter *const *writers, size_t count, GError **error);
/** Forgets what writers promised that were freed without a commit. */
void shelf_abandon(Shelf *shelf);

/** Reads chunks. Thread: one each. */
typedef struct ShelfReader ShelfReader;
ShelfReader *shelf_reader_new(Shelf *shelf);
void shelf_reader_free(ShelfReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ShelfReader, shelf_reader_free)
/**
 * The bytes of a chunk, checked against its id. They are the reader's, until its next call.
 *
 * Returns   NULL with ABSENT when the store has none, SYSTEM when it is damaged
 */
const uint8_t *shelf_read(ShelfReader *reader, const uint8_t id[HASH_BYTES], size_t *out_len, GError **error);

/** Reads the footers of all packs, and with `full` every byte. See objects_verify(). */
bool shelf_verify(Shelf *shelf, bool full, json_t **out, GError **error);
