/* SPDX-License-Identifier: Apache-2.0 */
/* Repos: name, address, webhook secret, trust. */
#pragma once

#include "agent/store/db.h"

/**
 * Adds or replaces a repo. settings (may be NULL): {"network":"none|loopback|full","default_branch":"main",
 * "forge":"github","api":"https://…"}; webhook_secret NULL keeps the one that is there.
 */
bool repos_put(Store *store, const char *name, const char *url, const void *webhook_secret, size_t secret_len,
        const json_t *settings, int64_t *out_id, GError **error);
bool repos_remove(Store *store, const char *name, GError **error);
/** {"id","name","url","network","default_branch","forge","api","created_at","has_secret"}; ABSENT. */
json_t *repos_get(Store *store, const char *name, GError **error);
json_t *repos_get_id(Store *store, int64_t id, GError **error);
json_t *repos_list(Store *store, const char *after, int64_t limit, GError **error);
/**
 * Keeps what opens a repo at its forge, sealed.
 *
 * @kind   "token", "ssh_key" or "known_hosts"
 */
bool repos_set_credential(Store *store, int64_t repo, const char *kind, const char *text, GError **error);
/** It, opened; NULL when there is none. The caller's, to be wiped. */
char *repos_credential(Store *store, int64_t repo, const char *kind);
/**
 * The webhook secret, opened; NULL without an error when there is none or the repo is unknown. What was asked for lately is kept open
 * until a repo changes, so it takes as long for either.
 */
GBytes *repos_webhook_secret(Store *store, const char *name);
