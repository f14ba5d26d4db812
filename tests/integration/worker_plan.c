/* SPDX-License-Identifier: Apache-2.0 */
/* Plan, then checkout, from a repository on disk: the worker's way from an event to a workspace. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/spawn.h"
#include "agent/model/event.h"

typedef struct Fixture {
	char *root;
	char *origin; /* a repository with a working tree */
	char *first;  /* its commits */
	char *second;
} Fixture;

static const char *worker(void)
{
	const char *path = g_getenv("ASSAY_WORKER");
	return path ? path : TEST_BINARY_DIR "/assay-worker";
}

/* Runs git in the origin; its first line of output, the caller's. */
static char *git(Fixture *fixture, const char *script)
{
	g_autofree char *whole = g_strdup_printf(
	        "cd %s && export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=a@b "
	        "GIT_CONFIG_GLOBAL=/dev/null && %s",
	        fixture->origin, script);
	const char *const argv[] = {"/bin/sh", "-ec", whole, NULL};
	g_autoptr(GBytes) bytes = NULL;
	SpawnEnd end;
	g_autoptr(GError) error = NULL;
	g_assert_true(spawn_collect(argv, 65536, &bytes, &end, &error));
	g_assert_cmpint(end.exit_code, ==, 0);
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	return g_strchomp(g_strndup(text ? text : "", len));
}

#define TRAIN                                                                                                 \
	"name: Train\non:\n  push:\n    paths: ['src/**']\n  workflow_dispatch:\n    inputs:\n"                \
	"      epochs: {type: number, default: 3}\njobs:\n  train:\n    runs-on: ubuntu-latest\n    steps:\n"   \
	"      - run: echo ${{ inputs.epochs }}\n"

static void set_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->root = g_dir_make_tmp("assay-plan-XXXXXX", NULL);
	fixture->origin = g_build_filename(fixture->root, "origin", NULL);
	g_autofree char *workflows = g_build_filename(fixture->origin, ".github", "workflows", NULL);
	g_autofree char *sources = g_build_filename(fixture->origin, "src", NULL);
	g_assert_true(fd_make_folder(workflows, 0755, NULL) && fd_make_folder(sources, 0755, NULL));
	g_autofree char *train = g_build_filename(workflows, "train.yml", NULL);
	g_autofree char *bad = g_build_filename(workflows, "bad.yml", NULL);
	g_assert_true(g_file_set_contents(train, TRAIN, -1, NULL));
	g_assert_true(g_file_set_contents(bad, "on: push\njobs:\n  a:\n    stepz: []\n", -1, NULL));
	g_autofree char *none = git(fixture, "git init -q -b main . && echo 1 > src/a && echo r > README && ln -s src/a link && "
	                                     "echo '#!/bin/sh' > run && chmod +x run && git add -A && git commit -qm first");
	fixture->first = git(fixture, "git rev-parse HEAD");
	g_autofree char *more = git(fixture, "echo 2 > README && git commit -qam 'second: readme' && git tag v1");
	fixture->second = git(fixture, "git rev-parse HEAD");
	g_assert_cmpstr(none, ==, "");
	g_assert_cmpstr(more, ==, "");
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_assert_true(fd_remove_tree(fixture->root, NULL));
	g_free(fixture->root);
	g_free(fixture->origin);
	g_free(fixture->first);
	g_free(fixture->second);
}

static json_t *new_spec(const Fixture *fixture, const char *kind)
{
	g_autofree char *url = g_strconcat("file://", fixture->origin, NULL);
	g_autofree char *mirror = g_build_filename(fixture->root, "repos", "acme", "digits.git", NULL);
	return json_pack("{s:i,s:i,s:i,s:s,s:s,s:{s:s,s:s,s:s,s:n},s:n}", "version", 1, "task", 1, "fence", 1, "kind", kind,
	        "data", fixture->root, "repo", "name", "acme/digits", "url", url, "mirror", mirror, "default_branch", "local");
}

