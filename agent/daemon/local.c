/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `assay run`. One plan task over the working tree; then the loop turns until its runs have ended. The logs that the
 * workers write are printed as they grow, each line with its job's name; on a terminal there is a live tree instead, and
 * at the end what failed.
 */
#include "agent/daemon/local.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/daemon/state.h"
#include "agent/daemon/terminal.h"
#include "agent/daemon/watch.h"
#include "agent/store/runs.h"

#define IDLE_ASK_MS 5
#define STAMP_BYTES 25 /* "2026-05-03T10:04:00.123Z " in front of each line of a log */
#define LINE_BYTES (256 * 1024)
#define TICK_MS 120
#define DRAW_US (50 * 1000)
#define FAILED_BYTES (64 * 1024) /* of a failed step's log, its end */
#define FAILED_LINES 200

/* A job's log being printed. */
typedef struct Tail {
	int64_t job;
	char *name;
	char *path;
	int fd;
	unsigned watch;
	GString *line;
	struct Local *local;
} Tail;

typedef struct Local {
	Daemon *daemon;
	GMainLoop *loop;
	const LocalRun *request;
	char *delivery;
	GHashTable *tails; /* int64_t job → Tail */
	bool cancelled;
	bool success;
	guint check_source;
	size_t name_width;
	Terminal *terminal; /* NULL: lines */
	guint tick_source;
	int64_t drawn_us;
} Local;

static void tail_free(Tail *tail)
{
	if (tail->watch)
		watch_remove(tail->watch);
	if (tail->fd >= 0)
		close(tail->fd);
	g_string_free(tail->line, TRUE);
	g_free(tail->name);
	g_free(tail->path);
	g_free(tail);
}

static void print_line(const Tail *tail, const char *text, size_t len)
{
	if (len >= STAMP_BYTES && text[STAMP_BYTES - 1] == ' ' && text[10] == 'T') {
		text += STAMP_BYTES;
		len -= STAMP_BYTES;
	}
	if (tail->local->terminal) {
		terminal_line(tail->local->terminal, tail->job, text, len);
		return;
	}
	if (tail->local->request->json) {
		g_autoptr(json_t) line = json_object();
		json_set_string(line, "job", tail->name);
		json_set(line, "line", json_string_any(text, len));
		g_autofree char *out = json_text(line);
		printf("%s\n", out);
		return;
	}
	printf("%-*s | %.*s\n", (int)tail->local->name_width, tail->name, (int)len, text);
}

static void read_tail(void *data)
{
	Tail *tail = data;
	g_autofree char *buffer = g_malloc(LINE_BYTES);
	for (ssize_t len; (len = read(tail->fd, buffer, LINE_BYTES)) > 0;) {
		const char *at = buffer;
		const char *end = buffer + len;
		for (const char *newline; (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1) {
			g_string_append_len(tail->line, at, newline - at);
			print_line(tail, tail->line->str, tail->line->len);
			g_string_truncate(tail->line, 0);
		}
		g_string_append_len(tail->line, at, end - at);
	}
	fflush(stdout);
}

static void follow_log(Local *local, int64_t run, const json_t *job)
{
	int64_t id = json_get_int(job, "id", 0);
	Tail *tail = g_hash_table_lookup(local->tails, &id);
	const char *status = json_get_string(job, "status", "");
	if (!tail && (strcmp(status, "queued") == 0 || strcmp(status, "skipped") == 0 || json_get_bool(job, "call", false)))
		return;
	if (!tail) {
		g_autofree char *path = daemon_log_path(local->daemon, run, id);
		autofd int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0640);
		if (fd < 0)
			return;
		tail = g_new0(Tail, 1);
		tail->local = local;
		tail->job = id;
		tail->name = g_strdup(json_get_string(job, "name", json_get_string(job, "key", "job")));
		tail->path = g_steal_pointer(&path);
		tail->fd = fd_steal(&fd);
		tail->line = g_string_new(NULL);
		tail->watch = watch_add(tail->path, read_tail, tail, NULL);
		local->name_width = MAX(local->name_width, strlen(tail->name));
		int64_t *key = g_new(int64_t, 1);
		*key = id;
		g_hash_table_insert(local->tails, key, tail);
	}
	read_tail(tail);
}

