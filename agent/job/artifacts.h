/* SPDX-License-Identifier: Apache-2.0 */
/* Files that patterns name → the content store → an artifact of the run, and back. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/job/job.h"

typedef struct ArtifactSpec {
	const char *name;
	const char *patterns; /* one a line; "!" leaves out */
	bool hidden;          /* also files whose name begins with a dot */
	bool overwrite;       /* one of this name may be there, and goes */
	int64_t days;         /* that it is kept; 0: as the agent says */
} ArtifactSpec;

/** What was stored. */
typedef struct ArtifactPut {
	int64_t files; /* 0: the patterns named nothing, and nothing was stored */
	int64_t id;
	char digest[65];
} ArtifactPut;

/** Stores and names an artifact. */
bool artifacts_put(Job *job, const ArtifactSpec *spec, ArtifactPut *out, GError **error);
/** Is it a name that an artifact may have on every system? USER when not. */
bool artifacts_check_name(const char *name, GError **error);
/** Which artifacts, and where they go. */
typedef struct ArtifactWish {
	const char *name;    /* one of this name; NULL: all that fit */
	const char *pattern; /* a glob over names; NULL: any */
	const char *ids;     /* numbers with commas between; NULL: any */
	const char *path;    /* below the workspace */
	bool merge;          /* all into `path`, and not each into a folder of its name */
	int64_t run;         /* another run of the repo; 0: this one */
} ArtifactWish;

/** Brings artifacts below the wish's path in the workspace. */
bool artifacts_get(Job *job, const ArtifactWish *wish, GError **error);
