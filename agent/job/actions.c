/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding what `uses` means. The rows of builtin.c stand for the actions of the same name at any of their major
 * versions; their inputs are checked, so that a wish that is not granted is an error and not silence.
 */
#include "agent/job/actions.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

static const Action *find_action(const char *uses)
{
	const char *at = strchr(uses, '@');
	size_t len = at ? (size_t)(at - uses) : strlen(uses);
	for (const Action *action = actions; action->name; action++)
		if (strlen(action->name) == len && g_ascii_strncasecmp(action->name, uses, len) == 0)
			return action;
	return NULL;
}

/* The inputs with their fallbacks, keys in lower case; NULL names what is not known. */
static json_t *check_inputs(const Action *action, const json_t *with, GError **error)
{
	g_autoptr(json_t) inputs = json_object();
	for (const ActionInput *input = action->inputs; input->name; input++)
		if (input->fallback)
			json_set_string(inputs, input->name, input->fallback);
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)with, key, value) {
		g_autofree char *name = g_ascii_strdown(key, -1);
		const ActionInput *input = action->inputs;
		while (input->name && strcmp(input->name, name) != 0)
			input++;
		if (!input->name) {
			fail(error, ASSAY_ERROR_USER, "%s: input '%s' is not known here", action->name, key);
			return NULL;
		}
		if (!input->passed_over)
			json_object_set(inputs, name, value);
	}
	return g_steal_pointer(&inputs);
}

static char *names_of_all(void)
{
	g_autoptr(GString) text = g_string_new(NULL);
	for (const Action *action = actions; action->name; action++)
		g_string_append_printf(text, "%s%s", text->len ? ", " : "", action->name);
	for (size_t i = 0; ml_steps[i]; i++)
		g_string_append_printf(text, ", assay/%s@v1", ml_steps[i]->name);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

void actions_run(Job *job, const char *uses, const json_t *with, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	const Action *action = find_action(uses);
	if (g_str_has_prefix(uses, "assay/")) {
		const char *at = strchr(uses, '@');
		g_autofree char *name = g_strndup(uses + 6, at ? (size_t)(at - uses - 6) : strlen(uses + 6));
		if (!at || strcmp(at, "@v1") == 0)
			mlsteps_run(job, name, with, out);
		else
			step_result_fail(out, CAUSE_INVALID, g_strdup_printf("%s: only @v1 of it is known", uses));
		return;
	}
	if (g_str_has_prefix(uses, "./")) {
		composite_run(job, uses, with, out);
		return;
	}
	if (!action) {
		g_autofree char *all = names_of_all();
		const char *what = "actions from elsewhere cannot be used";
		if (g_str_has_prefix(uses, "docker://"))
			what = "no executor here can run container images";
		step_result_fail(out, CAUSE_INVALID,
		        g_strdup_printf("%s: %s; put its commands into 'run' or into an action of this repository (./path), or "
		                        "use one of %s",
		                uses, what, all));
		return;
	}
	g_autoptr(json_t) inputs = check_inputs(action, with, &error);
	if (inputs && action->run(job, inputs, &error))
		return;
	const char *otherwise = error->code == ASSAY_ERROR_USER ? CAUSE_INVALID : CAUSE_STEP;
	if (task_is_cancelled(job->task) && job->state != RUN_CANCELLED)
		otherwise = CAUSE_CANCELLED;
	step_result_fail(out, task_cause_of(job->task, error, otherwise), g_strdup(error->message));
}
