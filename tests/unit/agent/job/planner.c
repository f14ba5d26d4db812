/* SPDX-License-Identifier: Apache-2.0 */
/* The planner: which events start a workflow, which jobs it makes, and how they are resolved. */
#include "agent/job/planner.h"

#include <string.h>

#include "agent/base/json.h"
#include "agent/job/reader.h"

static Workflow *read_workflow(const char *text)
{
	g_autoptr(json_t) errors = NULL;
	Workflow *workflow = reader_read(text, strlen(text), ".assay/workflows/t.yml", &errors);
	if (!workflow)
		g_test_message("%s", json_get_string(json_array_get(errors, 0), "caret", ""));
	g_assert_nonnull(workflow);
	return workflow;
}

static Workflow *read_on(const char *on)
{
	g_autofree char *text = g_strdup_printf("on:%s\njobs: {a: {runs-on: x, steps: [{run: y}]}}\n", on);
	return read_workflow(text);
}

static Workflow *read_jobs(const char *jobs)
{
	g_autofree char *text = g_strdup_printf("on: push\njobs:\n%s", jobs);
	return read_workflow(text);
}

static json_t *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	json_t *value = json_parse(text, strlen(text), "test", &error);
	g_assert_no_error(error);
	return value;
}

static void matches(const char *on, const char *event_text, const char *files_text, bool wanted)
{
	g_autoptr(Workflow) workflow = read_on(on);
	g_autoptr(json_t) event = parse(event_text);
	g_autoptr(json_t) files = files_text ? parse(files_text) : NULL;
	if (planner_matches(workflow, event, files) != wanted)
		g_test_message("on:%s with %s", on, event_text);
	g_assert_true(planner_matches(workflow, event, files) == wanted);
}

#define PUSH_MAIN "{\"event\":\"push\",\"ref\":\"refs/heads/main\"}"
#define PUSH_TAG "{\"event\":\"push\",\"ref\":\"refs/tags/v1\"}"

static void pushes_follow_their_filters(void)
{
	matches(" push", PUSH_MAIN, NULL, true);
	matches(" [push, pull_request]", PUSH_TAG, NULL, true);
	matches(" pull_request", PUSH_MAIN, NULL, false);
	matches(" {push: {branches: [main]}}", PUSH_MAIN, NULL, true);
	matches(" {push: {branches: main}}", PUSH_TAG, NULL, false);
	matches(" {push: {branches: ['rel/**', '!main']}}", PUSH_MAIN, NULL, false);
	matches(" {push: {branches-ignore: [main]}}", PUSH_MAIN, NULL, false);
	matches(" {push: {branches-ignore: [dev]}}", PUSH_MAIN, NULL, true);
	matches(" {push: {tags: ['v*']}}", PUSH_TAG, NULL, true);
	matches(" {push: {tags: ['v*']}}", PUSH_MAIN, NULL, false);
	matches(" {push: {tags-ignore: ['v*']}}", PUSH_TAG, NULL, false);
	matches(" {push: {branches: [main], tags: ['v*']}}", PUSH_TAG, NULL, true);
	matches(" {push: {paths: ['src/**']}}", PUSH_MAIN, "[\"README.md\",\"src/a.c\"]", true);
	matches(" {push: {paths: ['src/**', '!src/a.c']}}", PUSH_MAIN, "[\"src/a.c\"]", false);
	matches(" {push: {paths: ['src/**']}}", PUSH_MAIN, "[\"README.md\"]", false);
	matches(" {push: {paths: ['src/**']}}", PUSH_MAIN, NULL, true);
	matches(" {push: {paths-ignore: ['*.md']}}", PUSH_MAIN, "[\"README.md\"]", false);
	matches(" {push: {paths-ignore: ['*.md']}}", PUSH_MAIN, "[\"README.md\",\"x\"]", true);
	matches(" {push: {paths: ['src/**']}}", PUSH_TAG, "[\"README.md\"]", true);
	matches(" {push: {tags: ['v*'], paths: ['src/**']}}", PUSH_TAG, "[\"README.md\"]", true);
}

