/* SPDX-License-Identifier: Apache-2.0 */
/* Tracking runs by asks. What a reader needs to find the code again (commit, ref, run) goes along as tags. */
#include "ml-steps/tracking.h"

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "ml-steps/workspace.h"

#define METRICS_AT_ONCE 1000 /* an event line has at most 1 MiB */

static json_t *tags_of(MlContext *context, const char *data_digest)
{
	static const char *const keys[][2] = {{"sha", "mlflow.source.git.commit"}, {"ref_name", "mlflow.source.git.branch"},
	        {"actor", "mlflow.user"}, {"run_id", "assay.run"}, {"job", "assay.job"}};
	json_t *tags = json_object();
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		const json_t *value = json_object_get(context->github, keys[i][0]);
		g_autofree char *number = json_text(value);
		const char *text = json_is_string(value) ? json_string_value(value) : json_is_integer(value) ? number : NULL;
		if (text && text[0] != '\0')
			json_set_string(tags, keys[i][1], text);
	}
	if (data_digest)
		json_set_string(tags, "assay.data.digest", data_digest);
	return tags;
}

char *tracking_begin(MlContext *context, const json_t *params, const char *data_digest, GError **error)
{
	const char *experiment = step_input(context, "experiment");
	const char *workflow = json_get_string(context->github, "workflow", "");
	const char *job = json_get_string(context->github, "job", "");
	json_t *with = json_object();
	json_set_string(with, "experiment", experiment ? experiment : workflow[0] ? workflow : "Default");
	json_set_string(with, "name", job[0] ? job : "train");
	json_set(with, "params", params ? json_deep_copy(params) : json_object());
	json_set(with, "tags", tags_of(context, data_digest));
	g_autoptr(json_t) answer = NULL;
	if (!step_ask(context, "tracking.start", with, &answer, error))
		return NULL;
	const char *run = json_get_string(answer, "tracking_run", NULL);
	if (!run)
		fail(error, ASSAY_ERROR_SYSTEM, "tracking.start: the answer has no tracking_run");
	return g_strdup(run);
}

bool tracking_add(MlContext *context, const char *tracking_run, const json_t *metrics, GError **error)
{
	char time[CLOCK_TEXT_BYTES];
	clock_text(now_us(), time);
	for (size_t first = 0; first < json_array_size(metrics); first += METRICS_AT_ONCE) {
		json_t *part = json_array();
		for (size_t i = first; i < MIN(first + METRICS_AT_ONCE, json_array_size(metrics)); i++) {
			json_t *item = json_copy(json_array_get(metrics, i));
			json_set_string(item, "time", time);
			json_array_append_new(part, item);
		}
		json_t *with = json_object();
		json_set_string(with, "tracking_run", tracking_run);
		json_set(with, "metrics", part);
		g_autoptr(json_t) answer = NULL;
		if (!step_ask(context, "tracking.log", with, &answer, error))
			return false;
	}
	return true;
}

bool tracking_finish(MlContext *context, const char *tracking_run, const char *status, GError **error)
{
	json_t *with = json_object();
	json_set_string(with, "tracking_run", tracking_run);
	json_set_string(with, "status", status);
	g_autoptr(json_t) answer = NULL;
	return step_ask(context, "tracking.end", with, &answer, error);
}
