/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task's frame: read what there is to do, write `begin`, let one of three do it (planning.c, job.c), write `end`.
 * The frame owns the descriptors that all three share.
 */
#include "agent/job/task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/job/confine.h"
#include "agent/job/job.h"
#include "agent/job/planning.h"
#include "agent/job/tree.h"
#include "agent/model/run.h"

json_t *task_event(EventType type)
{
	return event_new(type, now_us());
}

/* Free text may hold a secret; states, digests and numbers of ours do not, and must stay what they are. */
static void mask_event(Task *task, json_t *event)
{
	static const char *const free_text[] = {"name", "message", "title", "file", "markdown", "report", "missing",
	        "errors"};
	if (mask_is_empty(task->mask))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(free_text); i++) {
		json_t *value = json_object_get(event, free_text[i]);
		if (value)
			json_object_set_new(event, free_text[i], mask_json(task->mask, value));
	}
}

static bool put_lines(Task *task, const char *lines, size_t len, GError **error)
{
	ssize_t put;
	do
		put = write(task->events_fd, lines, len);
	while (put < 0 && errno == EINTR);
	if (put == (ssize_t)len)
		return true;
	if (put < 0)
		return fail_errno(error, errno, "cannot write events.jsonl");
	/* The disk took a part: end the torn line, which the agent will refuse, and say so. */
	(void)!write(task->events_fd, "\n", 1);
	return fail_errno(error, ENOSPC, "cannot write events.jsonl");
}

bool task_flush(Task *task, GError **error)
{
	if (!task->held)
		return true;
	g_autoptr(GString) lines = g_steal_pointer(&task->held);
	return put_lines(task, lines->str, lines->len, error);
}

bool task_emit_later(Task *task, json_t *event, GError **error)
{
	g_autoptr(json_t) owned = event;
	mask_event(task, owned);
	size_t len = 0;
	g_autofree char *line = event_line(owned, &len, error);
	if (!line)
		return false;
	int64_t now = monotonic_us();
	if (!task->held) {
		task->held = g_string_sized_new(1024);
		task->held_until_us = now + TASK_HOLD_US;
	}
	g_string_append_len(task->held, line, (gssize)len);
	return now < task->held_until_us || task_flush(task, error);
}

bool task_emit(Task *task, json_t *event, GError **error)
{
	if (task->held)
		return task_emit_later(task, event, error) && task_flush(task, error);
	g_autoptr(json_t) owned = event;
	mask_event(task, owned);
	size_t len = 0;
	g_autofree char *line = event_line(owned, &len, error);
	return line && put_lines(task, line, len, error);
}

