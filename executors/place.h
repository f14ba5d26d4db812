/* SPDX-License-Identifier: Apache-2.0 */
/* What every executor does the same way: fill the door's Place, check a step, end a Child. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/executor.h"

/** What a newborn child could not do; it shares our memory, so it leaves this behind instead of a GError. */
typedef struct Failure {
	const char *what;   /* static; NULL: nothing failed */
	const char *target; /* a path, or NULL */
	int why;            /* errno */
} Failure;

/** Fills a zeroed Place; the texts are copied. */
void place_init(Place *place, const Executor *executor, const char *work_inside, const char *home_inside,
        const char *isolation);
/** Adds a sentence to what the place lacks. */
void place_lacks(Place *place, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Frees what place_init() made; the struct itself is its executor's. */
void place_clear(Place *place);

/** USER when a step has no argument vector, environment or folder, or an empty program name. */
bool place_check_step(const StepSpec *spec, GError **error);

/** Full path of argv[0] by PATH of envp, as steps see it: candidates joined, NULL-terminated; the caller's. */
char **place_candidates(const StepSpec *spec);
