/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk is by descriptors and follows no link; a job may change its tree under our feet, so what is gone is not
 * counted and nothing is an error.
 */
#include "agent/job/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"

#define SHARE_OF_TIME 20
#define DEPTH_MAX 200 /* descriptors; what lies deeper is not counted */
#define BLOCK_BYTES 512
#define RESERVE_SHARE 20 /* of the disk: that much shall stay free ... */
#define RESERVE_BYTES_MAX (G_GINT64_CONSTANT(1) << 30)
#define RESERVE_FILES_SHARE 20
#define MIB (1024 * 1024)
#define PLENTY_BYTES (G_GINT64_CONSTANT(16) << 30) /* with less, it is looked at more often: nobody writes that in a second */
#define PLENTY_FILES 500000
#define SOON_US 100000

typedef struct Walk {
	DiskUse use;
	int64_t bytes_max, files_max;
	bool shut; /* a folder was */
} Walk;

static bool (*other)(int folder_fd, int64_t bytes_max, int64_t files_max, DiskUse *out);

void disk_set_other(bool (*measure)(int folder_fd, int64_t bytes_max, int64_t files_max, DiskUse *out))
{
	other = measure;
}

static bool is_enough(const Walk *walk)
{
	return (walk->bytes_max > 0 && walk->use.bytes > walk->bytes_max) ||
	       (walk->files_max > 0 && walk->use.files > walk->files_max);
}

/* Takes the descriptor. */
static void add_folder(Walk *walk, int fd, int depth)
{
	DIR *folder = fdopendir(fd);
	if (!folder) {
		close(fd);
		return;
	}
	for (struct dirent *entry; !is_enough(walk) && (entry = readdir(folder));) {
		struct stat info;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		        fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		walk->use.files++;
		walk->use.bytes += (int64_t)info.st_blocks * BLOCK_BYTES / (S_ISDIR(info.st_mode) ? 1 : MAX(info.st_nlink, 1));
		if (!S_ISDIR(info.st_mode) || depth >= DEPTH_MAX)
			continue;
		int below = openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			add_folder(walk, below, depth + 1);
		else
			walk->shut = walk->shut || errno == EACCES;
	}
	closedir(folder);
}

DiskUse disk_measure(int folder_fd, int64_t bytes_max, int64_t files_max)
{
	Walk walk = {.bytes_max = bytes_max, .files_max = files_max};
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		add_folder(&walk, fd, 0);
	DiskUse all;
	if (walk.shut && other && !is_enough(&walk) && other(folder_fd, bytes_max, files_max, &all))
		return all;
	return walk.use;
}

/* Is the disk nearly full, and are we a good part of why? */
static char *look_at_reserve(int folder_fd, bool *out_plenty)
{
	struct statvfs disk;
	*out_plenty = true;
	if (fstatvfs(folder_fd, &disk) < 0 || disk.f_blocks == 0)
		return NULL;
	*out_plenty = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize > PLENTY_BYTES &&
	              (disk.f_files == 0 || disk.f_favail > PLENTY_FILES);
	int64_t size = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
	int64_t reserve = MIN(size / RESERVE_SHARE, RESERVE_BYTES_MAX);
	int64_t reserve_files = (int64_t)disk.f_files / RESERVE_FILES_SHARE; /* 0: this file system has no such limit */
	bool full = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize < reserve;
	bool out_of_files = reserve_files > 0 && (int64_t)disk.f_favail < reserve_files;
	if (!full && !out_of_files)
		return NULL;
	DiskUse use = disk_measure(folder_fd, full ? reserve : 0, out_of_files ? reserve_files : 0);
	if (full && use.bytes > reserve)
		return g_strdup_printf("the disk is nearly full, and the job's folders hold more than %" G_GINT64_FORMAT
		        " MiB of it; write less, or give the machine more disk", reserve / MIB);
	if (out_of_files && use.files > reserve_files)
		return g_strdup_printf("the disk has nearly no room for further files, and the job's folders hold more than "
		        "%" G_GINT64_FORMAT " of them; make fewer", reserve_files);
	return NULL;
}

char *disk_look(DiskWatch *watch, int folder_fd, int64_t limit_bytes, int64_t now_us)
{
	if (now_us < watch->next_us)
		return NULL;
	bool plenty;
	char *why = look_at_reserve(folder_fd, &plenty);
	if (!why && limit_bytes > 0) {
		DiskUse use = disk_measure(folder_fd, limit_bytes, 0);
		if (use.bytes > limit_bytes)
			why = g_strdup_printf("the job's folders hold more than %" G_GINT64_FORMAT
			        " MiB, its limit of disk space (limits.job_disk)", limit_bytes / MIB);
	}
	int64_t after = monotonic_us();
	watch->next_us = after + MAX(plenty ? DISK_LOOK_US : SOON_US, (after - now_us) * SHARE_OF_TIME);
	return why;
}
