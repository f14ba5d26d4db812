/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/contexts.h"

#include <string.h>

#include "agent/base/json.h"

typedef struct Fixture {
	Task task;
	Job job;
	Place place;
	json_t *spec;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->spec = json_pack("{s:{s:s},s:{s:{s:s,s:s,s:{s:b},s:s},s:{s:s},s:{s:b}},s:{s:i,s:i},s:{s:s,s:i},s:{s:{s:s}}}",
	        "repo", "name", "acme/digits", "contexts", "github", "ref", "refs/heads/main", "sha", "abc", "event", "forced", 1,
	        "repository", "acme/digits", "vars", "COLOUR", "red", "inputs", "fast", 1, "run", "id", 4, "number", 42, "job",
	        "group", "train", "attempt", 2, "resolved", "matrix", "os", "linux");
	g_assert_nonnull(fixture->spec);
	fixture->task = (Task){.spec = fixture->spec, .secrets = json_pack("{s:s}", "KEY", "s3cret"), .token = g_strdup("tok"),
	        .folder_fd = -1, .events_fd = -1, .signal_fd = -1};
	fixture->place = (Place){.work_inside = g_strdup("/home/runner/work"), .home_inside = g_strdup("/home/runner")};
	fixture->job = (Job){.task = &fixture->task, .spec = fixture->spec, .place = &fixture->place,
	        .executor = executor_find("null"), .state = RUN_RUNNING, .step = 3,
	        .runner_inside = g_strdup("/run/assay"),
	        .workspace_inside = g_strdup("/home/runner/work/digits/digits"), .paths = g_ptr_array_new()};
	fixture->job.definition = json_pack("{s:{s:s,s:s,s:s},s:{s:s,s:s}}", "workflow-env", "A", "workflow", "B", "workflow",
	        "PATH", "/w", "env", "B", "${{ github.sha }}", "GITHUB_REF", "mine");
	contexts_fill(&fixture->job);
	contexts_set_places(&fixture->job);
	g_autoptr(GError) error = NULL;
	g_assert_true(contexts_fill_env(&fixture->job, &error));
	g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	json_decref(fixture->spec);
	json_decref(fixture->task.secrets);
	g_free(fixture->task.token);
	g_free(fixture->place.work_inside);
	g_free(fixture->place.home_inside);
	g_free(fixture->job.workspace_inside);
	g_free(fixture->job.runner_inside);
	g_ptr_array_unref(fixture->job.paths);
	json_decref(fixture->job.definition);
	json_decref(fixture->job.contexts);
	json_decref(fixture->job.env);
	json_decref(fixture->job.step_env);
}

static void assert_value(Fixture *fixture, const char *template, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) value = json_string(template);
	g_autofree char *got = contexts_string(&fixture->job, value, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(got, ==, expected);
}

static void tree_has_what_expressions_ask_for(Fixture *fixture, gconstpointer data)
{
	(void)data;
	assert_value(fixture, "${{ github.repository_owner }}/${{ github.job }} ${{ github.run_number }}", "acme/train 42");
	assert_value(fixture, "${{ github.run_attempt }} ${{ github.event.forced }}", "2 true");
	assert_value(fixture, "${{ secrets.KEY }} ${{ secrets.GITHUB_TOKEN }} ${{ github.token }}", "s3cret tok tok");
	assert_value(fixture, "${{ vars.colour }} ${{ matrix.os }} ${{ inputs.fast }}", "red linux true");
	assert_value(fixture, "${{ runner.os }} ${{ runner.temp }}", "Linux /home/runner/work/_temp");
	assert_value(fixture, "${{ env.A }} ${{ env.B }}", "workflow abc");
	assert_value(fixture, "${{ job.status }}", "success");
}

static const char *variable(char **environment, const char *name)
{
	const char *value = g_environ_getenv(environment, name);
	return value ? value : "(none)";
}

static void later_layers_win_but_not_over_ours(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->job.step_env = json_pack("{s:s,s:s,s:s}", "A", "step", "CI", "maybe", "RUNNER_OS", "mine");
	g_ptr_array_add(fixture->job.paths, g_strdup("/first"));
	g_ptr_array_add(fixture->job.paths, g_strdup("/second"));
	const char *const extra[] = {"SEED=1", "=broken", NULL};
	g_auto(GStrv) environment = contexts_environment(&fixture->job, extra);
	g_assert_cmpstr(variable(environment, "A"), ==, "step");
	g_assert_cmpstr(variable(environment, "B"), ==, "abc");
	g_assert_cmpstr(variable(environment, "CI"), ==, "maybe");
	g_assert_cmpstr(variable(environment, "SEED"), ==, "1");
	g_assert_cmpstr(variable(environment, "PATH"), ==, "/second:/first:/w");
	g_assert_cmpstr(variable(environment, "GITHUB_REF"), ==, "refs/heads/main");
	g_assert_cmpstr(variable(environment, "RUNNER_OS"), ==, "Linux");
	g_assert_cmpstr(variable(environment, "GITHUB_ACTIONS"), ==, "true");
	g_assert_cmpstr(variable(environment, "HOME"), ==, "/home/runner");
	g_assert_cmpstr(variable(environment, "GITHUB_OUTPUT"), ==,
	        "/run/assay/_runner_file_commands/set_output_3");
	g_assert_cmpstr(variable(environment, "GITHUB_TOKEN"), ==, "(none)");
	g_assert_cmpstr(variable(environment, "KEY"), ==, "(none)");
	g_free(fixture->job.paths->pdata[0]);
	g_free(fixture->job.paths->pdata[1]);
}

static void state_is_what_conditions_see(Fixture *fixture, gconstpointer data)
{
	(void)data;
	bool holds = false;
	fixture->job.state = RUN_FAILURE;
	ExprScope scope = contexts_scope(&fixture->job);
	g_assert_true(expr_condition("failure()", &scope, &holds, NULL) && holds);
	g_assert_true(expr_condition(NULL, &scope, &holds, NULL) && !holds);
	fixture->job.state = RUN_CANCELLED;
	scope = contexts_scope(&fixture->job);
	g_assert_true(expr_condition("cancelled()", &scope, &holds, NULL) && holds);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/contexts/" #name, Fixture, NULL, set_up, name, tear_down)
	ADD(tree_has_what_expressions_ask_for);
	ADD(later_layers_win_but_not_over_ours);
	ADD(state_is_what_conditions_see);
	return g_test_run();
}