static void say_how(const Local *local, const json_t *run)
{
	size_t i;
	json_t *job;
	json_array_foreach(json_object_get(run, "jobs"), i, job) {
		const char *message = json_get_string(job, "message", NULL);
		fprintf(stderr, "%-9s %s%s%s\n", json_get_string(job, "status", ""), json_get_string(job, "name", ""),
		        message ? ": " : "", message ? message : "");
	}
	const char *message = json_get_string(run, "message", NULL);
	fprintf(stderr, "%-9s %s%s%s\n", json_get_string(run, "status", ""), json_get_string(run, "workflow", ""),
	        message ? ": " : "", message ? message : "");
	if (local->request->json) {
		g_autofree char *text = json_text(run);
		printf("{\"run\":%s}\n", text);
	}
}

/* The runs of this event with the steps of what runs or failed: what the tree shows. */
static json_t *all_runs(Local *local)
{
	g_autoptr(json_t) filter = json_pack("{s:s}", "delivery", local->delivery);
	g_autoptr(json_t) list = runs_list(local->daemon->store, filter, NULL, 500, NULL);
	json_t *runs = json_array();
	size_t i, k;
	json_t *brief, *job;
	json_array_foreach(json_object_get(list, "runs"), i, brief) {
		json_t *run = runs_get(local->daemon->store, json_get_int(brief, "id", 0), NULL);
		if (!run)
			continue;
		json_array_insert_new(runs, 0, run); /* as they were planned */
		json_array_foreach(json_object_get(run, "jobs"), k, job) {
			const char *status = json_get_string(job, "status", "");
			if (strcmp(status, "running") != 0 && strcmp(status, "failure") != 0)
				continue;
			g_autoptr(json_t) full = runs_job(local->daemon->store, json_get_int(job, "id", 0), NULL);
			json_set(job, "steps", json_incref(json_object_get(full, "steps")));
		}
	}
	return runs;
}

static void draw(Local *local, bool now)
{
	if (!local->terminal || (!now && monotonic_us() - local->drawn_us < DRAW_US))
		return;
	g_autoptr(json_t) runs = all_runs(local);
	terminal_draw(local->terminal, runs, local->cancelled ? "cancelling: steps that clean up still run; Ctrl-C once more leaves at once" : NULL,
	        now_us());
	local->drawn_us = monotonic_us();
}

static gboolean on_tick(gpointer data)
{
	draw(data, true);
	return G_SOURCE_CONTINUE;
}

static gboolean on_resize(gpointer data)
{
	draw(data, true);
	return G_SOURCE_CONTINUE;
}

/* The end of what a failed step wrote. */
static void print_failed(Local *local, int64_t run, const json_t *job)
{
	const json_t *steps = json_object_get(job, "steps"), *failed = NULL;
	size_t i;
	json_t *step;
	int64_t end = G_MAXINT64;
	json_array_foreach(steps, i, step) {
		int64_t offset = json_get_int(step, "log_offset", -1);
		if (!failed && strcmp(json_get_string(step, "status", ""), "failure") == 0 && offset >= 0)
			failed = step;
		else if (failed && offset >= 0)
			end = MIN(end, offset);
	}
	g_autofree char *path = daemon_log_path(local->daemon, run, json_get_int(job, "id", 0));
	autofd int fd = failed ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (fd < 0)
		return;
	end = MIN(end, (int64_t)lseek(fd, 0, SEEK_END));
	int64_t begin = MAX(json_get_int(failed, "log_offset", 0), end - FAILED_BYTES);
	g_autofree char *text = g_malloc0((gsize)MAX(end - begin, 0) + 1);
	if (end <= begin || pread(fd, text, (size_t)(end - begin), begin) <= 0)
		return;
	g_autofree char *name = terminal_harmless(json_get_string(failed, "name", ""), strlen(json_get_string(failed, "name", "")));
	printf("\n== %s, step '%s' ==\n", json_get_string(job, "name", ""), name);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint count = g_strv_length(lines);
	for (guint k = count > FAILED_LINES ? count - FAILED_LINES : 0; k < count; k++) {
		size_t len = strlen(lines[k]);
		bool stamped = len >= STAMP_BYTES && lines[k][STAMP_BYTES - 1] == ' ' && lines[k][10] == 'T';
		const char *line = lines[k] + (stamped ? STAMP_BYTES : 0);
		if (len == 0 || g_str_has_prefix(line, "##[endgroup]"))
			continue;
		g_autofree char *shown = terminal_harmless(line, strlen(line));
		printf("%s\n", shown);
	}
}

