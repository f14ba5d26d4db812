/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Composite actions. Their steps run within the step that uses them: they have contexts `inputs` and `steps` of their
 * own, the using step's environment around theirs, and what they set with GITHUB_ENV stays. success() and failure() in
 * them are about these steps alone. To the job they are one step, whose outputs the action declares.
 */
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/action_run.h"
#include "agent/job/contexts.h"
#include "agent/job/steps.h"

static void begin_inner(Job *job, const json_t *around)
{
	json_decref(job->step_outputs);
	json_decref(job->step_state);
	json_decref(job->step_env);
	job->step_outputs = json_object();
	job->step_state = json_object();
	job->step_env = NULL;
	contexts_set_env(job, around);
}

/* One inner step; a failure that counts makes the job's state FAILURE for the steps behind it. */
static void run_inner(Job *job, const ActionUse *use, size_t i, const json_t *around, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	const json_t *step = json_array_get(use->file->steps, i);
	StepResult result = {.message = NULL};
	step_result_clear(&result);
	steps_notice_end(job);
	begin_inner(job, around);
	const char *id = json_get_string(step, "id", NULL);
	g_autofree char *name = steps_name(job, step);
	bool wanted = false;
	if (!steps_condition(job, step, &wanted, &error)) {
		step_result_fail(&result, CAUSE_INVALID, g_strdup(error->message));
	} else if (!wanted) {
		steps_set_context(job, id, RUN_SKIPPED, RUN_SKIPPED);
		return;
	} else {
		steps_body(job, step, name, around, &result);
	}
	steps_add_usage(out, &result);
	RunState conclusion = result.state;
	if (conclusion == RUN_FAILURE && steps_goes_on(job, step))
		conclusion = RUN_SUCCESS;
	steps_set_context(job, id, result.state, conclusion);
	if (result.state == RUN_FAILURE) {
		g_autofree char *message = g_strdup_printf("step '%s': %s", name, result.message);
		job_annotate_at(job, conclusion == RUN_SUCCESS ? "warning" : "error", message, use->file->path,
		        g_array_index(use->file->lines, int, i));
	}
	if (conclusion != RUN_SUCCESS && out->state == RUN_SUCCESS) {
		out->exit_code = result.exit_code;
		step_result_fail(out, result.cause, g_strdup_printf("its step '%s': %s", name, result.message));
		if (job->state == RUN_RUNNING && result.state == RUN_FAILURE)
			job->state = RUN_FAILURE;
	}
	step_result_clear(&result);
}

static json_t *make_outputs(Job *job, const ActionFile *file, GError **error)
{
	g_autoptr(json_t) outputs = json_object();
	const char *key;
	json_t *value;
	json_object_foreach(file->outputs, key, value) {
		const json_t *template = json_object_get(value, "value");
		g_autofree char *text = template ? contexts_string(job, template, error) : g_strdup("");
		if (!text) {
			g_prefix_error(error, "%s: output '%s': ", file->path, key);
			return NULL;
		}
		json_set_string(outputs, key, text);
	}
	return g_steal_pointer(&outputs);
}

void composite_run(Job *job, ActionUse *use, const json_t *inputs, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) around = job->step_env ? json_incref(job->step_env) : json_object();
	g_autoptr(json_t) outer_state = json_incref(job->step_state);
	g_autofree char *outer_key = g_strdup(job->step_key);
	const json_t *outer_step = job->raw_step;
	const json_t *outer_around = job->around;
	RunState state = job->state;
	ActionView outer = action_view_take(job);
	action_view_enter(job, use, (json_t *)(uintptr_t)inputs);
	if (job->state == RUN_FAILURE)
		job->state = RUN_RUNNING;
	for (size_t i = 0; i < json_array_size(use->file->steps); i++) {
		g_free(job->step_key);
		job->step_key = g_strdup_printf("%s.%zu", outer_key, i + 1);
		run_inner(job, use, i, around, out);
	}
	contexts_set_env(job, around);
	json_t *outputs = make_outputs(job, use->file, &error);
	if (!outputs && out->state == RUN_SUCCESS)
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
	action_view_set(job, &outer);
	action_view_clear(&outer);
	if (job->state != RUN_CANCELLED)
		job->state = state; /* what it means for the job is decided by the step that used it */
	json_decref(job->step_outputs);
	job->step_outputs = outputs ? outputs : json_object();
	json_decref(job->step_state);
	job->step_state = g_steal_pointer(&outer_state);
	json_decref(job->step_env);
	job->step_env = json_incref(around);
	g_free(job->step_key);
	job->step_key = g_steal_pointer(&outer_key);
	job->raw_step = outer_step;
	job->around = outer_around;
	contexts_set_env(job, around);
}
