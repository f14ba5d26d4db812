/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and descriptors. Everything that touches a path which a stranger may have chosen goes through
 * fd_open_beneath(); everything that must be whole after a crash goes through fd_replace_file().
 */
#include "agent/base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/error.h"

#define READ_STEP_BYTES (64 * 1024)
#define REMOVE_DEPTH_FDS 64 /* deeper trees are moved up first, so that descriptors never run out */

GBytes *fd_read_all(int fd, size_t limit_bytes, const char *what, GError **error)
{
	struct stat info;
	size_t hint = READ_STEP_BYTES;
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
		if ((uint64_t)info.st_size > limit_bytes) {
			fail(error, ASSAY_ERROR_USER, "%s: larger than the limit of %zu bytes", what, limit_bytes);
			return NULL;
		}
		hint = (size_t)info.st_size + 1;
	}
	g_autoptr(GByteArray) all = g_byte_array_sized_new((guint)MIN(hint, (size_t)G_MAXUINT / 2));
	for (;;) {
		guint old = all->len;
		/* A file that stays as long as it was is read without asking for more memory: the last byte is for its end. */
		size_t wanted = old > 0 && old < hint ? hint - old : MAX(hint, (size_t)512);
		size_t room = MIN(wanted, (size_t)(1 << 20));
		if (old > limit_bytes) {
			fail(error, ASSAY_ERROR_USER, "%s: larger than the limit of %zu bytes", what, limit_bytes);
			return NULL;
		}
		g_byte_array_set_size(all, old + (guint)room);
		ssize_t got = read(fd, all->data + old, room);
		if (got < 0 && errno == EINTR) {
			g_byte_array_set_size(all, old);
			continue;
		}
		if (got < 0) {
			fail_errno(error, errno, "cannot read %s", what);
			return NULL;
		}
		g_byte_array_set_size(all, old + (guint)got);
		if (got == 0)
			return g_byte_array_free_to_bytes(g_steal_pointer(&all));
	}
}

GBytes *fd_read_file(const char *path, size_t limit_bytes, GError **error)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		fail_errno(error, errno, "cannot open %s", path);
		return NULL;
	}
	if (fcntl(fd, F_SETFL, 0) < 0) { /* a pipe that somebody writes into is waited for */
		fail_errno(error, errno, "cannot read %s", path);
		return NULL;
	}
	return fd_read_all(fd, limit_bytes, path, error);
}

bool fd_write_all(int fd, const void *bytes, size_t len, const char *what, GError **error)
{
	const char *at = bytes;
	while (len > 0) {
		ssize_t put = write(fd, at, len);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail_errno(error, errno, "cannot write %s", what);
		at += put;
		len -= (size_t)put;
	}
	return true;
}

static bool sync_folder_of(const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	autofd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return fail_errno(error, errno, "cannot sync the folder %s", folder);
	return true;
}

bool fd_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, bool durable,
        GError **error)
{
	g_autofree char *temporary = g_strdup_printf("%s.XXXXXX", path);
	autofd int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return fail_errno(error, errno, "cannot create %s", path);
	bool done = fd_write_all(fd, bytes, len, path, error);
	if (done && fchmod(fd, mode) < 0)
		done = fail_errno(error, errno, "cannot set the mode of %s", path);
	if (done && durable && fdatasync(fd) < 0)
		done = fail_errno(error, errno, "cannot sync %s", path);
	if (done && rename(temporary, path) < 0)
		done = fail_errno(error, errno, "cannot replace %s", path);
	if (!done) {
		unlink(temporary);
		return false;
	}
	return !durable || sync_folder_of(path, error);
}

int fd_open_beneath(int root_fd, const char *path, int flags, mode_t mode, bool follow_links,
        GError **error)
{
	struct open_how how = {
	        .flags = (uint64_t)(flags | O_CLOEXEC),
	        .mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0,
	        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
	                   (follow_links ? 0 : (uint64_t)RESOLVE_NO_SYMLINKS),
	};
	for (int tries = 0; tries < 128; tries++) {
		long fd = syscall(SYS_openat2, root_fd, path[0] ? path : ".", &how, sizeof how);
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR) /* EAGAIN: someone renamed on the way */
			break;
	}
	if (errno == EXDEV || errno == ELOOP)
		fail(error, ASSAY_ERROR_DENIED, "%s: the path leaves its folder or goes through a link", path);
	else
		fail_errno(error, errno, "cannot open %s", path);
	return -1;
}

