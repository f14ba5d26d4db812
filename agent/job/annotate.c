/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An annotation is an event and a line of the log; it names that line. A file is named as the repo does, and only when it
 * is there: what a line of output says is not believed further than that.
 */
#include "agent/job/annotate.h"

#include <fcntl.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/matcher.h"

static const char *const levels[] = {"error", "warning", "notice"};
static const char *const markers[] = {"##[error]", "##[warning]", "##[notice]"};

static size_t level_index(const char *level)
{
	for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
		if (strcmp(level, levels[i]) == 0)
			return i;
	return G_N_ELEMENTS(levels) - 1;
}

static json_t *new_event(const Job *job, size_t level, const char *message, int64_t log_line)
{
	json_t *event = task_event(EVENT_ANNOTATION);
	json_set_string(event, "level", levels[level]);
	json_set_string(event, "message", message);
	json_set_int(event, "step", job->step);
	if (log_line > 0)
		json_set_int(event, "log_line", log_line);
	return event;
}

/* Takes event. */
static void tell(Job *job, size_t level, json_t *event)
{
	int said = ++job->annotations[level];
	if (said <= ANNOTATIONS_A_LEVEL) {
		task_emit(job->task, event, NULL);
		return;
	}
	int64_t line = json_get_int(event, "log_line", 0);
	json_decref(event);
	if (said > ANNOTATIONS_A_LEVEL + 1)
		return;
	g_autofree char *message = g_strdup_printf("the step has more than %d annotations of the level '%s'; the others are only in the log",
	        ANNOTATIONS_A_LEVEL, levels[level]);
	task_emit(job->task, new_event(job, level, message, line), NULL);
}

void annotate_begin_step(Job *job)
{
	memset(job->annotations, 0, sizeof job->annotations);
	job->summary_parts = 0;
	if (job->matchers)
		matchers_reset(job->matchers);
}

static void set_number(json_t *event, const char *key, const char *text)
{
	gint64 number = 0;
	if (text && g_ascii_string_to_signed(text, 10, 0, G_MAXINT32, &number, NULL))
		json_set_int(event, key, number);
}

static int64_t lines_of(const char *text)
{
	int64_t lines = 1;
	for (const char *at = text; (at = strchr(at, '\n')) && at[1]; at++)
		lines++;
	return lines;
}

void annotate_say(Job *job, const char *level, const char *message, const json_t *properties)
{
	size_t index = level_index(level);
	joblog_say(job->log, markers[index], message);
	int64_t line = joblog_next_line(job->log) - lines_of(message);
	json_t *event = new_event(job, index, message, line);
	static const char *const texts[] = {"title", "file"};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		if (json_object_get(properties, texts[i]))
			json_set_string(event, texts[i], json_get_string(properties, texts[i], ""));
	set_number(event, "line", json_get_string(properties, "line", NULL));
	set_number(event, "end_line", json_get_string(properties, "endline", NULL));
	set_number(event, "column", json_get_string(properties, "col", NULL));
	tell(job, index, event);
}

void job_annotate(Job *job, const char *level, const char *message)
{
	job_annotate_at(job, level, message, NULL, 0);
}

void job_annotate_at(Job *job, const char *level, const char *message, const char *file, int line)
{
	g_autofree char *number = line > 0 ? g_strdup_printf("%d", line) : NULL;
	g_autoptr(json_t) place = json_object();
	if (file)
		json_set_string(place, "file", file);
	if (file && number)
		json_set_string(place, "line", number);
	annotate_say(job, level, message, place);
}

/* "a/./b/../c" → "a/c"; NULL when it leads above where it begins. */
static char *plain_path(const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", 256);
	g_autoptr(GPtrArray) kept = g_ptr_array_new();
	for (char **part = parts; *part; part++) {
		if (!**part || strcmp(*part, ".") == 0)
			continue;
		if (strcmp(*part, "..") != 0)
			g_ptr_array_add(kept, *part);
		else if (kept->len == 0)
			return NULL;
		else
			g_ptr_array_set_size(kept, (gint)kept->len - 1);
	}
	g_ptr_array_add(kept, NULL);
	return kept->len > 1 ? g_strjoinv("/", (char **)kept->pdata) : NULL;
}

