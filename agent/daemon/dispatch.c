/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue × slots → workers. A task is leased, its folder is made and the lease committed before a worker is asked
 * for; so after a crash each leased task either has a worker, or an empty folder and goes back to the queue.
 */
#include <errno.h>
#include <fcntl.h>
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
#include "agent/store/runs.h"
#include "agent/store/secrets.h"

#define SHORT_TASK_US (10LL * 60 * G_USEC_PER_SEC) /* plan and resolve, a slow fetch included */
#define DEADLINE_SLACK_US (60LL * G_USEC_PER_SEC)  /* the worker ends a job by itself; this is for one that cannot */
#define NEXT_US (1LL * G_USEC_PER_SEC) /* how long what was made ready may wait for its slot: it knows secrets of then */

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
	g_autofree char *description = describe_task(daemon, task, &secrets, &timeout_us, &start.git, &why);
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
