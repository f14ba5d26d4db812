/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree that expressions see, and the environment that commands get; both are made from the same values, so that
 * `github.ref` and $GITHUB_REF cannot differ. Order of the environment, the later wins: ours, the workflow's, the
 * job's, GITHUB_ENV, the step's; GITHUB_* and RUNNER_* are set last, and nobody can change them.
 */
#include "agent/job/contexts.h"

#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/containers.h"
#include "agent/job/files.h"
#include "agent/job/mirror.h"
#include "agent/job/planner.h"
#include "agent/job/service.h"

#define STANDARD_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const char *contexts_arch(void)
{
#if defined(__x86_64__)
	return "X64";
#elif defined(__aarch64__)
	return "ARM64";
#elif defined(__arm__)
	return "ARM";
#else
	return "X86";
#endif
}

static json_t *copy_or_empty(const json_t *value)
{
	return json_is_object(value) ? json_deep_copy(value) : json_object();
}

static void set_default(json_t *object, const char *key, const char *text)
{
	if (!json_object_get(object, key) && text)
		json_set_string(object, key, text);
}

/*
 * GITHUB_SERVER_URL and its kin. The clients of artifacts refuse to work unless the server is github.com, a host of
 * ghe.com or one below localhost: what is not GitHub is called assay.localhost (docs/decisions/0150).
 */
static void set_urls(json_t *github, const Job *job)
{
	g_autofree char *host = mirror_host(json_get_string(task_repo(job->task), "url", ""));
	const char *own = json_get_string(job->spec, "server_url", "");
	g_autofree char *server = NULL;
	g_autofree char *api = NULL;
	g_autofree char *graphql = NULL;
	if (host && strcmp(host, "github.com") == 0) {
		server = g_strdup("https://github.com");
		api = g_strdup("https://api.github.com");
		graphql = g_strdup("https://api.github.com/graphql");
	} else if (host && g_str_has_suffix(host, ".ghe.com")) {
		server = g_strconcat("https://", host, NULL);
		api = g_strconcat("https://api.", host, NULL);
		graphql = g_strconcat(api, "/graphql", NULL);
	} else {
		/* An agent on this machine is found by that name: browsers and resolvers take it for loopback. */
		bool is_here = g_str_has_prefix(own, "http://127.0.0.1:");
		server = g_strconcat("http://assay.localhost", is_here ? own + strlen("http://127.0.0.1") : "", NULL);
		api = g_strconcat(server, "/api/v3", NULL);
		graphql = g_strconcat(server, "/api/graphql", NULL);
	}
	json_set_string(github, "server_url", server);
	json_set_string(github, "api_url", api);
	json_set_string(github, "graphql_url", graphql);
}

static json_t *make_github(Job *job)
{
	const json_t *given = json_object_get(json_object_get(job->spec, "contexts"), "github");
	json_t *github = json_is_object(given) ? json_copy((json_t *)(uintptr_t)given) : json_object(); /* its event is shared */
	json_object_del(github, "inputs"); /* a context of its own */
	const json_t *run = json_object_get(job->spec, "run");
	const json_t *self = json_object_get(job->spec, "job");
	const char *repo = task_repo_name(job->task);
	set_default(github, "repository", repo);
	const char *slash = strchr(repo, '/');
	if (slash) {
		g_autofree char *owner = g_strndup(repo, (size_t)(slash - repo));
		set_default(github, "repository_owner", owner);
	}
	g_autofree char *run_id = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(run, "id", 0));
	g_autofree char *run_number = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(run, "number", 0));
	g_autofree char *attempt = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(self, "attempt", 1));
	json_set_string(github, "run_id", run_id);
	json_set_string(github, "run_number", run_number);
	json_set_string(github, "run_attempt", attempt);
	const json_t *call = json_object_get(job->definition, "call");
	json_set_string(github, "job", planner_local_id(json_get_string(self, "group", "")));
	json_set_string(github, "job_workflow_sha", json_get_string(call, "sha", NULL));
	set_urls(github, job);
	set_default(github, "workflow", json_get_string(job->definition, "workflow-name", ""));
	set_default(github, "retention_days", "90");
	set_default(github, "secret_source", "Actions");
	const char *token = task_job_token(job->task);
	json_set_string(github, "token", token ? token : json_get_string(job->task->secrets, "GITHUB_TOKEN", ""));
	return github;
}

