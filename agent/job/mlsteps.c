/* SPDX-License-Identifier: Apache-2.0 */
/* ML steps through their door (agent/mlstep.h): inputs checked by the step's table, and what the workplace lends it. */
#include <fcntl.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/actions.h"
#include "agent/job/ask.h"
#include "agent/job/child.h"
#include "agent/job/steps.h"
#include "agent/mlstep.h"

#define REPORT_BYTES_MAX (900 * 1024)

static void lend_log(MlContext *context, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void lend_log(MlContext *context, const char *format, ...)
{
	Job *job = context->data;
	va_list args;
	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	joblog_say(job->log, "", text);
	joblog_flush(job->log, NULL);
}

static bool lend_ask(MlContext *context, const char *what, json_t *with, json_t **answer, GError **error)
{
	Job *job = context->data;
	joblog_flush(job->log, NULL);
	return ask_agent(job, what, with, answer, error);
}

static void lend_report(MlContext *context, const json_t *report)
{
	Job *job = context->data;
	json_t *event = task_event(EVENT_REPORT);
	json_set_int(event, "step", job->step);
	json_set(event, "report", json_deep_copy(report));
	g_autoptr(GError) error = NULL;
	if (!task_emit(job->task, event, &error))
		job_annotate(job, "error", error->message);
}

static bool lend_command(MlContext *context, const char *script, const char *const *extra_env, int64_t time_us,
        int64_t memory_bytes, MlEnd *out, GError **error)
{
	Job *job = context->data;
	/* RLIMIT_DATA counts what a process really may write, where RLIMIT_AS would count mapped files and reserves. */
	g_autofree char *limited = memory_bytes > 0
	        ? g_strdup_printf("ulimit -d %" G_GINT64_FORMAT "\n%s", memory_bytes / 1024, script)
	        : g_strdup(script);
	g_auto(GStrv) argv = child_script(job, NULL, limited, error);
	if (!argv || !steps_make_files(job, error))
		return false;
	ChildEnd end = {0};
	const ChildSpec spec = {.name = "command",
	        .argv = (const char *const *)argv,
	        .extra_env = extra_env,
	        .folder = job->workspace_inside,
	        .time_us = time_us};
	if (!child_run(job, &spec, &end, error) || !steps_read_files(job, error))
		return false;
	*out = (MlEnd){.exit_code = end.exit_code, .signal = end.signal};
	g_strlcpy(out->cause, end.cause ? end.cause : CAUSE_AGENT, sizeof out->cause);
	return true;
}

/* The inputs by the step's table: required ones are there, fallbacks filled in, others refused. */
static json_t *check_inputs(const MlStep *step, const json_t *with, GError **error)
{
	g_autoptr(json_t) inputs = json_object();
	g_autoptr(GString) known = g_string_new(NULL);
	for (const MlInput *input = step->inputs; input && input->name; input++) {
		const char *given = json_get_string(with, input->name, NULL);
		g_string_append_printf(known, "%s%s", known->len ? ", " : "", input->name);
		if (input->required && (!given || !given[0])) {
			fail(error, ASSAY_ERROR_USER, "assay/%s: input '%s' is required: %s", step->name, input->name,
			        input->summary);
			return NULL;
		}
		if (given || input->fallback)
			json_set_string(inputs, input->name, given ? given : input->fallback);
	}
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)with, key, value) {
		if (json_object_get(inputs, key))
			continue;
		fail(error, ASSAY_ERROR_USER, "assay/%s: input '%s' is not known; it has %s", step->name, key, known->str);
		return NULL;
	}
	return g_steal_pointer(&inputs);
}

void mlsteps_run(Job *job, const char *name, const json_t *with, StepResult *out)
{
	const MlStep *step = ml_step_find(name);
	if (!step) {
		step_result_fail(out, CAUSE_INVALID,
		        g_strdup_printf("assay/%s: no such step; see 'assay help steps'", name));
		return;
	}
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) inputs = check_inputs(step, with, &error);
	autofd int workspace = inputs ? job_open_workspace(job, &error) : -1;
	if (workspace < 0) {
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
		return;
	}
	g_autofree char *store = g_build_filename(json_get_string(job->spec, "data", "."), "objects", NULL);
	MlContext context = {.inputs = inputs,
	        .workspace_fd = workspace,
	        .workspace = job->workspace_path,
	        .workspace_inside = job->workspace_inside,
	        .store_folder = store,
	        .github = json_object_get(job->contexts, "github"),
	        .outputs = job->step_outputs,
	        .log = lend_log,
	        .ask = lend_ask,
	        .report = lend_report,
	        .command = lend_command,
	        .data = job};
	bool good = step->run(&context, &error);
	if (job->owner.change) { /* what the step wrote is the job's */
		char *slash = strrchr(job->workspace, '/');
		g_autofree char *parent = g_strndup(job->workspace, (size_t)(slash - job->workspace));
		autofd int above = tree_make_folder(job->work_fd, parent, job->owner, NULL);
		if (above >= 0 && !tree_give(above, slash + 1, job->owner, good ? &error : NULL))
			good = false;
	}
	if (good)
		return;
	const char *message = error ? error->message : "it failed without a reason";
	const char *cause = CAUSE_STEP;
	if (task_is_cancelled(job->task) && job->state != RUN_CANCELLED)
		cause = CAUSE_CANCELLED;
	else if (job_deadline(job) && monotonic_us() >= job_deadline(job))
		cause = CAUSE_TIMEOUT;
	else if (error && error->code == ASSAY_ERROR_USER && g_str_has_prefix(message, "input"))
		cause = CAUSE_INVALID;
	step_result_fail(out, task_cause_of(job->task, error, cause), g_strdup(message));
}
