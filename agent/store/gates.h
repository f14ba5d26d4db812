/* SPDX-License-Identifier: Apache-2.0 */
/* Gates: waits of jobs, verdicts of people, and the digests both are bound to. */
#pragma once

#include "agent/store/db.h"

/**
 * Opens a gate for a job, waiting.
 *
 * @rules      the environment's rules as they are now (environments_get), kept with the gate
 * @evidence   what the reviewer will be shown (docs/api.md, "Evidence"); its digest is kept beside it
 */
bool gates_open(Store *store, int64_t job, const char *environment, const json_t *rules, const json_t *evidence,
        int64_t expires_us, int64_t *out_id, GError **error);
/** One gate (docs/api.md, "Gate"); ABSENT. */
json_t *gates_get(Store *store, int64_t id, GError **error);
/** {"gates":[…],"next"}; filter: {"status","repo","reviewer"}, any absent; newest first. */
json_t *gates_list(Store *store, const json_t *filter, const char *after, int64_t limit, GError **error);
/** Adds one person's verdict ("approve" or "reject"), bound to the evidence's digest. A second by the same person replaces the first. */
bool gates_verdict(Store *store, int64_t gate, const char *user, const char *verdict, const char *comment,
        bool override, const char *evidence_digest, GError **error);
/** Ends a waiting gate: "approved", "rejected" or "expired". BUSY when it has ended already. */
bool gates_decide(Store *store, int64_t gate, const char *status, const char *message, GError **error);
/** The earliest expiry of a waiting gate, or 0. */
int64_t gates_next_expiry(Store *store);
/** Ids of waiting gates that expired before at_us. */
json_t *gates_expired(Store *store, int64_t at_us, GError **error);
/** Ids of waiting gates of a run. */
json_t *gates_waiting_of_run(Store *store, int64_t run, GError **error);