static void other_events_follow_types_and_branches(void)
{
#define PULL(action, base)                                                                                          \
	"{\"event\":\"pull_request\",\"action\":\"" action                                                       \
	"\",\"ref\":\"refs/pull/7/merge\",\"payload\":{\"pull_request\":{\"base\":{\"ref\":\"" base "\"}}}}"
	matches(" pull_request", PULL("opened", "main"), NULL, true);
	matches(" pull_request", PULL("closed", "main"), NULL, false);
	matches(" {pull_request: {types: closed}}", PULL("closed", "main"), NULL, true);
	matches(" {pull_request: {types: [closed]}}", PULL("opened", "main"), NULL, false);
	matches(" {pull_request: {branches: [main]}}", PULL("opened", "dev"), NULL, false);
	matches(" {pull_request: {branches: ['d*']}}", PULL("opened", "dev"), NULL, true);
	matches(" issues", "{\"event\":\"issues\",\"action\":\"pinned\"}", NULL, true);
	matches(" {schedule: [{cron: '0 1 * * *'}]}", "{\"event\":\"schedule\"}", NULL, true);
	matches(" {schedule: [{cron: '0 1 * * *'}]}",
	        "{\"event\":\"schedule\",\"payload\":{\"schedule\":\"5 5 * * *\"}}", NULL, false);
	matches(" {workflow_run: {workflows: [CI]}}",
	        "{\"event\":\"workflow_run\",\"payload\":{\"workflow_run\":{\"name\":\"Other\"}}}", NULL, false);
}

static json_t *plan(const Workflow *workflow, const char *contexts_text, const char *only, GError **error)
{
	g_autoptr(json_t) contexts = parse(contexts_text);
	return planner_jobs(workflow, contexts, only, error);
}

#define CONTEXTS "{\"github\":{\"event_name\":\"push\",\"ref\":\"refs/heads/main\"},\"vars\":{\"POOL\":\"big\"},\"inputs\":{}}"

/** "key=name|…" of the resolved jobs. */
static char *names_of(const json_t *jobs)
{
	GString *out = g_string_new(NULL);
	size_t i = 0;
	json_t *job = NULL;
	json_array_foreach((json_t *)jobs, i, job)
		g_string_append_printf(out, "%s%s=%s%s", i > 0 ? "|" : "", json_get_string(job, "key", ""),
		        json_get_string(job, "name", ""),
		        json_get_bool(json_object_get(job, "resolved") ? json_object_get(job, "resolved") : job, "run",
		                true)
		                ? ""
		                : " skipped");
	return g_string_free(out, FALSE);
}

static void assert_plan(const char *jobs_text, const char *only, const char *names)
{
	g_autoptr(Workflow) workflow = read_jobs(jobs_text);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) jobs = plan(workflow, CONTEXTS, only, &error);
	g_assert_no_error(error);
	g_autofree char *got = names_of(jobs);
	g_assert_cmpstr(got, ==, names);
}

static void refuse_plan(const char *jobs_text, const char *message)
{
	g_autoptr(Workflow) workflow = read_jobs(jobs_text);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) jobs = plan(workflow, CONTEXTS, NULL, &error);
	g_assert_null(jobs);
	if (!strstr(error->message, message))
		g_test_message("got: %s", error->message);
	g_assert_nonnull(strstr(error->message, message));
}

#define STEPS "    steps: [{run: make}]\n"

