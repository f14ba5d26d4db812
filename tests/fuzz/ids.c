/* SPDX-License-Identifier: Apache-2.0 */
/* /etc/subuid and its like: what is found lies within the file's own numbers, and a range that is found is one that is taken. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "executors/ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1); /* exactly so long: what is read beyond is found */
	g_assert_nonnull(text);
	if (size)
		memcpy(text, data, size);
	bool small;
	uint32_t first = ids_find(text, size, "alice", 1000, &small);
	g_assert_true(first == 0 || (uint64_t)first + IDS_BESIDES - 1 <= INT32_MAX);
	if (first)
		g_assert_true(ids_taken(text, size, true, first));
	ids_find(text, size, NULL, 0, &small);
	ids_taken(text, size, false, 100000);
	ids_mapped(text, size, 1);
	ids_mapped(text, size, 1900000000);
	free(text);
	return 0;
}
