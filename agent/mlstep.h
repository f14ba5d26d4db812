/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to ml-steps/: a built-in step about data and models (`uses: assay/NAME@v1`). It runs inside the
 * worker, not in the sandbox; it reads and writes the job's workspace only below workspace_fd, and what it needs
 * from the workplace (ask the agent, run a command confined, report) arrives in its context.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** An input of a step, as documentation and as check. */
typedef struct MlInput {
	const char *name;
	bool required;
	const char *fallback; /* the value when it is not given; NULL: absent */
	const char *summary;
} MlInput;

typedef struct MlOutput {
	const char *name;
	const char *summary;
} MlOutput;

/** How a command that a step ran has ended; as StepEnd of executor.h. */
typedef struct MlEnd {
	int exit_code;
	int signal;
	char cause[16]; /* "exit", "signal", "oom", "timeout", "cancelled", "limit", "agent" */
} MlEnd;

typedef struct MlContext MlContext;
struct MlContext {
	json_t *inputs;          /* object of strings; required ones are there, fallbacks filled in */
	int workspace_fd;        /* the job's workspace ($GITHUB_WORKSPACE) on this side */
	const char *workspace;   /* the same as a path on this side: for messages and for the content store */
	const char *workspace_inside; /* as a step's command sees it */
	const char *store_folder; /* the content store, D/objects */
	json_t *github;          /* the github context: repository, sha, ref, workflow, run_id, actor, job … */
	json_t *outputs;         /* object: the step sets strings here */

	/** A line for the job's log; secrets are masked. */
	void (*log)(MlContext *context, const char *format, ...) G_GNUC_PRINTF(2, 3);
	/** Asks the agent (docs/formats.md, "Asks"); waits for the answer, over a restart of the agent too. */
	bool (*ask)(MlContext *context, const char *what, json_t *with, json_t **answer, GError **error);
	/**
	 * Hands a report to the run: shown on the run's and the gate's page. `report` is borrowed; it has at least
	 * {"version":1,"kind":"compare","verdict":"pass|fail|inconclusive|none","sentence":"…"}.
	 */
	void (*report)(MlContext *context, const json_t *report);
	/** Runs a shell command confined, as a `run:` step would, with limits; 0 is none. Output goes to the log. */
	bool (*command)(MlContext *context, const char *script, const char *const *extra_env, int64_t time_us,
	        int64_t memory_bytes, MlEnd *out, GError **error);
	void *data; /* the workplace's */
};

typedef struct MlStep {
	const char *name;    /* "snapshot": `uses: assay/snapshot@v1` */
	const char *summary; /* one line for --help, the web page and the manual */
	const MlInput *inputs;   /* ends with a NULL name */
	const MlOutput *outputs; /* ends with a NULL name */
	/** false: the step failed, for the reason in error. */
	bool (*run)(MlContext *context, GError **error);
} MlStep;

/** NULL-terminated; the rows are in ml-steps/table.c. */
extern const MlStep *const ml_steps[];

static inline const MlStep *ml_step_find(const char *name)
{
	for (size_t i = 0; ml_steps[i]; i++)
		if (g_strcmp0(ml_steps[i]->name, name) == 0)
			return ml_steps[i];
	return NULL;
}
