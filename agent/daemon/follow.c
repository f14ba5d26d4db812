/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker wrote becomes what the store knows: whole lines only, and the offset in the same transaction as their
 * effects, so nothing is applied twice or lost, whenever the agent is killed. A plan or a resolution is applied as a
 * whole once its last line is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/spawn.h"
#include "agent/daemon/state.h"
#include "agent/daemon/watch.h"
#include "agent/model/event.h"
#include "agent/store/runs.h"

#define READ_BYTES (4 * 1024 * 1024)
#define PLAN_BYTES_MAX (64 * 1024 * 1024)
#define TAIL_BYTES 4096
#define RETRY_S 5
#define SOON_MS 10 /* how long the progress of a job may be known to nobody but its worker */
#define PEEK_BYTES 4096
#define CANCEL_US (60LL * G_USEC_PER_SEC) /* from the signal until the worker itself is killed */

static void on_grew(void *data)
{
	follow_grew(data);
}

static char *events_path(const Active *active)
{
	return g_build_filename(active->folder, "events.jsonl", NULL);
}

bool follow_begin(Active *active, GError **error)
{
	g_autofree char *path = events_path(active);
	active->watch = watch_add(path, on_grew, active, error);
	if (!active->watch)
		return false;
	if (active->task->fence == 1 && active->task->pid == 0)
		return true; /* nobody has asked yet */
	/* Answers that were committed but perhaps not written: the worker takes the first of each number. */
	g_autoptr(json_t) answers = queue_answers(active->daemon->store, active->task->id, error);
	if (!answers)
		return false;
	if (json_array_size(answers) == 0)
		return true;
	GString *text = g_string_new(NULL);
	size_t i;
	json_t *answer;
	json_array_foreach(answers, i, answer) {
		g_autofree char *line = json_text(answer);
		g_string_append_printf(text, "%s\n", line);
	}
	g_autofree char *lines = g_string_free(text, FALSE);
	g_autofree char *answers_path = g_build_filename(active->folder, "answers.jsonl", NULL);
	autofd int fd = open(answers_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_errno(error, errno, "cannot open %s", answers_path);
	return fd_write_all(fd, lines, strlen(lines), answers_path, error);
}

static void append_answer(const Active *active, const json_t *answer)
{
	g_autofree char *path = g_build_filename(active->folder, "answers.jsonl", NULL);
	g_autofree char *text = json_text(answer);
	g_autofree char *line = g_strconcat(text, "\n", NULL);
	autofd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	g_autoptr(GError) error = NULL;
	if (fd < 0 || !fd_write_all(fd, line, strlen(line), path, &error))
		log_error("cannot answer a worker", KV("task", active->task->id),
		        KV("why", error ? error->message : g_strerror(errno)));
}

/* The event's time into the fields of a step: running starts it, everything else ends it. */
static json_t *step_object(const json_t *event)
{
	json_t *step = json_copy((json_t *)(uintptr_t)event);
	json_object_del(step, "type");
	int64_t at = json_get_int(event, "t", now_us());
	bool starts = g_strcmp0(json_get_string(event, "status", NULL), "running") == 0;
	json_set_time(step, starts ? "started_at" : "finished_at", at);
	json_object_del(step, "t");
	return step;
}

static bool apply_ask(Active *active, const json_t *event, GPtrArray *answers, GError **error)
{
	int64_t number = json_get_int(event, "ask", 0);
	const char *what = json_get_string(event, "what", "");
	g_autoptr(json_t) answer = asks_answer(active->daemon, active->task, what, json_object_get(event, "with"));
	json_set_int(answer, "ask", number);
	if (!queue_answer(active->daemon->store, active->task->id, number, answer, error))
		return false;
	g_ptr_array_add(answers, g_steal_pointer(&answer));
	return true;
}

/* What a read of a worker's events has come to so far. */
typedef struct Batch {
	GPtrArray *answers;
	json_t *step; /* told of, and not yet in the store */
} Batch;

static void batch_clear(Batch *batch)
{
	g_ptr_array_unref(batch->answers);
	json_decref(batch->step);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Batch, batch_clear)

/* A short step begins and ends in one read: it is written once. */
static bool apply_step(Active *active, const json_t *event, Batch *batch, GError **error)
{
	json_t *step = step_object(event);
	if (json_get_int(batch->step, "number", 0) != json_get_int(step, "number", -1) ||
	        g_strcmp0(json_get_string(batch->step, "status", NULL), "running") != 0) {
		g_autoptr(json_t) before = batch->step;
		batch->step = step;
		return !before || runs_step(active->daemon->store, active->task->job, before, error);
	}
	g_autoptr(json_t) more = step;
	const char *key;
	json_t *value;
	json_object_foreach(more, key, value)
		if (!json_is_null(value))
			json_object_set(batch->step, key, value);
	return true;
}

static bool apply_end(Active *active, const json_t *event, GError **error)
{
	Daemon *daemon = active->daemon;
	if (!active->ended && active->is_job)
		daemon->jobs_running--;
	active->ended = true;
	active->emptied = json_get_bool(event, "emptied", false);
	daemon_wake(daemon);
	return queue_finish(daemon->store, active->task->id, error) &&
	       graph_end_job(daemon, active->task->run, active->task->job, json_get_string(event, "status", "failure"),
	               json_get_string(event, "cause", NULL), json_get_string(event, "message", NULL), error);
}

/* One event of a job. What a worker of an older lease says is not believed. */
static bool apply(Active *active, const json_t *event, Batch *batch, GError **error)
{
	Store *store = active->daemon->store;
	int64_t job = active->task->job;
	const char *type = json_get_string(event, "type", "");
	if (active->ended)
		return true;
	if (strcmp(type, "begin") == 0) {
		if (json_get_int(event, "fence", 0) != active->task->fence)
			return fail(error, ASSAY_ERROR_BUSY, "a worker of an older lease wrote here");
		return true;
	}
	daemon_touch(active->daemon, active->task->run);
	if (strcmp(type, "step") == 0)
		return apply_step(active, event, batch, error);
	if (strcmp(type, "isolation") == 0)
		return runs_set_isolation(store, job, json_get_string(event, "executor", NULL),
		        json_get_string(event, "level", NULL), json_object_get(event, "missing"), error);
	if (strcmp(type, "annotation") == 0)
		return runs_annotate(store, job, event, error);
	if (strcmp(type, "summary") == 0)
		return runs_summarise(store, job, event, error);
	if (strcmp(type, "report") == 0) {
		g_autofree char *digest = NULL;
		return runs_report(store, job, json_object_get(event, "report"), &digest, error);
	}
	if (strcmp(type, "outputs") == 0)
		return runs_set_outputs(store, job, json_object_get(event, "outputs"), error);
	if (strcmp(type, "ask") == 0)
		return apply_ask(active, event, batch->answers, error);
	if (strcmp(type, "end") == 0)
		return apply_end(active, event, error);
	log_debug("event of an unknown type, ignored", KV("type", type));
	return true;
}

/* events.jsonl, opened once; -1 when it cannot be. */
static int events_fd(Active *active)
{
	if (active->events_fd < 0) {
		g_autofree char *path = events_path(active);
		active->events_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	return active->events_fd;
}

static int64_t events_size(Active *active)
{
	struct stat info;
	int fd = events_fd(active);
	return fd >= 0 && fstat(fd, &info) == 0 ? info.st_size : 0;
}

/* Reads what was appended since the offset; NULL when there is nothing, or it cannot be read. */
static GBytes *read_more(Active *active, int64_t limit)
{
	int64_t size = MIN(events_size(active) - active->task->offset, limit);
	g_autofree char *buffer = size > 0 ? g_try_malloc((gsize)size) : NULL;
	ssize_t len = buffer ? pread(active->events_fd, buffer, (size_t)size, active->task->offset) : -1;
	return len > 0 ? g_bytes_new_take(g_steal_pointer(&buffer), (gsize)len) : NULL;
}

/* In the caller's transaction: how far its events are applied and, once, which process it is. */
static bool note_progress(Active *active, int64_t done, GError **error)
{
	const Task *task = active->task;
	Store *store = active->daemon->store;
	return (active->noted || task->pid == 0 ||
	               queue_started(store, task->id, task->fence, task->pid, task->pid_start, task->deadline_us, error)) &&
	       queue_advance(store, task->id, task->fence, task->offset + done, error);
}

/* Why an event could not be applied: the worker's fault, or (false) the store's own trouble, which stops the rest. */
static bool is_refusal(Active *active, const GError *why, GError **error)
{
	if (error && error_code_from_type(error_type(why)) == ASSAY_ERROR_SYSTEM) {
		g_propagate_error(error, g_error_copy(why));
		return false;
	}
	log_warning("event of a worker refused, continuing", KV("task", active->task->id), KV("why", why ? why->message : ""));
	return true;
}

/*
 * Do these lines end in a job's success? Then its slot is free, whatever comes of them here. After a failure the job that is made ready
 * may be one that need not run any more.
 */
static bool frees_slot(const Active *active, const char *text, size_t len)
{
	static const char end[] = "{\"type\":\"end\",", success[] = "\"status\":\"success\"";
	const char *before = active->is_job && !active->ended && len > 1 && text[len - 1] == '\n' ? memrchr(text, '\n', len - 1) : NULL;
	const char *last = before ? before + 1 : text;
	size_t left = (size_t)(text + len - last);
	return before && left > sizeof end && memcmp(last, end, sizeof end - 1) == 0 &&
	       memmem(last, left, success, sizeof success - 1) != NULL;
}

/*
 * Applies the whole lines of text in one transaction; the number of bytes applied, -1 on error. With the end of a job its
 * slot is free: who waits for it is started before anything is written, and what comes after that one is leased in the same
 * transaction, unless lease says otherwise.
 */
static int64_t apply_lines(Active *active, const char *text, size_t len, bool lease, GError **error)
{
	Daemon *daemon = active->daemon;
	g_auto(Batch) batch = {.answers = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref)};
	int64_t done = 0;
	/*
	 * An answer is on the disk before anyone acts on it. The rest can be read again: what a job did and how it ended stays
	 * in its folder until the store's record of it is on the disk as well (folders_release).
	 */
	bool promises = memmem(text, len, "\"ask\"", 5) != NULL;
	Active *next = lease && daemon->adopted && frees_slot(active, text, len) ? dispatch_next(daemon) : NULL;
	if (!(promises ? store_begin(daemon->store, error) : store_begin_relaxed(daemon->store, error)))
		return -1;
	bool good = (!next || dispatch_note(next, error)) && (!active->moves || dispatch_note(active, error));
	bool had_ended = active->ended;
	for (const char *line = text; good && line < text + len;) {
		const char *end = memchr(line, '\n', (size_t)(text + len - line));
		if (!end)
			break;
		g_autoptr(GError) why = NULL;
		g_autoptr(json_t) event = event_parse(line, (size_t)(end - line), &why);
		if (event)
			good = apply(active, event, &batch, &why) || is_refusal(active, why, error);
		else
			is_refusal(active, why, NULL);
		line = end + 1;
		done = line - text;
	}
	g_autoptr(GError) why = NULL;
	good = good &&
	       (!batch.step || runs_step(daemon->store, active->task->job, batch.step, &why) || is_refusal(active, why, error)) &&
	       (active->ended || note_progress(active, done, error));
	GArray *leased = NULL;
	bool stuck = false;
	if (good && lease && daemon->adopted && active->ended && !had_ended) {
		g_autoptr(GError) refused = NULL;
		leased = dispatch_lease(daemon, &refused);
		stuck = !leased;
		if (stuck)
			log_error("tasks wait: the store refuses to lease them", KV("why", refused->message));
	}
	good = good && !stuck;
	if (!good)
		store_rollback(daemon->store);
	if (!good || !daemon_commit(daemon, error)) {
		dispatch_drop(daemon, leased);
		if (active->ended && !had_ended)
			daemon->jobs_running++;
		active->ended = had_ended;
		return stuck ? apply_lines(active, text, len, false, error) : -1;
	}
	active->moves = false;
	if (next)
		next->moves = false;
	active->noted = active->noted || active->task->pid > 0;
	active->task->offset += done;
	active->seen = MAX(active->seen, active->task->offset);
	for (guint i = 0; i < batch.answers->len; i++)
		append_answer(active, g_ptr_array_index(batch.answers, i));
	if (leased)
		dispatch_start(daemon, leased);
	return done;
}

static gboolean on_retry(gpointer data)
{
	Active *active = data;
	active->retry_source = 0;
	follow_read(active);
	return G_SOURCE_REMOVE;
}

/* The store refused (a full disk, mostly): the events stay where they are and are read again. */
static void retry_later(Active *active)
{
	if (!active->retry_source)
		active->retry_source = g_timeout_add_seconds(RETRY_S, on_retry, active);
}

static void follow_job(Active *active)
{
	while (!active->ended) {
		g_autoptr(GBytes) bytes = read_more(active, READ_BYTES);
		gsize len = 0;
		const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
		g_autoptr(GError) error = NULL;
		int64_t done = text ? apply_lines(active, text, len, true, &error) : 0;
		if (done < 0) {
			log_error("cannot apply a worker's events", KV("task", active->task->id), KV("why", error->message));
			retry_later(active);
		}
		if (done <= 0 || (gsize)done < len)
			return; /* the rest of a line is still to come */
	}
}

static bool has_end(Active *active)
{
	int fd = events_fd(active);
	int64_t size = events_size(active);
	char tail[TAIL_BYTES + 1];
	int64_t from = MAX(size - TAIL_BYTES, 0);
	ssize_t len = size > 0 ? pread(fd, tail, TAIL_BYTES, from) : 0;
	if (len <= 0 || tail[len - 1] != '\n')
		return false;
	tail[len - 1] = '\0';
	const char *last = strrchr(tail, '\n');
	last = last ? last + 1 : tail;
	g_autoptr(json_t) event = event_parse(last, strlen(last), NULL);
	return g_strcmp0(json_get_string(event, "type", NULL), "end") == 0;
}

static bool apply_whole(Active *active, const char *text, size_t len, GError **error)
{
	Daemon *daemon = active->daemon;
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
	for (const char *line = text; line < text + len;) {
		const char *end = memchr(line, '\n', (size_t)(text + len - line));
		if (!end)
			break;
		json_t *event = event_parse(line, (size_t)(end - line), error);
		if (!event)
			return false;
		g_ptr_array_add(events, event);
		line = end + 1;
	}
	json_t *const *list = (json_t *const *)events->pdata;
	if (events->len == 0 || json_get_int(list[0], "fence", 0) != active->task->fence)
		return fail(error, ASSAY_ERROR_BUSY, "a worker of an older lease wrote here");
	bool is_plan = strcmp(active->task->kind, "plan") == 0;
	return (is_plan ? graph_plan(daemon, active->task, list, events->len, error)
	                : graph_resolved(daemon, active->task, list, events->len, error));
}

/* A plan or a resolution, applied once and whole. */
static void follow_whole(Active *active)
{
	if (active->ended || !has_end(active))
		return;
	Daemon *daemon = active->daemon;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = read_more(active, MIN(events_size(active), (int64_t)PLAN_BYTES_MAX));
	gsize len = 0;
	const char *text = bytes ? g_bytes_get_data(bytes, &len) : "";
	active->ended = true;
	if (!store_begin(daemon->store, &error)) {
		log_error("cannot apply a plan", KV("why", error->message));
		active->ended = false;
		return;
	}
	g_autoptr(GError) why = NULL;
	bool good = apply_whole(active, text, len, &why);
	if (!good) {
		store_rollback(daemon->store);
		log_error("a plan cannot be used", KV("task", active->task->id), KV("why", why->message));
		if (!store_begin(daemon->store, &error))
			return;
		if (active->task->job > 0)
			graph_end_job(daemon, active->task->run, active->task->job, "failure", CAUSE_AGENT, why->message, NULL);
	}
	if (!queue_finish(daemon->store, active->task->id, &error)) {
		store_rollback(daemon->store);
		log_error("cannot end a task", KV("why", error->message));
		return;
	}
	if (!daemon_commit(daemon, &error))
		log_error("cannot apply a plan", KV("why", error->message));
	daemon_wake(daemon);
}

static gboolean on_soon(gpointer data)
{
	Active *active = data;
	active->soon_source = 0;
	follow_read(active);
	return G_SOURCE_REMOVE;
}

/* Does what was not yet looked at hold something that its worker, or a slot, waits for? */
static bool is_urgent(Active *active)
{
	char text[PEEK_BYTES];
	int fd = events_fd(active);
	ssize_t len = fd >= 0 ? pread(fd, text, sizeof text, active->seen) : -1;
	if (len <= 0)
		return false;
	active->seen += len;
	return len == (ssize_t)sizeof text || memmem(text, (size_t)len, "\"ask\"", 5) || memmem(text, (size_t)len, "\"end\"", 5);
}

void follow_grew(Active *active)
{
	if (!active->is_job || is_urgent(active))
		follow_read(active);
	else if (!active->soon_source && !active->ended)
		active->soon_source = g_timeout_add(SOON_MS, on_soon, active);
}

void follow_read(Active *active)
{
	g_clear_handle_id(&active->soon_source, g_source_remove);
	if (active->is_job)
		follow_job(active);
	else
		follow_whole(active);
}

/* The worker ended without saying how its task did. */
static void end_unsaid(Active *active)
{
	Daemon *daemon = active->daemon;
	const Task *task = active->task;
	bool late = task->deadline_us > 0 && now_us() >= task->deadline_us;
	const char *cause = task->cancelling ? CAUSE_CANCELLED : late ? CAUSE_TIMEOUT : CAUSE_AGENT;
	const char *message = task->cancelling ? "cancelled; its worker did not stop in time and was killed"
	        : late ? "past its time; its worker did not stop and was killed"
	               : "its worker process ended without a result: killed, out of memory, or a crash; see the agent's log";
	g_autoptr(GError) error = NULL;
	log_error("worker ended without a result", KV("task", task->id), KV("kind", task->kind), KV("cause", cause));
	active->ended = true;
	if (active->is_job)
		daemon->jobs_running--;
	if (store_begin(daemon->store, &error)) {
		bool good = (!active->moves || dispatch_note(active, &error)) && queue_finish(daemon->store, task->id, &error);
		if (good && task->job > 0)
			good = graph_end_job(daemon, task->run, task->job, task->cancelling ? "cancelled" : "failure", cause, message, &error);
		else if (good)
			good = graph_plan(daemon, task, NULL, 0, &error);
		if (good)
			daemon_commit(daemon, &error);
		else
			store_rollback(daemon->store);
	}
	if (error)
		log_error("cannot end a task", KV("task", task->id), KV("why", error->message));
}

void follow_exit(Active *active)
{
	Daemon *daemon = active->daemon;
	follow_read(active);
	if (!active->ended) {
		end_unsaid(active);
		zygote_tidy(daemon->zygote, active->task->pid);
	}
	if (active->watch)
		watch_remove(active->watch);
	active->watch = 0;
	folders_release(daemon, active->folder, active->emptied);
	g_hash_table_remove(daemon->active, &active->task->id);
	daemon_wake(daemon);
}

void follow_cancel(Active *active)
{
	active->task->cancelling = true;
	active->task->deadline_us = now_us() + CANCEL_US;
	g_autoptr(GError) error = NULL;
	if (!queue_set_cancelling(active->daemon->store, active->task->id, active->task->deadline_us, &error))
		log_warning("cannot note a cancellation, continuing", KV("why", error->message));
	if (active->pidfd < 0)
		return; /* dispatch_started comes back here */
	if (syscall(SYS_pidfd_send_signal, active->pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
		log_warning("cannot signal a worker, continuing", KV("task", active->task->id), KV("why", g_strerror(errno)));
	dispatch_arm_deadline(active);
}
