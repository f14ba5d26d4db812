/* SPDX-License-Identifier: Apache-2.0 */
/* A layer unpacked in a folder: whatever it is, nothing beside the folder changes, and nothing privileged is in it. */
#include <fcntl.h>
#include <ftw.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "agent/base/fd.h"
#include "executors/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *root; /* canary beside `layer` */

static int look(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
	(void)kind;
	(void)walk;
	g_assert_true(S_ISREG(info->st_mode) || S_ISDIR(info->st_mode) || S_ISLNK(info->st_mode) ||
	              (S_ISCHR(info->st_mode) && info->st_rdev == makedev(0, 0)));
	g_assert_false(info->st_mode & (S_ISUID | S_ISGID));
	char value[8];
	g_assert_cmpint(lgetxattr(path, "security.capability", value, sizeof value), <, 0);
	g_assert_cmpint(lgetxattr(path, "user.overlay.redirect", value, sizeof value), <, 0);
	g_assert_cmpint(lgetxattr(path, "user.overlay.metacopy", value, sizeof value), <, 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const UnpackLimits limits = {.entries = 2000, .bytes = 4 << 20, .ratio = 100, .ratio_from = 1 << 20};
	if (!root) {
		const char *memory = g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : g_get_tmp_dir();
		setlocale(LC_CTYPE, "C.UTF-8");
		root = g_build_filename(memory, "assay-fuzz-layer-XXXXXX", NULL);
		g_assert_nonnull(g_mkdtemp(root));
		g_autofree char *canary = g_build_filename(root, "canary", NULL);
		g_assert_true(g_file_set_contents(canary, "alive", -1, NULL));
	}
	g_autofree char *folder = g_build_filename(root, "layer", NULL);
	g_autofree char *canary = g_build_filename(root, "canary", NULL);
	g_assert_true(fd_make_folder(folder, 0755, NULL));
	autofd int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int blob = fd_sealed("layer", data, size, NULL);
	UnpackEnd end;
	if (unpack_layer(blob, folder_fd, &limits, &end, NULL))
		g_assert_true(strlen(end.diff_id) == 71 && end.entries <= limits.entries && end.bytes <= limits.bytes);
	g_assert_cmpint(nftw(folder, look, 16, FTW_PHYS), ==, 0);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(canary, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "alive");
	g_assert_true(fd_remove_tree(folder, NULL));
	return 0;
}
