/* SPDX-License-Identifier: Apache-2.0 */
/* Who did what, appended only; each row carries the hash of the one before it. */
#pragma once

#include "agent/store/db.h"

/** detail is borrowed and may be NULL; never holds a secret. */
bool audit_add(Store *store, const char *actor, const char *action, const char *subject, const json_t *detail,
        GError **error);
/** How many were added since the store was opened, those that were rolled back as well: by it one knows that people did nothing since. */
uint64_t audit_count(const Store *store);
/** {"entries":[{"id","at","actor","action","subject","detail","hash"}],"next"}, newest first. */
json_t *audit_list(Store *store, const char *after, int64_t limit, GError **error);
/** Walks the chain; USER naming the first row that does not fit. */
bool audit_verify(Store *store, GError **error);
