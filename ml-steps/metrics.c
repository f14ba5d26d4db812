/* SPDX-License-Identifier: Apache-2.0 */
/* assay/metrics: numbers of a file, or written into the workflow, go to a tracking run. */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "ml-steps/numbers.h"
#include "ml-steps/tracking.h"
#include "ml-steps/workspace.h"

static bool add_values(MlContext *context, json_t *metrics, GError **error)
{
	g_autoptr(json_t) pairs = step_pairs(context, "values", error);
	const char *name;
	json_t *text;
	if (!pairs)
		return false;
	json_object_foreach(pairs, name, text)
	{
		char *end = NULL;
		const char *digits = json_string_value(text);
		double value = g_ascii_strtod(digits, &end);
		if (digits[0] == '\0' || *end != '\0')
			return fail(error, ASSAY_ERROR_USER, "values: '%s' of '%s' is not a number", digits, name);
		json_t *item = json_object();
		json_set_string(item, "name", name);
		json_set_real(item, "value", value);
		json_set_int(item, "step", 0);
		json_array_append_new(metrics, item);
	}
	return true;
}

static bool metrics_run(MlContext *context, GError **error)
{
	const char *path = step_input(context, "file");
	if (!path && !step_input(context, "values"))
		return fail(error, ASSAY_ERROR_USER, "give the input 'file', or 'values' with name=value lines");
	g_autoptr(json_t) metrics = path ? numbers_read(context, path, error) : json_array();
	if (!metrics || !add_values(context, metrics, error))
		return false;
	const char *given = step_input(context, "tracking-run");
	g_autofree char *run = given ? g_strdup(given) : tracking_begin(context, NULL, NULL, error);
	if (!run || !tracking_add(context, run, metrics, error) ||
	        (!given && !tracking_finish(context, run, "FINISHED", error)))
		return false;
	g_autoptr(json_t) last = numbers_last(metrics);
	g_autofree char *sentence = numbers_sentence(last, 8);
	context->log(context, "Logged to %s: %s.", run, sentence);
	step_output(context, "tracking-run", run);
	return true;
}

static const MlInput inputs[] = {
        {"file", false, NULL, "JSON object of numbers, or JSON lines with a step; this or 'values'"},
        {"values", false, NULL, "name=value, one a line"},
        {"tracking-run", false, NULL, "where they go; default: a new tracking run"},
        {"experiment", false, NULL, "of a new tracking run; default: the workflow's name"},
        {0},
};
static const MlOutput outputs[] = {
        {"tracking-run", "where they went"},
        {0},
};
extern const MlStep ml_step_metrics;
const MlStep ml_step_metrics = {
        .name = "metrics",
        .summary = "logs numbers of a file to a tracking run",
        .inputs = inputs,
        .outputs = outputs,
        .run = metrics_run,
};
