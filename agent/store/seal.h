/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes sealed with the store's key and bound to where they are kept. Not for other folders. */
#pragma once

#include "agent/store/sql.h"

/**
 * Nonce and XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) of value. What it is bound to (repo, environment, name)
 * must be the same when it is opened: a sealed value that was moved to another row does not open.
 */
GBytes *seal(Store *store, int64_t repo, const char *environment, const char *name, const void *value, size_t len);
/** Opens; NULL when the key is another, or the bytes were changed or moved. The memory is wiped when it is freed. */
GBytes *seal_open(Store *store, int64_t repo, const char *environment, const char *name, const void *sealed,
        size_t len);
