/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk through a job's steps. A step has an outcome (what happened) and a conclusion (what counts, after
 * `continue-on-error`). The job's state, which `success()` and its kin ask for, falls with the first conclusion that is
 * a failure, and with a cancellation or the job's own time limit; steps behind it run only if their `if` says so.
 */
#include "agent/job/steps.h"

#include <signal.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/action_run.h"
#include "agent/job/actions.h"
#include "agent/job/annotate.h"
#include "agent/job/commands.h"
#include "agent/job/contexts.h"
#include "agent/job/limits.h"
#include "agent/job/speech.h"

#define AFTER_END_US (5 * 60 * G_GINT64_CONSTANT(1000000)) /* for always() steps of a job that was ended */
#define MINUTE_US G_GINT64_CONSTANT(60000000)

void step_result_clear(StepResult *result)
{
	g_free(result->message);
	*result = (StepResult){.state = RUN_SUCCESS, .exit_code = -1, .cpu_us = -1, .memory_peak_bytes = -1, .read_bytes = -1,
	        .write_bytes = -1, .energy_uj = -1};
}

void step_result_fail(StepResult *result, const char *cause, char *message)
{
	g_free(result->message);
	result->state = strcmp(cause, CAUSE_CANCELLED) == 0 ? RUN_CANCELLED : RUN_FAILURE;
	result->cause = cause;
	result->message = message;
}

static void set_known(json_t *event, const char *key, int64_t value)
{
	if (value >= 0)
		json_set_int(event, key, value);
}

/* soon: it may be told with the next event, since what it is about is short, or tells the worker when it is not. */
static void emit_step(Job *job, const char *name, RunState state, const StepResult *result, bool soon)
{
	json_t *event = task_event(EVENT_STEP);
	json_set_int(event, "number", job->step);
	json_set_string(event, "name", name);
	json_set_string(event, "status", run_state_name(state));
	if (result) {
		json_set_string(event, "cause", result->cause);
		json_set_string(event, "message", result->message);
		if (result->exit_code >= 0)
			json_set_int(event, "exit_code", result->exit_code);
		set_known(event, "cpu_us", result->cpu_us);
		set_known(event, "memory_peak_bytes", result->memory_peak_bytes);
		set_known(event, "read_bytes", result->read_bytes);
		set_known(event, "write_bytes", result->write_bytes);
		set_known(event, "energy_uj", result->energy_uj);
	}
	if (state == RUN_RUNNING) /* where its log begins; its end says nothing of that */
		json_set_int(event, "log_offset", joblog_offset(job->log));
	joblog_flush(job->log, NULL);
	(soon ? task_emit_later : task_emit)(job->task, event, NULL);
}

char *steps_folder(const Job *job, const char *folder)
{
	if (!folder || !folder[0])
		return g_strdup(job->workspace_inside);
	return folder[0] == '/' ? g_strdup(folder) : g_build_filename(job->workspace_inside, folder, NULL);
}

static void add_known(int64_t *sum, int64_t value)
{
	if (value >= 0)
		*sum = MAX(*sum, 0) + value;
}

void steps_add_usage(StepResult *sum, const StepResult *part)
{
	add_known(&sum->cpu_us, part->cpu_us);
	add_known(&sum->read_bytes, part->read_bytes);
	add_known(&sum->write_bytes, part->write_bytes);
	add_known(&sum->energy_uj, part->energy_uj);
	sum->memory_peak_bytes = MAX(sum->memory_peak_bytes, part->memory_peak_bytes);
}

