/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assay/train: runs a training command confined, with limits of time and memory and with retries; keeps its
 * parameters and numbers in a tracking run; and checks that it made what it says it makes. It trains where the job
 * runs: another target, a sweep or a share of GPUs is refused, never ignored.
 */
#include <fcntl.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "ml-steps/numbers.h"
#include "ml-steps/tracking.h"
#include "ml-steps/workspace.h"

#define RETRIES_MAX 10

typedef struct Training {
	const char *script;
	int64_t time_us;      /* 0: no limit of its own */
	int64_t memory_bytes;
	int64_t retries;
	GPtrArray *env;       /* NAME=value */
	char *tracking_run;
	json_t *metrics;      /* the last value of each */
	double seconds;
} Training;

static void training_clear(Training *training)
{
	g_ptr_array_unref(training->env);
	g_free(training->tracking_run);
	json_decref(training->metrics);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Training, training_clear)

/* What this step cannot do is an error that names it, so that nobody believes that it was done. */
static bool refuse_what_is_not_local(MlContext *context, GError **error)
{
	static const char *const refused[][2] = {
	        {"gpus", "the job's executor decides which GPUs it sees; choose one by 'runs-on'"},
	        {"cpus", "the job's executor decides how many CPUs it has; choose one by 'runs-on'"},
	        {"sweep", "a sweep is a matrix of jobs; write it as 'strategy: matrix'"},
	};
	const char *target = step_input(context, "target");
	if (target && strcmp(target, "local") != 0)
		return fail(error, ASSAY_ERROR_USER,
		        "target: '%.100s' cannot be reached from here; only 'local' can, which is where the job runs", target);
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
		if (step_input(context, refused[i][0]))
			return fail(error, ASSAY_ERROR_USER, "%s: %s", refused[i][0], refused[i][1]);
	return true;
}

static bool read_limits(MlContext *context, Training *training, GError **error)
{
	const char *time = step_input(context, "time-limit");
	const char *memory = step_input(context, "memory");
	const char *retries = step_input(context, "retries");
	if (time && !duration_parse(time, &training->time_us, error)) {
		g_prefix_error(error, "time-limit: ");
		return false;
	}
	if (memory && !size_parse(memory, &training->memory_bytes, error)) {
		g_prefix_error(error, "memory: ");
		return false;
	}
	if (retries && !g_ascii_string_to_signed(retries, 10, 0, RETRIES_MAX, &training->retries, NULL))
		return fail(error, ASSAY_ERROR_USER, "retries: '%.60s' is not a number from 0 to %d", retries, RETRIES_MAX);
	return true;
}

/* The command's environment: what the workflow gives, then ours. */
static bool build_env(MlContext *context, Training *training, const char *checkpoint, GError **error)
{
	g_autoptr(json_t) pairs = step_pairs(context, "env", error);
	if (!pairs)
		return false;
	const char *data = step_input(context, "data");
	if (data)
		json_set_string(pairs, "ASSAY_DATA_DIGEST", data);
	if (checkpoint)
		json_set_string(pairs, "ASSAY_CHECKPOINT", checkpoint);
	const char *name;
	json_t *value;
	json_object_foreach(pairs, name, value)
	{
		if (!g_regex_match_simple("^[A-Za-z_][A-Za-z0-9_]*$", name, G_REGEX_DOLLAR_ENDONLY, 0))
			return fail(error, ASSAY_ERROR_USER, "env: '%.100s' is not a variable's name", name);
		g_ptr_array_add(training->env, g_strdup_printf("%s=%s", name, json_string_value(value)));
	}
	return true;
}