static void matrices_unfold_in_order(void)
{
	assert_plan("  test:\n    runs-on: x\n    strategy: {matrix: {py: ['3.11', 3.12], os: [ubuntu, mac]}}\n" STEPS, NULL,
	        "test (3.11, ubuntu)=test (3.11, ubuntu)|test (3.11, mac)=test (3.11, mac)|"
	        "test (3.12, ubuntu)=test (3.12, ubuntu)|test (3.12, mac)=test (3.12, mac)");
	assert_plan("  t:\n    name: Tests\n    runs-on: x\n    strategy: {matrix: {a: [1, 2], exclude: [{a: 1}], "
	            "include: [{a: 2, b: yes}, {a: 3, b: no}]}}\n" STEPS,
	        NULL, "t (2)=Tests (2)|t (3, no)=Tests (3, no)");
	assert_plan("  t:\n    name: T ${{ matrix.a }}\n    runs-on: x\n    strategy: {matrix: {a: [1, 1]}}\n" STEPS, NULL,
	        "t (1)=T 1|t (1) #2=T 1");
	assert_plan("  t:\n    runs-on: x\n    strategy: {matrix: '${{ fromJSON(''{\"a\":[{\"k\":7,\"l\":[true]}]}'') }}'}\n" STEPS,
	        NULL, "t (7, true)=t (7, true)");
	assert_plan("  t:\n    runs-on: x\n    strategy: {matrix: {a: [1], exclude: [{a: 1}]}}\n" STEPS, NULL, "t=t skipped");
	refuse_plan("  t:\n    runs-on: x\n    strategy: {matrix: {a: '${{ fromJSON(''[]'') }}'}}\n" STEPS,
	        "job 't': 'strategy': Matrix vector 'a' does not contain any values");
	refuse_plan("  t:\n    runs-on: x\n    strategy: {matrix: {a: '${{ github.ref }}'}}\n" STEPS, "is not a sequence");
	refuse_plan("  t:\n    runs-on: x\n    strategy: {matrix: {a: &l [1,2,3,4,5,6,7,8,9,10], b: *l, c: *l}}\n" STEPS,
	        "more than 256 jobs");
}

static void included_values_reach_the_matrix(void)
{
	g_autoptr(Workflow) workflow = read_jobs("  t:\n    runs-on: '${{ matrix.os }}'\n    strategy:\n      fail-fast: false\n"
	                                         "      max-parallel: 2\n      matrix:\n        os: [A, b]\n"
	                                         "        include: [{os: a, x: 1}, {y: 2}]\n" STEPS);
	g_autoptr(json_t) jobs = plan(workflow, CONTEXTS, NULL, NULL);
	const json_t *first = json_object_get(json_array_get(jobs, 0), "resolved");
	/* One has no need of the others' values, and as many jobs as there are values would carry them. */
	g_assert_null(json_object_get(json_object_get(json_array_get(jobs, 0), "definition"), "strategy"));
	g_autofree char *matrix = json_text(json_object_get(first, "matrix"));
	g_assert_cmpstr(matrix, ==, "{\"os\":\"A\",\"x\":1,\"y\":2}");
	g_autofree char *strategy = json_text(json_object_get(first, "strategy"));
	g_assert_cmpstr(strategy, ==, "{\"fail-fast\":false,\"job-index\":0,\"job-total\":2,\"max-parallel\":2}");
	g_autofree char *runs_on = json_text(json_object_get(first, "runs_on"));
	g_assert_cmpstr(runs_on, ==, "[\"A\"]");
	g_autofree char *second = json_text(
	        json_object_get(json_object_get(json_array_get(jobs, 1), "resolved"), "matrix"));
	g_assert_cmpstr(second, ==, "{\"os\":\"b\",\"y\":2}");
}

