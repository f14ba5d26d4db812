/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker is told of its task: job.json (docs/formats.md), and beside it the secrets, which never come to the disk. What
 * strangers' runs may not know is left out here.
 */
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/daemon/state.h"
#include "agent/store/repos.h"
#include "agent/store/runs.h"
#include "agent/store/secrets.h"

#define AFTER_END_MINUTES 5 /* what still runs of a job that was cancelled or timed out */
#define KNOWN_REPOS_MAX 500 /* of which a task is told, as sources of actions */

/* What is not there is not told: each worker reads all of it. */
static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_set_string(object, key, text);
}

static void set_filled(json_t *object, const char *key, json_t *value)
{
	if (json_array_size(value) > 0 || json_object_size(value) > 0)
		json_set(object, key, value);
	else
		json_decref(value);
}

/* found: the repo's row; NULL under `assay run`. */
static json_t *repo_object(Daemon *daemon, const json_t *found)
{
	if (!found) {
		json_t *object = json_object();
		json_set_string(object, "name", json_get_string(daemon->local, "repo", "local/workspace"));
		json_set_string(object, "url", json_get_string(daemon->local, "folder", ""));
		return object;
	}
	const char *name = json_get_string(found, "name", "");
	g_autofree char *mirror = g_strdup_printf("%s/repos/%s.git", daemon->config->data, name);
	json_t *object = json_object();
	json_set_string(object, "name", name);
	json_set_string(object, "url", json_get_string(found, "url", NULL));
	set_text(object, "default_branch", json_get_string(found, "default_branch", NULL));
	json_set_string(object, "mirror", mirror);
	return object;
}

static void copy_key(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);
	if (value)
		json_set(to, key, json_incref(value));
}

static json_t *limits_object(const Daemon *daemon, const json_t *resolved)
{
	const Config *config = daemon->config;
	double minutes = json_get_real(resolved, "timeout_minutes", 360);
	int64_t timeout_us = (int64_t)(minutes * 60 * (double)G_USEC_PER_SEC);
	if (config->job_timeout_us > 0)
		timeout_us = MIN(timeout_us, config->job_timeout_us);
	json_t *limits = json_object();
	json_set_int(limits, "timeout_us", timeout_us);
	double after = json_get_real(resolved, "cancel_timeout_minutes", AFTER_END_MINUTES);
	json_set_int(limits, "after_end_us", (int64_t)(after * 60 * (double)G_USEC_PER_SEC));
	json_set_int(limits, "log_bytes", config->log_bytes);
	json_set_int(limits, "grace_us", GRACE_US);
	const struct {
		const char *key;
		int64_t value;
	} others[] = {
	        {"memory_bytes", config->job_memory_bytes}, {"processes", config->job_processes},
	        {"disk_bytes", config->job_disk_bytes}, {"file_bytes", config->job_file_bytes},
	        {"open_files", config->job_open_files}, {"read_bytes_s", config->job_read_bytes_s},
	        {"write_bytes_s", config->job_write_bytes_s}};
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (others[i].value != 0)
			json_set_int(limits, others[i].key, others[i].value);
	if (config->job_cpus > 0)
		json_set(limits, "cpus", json_real(config->job_cpus));
	return limits;
}

/* Strangers see what is theirs to see, and write to none of it. */
static json_t *mounts_array(const Config *config, bool untrusted)
{
	json_t *mounts = json_array();
	for (size_t i = 0; i < config->mounts_len; i++) {
		const ConfigMount *one = &config->mounts[i];
		if (untrusted && !one->forks)
			continue;
		json_t *mount = json_object();
		json_set_string(mount, "source", one->source);
		json_set_string(mount, "target", one->target);
		json_set_bool(mount, "writable", one->writable && !untrusted);
		json_array_append_new(mounts, mount);
	}
	return mounts;
}

/* What is there of them now: a driver that is loaded later makes more. Disks are never given. */
static json_t *devices_array(const Config *config)
{
	json_t *devices = json_array();
	for (char **one = config->devices; *one; one++) {
		glob_t found = {0};
		struct stat info;
		if (glob(*one, 0, NULL, &found) == 0)
			for (size_t i = 0; i < found.gl_pathc; i++)
				if (stat(found.gl_pathv[i], &info) == 0 && S_ISCHR(info.st_mode))
					json_array_append_new(devices, json_string(found.gl_pathv[i]));
		globfree(&found);
	}
	return devices;
}

