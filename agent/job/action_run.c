/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages. All `pre` run before the first step, in order; each `post` after the last one, in reverse, whether the job
 * failed or was cancelled. A stage's environment has INPUT_*, evaluated anew each time as GitHub's runner does, and
 * STATE_*, what the stages before it saved. Node actions run by the node of this machine or of the job's image; it is
 * looked for where the system has its programs, not in the PATH that steps may have changed.
 */
#include "agent/job/action_run.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/spawn.h"
#include "agent/job/actions.h"
#include "agent/job/commands.h"
#include "agent/job/containers.h"
#include "agent/job/contexts.h"
#include "agent/job/speech.h"
#include "agent/job/steps.h"

#define DEPTH_MAX 10

/* What an action's stages share. */
typedef struct ActionState {
	json_t *saved;
	bool pre;  /* it has run */
	bool post; /* it is registered */
} ActionState;

static void state_free(gpointer data)
{
	ActionState *state = data;
	json_decref(state->saved);
	g_free(state);
}

static ActionState *state_of(Job *job)
{
	if (!job->action_states)
		job->action_states = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, state_free);
	ActionState *state = g_hash_table_lookup(job->action_states, job->step_key);
	if (state)
		return state;
	state = g_new0(ActionState, 1);
	state->saved = json_object();
	g_hash_table_insert(job->action_states, g_strdup(job->step_key), state);
	return state;
}

/* Views */

static const char *const github_keys[] = {"action_path", "action_repository", "action_ref"};

ActionView action_view_take(Job *job)
{
	const json_t *github = json_object_get(job->contexts, "github");
	ActionView view = {.inputs = json_incref(json_object_get(job->contexts, "inputs")),
	        .steps = json_incref(json_object_get(job->contexts, "steps")),
	        .github = json_object(),
	        .within = job->within,
	        .depth = job->depth};
	for (size_t i = 0; i < G_N_ELEMENTS(github_keys); i++)
		if (json_object_get(github, github_keys[i]))
			json_object_set(view.github, github_keys[i], json_object_get(github, github_keys[i]));
	return view;
}

void action_view_set(Job *job, const ActionView *view)
{
	json_t *github = json_object_get(job->contexts, "github");
	json_set(job->contexts, "inputs", json_incref(view->inputs));
	json_set(job->contexts, "steps", json_incref(view->steps));
	for (size_t i = 0; i < G_N_ELEMENTS(github_keys); i++) {
		json_object_del(github, github_keys[i]);
		if (json_object_get(view->github, github_keys[i]))
			json_object_set(github, github_keys[i], json_object_get(view->github, github_keys[i]));
	}
	job->within = view->within;
	job->depth = view->depth;
}

void action_view_clear(ActionView *view)
{
	json_decref(view->inputs);
	json_decref(view->steps);
	json_decref(view->github);
}

/* github.action_* of an action; one of the workspace has a path only. */
static void name_action(Job *job, const ActionUse *use)
{
	json_t *github = json_object_get(job->contexts, "github");
	json_set_string(github, "action_path", use->inside);
	json_object_del(github, "action_repository");
	json_object_del(github, "action_ref");
	if (use->repo) {
		json_set_string(github, "action_repository", use->repo);
		json_set_string(github, "action_ref", use->ref);
	}
}

void action_view_enter(Job *job, const ActionUse *use, json_t *inputs)
{
	name_action(job, use);
	json_set(job->contexts, "inputs", json_incref(inputs));
	json_set(job->contexts, "steps", json_object());
	job->within = use;
	job->depth++;
}

/* Inputs */

static char *join(const json_t *names)
{
	g_autoptr(GString) text = g_string_new(NULL);
	size_t i;
	json_t *name;
	json_array_foreach((json_t *)(uintptr_t)names, i, name)
		g_string_append_printf(text, "%s%s", i ? "', '" : "", json_string_value(name));
	return g_string_free(g_steal_pointer(&text), FALSE);
}

void action_warn_unexpected(Job *job, const json_t *given, const json_t *declared)
{
	if (json_array_size(given) == 0)
		return;
	g_autofree char *unexpected = join(given);
	g_autofree char *valid = join(declared);
	g_autofree char *message = g_strdup_printf("Unexpected input(s) '%s', valid inputs are ['%s']", unexpected, valid);
	job_annotate(job, "warning", message);
}