static void resolved_jobs_have_every_key(void)
{
	g_autoptr(Workflow) workflow = read_jobs(
	        "  d:\n    runs-on: {group: gpu, labels: [a, '${{ vars.POOL }}']}\n    environment: {name: '${{ vars.POOL }}', url: "
	        "'${{ steps.x.outputs.u }}'}\n    timeout-minutes: 5\n    continue-on-error: true\n    concurrency: {group: "
	        "'d-${{ github.ref }}', cancel-in-progress: true}\n" STEPS);
	g_autoptr(json_t) jobs = plan(workflow, CONTEXTS, NULL, NULL);
	g_autofree char *text = json_text(json_object_get(json_array_get(jobs, 0), "resolved"));
	g_assert_cmpstr(text, ==,
	        "{\"concurrency\":{\"cancel_in_progress\":true,\"group\":\"d-refs/heads/main\"},\"continue_on_error\":true,"
	        "\"environment\":{\"name\":\"big\",\"url\":\"${{ steps.x.outputs.u }}\"},\"group\":\"d\",\"key\":\"d\",\"matrix\":"
	        "{},\"name\":\"d\",\"run\":true,\"runs_on\":[\"a\",\"big\",\"gpu\"],\"strategy\":{\"fail-fast\":true,\"job-index\":0,"
	        "\"job-total\":1,\"max-parallel\":1},\"timeout_minutes\":5}");
	g_autoptr(Workflow) brief = read_jobs("  b:\n    runs-on: x\n    timeout-minutes: 0.5\n" STEPS);
	g_autoptr(json_t) half = plan(brief, CONTEXTS, NULL, NULL);
	const json_t *resolved = json_object_get(json_array_get(half, 0), "resolved");
	g_assert_cmpfloat(json_get_real(resolved, "timeout_minutes", 0), ==, 0.5);
	g_assert_null(json_object_get(resolved, "cancel_timeout_minutes"));
	g_autoptr(Workflow) patient = read_jobs("  b:\n    runs-on: x\n    cancel-timeout-minutes: '${{ 10 }}'\n" STEPS);
	g_autoptr(json_t) ten = plan(patient, CONTEXTS, NULL, NULL);
	g_assert_cmpint(json_get_int(json_object_get(json_array_get(ten, 0), "resolved"), "cancel_timeout_minutes", 0), ==, 10);
	refuse_plan("  t:\n    runs-on: x\n    cancel-timeout-minutes: 0\n" STEPS, "'cancel-timeout-minutes'");
	refuse_plan("  t:\n    runs-on: '${{ vars.NONE }}'\n" STEPS, "'runs-on'");
	refuse_plan("  t:\n    runs-on: x\n    timeout-minutes: '${{ vars.POOL }}'\n" STEPS, "'timeout-minutes'");
}

static void jobs_with_needs_wait(void)
{
	const char *text = "  a:\n    runs-on: x\n" STEPS "  b:\n    needs: A\n    runs-on: x\n" STEPS
	                   "  c:\n    runs-on: x\n    if: github.ref == 'other'\n" STEPS "  d:\n    needs: [b, c]\n    runs-on: x\n" STEPS;
	assert_plan(text, NULL, "a=a|b=b|c=c skipped|d=d");
	assert_plan(text, "b", "a=a|b=b");
	g_autoptr(Workflow) workflow = read_jobs(text);
	g_autoptr(json_t) jobs = plan(workflow, CONTEXTS, NULL, NULL);
	g_assert_null(json_object_get(json_array_get(jobs, 1), "resolved"));
	g_autofree char *needs = json_text(json_object_get(json_array_get(jobs, 3), "needs"));
	g_assert_cmpstr(needs, ==, "[\"b\",\"c\"]");
	g_autofree char *need = json_text(json_object_get(json_array_get(jobs, 1), "needs"));
	g_assert_cmpstr(need, ==, "[\"a\"]");
	g_autoptr(GError) error = NULL;
	g_assert_null(plan(workflow, CONTEXTS, "zzz", &error));
	g_assert_nonnull(strstr(error->message, "has no job 'zzz'"));
}

static bool runs_after(const char *condition, const char *results)
{
	g_autoptr(json_t) definition = json_pack("{s:s}", "runs-on", "x");
	if (condition)
		json_object_set_new(definition, "if", json_string(condition));
	g_autofree char *text = g_strdup_printf("{\"needs\":{%s}}", results);
	g_autoptr(json_t) contexts = parse(text);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) resolved = planner_resolve("j", definition, contexts, NULL, &error);
	g_assert_no_error(error);
	return json_get_bool(json_array_get(resolved, 0), "run", false);
}

