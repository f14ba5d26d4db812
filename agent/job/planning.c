/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning: which workflow files the commit has, which of them the event starts, what jobs each of them has. The files
 * are a stranger's; a mistake in one is an `invalid` event and does not keep the others from running.
 */
#include "agent/job/planning.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/action_source.h"
#include "agent/job/calls.h"
#include "agent/job/confine.h"
#include "agent/job/history.h"
#include "agent/job/planner.h"
#include "agent/job/reader.h"
#include "agent/job/source.h"
#include "agent/model/expr.h"
#include "agent/model/run.h"

#define WORKFLOW_BYTES_MAX (1024 * 1024)
#define TITLE_BYTES_MAX 500

typedef struct Planning {
	Task *task;
	const json_t *event;
	Source *source;
	json_t *changed;
	GHashTable *others; /* "owner/repo@ref" → ActionSource: each looked up once, so that all its files are of one commit */
	json_t *known; /* what there is to say of every workflow, whatever this event starts */
	int64_t runs;
} Planning;

static void emit_invalid(Task *task, const char *path, json_t *errors)
{
	json_t *event = task_event(EVENT_INVALID);
	json_set_string(event, "workflow_path", path);
	json_set(event, "errors", errors);
	task_emit(task, event, NULL);
}

/** "path:3:5: why" in its parts, so that the place is told once. */
static const char *split_place(const char *path, const char *message, int *line, int *column)
{
	size_t len = strlen(path);
	int end = 0;
	bool placed = strncmp(message, path, len) == 0 &&
	              sscanf(message + len, ":%9d:%9d: %n", line, column, &end) == 2 && end > 0;
	return placed ? message + len + end : message;
}

static void emit_invalid_message(Task *task, const char *path, const char *message)
{
	json_t *one = json_object();
	int line = 1;
	int column = 1;
	const char *why = split_place(path, message, &line, &column);
	json_set_int(one, "line", line);
	json_set_int(one, "column", column);
	json_set_string(one, "message", why);
	json_t *errors = json_array();
	json_array_append_new(errors, one);
	emit_invalid(task, path, errors);
}

static void set_absent(json_t *object, const char *key, const char *text)
{
	if (text && !json_object_get(object, key))
		json_set_string(object, key, text);
}

/* "https://github.com" of a remote on the web; NULL for others. The caller's. */
static char *server_of(const char *url)
{
	if (!url || (!g_str_has_prefix(url, "https://") && !g_str_has_prefix(url, "http://")))
		return NULL;
	g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
	if (!uri || !g_uri_get_host(uri))
		return NULL;
	if (g_uri_get_port(uri) > 0)
		return g_strdup_printf("%s://%s:%d", g_uri_get_scheme(uri), g_uri_get_host(uri), g_uri_get_port(uri));
	return g_strdup_printf("%s://%s", g_uri_get_scheme(uri), g_uri_get_host(uri));
}

/* github.event: the forge's payload, with what every payload has where ours has it not. */
static json_t *make_payload(const Planning *planning, const char *ref, json_t *inputs)
{
	const json_t *given = json_object_get(planning->event, "payload");
	json_t *payload = json_is_object(given) ? json_deep_copy(given) : json_object();
	const char *repo = task_repo_name(planning->task);
	set_absent(payload, "ref", ref);
	set_absent(payload, "before", json_get_string(planning->event, "before", NULL));
	if (strcmp(json_get_string(planning->event, "event", ""), "push") == 0)
		set_absent(payload, "after", source_sha(planning->source));
	set_absent(payload, "action", json_get_string(planning->event, "action", NULL));
	if (!json_object_get(payload, "repository")) {
		const char *slash = strchr(repo, '/');
		json_t *repository = json_object();
		json_t *owner = json_object();
		g_autofree char *login = g_strndup(repo, slash ? (size_t)(slash - repo) : strlen(repo));
		json_set_string(repository, "name", slash ? slash + 1 : repo);
		json_set_string(repository, "full_name", repo);
		json_set_string(repository, "default_branch",
		        json_get_string(task_repo(planning->task), "default_branch", "main"));
		json_set_string(owner, "login", login);
		json_set(repository, "owner", owner);
		json_set(payload, "repository", repository);
	}
	if (json_object_size(inputs) > 0 && !json_object_get(payload, "inputs")) {
		json_t *texts = json_object(); /* strings here, typed in the inputs context */
		const char *name;
		json_t *value;
		json_object_foreach(inputs, name, value) {
			g_autofree char *text = expr_to_string(value);
			json_set_string(texts, name, text);
		}
		json_set(payload, "inputs", texts);
	}
	return payload;
}

