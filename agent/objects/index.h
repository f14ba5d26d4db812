/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pack has a chunk: a hash table in memory for what is new, and a sorted file, mapped, for what is old. Only a
 * cache: all of it can be read again from the footers of the packs.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/objects/pack.h"

#define INDEX_PACK_NONE UINT32_MAX

/** A chunk's place. */
typedef struct IndexPlace {
	uint32_t pack; /* a number that the owner of the index gives; INDEX_PACK_NONE while it is being written */
	PackEntry entry;
} IndexPlace;

/** A hash table from ids to places. Not locked. */
typedef struct IndexTable IndexTable;
IndexTable *index_table_new(void);
void index_table_free(IndexTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IndexTable, index_table_free)
/** The place, to read or to write to; valid until the next put. NULL when the id is not there. */
IndexPlace *index_table_get(const IndexTable *table, const uint8_t id[HASH_BYTES]);
/** Adds or replaces. */
void index_table_put(IndexTable *table, const IndexPlace *place);
size_t index_table_count(const IndexTable *table);
/** Every place, in no order; until the next put. */
void index_table_each(const IndexTable *table, void (*each)(const IndexPlace *place, void *data), void *data);

/** The sorted file, mapped. */
typedef struct IndexFile IndexFile;
/**
 * Opens folder_fd/name. NULL, without an error, when it is not there or not an index: then there is nothing to know.
 * What is in it is checked as it is used: a place from it may be wrong, but never out of bounds.
 */
IndexFile *index_file_open(int folder_fd, const char *name);
void index_file_free(IndexFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IndexFile, index_file_free)
uint32_t index_file_packs(const IndexFile *file);
/** The SHA-256 that names pack number i. */
const uint8_t *index_file_pack(const IndexFile *file, uint32_t i);
uint64_t index_file_count(const IndexFile *file);
/** Finds a chunk; out->pack is a number of this file. */
bool index_file_get(const IndexFile *file, const uint8_t id[HASH_BYTES], IndexPlace *out);
/** Entry number i, in the order of the ids. */
void index_file_at(const IndexFile *file, uint64_t i, IndexPlace *out);
/**
 * Writes a new file and renames it into its place; does nothing when another process is at it.
 *
 * @packs   `pack_count` hashes that name the packs
 * @places  sorted by id, no id twice; pack is a number below pack_count
 */
bool index_file_write(int folder_fd, const char *name, const uint8_t *packs, uint32_t pack_count,
        const IndexPlace *places, uint64_t count, GError **error);
/** Compares two places by their ids, for g_array_sort() and qsort(). */
int index_place_compare(const void *a, const void *b);
