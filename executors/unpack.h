/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's tar into a folder, as overlayfs wants it. The bytes are a stranger's: the work is done by a process of its own
 * that can write that one folder and nothing else, and every path is opened below it, never through a link.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** What a layer may be; 0 is the default of each. */
typedef struct UnpackLimits {
	int64_t entries;
	int64_t bytes;         /* unpacked */
	int64_t ratio;         /* unpacked for each packed byte … */
	int64_t ratio_from;    /* … beyond this many */
	bool owners;           /* files belong to who the tar says, and have his modes; otherwise all to whoever unpacks */
} UnpackLimits;

typedef struct UnpackEnd {
	char diff_id[72]; /* "sha256:…" of the tar itself */
	int64_t entries;
	int64_t bytes;
	int64_t left_out; /* devices and sockets */
} UnpackEnd;

/** Is what it needs installed? */
bool unpack_probe(GError **error);

/** Unpacks gzip, zstd or a plain tar from blob_fd's position. REMOTE when the layer breaks a rule; SYSTEM for the disk. */
bool unpack_layer(int blob_fd, int folder_fd, const UnpackLimits *limits, UnpackEnd *out, GError **error);

/**
 * The same in a child that has given up everything else, as another user where uid is not 0.
 *
 * @ids_fd    a user namespace (ready_ids_user()) whose root it becomes then: with owners; -1: none
 * @stopped   asked often; true ends it
 */
bool unpack_confined(int blob_fd, int folder_fd, int ids_fd, uid_t uid, gid_t gid, const UnpackLimits *limits,
        bool (*stopped)(void *data), void *data, UnpackEnd *out, GError **error);