static json_t *make_runner(Job *job)
{
	char host[256] = "assay";
	gethostname(host, sizeof host - 1);
	json_t *runner = json_object();
	json_set_string(runner, "os", "Linux");
	json_set_string(runner, "arch", contexts_arch());
	json_set_string(runner, "name", host);
	json_set_string(runner, "environment", "self-hosted");
	if (job->debug)
		json_set_string(runner, "debug", "1");
	return runner;
}

/* A re-run with --debug, or the secret or variable that GitHub knows for it; the secret counts first. */
static bool wants_debug(const Job *job)
{
	const json_t *vars = json_object_get(json_object_get(job->spec, "contexts"), "vars");
	const char *wanted = json_get_string(job->task->secrets, "ACTIONS_STEP_DEBUG",
	        json_get_string(vars, "ACTIONS_STEP_DEBUG", "false"));
	return json_get_bool(job->spec, "debug", false) || strcmp(wanted, "true") == 0;
}

/* job.workflow_*: the file that the job itself stands in, which is not the run's when it was called. */
static void add_workflow(const Job *job, json_t *self, const json_t *github)
{
	const json_t *call = json_object_get(job->definition, "call");
	const char *whole = json_get_string(github, "workflow_ref", "");
	const char *repo = json_get_string(call, "repository", json_get_string(github, "repository", ""));
	const char *at = strchr(whole, '@');
	g_autofree char *path = call ? g_strdup(json_get_string(call, "path", ""))
	        : g_str_has_prefix(whole, repo) && at ? g_strndup(whole + strlen(repo) + 1, (size_t)(at - whole) - strlen(repo) - 1)
	                                              : g_strdup("");
	const char *sha = json_get_string(call, "sha", json_get_string(github, "workflow_sha", ""));
	const char *ref = json_get_string(call, "ref", at ? at + 1 : sha);
	g_autofree char *file = g_strdup_printf("%s/%s@%s", repo, path, ref);
	json_set_string(self, "workflow_ref", file);
	json_set_string(self, "workflow_sha", sha);
	json_set_string(self, "workflow_repository", repo);
	json_set_string(self, "workflow_file_path", path);
}

void contexts_fill(Job *job)
{
	job->debug = wants_debug(job);
	const json_t *given = json_object_get(job->spec, "contexts");
	const json_t *resolved = json_object_get(job->spec, "resolved");
	json_t *tree = json_object();
	json_set(tree, "github", make_github(job));
	json_set(tree, "runner", make_runner(job));
	json_set(tree, "env", json_object());
	json_set(tree, "vars", copy_or_empty(json_object_get(given, "vars")));
	json_set(tree, "inputs", copy_or_empty(json_object_get(given, "inputs")));
	json_set(tree, "needs", copy_or_empty(json_object_get(given, "needs")));
	const json_t *matrix = json_object_get(given, "matrix");
	json_set(tree, "matrix", copy_or_empty(matrix ? matrix : json_object_get(resolved, "matrix")));
	const json_t *strategy = json_object_get(given, "strategy");
	json_set(tree, "strategy", copy_or_empty(strategy ? strategy : json_object_get(resolved, "strategy")));
	json_t *secrets = json_deep_copy(job->task->secrets);
	if (task_job_token(job->task))
		json_set_string(secrets, "GITHUB_TOKEN", task_job_token(job->task));
	json_set(tree, "secrets", secrets);
	json_set(tree, "steps", json_object());
	json_t *self = json_object();
	json_set_string(self, "status", "success");
	containers_fill_contexts(job, self);
	add_workflow(job, self, json_object_get(tree, "github"));
	json_set(tree, "job", self);
	job->contexts = tree;
}

