/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes. libcrypto's EVP interface is five times faster than GLib's or libsodium's here, if the
 * digest is fetched once and the context kept: so each thread keeps one. It is loaded with the first hash: a hundred pages of it are a
 * process's own, and clones of one that waits would copy them for nothing (docs/decisions/0199).
 */
#include "agent/base/hash.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/random.h>

#include "agent/base/autoptr.h"
#include "agent/base/library.h"
#include "agent/base/log.h"

#define CALLS(C) \
	C(CRYPTO_memcmp) C(EVP_DigestFinal_ex) C(EVP_DigestInit_ex2) C(EVP_DigestUpdate) C(EVP_MD_CTX_free) C(EVP_MD_CTX_new) \
	C(EVP_MD_fetch) C(EVP_sha256) C(HMAC)
#define FIELD(name) __typeof__(&name) name;
typedef struct Crypto {
	CALLS(FIELD)
} Crypto;
#undef FIELD

/* Without it there is nothing that can be trusted, so nothing goes on. */
static const Crypto *crypto(void)
{
	static Crypto loaded;
	static gsize done = 0;
	if (g_once_init_enter(&done)) {
#define SYMBOL(name) {#name, &loaded.name},
		static const LibrarySymbol symbols[] = {CALLS(SYMBOL)};
#undef SYMBOL
		g_autoptr(GError) error = NULL;
		if (!library_load("libcrypto.so.3", "libssl3", symbols, G_N_ELEMENTS(symbols), &error)) {
			log_error("cannot hash, ending", KV("why", error->message));
			abort();
		}
		g_once_init_leave(&done, 1);
	}
	return &loaded;
}

struct Hash {
	EVP_MD_CTX *context;
};

static const EVP_MD *sha256(void)
{
	static gsize digest = 0;
	if (g_once_init_enter(&digest)) {
		EVP_MD *fetched = crypto()->EVP_MD_fetch(NULL, "SHA256", NULL);
		g_assert(fetched);
		g_once_init_leave(&digest, (gsize)fetched);
	}
	return (const EVP_MD *)digest;
}

Hash *hash_new(void)
{
	Hash *hash = g_new0(Hash, 1);
	hash->context = crypto()->EVP_MD_CTX_new();
	g_assert(hash->context);
	g_assert(crypto()->EVP_DigestInit_ex2(hash->context, sha256(), NULL));
	return hash;
}

void hash_update(Hash *hash, const void *bytes, size_t len)
{
	g_assert(crypto()->EVP_DigestUpdate(hash->context, bytes, len));
}

void hash_final(Hash *hash, uint8_t out[HASH_BYTES])
{
	g_assert(crypto()->EVP_DigestFinal_ex(hash->context, out, NULL));
	g_assert(crypto()->EVP_DigestInit_ex2(hash->context, NULL, NULL));
}

void hash_free(Hash *hash)
{
	if (!hash)
		return;
	crypto()->EVP_MD_CTX_free(hash->context);
	g_free(hash);
}

static void free_context(void *hash)
{
	hash_free(hash);
}

static GPrivate thread_hash = G_PRIVATE_INIT(free_context);

void hash_bytes(const void *bytes, size_t len, uint8_t out[HASH_BYTES])
{
	Hash *hash = g_private_get(&thread_hash);
	if (!hash) {
		hash = hash_new();
		g_private_set(&thread_hash, hash);
	}
	hash_update(hash, bytes, len);
	hash_final(hash, out);
}

char *hash_bytes_hex(const void *bytes, size_t len)
{
	uint8_t digest[HASH_BYTES];
	hash_bytes(bytes, len, digest);
	char *text = g_malloc(HASH_HEX_BYTES);
	hex_write(digest, HASH_BYTES, text);
	return text;
}

void hash_hmac(const void *key, size_t key_len, const void *bytes, size_t len, uint8_t out[HASH_BYTES])
{
	g_assert(key_len <= INT32_MAX);
	g_assert(crypto()->HMAC(crypto()->EVP_sha256(), key, (int)key_len, bytes, len, out, NULL));
}

void hex_write(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

bool hex_read(const char *text, uint8_t *out, size_t len)
{
	if (!text || strlen(text) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = g_ascii_xdigit_value(text[2 * i]);
		int low = g_ascii_xdigit_value(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool equal_constant_time(const void *a, const void *b, size_t len)
{
	return crypto()->CRYPTO_memcmp(a, b, len) == 0;
}

void random_bytes(void *bytes, size_t len)
{
	uint8_t *at = bytes;
	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);
		if (got < 0) {
			g_assert(errno == EINTR);
			continue;
		}
		at += got;
		len -= (size_t)got;
	}
}

char *random_token(size_t bytes)
{
	g_autofree uint8_t *raw = g_malloc(bytes);
	random_bytes(raw, bytes);
	char *text = g_base64_encode(raw, bytes);
	g_strdelimit(text, "+", '-');
	g_strdelimit(text, "/", '_');
	char *padding = strchr(text, '=');
	if (padding)
		*padding = '\0';
	return text;
}
