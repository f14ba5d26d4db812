/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `assay validate`: many files, each with its verdict, in the order in which they were named. Files have nothing to do
 * with each other, so all processors read them; what they say is kept until it is its turn.
 */
#include "agent/job/validate.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/yaml.h"
#include "agent/job/action_file.h"
#include "agent/job/calls.h"
#include "agent/job/reader.h"

#define FOLDER_DEPTH_MAX 32
#define THREADS_MAX 8
#define FILES_A_THREAD 16 /* fewer are read before a thread has begun */

/** What there is to say of one file. */
typedef struct Verdict {
	char *path;
	GString *out;
	GString *err;
	int status;
} Verdict;

typedef struct Work {
	const ValidateSpec *spec;
	GPtrArray *verdicts;
	gint next; /* the first file that nobody has taken */
} Work;

static void verdict_free(void *data)
{
	Verdict *verdict = data;
	g_free(verdict->path);
	if (verdict->out)
		g_string_free(verdict->out, TRUE);
	if (verdict->err)
		g_string_free(verdict->err, TRUE);
	g_free(verdict);
}

static void append_line(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void append_line(GString *out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_string_append_vprintf(out, format, args);
	va_end(args);
	g_string_append_c(out, '\n');
}

static void append_error(Verdict *verdict, const GError *error)
{
	append_line(verdict->err, "assay: %s", error->message);
	verdict->status = MAX(verdict->status, error_exit_status(error));
}

static void remove_carets(json_t *list)
{
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(list, i, one)
		json_object_del(one, "caret");
}

static void append_json(Verdict *verdict, bool valid, json_t *errors, json_t *warnings)
{
	remove_carets(errors);
	remove_carets(warnings);
	g_autoptr(json_t) line = json_object();
	json_set_string(line, "path", verdict->path);
	json_set_bool(line, "valid", valid);
	json_set(line, "errors", json_incref(errors));
	if (warnings)
		json_set(line, "warnings", json_incref(warnings));
	char *text = json_dumps(line, JSON_COMPACT);
	append_line(verdict->out, "%s", text);
	free(text);
}

static void append_text(Verdict *verdict, bool valid, json_t *errors, json_t *warnings)
{
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(errors, i, one)
		append_line(verdict->out, "%s", json_get_string(one, "caret", ""));
	json_array_foreach(warnings, i, one)
		append_line(verdict->out, "%s", json_get_string(one, "caret", ""));
	if (valid)
		append_line(verdict->out, "%s: valid", verdict->path);
}

static void append_refusals(Verdict *verdict, const YamlDocument *document)
{
	size_t i = 0;
	json_t *one = NULL;
	g_autoptr(json_t) refusals = reader_refusals(document);
	json_array_foreach(refusals, i, one)
		append_line(verdict->err, "assay: %s", json_string_value(one));
}

static void append_verdict(const ValidateSpec *spec, Verdict *verdict, bool valid, json_t *errors, json_t *warnings)
{
	if (spec->json)
		append_json(verdict, valid, errors, warnings);
	else
		append_text(verdict, valid, errors, warnings);
}

/* By its name alone: a workflow is never called that. */
static bool is_action(const char *path)
{
	g_autofree char *name = g_path_get_basename(path);
	return strcmp(name, "action.yml") == 0 || strcmp(name, "action.yaml") == 0;
}

/* A called file beside the one that is checked; those of other repos are not looked for. */
static GBytes *read_beside(void *data, const CallPlace *place, char **out_sha, GError **error)
{
	const char *root = data;
	(void)out_sha;
	if (place->repo) {
		fail(error, ASSAY_ERROR_ABSENT, "it stands in another repo");
		return NULL;
	}
	g_autofree char *path = g_build_filename(root, place->path, NULL);
	return fd_read_file(path, YAML_BYTES_MAX, error);
}

/* The folder that a workflow file's repo begins in; where there is none, a file of that name would be missed. */
static char *root_of(const char *path)
{
	static const char *const folders[] = {"/.github/workflows/", "/.assay/workflows/"};
	g_autofree char *whole = g_canonicalize_filename(path, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
		const char *at = g_strrstr(whole, folders[i]);
		if (at)
			return g_strndup(whole, (size_t)(at - whole));
	}
	return NULL;
}

static bool has_calls(const YamlDocument *document)
{
	const YamlNode *jobs = yaml_get(document->root, "jobs");
	for (size_t i = 1; i < jobs->items_len; i += 2)
		if (yaml_get(jobs->items[i], "uses"))
			return true;
	return false;
}

/* What a workflow gives to those that it calls, where they can be read. Most call none: nothing is made of them. */
static bool validate_calls(const YamlDocument *document, const char *path, json_t *errors)
{
	g_autofree char *root = has_calls(document) ? root_of(path) : NULL;
	if (!root)
		return true;
	const CallSource source = {.read = read_beside, .data = root, .lenient = true};
	g_autoptr(json_t) none = NULL;
	g_autoptr(Workflow) workflow = reader_read(document->source, document->source_len, path, &none);
	bool good = !workflow || calls_load(workflow, &source, errors);
	calls_tell(errors);
	return good;
}

static void validate_file(const ValidateSpec *spec, Verdict *verdict)
{
	const char *path = verdict->path;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = fd_read_file(path, YAML_BYTES_MAX, &error);
	if (!bytes) {
		append_error(verdict, error);
		return;
	}
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autoptr(json_t) errors = NULL;
	if (is_action(path)) {
		errors = action_file_check(text ? text : "", len, path);
		verdict->status = json_array_size(errors) == 0 ? 0 : 1;
		append_verdict(spec, verdict, verdict->status == 0, errors, NULL);
		return;
	}
	g_autoptr(YamlDocument) document = reader_check(text ? text : "", len, path, &errors);
	if (document && !validate_calls(document, path, errors))
		g_clear_pointer(&document, yaml_document_free);
	g_autofree char *root = document && spec->lint ? root_of(path) : NULL;
	g_autoptr(json_t) warnings = !spec->lint ? NULL : document ? spec->lint(document, root) : json_array();
	verdict->status = document && !(spec->strict && json_array_size(warnings) > 0) ? 0 : 1;
	append_verdict(spec, verdict, document != NULL, errors, warnings);
	if (document && !spec->json)
		append_refusals(verdict, document);
}

static void *take_files(void *data)
{
	Work *work = data;
	for (;;) {
		guint at = (guint)g_atomic_int_add(&work->next, 1);
		if (at >= work->verdicts->len)
			return NULL;
		Verdict *verdict = g_ptr_array_index(work->verdicts, at);
		if (!verdict->out) {
			verdict->out = g_string_new(NULL);
			verdict->err = g_string_new(NULL);
			validate_file(work->spec, verdict);
		}
	}
}

static void add_file(GPtrArray *verdicts, const char *path)
{
	Verdict *verdict = g_new0(Verdict, 1);
	verdict->path = g_strdup(path);
	g_ptr_array_add(verdicts, verdict);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_workflow_name(const char *name)
{
	return g_str_has_suffix(name, ".yml") || g_str_has_suffix(name, ".yaml");
}

/** Gathers the files below a folder, sorted; links to folders are not followed. */
static void gather(GPtrArray *verdicts, const char *folder, int depth)
{
	struct dirent **entries = NULL;
	int count = depth < FOLDER_DEPTH_MAX ? scandir(folder, &entries, NULL, compare_names) : 0;
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		unsigned char type = entries[i]->d_type;
		g_autofree char *path = g_build_filename(folder, name, NULL);
		if (type == DT_UNKNOWN)
			type = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? DT_LNK : g_file_test(path, G_FILE_TEST_IS_DIR) ? DT_DIR : DT_REG;
		if (type == DT_DIR) {
			if (strcmp(name, ".git") != 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
				gather(verdicts, path, depth + 1);
		} else if (is_workflow_name(name) && (type == DT_REG || g_file_test(path, G_FILE_TEST_IS_REGULAR))) {
			add_file(verdicts, path);
		}
		free(entries[i]);
	}
	free(entries);
}

static void gather_path(GPtrArray *verdicts, const char *path)
{
	if (is_workflow_name(path) || !g_file_test(path, G_FILE_TEST_IS_DIR)) {
		add_file(verdicts, path);
		return;
	}
	guint before = verdicts->len;
	gather(verdicts, path, 0);
	if (verdicts->len > before)
		return;
	g_autoptr(GError) error = NULL;
	fail(&error, ASSAY_ERROR_ABSENT, "no workflow in '%s': there is no .yml or .yaml file below it", path);
	add_file(verdicts, path);
	Verdict *verdict = g_ptr_array_index(verdicts, before);
	verdict->out = g_string_new(NULL);
	verdict->err = g_string_new(NULL);
	append_error(verdict, error);
}

int validate_paths(const ValidateSpec *spec, char *const *paths)
{
	g_autoptr(GPtrArray) verdicts = g_ptr_array_new_with_free_func(verdict_free);
	for (size_t i = 0; paths[i]; i++)
		gather_path(verdicts, paths[i]);
	Work work = {.spec = spec, .verdicts = verdicts};
	GThread *threads[THREADS_MAX] = {NULL};
	guint count = MIN(MIN(g_get_num_processors(), THREADS_MAX), verdicts->len / FILES_A_THREAD);
	for (guint i = 1; i < count; i++)
		threads[i] = g_thread_try_new("validate", take_files, &work, NULL);
	take_files(&work);
	for (guint i = 1; i < count; i++)
		if (threads[i])
			g_thread_join(threads[i]);
	int status = 0;
	for (guint i = 0; i < verdicts->len; i++) {
		const Verdict *verdict = g_ptr_array_index(verdicts, i);
		fwrite(verdict->out->str, 1, verdict->out->len, stdout);
		if (verdict->err->len > 0)
			fflush(stdout);
		fwrite(verdict->err->str, 1, verdict->err->len, stderr);
		status = MAX(status, verdict->status);
	}
	return status;
}
