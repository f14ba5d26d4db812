/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's state and its turn of the loop: whatever changed asks for one wake-up, and a wake-up looks at
 * deliveries, then at the queue. Everything else happens in the file that is named after it.
 */
#include "agent/daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/model/inputs.h"
#include "agent/store/audit.h"
#include "agent/store/repos.h"
#include "agent/store/runs.h"
#include "agent/store/workflows.h"

#define KEY_BYTES 32
#define TURN_LATEST_MS 50
#define DELIVERIES_A_TURN 16

typedef struct Subscriber {
	unsigned id;
	DaemonChanged changed;
	void *data;
} Subscriber;

/* The key that seals secrets: a systemd credential, the configured file, or D/key, made on the first start. */
static bool read_key(const Config *config, uint8_t key[KEY_BYTES], GError **error)
{
	const char *credentials = g_getenv("CREDENTIALS_DIRECTORY");
	g_autofree char *credential = credentials ? g_build_filename(credentials, "assay.key", NULL) : NULL;
	g_autofree char *standard = g_build_filename(config->data, "key", NULL);
	const char *path = standard;
	if (config->key_file)
		path = config->key_file;
	else if (credential && access(credential, R_OK) == 0)
		path = credential;
	if (path == standard && access(path, F_OK) != 0) {
		random_bytes(key, KEY_BYTES);
		return fd_replace_file(path, key, KEY_BYTES, 0600, true, error);
	}
	struct stat info;
	if (stat(path, &info) == 0 && path != credential && (info.st_mode & 077))
		return fail(error, ASSAY_ERROR_DENIED,
		        "the key file %s can be read by others: chmod 600 it", path);
	g_autoptr(GBytes) bytes = fd_read_file(path, KEY_BYTES, error);
	if (!bytes)
		return false;
	if (g_bytes_get_size(bytes) != KEY_BYTES)
		return fail(error, ASSAY_ERROR_USER, "the key file %s holds %zu bytes; it must hold %d", path,
		        g_bytes_get_size(bytes), KEY_BYTES);
	memcpy(key, g_bytes_get_data(bytes, NULL), KEY_BYTES);
	return true;
}

/*
 * A hint for file systems that keep a folder's files together: what lies below this one has nothing in common. So the logs of a
 * run come to a place of their own, and not to where much was deleted lately, which makes new files dear (decision 0003).
 */
static void spread(const char *path)
{
	long flags = 0;
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
		flags |= FS_TOPDIR_FL;
		ioctl(fd, FS_IOC_SETFLAGS, &flags); /* who does not know it does without */
	}
}

static bool make_folders(const Config *config, GError **error)
{
	static const char *const names[] = {"objects", "repos", "jobs", "logs"};
	if (!fd_make_folder(config->data, 0750, error))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(config->data, names[i], NULL);
		if (!fd_make_folder(path, 0711, error))
			return false;
		if (strcmp(names[i], "logs") == 0)
			spread(path);
	}
	return true;
}

/* One agent a data folder: the lock is the kernel's and ends with the process. */
static bool lock_data(const Config *config, GError **error)
{
	g_autofree char *path = g_build_filename(config->data, "lock", NULL);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* kept until the process ends */
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fd < 0)
		return fail_errno(error, errno, "cannot open %s", path);
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		close(fd);
		return fail(error, ASSAY_ERROR_BUSY, "another agent uses the data folder %s; stop it, or give --data",
		        config->data);
	}
	return true;
}

/* A list for a name that is mistyped would hold for nobody. */
static void warn_of_strange_repos(Daemon *daemon)
{
	const char *name;
	json_t *list;
	json_object_foreach(daemon->config->repo_allow, name, list) {
		g_autoptr(GError) error = NULL;
		g_autoptr(json_t) repo = repos_get(daemon->store, name, &error);
		if (!repo && !g_str_has_prefix(name, "local/"))
			log_warning("the config's sandbox.repos names a repo that is not known, continuing", KV("repo", name));
	}
}

