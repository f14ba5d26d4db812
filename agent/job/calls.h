/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of reusable workflows: the called files read, checked against what their callers give, and put into the
 * callers' definitions as `called` (docs/formats.md). Planning and `assay validate` use it.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/model/workflow.h"

/** A workflow may stand at most so deep, the first one counted. */
#define CALLS_DEPTH_MAX 10
/** Different files that one workflow may call, directly or not. */
#define CALLS_FILES_MAX 50
/** Jobs of all called workflows together, before a matrix is unfolded. */
#define CALLS_JOBS_MAX 4096
/** And their text, each file as often as it is called. */
#define CALLS_BYTES_MAX (8 * 1024 * 1024)

/** Where a called file stands. */
typedef struct CallPlace {
	const char *repo; /* "owner/name"; NULL: where the calling run's files come from */
	const char *ref;  /* as the caller wrote it, or the commit of a file that was called; NULL without repo */
	const char *path; /* ".github/workflows/x.yml" */
} CallPlace;

/** Who reads called files. */
typedef struct CallSource {
	/**
	 * The file's bytes, the caller's.
	 *
	 * @out_sha   the commit it was read at, the caller's; NULL where there is none
	 */
	GBytes *(*read)(void *data, const CallPlace *place, char **out_sha, GError **error);
	void *data;
	bool lenient; /* a file that cannot be read is no mistake: its calls are not looked into */
} CallSource;

/**
 * Reads what a workflow calls, and what that calls, and so on. On success every calling job's definition has `called`.
 *
 * @errors   mistakes are appended: those of reader_read(), with "path" (and "call", the line and
 *            column of the first file's `uses`) where they stand in another file
 * Returns   false when there was any
 */
bool calls_load(Workflow *workflow, const CallSource *source, json_t *errors);

/** Makes mistakes in called files mistakes of the calls that lead there: for those who know only the first file. */
void calls_tell(json_t *errors);

/**
 * The inputs of a call: what is given, in the declared kind, and the defaults.
 *
 * @called     of the caller's definition
 * @given      `with`, its expressions evaluated; may be NULL
 * @contexts   "github" and "vars", for defaults
 * Returns     object; NULL with USER when a value is of another kind
 */
json_t *calls_inputs(const json_t *called, const json_t *given, const json_t *contexts, GError **error);

/**
 * The secrets that a called job may see.
 *
 * @chain      from the first caller to the last: [{"given":"inherit"|{…},"contexts":{…}}]
 * @secrets    the first caller's
 * @contexts   "github" and "vars"
 */
json_t *calls_secrets(const json_t *chain, const json_t *secrets, const json_t *contexts, GError **error);
