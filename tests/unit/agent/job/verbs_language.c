/* SPDX-License-Identifier: Apache-2.0 */
/* validate and expr: exit statuses and what is printed, a child for each test. */
#include "agent/job/verbs_language.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "agent/base/fd.h"

static char *folder;

static char *write_file(const char *name, const char *text)
{
	char *path = g_build_filename(folder, name, NULL);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

static void call(int (*verb)(int, char **), const char *const *words)
{
	g_auto(GStrv) argv = g_strdupv((char **)words);
	/* The parser of options moves words about; the copies are freed from here. */
	g_autofree char **moved = g_memdup2(argv, sizeof *argv * (g_strv_length(argv) + 1));
	printf("status %d\n", verb((int)g_strv_length(argv), moved));
}

static void child_validate_valid(void)
{
	g_autofree char *path = write_file("good.yml", "on: push\njobs: {a: {runs-on: x, steps: [{run: y}]}}\n");
	call(verb_validate, (const char *const[]){"validate", "--format", "json", path, NULL});
}

static void child_validate_folder(void)
{
	g_autofree char *inner = g_build_filename(folder, "w", NULL);
	g_mkdir(inner, 0700);
	g_autofree char *bad = write_file("w/bad.yaml", "on: push\njobs: {a: {steps: []}}\n");
	g_autofree char *other = write_file("w/notes.txt", "not a workflow");
	call(verb_validate, (const char *const[]){"validate", inner, NULL});
}

#define WARNED "on: push\npermissions: {}\njobs: {a: {runs-on: x, steps: [{uses: a/b@v1}]}}\n"

static void child_lint_text(void)
{
	g_autofree char *path = write_file("warned.yml", WARNED);
	call(verb_validate, (const char *const[]){"validate", "--lint", path, NULL});
}

static void child_lint_json(void)
{
	g_autofree char *path = write_file("warned.yml", WARNED);
	call(verb_validate, (const char *const[]){"validate", "--format", "json", "--strict", path, NULL});
}

static void child_validate_absent(void)
{
	call(verb_validate, (const char *const[]){"validate", "/nonexistent/w.yml", NULL});
}

static void child_validate_nothing(void)
{
	call(verb_validate, (const char *const[]){"validate", NULL});
}

static void child_expr(void)
{
	g_autofree char *contexts = write_file("c.json", "{\"a\":2,\"job\":{\"status\":\"failure\"}}");
	g_autofree char *lines = write_file("l.jsonl",
	        "{\"expr\":\"a == 2\"}\n{\"expr\":\"a\",\"contexts\":{\"a\":\"own\"}}\n\n{\"expr\":\"a +\"}\n{\"expr\":\"NaN\"}\n"
	        "{\"expr\":\"failure()\"}\n{\"expr\":5}");
	call(verb_expr, (const char *const[]){"expr", "--contexts", contexts, "--jsonl", lines, NULL});
}

static void child_expr_without_contexts(void)
{
	call(verb_expr, (const char *const[]){"expr", NULL});
}

static void child_expr_wrong_contexts(void)
{
	g_autofree char *contexts = write_file("list.json", "[]");
	call(verb_expr, (const char *const[]){"expr", "--contexts", contexts, NULL});
}

static void runs(void (*child)(void), int status, const char *stdout_pattern, const char *stderr_pattern)
{
	if (g_test_subprocess()) {
		child();
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_autofree char *pattern = g_strdup_printf("%sstatus %d\n*", stdout_pattern, status);
	g_test_trap_assert_stdout(pattern);
	g_test_trap_assert_stderr(stderr_pattern);
}

static void validate_prints_a_json_line_for_a_valid_file(void)
{
	runs(child_validate_valid, 0, "*{\"path\":\"*good.yml\",\"valid\":true,\"errors\":[]}\n", "");
}

static void validate_shows_mistakes_below_a_folder(void)
{
	runs(child_validate_folder, 1, "*bad.yaml:2:11: Required property is missing: runs-on\njobs: {a: {steps: []}}\n          ^\n", "");
}

static void lint_warns_with_a_caret_and_exits_0(void)
{
	runs(child_lint_text, 0,
	        "*warned.yml:3:39: 'a/b@v1' can be another program tomorrow*unpinned-uses]\njobs: {a: {runs-on: x, steps: [{uses: "
	        "a/b@v1}]}}\n                                      ^\n*warned.yml: valid\n",
	        "");
}

static void strict_exits_1_and_the_file_stays_valid(void)
{
	runs(child_lint_json, 1,
	        "*\"valid\":true,\"errors\":[],\"warnings\":[{\"line\":3,\"column\":39,\"rule\":\"unpinned-uses\",\"message\":\"*\"}]}\n",
	        "");
}

static void validate_says_what_cannot_be_read(void)
{
	runs(child_validate_absent, 3, "*", "*nonexistent*");
}

static void validate_needs_a_path(void)
{
	runs(child_validate_nothing, 2, "*", "*a file or folder is missing*");
}

static void expr_answers_every_line_in_order(void)
{
	runs(child_expr, 0,
	        "*{\"result\":true}\n{\"result\":\"own\"}\n{\"error\":*}\n{\"error\":*}\n{\"result\":\"NaN\"}\n{\"result\":true}\n"
	        "{\"error\":*}\n",
	        "");
}

static void expr_needs_contexts(void)
{
	runs(child_expr_without_contexts, 2, "*", "*--contexts is missing*");
}

static void expr_refuses_contexts_that_are_no_object(void)
{
	runs(child_expr_wrong_contexts, 2, "*", "*not a JSON object*");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	folder = g_dir_make_tmp("assay-verbs-XXXXXX", NULL);
	g_test_add_func("/verbs/validate_prints_a_json_line_for_a_valid_file", validate_prints_a_json_line_for_a_valid_file);
	g_test_add_func("/verbs/validate_shows_mistakes_below_a_folder", validate_shows_mistakes_below_a_folder);
	g_test_add_func("/verbs/lint_warns_with_a_caret_and_exits_0", lint_warns_with_a_caret_and_exits_0);
	g_test_add_func("/verbs/strict_exits_1_and_the_file_stays_valid", strict_exits_1_and_the_file_stays_valid);
	g_test_add_func("/verbs/validate_says_what_cannot_be_read", validate_says_what_cannot_be_read);
	g_test_add_func("/verbs/validate_needs_a_path", validate_needs_a_path);
	g_test_add_func("/verbs/expr_answers_every_line_in_order", expr_answers_every_line_in_order);
	g_test_add_func("/verbs/expr_needs_contexts", expr_needs_contexts);
	g_test_add_func("/verbs/expr_refuses_contexts_that_are_no_object", expr_refuses_contexts_that_are_no_object);
	int status = g_test_run();
	g_assert_true(fd_remove_tree(folder, NULL));
	g_free(folder);
	return status;
}