static void set_ref(json_t *github, const char *ref)
{
	bool tag = ref && g_str_has_prefix(ref, "refs/tags/");
	const char *name = ref ? ref : "";
	static const char *const prefixes[] = {"refs/heads/", "refs/tags/", "refs/pull/", "refs/merge-requests/"};
	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (g_str_has_prefix(name, prefixes[i])) {
			name += strlen(prefixes[i]);
			break;
		}
	json_set_string(github, "ref", ref ? ref : "");
	json_set_string(github, "ref_name", name);
	json_set_string(github, "ref_type", tag ? "tag" : "branch");
}

static json_t *make_github(const Planning *planning, const Workflow *workflow, json_t *inputs)
{
	const json_t *event = planning->event;
	const char *repo = task_repo_name(planning->task);
	const char *slash = strchr(repo, '/');
	const char *event_ref = json_get_string(event, "ref", NULL);
	const char *resolved = source_ref(planning->source);
	const char *ref = event_ref && g_str_has_prefix(event_ref, "refs/") ? event_ref : resolved ? resolved : event_ref;
	const char *sha = source_sha(planning->source);
	g_autofree char *full = ref && !g_str_has_prefix(ref, "refs/") ? g_strconcat("refs/heads/", ref, NULL) : g_strdup(ref);
	json_t *github = json_object();
	json_t *payload = make_payload(planning, full, inputs);
	const json_t *pull = json_object_get(payload, "pull_request");
	const json_t *repository = json_object_get(payload, "repository");
	set_ref(github, full);
	json_set_string(github, "sha", sha);
	json_set_string(github, "repository", repo);
	g_autofree char *owner = g_strndup(repo, slash ? (size_t)(slash - repo) : strlen(repo));
	json_set_string(github, "repository_owner", owner);
	static const char *const id_keys[] = {"repository_id", "repository_owner_id", "actor_id"};
	const json_t *const id_places[] = {repository, json_object_get(repository, "owner"),
	        json_object_get(payload, "sender")};
	for (size_t i = 0; i < G_N_ELEMENTS(id_keys); i++) {
		const json_t *id = json_object_get(id_places[i], "id");
		g_autofree char *text = id ? expr_to_string(id) : g_strdup("");
		json_set_string(github, id_keys[i], text);
	}
	const char *url = json_get_string(task_repo(planning->task), "url", "");
	json_set_string(github, "repositoryUrl", url);
	json_set_string(github, "event_name", json_get_string(event, "event", "push"));
	const char *actor = json_get_string(event, "actor", NULL);
	if (!actor)
		actor = json_get_string(json_object_get(payload, "sender"), "login", source_author(planning->source));
	json_set_string(github, "actor", actor ? actor : owner);
	json_set_string(github, "triggering_actor", actor ? actor : owner);
	json_set_string(github, "head_ref", json_get_string(json_object_get(pull, "head"), "ref", ""));
	json_set_string(github, "base_ref", json_get_string(json_object_get(pull, "base"), "ref", ""));
	json_set_bool(github, "ref_protected", false);
	json_set_string(github, "workflow", workflow->name);
	g_autofree char *workflow_ref = g_strdup_printf("%s/%s@%s", repo, workflow->path, full ? full : sha);
	json_set_string(github, "workflow_ref", workflow_ref);
	json_set_string(github, "workflow_sha", sha);
	g_autofree char *server = server_of(url);
	if (server) {
		bool is_github = strcmp(server, "https://github.com") == 0;
		g_autofree char *api = is_github ? g_strdup("https://api.github.com") : g_strconcat(server, "/api/v3", NULL);
		g_autofree char *graphql =
		        is_github ? g_strdup("https://api.github.com/graphql") : g_strconcat(server, "/api/graphql", NULL);
		json_set_string(github, "server_url", server);
		json_set_string(github, "api_url", api);
		json_set_string(github, "graphql_url", graphql);
	}
	json_set_string(github, "run_attempt", "1");
	json_set(github, "event", payload);
	if (json_object_size(inputs) > 0)
		json_set(github, "inputs", json_incref(inputs)); /* the agent hands them to the jobs as their own context */
	return github;
}

/* The inputs context: of a dispatch, what was given and what the file declares. */
static json_t *make_inputs(const Planning *planning, const Workflow *workflow, GError **error)
{
	if (strcmp(json_get_string(planning->event, "event", ""), "workflow_dispatch") != 0)
		return json_object();
	return planner_inputs(workflow, json_object_get(planning->task->spec, "inputs"), error);
}

