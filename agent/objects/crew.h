/* SPDX-License-Identifier: Apache-2.0 */
/* A few threads that empty one stack of tasks; tasks push more tasks. Used to read, hash, write and verify. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Crew Crew;

/** How many threads a crew has on this machine: its processors, at least 2, at most 8. */
unsigned crew_size(void);

/**
 * Does one task, and owns it.
 *
 * @worker   0 … crew_size() - 1, one thread at a time: an index for what each thread keeps for itself
 */
typedef bool (*CrewWork)(Crew *crew, void *task, unsigned worker, void *data, GError **error);

/** @drop frees a task that nobody will do, because another one failed. */
Crew *crew_new(CrewWork work, GDestroyNotify drop, void *data);
/** Adds a task on top: the last one pushed is done first. Takes task. Thread: any. */
void crew_push(Crew *crew, void *task);
/** Works, in the calling thread too, until nothing is left or one task has failed: then the first error is given. */
bool crew_run(Crew *crew, GError **error);
void crew_free(Crew *crew);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Crew, crew_free)
