/* SPDX-License-Identifier: Apache-2.0 */
/* Deployment targets: protection rules set by an admin, never by the repo. */
#pragma once

#include "agent/store/db.h"

/** rules: {"reviewers":["alice"],"approvals":1,"self_review":false,"expires_s":86400,"branches":["main"]}; whole replacement. */
bool environments_set(Store *store, const char *repo, const char *name, const json_t *rules, GError **error);
/** {"repo","name",…rules,"updated_at"}; NULL without an error when no admin has set it. */
json_t *environments_get(Store *store, const char *repo, const char *name, GError **error);
json_t *environments_list(Store *store, const char *repo, GError **error);