static char *make_title(const Planning *planning, const Workflow *workflow, const json_t *contexts)
{
	g_autofree char *title = planner_run_name(workflow, contexts, NULL);
	if (!title || !title[0]) {
		g_free(title);
		title = g_strdup(json_get_string(planning->event, "title", source_title(planning->source)));
	}
	if (!title)
		title = g_strdup(workflow->name);
	if (strlen(title) <= TITLE_BYTES_MAX)
		return g_steal_pointer(&title);
	return g_utf8_make_valid(title, TITLE_BYTES_MAX);
}

static bool emit_run(Planning *planning, const Workflow *workflow, const json_t *contexts, json_t *concurrency,
        json_t *jobs, GError **error)
{
	const json_t *github = json_object_get(contexts, "github");
	g_autofree char *title = make_title(planning, workflow, contexts);
	json_t *event = task_event(EVENT_RUN);
	json_set_int(event, "run", ++planning->runs);
	json_set_string(event, "workflow", workflow->name);
	json_set_string(event, "workflow_path", workflow->path);
	json_set_string(event, "workflow_digest", workflow->digest);
	json_set_string(event, "title", title);
	json_set_string(event, "sha", source_sha(planning->source));
	json_set_string(event, "ref", json_get_string(github, "ref", NULL));
	json_set(event, "github", json_deep_copy(github));
	if (json_is_object(concurrency))
		json_set(event, "concurrency", json_incref(concurrency));
	if (!task_emit(planning->task, event, error))
		return false;
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		event = task_event(EVENT_JOB);
		json_set_int(event, "run", planning->runs);
		json_object_update(event, job);
		if (!task_emit(planning->task, event, error))
			return false;
	}
	return true;
}

static ActionSource *open_other(Planning *planning, const CallPlace *place, GError **error)
{
	g_autofree char *name = g_strdup_printf("%s@%s", place->repo, place->ref);
	g_autofree char *uses = g_strdup_printf("%s/%s@%s", place->repo, place->path, place->ref);
	if (!planning->others)
		planning->others = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)action_source_free);
	ActionSource *source = g_hash_table_lookup(planning->others, name);
	ActionName checked = {.repo = NULL};
	if (source || !action_name_parse(uses, &checked, error))
		return source;
	source = action_source_open(planning->task, checked.repo, checked.ref, error);
	action_name_clear(&checked);
	if (source)
		g_hash_table_insert(planning->others, g_steal_pointer(&name), source);
	return source;
}

/* A called file: of this repo at this commit, or of another at what its ref means now. */
static GBytes *read_called(void *data, const CallPlace *place, char **out_sha, GError **error)
{
	Planning *planning = data;
	if (!place->repo) {
		*out_sha = g_strdup(source_sha(planning->source));
		return source_read(planning->source, place->path, WORKFLOW_BYTES_MAX, error);
	}
	ActionSource *source = open_other(planning, place, error);
	if (!source)
		return NULL;
	*out_sha = g_strdup(action_source_sha(source));
	return action_source_read(source, place->path, WORKFLOW_BYTES_MAX, error);
}

/* Plans one file that the event starts. false only when events cannot be written. */
static bool plan_workflow(Planning *planning, const Workflow *workflow, GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autoptr(json_t) inputs = make_inputs(planning, workflow, &why);
	if (!inputs) {
		emit_invalid_message(planning->task, workflow->path, why->message);
		return true;
	}
	g_autoptr(json_t) contexts = json_object();
	json_set(contexts, "github", make_github(planning, workflow, inputs));
	const json_t *vars = json_object_get(planning->task->spec, "vars");
	json_set(contexts, "vars", json_is_object(vars) ? json_deep_copy(vars) : json_object());
	json_set(contexts, "inputs", json_incref(inputs));
	const char *only = json_get_string(planning->task->spec, "job", NULL);
	g_autoptr(json_t) jobs = planner_jobs(workflow, contexts, only, &why);
	g_autoptr(json_t) concurrency = jobs ? planner_concurrency(workflow, contexts, &why) : NULL;
	if (!concurrency) {
		emit_invalid_message(planning->task, workflow->path, why->message);
		return true;
	}
	return emit_run(planning, workflow, contexts, concurrency, jobs, error);
}