static void finish(Local *local)
{
	g_autoptr(json_t) runs = all_runs(local);
	terminal_finish(local->terminal, runs, now_us());
	size_t i, k;
	json_t *run, *job;
	json_array_foreach(runs, i, run)
		json_array_foreach(json_object_get(run, "jobs"), k, job)
			if (strcmp(json_get_string(job, "status", ""), "failure") == 0)
				print_failed(local, json_get_int(run, "id", 0), job);
	fflush(stdout);
}

static gboolean check(gpointer data)
{
	Local *local = data;
	local->check_source = 0;
	g_autoptr(json_t) filter = json_pack("{s:s}", "delivery", local->delivery);
	g_autoptr(json_t) list = runs_list(local->daemon->store, filter, NULL, 500, NULL);
	const json_t *runs = json_object_get(list, "runs");
	bool idle = queue_count(local->daemon->store, NULL) == 0 && g_hash_table_size(local->daemon->active) == 0;
	bool ended = true;
	size_t i, k;
	json_t *brief, *job;
	json_array_foreach(runs, i, brief) {
		int64_t id = json_get_int(brief, "id", 0);
		g_autoptr(json_t) run = runs_get(local->daemon->store, id, NULL);
		json_array_foreach(json_object_get(run, "jobs"), k, job)
			follow_log(local, id, job);
		RunState state;
		if (!run_state_parse(json_get_string(run, "status", NULL), &state) || !run_state_is_end(state))
			ended = false;
	}
	draw(local, false);
	if (!ended)
		return G_SOURCE_REMOVE;
	if (!idle) {
		/* No run will change any more, and nobody tells when the last worker is gone: ask again. */
		local->check_source = g_timeout_add_full(G_PRIORITY_LOW, IDLE_ASK_MS, check, local, NULL);
		return G_SOURCE_REMOVE;
	}
	local->success = json_array_size(runs) > 0;
	json_array_foreach(runs, i, brief) {
		g_autoptr(json_t) run = runs_get(local->daemon->store, json_get_int(brief, "id", 0), NULL);
		if (!local->terminal)
			say_how(local, run);
		const char *status = json_get_string(run, "status", "");
		local->success = local->success && (strcmp(status, "success") == 0 || strcmp(status, "skipped") == 0);
	}
	if (local->terminal)
		finish(local);
	if (json_array_size(runs) == 0)
		fprintf(stderr, "no workflow in %s asks for the event '%s'\n", local->request->folder, local->request->event);
	g_main_loop_quit(local->loop);
	return G_SOURCE_REMOVE;
}

static void on_changed(int64_t run, void *data)
{
	(void)run;
	Local *local = data;
	if (!local->check_source)
		local->check_source = g_idle_add_full(G_PRIORITY_LOW, check, local, NULL);
}

/* Nobody waits for them any more: without an agent they would go on. */
static void kill_workers(const Local *local)
{
	GHashTableIter iter;
	gpointer value;
	g_hash_table_iter_init(&iter, local->daemon->active);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Active *active = value;
		if (active->pidfd >= 0)
			syscall(SYS_pidfd_send_signal, active->pidfd, SIGKILL, NULL, 0);
	}
}

/* Ctrl-C: once cancels, and steps that clean up run; twice ends. */
static gboolean on_interrupt(gpointer data)
{
	Local *local = data;
	if (local->cancelled) {
		kill_workers(local);
		if (local->terminal)
			finish(local);
		g_main_loop_quit(local->loop);
		return G_SOURCE_CONTINUE;
	}
	local->cancelled = true;
	if (!local->terminal)
		fprintf(stderr, "cancelling; once more to leave at once\n");
	g_autoptr(json_t) filter = json_pack("{s:s}", "delivery", local->delivery);
	g_autoptr(json_t) list = runs_list(local->daemon->store, filter, NULL, 500, NULL);
	size_t i;
	json_t *run;
	json_array_foreach(json_object_get(list, "runs"), i, run)
		daemon_cancel(local->daemon, json_get_int(run, "id", 0), "you", NULL);
	return G_SOURCE_CONTINUE;
}

