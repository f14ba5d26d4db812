/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: what a valid file becomes, and what a person is told about one that is not. */
#include "agent/job/reader.h"

#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/json.h"
#include "agent/job/lint.h"

static Workflow *read_valid(const char *text)
{
	g_autoptr(json_t) errors = NULL;
	Workflow *workflow = reader_read(text, strlen(text), "w.yml", &errors);
	if (!workflow)
		g_test_message("%s", json_get_string(json_array_get(errors, 0), "caret", ""));
	g_assert_nonnull(workflow);
	g_assert_cmpuint(json_array_size(errors), ==, 0);
	return workflow;
}

/** Asserts that one of the mistakes is at line:column and says so. */
static void refused(const char *text, int line, int column, const char *message)
{
	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) workflow = reader_read(text, strlen(text), "w.yml", &errors);
	g_assert_null(workflow);
	size_t i = 0;
	json_t *one = NULL;
	bool found = false;
	json_array_foreach(errors, i, one) {
		found = found || (json_get_int(one, "line", 0) == line && json_get_int(one, "column", 0) == column &&
		                         strstr(json_get_string(one, "message", ""), message));
		if (json_array_size(errors) < 4)
			g_test_message("%s", json_get_string(one, "caret", ""));
	}
	g_assert_true(found);
}

#define JOB "jobs:\n  a:\n    runs-on: x\n    steps: [{run: make}]\n"
#define STEPS "    runs-on: x\n    steps: [{run: make}]\n"

static void definitions_keep_keys_and_kinds(void)
{
	g_autoptr(Workflow) workflow = read_valid("name: CI\non: [push, pull_request]\nenv: {A: 1}\ndefaults: {run: {shell: bash}}\n"
	                                          "permissions: read-all\nconcurrency: c\njobs:\n  one:\n" STEPS
	                                          "  two:\n    needs: [ONE]\n    if: true\n    name: 3.10\n    permissions: {contents: write}\n"
	                                          "    runs-on: [gpu]\n    env: {V: 3.10, N: null}\n    steps: [{run: 5, id: s}]\n");
	g_assert_cmpstr(workflow->name, ==, "CI");
	g_assert_cmpuint(strlen(workflow->digest), ==, 64);
	g_autofree char *on = json_text(workflow->on);
	g_assert_cmpstr(on, ==, "{\"pull_request\":null,\"push\":null}");
	const WorkflowJob *two = workflow_find(workflow, "TWO");
	g_assert_cmpstr(two->needs[0], ==, "one");
	g_assert_cmpint(two->line, ==, 11);
	g_autofree char *definition = json_text(two->definition);
	g_assert_cmpstr(definition, ==,
	        "{\"env\":{\"N\":null,\"V\":3.1000000000000001},\"if\":\"true\",\"name\":\"3.1\",\"needs\":[\"ONE\"],\"permissions\":"
	        "{\"contents\":\"write\"},\"runs-on\":[\"gpu\"],\"step-lines\":[18],\"steps\":[{\"id\":\"s\",\"run\":\"5\"}],\"workflow-defaults\":{\"run\":"
	        "{\"shell\":\"bash\"}},\"workflow-env\":{\"A\":1},\"workflow-name\":\"CI\",\"workflow-path\":\"w.yml\"}");
	const WorkflowJob *one = workflow_find(workflow, "one");
	g_assert_cmpstr(json_get_string(one->definition, "permissions", ""), ==, "read-all");
	g_assert_null(workflow_find(workflow, "three"));
}

static void a_file_without_name_is_named_by_its_path(void)
{
	g_autoptr(Workflow) workflow = read_valid("on: push\n" JOB);
	g_assert_cmpstr(workflow->name, ==, "w.yml");
	g_assert_null(workflow->run_name);
	g_assert_null(workflow->concurrency);
}

static void unknown_keys_are_mistakes_with_a_hint(void)
{
	refused("on: push\nfoo: 1\n" JOB, 2, 1, "Unexpected value 'foo'");
	refused("on: push\njobs:\n  a:\n    runs_on: x\n", 4, 5, "did you mean 'runs-on'?");
	refused("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n    - rn: x\n", 6, 7, "did you mean 'run'?");
	refused("on: {push: {branch: main}}\n" JOB, 1, 13, "did you mean 'branches'?");
	refused("on: pish\n" JOB, 1, 5, "did you mean 'push'?");
	refused("on: {pull_request: {types: [syncronize]}}\n" JOB, 1, 29, "did you mean 'synchronize'?");
	refused("on: push\njobs:\n  a:\n    runs-on: x\n    environment: {nam: x}\n" , 5, 19, "did you mean 'name'?");
}

