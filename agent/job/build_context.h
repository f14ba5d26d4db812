/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a Dockerfile's COPY and ADD may name: those below its own folder, less what .dockerignore says. They are
 * copied aside before anything is run, and counted into a digest as they are copied, so that what is built is what the digest
 * names, whatever the job does to the folder meanwhile.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/hash.h"
#include "agent/job/tree.h"

typedef struct BuildContext {
	int folder_fd;        /* the Dockerfile's; borrowed */
	TreeOwner owner;      /* whom copies belong to */
	int64_t bytes_max;    /* of all that is copied; 0: no limit of its own */
	bool (*stopped)(void *data);
	void *data;
	/* its own */
	GPtrArray *ignored;   /* patterns */
	bool has_exceptions;  /* one of them begins with `!` */
	int64_t bytes, files;
} BuildContext;

/** Reads NAME.dockerignore, or .dockerignore. The caller has set what is not the context's own. */
bool build_context_open(BuildContext *context, const char *dockerfile, GError **error);
void build_context_clear(BuildContext *context);

/**
 * Copies what a source names to new folders below stage_fd: `N.file/NAME` for a file, `N.folder/` for what is in a folder.
 *
 * @count     the next N
 * @hash      gets what is copied: names, modes and bytes
 * Returns    false with USER when nothing matches, and when a path leaves the folder
 */
bool build_context_take(BuildContext *context, const char *source, int stage_fd, int *count, Hash *hash, GError **error);

/** Docker's patterns, matched against a path or one of the folders above it; in time proportional to both. */
bool build_pattern_matches(const char *pattern, const char *path);
