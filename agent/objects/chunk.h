/* SPDX-License-Identifier: Apache-2.0 */
/* Content-defined cutting: where a long file is cut depends on its bytes nearby, so an insert moves few cuts. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CHUNK_BYTES_MIN (32 * 1024)
#define CHUNK_BYTES_AVERAGE (128 * 1024)
#define CHUNK_BYTES_MAX (512 * 1024)
/** A file of at most this many bytes is one chunk, whatever is in it. */
#define CHUNK_WHOLE_BYTES (128 * 1024)

/**
 * The length of the first chunk of these bytes. The cut is final when len is at least CHUNK_BYTES_MAX or the file
 * ends here; the parameters are part of the store's format.
 *
 * Source    Xia et al., FastCDC (USENIX ATC 2016): gear hash, skipped minimum, normalised chunking of level 2
 */
size_t chunk_cut(const uint8_t *bytes, size_t len);
