/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the shelf share: its state, and the functions that writers and readers call. */
#pragma once

#include "agent/objects/index.h"
#include "agent/objects/shelf.h"

/** One pack; its number is its place in Shelf.packs and never changes. */
typedef struct ShelfPack {
	char name[PACK_NAME_BYTES];
	bool there;  /* in the folder, at the last scan */
	bool was;    /* at the scan before */
	bool loaded; /* in the index, or found to be damaged */
	bool loose;  /* in the table and not in the file */
	bool filed;  /* in the file */
	int64_t condemned_us; /* since when a sweep means to remove it; 0 when none does */
} ShelfPack;

struct Shelf {
	int folder_fd;
	int packs_fd;
	GMutex lock; /* for all below */
	GPtrArray *packs;
	GHashTable *by_name; /* name → number */
	IndexTable *table;
	IndexFile *file;
	uint32_t *file_packs; /* number in the file → number here */
	unsigned loose_packs;
	bool unfinished; /* packs/ had temporary files: of living writers, or left behind by a kill */
	uint64_t epoch;  /* of the last sweep that condemned or removed a pack */
	bool scanned; /* packs/ was read when it had changed_ns as its time of change */
	int64_t changed_ns;
};

/** Where a chunk is; its pack may be INDEX_PACK_NONE. */
bool shelf_find(Shelf *shelf, const uint8_t id[HASH_BYTES], IndexPlace *out);
/** Enters a chunk that the caller will now store; false when it is there already. */
bool shelf_reserve(Shelf *shelf, const uint8_t id[HASH_BYTES]);
/** Enters the chunks of a pack that has its name. */
void shelf_enter(Shelf *shelf, const char *name, const GArray *entries);
/** Writes the index file, when enough is new or `always`. */
bool shelf_write_index(Shelf *shelf, bool always, GError **error);
/** One line of the list of condemned packs. */
typedef struct Condemned {
	char name[PACK_NAME_BYTES];
	int64_t since_us;
} Condemned;
/** Reads the list; an absent or damaged one is empty. Out: Condemned, appended. */
uint64_t condemned_read(int folder_fd, GArray *out);
/** Replaces the list, durably, under a new epoch. */
bool condemned_write(int folder_fd, const GArray *list, GError **error);
/** The empty chunk: it is always there and never stored. */
bool shelf_is_empty_id(const uint8_t id[HASH_BYTES]);
