/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue × slots → workers. A task is leased, its folder is made and the lease committed before a worker is asked
 * for; so after a crash each leased task either has a worker, or an empty folder and goes back to the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/daemon/watch.h"
#include "agent/store/audit.h"
#include "agent/store/repos.h"
#include "agent/store/runs.h"
#include "agent/store/secrets.h"

#define SHORT_TASK_US (10LL * 60 * G_USEC_PER_SEC) /* plan and resolve, a slow fetch included */
#define AFTER_END_MINUTES 5                        /* what still runs of a job that was cancelled or timed out */
#define DEADLINE_SLACK_US (60LL * G_USEC_PER_SEC)  /* the worker ends a job by itself; this is for one that cannot */
#define KNOWN_REPOS_MAX 500                        /* of which a task is told, as sources of actions */
#define GRACE_US (10LL * G_USEC_PER_SEC)
#define NEXT_US (1LL * G_USEC_PER_SEC) /* how long what was made ready may wait for its slot: it knows secrets of then */

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
	json_t *github = json_object(); /* what is added to the run's own, see describe() */
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

/* job.json, the caller's. The run's github context goes into it as text: nothing here has to look inside. */
static char *describe(Daemon *daemon, const Task *task, json_t **out_secrets, int64_t *out_timeout_us, bool *out_git,
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

void active_free(Active *active)
{
	if (!active)
		return;
	if (active->deadline_source)
		g_source_remove(active->deadline_source);
	if (active->retry_source)
		g_source_remove(active->retry_source);
	if (active->soon_source)
		g_source_remove(active->soon_source);
	autofd_close(&active->events_fd);
	if (active->watch)
		watch_remove(active->watch);
	exits_forget(active);
	if (active->is_job && !active->ended && !active->ahead)
		active->daemon->jobs_running--;
	g_free(active->folder);
	task_free(active->task);
	g_free(active);
}

/* Takes task. One that is ahead holds no slot. */
static Active *active_new(Daemon *daemon, Task *task, bool ahead)
{
	Active *active = g_new0(Active, 1);
	active->daemon = daemon;
	active->task = task;
	active->folder = daemon_task_folder(daemon, task->id);
	active->pidfd = -1;
	active->events_fd = -1;
	active->seen = task->offset;
	active->noted = task->pid > 0;
	active->is_job = strcmp(task->kind, "job") == 0;
	active->ahead = ahead;
	if (active->is_job && !ahead)
		daemon->jobs_running++;
	g_hash_table_replace(daemon->active, &active->task->id, active);
	return active;
}

/* The lease cannot be used: the job or the run ends with the reason. In the caller's transaction. */
static bool refuse(Daemon *daemon, const Task *task, const GError *why, GError **error)
{
	log_error("task cannot start", KV("task", task->id), KV("kind", task->kind), KV("why", why->message));
	const char *cause = strstr(why->message, "No space left") ? CAUSE_DISK : CAUSE_AGENT;
	if (!queue_finish(daemon->store, task->id, error))
		return false;
	if (task->job > 0)
		return graph_end_job(daemon, task->run, task->job, "failure", cause, why->message, error);
	return true;
}

/* A lease of an open transaction, and the secrets that its worker will get. */
typedef struct Start {
	Active *active;
	int secrets_fd; /* -1: there are none */
	bool git; /* it will look into a repository */
} Start;

/* The task of a worker that is not to be; the caller's. */
static Task *take_task(Active *active)
{
	Task *task = g_steal_pointer(&active->task);
	active->task = g_new0(Task, 1);
	g_hash_table_steal(active->daemon->active, &task->id);
	active_free(active);
	return task;
}

bool dispatch_note(Active *active, GError **error)
{
	Daemon *daemon = active->daemon;
	daemon_touch(daemon, active->task->run);
	return runs_move_job(daemon->store, active->task->job, RUN_RUNNING, NULL, NULL, error) &&
	       runs_settle(daemon->store, active->task->run, NULL, error);
}

/* The descriptor is the caller's; none, -1, where there is nothing to hand over. */
static bool seal(const json_t *secrets, int *out_fd, GError **error)
{
	if (json_object_size(secrets) == 1 && json_object_size(json_object_get(secrets, "secrets")) == 0)
		return true;
	g_autofree char *text = json_text(secrets);
	*out_fd = fd_sealed("secrets", text, strlen(text), error);
	explicit_bzero(text, strlen(text));
	return *out_fd >= 0;
}

/*
 * In the caller's transaction: folder, description, secrets, and the state of what is not ahead. What is ahead and cannot be made ready
 * waits in the queue for its slot, and is told then why. False only when the store fails.
 */
static bool prepare(Daemon *daemon, Task *taken, bool ahead, GArray *starts, GError **error)
{
	g_autoptr(Task) task = taken;
	g_autoptr(GError) why = NULL;
	g_autoptr(json_t) secrets = NULL;
	int64_t timeout_us = 0;
	Start start = {.secrets_fd = -1};
	g_autofree char *description = describe(daemon, task, &secrets, &timeout_us, &start.git, &why);
	bool good = description && seal(secrets, &start.secrets_fd, &why);
	secrets_wipe(json_object_get(secrets, "secrets"));
	secrets_wipe(json_object_get(secrets, "environment_secrets"));
	if (good) {
		start.active = active_new(daemon, g_steal_pointer(&task), ahead);
		start.active->timeout_us = timeout_us;
		if (folders_make(daemon, start.active->folder, description, &why) && follow_begin(start.active, &why)) {
			g_array_append_val(starts, start);
			return ahead || !start.active->is_job || dispatch_note(start.active, error);
		}
		autofd_close(&start.secrets_fd);
		task = take_task(start.active);
	}
	return ahead ? queue_give_back(daemon->store, task->id, task->fence, error) : refuse(daemon, task, why, error);
}

/* Not under `assay run`, whose jobs are few and whose user reads what goes on. */
static bool may_go_ahead(const Daemon *daemon, const GArray *starts)
{
	return !daemon->next && !daemon->local && !daemon->stopping &&
	       (starts->len == 0 || !g_array_index(starts, Start, starts->len - 1).active->ahead);
}

GArray *dispatch_lease(Daemon *daemon, GError **error)
{
	g_autoptr(GError) why = NULL;
	GArray *starts = g_array_new(FALSE, FALSE, sizeof(Start));
	while (!daemon->stopping) {
		Task *task = NULL;
		bool ahead = daemon->jobs_running >= daemon->jobs_max && may_go_ahead(daemon, starts);
		if (!queue_take(daemon->store, ahead || daemon->jobs_running < daemon->jobs_max, now_us(), &task, &why) || !task)
			break;
		ahead = ahead && strcmp(task->kind, "job") == 0; /* the others need no slot */
		if (!prepare(daemon, task, ahead, starts, &why) || ahead)
			break;
	}
	if (!why)
		return starts;
	g_propagate_error(error, g_steal_pointer(&why));
	dispatch_drop(daemon, starts);
	return NULL;
}

void dispatch_drop(Daemon *daemon, GArray *starts)
{
	for (guint i = 0; starts && i < starts->len; i++) {
		Start *start = &g_array_index(starts, Start, i);
		autofd_close(&start->secrets_fd);
		g_hash_table_remove(daemon->active, &start->active->task->id);
	}
	if (starts)
		g_array_unref(starts);
}

static gboolean on_next_old(gpointer data)
{
	Daemon *daemon = data;
	daemon->next_source = 0;
	dispatch_forget_next(daemon, false);
	if (daemon->next)
		daemon->next_source = g_timeout_add((guint)(NEXT_US / 1000), on_next_old, daemon);
	return G_SOURCE_REMOVE;
}

static void keep_next(Daemon *daemon, const Start *start)
{
	daemon->next = g_array_append_vals(g_array_new(FALSE, FALSE, sizeof *start), start, 1);
	daemon->next_at_us = monotonic_us();
	daemon->next_audited = audit_count(daemon->store);
	daemon->next_void = false;
	if (!daemon->next_source)
		daemon->next_source = g_timeout_add((guint)(NEXT_US / 1000), on_next_old, daemon);
}

/* True as well when it is nobody's any more: its job was cancelled, or its repo removed. */
static bool give_back(Daemon *daemon, const Task *task, GError **error)
{
	g_autoptr(GError) why = NULL;
	if (!store_begin_relaxed(daemon->store, error))
		return false;
	if (queue_give_back(daemon->store, task->id, task->fence, &why))
		return store_commit(daemon->store, error);
	store_rollback(daemon->store);
	if (error_code_from_type(error_type(why)) == ASSAY_ERROR_BUSY)
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

/* The lease goes first: where the store refuses, what was made ready stays what it is. */
void dispatch_forget_next(Daemon *daemon, bool always)
{
	if (!daemon->next || (!always && !daemon->next_void && daemon->next_audited == audit_count(daemon->store) &&
	                             monotonic_us() - daemon->next_at_us <= NEXT_US))
		return;
	g_autoptr(GError) error = NULL;
	const Active *active = g_array_index(daemon->next, Start, 0).active;
	if (!give_back(daemon, active->task, &error)) {
		log_warning("a task that was made ready cannot be given back, continuing", KV("task", active->task->id), KV("why", error->message));
		return;
	}
	g_autofree char *folder = g_strdup(active->folder);
	dispatch_drop(daemon, g_steal_pointer(&daemon->next));
	if (!fd_remove_tree(folder, &error)) /* now: it may be leased again at once */
		log_warning("a job's folder stays behind, continuing", KV("folder", folder), KV("why", error->message));
}

Active *dispatch_next(Daemon *daemon)
{
	dispatch_forget_next(daemon, daemon->stopping);
	if (!daemon->next || daemon->stopping)
		return NULL;
	Active *active = g_array_index(daemon->next, Start, 0).active;
	int64_t task = active->task->id;
	log_debug("what was made ready has its slot", KV("task", task));
	active->ahead = false;
	active->moves = true;
	daemon->jobs_running++;
	dispatch_start(daemon, g_steal_pointer(&daemon->next));
	return g_hash_table_lookup(daemon->active, &task); /* the zygote may have refused, and its end is noted then */
}

void dispatch_start(Daemon *daemon, GArray *leased)
{
	g_autoptr(GArray) starts = leased;
	for (guint i = 0; i < starts->len; i++) {
		Start *start = &g_array_index(starts, Start, i);
		g_autoptr(GError) error = NULL;
		int64_t task = start->active->task->id;
		if (start->active->ahead) {
			keep_next(daemon, start);
			continue;
		}
		if (!zygote_ask(daemon->zygote, task, start->active->folder, start->git, start->secrets_fd, &error))
			dispatch_started(task, -1, 0, 0, error, daemon);
		autofd_close(&start->secrets_fd);
	}
}

void dispatch_run(Daemon *daemon)
{
	g_autoptr(GError) error = NULL;
	GArray *starts = NULL;
	dispatch_forget_next(daemon, false);
	Active *next = daemon->jobs_running < daemon->jobs_max ? dispatch_next(daemon) : NULL;
	if (daemon->stopping || (!next && !queue_has_ready(daemon->store, daemon->jobs_running < daemon->jobs_max || !daemon->next)))
		return;
	if (store_begin_relaxed(daemon->store, &error)) {
		starts = next && !dispatch_note(next, &error) ? NULL : dispatch_lease(daemon, &error);
		if (!starts)
			store_rollback(daemon->store);
		else if (!daemon_commit(daemon, &error))
			dispatch_drop(daemon, g_steal_pointer(&starts));
	}
	if (starts && next)
		next->moves = false;
	if (starts)
		dispatch_start(daemon, starts);
	else
		log_error("tasks wait: the store refuses to lease them", KV("why", error->message));
}

static gboolean on_deadline(gpointer data)
{
	Active *active = data;
	active->deadline_source = 0;
	log_warning("worker past its deadline is killed, continuing", KV("task", active->task->id));
	if (active->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, active->pidfd, SIGKILL, NULL, 0);
	return G_SOURCE_REMOVE;
}

void dispatch_arm_deadline(Active *active)
{
	if (active->deadline_source)
		g_source_remove(active->deadline_source);
	active->deadline_source = 0;
	if (active->task->deadline_us == 0)
		return;
	int64_t left_us = MAX(active->task->deadline_us - now_us(), 0);
	active->deadline_source = g_timeout_add((guint)MIN(left_us / 1000, (int64_t)G_MAXINT), on_deadline, active);
}

static int64_t deadline_of(const Active *active)
{
	if (!active->is_job)
		return now_us() + SHORT_TASK_US;
	return active->timeout_us > 0 ? now_us() + active->timeout_us + 3 * GRACE_US + DEADLINE_SLACK_US : 0;
}

/* The zygote could not make a worker: the task ends with the reason. */
static void not_started(Active *active, const GError *why)
{
	Daemon *daemon = active->daemon;
	g_autoptr(GError) error = NULL;
	g_autoptr(Task) task = take_task(active);
	if (!store_begin_relaxed(daemon->store, &error)) {
		log_error("cannot note a task that did not start", KV("why", error->message));
	} else if (!refuse(daemon, task, why, &error) || !daemon_commit(daemon, &error)) {
		store_rollback(daemon->store);
		log_error("cannot note a task that did not start", KV("why", error ? error->message : ""));
	}
	daemon_wake(daemon);
}

void dispatch_started(int64_t id, int pidfd, int64_t pid, int64_t start, const GError *why, void *data)
{
	Daemon *daemon = data;
	Active *active = g_hash_table_lookup(daemon->active, &id);
	if (!active) {
		if (pidfd >= 0)
			close(pidfd);
		return;
	}
	g_autoptr(GError) unwatched = NULL;
	if (why || !exits_watch(active, pidfd, &unwatched)) {
		not_started(active, why ? why : unwatched);
		return;
	}
	active->task->pid = pid;
	active->task->pid_start = start;
	active->task->deadline_us = deadline_of(active);
	dispatch_arm_deadline(active);
	if (active->task->cancelling)
		follow_cancel(active);
	follow_grew(active); /* the pid is noted with its first events; until then a restart finds it in them */
}

/* ---- after a restart ---- */

/* Field 22 of /proc/PID/stat; 0 when the process is gone or a zombie. */
static int64_t process_start(int64_t pid)
{
	char path[64];
	g_snprintf(path, sizeof path, "/proc/%" G_GINT64_FORMAT "/stat", pid);
	g_autofree char *text = NULL;
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	const char *after = strrchr(text, ')'); /* the name before it may hold anything */
	if (!after || after[1] == '\0' || after[2] == 'Z' || after[2] == 'X')
		return 0;
	g_auto(GStrv) fields = g_strsplit(after + 2, " ", 0);
	return g_strv_length(fields) > 19 ? g_ascii_strtoll(fields[19], NULL, 10) : 0;
}

/* The pid of a worker that began before its pid was noted: from the first event. */
static int64_t pid_from_events(const Active *active)
{
	g_autofree char *path = g_build_filename(active->folder, "events.jsonl", NULL);
	g_autofree char *text = NULL;
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	const char *end = strchr(text, '\n');
	g_autoptr(json_t) event = end ? json_parse(text, (size_t)(end - text), path, NULL) : NULL;
	return json_get_int(event, "fence", 0) == active->task->fence ? json_get_int(event, "pid", 0) : 0;
}

static void adopt(Daemon *daemon, Task *taken)
{
	Active *active = active_new(daemon, taken, false);
	Task *task = active->task;
	int64_t known_start = task->pid_start;
	if (task->pid == 0)
		task->pid = pid_from_events(active);
	int64_t start = task->pid > 0 ? process_start(task->pid) : 0;
	bool alive = start > 0 && (known_start == 0 || start == known_start);
	int pidfd = alive ? (int)syscall(SYS_pidfd_open, (pid_t)task->pid, 0) : -1;
	g_autoptr(GError) error = NULL;
	if (task->pid == 0) {
		log_info("task never began and is queued again", KV("task", task->id));
		fd_remove_tree(active->folder, NULL);
		if (!queue_give_back(daemon->store, task->id, task->fence, &error))
			log_error("cannot queue a task again", KV("why", error->message));
		g_hash_table_remove(daemon->active, &task->id);
		return;
	}
	if (!follow_begin(active, &error))
		log_warning("cannot follow a worker, continuing", KV("task", task->id), KV("why", error->message));
	g_autoptr(GError) unwatched = NULL;
	bool same = pidfd >= 0 && process_start(task->pid) == start;
	if (same && exits_watch(active, pidfd, &unwatched)) {
		log_info("worker adopted", KV("task", task->id), KV("pid", task->pid));
		dispatch_arm_deadline(active);
		follow_read(active);
		return;
	}
	if (same)
		log_error("a worker cannot be adopted", KV("task", task->id), KV("why", unwatched->message));
	else if (pidfd >= 0)
		close(pidfd);
	log_info("worker ended while the agent was away", KV("task", task->id));
	follow_exit(active);
}

void dispatch_adopt(Daemon *daemon)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) tasks = queue_leased(daemon->store, &error);
	if (!tasks) {
		log_error("cannot read which workers run", KV("why", error->message));
		return;
	}
	g_ptr_array_set_free_func(tasks, NULL);
	for (guint i = 0; i < tasks->len; i++)
		adopt(daemon, g_ptr_array_index(tasks, i));
}