/* Takes the spec; the task's folder is root/kind. */
static json_t *run(Fixture *fixture, json_t *spec)
{
	g_autoptr(json_t) owned = spec;
	g_autofree char *folder = g_build_filename(fixture->root, json_get_string(owned, "kind", ""), NULL);
	g_assert_true(fd_remove_tree(folder, NULL) && fd_make_folder(folder, 0755, NULL));
	g_autofree char *path = g_build_filename(folder, "job.json", NULL);
	g_autofree char *events_path = g_build_filename(folder, "events.jsonl", NULL);
	g_autofree char *text = json_text(owned);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	const char *const argv[] = {worker(), "task", folder, NULL};
	g_autoptr(GBytes) bytes = NULL;
	SpawnEnd end;
	g_assert_true(spawn_collect(argv, 65536, &bytes, &end, NULL));
	g_assert_cmpint(end.exit_code, ==, 0);
	g_autofree char *lines = NULL;
	gsize len = 0;
	g_assert_true(g_file_get_contents(events_path, &lines, &len, NULL));
	json_t *events = json_array();
	size_t used = 0, line_len = 0;
	for (const char *line; (line = event_next_line(lines, len, &used, &line_len));) {
		json_t *event = event_parse(line, line_len, NULL);
		g_assert_nonnull(event);
		json_array_append_new(events, event);
	}
	return events;
}

static const json_t *find(const json_t *events, EventType type)
{
	size_t i;
	json_t *event;
	json_array_foreach(events, i, event)
		if (event_type(event) == type)
			return event;
	return NULL;
}

static json_t *plan(Fixture *fixture, const char *event_json, const char *workflow, const char *inputs)
{
	json_t *spec = new_spec(fixture, "plan");
	g_autofree char *quoted = g_strdelimit(g_strdup(event_json), "'", '"');
	json_t *event = json_parse(quoted, strlen(quoted), "event", NULL);
	g_assert_nonnull(event);
	json_set(spec, "event", event);
	json_set_string(spec, "workflow", workflow);
	json_set(spec, "inputs", inputs ? json_parse(inputs, strlen(inputs), "inputs", NULL) : json_object());
	json_set(spec, "vars", json_object());
	return run(fixture, spec);
}

static void push_starts_what_its_paths_fit(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *touches = g_strdup_printf("{'event':'push','ref':'refs/heads/main','sha':'%s','before':null,'payload':{}}",
	        fixture->first);
	g_autoptr(json_t) events = plan(fixture, touches, NULL, NULL);
	const json_t *one = find(events, EVENT_RUN);
	g_assert_nonnull(one);
	g_assert_cmpstr(json_get_string(one, "workflow", ""), ==, "Train");
	g_assert_cmpstr(json_get_string(one, "sha", ""), ==, fixture->first);
	g_assert_cmpstr(json_get_string(one, "title", ""), ==, "first");
	const json_t *github = json_object_get(one, "github");
	g_assert_cmpstr(json_get_string(github, "ref_name", ""), ==, "main");
	g_assert_cmpstr(json_get_string(github, "actor", ""), ==, "Ada");
	g_assert_cmpstr(json_get_string(find(events, EVENT_JOB), "key", ""), ==, "train");
	const json_t *invalid = find(events, EVENT_INVALID);
	g_assert_cmpstr(json_get_string(invalid, "workflow_path", ""), ==, ".github/workflows/bad.yml");
	g_assert_cmpint(json_get_int(json_array_get(json_object_get(invalid, "errors"), 0), "line", 0), >, 0);
	g_autofree char *misses = g_strdup_printf(
	        "{'event':'push','ref':'refs/heads/main','sha':'%s','before':'%s','payload':{}}", fixture->second,
	        fixture->first);
	g_autoptr(json_t) none = plan(fixture, misses, NULL, NULL);
	g_assert_null(find(none, EVENT_RUN));
	g_assert_cmpstr(json_get_string(find(none, EVENT_END), "status", ""), ==, "success");
}

