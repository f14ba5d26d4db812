/* SPDX-License-Identifier: Apache-2.0 */
/* The one way to start a child: argument vector, descriptor map, a pidfd back, no shell, no fork. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** What a new child gets. Everything is borrowed until spawn() returns. */
typedef struct SpawnSpec {
	const char *const *argv; /* argv[0] is looked up in `path_search` when it has no slash */
	const char *const *envp; /* NULL: an empty environment, never the caller's */
	const char *path_search; /* colon-separated folders; NULL: the caller's PATH */
	const char *folder;      /* working directory; NULL: the caller's */
	const int *fds;          /* fds[i] becomes descriptor i of the child; -1 is /dev/null */
	size_t fds_len;          /* at least 3; everything else is closed */
	bool own_session;        /* setsid: away from our terminal and process group */
	bool die_with_parent;    /* SIGKILL when the thread that called spawn() ends */
	uid_t uid;               /* not 0: give root up for this user and gid, and all other groups */
	gid_t gid;
} SpawnSpec;

/**
 * Starts a child by clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD): its cost does not grow with our memory. The
 * child's signal dispositions are the defaults and its mask is empty.
 *
 * @out_pid    its process id; may be NULL
 * Returns     a pidfd (readable when the child has ended), or -1: ABSENT when the program is not there
 */
int spawn(const SpawnSpec *spec, pid_t *out_pid, GError **error);

/** How a child ended. */
typedef struct SpawnEnd {
	int exit_code; /* -1 when it was ended by a signal */
	int signal;    /* 0 when it exited by itself */
} SpawnEnd;

/** Waits for a child's end and reaps it. Does not close pidfd. */
bool spawn_wait(int pidfd, SpawnEnd *out, GError **error);

/** Runs a program to its end and collects at most limit bytes of its stdout; stderr is ours. */
bool spawn_collect(const char *const *argv, size_t limit_bytes, GBytes **out, SpawnEnd *end, GError **error);
