/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's bare copy of a repo: made on first use, fetched only when what is wanted is not there yet. */
#pragma once

#include <stdbool.h>

#include "agent/job/git.h"
#include "agent/job/task.h"

/** What commit is wanted: `sha`, or, where it is NULL, the tip of `ref`, or, where that is NULL, of the default branch. */
typedef struct MirrorWish {
	const char *sha;
	const char *ref; /* "refs/heads/main", or a short name */
} MirrorWish;

/**
 * Opens the mirror with the wanted commit in it.
 *
 * @out_id   the commit
 * @out_ref  the full name of the ref that was resolved, the caller's; NULL when `sha` decided. May be NULL itself
 * Returns   the mirror, or NULL: ABSENT when the remote has no such commit, REMOTE or DENIED when it cannot be read
 */
git_repository *mirror_open(Task *task, MirrorWish wish, git_oid *out_id, char **out_ref, GError **error);
/**
 * The same for another repo that the agent knows. It is fetched without credentials, since the task has only those of
 * its own repo; where that is refused, what the mirror has is used.
 *
 * @out_notice   the caller's: why what is used may be old; NULL when it is not
 */
git_repository *mirror_open_other(Task *task, const char *name, const char *url, MirrorWish wish, git_oid *out_id,
        char **out_notice, GError **error);
/** A repository that the agent does not know, and what opens it. */
typedef struct MirrorSource {
	const char *url;
	const char *token;       /* for http(s); NULL: none */
	const char *ssh_key;     /* a private key's text; NULL: none */
	const char *ssh_user;    /* NULL: of the url, or git */
	const char *known_hosts; /* lines as of ssh's known_hosts */
	bool any_host;           /* a host that is not among them is taken, too */
} MirrorSource;
/**
 * The same for one. It is kept for the task's repo alone, apart for runs of strangers: what a credential opened is not
 * there for who has none.
 */
git_repository *mirror_open_source(Task *task, const MirrorSource *source, MirrorWish wish, git_oid *out_id,
        char **out_ref, GError **error);
/** The path of a local remote ("file:///srv/x.git", "/srv/x.git"); NULL for others. The caller's. */
char *mirror_local_path(const char *url);
/** The host of "https://host/…", "ssh://git@host:22/…", "git@host:owner/name", in lower case; NULL for a path. The caller's. */
char *mirror_host(const char *url);
