/* SPDX-License-Identifier: Apache-2.0 */
/* Where an image comes from: a registry, a folder of OCI layout, or a file of `docker save`; all three give the same. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/executor.h"
#include "executors/image_ref.h"

typedef struct ImageSourceReader ImageSourceReader;

/** Finds the image's manifest. DENIED where the settings allow this place to nobody. */
ImageSourceReader *images_source_open(const PlaceImage *spec, const ImageRef *ref, int store_fd, uid_t uid, gid_t gid,
        GError **error);
void images_source_close(ImageSourceReader *source);
/** The digest of its manifest, or of its config where there is no manifest. */
const char *images_source_digest(const ImageSourceReader *source);
GBytes *images_source_config(ImageSourceReader *source, GError **error);
size_t images_source_layers(const ImageSourceReader *source);
/** A layer's packed bytes, checked against their digest: a descriptor, or -1. */
int images_source_layer(ImageSourceReader *source, size_t index, GError **error);
/** The layer is unpacked; what was downloaded of it can go. */
void images_source_forget(ImageSourceReader *source, size_t index);
