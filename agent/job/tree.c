/* SPDX-License-Identifier: Apache-2.0 */
/* Safe ways into folders of strangers. Descriptors and names only; a path string is never opened as it is. */
#include "agent/job/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"

#define DEPTH_MAX 256
#define FRESH_BYTES_MAX 4096 /* of a folder itself: what had many entries is slow for ever */
#define ENTRIES_BYTES 4096   /* of a folder, read at once */
#define COPY_STEP_BYTES (1024 * 1024 * 1024)

static void close_folder(DIR *folder)
{
	if (folder)
		closedir(folder);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DIR, close_folder)

bool tree_remove(int folder_fd, const char *name, GError **error)
{
	if (unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT)
		return true;
	/* The folder's descriptor stands for its path, so that nobody can put a link in the way. */
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d/%s", folder_fd, name);
	if (fd_remove_tree(path, error))
		return true;
	g_prefix_error(error, "%s: ", name);
	return false;
}

/* Whom it belongs to, who may enter, how large it has grown and what hangs on it: all as in a folder just made? */
static bool is_fresh(int fd, TreeOwner owner)
{
	static const unsigned long plain = FS_EXTENT_FL | FS_INDEX_FL | FS_INLINE_DATA_FL | FS_RESERVED_FL;
	uid_t uid = owner.change ? owner.uid : geteuid();
	struct stat info;
	char names[256];
	long flags = 0;
	if (fstat(fd, &info) < 0 || info.st_uid != uid || (info.st_mode & 07777) != 0755 || info.st_size > FRESH_BYTES_MAX)
		return false;
	ssize_t len = flistxattr(fd, names, sizeof names);
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		if (!g_str_has_prefix(names + at, "security.")) /* the system's own labels */
			return false;
	if (len < 0 && errno != EOPNOTSUPP)
		return false;
	return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || ((unsigned long)flags & ~plain) == 0;
}

/* One folder in the walk. By hand and not by readdir(): that is three calls and 32 KiB more for each of a job's folders. */
typedef struct Strip {
	const char *const *keep;
	const TreeOwner *owner; /* NULL: kept folders stay as they have become */
	bool looks;             /* nothing is removed: what would be is a failure, without an error */
} Strip;

static bool strip(const Strip *all, int parent_fd, const char *name, const char *path, GError **error);

static bool strip_entry(const Strip *all, int fd, const char *name, const char *path, GError **error)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return true;
	g_autofree char *inner = path[0] ? g_strconcat(path, "/", name, NULL) : g_strdup(name);
	if (g_strv_contains(all->keep, inner))
		return strip(all, fd, name, inner, error);
	return !all->looks && tree_remove(fd, name, error);
}

static bool strip(const Strip *all, int parent_fd, const char *name, const char *path, GError **error)
{
	autofd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || (!all->looks && tree_remove(parent_fd, name, error));
	if (all->owner && !is_fresh(fd, *all->owner))
		return tree_remove(parent_fd, name, error);
	_Alignas(struct dirent64) char entries[ENTRIES_BYTES];
	for (;;) {
		ssize_t len = getdents64(fd, entries, sizeof entries);
		if (len <= 0)
			return len == 0 || (!all->looks && fail_errno(error, errno, "cannot read the folder %s", name));
		for (ssize_t at = 0; at < len;) {
			const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
			at += entry->d_reclen;
			if (!strip_entry(all, fd, entry->d_name, path, error))
				return false;
		}
	}
}

bool tree_strip(int parent_fd, const char *name, const char *const *keep, const TreeOwner *owner, GError **error)
{
	const Strip all = {.keep = keep, .owner = owner};
	return strip(&all, parent_fd, name, "", error);
}

bool tree_is_stripped(int parent_fd, const char *name, const char *const *keep)
{
	const Strip all = {.keep = keep, .looks = true};
	return strip(&all, parent_fd, name, "", NULL);
}

static int make_one(int parent_fd, const char *name, TreeOwner owner, GError **error)
{
	for (int tries = 0; tries < 3; tries++) {
		autofd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			return fd_steal(&fd); /* most are there */
		if (errno == ENOTDIR || errno == ELOOP) {
			if (!tree_remove(parent_fd, name, error))
				return -1;
		} else if (errno != ENOENT) {
			break;
		}
		if (mkdirat(parent_fd, name, 0755) < 0) {
			if (errno != EEXIST)
				break;
			continue;
		}
		fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fchmod(fd, 0755) < 0 || (owner.change && fchown(fd, owner.uid, owner.gid) < 0))
			break;
		return fd_steal(&fd);
	}
	fail_errno(error, errno, "cannot make the folder %s", name);
	return -1;
}

