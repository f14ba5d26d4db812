/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out a list of mounts in a child that shares the worker's memory (a template's builder, or the newborn of a
 * place until it executes init): system calls on plain data, no allocation, no lock. Targets inside folders of the job are opened step by step
 * and never through a link, since an earlier job may have left one; a mount is put onto a descriptor, not onto a path.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executors/mounts.h"

#define NAME_BYTES_MAX 256
#define OPTION_BYTES_MAX 256 /* as the kernel takes it */
#define STAGING "/usr" /* a folder that every host has: the template grows upon it */

static bool failed(Failure *out, const char *what, const char *target)
{
	*out = (Failure){.what = what, .target = target, .why = errno};
	return false;
}

/* What lies in a folder that a step may have changed. */
static int take_below(const MountRow *row)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int base = open(row->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int part = base < 0 ? -1 : (int)syscall(SYS_openat2, base, row->below, &how, sizeof how);
	int tree = part < 0 ? -1 : open_tree(part, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int why = errno;
	if (part >= 0)
		close(part);
	if (base >= 0)
		close(base);
	errno = why;
	return tree;
}

static bool take_tree(MountRow *row, Failure *out)
{
	row->tree = row->below ? take_below(row)
	                       : open_tree(AT_FDCWD, row->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (row->tree < 0)
		return failed(out, "cannot take the host's", row->source);
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NOSUID | (row->writable ? 0 : MOUNT_ATTR_RDONLY) |
		        (row->is_device ? 0 : MOUNT_ATTR_NODEV),
		.propagation = MS_PRIVATE, /* nothing appears on the host, and nothing that the host mounts later in here */
	};
	if (mount_setattr(row->tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
		return failed(out, "cannot protect", row->source);
	return true;
}

/* Made where the host's /proc is in sight: without that, an ordinary user's namespaces may have none. */
static bool take_proc(MountRow *row, Failure *out)
{
	int context = fsopen("proc", FSOPEN_CLOEXEC);
	row->tree = -1;
	if (context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		row->tree = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (row->tree < 0)
		return failed(out, "cannot mount", row->target);
	close(context);
	return true;
}

bool mounts_take(Mounts *mounts, Failure *out)
{
	for (guint i = 0; i < mounts->rows->len; i++) {
		MountRow *row = &g_array_index(mounts->rows, MountRow, i);
		if ((row->kind == MOUNT_BIND && !take_tree(row, out)) || (row->kind == MOUNT_PROC && !take_proc(row, out)))
			return false;
	}
	if (!mounts->layers_folder)
		return true;
	MountRow layers = {.source = mounts->layers_folder};
	MountRow scratch = {.source = mounts->scratch, .writable = true, .tree = -1};
	if (!take_tree(&layers, out) || (mounts->scratch && !take_tree(&scratch, out)))
		return false;
	mounts->layers_tree = layers.tree;
	mounts->scratch_tree = scratch.tree;
	return true;
}

/* Makes one name below at, if it is not there; never follows a link. */
static int make_name(int at, const char *name, bool folder)
{
	if (folder) {
		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
			return -1;
		return openat(at, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
	}
	int file = openat(at, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (file < 0 && errno != EEXIST)
		return -1;
	if (file >= 0)
		close(file);
	return openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* A descriptor of a target below root, made where it is missing. */
static int open_target(int root, const MountRow *row)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root, row->target, &how, sizeof how);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
	const char *name = row->target;
	while (at >= 0 && name) {
		char part[NAME_BYTES_MAX];
		const char *slash = strchr(name, '/');
		size_t len = slash ? (size_t)(slash - name) : strlen(name);
		if (len == 0 || len >= sizeof part) {
			close(at);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, name, len);
		part[len] = '\0';
		int next = make_name(at, part, slash != NULL || row->is_folder);
		int why = errno;
		close(at);
		errno = why;
		at = next;
		name = slash ? slash + 1 : NULL;
	}
	return at;
}

static bool put_tree(int root, MountRow *row)
{
	int target = open_target(root, row);
	if (target < 0)
		return false;
	bool done = move_mount(row->tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
	int why = errno;
	close(target);
	close(row->tree);
	row->tree = -1;
	errno = why;
	return done;
}

/* Gives a new file system's context its options: "mode=1777,size=64m"; a word without a value is a flag. */
static bool configure(int context, const char *options)
{
	char text[OPTION_BYTES_MAX];
	while (options && *options) {
		const char *comma = strchr(options, ',');
		size_t len = comma ? (size_t)(comma - options) : strlen(options);
		if (len >= sizeof text) {
			errno = EINVAL;
			return false;
		}
		memcpy(text, options, len);
		text[len] = '\0';
		char *value = strchr(text, '=');
		if (value)
			*value++ = '\0';
		if (fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, text, value, 0) < 0)
			return false;
		options = comma ? comma + 1 : NULL;
	}
	return fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0;
}

/* Onto what was reached through no link, by its descriptor: a path could lead elsewhere by now. */
static bool put_memory(int root, MountRow *row)
{
	int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	row->tree = -1;
	if (context >= 0 && configure(context, row->source))
		row->tree = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	int why = errno;
	if (context >= 0)
		close(context);
	errno = why;
	return row->tree >= 0 && put_tree(root, row);
}

/* Of the template, whose root is still ours, onto the image. */
static bool put_same(int root, MountRow *row)
{
	char path[NAME_BYTES_MAX] = "/";
	size_t len = strlen(row->target);
	if (len + 2 > sizeof path) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(path + 1, row->target, len + 1);
	row->tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return row->tree >= 0 ? put_tree(root, row) : errno == ENOENT;
}

/* A file of ours in place of what the image has under that name. */
static bool put_over_file(const Mounts *mounts, int root, const MountRow *row)
{
	char folder[NAME_BYTES_MAX];
	const char *slash = strrchr(row->target, '/');
	size_t len = slash ? (size_t)(slash - row->target) : 0;
	if (!slash || len >= sizeof folder) {
		errno = EINVAL;
		return false;
	}
	memcpy(folder, row->target, len);
	folder[len] = '\0';
	const MountRow parent = {.target = folder, .is_folder = true};
	int at = open_target(root, &parent);
	if (at < 0)
		return false;
	unlinkat(at, slash + 1, 0);
	int fd = openat(at, slash + 1, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	bool done = fd >= 0 && write(fd, row->source, row->source_len) == (ssize_t)row->source_len &&
	            (mounts->owner_uid < 0 || fchown(fd, (uid_t)mounts->owner_uid, (gid_t)mounts->owner_gid) == 0);
	int why = errno;
	if (fd >= 0)
		close(fd);
	close(at);
	errno = why;
	return done;
}

/* A folder that the image did not have belongs to the place's user, as all of the image does. */
static bool put_own_folder(const Mounts *mounts, int root, const MountRow *row)
{
	struct stat info;
	int target = open_target(root, row);
	bool done = target >= 0 && fstat(target, &info) == 0 &&
	            (mounts->owner_uid <= 0 || info.st_uid != 0 ||
	                    fchownat(target, "", (uid_t)mounts->owner_uid, (gid_t)mounts->owner_gid, AT_EMPTY_PATH) == 0);
	int why = errno;
	if (target >= 0)
		close(target);
	errno = why;
	return done;
}

static bool put_point(int root, const MountRow *row)
{
	int target = open_target(root, row);
	if (target >= 0)
		close(target);
	return target >= 0;
}

static bool put_file(int root, const MountRow *row)
{
	int fd = openat(root, row->target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	bool done = write(fd, row->source, row->source_len) == (ssize_t)row->source_len;
	int why = errno;
	close(fd);
	errno = why;
	return done;
}

static bool set_attributes(int at, const char *path, unsigned flags, uint64_t set)
{
	struct mount_attr attributes = {.attr_set = set};
	return mount_setattr(at, path, flags, &attributes, sizeof attributes) == 0;
}

/* The template is read-only: the file is written in the place's memory, put over the template's, and loses its name there. */
static bool put_cover(int root, MountRow *row)
{
	static const char name[] = MOUNTS_RUNNER "/cover";
	const MountRow file = {.target = name + 1, .source = row->source, .source_len = row->source_len};
	if (!put_file(root, &file))
		return false;
	row->tree = open_tree(root, name + 1, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return row->tree >= 0 && set_attributes(row->tree, "", AT_EMPTY_PATH, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY) &&
	       put_tree(root, row) && unlinkat(root, name + 1, 0) == 0;
}

/* A node of our own where we may make one (the agent is root), the host's otherwise. */
static bool put_node(int root, MountRow *row)
{
	if (mknodat(root, row->target, S_IFCHR | 0666, row->device) == 0)
		return true;
	row->tree = open_tree(AT_FDCWD, row->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return row->tree >= 0 && set_attributes(row->tree, "", AT_EMPTY_PATH,
	                                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY) &&
	       put_tree(root, row);
}

/* The working directory is the new root, so that relative targets are below it. */
static bool put_row(const Mounts *mounts, int root, MountRow *row)
{
	bool is_image = mounts->layers_folder != NULL;
	switch (row->kind) {
	case MOUNT_FOLDER:
		return is_image ? put_own_folder(mounts, root, row) : mkdirat(root, row->target, 0755) == 0;
	case MOUNT_POINT:
		put_point(root, row); /* where it cannot be made, as below a folder of the host, the place that mounts there tells */
		return true;
	case MOUNT_SAME:
		return put_same(root, row);
	case MOUNT_LINK:
		return symlinkat(row->source, root, row->target) == 0;
	case MOUNT_FILE:
		return is_image ? put_over_file(mounts, root, row) : put_file(root, row);
	case MOUNT_COVER:
		return put_cover(root, row);
	case MOUNT_BIND:
	case MOUNT_PROC:
		return put_tree(root, row);
	case MOUNT_NODE:
		return put_node(root, row);
	case MOUNT_TMPFS:
		/* Below /dev, which is ours by now, no path leads elsewhere. */
		return is_image && strncmp(row->target, "dev/", 4) != 0
		               ? put_memory(root, row)
		               : mount("tmpfs", row->target, "tmpfs", MS_NOSUID | MS_NODEV, row->source) == 0;
	case MOUNT_PTS:
		return mount("devpts", row->target, "devpts", MS_NOSUID | MS_NOEXEC,
		               "newinstance,ptmxmode=0666,mode=0620") == 0;
	case MOUNT_HIDE:
		return mount("dev/null", row->target, NULL, MS_BIND, NULL) == 0 || errno == ENOENT;
	case MOUNT_SEAL:
		if (mount(row->target, row->target, NULL, MS_BIND | MS_REC, NULL) < 0)
			return errno == ENOENT;
		return set_attributes(AT_FDCWD, row->target, AT_RECURSIVE, MOUNT_ATTR_RDONLY);
	}
	return false;
}

static bool put_rows(Mounts *mounts, int root, Failure *out)
{
	for (guint i = 0; i < mounts->rows->len; i++) {
		MountRow *row = &g_array_index(mounts->rows, MountRow, i);
		if (!put_row(mounts, root, row))
			return failed(out, mounts->layers_folder && errno == ELOOP ? "the image has a link where ours must be," :
			        row->kind == MOUNT_PROC ? "cannot mount" : "cannot make", row->target);
	}
	return true;
}

bool mounts_build(Mounts *mounts, Failure *out)
{
	mode_t given = umask(0);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return failed(out, "cannot leave the host's mounts", "/");
	/* The host's trees are picked up before the new root covers anything of them. */
	if (!mounts_take(mounts, out))
		return false;
	if (mount("root", STAGING, "tmpfs", MS_NOSUID, "mode=0755,size=8m,nr_inodes=1024") < 0)
		return failed(out, "cannot mount a memory file system on", STAGING);
	int root = open(STAGING, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fchdir(root) < 0)
		return failed(out, "cannot enter the new root on", STAGING);
	if (!put_rows(mounts, root, out))
		return false;
	if (!set_attributes(root, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY))
		return failed(out, "cannot make the root read-only", "/");
	/* The old root comes to lie upon the new one, at `.`, and goes with all that is below it. */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return failed(out, "cannot leave the host's root", "/");
	close(root);
	umask(given);
	return true;
}

#define LAYERS "/tmp" /* the template's empty folders hold what is needed */
#define SCRATCH "/home/runner"

static bool put_overlay(const Mounts *mounts)
{
	return chdir(LAYERS) == 0 &&
	       mount("overlay", MOUNTS_RUNNER, "overlay", MS_NOSUID | MS_NODEV, mounts->overlay) == 0;
}

static bool put_scratch_in_memory(const Mounts *mounts)
{
	return mount("upper", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0 && chdir(SCRATCH) == 0 &&
	       mkdir("upper", 0755) == 0 && mkdir("work", 0755) == 0 &&
	       (mounts->owner_uid < 0 || chown("upper", (uid_t)mounts->owner_uid, (gid_t)mounts->owner_gid) == 0);
}

/*
 * Lays the image's layers over one another, in sight of nothing but the template. What the place changes lies on the disk
 * beside the job's folder; where that disk cannot carry it (it is an overlay itself, or has no extended attributes) it
 * lies in memory. Returns the new root, which is the working directory then.
 */
static int put_layers(const Mounts *mounts)
{
	if (move_mount(mounts->layers_tree, "", AT_FDCWD, LAYERS, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -1;
	bool done = false;
	if (mounts->scratch) {
		if (move_mount(mounts->scratch_tree, "", AT_FDCWD, SCRATCH, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return -1;
		done = put_overlay(mounts);
		if (!done && (mounts->keeps_scratch || (errno != EINVAL && errno != EOPNOTSUPP)))
			return -1;
	}
	if (!done && (!put_scratch_in_memory(mounts) || !put_overlay(mounts)))
		return -1;
	int root = open(MOUNTS_RUNNER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0 && fchdir(root) < 0) {
		close(root);
		return -1;
	}
	return root;
}

/*
 * The image comes to lie upon the template, which nobody can reach any more: to take it away takes a capability over this
 * mount namespace, and no process of the place has one. To leave it by pivot_root would wait for a grace period.
 */
static bool enter_image(const Mounts *mounts, int root)
{
	return (!mounts->read_only || set_attributes(root, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY)) &&
	       move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0 && chroot(".") == 0;
}

bool mounts_apply(Mounts *mounts, Failure *out)
{
	mode_t given = umask(0);
	bool is_image = mounts->layers_folder != NULL;
	int root = is_image ? put_layers(mounts) : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return failed(out, !is_image ? "cannot enter"
		                   : mounts->keeps_scratch ? "cannot keep what is changed of an image (does its disk carry an overlay?), of"
		                                           : "cannot lay the image's layers over one another",
		        is_image ? mounts->layers_folder : "/");
	if (!put_rows(mounts, root, out))
		return false;
	if (is_image && !enter_image(mounts, root))
		return failed(out, "cannot enter the image", mounts->layers_folder);
	close(root);
	umask(given); /* the steps' own, which the workplace has chosen */
	return true;
}
