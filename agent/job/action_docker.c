/* SPDX-License-Identifier: Apache-2.0 */
/* Actions that are images, and steps that name one: what is run with which arguments; docker_action.c runs it. */
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/action_run.h"
#include "agent/job/actions.h"
#include "agent/job/contexts.h"
#include "agent/job/docker_action.h"

#define ARGS_MAX 1000

/* A step's `args`, split as a shell would. */
static bool split_args(const char *text, GPtrArray *args, GError **error)
{
	g_auto(GStrv) words = NULL;
	g_autoptr(GError) why = NULL;
	if (!g_shell_parse_argv(text, NULL, &words, &why)) {
		if (g_error_matches(why, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING))
			return true;
		return fail(error, ASSAY_ERROR_USER, "args: %s", why->message);
	}
	for (char **word = words; *word; word++)
		g_ptr_array_add(args, g_strdup(*word));
	return true;
}

static const char *input_of(const json_t *inputs, const char *name)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)inputs, key, value)
		if (g_ascii_strcasecmp(key, name) == 0)
			return json_string_value(value);
	return NULL;
}

/* `args` of an action's file may hold its inputs. */
static bool evaluate_args(Job *job, const json_t *templates, GPtrArray *args, GError **error)
{
	size_t i;
	json_t *one;
	if (json_array_size(templates) > ARGS_MAX)
		return fail(error, ASSAY_ERROR_USER, "it has more than %d args", ARGS_MAX);
	json_array_foreach((json_t *)(uintptr_t)templates, i, one) {
		char *text = contexts_string(job, one, error);
		if (!text) {
			g_prefix_error(error, "args: ");
			return false;
		}
		g_ptr_array_add(args, text);
	}
	return true;
}

static bool run_action(Job *job, const ActionUse *use, ActionStage stage, const json_t *inputs, const json_t *saved,
        StepResult *out, GError **error)
{
	const ActionFile *file = use->file;
	json_set(job->contexts, "inputs", json_incref((json_t *)(uintptr_t)inputs)); /* our caller sets it back */
	g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(json_t) env = contexts_strings(job, file->env, error);
	const char *given = input_of(inputs, "args");
	if (!env || !(file->args ? evaluate_args(job, file->args, args, error) : !given || split_args(given, args, error)))
		return false;
	g_autoptr(GPtrArray) lines = action_stage_environment(inputs, saved);
	g_ptr_array_set_size(lines, (gint)lines->len - 1); /* its NULL */
	const char *key;
	json_t *value;
	json_object_foreach(env, key, value)
		g_ptr_array_add(lines, g_strconcat(key, "=", json_string_value(value), NULL));
	g_ptr_array_add(lines, NULL);
	const char *own = input_of(inputs, "entrypoint");
	const char *entrypoint = stage == ACTION_PRE ? file->pre : stage == ACTION_POST ? file->post : own ? own : file->main;
	bool some = args->len > 0;
	g_ptr_array_add(args, NULL);
	const DockerAction action = {.name = use->uses,
	        .image = file->image,
	        .made = use->made,
	        .entrypoint = entrypoint,
	        .args = some ? (const char *const *)args->pdata : NULL,
	        .extra_env = (const char *const *)lines->pdata};
	docker_action_run(job, &action, out);
	return true;
}

void action_docker(Job *job, ActionUse *use, ActionStage stage, const json_t *inputs, const json_t *saved,
        StepResult *out)
{
	g_autoptr(GError) error = NULL;
	/* One of another repository was made before the first step, and is only looked for. */
	if (!action_file_names_image(use->file) && !action_use_make_image(job, use, &error))
		step_result_fail(out, docker_action_cause(job, error), g_strdup(error->message));
	else if (!run_action(job, use, stage, inputs, saved, out, &error))
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
}

void action_docker_step(Job *job, const char *uses, const json_t *with, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
	const char *given = input_of(with, "args");
	if (given && !split_args(given, args, &error)) {
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
		return;
	}
	g_autoptr(GPtrArray) lines = action_stage_environment(with, NULL);
	bool some = args->len > 0;
	g_ptr_array_add(args, NULL);
	const DockerAction action = {.name = uses,
	        .image = uses,
	        .entrypoint = input_of(with, "entrypoint"),
	        .args = some ? (const char *const *)args->pdata : NULL,
	        .extra_env = (const char *const *)lines->pdata};
	docker_action_run(job, &action, out);
}