static bool queue_plan(Local *local, GError **error)
{
	const LocalRun *request = local->request;
	g_autoptr(json_t) event = json_object();
	json_set_string(event, "event", request->event);
	json_set_string(event, "ref", NULL);
	json_set_string(event, "actor", g_get_user_name());
	json_set_bool(event, "untrusted", false);
	json_set(event, "payload", request->payload ? json_deep_copy(request->payload) : json_object());
	g_autoptr(json_t) input = json_object();
	json_set(input, "event", json_incref(event));
	json_set_string(input, "workflow", request->workflow);
	json_set_string(input, "job", request->job);
	json_set(input, "inputs", request->inputs ? json_deep_copy(request->inputs) : json_object());
	json_set_string(input, "delivery", local->delivery);
	return queue_put(local->daemon->store, "plan", 0, 0, 0, input, 0, NULL, error);
}

/* A tree where there is a terminal that can draw one. */
static Terminal *open_terminal(const LocalRun *request)
{
	const char *kind = g_getenv("TERM"), *no_color = g_getenv("NO_COLOR");
	if (request->json || !isatty(STDOUT_FILENO) || !kind || !*kind || strcmp(kind, "dumb") == 0)
		return NULL;
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *locale = NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(names) && (!locale || !*locale); i++)
		locale = g_getenv(names[i]);
	g_autofree char *lower = g_ascii_strdown(locale ? locale : "", -1);
	bool plain = !strstr(lower, "utf-8") && !strstr(lower, "utf8");
	return terminal_new(STDOUT_FILENO, !no_color || !*no_color, plain);
}

static json_t *local_object(const LocalRun *request)
{
	g_autofree char *base = g_path_get_basename(request->folder);
	g_autofree char *repo = g_strdup_printf("local/%s", base);
	json_t *object = json_object();
	json_set_string(object, "folder", request->folder);
	json_set_string(object, "repo", repo);
	json_set_string(object, "executor", request->executor);
	json_set_string(object, "network", request->network);
	json_set(object, "secrets", request->secrets ? json_deep_copy(request->secrets) : json_object());
	json_set(object, "vars", request->vars ? json_deep_copy(request->vars) : json_object());
	return object;
}

bool local_run(Daemon *daemon, const LocalRun *request, bool *out_success, GError **error)
{
	Local local = {.daemon = daemon, .request = request, .delivery = g_uuid_string_random(),
	        .loop = g_main_loop_new(NULL, FALSE),
	        .tails = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)tail_free)};
	json_decref(daemon->local);
	daemon->local = local_object(request);
	bool good = queue_plan(&local, error);
	if (good) {
		local.terminal = open_terminal(request);
		guint resize = 0;
		if (local.terminal) {
			resize = g_unix_signal_add(SIGWINCH, on_resize, &local);
			local.tick_source = g_timeout_add(TICK_MS, on_tick, &local);
		}
		unsigned subscription = daemon_subscribe(daemon, on_changed, &local);
		guint interrupt = g_unix_signal_add(SIGINT, on_interrupt, &local);
		guint terminate = g_unix_signal_add(SIGTERM, on_interrupt, &local);
		daemon_wake(daemon);
		on_changed(0, &local);
		g_main_loop_run(local.loop);
		g_source_remove(interrupt);
		g_source_remove(terminate);
		daemon_unsubscribe(daemon, subscription);
		if (resize)
			g_source_remove(resize);
		if (local.tick_source)
			g_source_remove(local.tick_source);
	}
	if (local.check_source)
		g_source_remove(local.check_source);
	g_hash_table_unref(local.tails);
	terminal_free(local.terminal);
	g_main_loop_unref(local.loop);
	g_free(local.delivery);
	*out_success = local.success && !local.cancelled;
	return good;
}
