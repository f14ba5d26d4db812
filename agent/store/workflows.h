/* SPDX-License-Identifier: Apache-2.0 */
/* The workflows of each repo's default branch: when they are due, and how they are started by hand. */
#pragma once

#include "agent/store/db.h"

/**
 * Replaces what is known of a repo's workflows. A schedule that was there keeps its next time.
 *
 * @list   [{"path","name","inputs":[{"name",…}]|null,"schedule":[{"cron","timezone"}]}]
 */
bool workflows_set(Store *store, int64_t repo, const char *ref, const char *sha, const json_t *list, int64_t at_us,
        GError **error);
/**
 * {"ref","sha","at","workflows":[{"path","name","inputs":[…]|null,"schedule":[{"cron","timezone","next_at","last_at"}]}]};
 * ref, sha and at are null while nobody has looked.
 */
json_t *workflows_list(Store *store, int64_t repo, GError **error);
/** The ref that was read; the caller's, NULL while nobody has looked. */
char *workflows_ref(Store *store, int64_t repo);

/** When the next schedule is due; 0: none. */
int64_t schedules_next(Store *store);
/** Those that are due: [{"repo","path","cron","timezone","next_at":µs,"ref","name"}]. */
json_t *schedules_due(Store *store, int64_t at_us, GError **error);
/** Notes that one of schedules_due() was started, and finds when it is due again. */
bool schedules_started(Store *store, const json_t *due, int64_t at_us, GError **error);
/** Every schedule that is to come, the nearest first: [{"repo":name,"workflow","path","cron","timezone","next_at","last_at"}]. */
json_t *schedules_list(Store *store, const char *repo, int64_t limit, GError **error);
