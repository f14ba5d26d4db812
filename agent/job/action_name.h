/* SPDX-License-Identifier: Apache-2.0 */
/* What `uses` names in other repositories: owner/repo[/folder]@ref. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/** `owner/repo[/folder]@ref`, taken apart. */
typedef struct ActionName {
	char *repo;   /* "owner/repo" */
	char *folder; /* below it, "" for its root */
	char *ref;
} ActionName;

/** USER for what is not of that form, or has a part that could lead elsewhere (`..`, an empty one). */
bool action_name_parse(const char *uses, ActionName *out, GError **error);
void action_name_clear(ActionName *name);
/** Is it owner/repo? */
bool action_name_is_repo(const char *text);
/** Is it what git takes for the name of a branch, tag or commit? */
bool action_name_is_ref(const char *text);
