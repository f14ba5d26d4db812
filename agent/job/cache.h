/* SPDX-License-Identifier: Apache-2.0 */
/* Folders kept between runs, by key: `actions/cache` on the content store. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/job/job.h"

/**
 * Brings back what the key, or the first of its `restore-keys` that fits, stands for.
 *
 * @with     path, key, restore-keys, lookup-only, fail-on-cache-miss
 * @out_hit  was it the key itself? May be NULL
 */
bool cache_restore(Job *job, const json_t *with, bool *out_hit, GError **error);
/** Stores what `path` names under `key`. */
bool cache_save(Job *job, const json_t *with, GError **error);
/** The same after all steps, when none has failed. */
void cache_save_later(Job *job, const json_t *with);
/** What a path of a kept tree ("work/…", "home/…") is called in a tar for the clients: ArchivePlace. */
char *cache_name_for_tar(void *job, const char *path, GError **error);
/**
 * The digest by which the clients know paths and compression: of the lines of `path` as written.
 *
 * @compression   "zstd-without-long" or "gzip"
 */
char *cache_version(const char *paths, const char *compression);
