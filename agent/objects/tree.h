/* SPDX-License-Identifier: Apache-2.0 */
/* Trees in the store: building nodes from sorted entries, and finding one's way in them. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/objects/manifest.h"
#include "agent/objects/shelf.h"

/**
 * Turns entries, given in order, into nodes of about 128 and nodes above these. It cuts by content: behind a name (in
 * a list, behind a chunk) whose hash says so, so a change moves few cuts.
 */
typedef struct TreeBuilder TreeBuilder;
/** @kind  MANIFEST_FOLDER or MANIFEST_LIST; writer is borrowed */
TreeBuilder *tree_builder_new(ManifestKind kind, ShelfWriter *writer);
void tree_builder_free(TreeBuilder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TreeBuilder, tree_builder_free)
/** Adds the next entry; its texts are copied. */
bool tree_builder_add(TreeBuilder *builder, const ManifestEntry *entry, GError **error);
/** Stores what is left. Out: the root node's id, and the sums. The builder is ready for the next one. */
bool tree_builder_end(TreeBuilder *builder, uint8_t out_id[HASH_BYTES], uint64_t *out_files, uint64_t *out_bytes,
        GError **error);

/** A folder in memory: its entries in one array, however many nodes they lie in. */
typedef struct TreeFolder {
	GArray *entries;  /* ManifestEntry */
	GPtrArray *nodes; /* own the texts */
	bool single;      /* a root that is one file or link */
} TreeFolder;
/** Reads a folder, or a root that is one file, by its node's id. */
TreeFolder *tree_folder_read(ShelfReader *reader, const uint8_t id[HASH_BYTES], GError **error);
void tree_folder_free(TreeFolder *folder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TreeFolder, tree_folder_free)
/** An entry of the folder by its name; NULL when there is none. */
const ManifestEntry *tree_folder_find(const TreeFolder *folder, const char *name, size_t len);

/** Called for each piece of a file, in order. */
typedef bool (*TreePiece)(const uint8_t *bytes, size_t len, void *data, GError **error);
/** The contents of a file or executable. False also when they are not as long as the entry says. */
bool tree_file_read(ShelfReader *reader, const ManifestEntry *file, TreePiece piece, void *data, GError **error);
/** Called for each chunk of a file, in order, without reading it. */
typedef bool (*TreeChunk)(const uint8_t id[HASH_BYTES], uint64_t len, void *data, GError **error);
bool tree_file_chunks(ShelfReader *reader, const ManifestEntry *file, TreeChunk chunk, void *data, GError **error);
/** Whether the store has, and will keep, all nodes and chunks of a file's list. */
bool tree_list_stays(Shelf *shelf, ShelfReader *reader, const uint8_t id[HASH_BYTES]);
