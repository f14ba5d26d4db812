/* SPDX-License-Identifier: Apache-2.0 */
/* Users, roles, hashed tokens, sessions, one-time links. Secrets are random and kept as SHA-256; passwords as Argon2id. */
#pragma once

#include "agent/store/db.h"

/**
 * Adds a user, or changes one. Roles: viewer < developer < reviewer < admin, as text. password NULL: a new user can
 * sign in by token or link only, one who is there keeps the password. A new password ends the user's sessions.
 */
bool people_put(Store *store, const char *name, const char *role, const char *password, GError **error);
/** {"name","role","created_at","has_password"}; ABSENT. */
json_t *people_get(Store *store, const char *name, GError **error);
/** [{"name",…}], by name. */
json_t *people_list(Store *store, GError **error);
/** With tokens, sessions and links; verdicts and the audit log keep the name. ABSENT. */
bool people_remove(Store *store, const char *name, GError **error);
/** The user's name when the password is right, NULL when not; takes the same time for an unknown user. */
char *people_check_password(Store *store, const char *name, const char *password);
/** A new token, returned once; the caller's. */
char *people_token_new(Store *store, const char *name, const char *note, GError **error);
/** Who a token or session is; {"name","role","csrf"}; NULL when unknown or expired. */
json_t *people_by_token(Store *store, const char *token);
char *people_session_new(Store *store, const char *name, int64_t lives_s, GError **error);
json_t *people_by_session(Store *store, const char *session);
void people_session_end(Store *store, const char *session);
/** A sign-in link's secret, good once, for the user. */
char *people_link_new(Store *store, const char *name, int64_t lives_s, GError **error);
/** Uses it up: the user's name, or NULL. */
char *people_link_use(Store *store, const char *secret);
