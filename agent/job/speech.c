/* SPDX-License-Identifier: Apache-2.0 */
/* One row for each command; the environment files beside them, since both set the same things. */
#include "agent/job/speech.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/annotate.h"
#include "agent/job/commands.h"
#include "agent/job/contexts.h"
#include "agent/job/steps.h"
#include "agent/job/summary.h"

#define FILES_FOLDER "_runner_file_commands"
#define OUTPUT_NAMES_MAX 1000

static bool say_annotation(Job *job, const Command *command)
{
	g_autofree char *level = g_ascii_strdown(command->name, -1);
	annotate_say(job, level, command->data, command->properties);
	return true;
}

static bool say_debug(Job *job, const Command *command)
{
	if (job->debug)
		joblog_say(job->log, "##[debug]", command->data);
	return true;
}

static bool say_group(Job *job, const Command *command)
{
	joblog_say(job->log, "##[group]", command->data);
	return true;
}

static bool say_endgroup(Job *job, const Command *command)
{
	(void)command;
	joblog_say(job->log, "##[endgroup]", "");
	return true;
}

static bool add_mask(Job *job, const Command *command)
{
	mask_add(job->task->mask, command->data, strlen(command->data));
	return true;
}

static bool stop_commands(Job *job, const Command *command)
{
	if (!command->data[0])
		return false;
	job->stop_token = g_strdup(command->data);
	return true;
}

static bool set_output(Job *job, const Command *command)
{
	const char *name = json_get_string(command->properties, "name", "");
	if (name[0] && json_object_size(job->step_outputs) < OUTPUT_NAMES_MAX)
		json_set_string(job->step_outputs, name, command->data);
	return true;
}

static bool save_state(Job *job, const Command *command)
{
	const char *name = json_get_string(command->properties, "name", "");
	if (name[0] && json_object_size(job->step_state) < OUTPUT_NAMES_MAX)
		json_set_string(job->step_state, name, command->data);
	return true;
}

static bool refuse(Job *job, const Command *command)
{
	g_autofree char *message = g_strdup_printf(
	        "the command '%s' is disabled, since any output could use it; append to $%s instead", command->name,
	        g_ascii_strcasecmp(command->name, "set-env") == 0 ? "GITHUB_ENV" : "GITHUB_PATH");
	job_annotate(job, "error", message);
	return true;
}

static bool pass_over(Job *job, const Command *command)
{
	(void)job;
	(void)command;
	return true;
}

static const struct {
	const char *name;
	bool (*act)(Job *job, const Command *command);
} commands[] = {
        {"add-mask", add_mask},
        {"add-matcher", annotate_add_matcher},
        {"add-path", refuse},
        {"debug", say_debug},
        {"echo", pass_over},
        {"endgroup", say_endgroup},
        {"error", say_annotation},
        {"group", say_group},
        {"notice", say_annotation},
        {"remove-matcher", annotate_remove_matcher},
        {"save-state", save_state},
        {"set-env", refuse},
        {"set-output", set_output},
        {"stop-commands", stop_commands},
        {"warning", say_annotation},
};