static void kinds_of_values_are_checked(void)
{
	refused("on: push\njobs:\n  a:\n    timeout-minutes: soon\n" STEPS, 4, 22, "a number is expected");
	refused("on: push\njobs:\n  a:\n    continue-on-error: 'true'\n" STEPS, 4, 24, "true or false is expected");
	refused("on: push\njobs:\n  a:\n    runs-on: []\n    steps: 5\n", 5, 12, "a sequence is expected");
	refused("on: push\njobs:\n  a:\n    env: [A]\n" STEPS, 4, 10, "a mapping is expected");
	refused("on: push\njobs:\n  a: 5\n", 3, 6, "a mapping is expected");
	refused("on: push\njobs:\n  a:\n    steps: [{run: x}]\n", 4, 5, "Required property is missing: runs-on");
	refused("on: push\n", 1, 1, "Required property is missing: jobs");
	refused(JOB, 1, 1, "Required property is missing: on");
	refused("", 1, 1, "The file is empty");
	refused("[]", 1, 1, "a mapping is expected");
	refused("on: push\njobs: {}\n", 2, 7, "at least one job");
	refused("on: []\n" JOB, 1, 5, "names no event");
}

static void events_and_their_activities_are_known(void)
{
	refused("on: {release: {types: [publish]}}\n" JOB, 1, 24, "did you mean 'published'?");
	refused("on: {issues: {types: open}}\n" JOB, 1, 22, "did you mean 'opened'?");
	refused("on: {watch: {types: [stopped]}}\n" JOB, 1, 22, "known here: started");
	refused("on: {create: {types: [x]}}\n" JOB, 1, 14, "nothing is expected");
	g_autoptr(Workflow) workflow =
	        read_valid("on:\n  issues: {types: [typed, field_added]}\n  pull_request: {types: [stacked, opened]}\n"
	                   "  repository_dispatch: {types: [my-own]}\n  merge_group: {types: checks_requested}\n"
	                   "permissions: {code-quality: read, drives: write, models: read, copilot-requests: write}\n" JOB);
	refused("on: push\npermissions: {models: write}\n" JOB, 2, 23, "Unexpected value 'write'");
}

static void schedules_are_read_to_the_last_field(void)
{
	refused("on: {schedule: [{cron: '60 * * * *'}]}\n" JOB, 1, 24, "'60' is not a minute");
	refused("on: {schedule: [{cron: '@daily'}]}\n" JOB, 1, 24, "minute hour day month weekday");
	g_autoptr(Workflow) workflow = read_valid("on: {schedule: [{cron: '0 9 * * MON-FRI', timezone: UTC}]}\n" JOB);
	if (g_file_test("/usr/share/zoneinfo/UTC", G_FILE_TEST_EXISTS))
		refused("on: {schedule: [{cron: '0 9 * * *', timezone: Berlin}]}\n" JOB, 1, 47, "is not a time zone");
}

static void options_belong_to_a_choice(void)
{
	refused("on: {workflow_dispatch: {inputs: {a: {type: string, options: [x]}}}}\n" JOB, 1, 62, "'choice'");
	refused("on: {workflow_dispatch: {inputs: {a: {options: [x]}}}}\n" JOB, 1, 48, "'choice'");
	g_autoptr(Workflow) workflow = read_valid("on: {workflow_dispatch: {inputs: {a: {type: choice, options: [x, 1, '']}}}}\n" JOB);
}

static void keys_are_expressions_where_any_key_may_stand(void)
{
	refused("on: push\njobs:\n  a:\n    concurrency: {'${{ github.ref }}': true, group: x}\n" STEPS, 4, 19, "cannot be a key here");
	refused("on: push\njobs:\n  a:\n    runs-on: {'${{ insert }}': {}}\n", 4, 15, "cannot be a key here");
	refused("on: push\njobs:\n  a:\n    env: {'${{ github.ref }}': [x]}\n" STEPS, 4, 32, "a string is expected");
	g_autoptr(Workflow) workflow = read_valid("on: push\njobs:\n  a:\n    env: {'${{ github.ref }}': x, '${{ insert }}': '${{ "
	                                          "fromJSON(vars.E) }}'}\n    strategy: {matrix: {'${{ github.ref }}': [1]}}\n" STEPS);
}