/* Where actions of other repositories come from. Strangers' runs are not told what other repos there are here. */
static json_t *actions_object(Daemon *daemon, bool with_repos, bool untrusted)
{
	json_t *object = json_object();
	json_t *sources = json_array();
	json_t *fetch = json_array();
	for (char **one = daemon->config->action_sources; *one; one++)
		json_array_append_new(sources, json_string(*one));
	for (char **one = daemon->config->action_fetch; *one; one++)
		json_array_append_new(fetch, json_string(*one));
	json_set(object, "sources", sources);
	json_set(object, "fetch", fetch);
	bool none = !with_repos || untrusted || daemon->local;
	g_autoptr(json_t) page = none ? NULL : repos_list(daemon->store, NULL, KNOWN_REPOS_MAX, NULL);
	const json_t *list = json_object_get(page, "repos");
	json_t *known = json_object();
	size_t i;
	json_t *repo;
	json_array_foreach(list, i, repo)
		json_set_string(known, json_get_string(repo, "name", ""), json_get_string(repo, "url", ""));
	json_set(object, "repos", known);
	return object;
}

/* May a step need another repository? Only then is its worker told which there are. */
static bool asks_for_actions(const json_t *definition)
{
	size_t i;
	json_t *step;
	json_array_foreach(json_object_get(definition, "steps"), i, step)
		if (!g_str_has_prefix(json_get_string(step, "uses", "assay/"), "assay/"))
			return true;
	return false;
}

static bool uses_actions(const json_t *definition)
{
	size_t i;
	json_t *step;
	json_array_foreach(json_object_get(definition, "steps"), i, step)
		if (json_object_get(step, "uses"))
			return true;
	return false;
}

static json_t *vars_object(Daemon *daemon, int64_t repo, const char *environment, GError **error)
{
	if (!daemon->local)
		return vars_get(daemon->store, repo, environment, error);
	json_t *vars = json_object_get(daemon->local, "vars");
	return vars ? json_incref(vars) : json_object();
}

/* result and outputs of the jobs of a call */
static json_t *called_object(const json_t *jobs, const char *call)
{
	g_autoptr(json_t) groups = json_array();
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job)
		if (g_strcmp0(json_get_string(job, "caller", NULL), call) == 0)
			json_array_append(groups, json_object_get(job, "group"));
	return needs_object(jobs, groups);
}

static json_t *contexts_object(Daemon *daemon, const Task *task, const json_t *internal, GError **error)
{
	const json_t *run = json_object_get(internal, "run");
	const json_t *call = json_object_get(json_object_get(internal, "definition"), "call");
	const json_t *needs = json_object_get(internal, "needs");
	bool outputs = json_get_bool(task->input, "outputs", false);
	g_autoptr(json_t) jobs = json_array_size(needs) > 0 || outputs ? runs_jobs_brief(daemon->store, task->run, error) : json_array();
	g_autoptr(json_t) vars = jobs ? vars_object(daemon, task->repo,
	        json_get_string(json_object_get(json_object_get(internal, "resolved"), "environment"), "name", NULL),
	        error) : NULL;
	if (!vars)
		return NULL;
	json_t *contexts = json_object();
	json_t *github = json_object(); /* what is added to the run's own, see describe_task() */
	char number[32];
	g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT, task->run);
	json_set_string(github, "run_id", number);
	g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT, json_get_int(run, "number", 0));
	json_set_string(github, "run_number", number);
	g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT, json_get_int(internal, "attempt", 1));
	json_set_string(github, "run_attempt", number);
	json_set_string(github, "server_url", daemon_url(daemon));
	/* `actor` stays the one whose event it was. */
	const char *rerun_by = json_get_string(internal, "rerun_by", NULL);
	if (rerun_by)
		json_set_string(github, "triggering_actor", rerun_by);
	json_set(contexts, "github", github);
	json_t *inputs = outputs ? json_object_get(json_object_get(json_object_get(internal, "resolved"), "call"), "inputs")
	                         : json_object_get(call, "inputs");
	if (inputs) /* those of a run's own jobs are in its github context */
		json_set(contexts, "inputs", json_incref(inputs));
	set_filled(contexts, "vars", json_incref(vars));
	set_filled(contexts, "needs", needs_object(jobs, needs));
	if (outputs)
		json_set(contexts, "jobs", called_object(jobs, json_get_string(internal, "key", "")));
	json_set_string(contexts, "status", needs_status(jobs, needs));
	return contexts;
}

static bool is_untrusted(const json_t *internal)
{
	return json_get_bool(json_object_get(internal, "run"), "untrusted", false);
}

