/* SPDX-License-Identifier: Apache-2.0 */
/* One command in the job's place: started, its output brought to the log, watched, stopped in time. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/job/job.h"

typedef struct ChildSpec {
	const char *name;
	const char *const *argv;
	const char *const *extra_env; /* "NAME=value", or NULL */
	const char *const *only_env;  /* instead of everything that a step's command has; NULL: that */
	const char *folder;           /* as the command sees it */
	int64_t time_us;              /* of its own, 0: only the step's and the job's */
} ChildSpec;

typedef struct ChildEnd {
	int exit_code;
	int signal;
	const char *cause; /* "exit", "signal", "oom", "limit", "timeout", "cancelled", "agent"; static */
	int64_t cpu_us;
	int64_t memory_peak_bytes;
	int64_t read_bytes;
	int64_t write_bytes;
	int64_t energy_uj;
} ChildEnd;

/** Runs it to its end. false: it could not be started, or its end could not be learned. */
bool child_run(Job *job, const ChildSpec *spec, ChildEnd *out, GError **error);

/**
 * Writes a script into the job's temporary folder.
 *
 * @shell   "bash", "sh", "python", a template with {0}, or NULL: bash where there is one
 * Returns  the argument vector that runs it, the caller's, or NULL
 */
char **child_script(Job *job, const char *shell, const char *script, GError **error);
