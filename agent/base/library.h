/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared libraries that are loaded when they are first needed. A process that waits, and whose clones pay for each library it
 * carries, does not carry those that few jobs use.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct LibrarySymbol {
	const char *name;
	void *slot; /* a pointer to a pointer to a function */
} LibrarySymbol;

/**
 * Loads a library for good and fills in the slots.
 *
 * @soname    "libarchive.so.13"
 * @package   the Debian package that has it, for the message
 * Returns    false with SYSTEM when it is not there, or is too old for a symbol
 */
bool library_load(const char *soname, const char *package, const LibrarySymbol *symbols, size_t count, GError **error);
