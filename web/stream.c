/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What grows: a job's log as text or as server-sent events, and the news of changed runs. Nothing polls: the log's file is
 * watched, and the daemon says when a run has changed. What waits in memory for a client is one piece of a log, or the ids
 * of runs that changed since it last took any.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/daemon/watch.h"
#include "agent/model/run.h"
#include "agent/store/runs.h"
#include "web/feed.h"
#include "web/handlers.h"

#define PIECE_BYTES (FEED_BYTES_MAX / 2)
#define CHANGES_MAX 1024

static bool has_ended(const json_t *job)
{
	RunState state;
	return run_state_parse(json_get_string(job, "status", ""), &state) && run_state_is_end(state);
}

static int64_t run_of(const json_t *job)
{
	return json_get_int(json_object_get(job, "run"), "id", 0);
}

/** Opens a log; -1 without an error when it is not there yet. */
static int open_log(Daemon *daemon, int64_t run, int64_t job, GError **error)
{
	g_autofree char *path = daemon_log_path(daemon, run, job);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT)
		fail_errno(error, errno, "cannot open the log of job %" G_GINT64_FORMAT, job);
	return fd;
}

/* ---- as text ---- */

/** "bytes=A-B", "bytes=A-" or "bytes=-N" of a file of this size. False when there is nothing in it (416). */
static bool read_range(const char *text, uint64_t size, uint64_t *out_from, uint64_t *out_len, bool *out_is_range)
{
	*out_is_range = false;
	if (!g_str_has_prefix(text, "bytes=") || strchr(text, ','))
		return true; /* several ranges: the whole file is a fit answer */
	const char *first = text + 6;
	char *dash = NULL, *end = NULL;
	guint64 from = g_ascii_strtoull(first, &dash, 10), to = 0;
	bool has_from = g_ascii_isdigit(*first);
	if (!has_from)
		dash = (char *)first;
	if (*dash != '-')
		return true;
	bool has_to = g_ascii_isdigit(dash[1]);
	to = has_to ? g_ascii_strtoull(dash + 1, &end, 10) : 0;
	if ((!has_from && !has_to) || (has_to ? *end : dash[1]) != 0 || (has_from && has_to && to < from))
		return true;
	*out_is_range = true;
	if (!has_from) {
		*out_len = MIN(to, size);
		*out_from = size - *out_len;
		return *out_len > 0;
	}
	if (from >= size)
		return false;
	*out_from = from;
	*out_len = (has_to && to < size ? to + 1 : size) - from;
	return true;
}

bool stream_log(Request *request, GError **error)
{
	int64_t id, offset;
	if (!request_param_id(request, "id", &id, error) ||
	        !request_query_int(request, "offset", 0, G_MAXINT64, 0, &offset, error))
		return false;
	g_autoptr(json_t) job = runs_job(request->face->store, id, error);
	if (!job)
		return false;
	/* The state first, the size afterwards: a log that had ended by then is whole. */
	bool ended = has_ended(job);
	g_autoptr(GError) why = NULL;
	autofd int fd = open_log(request->face->daemon, run_of(job), id, &why);
	if (why) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	struct stat file = {0};
	if (fd >= 0 && fstat(fd, &file) != 0)
		return fail_errno(error, errno, "cannot read the log of job %" G_GINT64_FORMAT, id);
	uint64_t size = (uint64_t)file.st_size, from = MIN((uint64_t)offset, size), len = size - from;
	const char *range = request_header(request, "range");
	bool is_range = false;
	reply_empty(request, 200);
	if (range && !read_range(range, size, &from, &len, &is_range)) {
		g_autofree char *whole = g_strdup_printf("bytes */%" G_GUINT64_FORMAT, size);
		reply_header(request, "Content-Range", whole);
		return reply_empty(request, 416);
	}
	if (is_range) {
		g_autofree char *part = g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
		        from, from + len - 1, size);
		reply_header(request, "Content-Range", part);
		reply_empty(request, 206);
	}
	reply_header(request, "Accept-Ranges", "bytes");
	reply_header(request, "X-Assay-Log-End", ended && from + len == size ? "true" : "false");
	request->reply.type = "text/plain; charset=utf-8";
	request->reply.fd_offset = from;
	request->reply.fd_len = len;
	if (fd >= 0)
		request->reply.fd = fd_steal(&fd);
	return true;
}

/* ---- as events ---- */

typedef struct LogFeed {
	Feed feed;
	Face *face;
	int64_t run, job;
	int fd;           /* -1: the file is not there yet */
	uint64_t offset;
	unsigned watch, subscription;
	bool must_ask;    /* the run has changed: look whether the job has ended */
	bool has_ended;
} LogFeed;

static void on_log_grew(void *data)
{
	feed_wake(data);
}

static void on_run_changed(int64_t run, void *data)
{
	LogFeed *log = data;
	if (run != log->run || log->has_ended)
		return;
	log->must_ask = true;
	feed_wake(&log->feed);
}

/** One line as an event's data: a carriage return would end the line for the browser. */
static void append_line(GString *out, const char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	g_string_append(out, "data: ");
	size_t start = out->len;
	g_string_append_len(out, line, (gssize)len);
	for (size_t i = start; i < out->len; i++)
		if (out->str[i] == '\r' || out->str[i] == '\n')
			out->str[i] = ' ';
	g_string_append_c(out, '\n');
}

/** How much of a piece to send: whole lines; all of it at the end, or when one line fills the piece. */
static size_t whole_lines(const char *piece, size_t len, bool is_last)
{
	const char *newline = memrchr(piece, '\n', len);
	if (newline)
		return (size_t)(newline - piece) + 1;
	if (is_last)
		return len;
	if (len < PIECE_BYTES)
		return 0;
	const char *cut = g_utf8_find_prev_char(piece, piece + len);
	return cut > piece ? (size_t)(cut - piece) : len;
}

