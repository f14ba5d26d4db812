/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of Git LFS from a remote over HTTP: the batch API with the basic transfer. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/hash.h"

typedef struct LfsRemote {
	const char *url;   /* of the repository: http or https */
	const char *user;
	const char *token; /* NULL: none */
	bool (*stopped)(void *data); /* asked often; true ends it */
	void *stopped_data;
} LfsRemote;

/** Takes the next bytes of the object. */
typedef bool (*LfsPiece)(const void *bytes, size_t len, void *data, GError **error);

/**
 * Reads what stands in git instead of an object: "version https://git-lfs.github.com/spec/v1\noid sha256:HEX\nsize N\n".
 *
 * Returns   false for any other bytes; they are then the file itself
 */
bool lfs_read_pointer(const char *bytes, size_t len, char out_oid[HASH_HEX_BYTES], int64_t *out_size);
/** Is it a remote that lfs_fetch() can ask? */
bool lfs_is_http(const char *url);
/**
 * Fetches one object. Its bytes are counted here, and their digest is the caller's to check.
 *
 * Returns   false with ABSENT (the server has none), DENIED (credentials), REMOTE; the caller says which object it was
 */
bool lfs_fetch(const LfsRemote *remote, const char *oid, int64_t size, LfsPiece piece, void *data, GError **error);