bool speech_command(void *data, const char *line, size_t len)
{
	Job *job = data;
	g_autoptr(Command) command = command_parse(line, len);
	if (!command)
		return false;
	if (job->stop_token) {
		if (strcmp(command->name, job->stop_token) != 0)
			return false;
		g_clear_pointer(&job->stop_token, g_free);
		return true;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (g_ascii_strcasecmp(commands[i].name, command->name) == 0)
			return commands[i].act(job, command);
	return false;
}

static const char *const stems[] = {"set_env", "set_output", "add_path", "save_state", "step_summary"};

static char *file_name(const char *stem, int step)
{
	return g_strdup_printf("%s_%d", stem, step);
}

/* Those of the step before go first. The last step's go with the place, or with the job's folder. */
bool steps_make_files(Job *job, GError **error)
{
	autofd int folder = tree_make_folder(job->runner_fd, FILES_FOLDER, job->owner, error);
	if (folder < 0)
		return false;
	for (size_t i = 0; job->files_step && i < G_N_ELEMENTS(stems); i++) {
		g_autofree char *name = file_name(stems[i], job->files_step);
		tree_remove(folder, name, NULL);
	}
	job->files_step = job->step;
	for (size_t i = 0; i < G_N_ELEMENTS(stems); i++) {
		g_autofree char *name = file_name(stems[i], job->step);
		if (!tree_write_file(folder, name, "", 0, 0644, job->owner, error))
			return false;
	}
	return true;
}

/* One file's bytes; empty when the step has removed it. */
static GBytes *read_one(Job *job, const char *stem, size_t limit_bytes, const char *variable, GError **error)
{
	g_autofree char *name = file_name(stem, job->step);
	g_autofree char *path = g_strconcat(FILES_FOLDER "/", name, NULL);
	struct stat info; /* most are as they were made */
	if (fstatat(job->runner_fd, path, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode) && info.st_size == 0)
		return g_bytes_new_static("", 0);
	g_autoptr(GError) why = NULL;
	GBytes *bytes = tree_read_file(job->runner_fd, path, limit_bytes, &why);
	if (!bytes && g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_ABSENT))
		return g_bytes_new_static("", 0);
	if (!bytes)
		fail(error, (AssayError)why->code, "$%s cannot be read: %s", variable, why->message);
	return bytes;
}

static bool read_pairs(Job *job, const char *stem, const char *variable, json_t *into, GError **error)
{
	g_autoptr(GBytes) bytes = read_one(job, stem, COMMANDS_FILE_BYTES_MAX, variable, error);
	if (!bytes)
		return false;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autoptr(json_t) pairs = commands_read_pairs(text ? text : "", len, variable, error);
	if (!pairs)
		return false;
	json_object_update(into, pairs);
	return true;
}

static bool read_environment(Job *job, GError **error)
{
	g_autoptr(json_t) pairs = json_object();
	if (!read_pairs(job, "set_env", "GITHUB_ENV", pairs, error))
		return false;
	const char *name;
	json_t *value;
	json_object_foreach(pairs, name, value) {
		if (g_ascii_strcasecmp(name, "NODE_OPTIONS") == 0)
			return fail(error, ASSAY_ERROR_DENIED,
			        "GITHUB_ENV: NODE_OPTIONS cannot be set for later steps; set it in their env");
		if (!g_str_has_prefix(name, "GITHUB_") && !g_str_has_prefix(name, "RUNNER_"))
			json_object_set(job->env, name, value);
	}
	contexts_set_env(job, job->step_env);
	return true;
}

static bool read_paths(Job *job, GError **error)
{
	g_autoptr(GBytes) bytes = read_one(job, "add_path", COMMANDS_FILE_BYTES_MAX, "GITHUB_PATH", error);
	if (!bytes)
		return false;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_auto(GStrv) lines = commands_read_lines(text ? text : "", len);
	for (char **line = lines; *line; line++)
		if (job->paths->len < OUTPUT_NAMES_MAX)
			g_ptr_array_add(job->paths, g_strdup(*line));
	return true;
}

/* A summary that cannot be kept is a pity, and no failure of the step. */
static bool read_summary(Job *job, GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autoptr(GBytes) bytes = read_one(job, "step_summary", COMMANDS_SUMMARY_BYTES_MAX, "GITHUB_STEP_SUMMARY", &why);
	gsize len = 0;
	const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	if (!bytes) {
		g_autofree char *message = g_strdup_printf("%s; a summary has at most %d KiB, this one is not kept", why->message,
		        COMMANDS_SUMMARY_BYTES_MAX / 1024);
		job_annotate(job, "error", message);
	}
	return len == 0 || summary_tell(job, text, len, error);
}

bool steps_read_files(Job *job, GError **error)
{
	return read_pairs(job, "set_output", "GITHUB_OUTPUT", job->step_outputs, error) &&
	       read_environment(job, error) && read_paths(job, error) &&
	       read_pairs(job, "save_state", "GITHUB_STATE", job->step_state, error) && read_summary(job, error);
}