static const char *network_of(const Daemon *daemon, const json_t *repo, const json_t *internal)
{
	if (is_untrusted(internal))
		return "none";
	return json_get_string(daemon->local ? daemon->local : repo, "network", daemon->config->network);
}

/*
 * {"secrets","environment_secrets"}: what a called job's callers may hand it, and what only its environment gives, come
 * apart; any other job gets both as one.
 */
static bool open_secrets(Daemon *daemon, const Task *task, const json_t *internal, json_t **out, GError **error)
{
	bool called = json_object_get(json_object_get(internal, "definition"), "call") != NULL;
	const char *environment =
	        json_get_string(json_object_get(json_object_get(internal, "resolved"), "environment"), "name", NULL);
	json_t *secrets = NULL;
	json_t *own = NULL;
	if (daemon->local)
		secrets = json_deep_copy(json_object_get(daemon->local, "secrets"));
	else if (!is_untrusted(internal)) {
		secrets = secrets_open(daemon->store, task->repo, called ? NULL : environment, error);
		own = secrets && called ? secrets_open_environment(daemon->store, task->repo, environment, error) : NULL;
		if (!secrets || (called && !own)) {
			secrets_wipe(secrets);
			json_decref(secrets);
			return false;
		}
	}
	*out = json_object();
	json_set(*out, "secrets", secrets ? secrets : json_object());
	if (own)
		json_set(*out, "environment_secrets", own);
	return true;
}

/* Under `assay run` it is one's own machine, whose files one may read. */
static json_t *images_object(const Daemon *daemon)
{
	json_t *images = json_deep_copy(daemon->config->images);
	if (daemon->local && !json_object_get(images, "local"))
		json_set(images, "local", json_pack("[s]", "/"));
	return images;
}

/*
 * `full` is what the config makes of it; `host` was asked for by whoever runs `assay run` on his own machine. A list of the
 * repo's own holds in any case, so it needs a network of the job's own.
 */
static void describe_network(const Config *config, const char *network, json_t *object)
{
	bool full = strcmp(network, "full") == 0;
	json_t *own = json_object_get(config->repo_allow, json_get_string(json_object_get(object, "repo"), "name", ""));
	bool is_host = full && config->full_is_host && !own;
	json_set_string(object, "network", is_host ? "host" : network);
	if (!full || is_host || (!own && !config->allow))
		return;
	json_t *allow = own ? json_deep_copy(own) : json_array();
	for (char **one = config->allow; !own && *one; one++)
		json_array_append_new(allow, json_string(*one));
	json_set(object, "allow", allow);
}

/* job.json for a task of kind job, and the secrets its worker gets. */
static bool describe_job(Daemon *daemon, const Task *task, const json_t *repo, const json_t *internal, json_t *object,
        json_t **out_secrets, GError **error)
{
	const Config *config = daemon->config;
	json_t *resolved = json_object_get(internal, "resolved");
	json_t *brief = json_object();
	json_set_int(brief, "id", task->job);
	copy_key(brief, internal, "key");
	copy_key(brief, internal, "group");
	copy_key(brief, internal, "name");
	copy_key(brief, internal, "attempt");
	json_set(object, "job", brief);
	json_t *definition = json_copy(json_object_get(internal, "definition"));
	json_object_del(definition, "strategy"); /* of a large matrix it is one combination, and `resolved` says which */
	json_set(object, "definition", definition);
	json_t *kept = json_object();
	copy_key(kept, resolved, "matrix");
	copy_key(kept, resolved, "strategy");
	json_set(object, "resolved", kept);
	json_set_string(object, "executor", daemon->local ? json_get_string(daemon->local, "executor", config->executor_default)
	                                                  : config->executor_default);
	g_autofree char *log = daemon_log_path(daemon, task->run, task->job);
	g_autofree char *folder = g_path_get_dirname(log);
	if (!fd_make_folder(folder, 0750, error))
		return false;
	json_set_string(object, "log", log);
	json_set(object, "limits", limits_object(daemon, resolved));
	describe_network(config, network_of(daemon, repo, internal), object);
	json_set_int(object, "uid", config->job_uid);
	json_set_int(object, "gid", config->job_gid);
	set_filled(object, "mounts", mounts_array(config, is_untrusted(internal)));
	if (config->devices && !is_untrusted(internal))
		set_filled(object, "devices", devices_array(config));
	bool uses = uses_actions(definition);
	if (uses || json_object_get(definition, "container") || json_object_get(definition, "services"))
		json_set(object, "images", images_object(daemon));
	json_set_string(object, "server_url", daemon_url(daemon));
	json_set_bool(object, "untrusted", is_untrusted(internal));
	if (uses)
		json_set(object, "actions", actions_object(daemon, asks_for_actions(definition), is_untrusted(internal)));
	if (json_get_bool(internal, "debug", false))
		json_set_bool(object, "debug", true);
	return open_secrets(daemon, task, internal, out_secrets, error);
}

