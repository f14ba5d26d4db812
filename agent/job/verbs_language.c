/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workflow language on the command line: files checked as the planner would read them, and expressions evaluated
 * line by line. Both read strangers' text, need no network and change nothing.
 */
#include "agent/job/verbs_language.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/yaml.h"
#include "agent/job/calls.h"
#include "agent/job/lint.h"
#include "agent/job/reader.h"
#include "agent/model/expr.h"

#define FOLDER_DEPTH_MAX 32

static int wrong_use(const char *verb, const char *why)
{
	g_autoptr(GError) error = NULL;
	fail(&error, ASSAY_ERROR_USER, "%s: %s; see 'assay %s --help'", verb, why, verb);
	return error_print(error);
}

/** Reads options; the operands stay in argv from 1. */
static bool read_options(int *argc, char ***argv, const GOptionEntry *entries, const char *operands, int *out_status)
{
	g_autoptr(GOptionContext) context = g_option_context_new(operands);
	g_autoptr(GError) error = NULL;
	bool help = false;
	for (int i = 1; i < *argc; i++) {
		if (strcmp((*argv)[i], "--") == 0)
			break;
		help = help || strcmp((*argv)[i], "--help") == 0 || strcmp((*argv)[i], "-h") == 0;
	}
	g_autofree char *name = g_strdup_printf("assay %s", (*argv)[0]);
	g_set_prgname(name);
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_help_enabled(context, FALSE);
	*out_status = 0;
	if (help) {
		g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);
		fputs(text, stdout);
		return false;
	}
	if (g_option_context_parse(context, argc, argv, &error)) {
		if (*argc > 1 && strcmp((*argv)[1], "--") == 0) {
			(*argv)[1] = (*argv)[0];
			(*argc)--;
			(*argv)++;
		}
		return true;
	}
	*out_status = wrong_use((*argv)[0], error->message);
	return false;
}

/* validate */

typedef struct Validation {
	bool json;
	bool lint;
	bool strict; /* a warning is a failure */
	int status;
} Validation;

static void raise_status(Validation *validation, int status)
{
	validation->status = MAX(validation->status, status);
}

static void print_json_line(json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT | JSON_ENCODE_ANY);
	puts(text ? text : "{\"error\":\"the value is nested too deep to be written\"}");
	free(text);
}

static void remove_carets(json_t *list)
{
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(list, i, one)
		json_object_del(one, "caret");
}

static void print_verdict(const Validation *validation, const char *path, const YamlDocument *document, json_t *errors,
        json_t *warnings)
{
	size_t i = 0;
	json_t *one = NULL;
	if (validation->json) {
		remove_carets(errors);
		remove_carets(warnings);
		g_autoptr(json_t) line = json_object();
		json_set_string(line, "path", path);
		json_set_bool(line, "valid", document != NULL);
		json_set(line, "errors", json_incref(errors));
		if (warnings)
			json_set(line, "warnings", json_incref(warnings));
		print_json_line(line);
		return;
	}
	json_array_foreach(errors, i, one)
		printf("%s\n", json_get_string(one, "caret", ""));
	json_array_foreach(warnings, i, one)
		printf("%s\n", json_get_string(one, "caret", ""));
	if (!document)
		return;
	printf("%s: valid\n", path);
	g_autoptr(json_t) refusals = reader_refusals(document);
	json_array_foreach(refusals, i, one)
		fprintf(stderr, "assay: %s\n", json_string_value(one));
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

static void validate_file(Validation *validation, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = fd_read_file(path, YAML_BYTES_MAX, &error);
	if (!bytes) {
		raise_status(validation, error_print(error));
		return;
	}
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autoptr(json_t) errors = NULL;
	g_autoptr(YamlDocument) document = reader_check(text ? text : "", len, path, &errors);
	if (document && !validate_calls(document, path, errors))
		g_clear_pointer(&document, yaml_document_free);
	g_autofree char *root = document && validation->lint ? root_of(path) : NULL;
	g_autoptr(json_t) warnings = !validation->lint ? NULL : document ? lint_document(document, root) : json_array();
	print_verdict(validation, path, document, errors, warnings);
	raise_status(validation, document && !(validation->strict && json_array_size(warnings) > 0) ? 0 : 1);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/** Gathers the files below a folder, sorted; links to folders are not followed. */
static void gather(GPtrArray *files, const char *folder, int depth)
{
	g_autoptr(GDir) dir = depth < FOLDER_DEPTH_MAX ? g_dir_open(folder, 0, NULL) : NULL;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	for (const char *name; dir && (name = g_dir_read_name(dir));)
		g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare_names);
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *path = g_build_filename(folder, name, NULL);
		bool workflow = g_str_has_suffix(name, ".yml") || g_str_has_suffix(name, ".yaml");
		if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
			if (strcmp(name, ".git") != 0 && !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
				gather(files, path, depth + 1);
		} else if (workflow && g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
			g_ptr_array_add(files, g_steal_pointer(&path));
		}
	}
}