static void tell_of_inputs(Job *job, const ActionUse *use, const json_t *with)
{
	const ActionFile *file = use->file;
	g_autoptr(json_t) unexpected = json_array();
	g_autoptr(json_t) declared = json_array();
	const char *key;
	json_t *unused;
	for (guint i = 0; i < file->inputs->len; i++) {
		const ActionFileInput *input = file->inputs->pdata[i];
		bool given = false;
		json_array_append_new(declared, json_string(input->name));
		json_object_foreach((json_t *)(uintptr_t)with, key, unused)
			given = given || g_ascii_strcasecmp(key, input->name) == 0;
		if (given && input->deprecation) {
			g_autofree char *message = g_strdup_printf("Input '%s' has been deprecated with message: %s", input->name,
			        input->deprecation);
			job_annotate(job, "warning", message);
		}
		if (!given && input->required && !input->fallback)
			joblog_sayf(job->log, "", "Input '%s' is required by %s and is not given.", input->name, use->uses);
	}
	bool docker = file->using == ACTION_USING_DOCKER;
	json_object_foreach((json_t *)(uintptr_t)with, key, unused)
		if (!action_file_input(file, key) &&
		        !(docker && (g_ascii_strcasecmp(key, "entrypoint") == 0 || g_ascii_strcasecmp(key, "args") == 0)))
			json_array_append_new(unexpected, json_string(key));
	action_warn_unexpected(job, unexpected, declared);
}

/* What is given, and the defaults of what is not. GitHub passes on what is not declared, too. */
static json_t *make_inputs(Job *job, const ActionUse *use, const json_t *with, GError **error)
{
	g_autoptr(json_t) inputs = json_object();
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)with, key, value) {
		const ActionFileInput *input = action_file_input(use->file, key);
		json_object_set(inputs, input ? input->name : key, value);
	}
	for (guint i = 0; i < use->file->inputs->len; i++) {
		const ActionFileInput *input = use->file->inputs->pdata[i];
		if (json_object_get(inputs, input->name))
			continue;
		g_autoptr(json_t) template = json_string(input->fallback ? input->fallback : "");
		g_autofree char *text = contexts_string(job, template, error);
		if (!text) {
			g_prefix_error(error, "%s: default of input '%s': ", use->file->path, input->name);
			return NULL;
		}
		json_set_string(inputs, input->name, text);
	}
	return g_steal_pointer(&inputs);
}

/* INPUT_* and STATE_* */

static void add_variable(GPtrArray *lines, const char *prefix, const char *name, const char *value)
{
	g_ptr_array_add(lines, g_strdup_printf("%s%s=%s", prefix, name, value));
}

GPtrArray *action_stage_environment(const json_t *inputs, const json_t *saved)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)inputs, key, value) {
		g_autofree char *name = g_strdelimit(g_ascii_strup(key, -1), " ", '_');
		add_variable(lines, "INPUT_", name, json_string_value(value));
	}
	json_object_foreach((json_t *)(uintptr_t)saved, key, value)
		add_variable(lines, "STATE_", key, json_string_value(value));
	g_ptr_array_add(lines, NULL);
	return lines;
}

/* Node */

static int major_of(const char *program)
{
	const char *const argv[] = {program, "--version", NULL};
	g_autoptr(GBytes) bytes = NULL;
	SpawnEnd end = {0};
	if (!spawn_collect(argv, 64, &bytes, &end, NULL) || end.exit_code != 0)
		return 0;
	gsize len = 0;
	const char *raw = g_bytes_get_data(bytes, &len);
	g_autofree char *text = g_strndup(raw ? raw : "", len);
	return text[0] == 'v' ? (int)g_ascii_strtoll(text + 1, NULL, 10) : 0;
}

/* The node that runs actions: of an image what its PATH has, of this machine the newest in the system's folders. */
static bool find_node(Job *job, const ActionUse *use, GError **error)
{
	static const char *const paths[] = {"/usr/local/bin/node", "/usr/bin/node", "/usr/bin/nodejs"};
	if (job->node)
		return true;
	if (containers_has_job(job)) {
		job->node = g_strdup("node");
		return true;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		int major = g_file_test(paths[i], G_FILE_TEST_IS_EXECUTABLE) ? major_of(paths[i]) : 0;
		if (major <= job->node_major)
			continue;
		g_free(job->node);
		job->node = g_strdup(paths[i]);
		job->node_major = major;
	}
	if (job->node)
		return true;
	return fail(error, ASSAY_ERROR_USER,
	        "%s runs by node%d, and this machine has no node in /usr/bin or /usr/local/bin; install nodejs, or use a job "
	        "container that has it", use->uses, use->file->node_major);
}

