/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects_restore(): writes a tree into a folder, folders dealt to threads (two threads in one folder fight for its
 * lock). A file that is there already with the right bytes stays; any other is written beside it and renamed over it.
 * Nothing is ever followed: what is a link and should be a folder is replaced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/objects/bytes.h"
#include "agent/objects/crew.h"
#include "agent/objects/objects_private.h"
#include "agent/objects/tree.h"

#define ALONE_BYTES (8 * 1024 * 1024) /* a file from this size on is a task of its own */
#define TEMPORARY_PREFIX ".assay-new-"

/* A task: a folder, or one large file in it. */
typedef struct Place {
	char *path; /* of the folder, below the tree's; "" is the tree's */
	uint8_t id[HASH_BYTES];
	bool fresh;         /* we made the folder: there is nothing in it */
	ManifestEntry file; /* type 0: the folder */
	char *name;         /* of the file */
} Place;

typedef struct Restore {
	Objects *objects;
	int root_fd;
	bool exact;
	ShelfReader *readers[8];
} Restore;

static void place_free(void *data)
{
	Place *place = data;
	g_free(place->path);
	g_free(place->name);
	g_free(place);
}

/* Removes whatever has this name. A folder goes with all that is in it, and only when `exact`. */
static bool clear_name(const Restore *all, int fd, const char *path, const char *name, GError **error)
{
	if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
		return true;
	if (errno != EISDIR && errno != EPERM)
		return fail_errno(error, errno, "cannot remove %s", SHOWN(name));
	if (!all->exact)
		return fail(error, ASSAY_ERROR_USER,
		        "%s%s%s is a folder where the tree has a file; remove it, or restore exactly", SHOWN(path),
		        path[0] ? "/" : "", SHOWN(name));
	g_autofree char *full = g_strdup_printf("/proc/self/fd/%d/%s", fd, name);
	return fd_remove_tree(full, error);
}

static bool write_piece(const uint8_t *bytes, size_t len, void *data, GError **error)
{
	return fd_write_all(*(const int *)data, bytes, len, "a restored file", error);
}

/* Whether the open file goes on with these bytes. "Not the same" is false with no error. */
typedef struct Same {
	int fd;
	uint8_t *buffer;
	size_t room;
} Same;