int tree_make_folder(int root_fd, const char *path, TreeOwner owner, GError **error)
{
	autofd int fd = -1; /* -1: still at the root */
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	for (char **name = names; *name; name++) {
		if (!(*name)[0] || strcmp(*name, ".") == 0)
			continue;
		if (strcmp(*name, "..") == 0) {
			fail(error, ASSAY_ERROR_DENIED, "%s: the path leaves its folder", path);
			return -1;
		}
		int next = make_one(fd < 0 ? root_fd : fd, *name, owner, error);
		if (next < 0)
			return -1;
		if (fd >= 0)
			close(fd);
		fd = next;
	}
	if (fd < 0)
		fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fail_errno(error, errno, "cannot open a folder");
	return fd_steal(&fd);
}

int tree_create_file(int folder_fd, const char *name, mode_t mode, TreeOwner owner, GError **error)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	autofd int fd = openat(folder_fd, name, flags, 0600);
	if (fd < 0 && errno == EEXIST) {
		if (!tree_remove(folder_fd, name, error))
			return -1;
		fd = openat(folder_fd, name, flags, 0600);
	}
	if (fd < 0 || (owner.change && fchown(fd, owner.uid, owner.gid) < 0) || fchmod(fd, mode) < 0) {
		fail_errno(error, errno, "cannot create %s", name);
		return -1;
	}
	return fd_steal(&fd);
}

bool tree_write_file(int folder_fd, const char *name, const void *bytes, size_t len, mode_t mode, TreeOwner owner,
        GError **error)
{
	autofd int fd = tree_create_file(folder_fd, name, mode, owner, error);
	return fd >= 0 && fd_write_all(fd, bytes, len, name, error);
}

GBytes *tree_read_file(int folder_fd, const char *path, size_t limit_bytes, GError **error)
{
	autofd int fd = fd_open_beneath(folder_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, false, error);
	if (fd < 0)
		return NULL;
	struct stat info;
	if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
		fail(error, ASSAY_ERROR_USER, "%s: not a regular file", path);
		return NULL;
	}
	return fd_read_all(fd, limit_bytes, path, error);
}

/* A stream over a folder's entries, from the begin. */
static DIR *open_entries(int folder_fd, GError **error)
{
	int copy = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	if (!entries) {
		fail_errno(error, errno, "cannot read a folder");
		if (copy >= 0)
			close(copy);
	}
	return entries;
}

