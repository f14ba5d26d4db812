/* SPDX-License-Identifier: Apache-2.0 */
/* Webhook requests as received, once each. */
#pragma once

#include "agent/store/db.h"

typedef struct DeliverySpec {
	const char *forge, *delivery, *repo;
	const char *event;   /* as the forge's header names it, for the list alone; NULL: no header does */
	const char *headers; /* JSON: an object, the headers that parse() will ask for by lower-case name; NULL: none */
	const void *body;
	size_t body_len;
	int64_t received_us;
} DeliverySpec;

/**
 * Stores a delivery inside the caller's transaction (the web room groups many before one commit).
 *
 * @out_id      may be NULL, which spares a repeat a look into the table
 * @out_fresh   may be NULL; false when this forge already sent this delivery id: nothing was stored
 */
bool deliveries_put(Store *store, const DeliverySpec *spec, int64_t *out_id, bool *out_fresh, GError **error);
/** The oldest delivery that intake has not seen: {"id","forge","delivery","repo","headers","body"}; NULL when none. */
json_t *deliveries_next(Store *store, GError **error);
/** Marks it seen; outcome is "runs", "ignored" or "failed", with a sentence. */
bool deliveries_done(Store *store, int64_t id, const char *outcome, const char *message, GError **error);
/** {"id","forge","delivery","repo","event","outcome","message","received_at"}, newest first; no bodies. */
json_t *deliveries_list(Store *store, const char *repo, const char *after, int64_t limit, GError **error);
