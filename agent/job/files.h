/* SPDX-License-Identifier: Apache-2.0 */
/* Files found by patterns, as actions/glob reads them: `*`, `?`, `[…]`, `**`, `!` to leave out. Links are not followed. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define FILES_FOUND_MAX 1000000
#define FILES_DEPTH_MAX 256

typedef struct FilesRules {
	bool hidden;       /* also names that begin with a dot */
	bool folders_whole; /* a pattern that names a folder means all below it */
} FilesRules;

/**
 * Regular files and links below root_fd that the patterns name; the last pattern that fits decides.
 *
 * @patterns   relative to the root; "!" in front leaves out
 * Returns     paths, sorted by bytes, or NULL: DENIED for a pattern that leaves the root
 */
GPtrArray *files_find(int root_fd, const char *const *patterns, size_t count, FilesRules rules, GError **error);
/** Does the pattern fit the whole path? */
bool files_match(const char *pattern, const char *path);
/**
 * hashFiles(): SHA-256, as hex, over the SHA-256 of each file found, in order; the caller's. "" when there is none.
 */
char *files_hash(int root_fd, const char *const *patterns, size_t count, GError **error);
/** The folders before a pattern's first wildcard: "a/b" of "a/b/c*.txt", "" of "*.txt", all of it without wildcards. */
char *files_fixed_part(const char *pattern);
