/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registry by the OCI distribution protocol, version 2: manifests and blobs, with tokens, mirrors, retries and resumed
 * downloads. What it gives is checked against the digest that was asked for before anybody sees it.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "executors/image_manifest.h"
#include "executors/image_ref.h"

typedef struct Registry Registry;

/** Is what it needs installed? */
bool registry_probe(GError **error);

/** How a pull looks at the world outside. */
typedef struct RegistryWatch {
	bool (*stopped)(void *data);                 /* asked often; true ends it; may be NULL */
	void (*say)(void *data, const char *text);   /* a line for people; may be NULL */
	void *data;
} RegistryWatch;

/**
 * Prepares to ask; nothing is sent yet.
 *
 * @settings   object or NULL: {"mirrors":{"docker.io":["https://…"]},"plain_http":["host:port"],"ca_file","stall_s",
 *             "attempts","pause_ms"}
 * @username   NULL: anonymous
 */
Registry *registry_open(const ImageRef *ref, const json_t *settings, const char *username, const char *password,
        const RegistryWatch *watch, GError **error);
void registry_close(Registry *registry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Registry, registry_close)

/**
 * A manifest's bytes.
 *
 * @name         a tag or a digest
 * @out_digest   "sha256:…" of the bytes, the caller's
 */
GBytes *registry_manifest(Registry *registry, const char *name, char **out_digest, GError **error);
/** A small blob. */
GBytes *registry_blob(Registry *registry, const Descriptor *blob, GError **error);
/** A blob into a file, going on behind what the file already has. The file is emptied when the bytes are wrong. */
bool registry_download(Registry *registry, const Descriptor *blob, int fd, GError **error);
