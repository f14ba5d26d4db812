/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place's root folder as lists of rows: made where memory and files are at hand, and carried out by a newborn child
 * in its own mount namespace by system calls alone. What all places have alike is one list, made into a template
 * (template.c) that later places copy; what is a place's own is the other.
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
#define MOUNTS_RECIPE_OF_IMAGES "assay" /* of the template that lends them its /dev */
/* Where an image's scratch folder is seen while its layers are put over one another. */
#define MOUNTS_UPPER "upperdir=/home/runner/upper,workdir=/home/runner/work"

typedef enum MountKind {
	MOUNT_FOLDER, /* an empty folder */
	MOUNT_POINT,  /* where a job may mount something: a folder or an empty file, with all that is above it */
	MOUNT_LINK,   /* a symbolic link that says `source` */
	MOUNT_FILE,   /* a file that holds `source` */
	MOUNT_COVER,  /* the same over a file of the template */
	MOUNT_BIND,   /* a folder or file of the host */
	MOUNT_SAME,   /* what the template has there, onto the root of an image */
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
	const char *below; /* of a bind: the part of source to take, reached through no link; NULL: all */
	size_t source_len; /* of a file's bytes */
	bool is_folder; /* of a bind */
	bool writable;
	bool is_device;
	dev_t device;
	int tree; /* the newborn's own descriptor, of no meaning to anybody else */
} MountRow;

typedef struct Mounts {
	GArray *rows; /* MountRow */
	GStringChunk *texts;
	GPtrArray *copies;   /* the bytes of files copied from the host */
	char *made_in_home;  /* the empty folder `work` that we had to make in the home; removed at the end */
	/* Of a root that is an image: layers over one another. Every target in it is a stranger's. */
	const char *layers_folder; /* NULL: it is none */
	const char *overlay;       /* options, with names relative to layers_folder */
	const char *scratch;       /* where `upper` and `work` lie; NULL: in memory */
	bool read_only;
	bool keeps_scratch;        /* in memory it would be lost */
	int owner_uid, owner_gid;  /* of files made for the job; -1: as they are */
	int layers_tree, scratch_tree; /* the newborn's own, as a row's tree */
} Mounts;

/**
 * What a template must have to be right for a place, as a text: the host's name, then a line for each mount that the
 * place wants outside its home, "d /path" or "f /path". The caller's.
 */
char *mounts_recipe(const PlaceSpec *spec, GError **error);
/** Lists what all places of a recipe have alike; looks at the host's / and /etc. Unusable lines are left out. */
void mounts_list_template(const char *recipe, Mounts *out);
/** Lists what is the place's own. */
bool mounts_list(const PlaceSpec *spec, Mounts *out, GError **error);
/** The same for a root that is an image: spec->root. */
bool mounts_list_image(const PlaceSpec *spec, Mounts *out, GError **error);
/** Parts of a list that both kinds of root have. */
void mounts_begin(Mounts *mounts);
MountRow *mounts_add(Mounts *mounts, MountKind kind, const char *target, const char *source);
void mounts_add_proc(Mounts *mounts, bool steps_are_root);
char *mounts_hosts_text(const char *hostname, const char *more);
char *mounts_resolver_text(const PlaceSpec *spec);
/** Frees it; removes what had to be made on the host. Accepts a zeroed one. */
void mounts_clear(Mounts *mounts);

/* Carried out by a child in a mount namespace of its own, with CAP_SYS_ADMIN in it: only async-signal-safe calls. */

/** Makes the root of a template and moves into it: `/` is the template then, and nothing else reachable. */
bool mounts_build(Mounts *mounts, Failure *out);
/** Takes what the place has of the host, and its /proc: still in sight of the host's mounts, in its pid namespace. */
bool mounts_take(Mounts *mounts, Failure *out);
/** Puts what is the place's own onto its copy of the template. */
bool mounts_apply(Mounts *mounts, Failure *out);
