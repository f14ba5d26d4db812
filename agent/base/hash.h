/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and HMAC by libcrypto (it uses the CPU's SHA instructions), hex, constant-time compare. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32
#define HASH_HEX_BYTES 65 /* with the final NUL */

/** A SHA-256 under way. */
typedef struct Hash Hash;
Hash *hash_new(void);
void hash_update(Hash *hash, const void *bytes, size_t len);
/** Writes the digest and makes the hash ready for the next message. */
void hash_final(Hash *hash, uint8_t out[HASH_BYTES]);
void hash_free(Hash *hash);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Hash, hash_free)

/** SHA-256 of one message. Thread: any; each keeps a context of its own. */
void hash_bytes(const void *bytes, size_t len, uint8_t out[HASH_BYTES]);
/** The same as 64 lower-case hex characters; the caller's. */
char *hash_bytes_hex(const void *bytes, size_t len);
/** HMAC-SHA-256 (RFC 2104). */
void hash_hmac(const void *key, size_t key_len, const void *bytes, size_t len, uint8_t out[HASH_BYTES]);

/** Writes 2 * len lower-case hex characters and a NUL. */
void hex_write(const uint8_t *bytes, size_t len, char *out);
/** Reads exactly 2 * len hex characters of either case; false when text is anything else. */
bool hex_read(const char *text, uint8_t *out, size_t len);

/** Compares without telling by its time where two strings differ. */
bool equal_constant_time(const void *a, const void *b, size_t len);
/** Fills bytes from the kernel's generator. Never fails on a kernel we run on. */
void random_bytes(void *bytes, size_t len);
/** A new random token of `bytes` random bytes in unpadded URL-safe base64; the caller's. */
char *random_token(size_t bytes);
