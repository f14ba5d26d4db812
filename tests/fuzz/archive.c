/* SPDX-License-Identifier: Apache-2.0 */
/* Archives: whatever the bytes are, nothing appears outside of the folder, and the limits hold. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/fd.h"
#include "agent/job/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *keep_name(void *data, const char *name, GError **error)
{
	(void)data;
	(void)error;
	return archive_clean_name(name[0] == '/' ? name + 1 : name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/tmp/assay-fuzz-archive-XXXXXX";
	if (size < 1 || !mkdtemp(path))
		return 0;
	g_autofree char *inside = g_build_filename(path, "in", NULL);
	g_assert_true(mkdir(inside, 0700) == 0);
	autofd int folder = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int fd = memfd_create("archive", MFD_CLOEXEC);
	g_assert_true(folder >= 0 && fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
	lseek(fd, 0, SEEK_SET);
	bool tar = data[0] % 2;
	const ArchiveLimits limits = {.files = 100, .bytes = 1 << 20};
	bool good = archive_unpack(fd, tar ? ARCHIVE_TAR : ARCHIVE_ZIP, limits, folder, tar ? keep_name : NULL, NULL, NULL);
	if (good) { /* what was unpacked can be packed */
		autofd int out = memfd_create("again", MFD_CLOEXEC);
		archive_pack(folder, tar ? ARCHIVE_TAR : ARCHIVE_ZIP, false, out, NULL, NULL, NULL);
	}
	g_autoptr(GDir) beside = g_dir_open(path, 0, NULL);
	int count = 0;
	while (g_dir_read_name(beside))
		count++;
	g_assert_cmpint(count, ==, 1);
	fd_remove_tree(path, NULL);
	return 0;
}