static void run_node(Job *job, const ActionUse *use, ActionStage stage, const json_t *inputs, const json_t *saved,
        StepResult *out)
{
	g_autoptr(GError) error = NULL;
	if (!find_node(job, use, &error)) {
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
		return;
	}
	bool old = job->node_major > 0 && job->node_major < use->file->node_major;
	if (old)
		joblog_sayf(job->log, "", "%s is written for node%d; it runs by this machine's node%d.", use->uses,
		        use->file->node_major, job->node_major);
	const char *script = stage == ACTION_PRE ? use->file->pre : stage == ACTION_MAIN ? use->file->main : use->file->post;
	g_autofree char *path = g_build_filename(use->inside, script, NULL);
	g_autoptr(GPtrArray) environment = action_stage_environment(inputs, saved);
	const char *const argv[] = {job->node, path, NULL};
	const ChildSpec spec = {.name = use->uses, .argv = argv, .folder = job->workspace_inside,
	        .extra_env = (const char *const *)environment->pdata};
	steps_command(job, &spec, out);
	if (out->state == RUN_FAILURE && old)
		step_result_fail(out, out->cause, g_strdup_printf("%s (it is written for node%d, and this machine has node%d)", out->message,
		        use->file->node_major, job->node_major));
	if (out->state == RUN_FAILURE && strcmp(job->node, "node") == 0 && out->exit_code < 0 && strstr(out->message, "No such file"))
		step_result_fail(out, CAUSE_INVALID,
		        g_strdup_printf("%s runs by node%d, and the job's image has no 'node' in its PATH", use->uses,
		                use->file->node_major));
}

/* Stages */

static void post_wish(Job *job, const ActionUse *use, ActionState *state);

static void run_script(Job *job, ActionUse *use, ActionStage stage, const json_t *inputs, ActionState *state,
        StepResult *out)
{
	ActionView outer = action_view_take(job);
	name_action(job, use);
	json_decref(job->step_state);
	job->step_state = json_incref(state->saved);
	g_autoptr(json_t) before = json_copy(state->saved);
	if (use->file->using == ACTION_USING_NODE)
		run_node(job, use, stage, inputs, before, out);
	else
		action_docker(job, use, stage, inputs, before, out);
	action_view_set(job, &outer);
	action_view_clear(&outer);
}

static void run_stage(Job *job, ActionUse *use, ActionStage stage, const json_t *with, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	ActionState *state = state_of(job);
	g_autoptr(json_t) inputs = make_inputs(job, use, with, &error);
	if (!inputs) {
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
		return;
	}
	if (stage != ACTION_POST && use->file->post && !state->post)
		post_wish(job, use, state);
	/* One that only a composite action of the workspace names was not known before the first step. */
	if (stage == ACTION_MAIN && use->repo && use->file->pre && !state->pre) {
		ExprScope scope = contexts_scope(job);
		bool wanted = false;
		if (expr_condition(use->file->pre_if ? use->file->pre_if : "always()", &scope, &wanted, NULL) && wanted)
			run_script(job, use, ACTION_PRE, inputs, state, out);
	}
	state->pre = true;
	if (out->state == RUN_SUCCESS)
		run_script(job, use, stage, inputs, state, out);
}

/* What a stage beside the step needs to be as the step was. */
typedef struct Aside {
	ActionUse *use;
	ActionStage stage;
	ActionView view;
	json_t *around;
} Aside;

static void aside_free(void *data)
{
	Aside *aside = data;
	action_view_clear(&aside->view);
	json_decref(aside->around);
	g_free(aside);
}

static bool aside_wanted(Job *job, JobPost *post, bool *out, GError **error)
{
	const Aside *aside = post->data;
	const ActionFile *file = aside->use->file;
	const char *condition = aside->stage == ACTION_PRE ? file->pre_if : file->post_if;
	ActionView outer = action_view_take(job);
	action_view_set(job, &aside->view);
	ExprScope scope = contexts_scope(job);
	bool good = expr_condition(condition ? condition : "always()", &scope, out, error);
	if (!good)
		g_prefix_error(error, "%s: %s-if: ", file->path, aside->stage == ACTION_PRE ? "pre" : "post");
	action_view_set(job, &outer);
	action_view_clear(&outer);
	return good;
}

