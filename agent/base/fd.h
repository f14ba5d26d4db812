/* SPDX-License-Identifier: Apache-2.0 */
/* Files: bounded reads, atomic replacement, appends, and paths that stay below a root. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/autoptr.h"

/** Reads a whole file of at most limit_bytes; USER when it is larger. Waits for what is written into a pipe, not for a writer. */
GBytes *fd_read_file(const char *path, size_t limit_bytes, GError **error);
/** The same from a descriptor, from its position to its end. */
GBytes *fd_read_all(int fd, size_t limit_bytes, const char *what, GError **error);
/** Writes everything, going on after EINTR and short writes. */
bool fd_write_all(int fd, const void *bytes, size_t len, const char *what, GError **error);
/**
 * Replaces a file in one step: temporary name, write, fdatasync if `durable`, rename, and then fsync of the
 * folder if `durable`. Readers see the old file or the new one.
 */
bool fd_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, bool durable,
        GError **error);
/**
 * Opens a path below root_fd by openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS): `..` and absolute paths
 * and links that lead out of the root are refused by the kernel. flags as for open(2); O_CLOEXEC is added.
 *
 * @follow_links  false refuses every symbolic link on the way (RESOLVE_NO_SYMLINKS)
 * Returns        a descriptor, or -1
 */
int fd_open_beneath(int root_fd, const char *path, int flags, mode_t mode, bool follow_links,
        GError **error);
/** Makes a folder and its parents, mode 0777 less umask for the parents; it may be there already. */
bool fd_make_folder(const char *path, mode_t mode, GError **error);
/** Removes a tree, however deep and whatever its modes; never follows a link; absent is done. */
bool fd_remove_tree(const char *path, GError **error);
/** Who is asked to remove a tree when we may not; before there are threads. NULL: nobody. */
void fd_set_remover(bool (*remove)(const char *path, GError **error));
/** Makes pipes, sockets and files close on exec by themselves; this gives a duplicate that does, from 3 up. */
int fd_duplicate(int fd, GError **error);
/** A sealed memory file with these bytes, read from its start; -1 on error. */
int fd_sealed(const char *name, const void *bytes, size_t len, GError **error);