static bool same_piece(const uint8_t id[HASH_BYTES], uint64_t len, void *data, G_GNUC_UNUSED GError **error)
{
	Same *same = data;
	if (len > PACK_CHUNK_BYTES_MAX)
		return false;
	if (same->room < len) {
		g_free(same->buffer);
		same->room = MAX((size_t)len, (size_t)512 * 1024);
		same->buffer = g_malloc(same->room);
	}
	for (size_t have = 0; have < len;) {
		ssize_t got = read(same->fd, same->buffer + have, len - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	uint8_t now[HASH_BYTES];
	hash_bytes(same->buffer, len, now);
	return memcmp(now, id, HASH_BYTES) == 0;
}

/* True when the file is there, is ours alone, and has these bytes and this mode. */
static bool stays(ShelfReader *reader, int fd, const char *name, const ManifestEntry *file)
{
	struct stat info;
	if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1 ||
	        (uint64_t)info.st_size != file->bytes || (info.st_mode & (S_ISUID | S_ISGID | S_ISVTX)) ||
	        !(info.st_mode & S_IXUSR) != (file->type != MANIFEST_EXECUTABLE))
		return false;
	autofd int old = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (old < 0)
		return false;
	Same same = {.fd = old};
	bool equal = tree_file_chunks(reader, file, same_piece, &same, NULL);
	g_free(same.buffer);
	return equal;
}

static void temporary_name(char out[32])
{
	uint8_t noise[8];
	char hex[17];
	random_bytes(noise, sizeof noise);
	hex_write(noise, sizeof noise, hex);
	g_snprintf(out, 32, TEMPORARY_PREFIX "%s", hex);
}

static bool write_file(const Restore *all, ShelfReader *reader, int fd, const Place *place, const char *name,
        const ManifestEntry *file, GError **error)
{
	if (!place->fresh && stays(reader, fd, name, file))
		return true;
	char temporary[32];
	temporary_name(temporary);
	mode_t mode = file->type == MANIFEST_EXECUTABLE ? 0777 : 0666;
	autofd int new = openat(fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (new < 0)
		return fail_errno(error, errno, "cannot create %s", SHOWN(name));
	bool done = tree_file_read(reader, file, write_piece, &new, error);
	if (done && renameat(fd, temporary, fd, name) < 0) {
		/* The one thing that a rename does not replace is a folder. */
		if (errno != EISDIR && errno != EEXIST && errno != ENOTEMPTY)
			done = fail_errno(error, errno, "cannot name %s", SHOWN(name));
		else if ((done = clear_name(all, fd, place->path, name, error)) && renameat(fd, temporary, fd, name) < 0)
			done = fail_errno(error, errno, "cannot name %s", SHOWN(name));
	}
	if (!done) {
		unlinkat(fd, temporary, 0);
		g_prefix_error(error, "%s: ", SHOWN(name));
	}
	return done;
}

static bool write_link(const Restore *all, int fd, const Place *place, const char *name, const char *target,
        GError **error)
{
	char old[MANIFEST_LINK_BYTES_MAX + 2];
	ssize_t len = readlinkat(fd, name, old, sizeof old);
	if (len >= 0 && (size_t)len == strlen(target) && memcmp(old, target, (size_t)len) == 0)
		return true;
	char temporary[32];
	temporary_name(temporary);
	if (symlinkat(target, fd, temporary) < 0)
		return fail_errno(error, errno, "cannot make the link %s", SHOWN(name));
	if (renameat(fd, temporary, fd, name) == 0)
		return true;
	bool done = (errno == EISDIR || errno == EEXIST || errno == ENOTEMPTY)
	                    ? clear_name(all, fd, place->path, name, error)
	                    : fail_errno(error, errno, "cannot name the link %s", SHOWN(name));
	if (done && renameat(fd, temporary, fd, name) < 0)
		done = fail_errno(error, errno, "cannot name the link %s", SHOWN(name));
	if (!done)
		unlinkat(fd, temporary, 0);
	return done;
}

/* Makes a folder, or takes the one that is there; never a link to one. */
static bool make_folder(int fd, const char *name, bool *out_fresh, GError **error)
{
	for (int tries = 0; tries < 2; tries++) {
		if (mkdirat(fd, name, 0777) == 0) {
			*out_fresh = true;
			return true;
		}
		struct stat info;
		if (errno != EEXIST || fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			break;
		if (S_ISDIR(info.st_mode)) {
			*out_fresh = false;
			return true;
		}
		if (unlinkat(fd, name, 0) < 0)
			break;
	}
	return fail_errno(error, errno, "cannot make the folder %s", SHOWN(name));
}

/* Removes what the tree does not have. */
static bool remove_others(const Restore *all, int fd, const Place *place, const TreeFolder *folder, GError **error)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = copy >= 0 ? fdopendir(copy) : NULL;
	if (!names) {
		int why = errno;
		autofd_close(&copy);
		return fail_errno(error, why, "cannot read the folder %s", SHOWN(place->path));
	}
	bool done = true;
	for (struct dirent *entry; done && (entry = readdir(names));)
		if (manifest_name_fits(entry->d_name, strlen(entry->d_name)) &&
		        !tree_folder_find(folder, entry->d_name, strlen(entry->d_name)))
			done = clear_name(all, fd, place->path, entry->d_name, error);
	closedir(names);
	return done;
}

static bool write_folder(const Restore *all, Crew *crew, ShelfReader *reader, int fd, const Place *place, GError **error)
{
	g_autoptr(TreeFolder) folder = tree_folder_read(reader, place->id, error);
	if (!folder || (all->exact && !place->fresh && !remove_others(all, fd, place, folder, error)))
		return false;
	if (folder->single && place->path[0])
		return fail(error, ASSAY_ERROR_SYSTEM, "a folder in the tree is none: the tree is damaged");
	for (guint i = 0; i < folder->entries->len; i++) {
		const ManifestEntry *entry = &g_array_index(folder->entries, ManifestEntry, i);
		if (entry->type == MANIFEST_LINK) {
			if (!write_link(all, fd, place, entry->name, entry->link, error))
				return false;
		} else if (entry->type == MANIFEST_SUBFOLDER || entry->bytes >= ALONE_BYTES) {
			Place *next = g_new0(Place, 1);
			memcpy(next->id, entry->id, HASH_BYTES);
			if (entry->type != MANIFEST_SUBFOLDER) {
				next->path = g_strdup(place->path);
				next->name = g_strdup(entry->name);
				next->file = *entry;
				next->fresh = place->fresh;
			} else if (!make_folder(fd, entry->name, &next->fresh, error)) {
				place_free(next);
				return false;
			} else {
				next->path = objects_join(place->path, entry->name);
			}
			crew_push(crew, next);
		} else if (!write_file(all, reader, fd, place, entry->name, entry, error)) {
			return false;
		}
	}
	return true;
}

static bool work(Crew *crew, void *task, unsigned worker, void *data, GError **error)
{
	Restore *all = data;
	Place *place = task;
	if (!all->readers[worker])
		all->readers[worker] = shelf_reader_new(all->objects->shelf);
	ShelfReader *reader = all->readers[worker];
	autofd int fd = fd_open_beneath(all->root_fd, place->path, O_RDONLY | O_DIRECTORY, 0, false, error);
	bool done = fd >= 0 && (place->name ? write_file(all, reader, fd, place, place->name, &place->file, error)
	                                    : write_folder(all, crew, reader, fd, place, error));
	if (!done && place->path[0])
		g_prefix_error(error, "%s: ", SHOWN(place->path));
	place_free(place);
	return done;
}

/* Opens the folder at path below root_fd and makes what is missing of it. */
static int open_folder(int root_fd, const char *path, bool *out_fresh, GError **error)
{
	if (path[0] == '/') {
		fail(error, ASSAY_ERROR_DENIED, "the path leaves its folder");
		return -1;
	}
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	autofd int fd = fd_open_beneath(root_fd, ".", O_RDONLY | O_DIRECTORY, 0, false, error);
	*out_fresh = false;
	for (guint i = 0; fd >= 0 && parts[i]; i++) {
		if (!parts[i][0] || strcmp(parts[i], ".") == 0)
			continue;
		*out_fresh = mkdirat(fd, parts[i], 0777) == 0;
		if (!*out_fresh && errno != EEXIST) {
			fail_errno(error, errno, "cannot make the folder %s", SHOWN(parts[i]));
			return -1;
		}
		int next = fd_open_beneath(fd, parts[i], O_RDONLY | O_DIRECTORY, 0, false, error);
		close(fd);
		fd = next;
	}
	return fd_steal(&fd);
}

static bool restore_tree(Objects *objects, const uint8_t *id, int fd, bool fresh, bool exact, GError **error)
{
	Restore all = {.objects = objects, .root_fd = fd, .exact = exact};
	g_autoptr(Crew) crew = crew_new(work, place_free, &all);
	Place *place = g_new0(Place, 1);
	memcpy(place->id, id, HASH_BYTES);
	place->path = g_strdup("");
	place->fresh = fresh;
	crew_push(crew, place);
	bool done = crew_run(crew, error);
	for (size_t i = 0; i < G_N_ELEMENTS(all.readers); i++)
		shelf_reader_free(all.readers[i]);
	return done;
}

/* Writes a tree that is one file or link under a name of the caller's. */
static bool restore_single(Objects *objects, const ManifestEntry *entry, int fd, const char *name, bool exact,
        GError **error)
{
	Restore all = {.objects = objects, .root_fd = fd, .exact = exact};
	Place place = {.path = (char[]){""}};
	g_autoptr(ShelfReader) reader = shelf_reader_new(objects->shelf);
	if (entry->type == MANIFEST_LINK)
		return write_link(&all, fd, &place, name, entry->link, error);
	return write_file(&all, reader, fd, &place, name, entry, error);
}

static bool restore(Objects *objects, const char *digest, int root_fd, const char *path, bool exact, GError **error)
{
	uint8_t id[HASH_BYTES];
	if (!objects_read_digest(digest, id, error) || !shelf_refresh(objects->shelf, error))
		return false;
	g_autoptr(ShelfReader) reader = shelf_reader_new(objects->shelf);
	g_autoptr(TreeFolder) top = tree_folder_read(reader, id, error);
	if (!top)
		return false;
	bool fresh;
	size_t len = strlen(path);
	bool as_file = top->single && len > 0 && path[len - 1] != '/' && strcmp(path, ".") != 0;
	g_autofree char *folder = as_file ? g_path_get_dirname(path) : g_strdup(path);
	autofd int fd = open_folder(root_fd, folder, &fresh, error);
	if (fd < 0)
		return false;
	if (!top->single)
		return restore_tree(objects, id, fd, fresh, exact, error);
	const ManifestEntry *entry = &g_array_index(top->entries, ManifestEntry, 0);
	if (!as_file)
		return restore_tree(objects, id, fd, fresh, exact, error);
	g_autofree char *name = g_path_get_basename(path);
	if (!manifest_name_fits(name, strlen(name)))
		return fail(error, ASSAY_ERROR_DENIED, "the path leaves its folder");
	return restore_single(objects, entry, fd, name, exact, error);
}

bool objects_restore(Objects *objects, const char *digest, int root_fd, const char *path, bool exact, GError **error)
{
	if (restore(objects, digest, root_fd, path, exact, error))
		return true;
	g_prefix_error(error, "cannot restore %.12s to '%s': ", digest, SHOWN(path));
	return false;
}
