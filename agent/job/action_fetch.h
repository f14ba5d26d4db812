/* SPDX-License-Identifier: Apache-2.0 */
/* action_source.c's hands: one address asked for one ref, and the cache that keeps what it gave. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/job/git.h"
#include "agent/job/task.h"

/** What is looked for, and where now. Names are borrowed. */
typedef struct ActionFetch {
	Task *task;
	const char *name; /* owner/repo */
	const char *ref;
	bool is_commit;   /* ref is 40 hex digits */
	git_oid commit;   /* then */
	char *url;
	char *path;       /* of the cache */
	char *space;      /* "refs/sources/<address>/": what its branches and tags meant */
	bool too_large;
} ActionFetch;

/** What an address answered. */
typedef enum ActionAnswer {
	ANSWER_FOUND,
	ANSWER_NO_REPO,
	ANSWER_NO_REF,
	ANSWER_UNREACHABLE,
	ANSWER_FAILED,
} ActionAnswer;

void action_fetch_init(ActionFetch *fetch, Task *task, const char *repo, const char *ref);
void action_fetch_clear(ActionFetch *fetch);
/** Chooses the address that a pattern of actions.sources gives. */
void action_fetch_address(ActionFetch *fetch, const char *pattern);
/** What the cache knows without asking: a whole commit, or (also_refs) what a ref of this address meant last. */
bool action_fetch_look(const ActionFetch *fetch, bool also_refs, git_repository **out, git_oid *out_commit);
/**
 * Asks the address, and fetches what the cache has not.
 *
 * @out_notice   the caller's: what a person should know; untouched mostly
 */
ActionAnswer action_fetch_ask(ActionFetch *fetch, git_repository **out, git_oid *out_commit, char **out_notice,
        GError **error);
/** The commit that an object is or points at. */
bool action_fetch_peel(git_repository *repo, const git_oid *id, git_oid *out);
