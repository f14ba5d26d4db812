/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attempts of a run: what a re-run writes. What it keeps of the older ones is a matter of reading (runs.h): a job is in
 * the attempt that made it and in all later ones, until a newer job takes its place. Which jobs run again is the
 * daemon's to say (agent/daemon/rerun.c).
 */
#pragma once

#include "agent/store/db.h"

/**
 * Begins the next attempt of a run: the newest becomes a record of its own, and the run is queued again.
 *
 * @jobs     what was asked for, for people: "all", "failed", or the jobs' keys
 * @actor    who asked
 */
bool attempts_begin(Store *store, int64_t run, const char *actor, const char *jobs, bool debug, int64_t *out_attempt,
        GError **error);
/** Takes a job out of this and all later attempts; BUSY when a newer one has taken its place already. */
bool attempts_replace(Store *store, int64_t job, int64_t attempt, GError **error);
/** Takes a job that has not begun over into an attempt, which it then belongs to alone. */
bool attempts_take_over(Store *store, int64_t job, int64_t attempt, bool debug, GError **error);
