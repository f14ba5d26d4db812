/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of a sparse checkout: the first byte says whether they are folders; behind a line "--" stand paths to ask for. */
#include "agent/job/sparse.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	bool cone = data[0] & 1;
	g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
	char *paths = strstr(text, "\n--\n");
	if (paths) {
		*paths = '\0';
		paths += strlen("\n--\n");
	}
	g_autoptr(GError) error = NULL;
	g_autoptr(Sparse) sparse = sparse_new(text, cone, &error);
	g_assert_true((sparse != NULL) == (error == NULL));
	if (!sparse)
		return 0;
	g_assert_nonnull(sparse_text(sparse));
	g_auto(GStrv) all = g_strsplit(paths ? paths : "a/b", "\n", 20);
	for (char **path = all; *path; path++) {
		bool wanted = sparse_wants(sparse, *path);
		g_assert_true(wanted || !cone || strchr(*path, '/')); /* files of the root are in every cone */
	}
	return 0;
}
