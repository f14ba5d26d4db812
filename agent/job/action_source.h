/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other repositories, as `uses: owner/repo@ref` names them: found where the admin says (actions.sources), resolved to a
 * commit, kept by commit in D/actions, read there. Nothing of them is run or trusted here.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/job/action_name.h"
#include "agent/job/task.h"
#include "agent/job/tree.h"

/** A repository at one commit. */
typedef struct ActionSource ActionSource;

/**
 * Finds the repository and the commit that `ref` (a tag, a branch, a full name of one, or 40 hex digits) means now.
 * A full commit that is kept already needs no network; a tag or branch is looked up again, and where its source cannot
 * be reached the commit that it meant last stands for it (action_source_notice). Commits must be in a branch or tag.
 *
 * Returns   NULL: USER or DENIED when it may not be had, ABSENT when there is no such repository or ref, REMOTE when
 *           its source cannot be reached
 */
ActionSource *action_source_open(Task *task, const char *repo, const char *ref, GError **error);
/** Accepts NULL. */
void action_source_free(ActionSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ActionSource, action_source_free)

/** 40 hex digits. */
const char *action_source_sha(const ActionSource *source);
/** What a person should know of how it was found, one sentence; NULL mostly. */
const char *action_source_notice(const ActionSource *source);
/** A file's bytes; ABSENT when it is not there, DENIED when it, or a folder on the way, is a link. */
GBytes *action_source_read(const ActionSource *source, const char *path, size_t limit_bytes, GError **error);
/** Writes all its files into a folder, as the owner's; links are made, never followed. */
bool action_source_write(const ActionSource *source, int folder_fd, TreeOwner owner, GError **error);
