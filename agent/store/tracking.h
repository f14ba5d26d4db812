/* SPDX-License-Identifier: Apache-2.0 */
/* Experiments, tracking runs, params, metrics, tags; words as in MLflow. */
#pragma once

#include "agent/store/db.h"

/** Starts a tracking run: {"experiment","name","params":{},"tags":{}}; out: {"tracking_run":"<32 hex>"}. */
json_t *tracking_start(Store *store, int64_t repo, int64_t run, int64_t job, const json_t *fields, GError **error);
/** {"metrics":[{"name","value","step","time"}],"params":{},"tags":{}}. */
bool tracking_log(Store *store, const char *tracking_run, const json_t *fields, GError **error);
/** status: FINISHED, FAILED or KILLED. */
bool tracking_end(Store *store, const char *tracking_run, const char *status, GError **error);
/** {"tracking_run","experiment","name","status","params":{},"tags":{},"metrics":{name:{"value","step","time"}},…}. */
json_t *tracking_get(Store *store, const char *tracking_run, GError **error);
/** [{"value","step","time"}] of one metric, in order of step. */
json_t *tracking_history(Store *store, const char *tracking_run, const char *metric, int64_t limit, GError **error);
/** Tracking runs of a run: array of tracking_get objects. */
json_t *tracking_of_run(Store *store, int64_t run, GError **error);
