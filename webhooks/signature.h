/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC and token checks over the raw body, in constant time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * Is `given` the HMAC-SHA-256 of the body under this secret, in hex behind `prefix`?
 *
 * @given    the header's value; NULL is false
 * @prefix   "sha256=" or ""
 * Returns   false also for an empty secret: a hook without a secret proves nothing
 */
bool signature_hmac_sha256(const char *given, const char *prefix, const void *body, size_t body_len,
        const void *secret, size_t secret_len);
