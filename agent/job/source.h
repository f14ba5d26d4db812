/* SPDX-License-Identifier: Apache-2.0 */
/* The repo as planning reads it: a commit in the mirror, without a checkout, or the working tree of `assay run`. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "agent/job/task.h"

#define SOURCE_WORKFLOWS_MAX 500
#define SOURCE_CHANGED_MAX 10000

typedef struct Source Source;

/** Opens the commit that the event names (its `sha`, or the tip of its `ref`). */
Source *source_open(Task *task, const json_t *event, GError **error);
void source_free(Source *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Source, source_free)

/** 40 hex digits; zeros for a working tree that is no repo. */
const char *source_sha(const Source *source);
/** The full name of the ref, or NULL. */
const char *source_ref(const Source *source);
/** The commit's first line, and who wrote it; NULL for a working tree that is no repo. */
const char *source_title(const Source *source);
const char *source_author(const Source *source);
/** Paths of the workflow files: `.assay/workflows`, or, where it has none, `.github/workflows`; sorted. */
GPtrArray *source_workflows(Source *source, GError **error);
GBytes *source_read(Source *source, const char *path, size_t limit_bytes, GError **error);
/** Array of the paths that differ between two commits; NULL when that is not known. */
json_t *source_changed(Source *source, const json_t *event);