/* The inputs of a dispatch in the order of the file, as a form shows them; null: nobody starts it by hand. */
static json_t *declared_inputs(const Workflow *workflow)
{
	const json_t *dispatch = json_object_get(workflow->on, "workflow_dispatch");
	if (!dispatch)
		return json_null();
	json_t *inputs = json_array();
	const char *name;
	json_t *input;
	json_object_foreach(json_object_get(dispatch, "inputs"), name, input) {
		json_t *one = json_is_object(input) ? json_copy(input) : json_object();
		json_set_string(one, "name", name);
		json_array_append_new(inputs, one);
	}
	return inputs;
}

static void note_workflow(Planning *planning, const Workflow *workflow)
{
	json_t *one = json_object();
	json_t *schedule = json_object_get(workflow->on, "schedule");
	json_set_string(one, "path", workflow->path);
	json_set_string(one, "name", workflow->name);
	json_set(one, "inputs", declared_inputs(workflow));
	json_set(one, "schedule", json_is_array(schedule) ? json_incref(schedule) : json_array());
	json_array_append_new(planning->known, one);
}

/* For the agent to know when what is due, and how it is started by hand. */
static void emit_known(Planning *planning)
{
	const char *ref = source_ref(planning->source);
	const char *named = json_get_string(planning->event, "ref", NULL);
	if (!ref || !g_str_has_prefix(ref, "refs/"))
		ref = named && g_str_has_prefix(named, "refs/") ? named : NULL;
	if (!planning->known || !ref)
		return;
	json_t *event = task_event(EVENT_WORKFLOWS);
	json_set_string(event, "ref", ref);
	json_set_string(event, "sha", source_sha(planning->source));
	json_set(event, "workflows", json_incref(planning->known));
	task_emit(planning->task, event, NULL);
}

static bool plan_file(Planning *planning, const char *path, bool chosen, GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autoptr(GBytes) bytes = source_read(planning->source, path, WORKFLOW_BYTES_MAX, &why);
	if (!bytes) {
		emit_invalid_message(planning->task, path, why->message);
		return true;
	}
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	json_t *errors = NULL;
	bool survey = json_get_bool(planning->task->spec, "survey", false);
	g_autoptr(Workflow) workflow = reader_read(text ? text : "", len, path, &errors);
	if (!workflow && !survey) {
		emit_invalid(planning->task, path, errors);
		return true;
	}
	json_decref(errors);
	if (workflow && planning->known)
		note_workflow(planning, workflow);
	if (survey)
		return true;
	bool local = json_get_string(planning->task->spec, "local", NULL) != NULL;
	const char *event = json_get_string(planning->event, "event", "push");
	if (chosen && !local && strcmp(event, "workflow_dispatch") == 0 &&
	        !json_object_get(workflow->on, "workflow_dispatch"))
		return fail(error, ASSAY_ERROR_USER, "%s has no 'workflow_dispatch' in its 'on'", path);
	if (!chosen && !planner_matches(workflow, planning->event, planning->changed))
		return true;
	const CallSource source = {.read = read_called, .data = planning};
	g_autoptr(json_t) mistakes = json_array();
	if (!calls_load(workflow, &source, mistakes)) {
		calls_tell(mistakes);
		emit_invalid(planning->task, path, json_incref(mistakes));
		return true;
	}
	return plan_workflow(planning, workflow, error);
}

/* The file that a dispatch or `assay run` names: by its base name or its path; the caller's. */
static char *choose(const Planning *planning, const GPtrArray *paths, const char *wanted, GError **error)
{
	const char *local = json_get_string(planning->task->spec, "local", NULL);
	for (guint i = 0; i < paths->len; i++) {
		g_autofree char *base = g_path_get_basename(paths->pdata[i]);
		g_autofree char *stem = g_strndup(base, (size_t)(strrchr(base, '.') - base));
		if (strcmp(paths->pdata[i], wanted) == 0 || strcmp(base, wanted) == 0 || strcmp(stem, wanted) == 0)
			return g_strdup(paths->pdata[i]);
	}
	if (local) { /* any file of the tree will do */
		size_t len = strlen(local);
		const char *path = wanted;
		if (strncmp(path, local, len) == 0 && path[len] == '/')
			path += len + 1;
		while (g_str_has_prefix(path, "./"))
			path += 2;
		g_autoptr(GBytes) bytes = source_read(planning->source, path, WORKFLOW_BYTES_MAX, NULL);
		if (bytes)
			return g_strdup(path);
	}
	fail(error, ASSAY_ERROR_ABSENT, "there is no workflow '%s' at %s", wanted, source_sha(planning->source));
	return NULL;
}

