/* SPDX-License-Identifier: Apache-2.0 */
/* What .gitmodules says, and where a submodule may come from. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Submodule {
	char *name;
	char *path;
	char *url; /* as written: may be relative */
} Submodule;

/** Reads a .gitmodules file: Submodule *, freed with the array. What has no path or url, or an unsafe name, is left out. */
GPtrArray *submodules_read(const char *text, size_t len);
/**
 * The address that a submodule is fetched from: a relative one is one of its superproject's server.
 *
 * @super_url   of the superproject
 * Returns      the caller's, or NULL: DENIED for a protocol that is neither https nor ssh, nor the superproject's own
 */
char *submodules_address(const char *super_url, const char *url, GError **error);