static void a_dispatch_has_at_most_25_inputs(void)
{
	g_autoptr(GString) text = g_string_new("on:\n  workflow_dispatch:\n    inputs:\n");
	for (int i = 1; i <= 25; i++)
		g_string_append_printf(text, "      i%d: {type: string}\n", i);
	g_autofree char *good = g_strconcat(text->str, JOB, NULL);
	g_autoptr(Workflow) workflow = read_valid(good);
	g_autofree char *bad = g_strconcat(text->str, "      i26: {type: string}\n", JOB, NULL);
	refused(bad, 29, 7, "this one has 26");
}

static void contexts_are_checked_where_they_stand(void)
{
	refused("on: push\njobs:\n  a:\n    runs-on: '${{ secrets.X }}'\n", 4, 14, "'secrets'");
	refused("on: push\njobs:\n  a:\n    if: env.X\n" STEPS, 4, 9, "'env'");
	refused("on: push\njobs:\n  a:\n    if: ${{ matrix.X }}\n" STEPS, 4, 9, "'matrix'");
	refused("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: x, if: 'secrets.X'}]\n", 5, 26, "'secrets'");
	refused("on: push\njobs:\n  a:\n    env: {A: '${{ always() }}'}\n" STEPS, 4, 14, "always");
	refused("on: push\njobs:\n  a:\n    name: ${{ hashFiles('x') }}\n" STEPS, 4, 11, "hashFiles");
	refused("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: x, if: \"success('b')\"}]\n", 5, 26, "Too many");
	refused("on: push\nrun-name: ${{ needs.x }}\n" JOB, 2, 11, "'needs'");
	refused("on: push\nname: ${{ github.ref }}\n" JOB, 2, 7, "An expression cannot be used here");
	refused("on: push\njobs:\n  a:\n    needs: '${{ github.ref }}'\n" STEPS, 4, 12, "An expression cannot be used here");
	refused("on: push\njobs:\n  a:\n    if: github.ref = 'x'\n" STEPS, 4, 9, "Unexpected symbol");
	g_autoptr(Workflow) workflow = read_valid(
	        "on: push\nconcurrency: {group: 'x-${{ github.ref }}', cancel-in-progress: '${{ vars.C }}'}\njobs:\n  a:\n    if: "
	        "always() && needs.b.result\n    needs: b\n    runs-on: ${{ fromJSON('[\"x\"]') }}\n    container: {image: x, "
	        "credentials: {username: '${{ env.U }}', password: '${{ secrets.P }}'}}\n    outputs: {o: '${{ steps.s.outputs.o "
	        "}}'}\n    steps:\n    - {id: s, run: 'echo ${{ secrets.X }} ${{ hashFiles(''a'') }}', if: 'failure() && "
	        "hashFiles(''b'')', timeout-minutes: '${{ fromJSON(vars.T) }}'}\n  b:\n    strategy: {matrix: {x: '${{ "
	        "fromJSON(vars.M) }}'}}\n    defaults: {run: {shell: '${{ matrix.x }}'}}\n    env: '${{ fromJSON(vars.E) }}'\n" STEPS);
	g_assert_cmpuint(workflow->jobs->len, ==, 2);
}

static void ids_are_checked(void)
{
	refused("on: push\njobs:\n  a.b:\n" STEPS, 3, 3, "The identifier 'a.b' is invalid");
	refused("on: push\njobs:\n  __a:\n" STEPS, 3, 3, "reserved");
	refused("on: push\njobs:\n  a:\n" STEPS "  A:\n" STEPS, 6, 3, "'A' is already defined");
	refused("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: x, id: s}, {run: y, id: S}]\n", 5, 43, "more than once");
	refused("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{uses: checkout}]\n", 5, 20, "Expected format");
}

static void needs_form_a_graph(void)
{
	refused("on: push\njobs:\n  a:\n" STEPS "  b:\n    needs: c\n" STEPS "  c:\n    needs: [a, b]\n" STEPS, 7, 12,
	        "'b' depends on job 'c' which creates a cycle");
	refused("on: push\njobs:\n  a:\n" STEPS "  b:\n    needs: zzz\n" STEPS, 7, 12, "depends on unknown job 'zzz'");
	refused("on: push\njobs:\n  a:\n    needs: a\n" STEPS, 3, 3, "at least one job with no dependencies");
}

