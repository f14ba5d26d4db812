/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders that steps can reach, and may have filled with links: every way into them goes component by component below
 * a held descriptor and follows no link. What is made in them belongs to the job's user.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Whom new files belong to. */
typedef struct TreeOwner {
	bool change; /* false: us, and nothing is to be done */
	uid_t uid;
	gid_t gid;
} TreeOwner;

/** Makes a folder and its parents below root_fd and opens it: a descriptor, or -1. What is in the way is removed. */
int tree_make_folder(int root_fd, const char *path, TreeOwner owner, GError **error);
/** A new file, in place of what was there. */
bool tree_write_file(int folder_fd, const char *name, const void *bytes, size_t len, mode_t mode, TreeOwner owner,
        GError **error);
/** Opens a new empty file for writing, in place of what was there: a descriptor, or -1. */
int tree_create_file(int folder_fd, const char *name, mode_t mode, TreeOwner owner, GError **error);
/** A regular file's bytes; ABSENT when it is not there, DENIED when it is a link. */
GBytes *tree_read_file(int folder_fd, const char *path, size_t limit_bytes, GError **error);
/**
 * Empties a folder down to the folders below it that `keep` names by their paths ("a", "a/b"; NULL-terminated). A folder
 * that is not as if it were newly made for the owner (its mode, owner, size, attributes and flags) goes too, the outermost
 * included; without an owner (NULL) nobody looks. Absent is done.
 */
bool tree_strip(int parent_fd, const char *name, const char *const *keep, const TreeOwner *owner, GError **error);
/** Would it find nothing to remove? Where that cannot be seen, no. */
bool tree_is_stripped(int parent_fd, const char *name, const char *const *keep);
/** Removes one entry, a folder with all that is in it. */
bool tree_remove(int folder_fd, const char *name, GError **error);
/** Removes what is in a folder, except the one entry `keep` (NULL: none). */
bool tree_empty(int folder_fd, const char *keep, GError **error);
/** Gives an entry, and all below it, to the owner. */
bool tree_give(int folder_fd, const char *name, TreeOwner owner, GError **error);
/**
 * Copies all entries of a folder: files (shared blocks where the disk can), folders and links; others are left out.
 *
 * @skip   a folder of the host that is not copied even when it lies below; NULL: none
 */
bool tree_copy(int from_fd, int to_fd, const char *skip, TreeOwner owner, GError **error);
/** Brings one file or link below another folder: the same inode where the disk allows it, a copy otherwise. */
bool tree_link(int from_fd, const char *path, int to_fd, const char *as, GError **error);