static struct dirent *next_entry(DIR *entries)
{
	struct dirent *entry;
	while ((entry = readdir(entries)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			break;
	return entry;
}

bool tree_empty(int folder_fd, const char *keep, GError **error)
{
	g_autoptr(DIR) entries = open_entries(folder_fd, error);
	if (!entries)
		return false;
	for (struct dirent *entry; (entry = next_entry(entries));)
		if (g_strcmp0(entry->d_name, keep) != 0 && !tree_remove(folder_fd, entry->d_name, error))
			return false;
	return true;
}

static bool give(int folder_fd, const char *name, TreeOwner owner, int depth, GError **error)
{
	if (fchownat(folder_fd, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || fail_errno(error, errno, "cannot give %s to the job's user", name);
	autofd int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return true; /* not a folder */
	if (depth > DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s: folders nested deeper than %d", name, DEPTH_MAX);
	g_autoptr(DIR) entries = open_entries(fd, error);
	if (!entries)
		return false;
	for (struct dirent *entry; (entry = next_entry(entries));)
		if (!give(fd, entry->d_name, owner, depth + 1, error))
			return false;
	return true;
}

bool tree_give(int folder_fd, const char *name, TreeOwner owner, GError **error)
{
	return !owner.change || give(folder_fd, name, owner, 0, error);
}

static bool copy_bytes(int from, int to, const char *name, GError **error)
{
	if (ioctl(to, FICLONE, from) == 0)
		return true;
	for (;;) {
		ssize_t moved = copy_file_range(from, NULL, to, NULL, COPY_STEP_BYTES, 0);
		if (moved == 0)
			return true;
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0)
			break;
	}
	if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return fail_errno(error, errno, "cannot copy %s", name);
	g_autofree char *buffer = g_malloc(256 * 1024);
	for (ssize_t got; (got = read(from, buffer, 256 * 1024)) != 0;) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(error, errno, "cannot read %s", name);
		if (!fd_write_all(to, buffer, (size_t)got, name, error))
			return false;
	}
	return true;
}

static bool copy_link(int from_fd, int to_fd, const char *name, TreeOwner owner, GError **error)
{
	char target[4096];
	ssize_t len = readlinkat(from_fd, name, target, sizeof target - 1);
	if (len < 0)
		return fail_errno(error, errno, "cannot read the link %s", name);
	target[len] = '\0';
	if (!tree_remove(to_fd, name, error))
		return false;
	if (symlinkat(target, to_fd, name) < 0 ||
	        (owner.change && fchownat(to_fd, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0))
		return fail_errno(error, errno, "cannot make the link %s", name);
	return true;
}

bool tree_link(int from_fd, const char *path, int to_fd, const char *as, GError **error)
{
	g_autofree char *from_folder = g_path_get_dirname(path);
	g_autofree char *from_name = g_path_get_basename(path);
	g_autofree char *to_folder = g_path_get_dirname(as);
	g_autofree char *to_name = g_path_get_basename(as);
	autofd int from = fd_open_beneath(from_fd, from_folder, O_RDONLY | O_DIRECTORY, 0, false, error);
	autofd int to = from < 0 ? -1 : tree_make_folder(to_fd, to_folder, (TreeOwner){0}, error);
	if (to < 0)
		return false;
	if (linkat(from, from_name, to, to_name, 0) == 0)
		return true;
	struct stat info;
	if (fstatat(from, from_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_errno(error, errno, "cannot read %s", path);
	if (S_ISLNK(info.st_mode))
		return copy_link(from, to, to_name, (TreeOwner){0}, error);
	autofd int source = fd_open_beneath(from, from_name, O_RDONLY | O_NONBLOCK, 0, false, error);
	autofd int copy = source < 0 ? -1 : tree_create_file(to, to_name, info.st_mode & 0777, (TreeOwner){0}, error);
	return copy >= 0 && copy_bytes(source, copy, path, error);
}

typedef struct CopyTask {
	TreeOwner owner;
	bool has_skip;
	dev_t skip_device;
	ino_t skip_inode;
} CopyTask;

static bool copy_entries(const CopyTask *task, int from_fd, int to_fd, int depth, GError **error)
{
	g_autoptr(DIR) entries = open_entries(from_fd, error);
	if (!entries)
		return false;
	for (struct dirent *entry; (entry = next_entry(entries));) {
		const char *name = entry->d_name;
		struct stat info;
		if (fstatat(from_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* gone since */
		if (S_ISLNK(info.st_mode)) {
			if (!copy_link(from_fd, to_fd, name, task->owner, error))
				return false;
		} else if (S_ISDIR(info.st_mode)) {
			if (task->has_skip && info.st_dev == task->skip_device && info.st_ino == task->skip_inode)
				continue;
			if (depth > DEPTH_MAX)
				return fail(error, ASSAY_ERROR_USER, "%s: folders nested deeper than %d", name, DEPTH_MAX);
			autofd int inner_from = openat(from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (inner_from < 0)
				return fail_errno(error, errno, "cannot open the folder %s", name);
			struct stat there;
			bool is_new = fstatat(to_fd, name, &there, AT_SYMLINK_NOFOLLOW) < 0;
			autofd int inner_to = tree_make_folder(to_fd, name, task->owner, error);
			if (inner_to < 0 || !copy_entries(task, inner_from, inner_to, depth + 1, error))
				return false;
			if (is_new)
				fchmod(inner_to, (info.st_mode & 0777) | 0700);
		} else if (S_ISREG(info.st_mode)) {
			autofd int from = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
			if (from < 0)
				return fail_errno(error, errno, "cannot open %s", name);
			autofd int to = tree_create_file(to_fd, name, info.st_mode & 0777, task->owner, error);
			if (to < 0 || !copy_bytes(from, to, name, error))
				return false;
			const struct timespec times[2] = {info.st_atim, info.st_mtim};
			futimens(to, times); /* so that git and make see what they saw before */
		}
	}
	return true;
}

bool tree_copy(int from_fd, int to_fd, const char *skip, TreeOwner owner, GError **error)
{
	CopyTask task = {.owner = owner};
	struct stat info;
	if (skip && stat(skip, &info) == 0) {
		task.has_skip = true;
		task.skip_device = info.st_dev;
		task.skip_inode = info.st_ino;
	}
	return copy_entries(&task, from_fd, to_fd, 0, error);
}