Daemon *daemon_new(const Config *config, const char *worker, GError **error)
{
	g_autofree char *path = g_build_filename(config->data, "assay.db", NULL);
	uint8_t key[KEY_BYTES];
	if (!make_folders(config, error) || !lock_data(config, error) || !read_key(config, key, error))
		return NULL;
	Daemon *daemon = g_new0(Daemon, 1);
	daemon->config = config;
	daemon->active = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)active_free);
	daemon->touched = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	daemon->subscribers = g_array_new(FALSE, FALSE, sizeof(Subscriber));
	folders_open(daemon);
	daemon->schedule_fd = -1;
	daemon->exits_fd = -1;
	daemon->contexts = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	daemon->jobs_max = config->jobs > 0 ? config->jobs : (int)g_get_num_processors();
	daemon->store = store_open(path, key, error);
	explicit_bzero(key, sizeof key);
	if (daemon->store && exits_begin(daemon, error))
		daemon->zygote = zygote_new(worker, dispatch_started, daemon, error);
	if (!daemon->zygote) {
		daemon_free(daemon);
		return NULL;
	}
	warn_of_strange_repos(daemon);
	folders_begin(worker);
	folders_forget(daemon);
	dispatch_adopt(daemon);
	daemon->adopted = true;
	folders_sweep(daemon);
	gatekeeper_arm(daemon);
	schedule_begin(daemon);
	daemon_wake(daemon);
	return daemon;
}

void daemon_free(Daemon *daemon)
{
	if (!daemon)
		return;
	dispatch_forget_next(daemon, true);
	daemon->stopping = true;
	dispatch_drop(daemon, g_steal_pointer(&daemon->next));
	g_clear_handle_id(&daemon->next_source, g_source_remove);
	folders_forget(daemon);
	g_clear_handle_id(&daemon->wake_source, g_source_remove);
	g_clear_handle_id(&daemon->late_source, g_source_remove);
	if (daemon->expiry_source)
		g_source_remove(daemon->expiry_source);
	schedule_stop(daemon);
	g_hash_table_unref(daemon->active);
	exits_stop(daemon);
	g_ptr_array_unref(daemon->ended);
	g_hash_table_unref(daemon->contexts);
	zygote_free(daemon->zygote);
	store_close(daemon->store);
	g_hash_table_unref(daemon->touched);
	g_array_unref(daemon->subscribers);
	json_decref(daemon->local);
	g_free(daemon->url);
	g_free(daemon);
}

Store *daemon_store(Daemon *daemon)
{
	return daemon->store;
}

const char *daemon_worker(const Daemon *daemon)
{
	return daemon->zygote ? zygote_worker(daemon->zygote) : NULL;
}

const Config *daemon_config(const Daemon *daemon)
{
	return daemon->config;
}

void daemon_set_url(Daemon *daemon, const char *url)
{
	g_free(daemon->url);
	daemon->url = g_strdup(daemon->config->url ? daemon->config->url : url);
}

const char *daemon_url(const Daemon *daemon)
{
	return daemon->url ? daemon->url : "";
}

/*
 * One turn: a few deliveries, who was called in a concurrency group, then the queue. It comes after what is waiting on sockets, so that a burst of webhooks is
 * stored and answered first; but not later than TURN_LATEST_MS after it was asked for.
 */
static void turn(Daemon *daemon)
{
	g_clear_handle_id(&daemon->wake_source, g_source_remove);
	g_clear_handle_id(&daemon->late_source, g_source_remove);
	bool more = intake_run(daemon, DELIVERIES_A_TURN);
	turns_run(daemon);
	dispatch_run(daemon);
	if (more)
		daemon_wake(daemon);
}

static gboolean on_wake(gpointer data)
{
	Daemon *daemon = data;
	daemon->wake_source = 0;
	turn(daemon);
	return G_SOURCE_REMOVE;
}

static gboolean on_late(gpointer data)
{
	Daemon *daemon = data;
	daemon->late_source = 0;
	turn(daemon);
	return G_SOURCE_REMOVE;
}