void steps_take_end(Job *job, const ChildEnd *end, StepResult *out)
{
	out->exit_code = end->exit_code;
	steps_add_usage(out, &(StepResult){.cpu_us = end->cpu_us, .memory_peak_bytes = end->memory_peak_bytes,
	        .read_bytes = end->read_bytes, .write_bytes = end->write_bytes, .energy_uj = end->energy_uj});
	const char *cause = end->cause ? end->cause : CAUSE_AGENT;
	if (strcmp(cause, CAUSE_CANCELLED) == 0)
		step_result_fail(out, CAUSE_CANCELLED, g_strdup("it was cancelled"));
	else if (strcmp(cause, CAUSE_TIMEOUT) == 0)
		step_result_fail(out, CAUSE_TIMEOUT, limits_step_time(job));
	else if (strcmp(cause, CAUSE_DISK) == 0)
		step_result_fail(out, CAUSE_DISK, g_strdup(job->disk_why ? job->disk_why : "its log could not be written; free some space"));
	else if (strcmp(cause, CAUSE_OOM) == 0)
		step_result_fail(out, CAUSE_OOM, limits_memory(job));
	else if (strcmp(cause, CAUSE_LIMIT) == 0)
		step_result_fail(out, CAUSE_LIMIT, limits_processes(job));
	else if (limits_is_file_size(job, end))
		step_result_fail(out, CAUSE_LIMIT, limits_file_size(job));
	else if (strcmp(cause, CAUSE_AGENT) == 0)
		step_result_fail(out, CAUSE_AGENT, g_strdup("the executor lost it"));
	else if (end->signal)
		step_result_fail(out, CAUSE_SIGNAL, g_strdup_printf("it was ended by signal %d (%s)", end->signal,
		        g_strsignal(end->signal)));
	else if (end->exit_code != 0)
		step_result_fail(out, CAUSE_EXIT, g_strdup_printf("it ended with exit code %d", end->exit_code));
}

static const char *default_of(const Job *job, const char *key)
{
	static const char *const places[] = {"defaults", "workflow-defaults"};
	for (size_t i = 0; job->depth == 0 && i < G_N_ELEMENTS(places); i++) {
		const json_t *run = json_object_get(json_object_get(job->definition, places[i]), "run");
		const char *text = json_get_string(run, key, NULL);
		if (text)
			return text;
	}
	return NULL;
}

/* What went wrong before the command was there. */
static void fail_before(Job *job, const GError *error, StepResult *out)
{
	const char *otherwise = error->code == ASSAY_ERROR_USER ? CAUSE_INVALID : CAUSE_AGENT;
	step_result_fail(out, task_cause_of(job->task, error, otherwise), g_strdup(error->message));
}

void steps_command(Job *job, const ChildSpec *spec, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	ChildEnd end = {0};
	if (!job_open_runner(job, &error) || !steps_make_files(job, &error) || !child_run(job, spec, &end, &error)) {
		fail_before(job, error, out);
		return;
	}
	steps_take_end(job, &end, out);
	if (!steps_read_files(job, &error) && out->state == RUN_SUCCESS)
		step_result_fail(out, CAUSE_STEP, g_strdup(error->message));
}

void steps_script(Job *job, const char *name, const char *script, const char *shell, const char *folder,
        StepResult *out)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) argv = child_script(job, shell, script, &error);
	if (!argv) {
		fail_before(job, error, out);
		return;
	}
	g_autofree char *inside = steps_folder(job, folder);
	const ChildSpec spec = {.name = name, .argv = (const char *const *)argv, .folder = inside};
	steps_command(job, &spec, out);
}

/* What a `run:` step's part of the log begins with. */
static void say_script(Job *job, const char *script, const char *shell)
{
	g_autofree char *first = g_strndup(script, strcspn(script, "\n"));
	joblog_sayf(job->log, "##[group]", "Run %s", first);
	joblog_say(job->log, "", script);
	if (shell)
		joblog_sayf(job->log, "", "shell: %s", shell);
	const char *key;
	json_t *value;
	if (json_object_size(job->step_env) > 0)
		joblog_say(job->log, "", "env:");
	json_object_foreach(job->step_env, key, value)
		joblog_sayf(job->log, "", "  %s: %s", key, json_string_value(value));
	joblog_say(job->log, "##[endgroup]", "");
	joblog_flush(job->log, NULL);
}

