/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns: who holds a lock that few may hold at once, and who waits for it. Which locks there are is the daemon's to say
 * (agent/daemon/turns.c). A turn ends with its job or run (runs.c), and the store then calls the next one that waits.
 */
#pragma once

#include "agent/store/db.h"

typedef enum TurnState {
	TURN_HOLDS,
	TURN_WAITS,
	TURN_WAITS_NEWLY, /* by this call */
} TurnState;

/**
 * Stands in line for a lock with so many places; asked again, it stands there once. job 0: the run as a whole. It holds
 * the lock at once when there is a place and nobody waits for one, else from when it was called.
 */
bool turns_take(Store *store, int64_t repo, const char *lock, int64_t places, int64_t run, int64_t job, TurnState *out,
        GError **error);
/** Notes that one that was called has begun. */
bool turns_hold(Store *store, int64_t turn, GError **error);
/** Ends the turns of a job (run 0), or of a run as a whole (job 0), and calls who waits for what they held. */
bool turns_leave(Store *store, int64_t run, int64_t job, GError **error);
/** The oldest turn that was called and is not held yet: {"id","run","job"}; NULL without an error when there is none. */
json_t *turns_next(Store *store, GError **error);
/** Who holds a lock (the first of several): {"id","run","job","number","key"}; NULL without an error when nobody does. */
json_t *turns_holder(Store *store, int64_t repo, const char *lock, GError **error);
/** Who waits for a lock, in order: [{"id","run","job","number","key"}]. */
json_t *turns_waiting(Store *store, int64_t repo, const char *lock, GError **error);
/** The first that waits for a lock: {"id","run","job"}; NULL without an error when nobody does. */
json_t *turns_first(Store *store, int64_t repo, const char *lock, GError **error);
/** The message of a run's jobs that could start; NULL clears it. */
bool turns_say(Store *store, int64_t run, const char *message, GError **error);
