/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of reusable workflows: what is read, what is refused and where, and what the called jobs become. */
#include "agent/job/calls.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/planner.h"
#include "agent/job/reader.h"

#define JOB "jobs: {a: {runs-on: x, steps: [{run: y}]}}\n"

/** Files by "repo:path@ref" or path: name and text in turn. */
static GBytes *read_listed(void *data, const CallPlace *place, char **out_sha, GError **error)
{
	const char *const *files = data;
	g_autofree char *wanted = place->repo ? g_strdup_printf("%s:%s@%s", place->repo, place->path, place->ref)
	                                      : g_strdup(place->path);
	for (; *files; files += 2)
		if (strcmp(files[0], wanted) == 0) {
			*out_sha = g_strdup(place->repo ? "abc" : "def");
			return g_bytes_new_static(files[1], strlen(files[1]));
		}
	fail(error, ASSAY_ERROR_ABSENT, "no file %s", wanted);
	return NULL;
}

static Workflow *load(const char *text, const char *const *files, json_t **out_errors)
{
	Workflow *workflow = reader_read(text, strlen(text), ".github/workflows/top.yml", out_errors);
	if (!workflow)
		g_test_message("%s", json_get_string(json_array_get(*out_errors, 0), "caret", ""));
	g_assert_nonnull(workflow);
	const CallSource source = {.read = read_listed, .data = (void *)(uintptr_t)files};
	g_assert_true(calls_load(workflow, &source, *out_errors) == (json_array_size(*out_errors) == 0));
	return workflow;
}

/** The one mistake, as "line:column message". */
static void refuse(const char *text, const char *const *files, const char *wanted)
{
	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) workflow = load(text, files, &errors);
	calls_tell(errors);
	const json_t *first = json_array_get(errors, 0);
	g_autofree char *got = g_strdup_printf("%d:%d %s", (int)json_get_int(first, "line", 0),
	        (int)json_get_int(first, "column", 0), json_get_string(first, "message", ""));
	if (!strstr(got, wanted))
		g_test_message("wanted '%s', got '%s'", wanted, got);
	g_assert_nonnull(strstr(got, wanted));
	g_assert_nonnull(strchr(json_get_string(first, "caret", ""), '^'));
}

#define CALL(path) "on: push\njobs:\n  c:\n    uses: " path "\n"

static void interfaces_are_checked(void)
{
	static const char *const files[] = {".github/workflows/b.yml",
	        "on: {workflow_call: {inputs: {n: {type: number}, b: {type: boolean}, s: {type: string, required: true}}, "
	        "secrets: {k: {required: true}, o: }}}\n" JOB,
	        ".github/workflows/plain.yml", "on: push\n" JOB, ".github/workflows/broken.yml", "on: workflow_call\njobs: 3\n",
	        NULL};
#define B CALL("./.github/workflows/b.yml")
	refuse(B "    secrets: inherit\n", files, "4:11 Input s is required");
	refuse(B "    with: {s: x}\n", files, "4:11 Secret k is required");
	refuse(B "    secrets: inherit\n    with: {s: x, zz: 1}\n", files, "6:22 Invalid input, zz is not defined");
	refuse(B "    with: {s: x}\n    secrets: {K: a, q: b}\n", files, "6:24 Invalid secret, q is not defined");
	refuse(B "    secrets: inherit\n    with: {s: x, n: many}\n", files, "6:21 Unexpected value 'many': the input 'n' is a number");
	refuse(B "    secrets: inherit\n    with: {s: x, b: 'true'}\n", files, "6:21 Unexpected value 'true'");
	refuse(CALL("./.github/workflows/plain.yml"), files, "4:11 './.github/workflows/plain.yml' cannot be called: it has no 'workflow_call'");
	refuse(CALL("./.github/workflows/none.yml"), files, "cannot be read: no file .github/workflows/none.yml");
	refuse(CALL("./.github/workflows/broken.yml"), files, "4:11 in the called workflow .github/workflows/broken.yml:2:7:");
	refuse(CALL("./.github/workflows/deep/x.yml"), files, "4:11 './.github/workflows/deep/x.yml' names no reusable workflow");
	refuse(CALL("./b.yml"), files, "names no reusable workflow");
	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) good = load(B "    secrets: {k: v}\n    with: {S: null, n: '${{ 1 }}', b: true}\n", files, &errors);
	g_assert_cmpuint(json_array_size(errors), ==, 0);
}

