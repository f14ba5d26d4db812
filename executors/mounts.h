/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place's root folder as a list of rows: made in the worker, where memory and files are at hand, and carried out by
 * the newborn child in its own mount namespace by system calls alone.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/executor.h"
#include "executors/place.h"

#define MOUNTS_WORK "/home/runner/work"
#define MOUNTS_HOME "/home/runner"
#define MOUNTS_RUNNER "/run/assay" /* in memory: files that are made and read for each step */
#define MOUNTS_USER "runner"
#define MOUNTS_UID 1001

typedef enum MountKind {
	MOUNT_FOLDER, /* an empty folder */
	MOUNT_LINK,   /* a symbolic link that says `source` */
	MOUNT_FILE,   /* a file that holds `source` */
	MOUNT_BIND,   /* a folder or file of the host */
	MOUNT_NODE,   /* a character device of the host */
	MOUNT_TMPFS,  /* an own one; `source` is its options */
	MOUNT_PROC,
	MOUNT_PTS,
	MOUNT_HIDE, /* a file below /proc becomes /dev/null; absent is fine */
	MOUNT_SEAL, /* a folder below /proc becomes read-only; absent is fine */
} MountKind;

typedef struct MountRow {
	MountKind kind;
	const char *target; /* relative to the new root, parents made by earlier rows */
	const char *source;
	size_t source_len; /* of a file's bytes */
	bool is_folder; /* of a bind */
	bool writable;
	bool is_device;
	bool foreign; /* the target lies in a folder of the job: every step of the way is made and checked */
	dev_t device;
	int tree; /* used by mounts_apply() */
} MountRow;

typedef struct Mounts {
	GArray *rows; /* MountRow */
	GStringChunk *texts;
	GPtrArray *copies; /* the bytes of files copied from the host */
	const char *staging; /* a folder that the new root may cover while it is being made */
	char *made_in_home;  /* the empty folder `work` that we had to make in the home; removed at the end */
} Mounts;

/** Lists what a place shall consist of; looks at the host's /, /etc and the spec. */
bool mounts_list(const PlaceSpec *spec, Mounts *out, GError **error);
/** Frees it; removes what had to be made on the host. */
void mounts_clear(Mounts *mounts);

/**
 * Makes the root and moves into it: the caller is in a mount namespace of its own, with CAP_SYS_ADMIN in it. Only
 * async-signal-safe calls; ends with `/` being the place and nothing else reachable.
 */
bool mounts_apply(Mounts *mounts, Failure *out);
