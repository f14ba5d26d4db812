/* SPDX-License-Identifier: Apache-2.0 */
/* Names and versions of data. */
#pragma once

#include "agent/store/db.h"

/**
 * A new version, or the old one when the newest has this digest. `version`: {"digest","files","bytes","new_bytes",
 * "message","tags":{}}. Scope is the repo (0: local). Out: {"version":13,"changed":true}.
 */
json_t *datasets_put(Store *store, int64_t repo, int64_t run, const char *name, const json_t *version,
        GError **error);
/** version 0 and digest NULL: the newest. {"name","version","digest","files","bytes","message","created_at","run"}; ABSENT. */
json_t *datasets_get(Store *store, int64_t repo, const char *name, int64_t version, const char *digest,
        GError **error);
/** {"datasets":[{"repo","name","versions","newest":{…}}],"next"}; repo NULL: all. */
json_t *datasets_list(Store *store, const char *repo, const char *after, int64_t limit, GError **error);
/** {"repo","name","versions":[…newest first]}; ABSENT. */
json_t *datasets_show(Store *store, const char *repo, const char *name, GError **error);
/** Notes that a job used or made a version: lineage, and the gate's evidence. */
bool datasets_use(Store *store, int64_t run, int64_t job, const char *digest, const char *name, int64_t version,
        GError **error);
/** What a run used: [{"name","version","digest","job"}]. */
json_t *datasets_of_run(Store *store, int64_t run, GError **error);
/** Counts the candidate runs that were compared on this evaluation data, this one included; marks it. -1 on error. */
int64_t datasets_judged(Store *store, const char *digest, int64_t run, GError **error);