void daemon_wake(Daemon *daemon)
{
	if (daemon->wake_source || daemon->stopping)
		return;
	daemon->wake_source = g_idle_add_full(G_PRIORITY_DEFAULT_IDLE, on_wake, daemon, NULL);
	if (!daemon->late_source)
		daemon->late_source = g_timeout_add(TURN_LATEST_MS, on_late, daemon);
}

void daemon_touch(Daemon *daemon, int64_t run)
{
	int64_t *key = g_new(int64_t, 1);
	*key = run;
	g_hash_table_add(daemon->touched, key);
}

static void tell_subscribers(Daemon *daemon, int64_t run)
{
	/* by index: a callback may unsubscribe itself */
	for (guint i = daemon->subscribers->len; i-- > 0;)
		if (i < daemon->subscribers->len) {
			const Subscriber subscriber = g_array_index(daemon->subscribers, Subscriber, i);
			subscriber.changed(run, subscriber.data);
		}
}

bool daemon_commit(Daemon *daemon, GError **error)
{
	if (!store_commit(daemon->store, error)) {
		store_rollback(daemon->store);
		g_hash_table_remove_all(daemon->touched);
		return false;
	}
	g_autoptr(GHashTable) touched = daemon->touched;
	daemon->touched = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	GHashTableIter iter;
	gpointer run;
	g_hash_table_iter_init(&iter, touched);
	while (g_hash_table_iter_next(&iter, &run, NULL))
		tell_subscribers(daemon, *(int64_t *)run);
	return true;
}

unsigned daemon_subscribe(Daemon *daemon, DaemonChanged changed, void *data)
{
	const Subscriber subscriber = {.id = ++daemon->last_subscriber, .changed = changed, .data = data};
	g_array_append_val(daemon->subscribers, subscriber);
	return subscriber.id;
}

void daemon_unsubscribe(Daemon *daemon, unsigned id)
{
	for (guint i = 0; i < daemon->subscribers->len; i++)
		if (g_array_index(daemon->subscribers, Subscriber, i).id == id) {
			g_array_remove_index(daemon->subscribers, i);
			return;
		}
}

char *daemon_task_folder(const Daemon *daemon, int64_t task)
{
	return g_strdup_printf("%s/jobs/%" G_GINT64_FORMAT, daemon->config->data, task);
}