static void dispatch_takes_the_tip_and_types_inputs(Fixture *fixture, gconstpointer data)
{
	(void)data;
	static const char event[] = "{'event':'workflow_dispatch','ref':'main','sha':null,'payload':{}}";
	g_autoptr(json_t) events = plan(fixture, event, "train.yml", "{\"epochs\":\"5\"}");
	const json_t *one = find(events, EVENT_RUN);
	g_assert_nonnull(one);
	g_assert_cmpstr(json_get_string(one, "sha", ""), ==, fixture->second);
	g_assert_cmpstr(json_get_string(one, "ref", ""), ==, "refs/heads/main");
	g_assert_cmpint(json_get_int(json_object_get(json_object_get(one, "github"), "inputs"), "epochs", 0), ==, 5);
	g_autoptr(json_t) unknown = plan(fixture, event, "train.yml", "{\"steps\":\"5\"}");
	g_assert_null(find(unknown, EVENT_RUN));
	g_assert_nonnull(find(unknown, EVENT_INVALID));
	g_autoptr(json_t) absent = plan(fixture, event, "nothing.yml", NULL);
	g_assert_cmpstr(json_get_string(find(absent, EVENT_END), "status", ""), ==, "failure");
	/* A later tip is seen, though the mirror is there already. */
	g_autofree char *none = git(fixture, "git commit -q --allow-empty -m third");
	g_autofree char *third = git(fixture, "git rev-parse HEAD");
	g_autoptr(json_t) later = plan(fixture, event, "train.yml", NULL);
	g_assert_cmpstr(json_get_string(find(later, EVENT_RUN), "sha", ""), ==, third);
	g_assert_cmpint(json_get_int(json_object_get(json_object_get(find(later, EVENT_RUN), "github"), "inputs"), "epochs", 0), ==, 3);
	g_assert_cmpstr(none, ==, "");
}

static void what_cannot_run_is_told_with_its_place_once(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *made = git(fixture, "printf 'on: workflow_dispatch\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: x\n"
	                                     "      background: true\n' > .github/workflows/beside.yml && git add -A && "
	                                     "git commit -q -m beside");
	g_autoptr(json_t) events =
	        plan(fixture, "{'event':'workflow_dispatch','ref':'main','sha':null,'payload':{}}", "beside.yml", NULL);
	const json_t *one = json_array_get(json_object_get(find(events, EVENT_INVALID), "errors"), 0);
	g_assert_cmpint(json_get_int(one, "line", 0), ==, 7);
	g_assert_cmpint(json_get_int(one, "column", 0), ==, 7);
	g_assert_true(g_str_has_prefix(json_get_string(one, "message", ""), "steps in the background"));
	g_assert_cmpstr(made, ==, "");
}

static void absent_commit_is_said_so(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = plan(fixture,
	        "{'event':'push','ref':'refs/heads/main','sha':'0123456789012345678901234567890123456789','payload':{}}", NULL,
	        NULL);
	const json_t *end = find(events, EVENT_END);
	g_assert_cmpstr(json_get_string(end, "cause", ""), ==, "invalid");
	g_assert_nonnull(strstr(json_get_string(end, "message", ""), "has no commit 0123456789"));
}

static json_t *job_spec(Fixture *fixture, const char *steps)
{
	json_t *spec = new_spec(fixture, "job");
	g_autofree char *log = g_build_filename(fixture->root, "5.log", NULL);
	g_autofree char *quoted = g_strdelimit(g_strdup(steps), "'", '"');
	g_autoptr(GError) error = NULL;
	json_t *list = json_parse(quoted, strlen(quoted), "steps", &error);
	g_assert_no_error(error);
	json_set(spec, "definition", json_pack("{s:o}", "steps", list));
	json_set(spec, "resolved", json_object());
	json_set(spec, "job", json_pack("{s:i,s:s,s:s}", "id", 5, "key", "test", "group", "test"));
	json_set(spec, "run", json_pack("{s:i,s:i}", "id", 4, "number", 42));
	json_set(spec, "contexts",
	        json_pack("{s:{s:s,s:s}}", "github", "ref", "refs/heads/main", "sha", fixture->second));
	json_set_string(spec, "executor", "host");
	json_set_string(spec, "log", log);
	json_set(spec, "limits", json_pack("{s:i}", "timeout_us", 60000000));
	return spec;
}

