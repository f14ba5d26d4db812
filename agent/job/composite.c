/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Composite actions of the repository. The action's steps run within the step that uses it: they have contexts `inputs`
 * and `steps` of their own, the using step's environment around theirs, and what they set with GITHUB_ENV stays. To the
 * job they are one step, whose outputs the action declares.
 */
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/yaml.h"
#include "agent/job/actions.h"
#include "agent/job/contexts.h"
#include "agent/job/steps.h"

#define DEPTH_MAX 10
#define ACTION_BYTES_MAX (1024 * 1024)
#define STEPS_MAX 1000

/* Reads action.yml (or .yaml) as a tree; NULL with USER where it is not a composite action. */
static json_t *read_action(Job *job, const char *path, GError **error)
{
	static const char *const names[] = {"action.yml", "action.yaml"};
	autofd int workspace = job_open_workspace(job, error);
	g_autoptr(GBytes) bytes = NULL;
	g_autofree char *file = NULL;
	for (size_t i = 0; workspace >= 0 && !bytes && i < G_N_ELEMENTS(names); i++) {
		g_free(file);
		file = g_build_filename(path + 2, names[i], NULL);
		bytes = tree_read_file(workspace, file, ACTION_BYTES_MAX, NULL);
	}
	if (!bytes) {
		fail(error, ASSAY_ERROR_USER, "%s: the workspace has no action.yml there; is a checkout missing before?", path);
		return NULL;
	}
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autoptr(YamlDocument) document = yaml_parse(text ? text : "", len, file, error);
	if (!document)
		return NULL;
	g_autoptr(json_t) action = document->root ? yaml_to_json(document->root) : json_null();
	const json_t *runs = json_object_get(action, "runs");
	const char *using = json_get_string(runs, "using", "");
	if (strcmp(using, "composite") != 0) {
		fail(error, ASSAY_ERROR_USER, "%s: an action that runs by '%s' cannot be used here, only composite ones", path,
		        using);
		return NULL;
	}
	const json_t *steps = json_object_get(runs, "steps");
	if (json_array_size(steps) == 0 || json_array_size(steps) > STEPS_MAX) {
		fail(error, ASSAY_ERROR_USER, "%s: a composite action has 1 to %d steps", path, STEPS_MAX);
		return NULL;
	}
	size_t i;
	json_t *step;
	json_array_foreach(steps, i, step)
		if (!json_is_object(step) || !json_object_get(step, "run") == !json_object_get(step, "uses")) {
			fail(error, ASSAY_ERROR_USER, "%s: its step %zu has not exactly one of 'run' and 'uses'", path, i + 1);
			return NULL;
		}
	return g_steal_pointer(&action);
}

/* What was given, and the action's defaults; keys in lower case, as the inputs context is asked without regard to it. */
static json_t *make_inputs(Job *job, const char *path, const json_t *action, const json_t *with, GError **error)
{
	g_autoptr(json_t) inputs = json_object();
	const json_t *declared = json_object_get(action, "inputs");
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)declared, key, value) {
		const json_t *fallback = json_object_get(value, "default");
		g_autofree char *text = fallback ? contexts_string(job, fallback, error) : g_strdup("");
		if (!text)
			return NULL;
		json_set_string(inputs, key, text);
	}
	json_object_foreach((json_t *)(uintptr_t)with, key, value) {
		const char *name = NULL;
		const char *known;
		json_t *unused;
		json_object_foreach((json_t *)(uintptr_t)declared, known, unused)
			if (g_ascii_strcasecmp(known, key) == 0)
				name = known;
		if (!name) {
			fail(error, ASSAY_ERROR_USER, "%s: input '%s' is not known", path, key);
			return NULL;
		}
		json_object_set(inputs, name, value);
	}
	return g_steal_pointer(&inputs);
}

/* One inner step; a failure that counts makes the job's state FAILURE for the steps behind it. */
static void run_inner(Job *job, const json_t *step, const json_t *around, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	StepResult result = {.message = NULL};
	step_result_clear(&result);
	steps_notice_end(job);
	json_decref(job->step_outputs);
	json_decref(job->step_env);
	job->step_outputs = json_object();
	job->step_env = NULL;
	contexts_set_env(job, around);
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
	RunState conclusion = result.state;
	if (conclusion == RUN_FAILURE && steps_goes_on(job, step))
		conclusion = RUN_SUCCESS;
	steps_set_context(job, id, result.state, conclusion);
	if (conclusion != RUN_SUCCESS && out->state == RUN_SUCCESS) {
		out->exit_code = result.exit_code;
		step_result_fail(out, result.cause, g_strdup_printf("its step '%s': %s", name, result.message));
		if (job->state == RUN_RUNNING && result.state == RUN_FAILURE)
			job->state = RUN_FAILURE;
	}
	step_result_clear(&result);
}

static json_t *make_outputs(Job *job, const json_t *action, GError **error)
{
	g_autoptr(json_t) outputs = json_object();
	const char *key;
	json_t *value;
	json_object_foreach(json_object_get(action, "outputs"), key, value) {
		const json_t *template = json_object_get(value, "value");
		g_autofree char *text = template ? contexts_string(job, template, error) : g_strdup("");
		if (!text) {
			g_prefix_error(error, "output '%s': ", key);
			return NULL;
		}
		json_set_string(outputs, key, text);
	}
	return g_steal_pointer(&outputs);
}

void composite_run(Job *job, const char *path, const json_t *with, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	if (job->depth >= DEPTH_MAX) {
		step_result_fail(out, CAUSE_INVALID, g_strdup_printf("%s: actions use one another deeper than %d", path, DEPTH_MAX));
		return;
	}
	g_autoptr(json_t) action = read_action(job, path, &error);
	g_autoptr(json_t) inputs = action ? make_inputs(job, path, action, with, &error) : NULL;
	if (!inputs) {
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
		return;
	}
	json_t *github = json_object_get(job->contexts, "github");
	g_autoptr(json_t) outer_inputs = json_incref(json_object_get(job->contexts, "inputs"));
	g_autoptr(json_t) outer_steps = json_incref(json_object_get(job->contexts, "steps"));
	g_autoptr(json_t) outer_path = json_incref(json_object_get(github, "action_path"));
	g_autoptr(json_t) around = job->step_env ? json_incref(job->step_env) : json_object();
	RunState outer_state = job->state;
	g_autofree char *inside = g_build_filename(job->workspace_inside, path + 2, NULL);
	json_set(job->contexts, "inputs", json_incref(inputs));
	json_set(job->contexts, "steps", json_object());
	json_set_string(github, "action_path", inside);
	job->depth++;
	size_t i;
	json_t *step;
	json_array_foreach(json_object_get(json_object_get(action, "runs"), "steps"), i, step)
		run_inner(job, step, around, out);
	json_t *outputs = make_outputs(job, action, &error);
	if (!outputs && out->state == RUN_SUCCESS)
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
	job->depth--;
	if (job->state == RUN_FAILURE)
		job->state = outer_state; /* what it means for the job is decided by the step that used us */
	json_decref(job->step_outputs);
	job->step_outputs = outputs ? outputs : json_object();
	json_decref(job->step_env);
	job->step_env = json_incref(around);
	json_set(job->contexts, "inputs", json_incref(outer_inputs));
	json_set(job->contexts, "steps", json_incref(outer_steps));
	if (outer_path)
		json_set(github, "action_path", json_incref(outer_path));
	else
		json_object_del(github, "action_path");
	contexts_set_env(job, around);
}
