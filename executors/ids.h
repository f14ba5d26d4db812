/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of user and group ids, by which an image's root may have other users beside it: which of them this host gives
 * to whoever runs jobs. Reads files, changes nothing.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define IDS_BESIDES 65535 /* 1 to 65535 of an image; its 0 is the job's own id */

/** Ids of the host for an image's 1 to 65535. */
typedef struct Ids {
	uint32_t first_uid; /* 0: there is no range, one id is all */
	uint32_t first_gid;
	uint32_t outer_uid, outer_gid; /* the same, as they are numbered where places are made */
	const char *source; /* who gives them, static */
	char *why_not;      /* when there is none: why, and what to do; the owner's */
} Ids;

void ids_clear(Ids *ids);

/**
 * The first range of an /etc/subuid for somebody, by name (NULL: none) or number, that is large enough; text may be
 * anything. 0: there is none, and *out_small says whether there was a smaller one.
 */
uint32_t ids_find(const char *text, gsize len, const char *name, uid_t id, bool *out_small);
/** Does a line of an /etc/subuid, of a passwd or of a group file touch first … first + IDS_BESIDES - 1? */
bool ids_taken(const char *text, gsize len, bool is_range, uint32_t first);
/** Are that many ids from `first` there, by the text of a /proc/self/uid_map? */
bool ids_mapped(const char *text, gsize len, uint32_t first);

/**
 * For an agent that is root.
 *
 * @wish   "auto" or NULL; "none"; the first id as a number
 */
void ids_of_root(const char *wish, uid_t job_uid, gid_t job_gid, Ids *out);
/** For an ordinary user's: what /etc/subuid and /etc/subgid give him, and newuidmap can map. */
void ids_of_user(Ids *out);

/** What root lends to a user's agent that may not call newuidmap (lend.c): a user namespace, and "FIRST-UID FIRST-GID". */
#define IDS_LENT "/run/assay-ids"
#define IDS_LENT_USER IDS_LENT "/user"
#define IDS_LENT_RANGE IDS_LENT "/range"
/** His user namespace with these ids, where one was lent to this process's user: a descriptor, the caller's; -1: none. */
int ids_lent(Ids *out);

#define IDS_NEWUIDMAP "/usr/bin/newuidmap"
#define IDS_NEWGIDMAP "/usr/bin/newgidmap"
