/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's one thread: state that all daemon files share; start, drain, stop. web/ reads the store itself and
 * changes things through the functions here and in gatekeeper.h.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/daemon/config.h"
#include "agent/forge.h"
#include "agent/store/db.h"

typedef struct Daemon Daemon;

/**
 * Opens data folder and store, starts the zygote, adopts what still runs. The config is borrowed and outlives it.
 *
 * @worker   path of assay-worker
 */
Daemon *daemon_new(const Config *config, const char *worker, GError **error);
/** Stops taking tasks and lets go of the workers that run: they go on. */
void daemon_free(Daemon *daemon);

Store *daemon_store(Daemon *daemon);
const Config *daemon_config(const Daemon *daemon);
/** The path of assay-worker, borrowed; NULL when the daemon stops. */
const char *daemon_worker(const Daemon *daemon);
/** What the front listens on, for links in jobs and messages: set once by the roof. */
void daemon_set_url(Daemon *daemon, const char *url);
const char *daemon_url(const Daemon *daemon);

/** Says that deliveries or tasks may wait: they are looked at in this turn of the loop. Cheap, idempotent. */
void daemon_wake(Daemon *daemon);

/**
 * Starts a workflow by hand, or those that ask for an event of one's own (repository_dispatch, on the default branch).
 *
 * @request        {"workflow":"train.yml","ref":"main","inputs":{}} or {"event_type":"retrain","client_payload":{}}
 * @out_delivery   what its runs will carry as "delivery"; the caller's
 */
bool daemon_dispatch(Daemon *daemon, const char *repo, const json_t *request, const char *actor,
        char **out_delivery, GError **error);

/** Reads anew which workflows a repo's default branch has: when they are due, how they are started by hand. */
bool daemon_survey(Daemon *daemon, int64_t repo, GError **error);

/** Cancels a run: its queued jobs end at once, its running ones get the signal. BUSY when it has ended. */
bool daemon_cancel(Daemon *daemon, int64_t run, const char *actor, GError **error);

/**
 * Runs again what a run did, as its next attempt (rerun.c).
 *
 * @request       {"jobs":"all"|"failed"|[ids],"debug":bool}; both may be absent
 * @out_attempt   its number
 * Returns        false with BUSY (it has not ended, or what needs it goes on), USER (nothing to run again), ABSENT
 */
bool daemon_rerun(Daemon *daemon, int64_t run, const json_t *request, const char *actor, int64_t *out_attempt,
        GError **error);

/** The path of a job's log; the caller's. The file may not be there yet. */
char *daemon_log_path(Daemon *daemon, int64_t run, int64_t job);

/** Calls `changed` after each commit that changed runs, jobs or gates of `run` (0: something else). Returns an id. */
typedef void (*DaemonChanged)(int64_t run, void *data);
unsigned daemon_subscribe(Daemon *daemon, DaemonChanged changed, void *data);
void daemon_unsubscribe(Daemon *daemon, unsigned id);
