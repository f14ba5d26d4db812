/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what is read and written quickly is read and written as jansson does it. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

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
	for (int sorted = 0; theirs && sorted < 2; sorted++) {
		size_t len = 0;
		g_autofree char *line = json_quick_text(theirs, sorted, &len);
		char *raw = json_dumps(theirs, JSON_COMPACT | JSON_ENCODE_ANY | (sorted ? JSON_SORT_KEYS : 0));
		g_assert_true(!line || strcmp(line, raw) == 0);
		free(raw);
	}
	return 0;
}
