/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of images, D/images: layers unpacked once, one folder each, named by their diff id and shared by all images
 * and jobs; with them manifests and configs. Used by many processes at once: a layer is taken by a lock that its user
 * holds, is written aside and renamed, and is removed only when nobody holds it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/executor.h"
#include "executors/ids.h"
#include "executors/image_manifest.h"

/** An image that is here, and stays as long as this is held. */
typedef struct Image {
	char *digest;        /* of its manifest */
	char *layers_folder;
	GPtrArray *layers;   /* char *: names in layers_folder, the lowest first, each once */
	GArray *locks;       /* int */
	bool has_users;      /* its files belong to who they say; otherwise to the one id that stands for its user */
	ImageConfig config;
} Image;

/**
 * Brings an image here, as far as it is not; layers belong to uid where that is not 0.
 *
 * @ids   what its users may be when its user is root: layers are kept apart from those of one id; NULL: none
 */
bool image_prepare(const PlaceImage *spec, uid_t uid, gid_t gid, const Ids *ids, Image **out, GError **error);
/** One that was made here: spec->made. ABSENT when it, or a layer of it, is not there any more; also when its users are others. */
bool image_made(const PlaceImage *spec, uid_t uid, const Ids *ids, Image **out, GError **error);
void image_release(Image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_release)

/** Who an image's `user` is. */
typedef struct ImageUser {
	uid_t uid;
	gid_t gid;
	char *home;
} ImageUser;
/** "name", "uid", "name:group", "uid:gid" or "" by the image's /etc/passwd and /etc/group. */
bool image_user(const Image *image, const char *user, ImageUser *out, GError **error);

/** What was removed. */
typedef struct ImageSweep {
	int layers;
	int64_t bytes;
	int64_t left_bytes;
} ImageSweep;
/**
 * Removes layers that were not used for max_age_us, and then those used longest ago until max_bytes are left; what a
 * job holds stays. 0: no such limit. Leftovers of killed pulls go too.
 */
bool image_sweep(const char *store, int64_t max_age_us, int64_t max_bytes, ImageSweep *out, GError **error);

/** Making them: images_made.c. */
extern const ImageMaker image_maker;