static void run_script(Job *job, const char *name, const json_t *step, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *script = contexts_string(job, json_object_get(step, "run"), &error);
	const char *raw_shell = json_get_string(step, "shell", default_of(job, "shell"));
	const char *raw_folder = json_get_string(step, "working-directory", default_of(job, "working-directory"));
	g_autoptr(json_t) raw = json_pack("[s?,s?]", raw_shell, raw_folder);
	g_autofree char *shell = script && raw_shell ? contexts_string(job, json_array_get(raw, 0), &error) : NULL;
	g_autofree char *folder =
	        script && !error && raw_folder ? contexts_string(job, json_array_get(raw, 1), &error) : NULL;
	if (error) {
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
		return;
	}
	say_script(job, script, shell);
	steps_script(job, name, script, shell, folder, out);
}

static void run_uses(Job *job, const json_t *step, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	const char *uses = json_get_string(step, "uses", "");
	g_autoptr(json_t) with = contexts_strings(job, json_object_get(step, "with"), &error);
	if (!with) {
		step_result_fail(out, CAUSE_INVALID, g_strdup_printf("with: %s", error->message));
		return;
	}
	joblog_sayf(job->log, "##[group]", "Run %s", uses);
	const char *key;
	json_t *value;
	if (json_object_size(with) > 0)
		joblog_say(job->log, "", "with:");
	json_object_foreach(with, key, value)
		joblog_sayf(job->log, "", "  %s: %s", key, json_string_value(value));
	joblog_say(job->log, "##[endgroup]", "");
	actions_run(job, uses, with, out);
}

/* A boolean or number that may be an expression; false when it cannot be evaluated. */
static bool evaluate(Job *job, const json_t *value, json_t **out, GError **error)
{
	*out = NULL;
	if (!value)
		return true;
	if (!json_is_string(value)) {
		*out = json_incref((json_t *)(uintptr_t)value);
		return true;
	}
	ExprScope scope = contexts_scope(job);
	scope.status = EXPR_STATUS_NONE;
	*out = expr_template(json_string_value(value), &scope, error);
	return *out != NULL;
}

bool steps_condition(Job *job, const json_t *step, bool *out, GError **error)
{
	const json_t *condition = json_object_get(step, "if");
	g_autofree char *text = condition ? expr_to_string(condition) : NULL;
	ExprScope scope = contexts_scope(job);
	if (expr_condition(text, &scope, out, error))
		return true;
	g_prefix_error(error, "if: ");
	return false;
}

char *steps_name(Job *job, const json_t *step)
{
	const json_t *given = json_object_get(step, "name");
	if (given) {
		char *name = contexts_string(job, given, NULL);
		return name ? name : g_strdup(json_string_value(given));
	}
	const char *uses = json_get_string(step, "uses", NULL);
	if (uses)
		return g_strdup_printf("Run %s", uses);
	g_autofree char *evaluated = contexts_string(job, json_object_get(step, "run"), NULL);
	const char *script = evaluated ? evaluated : json_get_string(step, "run", "");
	while (g_ascii_isspace(*script))
		script++;
	return g_strdup_printf("Run %.*s", (int)MIN(strcspn(script, "\n"), (size_t)200), script);
}

/* After a cancellation or the job's time limit, what still runs has a little time of its own. */
void steps_notice_end(Job *job)
{
	if (job->state == RUN_CANCELLED)
		return;
	if (task_is_cancelled(job->task)) {
		job->state = RUN_CANCELLED;
	} else if (job->deadline_us && monotonic_us() >= job->deadline_us) {
		job->timed_out = true;
		job->state = RUN_CANCELLED;
	} else {
		return;
	}
	json_set_string(json_object_get(job->contexts, "job"), "status", "cancelled");
	int64_t after_us = json_get_int(json_object_get(job->spec, "limits"), "after_end_us", AFTER_END_US);
	job->deadline_us = monotonic_us() + after_us;
}