static void aside_run(Job *job, JobPost *post, StepResult *out)
{
	Aside *aside = post->data;
	g_autoptr(GError) error = NULL;
	ActionView outer = action_view_take(job);
	action_view_set(job, &aside->view);
	job->depth = 0; /* its limits are those of a step */
	job->raw_step = post->step;
	joblog_on_command(job->log, speech_command, job);
	g_autoptr(json_t) with = NULL;
	if (steps_set_env(job, post->step, aside->around, &error))
		with = contexts_strings(job, json_object_get(post->step, "with"), &error);
	if (with)
		run_stage(job, aside->use, aside->stage, with, out);
	else
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
	joblog_on_command(job->log, NULL, NULL);
	action_view_set(job, &outer);
	action_view_clear(&outer);
}

/* name and step as they are now */
static JobPost *aside_new(Job *job, ActionUse *use, ActionStage stage, const json_t *step, const json_t *around)
{
	Aside *aside = g_new0(Aside, 1);
	*aside = (Aside){.use = use, .stage = stage, .view = action_view_take(job),
	        .around = around ? json_deep_copy(around) : NULL};
	JobPost *post = g_new0(JobPost, 1);
	post->name = steps_name(job, step);
	post->key = g_strdup(job->step_key);
	post->step = json_incref((json_t *)(uintptr_t)step);
	post->run = aside_run;
	post->wanted = aside_wanted;
	post->data = aside;
	post->free_data = aside_free;
	return post;
}

static void post_wish(Job *job, const ActionUse *use, ActionState *state)
{
	state->post = true;
	g_ptr_array_add(job->posts, aside_new(job, (ActionUse *)(uintptr_t)use, ACTION_POST, job->raw_step, job->around));
}

/* Before all steps */

static void pres_of(Job *job, const json_t *steps, const json_t *around);

/* The `pre` of what a composite action uses see its inputs, as far as they are known before any step has run. */
static void pres_within(Job *job, ActionUse *use, const json_t *step, const json_t *around)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) with = NULL;
	g_autoptr(json_t) inputs = NULL;
	if (steps_set_env(job, step, around, &error))
		with = contexts_strings(job, json_object_get(step, "with"), &error);
	if (with)
		inputs = make_inputs(job, use, with, &error);
	if (!inputs)
		return; /* the step itself will say why */
	g_autoptr(json_t) inner = json_incref(job->step_env);
	ActionView outer = action_view_take(job);
	action_view_enter(job, use, inputs);
	pres_of(job, use->file->steps, inner);
	action_view_set(job, &outer);
	action_view_clear(&outer);
}

static void pres_of(Job *job, const json_t *steps, const json_t *around)
{
	g_autofree char *outer_key = g_strdup(job->step_key);
	size_t i;
	json_t *step;
	json_array_foreach((json_t *)(uintptr_t)steps, i, step) {
		const char *uses = json_get_string(step, "uses", NULL);
		if (!uses || actions_is_built_in(job, uses) || g_str_has_prefix(uses, "docker://") ||
		        (g_str_has_prefix(uses, "./") && !(job->within && job->within->repo)))
			continue;
		ActionUse *use = action_use_find(job, uses, job->within, NULL);
		if (!use || !use->has_pre)
			continue;
		g_free(job->step_key);
		job->step_key = outer_key ? g_strdup_printf("%s.%zu", outer_key, i + 1) : g_strdup_printf("%zu", i + 1);
		if (use->file->using == ACTION_USING_COMPOSITE) {
			pres_within(job, use, step, around);
			continue;
		}
		JobPost *pre = aside_new(job, use, ACTION_PRE, step, around);
		g_autofree char *name = g_strdup_printf("Pre %s", pre->name);
		job->step++;
		steps_beside(job, name, step, pre);
		job_post_free(pre);
	}
	g_free(job->step_key);
	job->step_key = g_steal_pointer(&outer_key);
}

void action_pres_run(Job *job)
{
	pres_of(job, json_object_get(job->definition, "steps"), NULL);
}

void action_run(Job *job, ActionUse *use, const json_t *with, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	tell_of_inputs(job, use, with);
	if (use->file->using != ACTION_USING_COMPOSITE) {
		if (!use->repo && use->file->pre)
			joblog_sayf(job->log, "##[warning]", "`pre` execution is not supported for local action from '%s'", use->uses);
		run_stage(job, use, ACTION_MAIN, with, out);
		return;
	}
	if (job->depth >= DEPTH_MAX) {
		step_result_fail(out, CAUSE_INVALID, g_strdup_printf("%s: actions use one another deeper than %d", use->uses, DEPTH_MAX));
		return;
	}
	g_autoptr(json_t) inputs = make_inputs(job, use, with, &error);
	if (inputs && action_use_prepare_inner(job, use, &error))
		composite_run(job, use, inputs, out);
	else
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
}
