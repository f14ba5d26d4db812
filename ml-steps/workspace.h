/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of this room share: inputs, files of the job's workspace, the content store, reports. */
#pragma once

#include "agent/mlstep.h"

#define WORKSPACE_TEXT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define WORKSPACE_ITEMS_MAX 10000

/** An input's text without white space around it; NULL when it is absent or empty. Borrowed. */
const char *step_input(MlContext *context, const char *name);
/** As step_input(); sets USER and returns NULL when there is none. */
const char *step_required(MlContext *context, const char *name, GError **error);
/** An input's items: lines, or with commas between; never NULL, maybe empty. g_strfreev(). */
char **step_list(MlContext *context, const char *name);
/** An input of `name=value` lines as an object of strings; NULL with USER. */
json_t *step_pairs(MlContext *context, const char *name, GError **error);
/** Sets an output to a text, or to a number. */
void step_output(MlContext *context, const char *name, const char *value);
void step_output_int(MlContext *context, const char *name, int64_t value);
/** As ask(); `with` is taken, and the error says which ask of which step. */
bool step_ask(MlContext *context, const char *what, json_t *with, json_t **answer, GError **error);

/**
 * A path as a step's command would write it (relative, or absolute below the workspace) as a path relative to
 * workspace_fd; `..` is refused. The caller's.
 */
char *workspace_path(MlContext *context, const char *path, GError **error);
/** Is there anything at this path? `path` as workspace_path() gives it. */
bool workspace_has(MlContext *context, const char *path);
/** Reads a regular file of at most limit bytes; ABSENT when it is not there. */
GBytes *workspace_read(MlContext *context, const char *path, size_t limit, GError **error);
/** Reads a JSON file. */
json_t *workspace_json(MlContext *context, const char *path, GError **error);
/** Writes .assay/NAME; the path, relative to the workspace, is the caller's. Never goes through a link. */
char *workspace_write(MlContext *context, const char *name, const char *text, GError **error);

/** A new report of this kind: {"version":1,"kind","verdict","sentence"}; where it has a name, `version` is that thing's. */
json_t *step_report(const char *kind, const char *verdict, const char *sentence);
/** "1.2 MB"; the caller's. */
char *bytes_text(int64_t bytes);
/** 64 lower-case hex characters? */
bool digest_valid(const char *text);