/* A path as steps see it, below a folder as they see it; NULL when it is not in there. */
static const char *below(const char *path, const char *folder)
{
	size_t len = strlen(folder);
	return strncmp(path, folder, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

/* How the repo names the file of an issue; NULL when it is no file of the workspace. */
static char *repo_file(Job *job, const Issue *issue)
{
	if (!issue->file || !issue->file[0])
		return NULL;
	g_autofree char *folder = issue->from_path && issue->from_path[0] ? g_path_get_dirname(issue->from_path) : NULL;
	g_autofree char *joined = folder && issue->file[0] != '/' ? g_build_filename(folder, issue->file, NULL) : g_strdup(issue->file);
	const char *inner = joined[0] == '/' ? below(joined, job->workspace_inside) : joined;
	g_autofree char *path = inner ? plain_path(inner) : NULL;
	autofd int workspace = path ? job_open_workspace(job, NULL) : -1;
	autofd int fd = workspace >= 0 ? fd_open_beneath(workspace, path, O_PATH, 0, false, NULL) : -1;
	return fd >= 0 ? g_steal_pointer(&path) : NULL;
}

/* A line that a step printed: does it complete an issue? */
static const char *meet_line(void *data, const char *line, size_t len)
{
	Job *job = data;
	g_auto(Issue) issue = {.level = "error"};
	g_autofree char *tired = NULL;
	bool found = matchers_line(job->matchers, line, len, &issue, &tired);
	if (tired) {
		g_autofree char *why = g_strdup_printf("the problem matcher '%s' took too long on three lines and was removed", tired);
		tell(job, 1, new_event(job, 1, why, 0));
	}
	if (!found)
		return NULL;
	size_t index = level_index(issue.level);
	json_t *event = new_event(job, index, issue.message, joblog_next_line(job->log));
	g_autofree char *file = repo_file(job, &issue);
	if (file)
		json_set_string(event, "file", file);
	if (file && issue.line > 0)
		json_set_int(event, "line", issue.line);
	if (file && issue.column > 0)
		json_set_int(event, "column", issue.column);
	if (issue.code && issue.code[0])
		json_set_string(event, "code", issue.code);
	tell(job, index, event);
	return markers[index];
}

/* The bytes of a file that a step names, in the workspace or elsewhere in its work folder. */
static GBytes *read_named(Job *job, const char *name, GError **error)
{
	const char *inner = name[0] == '/' ? below(name, job->workspace_inside) : name;
	g_autofree char *path = inner ? plain_path(inner) : NULL;
	if (path) {
		autofd int workspace = job_open_workspace(job, error);
		return workspace < 0 ? NULL : tree_read_file(workspace, path, MATCHER_FILE_BYTES_MAX, error);
	}
	inner = below(name, job->place->work_inside);
	path = inner ? plain_path(inner) : NULL;
	if (path)
		return tree_read_file(job->work_fd, path, MATCHER_FILE_BYTES_MAX, error);
	fail(error, ASSAY_ERROR_USER, "it is neither in the workspace nor in the work folder");
	return NULL;
}

bool annotate_add_matcher(Job *job, const Command *command)
{
	g_autofree char *name = g_strstrip(g_strdup(command->data));
	g_autofree char *owners = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = read_named(job, name, &error);
	gsize len = 0;
	const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	if (!job->matchers)
		job->matchers = matchers_new();
	if (!bytes || !matchers_add(job->matchers, text ? text : "", len, &owners, &error)) {
		g_autofree char *message = g_strdup_printf("::add-matcher::%s: %s", name, error->message);
		annotate_say(job, "warning", message, NULL);
	} else {
		g_autofree char *message = g_strdup_printf("problem matchers that see the log from here on: %s", owners);
		if (job->debug)
			joblog_say(job->log, "##[debug]", message);
	}
	joblog_on_line(job->log, matchers_are_empty(job->matchers) ? NULL : meet_line, job);
	return true;
}

bool annotate_remove_matcher(Job *job, const Command *command)
{
	const char *owner = json_get_string(command->properties, "owner", NULL);
	if (!job->matchers)
		return true;
	if (owner && owner[0] && !matchers_remove(job->matchers, owner)) {
		g_autofree char *message = g_strdup_printf("::remove-matcher owner=%s::: no matcher has this owner", owner);
		annotate_say(job, "warning", message, NULL);
	} else if (!owner || !owner[0]) {
		/* A file: all owners that it names. */
		g_autofree char *name = g_strstrip(g_strdup(command->data));
		g_autoptr(GBytes) bytes = read_named(job, name, NULL);
		gsize len = 0;
		const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
		g_autoptr(Matchers) named = matchers_new();
		g_autofree char *owners = NULL;
		if (text && matchers_add(named, text, len, &owners, NULL)) {
			g_auto(GStrv) list = g_strsplit(owners, ", ", 0);
			for (char **one = list; *one; one++)
				matchers_remove(job->matchers, *one);
		}
	}
	if (matchers_are_empty(job->matchers))
		joblog_on_line(job->log, NULL, NULL);
	return true;
}
