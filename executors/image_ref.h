/* SPDX-License-Identifier: Apache-2.0 */
/* What names an image: a registry's reference as Docker reads it, or a file or folder of the host. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define IMAGE_REF_BYTES_MAX 1024

typedef enum ImageSource { IMAGE_REGISTRY, IMAGE_LAYOUT, IMAGE_ARCHIVE } ImageSource;

typedef struct ImageRef {
	ImageSource source;
	char *registry;   /* "docker.io", "127.0.0.1:5000"; NULL when it is no registry */
	char *repository; /* "library/alpine" */
	char *tag;        /* NULL: only a digest was given */
	char *digest;     /* "sha256:…", or NULL */
	char *path;       /* of a layout or an archive */
} ImageRef;

/**
 * Reads `alpine`, `ghcr.io/a/b:tag`, `host:5000/x@sha256:…`, `docker://…`, `oci:/folder[:tag]` or
 * `docker-archive:/file.tar`. Without tag and digest the tag is `latest`.
 *
 * Returns   false with USER when it is none of these
 */
bool image_ref_parse(const char *text, ImageRef *out, GError **error);
/** "docker.io/library/alpine:3.20", and with the digest when there is one; the caller's. */
char *image_ref_text(const ImageRef *ref);
void image_ref_clear(ImageRef *ref);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImageRef, image_ref_clear)

/** Is this "sha256:" and 64 lower-case hex digits? Nothing else becomes a file's name. */
bool image_digest_is_valid(const char *digest);