static void recursion_names_its_chain(void)
{
	static const char *const files[] = {".github/workflows/a.yml", "on: workflow_call\njobs:\n  x:\n    uses: ./.github/workflows/b.yml\n",
	        ".github/workflows/b.yml", "on: workflow_call\njobs:\n  y:\n    uses: ./.github/workflows/a.yml\n", NULL};
	refuse(CALL("./.github/workflows/a.yml"), files,
	        "4:11 in the called workflow .github/workflows/b.yml:4:11: The workflow calls itself: .github/workflows/a.yml → "
	        ".github/workflows/b.yml → .github/workflows/a.yml");
	refuse(CALL("./.github/workflows/top.yml"), files, "4:11 The workflow calls itself: .github/workflows/top.yml → .github/workflows/top.yml");
}

/* l1.yml calls l2.yml and so on; the first one of `levels` calls nothing. */
static char **make_levels(int levels)
{
	GPtrArray *files = g_ptr_array_new();
	for (int i = 1; i <= levels; i++) {
		g_ptr_array_add(files, g_strdup_printf(".github/workflows/l%d.yml", i));
		g_ptr_array_add(files, i == levels ? g_strdup("on: workflow_call\n" JOB)
		                                   : g_strdup_printf("on: workflow_call\njobs:\n  c:\n    uses: ./.github/workflows/l%d.yml\n", i + 1));
	}
	g_ptr_array_add(files, NULL);
	return (char **)g_ptr_array_free(files, FALSE);
}

static void depth_and_number_are_bounded(void)
{
	g_auto(GStrv) nine = make_levels(9);
	g_auto(GStrv) ten = make_levels(10);
	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) deepest = load(CALL("./.github/workflows/l1.yml"), (const char *const *)nine, &errors);
	g_assert_cmpuint(json_array_size(errors), ==, 0);
	refuse(CALL("./.github/workflows/l1.yml"), (const char *const *)ten, "10 levels deep");
	/* Also where a file was read on a shorter way. */
	refuse("on: push\njobs:\n  d:\n    uses: ./.github/workflows/l2.yml\n  c:\n    uses: ./.github/workflows/l1.yml\n",
	        (const char *const *)ten, "10 levels deep");
	g_autoptr(GString) many = g_string_new("on: push\njobs:\n");
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
	for (int i = 0; i <= CALLS_FILES_MAX; i++) {
		g_string_append_printf(many, "  c%d:\n    uses: ./.github/workflows/w%d.yml\n", i, i);
		g_ptr_array_add(files, g_strdup_printf(".github/workflows/w%d.yml", i));
		g_ptr_array_add(files, g_strdup("on: workflow_call\n" JOB));
	}
	g_ptr_array_add(files, NULL);
	refuse(many->str, (const char *const *)files->pdata, "A workflow can call 50 different workflows");
}

static void permissions_only_narrow(void)
{
	static const char *const files[] = {".github/workflows/w.yml", "on: workflow_call\npermissions: {contents: write}\n" JOB,
	        ".github/workflows/j.yml",
	        "on: workflow_call\njobs:\n  a:\n    name: Deploy\n    permissions: {id-token: write}\n    runs-on: x\n    steps: [{run: y}]\n",
	        ".github/workflows/n.yml", "on: workflow_call\njobs:\n  m:\n    permissions: {contents: read}\n    uses: ./.github/workflows/w.yml\n", NULL};
	refuse("on: push\npermissions: read-all\njobs:\n  c:\n    uses: ./.github/workflows/w.yml\n", files,
	        "4:3 Error calling workflow './.github/workflows/w.yml'. The workflow '.github/workflows/w.yml' is requesting "
	        "'contents: write', but is only allowed 'contents: read'.");
	refuse("on: push\njobs:\n  c:\n    permissions: {contents: write}\n    uses: ./.github/workflows/j.yml\n", files,
	        "3:3 Error calling workflow './.github/workflows/j.yml'. The nested job 'Deploy' is requesting 'id-token: write', but is "
	        "only allowed 'id-token: none'.");
	refuse("on: push\npermissions: write-all\njobs:\n  c:\n    uses: ./.github/workflows/n.yml\n", files,
	        "5:11 in the called workflow .github/workflows/n.yml:3:3: Error calling workflow './.github/workflows/w.yml'.");
	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) good = load("on: push\npermissions: write-all\njobs:\n  c:\n    uses: ./.github/workflows/j.yml\n"
	                                "  d:\n    uses: ./.github/workflows/w.yml\n", files, &errors);
	g_assert_cmpuint(json_array_size(errors), ==, 0);
}

static json_t *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	json_t *value = json_parse(text, strlen(text), "test", &error);
	g_assert_no_error(error);
	return value;
}