/* The text of an object with one more key, whose value is the text of JSON. Frees plain. */
static char *add_raw(char *plain, const char *key, const char *value)
{
	size_t len = strlen(plain);
	g_assert(len > 2 && plain[len - 1] == '}');
	plain[len - 1] = '\0';
	char *text = g_strconcat(plain, ",\"", key, "\":", value, "}", NULL);
	g_free(plain);
	return text;
}

/* What opens the repo at its forge. A stranger's run is fetched with it, too; that its steps do not get it is the worker's. */
static void add_credentials(Daemon *daemon, int64_t repo, json_t *secrets)
{
	static const char *const kinds[] = {"token", "ssh_key", "known_hosts"};
	for (size_t i = 0; repo > 0 && i < G_N_ELEMENTS(kinds); i++) {
		char *text = repos_credential(daemon->store, repo, kinds[i]);
		if (!text)
			continue;
		json_set_string(secrets, kinds[i], text);
		explicit_bzero(text, strlen(text));
		g_free(text);
	}
}

/* The run's github context goes into it as text: nothing here has to look inside. */
char *describe_task(Daemon *daemon, const Task *task, json_t **out_secrets, int64_t *out_timeout_us, bool *out_git,
        GError **error)
{
	g_autoptr(json_t) object = json_object();
	const char *github = NULL;
	json_set_int(object, "version", 1);
	json_set_int(object, "task", task->id);
	json_set_int(object, "fence", task->fence);
	json_set_string(object, "kind", task->kind);
	json_set_string(object, "data", daemon->config->data);
	bool local = task->repo == 0 && daemon->local;
	g_autoptr(json_t) repo = local ? NULL : repos_get_id(daemon->store, task->repo, error);
	if (!local && !repo)
		return NULL;
	json_set(object, "repo", repo_object(daemon, repo));
	set_text(object, "local", json_get_string(daemon->local, "folder", NULL));
	*out_secrets = NULL;
	*out_git = true;
	if (strcmp(task->kind, "plan") == 0) {
		json_object_update(object, task->input);
		bool untrusted = json_get_bool(json_object_get(task->input, "event"), "untrusted", false);
		json_set(object, "actions", actions_object(daemon, true, untrusted));
		g_autoptr(json_t) vars = vars_object(daemon, task->repo, NULL, error);
		if (!vars)
			return NULL;
		json_set(object, "vars", g_steal_pointer(&vars));
		json_set_string(object, "server_url", daemon_url(daemon));
	} else {
		g_autoptr(json_t) internal = runs_job_spec(daemon->store, task->job, error);
		json_t *contexts = internal ? contexts_object(daemon, task, internal, error) : NULL;
		if (!contexts)
			return NULL;
		json_set(object, "contexts", contexts);
		github = payload_context(daemon, task->run, error);
		if (!github)
			return NULL;
		g_autofree char *event_file = payload_path(daemon, task->run);
		json_set_string(object, "event_file", event_file);
		json_t *run = json_object();
		json_set_int(run, "id", task->run);
		copy_key(run, json_object_get(internal, "run"), "number");
		json_set(object, "run", run);
		if (strcmp(task->kind, "resolve") == 0) {
			copy_key(object, internal, "definition");
			copy_key(object, internal, "group");
			copy_key(object, task->input, "outputs");
			json_set_string(object, "status", json_get_string(contexts, "status", NULL));
			copy_key(object, task->input, "since");
			copy_key(object, json_object_get(internal, "run"), "sha");
		} else if (!describe_job(daemon, task, repo, internal, object, out_secrets, error)) {
			return NULL;
		} else {
			*out_git = uses_actions(json_object_get(internal, "definition"));
		}
		json_object_del(contexts, "status");
	}
	if (!*out_secrets)
		*out_secrets = json_pack("{s:{}}", "secrets");
	add_credentials(daemon, task->repo, *out_secrets);
	const json_t *limits = json_object_get(object, "limits");
	*out_timeout_us = json_get_int(limits, "timeout_us", 0);
	if (*out_timeout_us > 0)
		*out_timeout_us += json_get_int(limits, "after_end_us", 0);
	char *text = json_text_unsorted(object);
	return github ? add_raw(text, "github", github) : text;
}