static bool plan_all(Planning *planning, GError **error)
{
	g_autoptr(GPtrArray) paths = source_workflows(planning->source, error);
	const char *wanted = json_get_string(planning->task->spec, "workflow", NULL);
	if (!paths)
		return false;
	if (wanted) {
		g_autofree char *path = choose(planning, paths, wanted, error);
		return path && plan_file(planning, path, true, error);
	}
	const char *only = json_get_string(planning->task->spec, "only", NULL);
	bool moves = strcmp(json_get_string(planning->event, "event", ""), "push") == 0 &&
	        g_str_has_prefix(json_get_string(planning->event, "ref", ""), "refs/heads/");
	if (moves || json_get_bool(planning->task->spec, "survey", false))
		planning->known = json_array();
	planning->changed = source_changed(planning->source, planning->event);
	for (guint i = 0; i < paths->len; i++)
		if ((!only || strcmp(only, paths->pdata[i]) == 0) && !plan_file(planning, paths->pdata[i], false, error))
			return false;
	emit_known(planning);
	return true;
}

static void end_with(Task *task, TaskEnd *end, const GError *error)
{
	bool theirs = error->code == ASSAY_ERROR_USER || error->code == ASSAY_ERROR_ABSENT;
	const char *cause = task_cause_of(task, error, theirs ? CAUSE_INVALID : CAUSE_AGENT);
	task_end_fail(end, cause, g_strdup(error->message));
	if (task->cancelled)
		end->status = "cancelled";
}

void planning_plan(Task *task, TaskEnd *end)
{
	confine_before_strangers(false);
	Planning planning = {.task = task, .event = json_object_get(task->spec, "event")};
	g_autoptr(GError) error = NULL;
	planning.source = source_open(task, planning.event, &error);
	if (!planning.source || !plan_all(&planning, &error))
		end_with(task, end, error);
	json_decref(planning.changed);
	if (planning.others)
		g_hash_table_unref(planning.others);
	json_decref(planning.known);
	source_free(planning.source);
}

/* Jobs of an environment are told what came since the releases: their gate shows it. */
static void add_history(Task *task, json_t *jobs)
{
	const json_t *since = json_object_get(task->spec, "since");
	g_autoptr(json_t) history = NULL;
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		if (!json_is_object(json_object_get(job, "environment")) || json_get_string(task->spec, "local", NULL))
			continue;
		if (!history)
			history = history_since(task, since, json_get_string(task->spec, "sha", NULL));
		json_set(job, "changes", json_incref(history));
	}
}

static bool emit_jobs(Task *task, const json_t *jobs, GError **error)
{
	size_t i;
	json_t *job;
	json_array_foreach((json_t *)(uintptr_t)jobs, i, job) {
		json_t *event = task_event(EVENT_JOB);
		json_object_update(event, job);
		json_set_int(event, "run", json_get_int(json_object_get(task->spec, "run"), "id", 0));
		if (!task_emit(task, event, error))
			return false;
	}
	return true;
}

static bool resolve_job(Task *task, GError **error)
{
	const char *group = json_get_string(task->spec, "group", json_get_string(json_object_get(task->spec, "job"), "group", ""));
	const json_t *definition = json_object_get(task->spec, "definition");
	const json_t *contexts = json_object_get(task->spec, "contexts");
	g_autoptr(json_t) jobs = planner_resolve(group, definition, contexts, json_get_string(task->spec, "status", NULL), error);
	g_autoptr(json_t) called = json_array();
	size_t i;
	json_t *one;
	if (!jobs)
		return false;
	json_array_foreach(jobs, i, one)
		if (!planner_expand(one, definition, contexts, called, error))
			return false;
	add_history(task, jobs);
	json_t *event = task_event(EVENT_RESOLVED);
	json_set(event, "jobs", json_incref(jobs));
	return task_emit(task, event, error) && emit_jobs(task, called, error);
}

/* A call whose jobs have ended: what it hands on. */
static bool resolve_outputs(Task *task, GError **error)
{
	const json_t *called = json_object_get(json_object_get(task->spec, "definition"), "called");
	json_t *outputs = planner_call_outputs(called, json_object_get(task->spec, "contexts"), error);
	if (!outputs)
		return false;
	json_t *event = task_event(EVENT_OUTPUTS);
	json_set(event, "outputs", outputs);
	return task_emit(task, event, error);
}

void planning_resolve(Task *task, TaskEnd *end)
{
	confine_before_strangers(false);
	g_autoptr(GError) error = NULL;
	bool outputs = json_get_bool(task->spec, "outputs", false);
	if (!(outputs ? resolve_outputs(task, &error) : resolve_job(task, &error)))
		end_with(task, end, error);
}