static const char *const tree[] = {".github/workflows/b.yml",
        "on: {workflow_call: {inputs: {p: {type: string}, n: {type: number, default: 4}}, secrets: {k: }}}\nconcurrency: g-${{ inputs.p }}\njobs:\n"
        "  one: {runs-on: x, name: 'One ${{ inputs.p }}', steps: [{run: y}]}\n"
        "  two: {needs: one, runs-on: x, strategy: {matrix: {v: [1, 2]}}, steps: [{run: y}]}\n"
        "  off: {if: inputs.n > 5, runs-on: x, steps: [{run: y}]}\n"
        "  far: {uses: o/r/.github/workflows/c.yml@v1, secrets: inherit}\n",
        "o/r:.github/workflows/c.yml@v1", "on: workflow_call\njobs: {near: {uses: ./.github/workflows/d.yml}}\n",
        "o/r:.github/workflows/d.yml@abc", "on: workflow_call\n" JOB, NULL};

static json_t *plan(const char *text, GError **error)
{
	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) workflow = load(text, tree, &errors);
	g_assert_cmpuint(json_array_size(errors), ==, 0);
	g_autoptr(json_t) contexts = parse("{\"github\":{\"event_name\":\"push\"},\"vars\":{\"W\":\"eu\"},\"inputs\":{}}");
	return planner_jobs(workflow, contexts, NULL, error);
}

static json_t *find(const json_t *jobs, const char *key)
{
	size_t i;
	json_t *job;
	json_array_foreach((json_t *)(uintptr_t)jobs, i, job)
		if (strcmp(json_get_string(job, "key", ""), key) == 0)
			return job;
	g_error("no job %s", key);
}

static void calls_become_jobs(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) jobs = plan("on: push\npermissions: {contents: read}\njobs:\n  c:\n    name: Call\n    strategy: {matrix: {w: ['${{ vars.W }}', us]}}\n    uses: "
	                              "./.github/workflows/b.yml\n    with: {p: '${{ matrix.w }}'}\n    secrets: {k: 'x${{ secrets.A }}'}\n", &error);
	g_assert_no_error(error);
	g_autoptr(GString) all = g_string_new(NULL);
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job)
		g_string_append_printf(all, "%s=%s<%s\n", json_get_string(job, "key", ""), json_get_string(job, "name", ""),
		        json_get_string(job, "caller", ""));
	g_assert_cmpstr(all->str, ==,
	        "c (eu)=Call (eu)<\n"
	        "c (eu) / one=Call (eu) / One eu<c (eu)\n"
	        "c (eu) / two=Call (eu) / two<c (eu)\n"
	        "c (eu) / off=Call (eu) / off<c (eu)\n"
	        "c (eu) / far=Call (eu) / far<c (eu)\n"
	        "c (eu) / far / near=Call (eu) / far / near<c (eu) / far\n"
	        "c (eu) / far / near / a=Call (eu) / far / near / a<c (eu) / far / near\n"
	        "c (us)=Call (us)<\n"
	        "c (us) / one=Call (us) / One us<c (us)\n"
	        "c (us) / two=Call (us) / two<c (us)\n"
	        "c (us) / off=Call (us) / off<c (us)\n"
	        "c (us) / far=Call (us) / far<c (us)\n"
	        "c (us) / far / near=Call (us) / far / near<c (us) / far\n"
	        "c (us) / far / near / a=Call (us) / far / near / a<c (us) / far / near\n");
	const json_t *call = json_object_get(json_object_get(find(jobs, "c (us)"), "resolved"), "call");
	g_autofree char *text = json_text(call);
	g_assert_cmpstr(text, ==, "{\"concurrency\":{\"cancel_in_progress\":false,\"group\":\"g-us\"},\"inputs\":{\"n\":4,\"p\":\"us\"}}");
	g_autofree char *needs = json_text(json_object_get(find(jobs, "c (us) / two"), "needs"));
	g_assert_cmpstr(needs, ==, "[\"c (us) / one\"]");
	g_assert_null(json_object_get(find(jobs, "c (us) / two"), "resolved"));
	g_assert_false(json_get_bool(json_object_get(find(jobs, "c (us) / off"), "resolved"), "run", true));
	const json_t *near = json_object_get(json_object_get(find(jobs, "c (us) / far / near / a"), "definition"), "call");
	g_assert_cmpstr(json_get_string(near, "repository", ""), ==, "o/r");
	g_assert_cmpstr(json_get_string(near, "path", ""), ==, ".github/workflows/d.yml");
	const json_t *one = json_object_get(find(jobs, "c (us) / one"), "definition");
	g_autofree char *permissions = json_text(json_object_get(one, "permissions"));
	g_assert_cmpstr(permissions, ==, "{\"contents\":\"read\"}");
	g_assert_null(json_object_get(json_object_get(json_object_get(find(jobs, "c (us)"), "definition"), "called"), "jobs"));
	g_assert_cmpstr(planner_local_id("c (us) / far / near"), ==, "near");
}