char *daemon_log_path(Daemon *daemon, int64_t run, int64_t job)
{
	return g_strdup_printf("%s/logs/%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT ".log", daemon->config->data, run, job);
}

/* "main" → "refs/heads/main"; what begins with refs/ stays. */
static char *full_ref(const char *ref)
{
	return g_str_has_prefix(ref, "refs/") ? g_strdup(ref) : g_strconcat("refs/heads/", ref, NULL);
}

/* Does the workflow of the default branch, as it was read last, take these inputs? What is not known is not refused here. */
static bool check_inputs(Daemon *daemon, int64_t repo, const char *workflow, const char *ref, const json_t *given, GError **error)
{
	g_autoptr(json_t) known = workflows_list(daemon->store, repo, NULL);
	size_t i, k;
	json_t *one, *input;
	if (g_strcmp0(json_get_string(known, "ref", NULL), ref) != 0)
		return true;
	json_array_foreach(json_object_get(known, "workflows"), i, one) {
		const char *path = json_get_string(one, "path", "");
		const char *base = strrchr(path, '/');
		if (strcmp(path, workflow) != 0 && (!base || strcmp(base + 1, workflow) != 0))
			continue;
		if (!json_is_array(json_object_get(one, "inputs")))
			return true; /* the worker says it, at the commit that is */
		g_autoptr(json_t) declared = json_object();
		json_array_foreach(json_object_get(one, "inputs"), k, input)
			json_object_set(declared, json_get_string(input, "name", ""), input);
		g_autoptr(json_t) complete = inputs_complete(declared, given, path, error);
		return complete != NULL;
	}
	return true;
}

/* event_type and client_payload become the event that forges call repository_dispatch. */
static json_t *own_event(const json_t *request, const char *ref)
{
	json_t *event = json_object();
	json_t *payload = json_object();
	const char *type = json_get_string(request, "event_type", "");
	json_t *given = json_object_get(request, "client_payload");
	json_set_string(event, "event", "repository_dispatch");
	json_set_string(event, "action", type);
	json_set_string(event, "title", type);
	json_set_string(payload, "action", type);
	json_set_string(payload, "branch", g_str_has_prefix(ref, "refs/heads/") ? ref + strlen("refs/heads/") : ref);
	json_set(payload, "client_payload", given ? json_incref(given) : json_object());
	json_set(event, "payload", payload);
	return event;
}

bool daemon_dispatch(Daemon *daemon, const char *repo, const json_t *request, const char *actor,
        char **out_delivery, GError **error)
{
	g_autoptr(json_t) found = repos_get(daemon->store, repo, error);
	if (!found)
		return false;
	int64_t id = json_get_int(found, "id", 0);
	const char *workflow = json_get_string(request, "workflow", NULL);
	const char *type = json_get_string(request, "event_type", NULL);
	if (!workflow && !type)
		return fail(error, ASSAY_ERROR_USER, "the request names no workflow; say which file, such as train.yml");
	g_autofree char *known = workflows_ref(daemon->store, id);
	const char *branch = json_get_string(found, "default_branch", known);
	const char *ref = type ? branch : json_get_string(request, "ref", branch);
	g_autofree char *full = full_ref(ref && *ref ? ref : "main");
	json_t *inputs = json_object_get(request, "inputs");
	if (!type && !check_inputs(daemon, id, workflow, full, inputs, error))
		return false;
	g_autofree char *delivery = g_uuid_string_random();
	g_autoptr(json_t) event = type ? own_event(request, full) : json_object();
	if (!type)
		json_set_string(event, "event", "workflow_dispatch");
	json_set_string(event, "ref", full);
	json_set_string(event, "actor", actor);
	json_set_bool(event, "untrusted", false);
	g_autoptr(json_t) input = json_object();
	json_set(input, "event", json_incref(event));
	if (!type)
		json_set_string(input, "workflow", workflow);
	json_set(input, "inputs", inputs ? json_incref(inputs) : json_object());
	json_set_string(input, "delivery", delivery);
	if (!store_begin(daemon->store, error))
		return false;
	g_autofree char *subject = g_strdup_printf("%s %s", repo, type ? type : workflow);
	if (!queue_put(daemon->store, "plan", id, 0, 0, input, 0, NULL, error) ||
	        !audit_add(daemon->store, actor, "run.dispatch", subject, request, error)) {
		store_rollback(daemon->store);
		return false;
	}
	if (!daemon_commit(daemon, error))
		return false;
	if (!known) /* it was empty when it was looked at */
		daemon_survey(daemon, id, NULL);
	daemon_wake(daemon);
	*out_delivery = g_steal_pointer(&delivery);
	return true;
}

bool daemon_cancel(Daemon *daemon, int64_t run, const char *actor, GError **error)
{
	g_autoptr(json_t) found = runs_get(daemon->store, run, error);
	if (!found)
		return false;
	RunState state;
	if (run_state_parse(json_get_string(found, "status", NULL), &state) && run_state_is_end(state))
		return fail(error, ASSAY_ERROR_BUSY, "run %" G_GINT64_FORMAT " has ended already", run);
	g_autofree char *message = g_strdup_printf("cancelled by %s", actor);
	g_autofree char *subject = g_strdup_printf("run %" G_GINT64_FORMAT, run);
	if (!store_begin(daemon->store, error))
		return false;
	bool good = audit_add(daemon->store, actor, "run.cancel", subject, NULL, error) &&
	            cancel_run(daemon, run, message, error);
	if (!good) {
		store_rollback(daemon->store);
		return false;
	}
	if (!daemon_commit(daemon, error))
		return false;
	log_info("run cancelled", KV("run", run), KV("by", actor));
	daemon_wake(daemon);
	return true;
}