void contexts_set_places(Job *job)
{
	json_t *github = json_object_get(job->contexts, "github");
	json_t *runner = json_object_get(job->contexts, "runner");
	/* In the container of a docker action only the workspace is seen of the work folder. */
	bool whole = !g_str_equal(job->workspace_inside, job->place->work_inside);
	g_autofree char *event_path =
	        g_strconcat(job->runner_inside, job->place->image ? "" : "/_github_workflow", "/event.json", NULL);
	g_autofree char *temp = whole ? g_strconcat(job->place->work_inside, "/_temp", NULL) : g_strdup("/tmp");
	g_autofree char *tools = whole ? g_strconcat(job->place->work_inside, "/_tool", NULL) : g_strdup("/opt/hostedtoolcache");
	g_autofree char *workspace = g_path_get_dirname(job->workspace_inside);
	json_set_string(github, "workspace", job->workspace_inside);
	json_set_string(github, "event_path", event_path);
	json_set_string(runner, "temp", temp);
	json_set_string(runner, "tool_cache", tools);
	json_set_string(runner, "workspace", workspace);
	containers_fill_contexts(job, json_object_get(job->contexts, "job"));
}

static char *hash_files(void *data, const char *const *patterns, size_t count, GError **error)
{
	Job *job = data;
	autofd int workspace = job_open_workspace(job, error);
	return workspace < 0 ? NULL : files_hash(workspace, patterns, count, error);
}

ExprScope contexts_scope(Job *job)
{
	ExprStatus status = EXPR_STATUS_SUCCESS;
	if (job->state == RUN_FAILURE)
		status = EXPR_STATUS_FAILURE;
	else if (job->state == RUN_CANCELLED)
		status = EXPR_STATUS_CANCELLED;
	return (ExprScope){.contexts = job->contexts, .status = status, .hash_files = hash_files, .data = job};
}

char *contexts_string(Job *job, const json_t *value, GError **error)
{
	if (!json_is_string(value))
		return expr_to_string(value);
	ExprScope scope = contexts_scope(job);
	scope.status = EXPR_STATUS_NONE;
	return expr_template_string(json_string_value(value), &scope, error);
}

json_t *contexts_strings(Job *job, const json_t *tree, GError **error)
{
	g_autoptr(json_t) out = json_object();
	g_autoptr(json_t) whole = NULL;
	if (json_is_string(tree)) { /* env: ${{ fromJSON(…) }} */
		ExprScope scope = contexts_scope(job);
		scope.status = EXPR_STATUS_NONE;
		whole = expr_template(json_string_value(tree), &scope, error);
		if (!whole)
			return NULL;
		tree = whole;
	}
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)tree, key, value) {
		g_autofree char *text = contexts_string(job, value, error);
		if (!text) {
			g_prefix_error(error, "'%s': ", key);
			return NULL;
		}
		json_set_string(out, key, text);
	}
	return g_steal_pointer(&out);
}

void contexts_set_env(Job *job, const json_t *more)
{
	json_t *env = json_copy(job->env);
	if (more)
		json_object_update(env, (json_t *)(uintptr_t)more);
	json_set(job->contexts, "env", env);
}

bool contexts_fill_env(Job *job, GError **error)
{
	static const char *const layers[] = {"workflow-env", "env"};
	json_decref(job->env); /* services may have asked before where things lie was known */
	job->env = json_object();
	contexts_set_env(job, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(layers); i++) {
		g_autoptr(json_t) layer = contexts_strings(job, json_object_get(job->definition, layers[i]), error);
		if (!layer) {
			g_prefix_error(error, "env: ");
			return false;
		}
		json_object_update(job->env, layer);
		contexts_set_env(job, NULL);
	}
	return true;
}

static const char *const github_variables[] = {"action", "action_path", "action_ref", "action_repository", "actor",
        "actor_id", "api_url", "base_ref", "event_name", "event_path", "graphql_url", "head_ref", "job", "ref",
        "ref_name", "ref_protected", "ref_type", "repository", "repository_id", "repository_owner",
        "repository_owner_id", "retention_days", "run_attempt", "run_id", "run_number", "server_url", "sha",
        "triggering_actor", "workflow", "workflow_ref", "workflow_sha", "workspace"};

