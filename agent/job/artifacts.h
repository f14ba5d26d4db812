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
} ArtifactSpec;

/** Stores and names an artifact. *out_files is 0 when the patterns named nothing; then nothing was stored. */
bool artifacts_put(Job *job, const ArtifactSpec *spec, int64_t *out_files, char **out_digest, GError **error);
/** Brings one artifact (or, with name NULL, each into a folder of its name) below `path` in the workspace. */
bool artifacts_get(Job *job, const char *name, const char *pattern, const char *path, bool merge, GError **error);
