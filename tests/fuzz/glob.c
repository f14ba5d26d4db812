/* SPDX-License-Identifier: Apache-2.0 */
/* Filter patterns of strangers: the first line is the pattern, the rest the text. */
#include "agent/model/glob.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *pattern = g_strndup((const char *)data, size);
	char *text = strchr(pattern, '\n');
	if (!text)
		return 0;
	*text++ = '\0';
	bool matched = glob_matches(pattern, text);
	const char *const list[] = {"**", pattern, NULL};
	bool listed = glob_list_matches(list, text);
	g_assert_true(listed || pattern[0] == '!' || !g_utf8_validate(text, -1, NULL));
	(void)matched;
	return 0;
}
