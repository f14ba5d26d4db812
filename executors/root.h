/* SPDX-License-Identifier: Apache-2.0 */
/* What the sandbox needs to know of a root that is an image: who runs images fills it in, mounts_image.c lists it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct PlaceRoot {
	const char *layers_folder; /* the mount is made from there: its options hold short names */
	const char *lower;         /* "top:…:bottom", names in layers_folder */
	const char *scratch;       /* a folder of the host's with `upper` and `work` in it, never used before; NULL: in memory */
	bool read_only;
	bool keeps_scratch;        /* never in memory: who opened the place wants what lies there */
	uid_t uid;                 /* who the job is inside */
	gid_t gid;
	const struct Ids *ids;     /* of his other users (executors/ids.h), when he is root; NULL: there are none */
	const char *work_below;    /* as in PlaceImage */
	const char *work_inside;
	const char *home_inside;
	const char *runner_inside;
	const char *folder;        /* made where the image does not have it; NULL: none */
	int64_t shm_bytes;
	const char *const *tmpfs;  /* NULL-terminated, or NULL */
} PlaceRoot;
