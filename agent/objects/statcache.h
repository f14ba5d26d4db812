/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source tree was at the last snapshot: a file whose size, times and inode are the same is not read again. One
 * file for each root, in D/objects/stat/; a cache, so nothing about it is an error.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "agent/base/hash.h"

/** What must be equal for a file to be unchanged. All zero: do not cache. */
typedef struct StatKey {
	uint64_t device;
	uint64_t inode;
	int64_t bytes;
	int64_t modified_ns;
	int64_t changed_ns;
} StatKey;

StatKey statcache_key(const struct stat *info);

typedef struct StatCache StatCache;
/**
 * Opens the cache of a root, and begins the next one.
 *
 * @tree_fd  the folder that is stored
 * @single   the file in it that is stored alone, or NULL
 * @epoch    the store's, see shelf_epoch()
 */
StatCache *statcache_open(int store_fd, int tree_fd, const char *single, uint64_t epoch);
void statcache_free(StatCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StatCache, statcache_free)
/** Whether no sweep has removed anything since: else an object that is there may miss a part of what it names. */
bool statcache_is_current(const StatCache *cache);
/** The id that a file had when its key was this. Thread: any. */
bool statcache_find(const StatCache *cache, const StatKey *key, uint8_t out_id[HASH_BYTES]);
/**
 * Notes a file for the next time, unless it is so young that it may change without a new time. Thread: any.
 *
 * @known  it was found in the cache
 */
void statcache_note(StatCache *cache, const StatKey *key, const uint8_t id[HASH_BYTES], bool known);
/** Replaces the root's cache with what was noted, when the tree is large enough to be worth it. */
void statcache_save(StatCache *cache, uint64_t files, uint64_t bytes);
