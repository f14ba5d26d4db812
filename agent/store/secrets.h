/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets sealed with libsodium, opened only for a spawn; and plain variables. */
#pragma once

#include "agent/store/db.h"

/** environment NULL: for every job of the repo. A value of NULL removes it. */
bool secrets_set(Store *store, const char *repo, const char *environment, const char *name, const void *value,
        size_t len, GError **error);
/** [{"name","environment","updated_at"}]: never a value. */
json_t *secrets_list(Store *store, const char *repo, GError **error);
/** {"NAME":"value"} that a job of this environment (or NULL) gets; the environment's win over the repo's. */
json_t *secrets_open(Store *store, int64_t repo, const char *environment, GError **error);
/** Only those of the environment; none for NULL. */
json_t *secrets_open_environment(Store *store, int64_t repo, const char *environment, GError **error);
bool vars_set(Store *store, const char *repo, const char *environment, const char *name, const char *value,
        GError **error);
json_t *vars_get(Store *store, int64_t repo, const char *environment, GError **error);
/** Overwrites the values that secrets_open() gave; then let go of it. Takes NULL. */
void secrets_wipe(json_t *opened);
