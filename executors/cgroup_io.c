/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel limits by whole disks, and a file system is often on a part of one. /sys/dev/block/MAJOR:MINOR leads to the
 * folder of the device, that of a part lies in its disk's. A file system of several disks has a number that is in no such
 * list; to limit one of its disks would be a limit in name only, so it is none.
 */
#include "executors/cgroup_io.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/fd.h"

#define BLOCKS "/sys/dev/block"
#define NUMBER_BYTES_MAX 64

char *cgroup_io_disk(const char *blocks, dev_t device)
{
	g_autofree char *number = g_strdup_printf("%u:%u", major(device), minor(device));
	g_autofree char *folder = g_build_filename(blocks, number, NULL);
	g_autofree char *part = g_build_filename(folder, "partition", NULL);
	if (access(folder, F_OK) != 0)
		return NULL;
	if (access(part, F_OK) != 0)
		return g_steal_pointer(&number);
	g_autofree char *path = g_build_filename(folder, "..", "dev", NULL); /* folder is a link, so this is the disk's */
	g_autoptr(GBytes) bytes = fd_read_file(path, NUMBER_BYTES_MAX, NULL);
	gsize len = 0;
	const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	return len > 0 ? g_strstrip(g_strndup(text, len)) : NULL;
}

static void append(GString *order, const char *what, int64_t bytes)
{
	if (bytes > 0)
		g_string_append_printf(order, " %s=%" G_GINT64_FORMAT, what, bytes);
}

bool cgroup_io_limit(const char *group, const char *folder, int64_t read, int64_t write_bytes, const char **out_why)
{
	struct stat info;
	g_autofree char *disk = stat(folder, &info) == 0 ? cgroup_io_disk(BLOCKS, info.st_dev) : NULL;
	*out_why = "the data folder is on no disk that can be limited (but in memory, on an overlay, or on several disks)";
	if (!disk)
		return false;
	GString *order = g_string_new(disk);
	append(order, "rbps", read);
	append(order, "wbps", write_bytes);
	g_autofree char *text = g_string_free(order, FALSE);
	g_autofree char *path = g_build_filename(group, "io.max", NULL);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	*out_why = "the kernel takes no limit for the disk that the data folder is on";
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}