#define GOOD "\"g\":{\"result\":\"success\",\"outputs\":{\"n\":\"[1,2]\"}}"
#define BAD "\"b\":{\"result\":\"failure\"}"
#define GONE "\"s\":{\"result\":\"skipped\"}"

static void conditions_see_what_was_needed(void)
{
	g_assert_true(runs_after(NULL, GOOD));
	g_assert_false(runs_after(NULL, GOOD "," BAD));
	g_assert_false(runs_after(NULL, GONE));
	g_assert_true(runs_after("failure()", GOOD "," BAD));
	g_assert_false(runs_after("failure()", GONE));
	g_assert_true(runs_after("always()", GONE));
	g_assert_true(runs_after("!cancelled()", BAD));
	g_assert_true(runs_after("needs.g.outputs.n != ''", GOOD));
	g_assert_false(runs_after("needs.g.outputs.n != ''", GOOD "," BAD));
	g_assert_true(runs_after("always() && needs.b.result == 'failure'", BAD));
}

static bool runs_with(const char *condition, const char *status)
{
	g_autoptr(json_t) definition = json_pack("{s:s,s:s*}", "runs-on", "x", "if", condition);
	g_autoptr(json_t) contexts = parse("{\"needs\":{" GOOD "}}");
	g_autoptr(json_t) resolved = planner_resolve("j", definition, contexts, status, NULL);
	return json_get_bool(json_array_get(resolved, 0), "run", false);
}

static void conditions_see_the_whole_chain(void)
{
	/* What it needs went well; what that needed did not. */
	g_assert_true(runs_with(NULL, "success"));
	g_assert_false(runs_with(NULL, "failure"));
	g_assert_false(runs_with(NULL, "skipped"));
	g_assert_true(runs_with("failure()", "failure"));
	g_assert_false(runs_with("failure()", "skipped"));
	g_assert_false(runs_with("success()", "failure"));
	g_assert_true(runs_with("cancelled()", "cancelled"));
	g_assert_true(runs_with("needs.g.result == 'success' && !cancelled()", "skipped"));
}

static void outputs_make_matrices(void)
{
	g_autoptr(json_t) definition = parse("{\"needs\":\"g\",\"runs-on\":\"x\",\"strategy\":{\"matrix\":{\"n\":\"${{ "
	                                     "fromJSON(needs.g.outputs.n) }}\"}}}");
	g_autoptr(json_t) contexts = parse("{\"needs\":{" GOOD "}}");
	g_autoptr(json_t) resolved = planner_resolve("j", definition, contexts, NULL, NULL);
	g_autofree char *names = names_of(resolved);
	g_assert_cmpstr(names, ==, "j (1)=j (1)|j (2)=j (2)");
}

static void what_cannot_run_is_refused_with_its_place(void)
{
	refuse_plan("  a:\n    runs-on: x\n    snapshot: s\n" STEPS, ".assay/workflows/t.yml:5:5: 'snapshot'");
	refuse_plan("  a:\n    runs-on: x\n    steps:\n    - run: x\n      background: true\n", "t.yml:7:7: steps in the background");
}

static void inputs_have_kinds_and_defaults(void)
{
	g_autoptr(Workflow) workflow =
	        read_on("\n  workflow_dispatch:\n    inputs:\n      n: {type: number, default: 3}\n      b: {type: boolean}\n      "
	                "c: {type: choice, options: [x, y], default: y}\n      s: {required: true}\n      t:");
	g_autoptr(json_t) given = parse("{\"s\":\"hi\",\"b\":\"true\"}");
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) inputs = planner_inputs(workflow, given, &error);
	g_assert_no_error(error);
	g_autofree char *text = json_text(inputs);
	g_assert_cmpstr(text, ==, "{\"b\":true,\"c\":\"y\",\"n\":3,\"s\":\"hi\",\"t\":\"\"}");
	g_autoptr(json_t) again = planner_inputs(workflow, inputs, NULL);
	g_assert_true(json_equal(again, inputs));
	const char *const bad[] = {"{}", "{\"s\":1,\"zzz\":1}", "{\"s\":\"a\",\"n\":\"x\"}", "{\"s\":\"a\",\"c\":\"z\"}",
	        "{\"s\":\"a\",\"b\":\"maybe\"}"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(json_t) wrong = parse(bad[i]);
		g_assert_null(planner_inputs(workflow, wrong, NULL));
	}
}

