/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes of a file as a pointer of Git LFS: what is taken names one object, and a size that can be asked for. */
#include "agent/job/lfs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Exactly as many bytes as there are, without a NUL behind them: a read beyond them is seen. */
	g_autofree char *bytes = g_memdup2(data, size);
	char oid[HASH_HEX_BYTES] = "";
	int64_t len = -1;
	if (lfs_read_pointer(bytes, size, oid, &len)) {
		uint8_t digest[HASH_BYTES];
		g_assert_true(hex_read(oid, digest, sizeof digest));
		g_assert_cmpint(len, >=, 0);
	} else {
		g_assert_true(!oid[0] && len == -1);
	}
	return 0;
}