static void append_lines(GString *out, const char *piece, size_t len, uint64_t end_offset)
{
	g_string_append_printf(out, "event: log\nid: %" G_GUINT64_FORMAT "\n", end_offset);
	for (size_t at = 0; at < len;) {
		const char *newline = memchr(piece + at, '\n', len - at);
		size_t line = newline ? (size_t)(newline - piece) - at : len - at;
		append_line(out, piece + at, line);
		at += line + 1;
	}
	g_string_append_c(out, '\n');
}

static void open_when_there(LogFeed *log)
{
	log->fd = open_log(log->face->daemon, log->run, log->job, NULL);
	if (log->fd < 0)
		return;
	g_autofree char *path = daemon_log_path(log->face->daemon, log->run, log->job);
	g_autoptr(GError) error = NULL;
	log->watch = watch_add(path, on_log_grew, log, &error);
}

static bool log_fill(Feed *feed, GString *out)
{
	LogFeed *log = (LogFeed *)feed;
	if (log->must_ask) {
		g_autoptr(json_t) job = runs_job(log->face->store, log->job, NULL);
		log->has_ended = !job || has_ended(job);
		log->must_ask = false;
	}
	if (log->fd < 0)
		open_when_there(log);
	g_autofree char *piece = g_malloc(PIECE_BYTES);
	ssize_t got = log->fd >= 0 ? pread(log->fd, piece, PIECE_BYTES, (off_t)log->offset) : 0;
	size_t len = got > 0 ? whole_lines(piece, (size_t)got, log->has_ended && got < PIECE_BYTES) : 0;
	if (len > 0) {
		log->offset += len;
		append_lines(out, piece, len, log->offset);
		return true;
	}
	if (!log->has_ended)
		return true;
	g_string_append_printf(out, "event: end\nid: %" G_GUINT64_FORMAT "\ndata: {}\n\n", log->offset);
	return false;
}

static void log_free(Feed *feed)
{
	LogFeed *log = (LogFeed *)feed;
	if (log->watch)
		watch_remove(log->watch);
	daemon_unsubscribe(log->face->daemon, log->subscription);
	if (log->fd >= 0)
		close(log->fd);
	g_free(log);
}

bool stream_log_events(Request *request, GError **error)
{
	int64_t id, offset;
	if (!request_param_id(request, "id", &id, error) ||
	        !request_query_int(request, "offset", 0, G_MAXINT64, 0, &offset, error) || !feed_may_open(error))
		return false;
	g_autoptr(json_t) job = runs_job(request->face->store, id, error);
	if (!job)
		return false;
	/* A browser that lost the connection says where it was. */
	const char *last = request_header(request, "last-event-id");
	guint64 resume = 0;
	if (last && g_ascii_string_to_unsigned(last, 10, 0, G_MAXINT64, &resume, NULL))
		offset = (int64_t)resume;
	if (request->is_head)
		return reply_text(request, 200, "text/event-stream", g_strdup(""));
	LogFeed *log = g_new0(LogFeed, 1);
	*log = (LogFeed){.feed = {.fill = log_fill, .free = log_free}, .face = request->face, .run = run_of(job), .job = id,
	        .fd = -1, .offset = (uint64_t)offset, .has_ended = has_ended(job)};
	log->subscription = daemon_subscribe(request->face->daemon, on_run_changed, log);
	return reply_feed(request, "text/event-stream", &log->feed);
}

typedef struct ChangeFeed {
	Feed feed;
	Daemon *daemon;
	unsigned subscription;
	GHashTable *runs; /* int64_t ids, each once however often it changed */
} ChangeFeed;

static void on_changed(int64_t run, void *data)
{
	ChangeFeed *changes = data;
	if (g_hash_table_size(changes->runs) >= CHANGES_MAX) {
		/* A client that does not read: one event that means "look at everything". */
		g_hash_table_remove_all(changes->runs);
		run = 0;
	}
	int64_t *id = g_new(int64_t, 1);
	*id = run;
	g_hash_table_add(changes->runs, id);
	feed_wake(&changes->feed);
}

static bool change_fill(Feed *feed, GString *out)
{
	ChangeFeed *changes = (ChangeFeed *)feed;
	GHashTableIter iter;
	void *id;
	g_hash_table_iter_init(&iter, changes->runs);
	while (g_hash_table_iter_next(&iter, &id, NULL))
		g_string_append_printf(out, "event: change\ndata: {\"run\":%" G_GINT64_FORMAT "}\n\n", *(const int64_t *)id);
	g_hash_table_remove_all(changes->runs);
	return true;
}

static void change_free(Feed *feed)
{
	ChangeFeed *changes = (ChangeFeed *)feed;
	daemon_unsubscribe(changes->daemon, changes->subscription);
	g_hash_table_unref(changes->runs);
	g_free(changes);
}

bool stream_changes(Request *request, GError **error)
{
	if (!feed_may_open(error))
		return false;
	if (request->is_head)
		return reply_text(request, 200, "text/event-stream", g_strdup(""));
	ChangeFeed *changes = g_new0(ChangeFeed, 1);
	*changes = (ChangeFeed){.feed = {.fill = change_fill, .free = change_free}, .daemon = request->face->daemon,
	        .runs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL)};
	changes->subscription = daemon_subscribe(request->face->daemon, on_changed, changes);
	return reply_feed(request, "text/event-stream", &changes->feed);
}