static void workflow_keys_are_evaluated(void)
{
	g_autoptr(Workflow) workflow = read_workflow("name: N\nrun-name: Deploy ${{ github.ref }}\nconcurrency: ci-${{ github.ref "
	                                             "}}\non: push\njobs: {a: {runs-on: x, steps: [{run: y}]}}\n");
	g_autoptr(json_t) contexts = parse(CONTEXTS);
	g_autofree char *name = planner_run_name(workflow, contexts, NULL);
	g_assert_cmpstr(name, ==, "Deploy refs/heads/main");
	g_autoptr(json_t) concurrency = planner_concurrency(workflow, contexts, NULL);
	g_assert_cmpstr(json_get_string(concurrency, "group", ""), ==, "ci-refs/heads/main");
	g_assert_false(json_get_bool(concurrency, "cancel_in_progress", true));
}

/* The `concurrency` of a workflow as text; the caller's. */
static char *concurrency_text(const char *written, GError **error)
{
	g_autofree char *text = g_strdup_printf("on: push\nconcurrency: %s\njobs: {a: {runs-on: x, steps: [{run: y}]}}\n", written);
	g_autoptr(Workflow) workflow = read_workflow(text);
	g_autoptr(json_t) contexts = parse(CONTEXTS);
	g_autoptr(json_t) concurrency = planner_concurrency(workflow, contexts, error);
	return concurrency ? json_text(concurrency) : NULL;
}

static void a_queue_keeps_all_or_the_newest(void)
{
	g_autofree char *all = concurrency_text("{group: g, queue: max}", NULL);
	g_assert_cmpstr(all, ==, "{\"cancel_in_progress\":false,\"group\":\"g\",\"queue\":\"max\"}");
	g_autofree char *newest = concurrency_text("{group: g, queue: single, cancel-in-progress: true}", NULL);
	g_assert_cmpstr(newest, ==, "{\"cancel_in_progress\":true,\"group\":\"g\"}");
	g_autoptr(GError) error = NULL;
	g_assert_null(concurrency_text("{group: g, queue: max, cancel-in-progress: true}", &error));
	g_assert_nonnull(strstr(error->message, "queue: max"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/planner/pushes_follow_their_filters", pushes_follow_their_filters);
	g_test_add_func("/planner/other_events_follow_types_and_branches", other_events_follow_types_and_branches);
	g_test_add_func("/planner/matrices_unfold_in_order", matrices_unfold_in_order);
	g_test_add_func("/planner/included_values_reach_the_matrix", included_values_reach_the_matrix);
	g_test_add_func("/planner/resolved_jobs_have_every_key", resolved_jobs_have_every_key);
	g_test_add_func("/planner/jobs_with_needs_wait", jobs_with_needs_wait);
	g_test_add_func("/planner/conditions_see_what_was_needed", conditions_see_what_was_needed);
	g_test_add_func("/planner/conditions_see_the_whole_chain", conditions_see_the_whole_chain);
	g_test_add_func("/planner/outputs_make_matrices", outputs_make_matrices);
	g_test_add_func("/planner/what_cannot_run_is_refused_with_its_place", what_cannot_run_is_refused_with_its_place);
	g_test_add_func("/planner/inputs_have_kinds_and_defaults", inputs_have_kinds_and_defaults);
	g_test_add_func("/planner/workflow_keys_are_evaluated", workflow_keys_are_evaluated);
	g_test_add_func("/planner/a_queue_keeps_all_or_the_newest", a_queue_keeps_all_or_the_newest);
	return g_test_run();
}