static void validate_path(Validation *validation, const char *path)
{
	if (!g_file_test(path, G_FILE_TEST_IS_DIR)) {
		validate_file(validation, path);
		return;
	}
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
	gather(files, path, 0);
	for (guint i = 0; i < files->len; i++)
		validate_file(validation, g_ptr_array_index(files, i));
	if (files->len == 0) {
		g_autoptr(GError) error = NULL;
		fail(&error, ASSAY_ERROR_ABSENT, "no workflow in '%s': there is no .yml or .yaml file below it", path);
		raise_status(validation, error_print(error));
	}
}

int verb_validate(int argc, char **argv)
{
	g_autofree char *format = NULL;
	gboolean lint = FALSE;
	gboolean strict = FALSE;
	const GOptionEntry entries[] = {
	        {"format", 0, 0, G_OPTION_ARG_STRING, &format, "how to print: text (default) or json", "FORMAT"},
	        {"lint", 0, 0, G_OPTION_ARG_NONE, &lint, "warn of what is valid and still a mistake or a danger", NULL},
	        {"strict", 0, 0, G_OPTION_ARG_NONE, &strict, "the same, and exit 1 when there is a warning", NULL},
	        G_OPTION_ENTRY_NULL};
	int status = 0;
	if (!read_options(&argc, &argv, entries, "PATH… — check workflow files", &status))
		return status;
	if (format && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return wrong_use("validate", "--format is text or json");
	if (argc < 2)
		return wrong_use("validate", "a file or folder is missing");
	Validation validation = {.json = g_strcmp0(format, "json") == 0, .lint = lint || strict, .strict = strict};
	for (int i = 1; i < argc; i++)
		validate_path(&validation, argv[i]);
	return validation.status;
}

/* expr */

/** What the status functions answer follows `job.status`, as in a step. */
static ExprStatus status_of(const json_t *contexts)
{
	const char *status = json_get_string(json_object_get(contexts, "job"), "status", "success");
	if (strcmp(status, "failure") == 0)
		return EXPR_STATUS_FAILURE;
	return strcmp(status, "cancelled") == 0 ? EXPR_STATUS_CANCELLED : EXPR_STATUS_SUCCESS;
}

static json_t *evaluate_line(const char *text, size_t len, const json_t *contexts, GError **error)
{
	g_autoptr(json_t) line = json_parse(text, len, "the line", error);
	if (!line)
		return NULL;
	const json_t *expression = json_object_get(line, "expr");
	const json_t *own = json_object_get(line, "contexts");
	if (!json_is_string(expression) || (own && !json_is_object(own))) {
		fail(error, ASSAY_ERROR_USER, "the line is not {\"expr\":\"…\"} with or without \"contexts\":{…}");
		return NULL;
	}
	const char *source = json_string_value(expression);
	if (strlen(source) != json_string_length(expression)) {
		fail(error, ASSAY_ERROR_USER, "an expression cannot hold a NUL character");
		return NULL;
	}
	const json_t *used = own ? own : contexts;
	ExprScope scope = {.contexts = used, .status = status_of(used)};
	return expr_evaluate(source, &scope, error);
}

static void answer_line(const char *text, size_t len, const json_t *contexts)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) answer = json_object();
	json_t *result = evaluate_line(text, len, contexts, &error);
	if (result)
		json_object_set_new(answer, "result", result);
	else
		json_set_string(answer, "error", error->message);
	print_json_line(answer);
}

static int answer_lines(FILE *input, const char *name, const json_t *contexts)
{
	char *line = NULL;
	size_t size = 0;
	for (ssize_t len; (len = getline(&line, &size, input)) >= 0;) {
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			len--;
		answer_line(line, (size_t)len, contexts);
	}
	free(line);
	g_autoptr(GError) error = NULL;
	if (ferror(input))
		fail_errno(&error, errno, "cannot read '%s'", name);
	else if (fflush(stdout) != 0)
		fail_errno(&error, errno, "cannot write the results");
	return error ? error_print(error) : 0;
}

int verb_expr(int argc, char **argv)
{
	g_autofree char *contexts_path = NULL;
	g_autofree char *lines_path = NULL;
	const GOptionEntry entries[] = {
	        {"contexts", 0, 0, G_OPTION_ARG_FILENAME, &contexts_path, "JSON object: context name → value", "FILE"},
	        {"jsonl", 0, 0, G_OPTION_ARG_FILENAME, &lines_path, "lines {\"expr\":…}; without it, standard input", "FILE"},
	        G_OPTION_ENTRY_NULL};
	int status = 0;
	if (!read_options(&argc, &argv, entries, "— evaluate expressions, one a line", &status))
		return status;
	if (!contexts_path || argc > 1)
		return wrong_use("expr", contexts_path ? "it takes no operands" : "--contexts is missing");
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) contexts = json_parse_file(contexts_path, JSON_TEXT_BYTES_MAX, &error);
	if (contexts && !json_is_object(contexts))
		fail(&error, ASSAY_ERROR_USER, "%s: not a JSON object", contexts_path);
	if (error)
		return error_print(error);
	FILE *input = lines_path ? fopen(lines_path, "re") : stdin;
	if (!input) {
		fail_errno(&error, errno, "cannot open '%s'", lines_path);
		return error_print(error);
	}
	status = answer_lines(input, lines_path ? lines_path : "standard input", contexts);
	if (input != stdin)
		fclose(input);
	return status;
}