void steps_set_context(Job *job, const char *id, RunState outcome, RunState conclusion)
{
	if (!id)
		return;
	json_t *entry = json_object();
	json_set(entry, "outputs", job->step_outputs ? json_incref(job->step_outputs) : json_object());
	json_set_string(entry, "outcome", run_state_name(outcome));
	json_set_string(entry, "conclusion", run_state_name(conclusion));
	json_set(json_object_get(job->contexts, "steps"), id, entry);
}

static void begin_step(Job *job, const char *action)
{
	json_decref(job->step_outputs);
	json_decref(job->step_state);
	json_decref(job->step_env);
	job->step_outputs = json_object();
	job->step_state = json_object();
	job->step_env = NULL;
	job->step_deadline_us = 0;
	job->step_limit_us = 0;
	annotate_begin_step(job);
	g_clear_pointer(&job->stop_token, g_free);
	json_set_string(json_object_get(job->contexts, "github"), "action", action);
	contexts_set_env(job, NULL);
}

bool steps_set_env(Job *job, const json_t *step, const json_t *around, GError **error)
{
	g_autoptr(json_t) own = contexts_strings(job, json_object_get(step, "env"), error);
	if (!own)
		return false;
	json_decref(job->step_env);
	job->step_env = around ? json_copy((json_t *)(uintptr_t)around) : json_object();
	json_object_update(job->step_env, own);
	contexts_set_env(job, job->step_env);
	return true;
}

void steps_body(Job *job, const json_t *step, const char *name, const json_t *around, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) minutes = NULL;
	job->raw_step = step;
	job->around = around;
	if (!steps_set_env(job, step, around, &error) || !evaluate(job, json_object_get(step, "timeout-minutes"), &minutes, &error)) {
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
		return;
	}
	double limit = minutes ? expr_to_number(minutes) : 0;
	if (limit > 0 && limit < 1e7 && job->depth == 0) {
		job->step_limit_us = (int64_t)(limit * (double)MINUTE_US);
		job->step_deadline_us = monotonic_us() + job->step_limit_us;
	}
	joblog_on_command(job->log, speech_command, job);
	if (json_object_get(step, "run"))
		run_script(job, name, step, out);
	else
		run_uses(job, step, out);
	if (job->depth == 0)
		joblog_on_command(job->log, NULL, NULL);
}

bool steps_goes_on(Job *job, const json_t *step)
{
	g_autoptr(json_t) goes_on = NULL;
	evaluate(job, json_object_get(step, "continue-on-error"), &goes_on, NULL);
	return goes_on && expr_truthy(goes_on);
}

/* What a failed step means for the job. */
static void conclude(Job *job, const char *name, const json_t *step, const StepResult *result, RunState *conclusion)
{
	*conclusion = result->state;
	steps_notice_end(job);
	if (result->state != RUN_FAILURE)
		return;
	if (steps_goes_on(job, step) && strcmp(result->cause, CAUSE_DISK) != 0 && job->state != RUN_CANCELLED) {
		*conclusion = RUN_SUCCESS;
		return;
	}
	if (job->state == RUN_RUNNING) {
		job->state = RUN_FAILURE;
		json_set_string(json_object_get(job->contexts, "job"), "status", "failure");
	}
	if (!job->end->cause)
		task_end_fail(job->end, result->cause, g_strdup_printf("step '%s': %s", name, result->message));
}

