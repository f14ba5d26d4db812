/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding what `uses` means. The rows of builtin.c stand for the actions of the same name at any of their versions,
 * except for those that the admin wants fetched (actions.fetch). Of inputs that a row does not know is warned, as
 * GitHub's runner does; one that it knows and cannot grant is the row's own error, and not silence.
 */
#include "agent/job/actions.h"

#include <string.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/action_run.h"
#include "agent/job/action_use.h"

static bool is_named(const char *uses, const char *name)
{
	const char *at = strchr(uses, '@');
	size_t len = at ? (size_t)(at - uses) : strlen(uses);
	return strlen(name) == len && g_ascii_strncasecmp(name, uses, len) == 0;
}

static const Action *find_action(const Job *job, const char *uses)
{
	const json_t *fetched = json_object_get(json_object_get(job->spec, "actions"), "fetch");
	size_t i;
	json_t *name;
	json_array_foreach((json_t *)(uintptr_t)fetched, i, name)
		if (is_named(uses, json_string_value(name)))
			return NULL;
	for (const Action *action = actions; action->name; action++)
		if (is_named(uses, action->name))
			return action;
	return NULL;
}

bool actions_is_built_in(const Job *job, const char *uses)
{
	return g_str_has_prefix(uses, "assay/") || find_action(job, uses);
}

/* The inputs with their fallbacks, keys in lower case. */
static json_t *read_inputs(Job *job, const Action *action, const json_t *with)
{
	json_t *inputs = json_object();
	g_autoptr(json_t) unexpected = json_array();
	g_autoptr(json_t) declared = json_array();
	for (const ActionInput *input = action->inputs; input->name; input++) {
		json_array_append_new(declared, json_string(input->name));
		if (input->fallback)
			json_set_string(inputs, input->name, input->fallback);
	}
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)with, key, value) {
		g_autofree char *name = g_ascii_strdown(key, -1);
		const ActionInput *input = action->inputs;
		while (input->name && strcmp(input->name, name) != 0)
			input++;
		if (!input->name)
			json_array_append_new(unexpected, json_string(key));
		else if (!input->passed_over)
			json_object_set(inputs, name, value);
	}
	action_warn_unexpected(job, unexpected, declared);
	return inputs;
}

static void run_ml_step(Job *job, const char *uses, const json_t *with, StepResult *out)
{
	const char *at = strchr(uses, '@');
	g_autofree char *name = g_strndup(uses + 6, at ? (size_t)(at - uses - 6) : strlen(uses + 6));
	if (!at || strcmp(at, "@v1") == 0)
		mlsteps_run(job, name, with, out);
	else
		step_result_fail(out, CAUSE_INVALID, g_strdup_printf("%s: only @v1 of it is known", uses));
}

void actions_run(Job *job, const char *uses, const json_t *with, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	const Action *action = find_action(job, uses);
	if (g_str_has_prefix(uses, "assay/")) {
		run_ml_step(job, uses, with, out);
		return;
	}
	if (!action) {
		if (g_str_has_prefix(uses, "docker://")) {
			action_docker_step(job, uses, with, out);
			return;
		}
		ActionUse *use = action_use_find(job, uses, job->within, &error);
		if (use)
			action_run(job, use, with, out);
		else
			step_result_fail(out, task_cause_of(job->task, error, CAUSE_INVALID), g_strdup(error->message));
		return;
	}
	g_autoptr(json_t) inputs = read_inputs(job, action, with);
	if (action->run(job, inputs, &error))
		return;
	const char *otherwise = error->code == ASSAY_ERROR_USER ? CAUSE_INVALID : CAUSE_STEP;
	if (task_is_cancelled(job->task) && job->state != RUN_CANCELLED)
		otherwise = CAUSE_CANCELLED;
	bool shut = error->code == ASSAY_ERROR_DENIED && geteuid() != 0 && job->place && job->place->image && job->place->image->has_users;
	step_result_fail(out, task_cause_of(job->task, error, otherwise),
	        g_strconcat(error->message, shut ? "; if another user of the image owns it, let a step before give it to root (chown), or to all (chmod a+rX)" : "", NULL));
}
