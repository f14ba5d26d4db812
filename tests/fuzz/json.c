/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what is read quickly is read as jansson reads it. */
#include <glib.h>
#include <stdint.h>

#include "agent/base/autoptr.h"
#include "agent/base/json.h"
#include "agent/base/json_quick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	g_autoptr(json_t) ours = json_quick(text, size);
	g_autoptr(json_t) theirs = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	g_assert_true(!ours || json_equal(ours, theirs));
	return 0;
}
