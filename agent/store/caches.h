/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed trees kept between jobs. Each belongs to the ref that wrote it, so that a fork's job cannot plant one for main. */
#pragma once

#include "agent/store/db.h"

/** What a repo's caches may need. */
typedef struct CacheLimits {
	int64_t bytes;  /* of all together: then the ones unused longest go; 0: no limit */
	int64_t age_us; /* unused for so long: it goes; 0: never */
} CacheLimits;

/** What is kept. */
typedef struct CacheEntry {
	const char *scope;         /* a full ref, or "fork REF" */
	const char *key;
	const char *version;       /* the clients' digest of paths and compression */
	const char *other_version; /* of the other compression, where both can be served; NULL */
	const char *form;          /* "tree" or "blob" */
	const char *digest;
	int64_t bytes;
} CacheEntry;

/** Keeps an entry and makes room for it. One that is there stays as it is: caches never change. *out_id may be NULL. */
bool caches_put(Store *store, int64_t repo, const CacheEntry *entry, CacheLimits limits, int64_t *out_id, GError **error);
/**
 * Scope after scope: the exact key, then the newest whose key begins with it, then each of restore_keys likewise.
 * Out: {"hit":true|false,"key","digest","form","version","other_version","bytes"}, all but hit null when there is none;
 * hit says that the key is the exact one.
 *
 * @scopes         array of scopes that may be read, nearest first: the own ref, the base branch, the default branch
 * @versions       array of one or two that fit
 * @restore_keys   array of prefixes; may be NULL
 */
json_t *caches_get(Store *store, int64_t repo, const json_t *scopes, const char *key, const json_t *versions,
        const json_t *restore_keys, GError **error);
/** May this be put? BUSY when the scope has it already. */
bool caches_check(Store *store, int64_t repo, const char *scope, const char *key, const char *version, GError **error);
