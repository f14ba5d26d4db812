/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content store, D/objects: trees and files as chunks in packs, named by SHA-256. Used by both halves, by many
 * processes at once, without a lock that waits: packs are written under temporary names and renamed, so nothing needs
 * repair after a kill.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Objects Objects;

/** Opens or makes the store. Thread: one handle a thread; a handle uses threads of its own to read and hash. */
Objects *objects_open(const char *folder, GError **error);
void objects_close(Objects *objects);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Objects, objects_close)

/** What a snapshot was. */
typedef struct ObjectsTree {
	char digest[65]; /* of the root manifest: the version, independent of times, owner and walk order */
	int64_t files;
	int64_t bytes;
	int64_t new_bytes; /* stored bytes that were not in the store before */
} ObjectsTree;

/**
 * Stores a file or a folder (regular files, folders, links as links; anything else is refused by name). When it
 * returns, it is durable.
 *
 * @root_fd   the folder below which `path` is found; the path cannot leave it, nor go through a link
 */
bool objects_snapshot(Objects *objects, int root_fd, const char *path, ObjectsTree *out, GError **error);
/**
 * Writes a tree below root_fd. What is there already under `path` is replaced file by file; with `exact` what does not
 * belong is removed. A tree that was one file is written as that file, or into `path` when it ends in a slash.
 */
bool objects_restore(Objects *objects, const char *digest, int root_fd, const char *path, bool exact,
        GError **error);
/** Small things (reports, statements): bytes in, digest out, and back. */
bool objects_put(Objects *objects, const void *bytes, size_t len, char out_digest[65], GError **error);
GBytes *objects_get(Objects *objects, const char *digest, size_t limit_bytes, GError **error);
/** One file of a tree, by its path in it. */
GBytes *objects_get_file(Objects *objects, const char *tree, const char *path, size_t limit_bytes, GError **error);
/** Every file of a tree: [{"path","mode","bytes","digest"|"link"}], sorted by path. ABSENT when a part is missing. */
json_t *objects_list(Objects *objects, const char *digest, GError **error);
/** What objects_walk() meets. */
typedef struct ObjectsEntry {
	const char *path; /* in the tree */
	const char *link; /* its target; NULL: no link */
	bool is_folder;
	bool is_executable;
	int64_t bytes;    /* of a file */
} ObjectsEntry;

/** Who is told; false ends the walk. */
typedef struct ObjectsWalk {
	bool (*entry)(const ObjectsEntry *entry, void *data, GError **error);
	bool (*piece)(const uint8_t *bytes, size_t len, void *data, GError **error); /* of the file that came last, in order */
	void *data;
} ObjectsWalk;

/** Reads a tree in order, a folder before what is in it; memory does not grow with the tree. ABSENT when a part is missing. */
bool objects_walk(Objects *objects, const char *digest, const ObjectsWalk *walk, GError **error);
/** {"added":[{path,bytes}],"removed":[…],"changed":[{"path","bytes","bytes_before"}]}. */
json_t *objects_diff(Objects *objects, const char *from, const char *to, GError **error);
/** full: reads and hashes every stored byte. Out: {"packs","chunks","bytes","bad":[…]}; false when something is bad. */
bool objects_verify(Objects *objects, bool full, json_t **out, GError **error);
