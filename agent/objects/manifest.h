/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: the bytes of a folder, of a file's list of chunks, and of the root of a tree that is one file. One value has
 * one encoding, so the id of a root is the version of all below. The reading half is a parser of foreign bytes.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/hash.h"

#define MANIFEST_NAME_BYTES_MAX 255
#define MANIFEST_LINK_BYTES_MAX 4095
#define MANIFEST_ENTRIES_MAX 1024
#define MANIFEST_LEVELS_MAX 8
#define MANIFEST_PATH_BYTES_MAX 4095

typedef enum ManifestKind {
	MANIFEST_FOLDER = 1, /* entries of a folder, sorted by the bytes of their names */
	MANIFEST_LIST = 2,   /* the chunks of one file, in order */
	MANIFEST_ROOT = 3,   /* exactly one file or link: a tree that is no folder */
} ManifestKind;

typedef enum ManifestType {
	MANIFEST_FILE = 1,
	MANIFEST_EXECUTABLE = 2,
	MANIFEST_LINK = 3,
	MANIFEST_SUBFOLDER = 4,
	MANIFEST_INNER = 5, /* a node one level below; its name is the first one in it */
	MANIFEST_CHUNK = 6,
} ManifestType;

/**
 * One entry. A file of at most CHUNK_WHOLE_BYTES has the id of its one chunk, a longer one that of its list.
 * What does not apply is NULL or 0.
 */
typedef struct ManifestEntry {
	ManifestType type;
	const char *name; /* ends with a NUL that name_len does not count */
	const char *link; /* the target, likewise */
	uint16_t name_len;
	uint16_t link_len;
	uint64_t files; /* files and links below, itself included */
	uint64_t bytes; /* of all files below */
	uint8_t id[HASH_BYTES];
} ManifestEntry;

typedef struct ManifestNode {
	ManifestKind kind;
	uint8_t level; /* 0 has the things themselves, above it are MANIFEST_INNER */
	uint32_t count;
	ManifestEntry *entries;
	uint8_t *bytes; /* what names and links point into */
} ManifestNode;

/** Reads a node; copies what it needs of bytes. SYSTEM when it is not exactly what manifest_encode() writes. */
ManifestNode *manifest_parse(const uint8_t *bytes, size_t len, GError **error);
void manifest_node_free(ManifestNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ManifestNode, manifest_node_free)

/** Appends the bytes of a node to out. */
void manifest_encode(ManifestKind kind, uint8_t level, const ManifestEntry *entries, size_t count, GByteArray *out);
/** Orders names as nodes do: by their bytes. */
int manifest_name_compare(const char *a, size_t a_len, const char *b, size_t b_len);
/** True for a name an entry may have: not empty, `.` or `..`, no slash. */
bool manifest_name_fits(const char *name, size_t len);
