/* SPDX-License-Identifier: Apache-2.0 */
/* .gitmodules and sparse patterns of strangers: no name leaves its folder, no address is another protocol's. */
#include <stdint.h>
#include <string.h>

#include "agent/job/git.h"
#include "agent/job/sparse.h"
#include "agent/job/submodules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_safe(const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	for (char **part = parts; *part; part++)
		g_assert_true(git_name_is_safe(*part));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GPtrArray) modules = submodules_read((const char *)data, size);
	for (guint i = 0; i < modules->len; i++) {
		const Submodule *one = modules->pdata[i];
		assert_safe(one->name);
		assert_safe(one->path);
		static const char *const supers[] = {"https://h/a/b.git", "file:///srv/git/b.git", "git@h:a/b.git"};
		for (size_t super = 0; super < G_N_ELEMENTS(supers); super++) {
			g_autofree char *address = submodules_address(supers[super], one->url, NULL);
			if (address)
				g_assert_true(address[0] != '-' && !strstr(address, "::") &&
				              (super == 1 || !g_str_has_prefix(address, "/")));
		}
	}
	g_autofree char *text = g_strndup((const char *)data, size);
	for (int cone = 0; cone < 2; cone++) {
		g_autoptr(Sparse) sparse = sparse_new(text, cone, NULL);
		if (sparse)
			sparse_wants(sparse, "some/folder/with/a/file.py");
	}
	return 0;
}