static void values_must_be_of_their_kind(void)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(plan("on: push\njobs:\n  c:\n    uses: ./.github/workflows/b.yml\n    with: {n: '${{ vars.W }}'}\n", &error));
	g_assert_cmpstr(error->message, ==, "job 'c': the input 'n' is a number, and 'eu' is none; make it one by fromJSON()");
	g_autoptr(json_t) jobs = plan("on: push\njobs:\n  c:\n    uses: ./.github/workflows/b.yml\n    with: {n: \"${{ fromJSON('6') }}\", p: 3.5}\n", NULL);
	const json_t *inputs = json_object_get(json_object_get(json_object_get(find(jobs, "c"), "resolved"), "call"), "inputs");
	g_autofree char *text = json_text(inputs);
	g_assert_cmpstr(text, ==, "{\"n\":6,\"p\":\"3.5\"}");
	g_assert_true(json_get_bool(json_object_get(find(jobs, "c / off"), "resolved"), "run", false));
}

static void assert_secrets(const char *chain_text, const char *wanted)
{
	g_autoptr(json_t) chain = parse(chain_text);
	g_autoptr(json_t) secrets = parse("{\"A\":\"1\",\"B\":\"2\"}");
	g_autoptr(json_t) contexts = parse("{\"vars\":{\"V\":\"v\"},\"github\":{}}");
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) got = calls_secrets(chain, secrets, contexts, &error);
	g_autofree char *text = got ? json_text(got) : g_strdup(error->message);
	g_assert_cmpstr(text, ==, wanted);
}

static void secrets_pass_as_handed_on(void)
{
	assert_secrets("[]", "{\"A\":\"1\",\"B\":\"2\"}");
	assert_secrets("[{\"given\":{}}]", "{}");
	assert_secrets("[{\"given\":\"inherit\"}]", "{\"A\":\"1\",\"B\":\"2\"}");
	assert_secrets("[{\"given\":{\"k\":\"${{ secrets.a }}-${{ vars.V }}\"}}]", "{\"k\":\"1-v\"}");
	assert_secrets("[{\"given\":{\"k\":\"${{ secrets[matrix.n] }}\"},\"contexts\":{\"matrix\":{\"n\":\"B\"}}}]", "{\"k\":\"2\"}");
	assert_secrets("[{\"given\":{\"k\":\"${{ secrets.A }}\"}},{\"given\":\"inherit\"},{\"given\":{\"z\":\"${{ secrets.K }}\",\"b\":\"${{ "
	               "secrets.B }}\"}}]", "{\"b\":\"\",\"z\":\"1\"}");
	assert_secrets("[{\"given\":{}},{\"given\":\"inherit\"}]", "{}");
}

static void outputs_come_from_the_jobs(void)
{
	g_autoptr(json_t) called = parse("{\"outputs\":{\"u\":{\"value\":\"${{ jobs.a.outputs.x }}/${{ inputs.p }}\"},\"n\":{\"value\":3}}}");
	g_autoptr(json_t) contexts = parse("{\"jobs\":{\"a\":{\"outputs\":{\"x\":\"hi\"}}},\"inputs\":{\"p\":\"q\"},\"github\":{},\"vars\":{}}");
	g_autoptr(json_t) outputs = planner_call_outputs(called, contexts, NULL);
	g_autofree char *text = json_text(outputs);
	g_assert_cmpstr(text, ==, "{\"n\":\"3\",\"u\":\"hi/q\"}");
	json_object_del(contexts, "jobs");
	g_autoptr(GError) error = NULL;
	g_assert_null(planner_call_outputs(called, contexts, &error));
	g_assert_nonnull(strstr(error->message, "output 'u' of the called workflow"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/calls/interfaces_are_checked", interfaces_are_checked);
	g_test_add_func("/calls/recursion_names_its_chain", recursion_names_its_chain);
	g_test_add_func("/calls/depth_and_number_are_bounded", depth_and_number_are_bounded);
	g_test_add_func("/calls/permissions_only_narrow", permissions_only_narrow);
	g_test_add_func("/calls/calls_become_jobs", calls_become_jobs);
	g_test_add_func("/calls/values_must_be_of_their_kind", values_must_be_of_their_kind);
	g_test_add_func("/calls/secrets_pass_as_handed_on", secrets_pass_as_handed_on);
	g_test_add_func("/calls/outputs_come_from_the_jobs", outputs_come_from_the_jobs);
	return g_test_run();
}
