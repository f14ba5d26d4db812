/* SPDX-License-Identifier: Apache-2.0 */
/* Tracking runs, by asking the agent: begin, add numbers, finish. */
#pragma once

#include "agent/mlstep.h"

/**
 * Starts a tracking run. Experiment: the input of that name, or the workflow's name.
 *
 * @params   borrowed object of strings, may be NULL; @data_digest becomes the tag of that name when it is not NULL
 * Returns   its id, the caller's
 */
char *tracking_begin(MlContext *context, const json_t *params, const char *data_digest, GError **error);
/** Adds [{"name","value","step"}] with the time of now; `metrics` is borrowed. */
bool tracking_add(MlContext *context, const char *tracking_run, const json_t *metrics, GError **error);
/** FINISHED, FAILED or KILLED. */
bool tracking_finish(MlContext *context, const char *tracking_run, const char *status, GError **error);