static void matrices_and_filters_are_checked(void)
{
	refused("on: push\njobs:\n  a:\n    strategy: {matrix: {}}\n" STEPS, 4, 24, "at least one vector");
	refused("on: push\njobs:\n  a:\n    strategy: {matrix: {x: []}}\n" STEPS, 4, 28, "does not contain any values");
	refused("on: push\njobs:\n  a:\n    strategy: {matrix: {x: [1], exclude: [{y: 1}]}}\n" STEPS, 4, 44, "does not match any key");
	refused("on: {push: {branches: [a], branches-ignore: [b]}}\n" JOB, 1, 28, "cannot be used for the same event");
	refused("on: {schedule: [{cron: 'every day'}]}\n" JOB, 1, 24, "is not a schedule");
	refused("on: {workflow_dispatch: {inputs: {x: {type: choice}}}}\n" JOB, 1, 45, "needs 'options'");
	refused("on: {workflow_dispatch: {inputs: {x: {type: choice, options: [a], default: b}}}}\n" JOB, 1, 76, "not among");
	refused("on: push\njobs:\n  a:\n    runs-on: {group: x/y}\n", 4, 22, "Invalid runs-on group");
}

static void all_mistakes_are_told_in_order(void)
{
	g_autoptr(json_t) errors = NULL;
	const char *text = "on: push\njobs:\n  b:\n    runs-on: x\n    timeout-minutes: x\n    steps: [{rn: x}]\n  a b:\n" STEPS "foo: 1\n";
	g_assert_null(reader_read(text, strlen(text), "w.yml", &errors));
	int before = 0;
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(errors, i, one) {
		g_assert_cmpint(json_get_int(one, "line", 0), >=, before);
		before = (int)json_get_int(one, "line", 0);
		g_assert_nonnull(strchr(json_get_string(one, "caret", ""), '^'));
	}
	g_assert_cmpuint(json_array_size(errors), ==, 5);
}

static void mistakes_are_bounded(void)
{
	g_autoptr(GString) text = g_string_new("on: push\n");
	for (int i = 0; i < 1000; i++)
		g_string_append_printf(text, "key%d: 1\n", i);
	g_autoptr(json_t) errors = NULL;
	g_assert_null(reader_read(text->str, text->len, "w.yml", &errors));
	g_assert_cmpuint(json_array_size(errors), ==, 100);
}

/** The file is refused, and one of its mistakes says so; NULL: it is valid. It is linted, too. */
static void ends_with(const char *what, GString *text, const char *message)
{
	gint64 start = g_get_monotonic_time();
	g_autoptr(json_t) errors = NULL;
	g_autoptr(YamlDocument) document = reader_check(text->str, text->len, "w.yml", &errors);
	g_autoptr(json_t) warnings = document ? lint_document(document, NULL) : NULL;
	const char *first = json_get_string(json_array_get(errors, 0), "message", NULL);
	if (!message != !first || (message && !strstr(first, message)))
		g_test_message("%s: %s", what, first ? first : "valid");
	g_assert_true(!message == !first && (!message || strstr(first, message)));
	g_test_message("%s: %.3f s", what, (double)(g_get_monotonic_time() - start) / 1e6);
	/* A loaded machine with a sanitizer is slow; what grows with the square of its size is slower. */
	g_assert_cmpint(g_get_monotonic_time() - start, <, 60 * G_USEC_PER_SEC);
	g_string_free(text, TRUE);
}

/** `before`, then `one` many times with its number at each '@', then `after`. */
static GString *repeated(const char *before, const char *one, int times, const char *after)
{
	GString *text = g_string_new(before);
	g_auto(GStrv) parts = g_strsplit(one, "@", -1);
	for (int i = 0; i < times; i++)
		for (char **part = parts; *part; part++) {
			g_string_append(text, *part);
			if (part[1])
				g_string_append_printf(text, "%d", i);
		}
	g_string_append(text, after);
	return text;
}

