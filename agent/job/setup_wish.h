/* SPDX-License-Identifier: Apache-2.0 */
/* Which version is wanted, as projects write it in files: .python-version, pyproject.toml, .nvmrc, package.json … */
#pragma once

#include <glib.h>

/**
 * The wish in a file, the caller's; lines for several. NULL with USER when the file has none.
 *
 * @name   its name alone decides how it is read
 */
char *setup_wish_python(const char *name, const char *text, GError **error);
char *setup_wish_node(const char *name, const char *text, GError **error);
/** The same wish as a range of version.h: "lts/iron" is "20", "3.13-dev" is "~3.13.0-0". NULL with USER. */
char *setup_range_python(const char *wish, GError **error);
char *setup_range_node(const char *wish, GError **error);