static void assert_success(Fixture *fixture, const json_t *events)
{
	const json_t *end = find(events, EVENT_END);
	if (g_strcmp0(json_get_string(end, "status", ""), "success") == 0)
		return;
	g_autofree char *path = g_build_filename(fixture->root, "5.log", NULL);
	g_autofree char *log = NULL;
	g_file_get_contents(path, &log, NULL, NULL);
	g_error("%s\n%s", json_get_string(end, "message", ""), log ? log : "");
}

static void checkout_stands_on_its_own(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture, job_spec(fixture,
	        "[{'uses':'actions/checkout@v4','id':'co'},"
	        "{'run':'set -x; test -z \\u0022$(git status --porcelain)\\u0022; test \\u0022$(git log --format=%s)\\u0022 = \\u0022second: readme\\u0022; "
	        "test $(git rev-parse --abbrev-ref HEAD) = main; git fsck --no-progress; test -x run; test -L link; test \\u0022$(cat link)\\u0022 = 1; "
	        "test -z \\u0022$(git config --get-regexp alternates)\\u0022; test $(cat README) = 2; "
	        "test ${{ steps.co.outputs.commit }} = $GITHUB_SHA'},"
	        "{'uses':'actions/checkout@v4','with':{'fetch-depth':0,'ref':'v1','path':'tagged'}},"
	        "{'run':'cd tagged; set -x; test $(git log --oneline | wc -l) = 2; git fsck --no-progress; git rev-parse origin/main v1; test ! -f .git/shallow'},"
	        "{'run':'rm -rf src; ln -s /tmp src; touch left.txt'},"
	        "{'uses':'actions/checkout@v4'},"
	        "{'run':'test ! -L src; test ! -e left.txt; test -f src/a; test ! -e tagged'}]"));
	assert_success(fixture, events);
}

static void checkout_refuses_what_it_cannot_do(Fixture *fixture, gconstpointer data)
{
	(void)data;
	static const char *const steps[] = {"[{'uses':'actions/checkout@v4','with':{'sparse-checkout':'*.py'}}]",
	        "[{'uses':'actions/checkout@v4','with':{'repository':'other/repo'}}]",
	        "[{'uses':'actions/checkout@v4','with':{'path':'../out'}}]",
	        "[{'uses':'actions/checkout@v4','with':{'ref':'no-such-branch'}}]"};
	for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
		g_autoptr(json_t) events = run(fixture, job_spec(fixture, steps[i]));
		g_assert_cmpstr(json_get_string(find(events, EVENT_END), "status", ""), ==, "failure");
	}
}

static void local_job_starts_in_a_copy(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *dirty = g_build_filename(fixture->origin, "dirty.txt", NULL);
	g_assert_true(g_file_set_contents(dirty, "x", 1, NULL));
	json_t *spec = job_spec(fixture, "[{'run':'test -f dirty.txt; test -x run; test -L link; rm README; git status'},"
	                                 "{'uses':'actions/checkout@v4'}]");
	json_set_string(spec, "local", fixture->origin);
	g_autoptr(json_t) events = run(fixture, spec);
	assert_success(fixture, events);
	g_autofree char *readme = g_build_filename(fixture->origin, "README", NULL);
	g_assert_true(g_file_test(readme, G_FILE_TEST_EXISTS));
}

static void an_unknown_input_is_a_warning(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture, job_spec(fixture, "[{'uses':'actions/checkout@v4','with':{'unknown-input':'x'}}]"));
	assert_success(fixture, events);
	const json_t *annotation = find(events, EVENT_ANNOTATION);
	g_assert_cmpstr(json_get_string(annotation, "level", ""), ==, "warning");
	g_assert_true(g_str_has_prefix(json_get_string(annotation, "message", ""),
	        "Unexpected input(s) 'unknown-input', valid inputs are ['repository', 'ref', "));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/worker_plan/" #name, Fixture, NULL, set_up, name, tear_down)
	ADD(push_starts_what_its_paths_fit);
	ADD(dispatch_takes_the_tip_and_types_inputs);
	ADD(what_cannot_run_is_told_with_its_place_once);
	ADD(absent_commit_is_said_so);
	ADD(checkout_stands_on_its_own);
	ADD(checkout_refuses_what_it_cannot_do);
	ADD(an_unknown_input_is_a_warning);
	ADD(local_job_starts_in_a_copy);
	return g_test_run();
}
