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
#include "agent/job/validate.h"
#include "agent/model/expr.h"

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

int validate_verb(int argc, char **argv, LintFunction lint_function)
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
	if (!read_options(&argc, &argv, entries, "PATH… — check workflow files, and action.yml", &status))
		return status;
	if (format && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return wrong_use("validate", "--format is text or json");
	if (argc < 2)
		return wrong_use("validate", "a file or folder is missing");
	ValidateSpec spec = {.json = g_strcmp0(format, "json") == 0,
	        .lint = lint || strict ? lint_function : NULL,
	        .strict = strict};
	return validate_paths(&spec, argv + 1);
}

/* expr */

static void print_json_line(json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT | JSON_ENCODE_ANY);
	puts(text ? text : "{\"error\":\"the value is nested too deep to be written\"}");
	free(text);
}

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
