/* SPDX-License-Identifier: Apache-2.0 */
/* Times and sizes as people write them: what is taken is not negative and has not wrapped around. */
#include "ml-steps/numbers.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	int64_t got = -1;
	g_autoptr(GError) no_time = NULL;
	g_autoptr(GError) no_size = NULL;
	g_assert_true(duration_parse(text, &got, &no_time) == (no_time == NULL));
	g_assert_true(no_time || got >= 0);
	got = -1;
	g_assert_true(size_parse(text, &got, &no_size) == (no_size == NULL));
	g_assert_true(no_size || got >= 0);
	return 0;
}