/* Why a command did not end well, as one sentence; NULL when it did. */
static char *describe_end(const MlEnd *end, const Training *training)
{
	if (strcmp(end->cause, "timeout") == 0)
		return g_strdup_printf("ran longer than %" G_GINT64_FORMAT " s; raise 'time-limit'", training->time_us / 1000000);
	if (strcmp(end->cause, "oom") == 0 && training->memory_bytes > 0) {
		g_autofree char *size = bytes_text(training->memory_bytes);
		return g_strdup_printf("needed more than %s of memory; raise 'memory'", size);
	}
	if (strcmp(end->cause, "oom") == 0)
		return g_strdup("ran out of memory");
	if (strcmp(end->cause, "exit") == 0 && end->signal == 0)
		return end->exit_code == 0 ? NULL : g_strdup_printf("exit code %d", end->exit_code);
	if (end->signal != 0)
		return g_strdup_printf("ended by signal %d (%s)", end->signal, end->cause);
	return g_strdup_printf("ended by the agent (%s)", end->cause);
}

/* Runs the command, again when it fails and retries are left; never after a cancel. */
static bool run_command(MlContext *context, Training *training, bool *out_cancelled, GError **error)
{
	int64_t began_us = monotonic_us();
	g_autofree char *why = NULL;
	for (int64_t attempt = 0; attempt <= training->retries; attempt++) {
		MlEnd end = {0};
		if (attempt > 0)
			context->log(context, "The training failed: %s. Attempt %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT ".", why,
			        attempt + 1, training->retries + 1);
		g_clear_pointer(&why, g_free);
		if (!context->command(context, training->script, (const char *const *)training->env->pdata, training->time_us,
		            training->memory_bytes, &end, error))
			return false;
		training->seconds = (double)(monotonic_us() - began_us) / 1e6;
		why = describe_end(&end, training);
		*out_cancelled = strcmp(end.cause, "cancelled") == 0;
		if (!why)
			return true;
		if (*out_cancelled)
			return fail(error, ASSAY_ERROR_USER, "the training was cancelled");
	}
	return fail(error, ASSAY_ERROR_USER, "the training failed: %s", why);
}

static bool check_outputs(MlContext *context, GError **error)
{
	g_auto(GStrv) paths = step_list(context, "outputs");
	for (size_t i = 0; paths[i]; i++) {
		g_autofree char *path = workspace_path(context, paths[i], error);
		if (!path)
			return false;
		if (!workspace_has(context, path))
			return fail(error, ASSAY_ERROR_USER, "outputs: the training ended well but did not make '%s'", path);
	}
	return true;
}

/* The numbers that the command wrote go to the tracking run. */
static bool keep_metrics(MlContext *context, Training *training, GError **error)
{
	const char *path = step_input(context, "metrics");
	if (!path)
		return true;
	g_autoptr(json_t) metrics = numbers_read(context, path, error);
	if (!metrics || (training->tracking_run && !tracking_add(context, training->tracking_run, metrics, error))) {
		g_prefix_error(error, "metrics: ");
		return false;
	}
	json_decref(training->metrics);
	training->metrics = numbers_last(metrics);
	return true;
}

static void publish(MlContext *context, const Training *training, bool done)
{
	g_autofree char *metrics = numbers_json(training->metrics);
	step_output(context, "tracking-run", training->tracking_run);
	step_output(context, "state", done ? "success" : "failure");
	step_output(context, "metrics", metrics);
	g_autofree char *numbers = numbers_sentence(training->metrics, 6);
	g_autofree char *sentence = g_strdup_printf("The training %s %.1f s%s%s.", done ? "took" : "failed after",
	        training->seconds, numbers[0] ? ": " : "", numbers);
	context->log(context, "%s", sentence);
	g_autoptr(json_t) report = step_report("train", "none", sentence);
	json_set_string(report, "tracking_run", training->tracking_run);
	json_set(report, "metrics", json_deep_copy(training->metrics));
	json_set_real(report, "seconds", training->seconds);
	json_set(report, "memory_peak_bytes", NULL); /* the workplace knows it of the whole step */
	context->report(context, report);
}

/* The folder that outlives an attempt; made before the first one. */
static bool find_checkpoint(MlContext *context, char **out, GError **error)
{
	const char *given = step_input(context, "checkpoint");
	if (!given)
		return true;
	g_autofree char *path = workspace_path(context, given, error);
	if (!path)
		return false;
	*out = g_strdup_printf("%s/%s", context->workspace_inside ? context->workspace_inside : ".", path);
	return true;
}

