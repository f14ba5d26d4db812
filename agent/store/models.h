/* SPDX-License-Identifier: Apache-2.0 */
/* The registry: models, versions, aliases, lineage; the release carries the alias `production`. */
#pragma once

#include "agent/store/db.h"

/**
 * A new version. `version`: {"digest","files","bytes","metrics":{},"card","signature":{},"tracking_run","lineage":
 * {"repo","sha","workflow","workflow_path","workflow_digest","run","job","data":[{"name","version","digest"}],
 * "parent":{…}}}. Out: {"version":8,"digest"}.
 */
json_t *models_register(Store *store, int64_t repo, int64_t run, int64_t job, const char *name,
        const json_t *version, GError **error);
/** By version, or by alias when version is 0: the version in full with "aliases" and "lineage"; ABSENT. */
json_t *models_get(Store *store, int64_t repo, const char *name, int64_t version, const char *alias,
        GError **error);
/** Moves an alias, and writes the ledger: {"previous":7|null}. gate 0: none was needed. */
json_t *models_alias(Store *store, int64_t repo, const char *name, int64_t version, const char *alias,
        int64_t gate, const char *actor, GError **error);
/** {"models":[{"repo","name","versions","release":{…}|null,"newest":{…}}],"next"}. */
json_t *models_list(Store *store, const char *repo, const char *after, int64_t limit, GError **error);
/** {"repo","name","versions":[… newest first],"ledger":[{"alias","version","previous","at","actor","gate"}]}; ABSENT. */
json_t *models_show(Store *store, const char *repo, const char *name, GError **error);
