/* SPDX-License-Identifier: Apache-2.0 */
/* libgit2 in our family: g_autoptr for its types, its errors as ours, and its start when it is first needed. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/job/git_calls.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_repository, git_repository_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_remote, git_remote_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_commit, git_commit_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_tree, git_tree_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_tree_entry, git_tree_entry_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_blob, git_blob_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_object, git_object_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_reference, git_reference_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_odb, git_odb_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_index, git_index_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_diff, git_diff_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_packbuilder, git_packbuilder_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_config, git_config_free)

/**
 * Loads and starts libgit2, once: no owner checks (mirrors are ours), no global configuration, the system's certificates. No call
 * of its is made before. False with SYSTEM when it is not there.
 */
bool git_begin(GError **error);
/** Sets an error from libgit2's last one: "what: why". ENOTFOUND is ABSENT, AUTH and CERTIFICATE are DENIED. */
bool git_fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/** A name that stays in its folder and is not .git: libgit2 checks that when it writes a tree, not when it reads one. */
bool git_name_is_safe(const char *name);