/* A stranger's run may train, but leaves nothing in the agent's memory: it goes on without a tracking run. */
static bool begin_tracking(MlContext *context, Training *training, GError **error)
{
	const char *path = step_input(context, "params");
	g_autoptr(json_t) params = path ? numbers_params(context, path, error) : json_object();
	g_autoptr(GError) why = NULL;
	if (!params)
		return false;
	training->tracking_run = tracking_begin(context, params, step_input(context, "data"), &why);
	if (g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_DENIED)) {
		context->log(context, "No tracking run is kept: %s", why->message);
		return true;
	}
	if (!training->tracking_run) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	g_ptr_array_add(training->env, g_strdup_printf("ASSAY_TRACKING_RUN=%s", training->tracking_run));
	return true;
}

static bool train_run(MlContext *context, GError **error)
{
	g_auto(Training) training = {
	        .metrics = json_object(),
	        .env = g_ptr_array_new_with_free_func(g_free),
	};
	g_autofree char *checkpoint = NULL;
	training.script = step_required(context, "run", error);
	if (!training.script || !refuse_what_is_not_local(context, error) || !read_limits(context, &training, error) ||
	        !find_checkpoint(context, &checkpoint, error))
		return false;
	if (!build_env(context, &training, checkpoint, error) || !begin_tracking(context, &training, error))
		return false;
	g_ptr_array_add(training.env, NULL);
	step_output(context, "job-id", json_get_string(context->github, "job", ""));

	bool cancelled = false;
	g_autoptr(GError) why = NULL;
	bool done = run_command(context, &training, &cancelled, &why) && check_outputs(context, &why) &&
	            keep_metrics(context, &training, &why);
	publish(context, &training, done);
	const char *status = done ? "FINISHED" : cancelled ? "KILLED" : "FAILED";
	if (training.tracking_run && !tracking_finish(context, training.tracking_run, status, done ? error : NULL) && done)
		return false;
	if (!done)
		g_propagate_error(error, g_steal_pointer(&why));
	return done;
}

static const MlInput inputs[] = {
        {"run", true, NULL, "the command, a shell script"},
        {"target", false, "local", "where it trains; only 'local', where the job runs"},
        {"data", false, NULL, "digest of the data; the command finds it as ASSAY_DATA_DIGEST"},
        {"params", false, NULL, "JSON file of parameters, kept in the tracking run"},
        {"metrics", false, NULL, "file of numbers that the command writes: a JSON object, or JSON lines with a step"},
        {"outputs", false, NULL, "paths that must be there afterwards"},
        {"time-limit", false, NULL, "of one attempt: 90s, 30m, 2h"},
        {"memory", false, NULL, "limit: 512MiB, 4GB"},
        {"env", false, NULL, "NAME=value, one a line"},
        {"retries", false, "0", "how often a failed command is run again, at most 10"},
        {"checkpoint", false, NULL, "folder that stays between attempts; the command finds it as ASSAY_CHECKPOINT"},
        {"experiment", false, NULL, "of the tracking run; default: the workflow's name"},
        {"gpus", false, NULL, "refused: 'runs-on' chooses"},
        {"cpus", false, NULL, "refused: 'runs-on' chooses"},
        {"sweep", false, NULL, "refused: a matrix does it"},
        {0},
};
static const MlOutput outputs[] = {
        {"job-id", "the job that trained"},
        {"tracking-run", "where parameters and numbers are"},
        {"state", "success or failure"},
        {"metrics", "the last value of each number, as JSON"},
        {0},
};
extern const MlStep ml_step_train;
const MlStep ml_step_train = {
        .name = "train",
        .summary = "runs a training command with limits, retries and a tracking run",
        .inputs = inputs,
        .outputs = outputs,
        .run = train_run,
};