static void hostile_files_end_soon_and_clearly(void)
{
	const char *run = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: ";
	g_autofree char *spaces = g_strnfill(5000000, ' ');
	g_autofree char *head = g_strdup_printf("%s|\n%s", run, spaces);
	ends_with("a wide indent", repeated(head, "x@\n", 1, ""), NULL);
	ends_with("a long script", repeated("on: push\njobs: {a: {runs-on: x, steps: [{run: '", "line @\n\n", 400000, "'}]}}\n"), NULL);
	ends_with("a file that is too large", repeated(run, "0123456789@@", 600000, "\n"), "larger than 10 MiB");
	ends_with("steps", repeated("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n", "    - run: x@\n", 100000, ""), NULL);
	ends_with("expressions", repeated(run, "${{ github.sha }} @ ", 30000, "\n"), NULL);
	ends_with("open expressions", repeated(run, "${{ @ ", 100000, "\n"), "not closed");
	ends_with("strangers' words", repeated(run, "${{ github.head_ref }} @ ", 50000, "\n"), NULL);
	ends_with("groups", repeated(run, "${{ ((((((((((@)))))))))) }} ", 50000, "\n"), NULL);
	ends_with("a deep expression", repeated("on: push\njobs: {a: {runs-on: x, if: \"", "!(a@ == ", 2000, "\"}}"), "Unexpected");
	ends_with("keys", repeated("on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\nenv:\n", "  K@: v\n", 200000, ""), NULL);
	ends_with("jobs", repeated("on: push\njobs:\n", "  j@: {runs-on: x, steps: [{run: x}]}\n", 50000, ""), "can have 256 jobs");
	ends_with("anchors", repeated("on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\nenv:\n", "  K@: &a@ v\n", 100000, ""), NULL);
	ends_with("values of a matrix", repeated("on: push\njobs: {a: {runs-on: x, steps: [{run: x}], strategy: {matrix: {v: [", "@,", 100000, "]}}}}\n"), NULL);
	ends_with("patterns", repeated("on: {push: {branches: [", "'*a?+[x]@***',", 50000, "]}}\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n"), NULL);
	ends_with("comments", repeated("on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n", "# assay: ignore[@\n", 400000, ""), NULL);
	ends_with("brackets", repeated("on: ", "[[[[[[[[[[", 10000, ""), "nested deeper than 100");
	ends_with("maps", repeated("on: ", "{a: {a: {a: ", 10000, ""), "nested deeper than 100");
	ends_with("tabs", repeated("on: push\n", "\t@", 1, ": x\n"), "tab");
	GString *needs = g_string_new("on: push\njobs:\n");
	for (int i = 0; i < 256; i++) {
		g_string_append_printf(needs, "  j%d:\n    runs-on: x\n    steps: [{run: x}]\n    needs: [", i);
		for (int j = 0; j < i; j++)
			g_string_append_printf(needs, "j%d,", j);
		g_string_append(needs, "]\n");
	}
	ends_with("needs", needs, NULL);
}

static void refusals_name_their_place(void)
{
	g_autoptr(Workflow) workflow = read_valid("on: push\njobs:\n  a:\n    snapshot: s\n" STEPS "  b:\n    services: {db: {image: pg}}\n" STEPS
	                                          "  c:\n    uses: ./x.yml\n    secrets: inherit\n");
	g_assert_nonnull(strstr(workflow_find(workflow, "a")->refusal, "w.yml:4:5: 'snapshot'"));
	g_assert_null(workflow_find(workflow, "b")->refusal);
	g_assert_null(workflow_find(workflow, "c")->refusal);
}

static void anchors_share_steps(void)
{
	g_autoptr(Workflow) workflow =
	        read_valid("on: push\njobs:\n  a: &job\n    runs-on: x\n    steps: &s [{run: make}]\n  b: *job\n  c: {runs-on: y, steps: *s}\n");
	g_assert_cmpuint(workflow->jobs->len, ==, 3);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/reader/definitions_keep_keys_and_kinds", definitions_keep_keys_and_kinds);
	g_test_add_func("/reader/a_file_without_name_is_named_by_its_path", a_file_without_name_is_named_by_its_path);
	g_test_add_func("/reader/unknown_keys_are_mistakes_with_a_hint", unknown_keys_are_mistakes_with_a_hint);
	g_test_add_func("/reader/kinds_of_values_are_checked", kinds_of_values_are_checked);
	g_test_add_func("/reader/events_and_their_activities_are_known", events_and_their_activities_are_known);
	g_test_add_func("/reader/schedules_are_read_to_the_last_field", schedules_are_read_to_the_last_field);
	g_test_add_func("/reader/options_belong_to_a_choice", options_belong_to_a_choice);
	g_test_add_func("/reader/keys_are_expressions_where_any_key_may_stand", keys_are_expressions_where_any_key_may_stand);
	g_test_add_func("/reader/a_dispatch_has_at_most_25_inputs", a_dispatch_has_at_most_25_inputs);
	g_test_add_func("/reader/contexts_are_checked_where_they_stand", contexts_are_checked_where_they_stand);
	g_test_add_func("/reader/ids_are_checked", ids_are_checked);
	g_test_add_func("/reader/needs_form_a_graph", needs_form_a_graph);
	g_test_add_func("/reader/matrices_and_filters_are_checked", matrices_and_filters_are_checked);
	g_test_add_func("/reader/all_mistakes_are_told_in_order", all_mistakes_are_told_in_order);
	g_test_add_func("/reader/mistakes_are_bounded", mistakes_are_bounded);
	g_test_add_func("/reader/hostile_files_end_soon_and_clearly", hostile_files_end_soon_and_clearly);
	g_test_add_func("/reader/refusals_name_their_place", refusals_name_their_place);
	g_test_add_func("/reader/anchors_share_steps", anchors_share_steps);
	return g_test_run();
}
