/* SPDX-License-Identifier: Apache-2.0 */
/* Workflow × event → runs and jobs, as the objects that a plan task writes (docs/formats.md). */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/model/workflow.h"

/**
 * Does this event start the workflow? Looks at `on`: names, types, branches, tags, paths with their filter globs.
 *
 * @event           docs/formats.md, "event" of a plan task
 * @changed_files   array of strings, or NULL when they are not known (path filters then match)
 */
bool planner_matches(const Workflow *workflow, const json_t *event, const json_t *changed_files);

/**
 * Makes the jobs of one run, in file order; for a dispatch the inputs are completed as planner_inputs() does. A job that
 * cannot be run here is an error that names file, line and column: [{"key","group","name","needs","definition","resolved"|absent,
 * "caller"|absent}]; the jobs of a call that is resolved follow it.
 *
 * @contexts   {"github","vars","inputs"}
 * @only       a job's id: only it and what it needs; NULL: all
 */
json_t *planner_jobs(const Workflow *workflow, const json_t *contexts, const char *only, GError **error);

/**
 * The inputs of a `workflow_dispatch`: each declared one in its declared kind, with its default when it is not given.
 *
 * @given    object of texts or values, or NULL
 * Returns   object; NULL with USER when one is unknown, missing, or of another kind
 */
json_t *planner_inputs(const Workflow *workflow, const json_t *given, GError **error);

/** `run-name` with its expressions evaluated, "" when there is none; the caller's. @contexts {"github","vars","inputs"} */
char *planner_run_name(const Workflow *workflow, const json_t *contexts, GError **error);

/** The workflow's own `concurrency`: {"group","cancel_in_progress","queue"}, or null. @contexts {"github","vars","inputs"} */
json_t *planner_concurrency(const Workflow *workflow, const json_t *contexts, GError **error);

/**
 * Resolves a job whose needs have ended: matrix unfolded, `if`, name, environment, runs-on, timeouts evaluated. Of a call
 * also what it gives: "call":{"inputs","concurrency"}.
 *
 * @contexts   {"github","needs","vars","inputs"}; each need is {"result","outputs"}
 * @status     how all that it needs went, and what that needs: success, failure, cancelled, skipped; NULL: by `needs` alone
 * Returns     array of resolved objects, never empty; one with "run":false when the job is skipped
 */
json_t *planner_resolve(const char *group, const json_t *definition, const json_t *contexts, const char *status,
        GError **error);

/** Between the key of a caller and the id of what it calls, in keys, groups and names. */
#define PLANNER_CALL_MARK " / "
/** A job's id in its own file, from its group in the run. Borrowed from it. */
const char *planner_local_id(const char *group);

/**
 * Appends the jobs of a resolved call to `out`, as planner_jobs() does; nothing when it is no call, or is skipped.
 *
 * @definition   the caller's, with `called`
 * @contexts     the caller's, as for planner_resolve()
 */
bool planner_expand(const json_t *resolved, const json_t *definition, const json_t *contexts, json_t *out, GError **error);
/** Lets go of what a resolved definition needs no more: its matrix, and of a call the called jobs, have become jobs. */
void planner_slim(json_t *definition);
/**
 * The outputs that a called workflow declares, when its jobs have ended.
 *
 * @contexts   {"github","vars","inputs","jobs":{id:{"result","outputs"}}}
 * Returns     object of strings; NULL with USER
 */
json_t *planner_call_outputs(const json_t *called, const json_t *contexts, GError **error);
