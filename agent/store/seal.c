/* SPDX-License-Identifier: Apache-2.0 */
/* Seals secrets. libsodium does the mathematics; this file decides what a sealed value is bound to. */
#include "agent/store/seal.h"

#include <sodium.h>
#include <string.h>

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES

/* "assay.seal.1", repo, environment and name, each ended by a NUL, which none of them can contain. */
static GByteArray *identity(int64_t repo, const char *environment, const char *name)
{
	g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, repo);
	const char *parts[] = {"assay.seal.1", number, environment ? environment : "", name};
	GByteArray *bytes = g_byte_array_new();
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		g_byte_array_append(bytes, (const guint8 *)parts[i], (guint)strlen(parts[i]) + 1);
	return bytes;
}

GBytes *seal(Store *store, int64_t repo, const char *environment, const char *name, const void *value, size_t len)
{
	g_autoptr(GByteArray) bound = identity(repo, environment, name);
	uint8_t *out = g_malloc(NONCE_BYTES + len + TAG_BYTES);
	unsigned long long written = 0;
	randombytes_buf(out, NONCE_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE_BYTES, &written, value, len, bound->data, bound->len,
	        NULL, out, store->key);
	return g_bytes_new_take(out, NONCE_BYTES + (size_t)written);
}

GBytes *seal_open(Store *store, int64_t repo, const char *environment, const char *name, const void *sealed,
        size_t len)
{
	if (!sealed || len < NONCE_BYTES + TAG_BYTES)
		return NULL;
	g_autoptr(GByteArray) bound = identity(repo, environment, name);
	size_t room = len - NONCE_BYTES - TAG_BYTES;
	uint8_t *plain = sodium_malloc(room ? room : 1);
	if (!plain)
		return NULL;
	unsigned long long written = 0;
	const uint8_t *nonce = sealed;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &written, NULL, nonce + NONCE_BYTES, len - NONCE_BYTES,
	            bound->data, bound->len, nonce, store->key) != 0) {
		sodium_free(plain);
		return NULL;
	}
	return g_bytes_new_with_free_func(plain, (size_t)written, sodium_free, plain);
}