/* The names that github.action gives steps without an id: "__run", "__run_2", "__actions_checkout", "__self". */
static GPtrArray *name_steps(const json_t *steps)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	size_t i;
	json_t *step;
	json_array_foreach((json_t *)(uintptr_t)steps, i, step) {
		const char *id = json_get_string(step, "id", NULL);
		const char *uses = json_get_string(step, "uses", "run");
		g_autofree char *what = g_str_has_prefix(uses, "./") ? g_strdup("self") : g_strndup(uses, strcspn(uses, "@"));
		g_autofree char *name = g_strconcat("__", g_strcanon(what, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_", '_'), NULL);
		guint count = GPOINTER_TO_UINT(g_hash_table_lookup(counts, name)) + 1;
		g_ptr_array_add(names, id ? g_strdup(id) : count == 1 ? g_strdup(name) : g_strdup_printf("%s_%u", name, count));
		if (!id)
			g_hash_table_replace(counts, g_steal_pointer(&name), GUINT_TO_POINTER(count));
	}
	return names;
}

/* That of the definition's step that step_key is of, or within. */
static const char *action_name(const Job *job)
{
	guint64 at = job->step_key ? g_ascii_strtoull(job->step_key, NULL, 10) : 0;
	return at > 0 && job->action_names && at <= job->action_names->len ? job->action_names->pdata[at - 1] : "__post";
}

static void run_one(Job *job, const json_t *step)
{
	const char *id = json_get_string(step, "id", NULL);
	steps_notice_end(job);
	begin_step(job, action_name(job));
	g_autofree char *name = steps_name(job, step);
	g_autoptr(GError) error = NULL;
	StepResult result = {.message = NULL};
	step_result_clear(&result);
	bool wanted = false;
	bool known = steps_condition(job, step, &wanted, &error);
	if (known && !wanted) {
		result.cause = job->state == RUN_CANCELLED ? CAUSE_CANCELLED : CAUSE_CONDITION;
		emit_step(job, name, RUN_SKIPPED, &result, true);
		steps_set_context(job, id, RUN_SKIPPED, RUN_SKIPPED);
		return;
	}
	bool is_script = json_object_get(step, "run") != NULL; /* child_run() flushes */
	emit_step(job, name, RUN_RUNNING, NULL, is_script);
	if (!known)
		step_result_fail(&result, CAUSE_INVALID, g_strdup(error->message));
	else
		steps_body(job, step, name, NULL, &result);
	if (result.state != RUN_SUCCESS)
		joblog_sayf(job->log, "##[error]", "step '%s': %s", name, result.message);
	RunState conclusion;
	conclude(job, name, step, &result, &conclusion);
	steps_set_context(job, id, result.state, conclusion);
	emit_step(job, name, result.state, &result, true);
	step_result_clear(&result);
}

void steps_beside(Job *job, const char *name, const json_t *step, JobPost *post)
{
	g_autoptr(GError) error = NULL;
	StepResult result = {.message = NULL};
	RunState conclusion;
	bool wanted = true;
	steps_notice_end(job);
	if (post->key) {
		g_free(job->step_key);
		job->step_key = g_strdup(post->key);
	}
	begin_step(job, action_name(job));
	step_result_clear(&result);
	if (post->wanted && !post->wanted(job, post, &wanted, &error))
		step_result_fail(&result, CAUSE_INVALID, g_strdup(error->message));
	if (!wanted) {
		result.cause = CAUSE_CONDITION;
		emit_step(job, name, RUN_SKIPPED, &result, true);
		step_result_clear(&result);
		return;
	}
	emit_step(job, name, RUN_RUNNING, NULL, false);
	if (!error)
		post->run(job, post, &result);
	if (result.state != RUN_SUCCESS)
		joblog_sayf(job->log, step ? "##[error]" : "##[warning]", "%s: %s", name, result.message);
	if (step)
		conclude(job, name, step, &result, &conclusion);
	emit_step(job, name, result.state, &result, true);
	step_result_clear(&result);
}

void steps_run(Job *job)
{
	const json_t *steps = json_object_get(job->definition, "steps");
	size_t i;
	json_t *step;
	job->action_names = name_steps(steps);
	action_pres_run(job);
	json_array_foreach(steps, i, step) {
		job->step++;
		g_free(job->step_key);
		job->step_key = g_strdup_printf("%zu", i + 1);
		run_one(job, step);
	}
	for (guint left = job->posts->len; left > 0; left--) {
		JobPost *post = job->posts->pdata[left - 1];
		g_autofree char *name = g_strdup_printf("Post %s", post->name);
		job->step++;
		steps_beside(job, name, post->step, post);
	}
	steps_notice_end(job);
}
