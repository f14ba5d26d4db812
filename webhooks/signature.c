/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures. The HMAC is computed before the header is looked at, so that an absent, a malformed and a wrong signature
 * cost the same time; the comparison does not end at the first difference.
 */
#include "webhooks/signature.h"

#include <string.h>

#include "agent/base/hash.h"

bool signature_hmac_sha256(const char *given, const char *prefix, const void *body, size_t body_len,
        const void *secret, size_t secret_len)
{
	uint8_t expected[HASH_BYTES], claimed[HASH_BYTES] = {0};
	hash_hmac(secret_len ? secret : "", secret_len, body_len ? body : "", body_len, expected);
	size_t skip = strlen(prefix);
	bool shaped = given && strlen(given) == skip + 2 * HASH_BYTES && memcmp(given, prefix, skip) == 0 &&
	        hex_read(given + skip, claimed, HASH_BYTES);
	bool same = equal_constant_time(expected, claimed, HASH_BYTES);
	return shaped && same && secret_len > 0;
}