static const char *const runner_variables[] = {"arch", "debug", "environment", "name", "os", "temp", "tool_cache", "workspace"};

static void set_variables(json_t *env, const json_t *context, const char *prefix, const char *const *names,
        size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_t *value = json_object_get(context, names[i]);
		if (!value)
			continue;
		g_autofree char *name = g_strconcat(prefix, names[i], NULL);
		for (char *at = name + strlen(prefix); *at; at++)
			*at = g_ascii_toupper(*at);
		if (json_is_string(value)) { /* nearly all are */
			json_set(env, name, json_incref(value));
			continue;
		}
		g_autofree char *text = expr_to_string(value);
		json_set_string(env, name, text);
	}
}

/* What a command has before the workflow says anything. */
static json_t *base_environment(Job *job)
{
	if (job->place_env) { /* an image's own, and nothing of ours but the home */
		json_t *own = json_copy((json_t *)(uintptr_t)job->place_env);
		json_set_string(own, "HOME", job->place->home_inside);
		json_set_string(own, "CI", "true");
		return own;
	}
	json_t *env = json_object();
	const bool on_host = strcmp(job->executor->name, "host") == 0;
	static const char *const from_host[] = {"PATH", "USER", "LOGNAME", "TZ"};
	json_set_string(env, "PATH", STANDARD_PATH);
	json_set_string(env, "LANG", "C.UTF-8");
	for (size_t i = 0; on_host && i < G_N_ELEMENTS(from_host); i++)
		if (g_getenv(from_host[i]))
			json_set_string(env, from_host[i], g_getenv(from_host[i]));
	if (!on_host) {
		json_set_string(env, "USER", "runner");
		json_set_string(env, "LOGNAME", "runner");
	}
	json_set_string(env, "HOME", job->place->home_inside);
	json_set_string(env, "CI", "true");
	return env;
}

char **contexts_environment(Job *job, const char *const *extra)
{
	g_autoptr(json_t) env = base_environment(job);
	json_object_update(env, job->env);
	if (job->step_env)
		json_object_update(env, job->step_env);
	for (; extra && *extra; extra++) {
		const char *equals = strchr(*extra, '=');
		if (!equals || equals == *extra)
			continue;
		g_autofree char *name = g_strndup(*extra, (size_t)(equals - *extra));
		json_set_string(env, name, equals + 1);
	}
	set_variables(env, json_object_get(job->contexts, "github"), "GITHUB_", github_variables,
	        G_N_ELEMENTS(github_variables));
	set_variables(env, json_object_get(job->contexts, "runner"), "RUNNER_", runner_variables,
	        G_N_ELEMENTS(runner_variables));
	if (job->service)
		service_set_variables(job->service, env);
	json_set_string(env, "GITHUB_ACTIONS", "true");
	json_set_string(env, "ASSAY", "true");
	static const struct {
		const char *variable;
		const char *file;
	} files[] = {{"GITHUB_ENV", "set_env"}, {"GITHUB_OUTPUT", "set_output"}, {"GITHUB_PATH", "add_path"},
	        {"GITHUB_STATE", "save_state"}, {"GITHUB_STEP_SUMMARY", "step_summary"}};
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_strdup_printf("%s/_runner_file_commands/%s_%d", job->runner_inside,
		        files[i].file, job->step);
		json_set_string(env, files[i].variable, path);
	}
	if (job->paths->len > 0) {
		g_autoptr(GString) path = g_string_new(NULL);
		for (guint i = job->paths->len; i > 0; i--)
			g_string_append_printf(path, "%s:", (const char *)job->paths->pdata[i - 1]);
		g_string_append(path, json_get_string(env, "PATH", STANDARD_PATH));
		json_set_string(env, "PATH", path->str);
	}
	GPtrArray *lines = g_ptr_array_new();
	const char *name;
	json_t *value;
	json_object_foreach(env, name, value) {
		/* A name with '=' would be another variable; a NUL would cut the value. */
		if (name[0] && !strchr(name, '='))
			g_ptr_array_add(lines, g_strconcat(name, "=", json_string_value(value), NULL));
	}
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(lines, FALSE);
}
