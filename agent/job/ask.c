/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ask is a line in events.jsonl, its answer a line in answers.jsonl. The folder is watched, so that the wait costs
 * nothing; the watch stands before the file is read, so that no answer falls between. What a restarted agent writes
 * twice is read once: the number decides.
 */
#include "agent/job/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"

#define ANSWER_LINE_BYTES_MAX (16 * 1024 * 1024)
#define READ_BYTES (64 * 1024)

/* Reads the whole lines behind job->answers_offset; the one with our number, or NULL. */
static json_t *read_answers(Job *job, GError **error)
{
	autofd int fd = openat(job->task->folder_fd, "answers.jsonl", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		if (errno != ENOENT)
			fail_errno(error, errno, "cannot open answers.jsonl");
		return NULL;
	}
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	for (;;) {
		guint old = bytes->len;
		g_byte_array_set_size(bytes, old + READ_BYTES);
		ssize_t got = pread(fd, bytes->data + old, READ_BYTES, job->answers_offset + old);
		g_byte_array_set_size(bytes, old + (guint)MAX(got, 0));
		if (got < 0 && errno != EINTR) {
			fail_errno(error, errno, "cannot read answers.jsonl");
			return NULL;
		}
		if (got == 0 || bytes->len > ANSWER_LINE_BYTES_MAX)
			break;
	}
	size_t used = 0;
	size_t len = 0;
	json_t *found = NULL;
	for (const char *line;
	        !found && (line = event_next_line((const char *)bytes->data, bytes->len, &used, &len));) {
		g_autoptr(json_t) answer = json_parse(line, len, "answers.jsonl", error);
		if (!answer)
			return NULL;
		if (json_get_int(answer, "ask", 0) == job->asked)
			found = g_steal_pointer(&answer);
	}
	job->answers_offset += (int64_t)used;
	return found;
}

/* Waits for something new in the folder; false when the job should end. */
static bool wait_for_news(Job *job, int watch_fd, bool was_cancelled, GError **error)
{
	int64_t deadline = job_deadline(job);
	int64_t left = deadline ? deadline - monotonic_us() : -1;
	if (deadline && left <= 0)
		return fail(error, ASSAY_ERROR_BUSY, "the agent has not answered within the time limit");
	struct pollfd polls[] = {{.fd = watch_fd, .events = POLLIN}, {.fd = job->task->signal_fd, .events = POLLIN}};
	int wait_ms = deadline ? (int)MIN(left / 1000 + 1, (int64_t)G_MAXINT) : -1;
	if (poll(polls, was_cancelled ? 1 : 2, wait_ms) < 0 && errno != EINTR)
		return fail_errno(error, errno, "cannot wait for the agent");
	if (!was_cancelled && task_is_cancelled(job->task))
		return fail(error, ASSAY_ERROR_BUSY, "cancelled while waiting for the agent");
	char events[4096];
	while (read(watch_fd, events, sizeof events) > 0)
		continue; /* what they say does not matter: the file is read again */
	return true;
}

bool ask_agent(Job *job, const char *what, const json_t *with, json_t **out, GError **error)
{
	autofd int watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch_fd < 0 || inotify_add_watch(watch_fd, job->task->folder, IN_CREATE | IN_MODIFY | IN_MOVED_TO) < 0)
		return fail_errno(error, errno, "cannot watch the task's folder");
	json_t *event = task_event(EVENT_ASK);
	json_set_int(event, "ask", ++job->asked);
	json_set_string(event, "what", what);
	json_set(event, "with", with ? mask_json(job->task->mask, with) : json_object());
	if (!task_emit(job->task, event, error))
		return false;
	g_autoptr(json_t) answer = NULL;
	bool was_cancelled = job->state == RUN_CANCELLED;
	for (;;) {
		g_autoptr(GError) why = NULL;
		answer = read_answers(job, &why);
		if (answer)
			break;
		if (why) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		if (!wait_for_news(job, watch_fd, was_cancelled, error))
			return false;
	}
	if (!json_get_bool(answer, "ok", false))
		return fail(error, error_code_from_type(json_get_string(answer, "type", "system")), "%s",
		        json_get_string(answer, "message", "the agent refused without a reason"));
	json_t *result = json_object_get(answer, "result");
	*out = result ? json_incref(result) : json_object();
	return true;
}
