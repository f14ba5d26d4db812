/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of images: lists of manifests, manifests and configs, of OCI and of Docker (schema 2), read with limits. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_BYTES_MAX (4 * 1024 * 1024)
#define IMAGE_CONFIG_BYTES_MAX (8 * 1024 * 1024)
#define IMAGE_LAYERS_MAX 127
#define IMAGE_ENV_MAX 4096 /* variables; and as many words of a command */
#define MANIFEST_ACCEPT                                                                                              \
	"application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "                       \
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

/** Bytes somewhere else: what they are, their name, how many. */
typedef struct Descriptor {
	char *media_type;
	char *digest; /* valid: sha256 */
	int64_t size;
} Descriptor;

void descriptor_clear(Descriptor *descriptor);

/** A manifest, or a list of which one is for this machine. */
typedef struct Manifest {
	Descriptor chosen; /* of a list: the manifest to read next; digest is NULL when this is a manifest itself */
	Descriptor config;
	GArray *layers;    /* Descriptor, the lowest first */
} Manifest;

/**
 * Reads either kind.
 *
 * @architecture  as Go writes it: "amd64", "arm64"
 * @tag           of a layout's index: the annotated name to take; NULL: any
 * Returns        false with REMOTE: not understood, of another machine, too many layers, sizes without sense
 */
bool manifest_read(const char *text, size_t len, const char *architecture, const char *tag, Manifest *out,
        GError **error);
void manifest_clear(Manifest *manifest);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Manifest, manifest_clear)

/** What an image says of itself. */
typedef struct ImageConfig {
	char **env;        /* "NAME=value" */
	char **entrypoint; /* never NULL, may be empty; likewise below */
	char **command;
	char **diff_ids;   /* one a layer, valid digests */
	char *user;        /* "" is root */
	char *folder;      /* "/" when it says nothing */
	json_t *health;    /* {"test":[…],"interval_us",…} or NULL */
	json_t *raw;       /* "config" as it was read; never NULL */
} ImageConfig;

/** false with REMOTE; a config of another system or processor is one too. */
bool image_config_read(const char *text, size_t len, const char *architecture, ImageConfig *out, GError **error);
void image_config_clear(ImageConfig *config);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImageConfig, image_config_clear)

/** This machine's processor as images name it. Static. */
const char *image_architecture(void);
