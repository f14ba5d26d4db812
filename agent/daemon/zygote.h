/* SPDX-License-Identifier: Apache-2.0 */
/* The waiting assay-worker that clones itself for each task (docs/formats.md, "The zygote"). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Zygote Zygote;

/**
 * Told once for each request: the process that has the task, or why none has it.
 *
 * @pidfd   the callee's; -1 with error (borrowed)
 */
typedef void (*ZygoteStarted)(int64_t task, int pidfd, int64_t pid, int64_t start, const GError *error, void *data);

Zygote *zygote_new(const char *worker, ZygoteStarted started, void *data, GError **error);
/** Ends the waiting process; tasks under way go on. */
void zygote_free(Zygote *zygote);
/** The program that it is; borrowed. */
const char *zygote_worker(const Zygote *zygote);
/**
 * Asks for a worker on this folder. A zygote that died is started again first.
 *
 * @git          will it look into a repository? Any worker can, but one that was asked for so is born ready to
 * @secrets_fd   borrowed; -1: the task has none
 */
bool zygote_ask(Zygote *zygote, int64_t task, const char *folder, bool git, int secrets_fd, GError **error);
/** Has removed what a worker left on this machine that ended without closing its job. Waits for nothing. */
void zygote_tidy(Zygote *zygote, int64_t pid);
