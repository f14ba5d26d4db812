/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind objects.h share. */
#pragma once

#include <glib.h>

#include "agent/objects/objects.h"
#include "agent/objects/shelf.h"

struct Objects {
	Shelf *shelf;
};

/** A name or path for a message: what is not UTF-8 is replaced. */
#define SHOWN(path) (objects_shown((path), (char[OBJECTS_SHOWN_BYTES]){0}))
#define OBJECTS_SHOWN_BYTES 512
const char *objects_shown(const char *path, char out[OBJECTS_SHOWN_BYTES]);
/** A path below a folder: "a/b", or "b" when folder is empty. The caller's. */
char *objects_join(const char *folder, const char *name);
/** Reads a digest; USER when it is not 64 hex characters. */
bool objects_read_digest(const char *digest, uint8_t out[HASH_BYTES], GError **error);
