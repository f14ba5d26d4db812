/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed trees kept between jobs. Each belongs to the ref that wrote it, so that a fork's job cannot plant one for main. */
#pragma once

#include "agent/store/db.h"

/** Keeps a tree under a key of a scope (a full ref). A key that is there stays as it is: caches never change. */
bool caches_put(Store *store, int64_t repo, const char *scope, const char *key, const char *digest, GError **error);
/**
 * The exact key in the first scope that has it; else the newest whose key begins with one of restore_keys, in their
 * order. Out: {"hit":true|false,"key":"…"|null,"digest":"…"|null}; hit says that the key is the exact one.
 *
 * @scopes         array of refs that may be read, nearest first: the own ref, the base branch, the default branch
 * @restore_keys   array of prefixes; may be NULL
 */
json_t *caches_get(Store *store, int64_t repo, const json_t *scopes, const char *key, const json_t *restore_keys,
        GError **error);