bool fd_make_folder(const char *path, mode_t mode, GError **error)
{
	if (mkdir(path, mode) == 0)
		return true;
	if (errno == ENOENT) {
		g_autofree char *parent = g_path_get_dirname(path);
		if (strcmp(parent, path) == 0 || !fd_make_folder(parent, 0777, error))
			return false;
		if (mkdir(path, mode) == 0)
			return true;
	}
	struct stat info;
	if (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
		return true;
	return fail_errno(error, errno, "cannot make the folder %s", path);
}

static bool remove_entries(int fd, int top_fd, int depth, GError **error);

/* Empties and removes the folder `name` in parent_fd. Past REMOVE_DEPTH_FDS it is moved to the top first. */
static bool remove_folder(int parent_fd, const char *name, int top_fd, int depth, GError **error)
{
	if (depth > REMOVE_DEPTH_FDS) {
		static guint64 moved;
		g_autofree char *up = g_strdup_printf(".assay-remove-%" G_GUINT64_FORMAT, ++moved);
		if (renameat(parent_fd, name, top_fd, up) == 0)
			return true; /* the top's loop finds it again */
	}
	autofd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(parent_fd, name, 0700, 0) == 0)
		fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || fail_errno(error, errno, "cannot open the folder %s", name);
	if (!remove_entries(fd, top_fd < 0 ? fd : top_fd, depth, error))
		return false;
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return true;
	return fail_errno(error, errno, "cannot remove the folder %s", name);
}

static bool remove_entries(int fd, int top_fd, int depth, GError **error)
{
	bool again = true;
	bool opened_up = false;
	while (again) {
		again = false;
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
		if (!folder) {
			int why = errno;
			if (copy >= 0)
				close(copy);
			return fail_errno(error, why, "cannot read a folder");
		}
		rewinddir(folder);
		bool good = true;
		for (struct dirent *entry; good && (entry = readdir(folder));) {
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
				continue;
			again = true;
			if (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT)
				continue;
			if (errno == EISDIR || errno == EPERM) {
				good = remove_folder(fd, entry->d_name, top_fd, depth + 1, error);
			} else if (errno == EACCES && !opened_up && fchmod(fd, 0700) == 0) {
				opened_up = true;
			} else {
				good = fail_errno(error, errno, "cannot remove %s", entry->d_name);
			}
		}
		closedir(folder);
		if (!good)
			return false;
	}
	return true;
}

static bool (*remover)(const char *path, GError **error);

void fd_set_remover(bool (*remove)(const char *path, GError **error))
{
	remover = remove;
}

bool fd_remove_tree(const char *path, GError **error)
{
	g_autoptr(GError) why = NULL;
	if (unlink(path) == 0 || errno == ENOENT)
		return true;
	if (errno != EISDIR && errno != EPERM)
		return fail_errno(error, errno, "cannot remove %s", path);
	if (remove_folder(AT_FDCWD, path, -1, 0, &why))
		return true;
	static _Thread_local bool asked; /* the remover may come back to us */
	if (remover && !asked && g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_DENIED)) {
		asked = true;
		bool removed = remover(path, NULL);
		asked = false;
		if (removed)
			return true;
	}
	g_propagate_prefixed_error(error, g_steal_pointer(&why), "%s: ", path);
	return false;
}

int fd_duplicate(int fd, GError **error)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		fail_errno(error, errno, "cannot duplicate a descriptor");
	return copy;
}

int fd_sealed(const char *name, const void *bytes, size_t len, GError **error)
{
	autofd int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) {
		fail_errno(error, errno, "cannot create a memory file");
		return -1;
	}
	if (!fd_write_all(fd, bytes, len, name, error))
		return -1;
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
		fail_errno(error, errno, "cannot seal a memory file");
		return -1;
	}
	return fd_steal(&fd);
}
