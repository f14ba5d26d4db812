/* SPDX-License-Identifier: Apache-2.0 */
/* `permissions` of workflows and jobs. Pure. */
#pragma once

#include <glib.h>
#include <jansson.h>

/**
 * What of the wanted permissions goes beyond the allowed ones.
 *
 * @wanted, @allowed   as written: an object of scope → level, "read-all", "write-all"; NULL: not said, which wants nothing
 *                     and allows everything
 * @out_allowed        "actions: read": the same scopes as they are allowed; the caller's
 * Returns             "actions: write", several with commas; NULL when nothing does. The caller's
 */
char *permission_excess(const json_t *wanted, const json_t *allowed, char **out_allowed);
