/* SPDX-License-Identifier: Apache-2.0 */
/* Tars and images made by hand: good ones, and such as no honest tool would make. */
#pragma once

#include <glib.h>
#include <jansson.h>

/** One entry of a tar; only what is set is written. */
typedef struct TarEntry {
	const char *name;
	char type;        /* '0' file, '1' hard link, '2' link, '3' device, '5' folder; 0 is '0' */
	const char *link;
	const char *text; /* of a file */
	unsigned mode;    /* 0: 0644, 0755 for folders */
	unsigned uid, gid;
	const char *xattr; /* "SCHILY.xattr.NAME=value", as a pax header */
} TarEntry;

/** A whole tar; entries end with a NULL name. */
GByteArray *oci_tar(const TarEntry *entries);
/** The same packed. */
GByteArray *oci_gzip(const GByteArray *bytes);
/** "sha256:…"; the caller's. */
char *oci_digest(const GByteArray *bytes);
/**
 * Writes an OCI layout of one image.
 *
 * @layers   GByteArray *, plain tars, the lowest first
 * @config   the config's `config`; takes it
 * Returns   the manifest's digest; the caller's
 */
char *oci_layout(const char *folder, GPtrArray *layers, json_t *config);
