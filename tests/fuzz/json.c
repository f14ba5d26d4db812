/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what the quick reader accepts, jansson accepts too, as the same value in the same order; and the quick writer writes as it does. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/base/autoptr.h"
#include "agent/base/json_quick.h"
#include "agent/base/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare_writers(const json_t *value)
{
	g_autofree char *quick = json_write_quick(value);
	char *want = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	if (quick)
		g_assert_cmpstr(quick, ==, want);
	free(want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(json_t) any = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (any)
		compare_writers(any);
	g_autoptr(json_t) quick = json_quick((const char *)data, size);
	if (!quick)
		return 0;
	g_autoptr(json_t) slow = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL,
	        NULL);
	g_assert_nonnull(slow);
	g_assert_true(json_equal(quick, slow));
	char *got = json_dumps(quick, JSON_COMPACT | JSON_ENCODE_ANY), *want = json_dumps(slow, JSON_COMPACT | JSON_ENCODE_ANY);
	g_assert_cmpstr(got, ==, want);
	free(got);
	free(want);
	return 0;
}
