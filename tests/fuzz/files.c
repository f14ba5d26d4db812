/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of files: the first line is the pattern, the rest the path; `**` is compared with trying everything. */
#include "agent/job/files.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PARTS_MAX 9

static bool try_all(char **pattern, char **path)
{
	if (!*pattern || !*path)
		return !*pattern && !*path;
	if (strcmp(*pattern, "**") != 0)
		return files_match(*pattern, *path) && try_all(pattern + 1, path + 1);
	if (!pattern[1])
		return true;
	for (; *path; path++)
		if (try_all(pattern + 1, path))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *pattern = g_strndup((const char *)data, size);
	char *path = strchr(pattern, '\n');
	if (!path)
		return 0;
	*path++ = '\0';
	bool fits = files_match(pattern, path);
	g_autofree char *fixed = files_fixed_part(pattern);
	g_assert_true(g_str_has_prefix(pattern, fixed) && strcspn(fixed, "*?[") == strlen(fixed));
	g_auto(GStrv) patterns = g_strsplit(pattern, "/", -1);
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	if (*patterns && *parts && g_strv_length(patterns) <= PARTS_MAX && g_strv_length(parts) <= PARTS_MAX)
		g_assert_true(fits == try_all(patterns, parts));
	return 0;
}