bool task_is_cancelled(Task *task)
{
	struct signalfd_siginfo info;
	while (task->signal_fd >= 0 && read(task->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
		task->cancelled = true;
	return task->cancelled;
}

const json_t *task_repo(const Task *task)
{
	return json_object_get(task->spec, "repo");
}

const char *task_job_token(const Task *task)
{
	return json_get_bool(task->spec, "untrusted", false) ? NULL : task->token;
}

const char *task_repo_name(const Task *task)
{
	return json_get_string(task_repo(task), "name", "local/repo");
}

void task_end_fail(TaskEnd *end, const char *cause, char *message)
{
	g_free(end->message);
	end->status = "failure";
	end->cause = cause;
	end->message = message;
}

const char *task_cause_of(const Task *task, const GError *error, const char *otherwise)
{
	if (task->cancelled)
		return CAUSE_CANCELLED;
	if (error && (strstr(error->message, g_strerror(ENOSPC)) || strstr(error->message, g_strerror(EDQUOT))))
		return CAUSE_DISK;
	return otherwise;
}

static void take_secrets(Task *task, json_t *to, json_t *from)
{
	const char *name;
	json_t *value;
	json_object_foreach(from, name, value) {
		if (!json_is_string(value))
			continue;
		json_object_set(to, name, value);
		mask_add(task->mask, json_string_value(value), json_string_length(value));
	}
}

static bool read_secrets(Task *task, int secrets_fd, GError **error)
{
	task->secrets = json_object();
	task->environment_secrets = json_object();
	if (secrets_fd < 0)
		return true;
	g_autoptr(GBytes) bytes = fd_read_all(secrets_fd, TASK_SECRETS_BYTES_MAX, "the task's secrets", error);
	if (!bytes)
		return false;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autoptr(json_t) all = json_parse(text ? text : "", len, "the task's secrets", error);
	if (!all)
		return false;
	take_secrets(task, task->secrets, json_object_get(all, "secrets"));
	take_secrets(task, task->environment_secrets, json_object_get(all, "environment_secrets"));
	task->token = g_strdup(json_get_string(all, "token", NULL));
	task->ssh_key = g_strdup(json_get_string(all, "ssh_key", NULL));
	task->known_hosts = g_strdup(json_get_string(all, "known_hosts", NULL));
	if (task->ssh_key && task->ssh_key[0])
		mask_add(task->mask, task->ssh_key, strlen(task->ssh_key));
	if (task->token && task->token[0])
		mask_add(task->mask, task->token, strlen(task->token));
	return true;
}

static int open_signals(void)
{
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* the zygote ignores it; we wait for our children */
	return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Does an expression of it perhaps look at the event: is there a text that names it, or github as a whole? */
static bool names_event(const json_t *value)
{
	const char *key;
	json_t *inner;
	size_t i;
	if (json_is_object(value)) {
		json_object_foreach((json_t *)(uintptr_t)value, key, inner)
			if (strcmp(key, "uses") == 0 || names_event(inner)) /* what an action asks for is not known yet */
				return true;
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, inner)
			if (names_event(inner))
				return true;
	} else if (json_is_string(value)) {
		const char *text = json_string_value(value);
		if (strcasestr(text, "event"))
			return true;
		for (const char *at = text; (at = strcasestr(at, "github")); at += 6)
			if (at[6] != '.' || !(g_ascii_isalpha(at[7]) || at[7] == '_'))
				return true;
	}
	return false;
}

/* The event's payload has a file of its own; only who looks at it pays for reading it. */
static bool load_event(const Task *task, json_t *github, GError **error)
{
	const char *path = json_get_string(task->spec, "event_file", NULL);
	const char *const asking[] = {"definition", "resolved", "job", "secrets", "call"};
	bool wanted = strcmp(json_get_string(task->spec, "kind", ""), "job") != 0 ||
	              strcmp(json_get_string(github, "event_name", ""), "workflow_dispatch") == 0;
	for (size_t i = 0; !wanted && i < G_N_ELEMENTS(asking); i++)
		wanted = names_event(json_object_get(task->spec, asking[i]));
	if (!path || !wanted || json_object_get(github, "event"))
		return true;
	json_t *event = json_parse_file(path, TASK_SPEC_BYTES_MAX, error);
	if (event)
		json_set(github, "event", event);
	return event != NULL;
}

/*
 * The github context comes in three parts: as it was planned, at the top of job.json; its event; and what the agent adds to
 * it for this task, in the contexts. Here they become one; and `inputs` are the dispatch's, unless something said otherwise.
 */
static bool join_contexts(const Task *task, GError **error)
{
	json_t *contexts = json_object_get(task->spec, "contexts");
	json_t *github = json_object_get(task->spec, "github");
	if (!json_is_object(contexts) || !json_is_object(github))
		return true;
	if (!load_event(task, github, error))
		return false;
	json_object_update(github, json_object_get(contexts, "github"));
	json_set(contexts, "github", json_incref(github));
	json_object_del(task->spec, "github");
	if (json_object_get(contexts, "inputs"))
		return true;
	json_t *inputs = json_object_get(github, "inputs"); /* typed; those of the event are texts */
	if (!inputs)
		inputs = json_object_get(json_object_get(github, "event"), "inputs");
	json_set(contexts, "inputs", json_is_object(inputs) ? json_incref(inputs) : json_object());
	return true;
}

static bool task_open(Task *task, const char *folder, int secrets_fd, GError **error)
{
	task->folder = g_canonicalize_filename(folder, NULL);
	task->folder_fd = open(task->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (task->folder_fd < 0)
		return fail_errno(error, errno, "cannot open the task's folder %s", folder);
	task->signal_fd = open_signals();
	if (task->signal_fd < 0)
		return fail_errno(error, errno, "cannot watch for signals");
	task->mask = mask_new();
	task->events_fd = openat(task->folder_fd, "events.jsonl", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
	        0600);
	if (task->events_fd < 0)
		return fail_errno(error, errno, "cannot open events.jsonl in %s", folder);
	if (!read_secrets(task, secrets_fd, error))
		return false;
	g_autofree char *path = g_build_filename(task->folder, "job.json", NULL);
	task->spec = json_parse_file(path, TASK_SPEC_BYTES_MAX, error);
	if (!task->spec)
		return false;
	if (json_get_int(task->spec, "version", 0) != 1)
		return fail(error, ASSAY_ERROR_USER, "job.json: version %" G_GINT64_FORMAT
		        ", and this worker reads version 1; let agent and worker be of one release",
		        json_get_int(task->spec, "version", 0));
	return join_contexts(task, error);
}

static void task_close(Task *task)
{
	json_decref(task->spec);
	json_decref(task->secrets);
	json_decref(task->environment_secrets);
	g_free(task->token);
	g_free(task->ssh_key);
	g_free(task->known_hosts);
	mask_free(task->mask);
	g_free(task->folder);
	if (task->held)
		g_string_free(task->held, TRUE);
	autofd_close(&task->folder_fd);
	autofd_close(&task->events_fd);
	autofd_close(&task->signal_fd);
}

static void do_it(Task *task, TaskEnd *end)
{
	const char *kind = json_get_string(task->spec, "kind", "");
	if (strcmp(kind, "plan") == 0)
		planning_plan(task, end);
	else if (strcmp(kind, "resolve") == 0)
		planning_resolve(task, end);
	else if (strcmp(kind, "job") == 0)
		job_run(task, end);
	else
		task_end_fail(end, CAUSE_AGENT, g_strdup_printf("job.json: kind '%s' is not plan, resolve or job", kind));
}

static bool is_job(const Task *task)
{
	return task->folder_fd >= 0 && strcmp(json_get_string(task->spec, "kind", ""), "job") == 0;
}

/* The steps' trees go here, when all is said: the agent may not block on a large one. What stays, it removes itself. */
static void clean(const Task *task)
{
	g_autoptr(GError) error = NULL;
	if (is_job(task) && !job_strip_folders(task, false, &error))
		log_warning("what a job left cannot be removed by its worker, continuing", KV("why", error->message));
}

int task_main(const char *folder, int secrets_fd)
{
	Task task = {.folder_fd = -1, .events_fd = -1, .signal_fd = -1};
	TaskEnd end = {.status = "success"};
	g_autoptr(GError) error = NULL;
	confine_begin();
	if (!task_open(&task, folder, secrets_fd, &error)) {
		task_end_fail(&end, CAUSE_AGENT, g_strdup(error->message));
	} else {
		json_t *begin = task_event(EVENT_BEGIN);
		json_set_int(begin, "pid", getpid());
		json_set_int(begin, "fence", json_get_int(task.spec, "fence", 0));
		if (task_emit(&task, begin, &error))
			do_it(&task, &end);
		else
			task_end_fail(&end, task_cause_of(&task, error, CAUSE_AGENT), g_strdup(error->message));
	}
	g_clear_error(&error);
	bool written = false;
	bool emptied = is_job(&task) && job_has_emptied(&task); /* most have: then nobody has to look again */
	if (task.events_fd >= 0 && task.mask) {
		json_t *last = task_event(EVENT_END);
		json_set_string(last, "status", end.status);
		json_set_string(last, "cause", end.cause);
		json_set_string(last, "message", end.message);
		if (emptied)
			json_set_bool(last, "emptied", true);
		written = task_emit(&task, last, &error);
	}
	if (!written)
		log_error("cannot tell how a task ended", KV("folder", folder),
		        KV("why", error ? error->message : end.message));
	g_free(end.message);
	if (!emptied)
		clean(&task);
	if (TASK_GIVES_BACK)
		task_close(&task);
	return written ? 0 : 1;
}
