/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes go through three stations: commands are taken out, secrets are masked, lines are made. A batch without secrets
 * to look for, without a command and all ASCII is copied once, line by line, behind a time that was made into text
 * once for the batch. Nothing is written before a line is whole.
 */
#include "agent/job/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"

#define BUFFER_BYTES (512 * 1024)
#define STAMP_BYTES 25 /* "2026-05-03T10:04:00.123Z " */
#define OWN_RESERVE_BYTES (256 * 1024)

struct JobLog {
	int fd;
	int index_fd;        /* -1 until the log is long enough to need one */
	char *path;
	char *index_path;
	Mask *mask;
	MaskStream *stream;
	GByteArray *masked;  /* what the mask let through of one batch */
	GByteArray *command; /* a line that may become a command, and has not ended */
	GByteArray *partial; /* a line that has not ended */
	JobLogCommand on_command;
	void *on_command_data;
	bool commands_paused;
	JobLogLine on_line;
	void *on_line_data;
	bool line_begins;    /* the next raw byte is a line's first */
	bool own;            /* lines of our own are being made */
	bool cut;
	char stamp[CLOCK_TEXT_BYTES];
	char *buffer;
	size_t buffered;
	GArray *marks;       /* guint64: offsets for the index, not yet written */
	int64_t written;     /* bytes in the file */
	int64_t lines;
	int64_t limit_bytes;
	GError *broken;
};

/* Counts what an earlier attempt has left, so that offsets and index go on. */
static bool read_on(JobLog *log, GError **error)
{
	struct stat info;
	if (fstat(log->fd, &info) == 0 && info.st_size == 0)
		return true;
	g_autofree char *bytes = g_malloc(BUFFER_BYTES);
	bool begins = true;
	for (ssize_t got; (got = pread(log->fd, bytes, BUFFER_BYTES, log->written)) != 0;) {
		if (got < 0)
			return fail_errno(error, errno, "cannot read %s", log->path);
		for (const char *at = bytes, *end = bytes + got; at < end;) {
			if (begins && log->lines++ % JOBLOG_INDEX_LINES == 0) {
				guint64 mark = GUINT64_TO_LE((guint64)(log->written + (at - bytes)));
				g_array_append_val(log->marks, mark);
			}
			const char *newline = memchr(at, '\n', (size_t)(end - at));
			begins = newline != NULL;
			at = newline ? newline + 1 : end;
		}
		log->written += got;
	}
	if (!begins) { /* a worker was killed within its write */
		if (!fd_write_all(log->fd, "\n", 1, log->path, error))
			return false;
		log->written++;
	}
	return true;
}

JobLog *joblog_open(const char *path, Mask *mask, int64_t limit_bytes, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	if (!fd_make_folder(folder, 0755, error))
		return NULL;
	g_autofree char *stem = g_str_has_suffix(path, ".log") ? g_strndup(path, strlen(path) - 4) : g_strdup(path);
	autofd int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0) {
		fail_errno(error, errno, "cannot open the log %s", path);
		return NULL;
	}
	JobLog *log = g_new0(JobLog, 1);
	log->fd = fd_steal(&fd);
	log->index_fd = -1;
	log->path = g_strdup(path);
	log->index_path = g_strconcat(stem, ".idx", NULL);
	log->mask = mask;
	log->stream = mask_stream_new(mask);
	log->masked = g_byte_array_new();
	log->command = g_byte_array_new();
	log->partial = g_byte_array_new();
	log->marks = g_array_new(FALSE, FALSE, sizeof(guint64));
	log->buffer = g_malloc(BUFFER_BYTES);
	log->limit_bytes = limit_bytes;
	log->line_begins = true;
	clock_text(now_us(), log->stamp);
	if (!read_on(log, error)) {
		joblog_close(log);
		return NULL;
	}
	return log;
}

/* A log of one page needs no index: the first mark waits until there is a second. */
static void write_marks(JobLog *log)
{
	if (log->broken || log->marks->len == 0 || (log->index_fd < 0 && log->marks->len == 1))
		return;
	if (log->index_fd < 0)
		log->index_fd = open(log->index_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (log->index_fd < 0)
		fail_errno(&log->broken, errno, "cannot open the log's index %s", log->index_path);
	else
		fd_write_all(log->index_fd, log->marks->data, log->marks->len * sizeof(guint64), "the log's index",
		        &log->broken);
	g_array_set_size(log->marks, 0);
}

static void write_out(JobLog *log)
{
	if (log->buffered > 0 && !log->broken) {
		if (fd_write_all(log->fd, log->buffer, log->buffered, "the job's log", &log->broken))
			log->written += (int64_t)log->buffered;
	}
	log->buffered = 0;
	write_marks(log);
}

void joblog_close(JobLog *log)
{
	if (!log)
		return;
	joblog_feed_end(log);
	write_out(log);
	g_clear_error(&log->broken);
	close(log->fd);
	autofd_close(&log->index_fd);
	g_free(log->index_path);
	mask_stream_free(log->stream);
	g_byte_array_unref(log->masked);
	g_byte_array_unref(log->command);
	g_byte_array_unref(log->partial);
	g_array_unref(log->marks);
	g_free(log->buffer);
	g_free(log->path);
	g_free(log);
}

void joblog_on_command(JobLog *log, JobLogCommand command, void *data)
{
	log->on_command = command;
	log->on_command_data = data;
}

void joblog_pause_commands(JobLog *log, bool paused)
{
	log->commands_paused = paused;
}

void joblog_on_line(JobLog *log, JobLogLine seen, void *data)
{
	log->on_line = seen;
	log->on_line_data = data;
}

static void put_line(JobLog *log, const char *text, size_t len)
{
	if (log->lines++ % JOBLOG_INDEX_LINES == 0) {
		guint64 mark = GUINT64_TO_LE((guint64)(log->written + (int64_t)log->buffered));
		g_array_append_val(log->marks, mark);
	}
	char *at = log->buffer + log->buffered;
	memcpy(at, log->stamp, STAMP_BYTES - 1);
	at[STAMP_BYTES - 1] = ' ';
	memcpy(at + STAMP_BYTES, text, len);
	at[STAMP_BYTES + len] = '\n';
	log->buffered += STAMP_BYTES + len + 1;
}

/* May this line still be written? Says so once when it may not. */
static bool has_room(JobLog *log, size_t len)
{
	size_t need = STAMP_BYTES + len + 1;
	if (log->buffered + need > BUFFER_BYTES)
		write_out(log);
	if (log->limit_bytes <= 0)
		return true;
	int64_t after = joblog_offset(log) + (int64_t)need;
	if (log->own)
		return after <= log->limit_bytes + OWN_RESERVE_BYTES;
	if (after <= log->limit_bytes)
		return true;
	if (!log->cut) {
		log->cut = true;
		char text[160];
		int text_len = g_snprintf(text, sizeof text,
		        "##[warning]The log has reached its limit of %" G_GINT64_FORMAT
		        " bytes (limits.log); what the steps print from here on is not kept",
		        log->limit_bytes);
		if (log->buffered + STAMP_BYTES + (size_t)text_len + 1 > BUFFER_BYTES)
			write_out(log);
		put_line(log, text, (size_t)text_len);
	}
	return false;
}

/* One line of at most JOBLOG_LINE_BYTES_MAX bytes. `clean`: it is known to be ASCII without NUL. */
static void make_line(JobLog *log, const char *text, size_t len, bool clean)
{
	if (len > 0 && text[len - 1] == '\r')
		len--;
	g_autofree char *valid = NULL;
	if (!clean && !g_utf8_validate_len(text, len, NULL)) {
		valid = g_utf8_make_valid(text, (gssize)len); /* NUL included */
		text = valid;
		len = strlen(valid);
		while (len > JOBLOG_LINE_BYTES_MAX) { /* U+FFFD is three bytes for one */
			size_t piece = JOBLOG_LINE_BYTES_MAX;
			while ((text[piece] & 0xC0) == 0x80)
				piece--;
			if (has_room(log, piece))
				put_line(log, text, piece);
			text += piece;
			len -= piece;
		}
	}
	const char *marker = log->on_line && !log->own ? log->on_line(log->on_line_data, text, len) : NULL;
	g_autofree char *marked = marker ? g_strdup_printf("%s%.*s", marker, (int)len, text) : NULL;
	if (marked) {
		text = marked;
		len = strlen(marked);
	}
	if (has_room(log, len))
		put_line(log, text, len);
}

/* Ends the partial line, in pieces when it is too long; `all` also what is left. */
static void end_partial(JobLog *log, bool all)
{
	const char *text = (const char *)log->partial->data;
	size_t len = log->partial->len;
	size_t used = 0;
	while (len - used > JOBLOG_LINE_BYTES_MAX) {
		size_t piece = JOBLOG_LINE_BYTES_MAX;
		size_t back = 0; /* do not cut a character in two */
		while (back < 3 && ((guint8)text[used + piece - back] & 0xC0) == 0x80)
			back++;
		if (((guint8)text[used + piece - back] & 0xC0) != 0x80)
			piece -= back;
		make_line(log, text + used, piece, false);
		used += piece;
	}
	if (all) {
		make_line(log, text + used, len - used, false);
		used = len;
	}
	g_byte_array_remove_range(log->partial, 0, (guint)used);
}

typedef gint8 Sixteen __attribute__((vector_size(16)));

/* No byte is NUL or above ASCII, which as signed numbers are those up to 0. */
static bool is_clean(const char *bytes, size_t len)
{
	Sixteen seen = {0};
	size_t i = 0;
	for (; i + sizeof seen <= len; i += sizeof seen) {
		Sixteen some;
		memcpy(&some, bytes + i, sizeof some);
		seen |= some <= 0;
	}
	guint64 halves[2];
	memcpy(halves, &seen, sizeof halves);
	bool strange = (halves[0] | halves[1]) != 0;
	for (; i < len; i++)
		strange |= (gint8)bytes[i] <= 0;
	return !strange;
}

/* The last station: lines. */
static void format_lines(JobLog *log, const char *bytes, size_t len)
{
	if (len == 0)
		return;
	const char *end = bytes + len;
	bool clean = is_clean(bytes, len);
	if (log->partial->len > 0) {
		const char *newline = memchr(bytes, '\n', len);
		size_t more = (size_t)((newline ? newline : end) - bytes);
		g_byte_array_append(log->partial, (const guint8 *)bytes, (guint)more);
		if (newline || log->partial->len > 2 * JOBLOG_LINE_BYTES_MAX)
			end_partial(log, newline != NULL);
		if (!newline)
			return;
		bytes = newline + 1;
	}
	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		if (!newline || newline - bytes > JOBLOG_LINE_BYTES_MAX) {
			size_t more = (size_t)((newline ? newline : end) - bytes);
			g_byte_array_append(log->partial, (const guint8 *)bytes, (guint)more);
			if (newline || more > JOBLOG_LINE_BYTES_MAX)
				end_partial(log, newline != NULL);
			if (!newline)
				return;
		} else {
			make_line(log, bytes, (size_t)(newline - bytes), clean);
		}
		bytes = newline + 1;
	}
}

/* The middle station: secrets. */
static void pass_on(JobLog *log, const char *bytes, size_t len)
{
	if (len == 0)
		return;
	g_byte_array_set_size(log->masked, 0);
	size_t plain = mask_stream_pass(log->stream, bytes, len, log->masked);
	if (plain > 0)
		format_lines(log, bytes, plain);
	else
		format_lines(log, (const char *)log->masked->data, log->masked->len);
}

static void pass_end(JobLog *log)
{
	g_byte_array_set_size(log->masked, 0);
	mask_stream_end(log->stream, log->masked);
	format_lines(log, (const char *)log->masked->data, log->masked->len);
	if (log->partial->len > 0)
		end_partial(log, true);
}

/* Could these bytes at a line's begin become a command? Spaces before it are allowed. */
static bool may_be_command(const char *bytes, size_t len)
{
	size_t i = 0;
	while (i < len && (bytes[i] == ' ' || bytes[i] == '\t'))
		i++;
	return i == len || (bytes[i] == ':' && (i + 1 == len || bytes[i + 1] == ':'));
}

static bool is_command(const char *line, size_t len)
{
	size_t i = 0;
	while (i < len && (line[i] == ' ' || line[i] == '\t'))
		i++;
	return i + 2 <= len && line[i] == ':' && line[i + 1] == ':' && len < JOBLOG_COMMAND_BYTES_MAX;
}

/* A whole line that looked like a command at its begin; what is not one is text. */
static void meet_command(JobLog *log, const char *line, size_t len)
{
	size_t bare = len > 0 && line[len - 1] == '\r' ? len - 1 : len;
	if (log->on_command && !log->commands_paused && is_command(line, len) &&
	    log->on_command(log->on_command_data, line, bare))
		return;
	pass_on(log, line, len);
	pass_on(log, "\n", 1);
}

/* The first line in [bytes, end) that may be a command, or end. */
static const char *find_command(const char *bytes, const char *end, bool line_begins)
{
	const char *line = bytes;
	if (!line_begins) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		line = newline ? newline + 1 : end;
	}
	while (line < end) {
		char first = line[0];
		if ((first == ':' || first == ' ' || first == '\t') && may_be_command(line, (size_t)(end - line)))
			return line;
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		line = newline ? newline + 1 : end;
	}
	return end;
}

/* Feeds bytes, which are some, station by station, at most up to the end of the first command. Returns what is left. */
static const char *feed_some(JobLog *log, const char *bytes, const char *end)
{
	if (log->command->len > 0) { /* go on with a line that was held */
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		size_t more = (size_t)((newline ? newline : end) - bytes);
		g_byte_array_append(log->command, (const guint8 *)bytes, (guint)more);
		const char *line = (const char *)log->command->data;
		if (newline)
			meet_command(log, line, log->command->len);
		else if (may_be_command(line, log->command->len) && log->command->len < JOBLOG_COMMAND_BYTES_MAX)
			return end;
		else
			pass_on(log, line, log->command->len);
		log->line_begins = newline != NULL;
		g_byte_array_set_size(log->command, 0);
		return newline ? newline + 1 : end;
	}
	const char *found = log->on_command && !log->commands_paused ? find_command(bytes, end, log->line_begins) : end;
	pass_on(log, bytes, (size_t)(found - bytes));
	if (found > bytes)
		log->line_begins = found[-1] == '\n';
	if (found == end)
		return end;
	const char *newline = memchr(found, '\n', (size_t)(end - found));
	if (!newline) {
		g_byte_array_append(log->command, (const guint8 *)found, (guint)(end - found));
		return end;
	}
	meet_command(log, found, (size_t)(newline - found));
	log->line_begins = true;
	return newline + 1;
}

/* Nothing is held back at any station, and nobody looks at single lines. */
static bool is_idle(const JobLog *log)
{
	return log->line_begins && log->command->len == 0 && log->partial->len == 0 && !log->on_line &&
	       mask_stream_is_idle(log->stream);
}

/* All stations at once, for whole lines that are ASCII without a secret. Returns the first that needs more, or the last's rest. */
static const char *feed_plain(JobLog *log, const char *bytes, const char *end)
{
	const bool commands = log->on_command && !log->commands_paused;
	while (bytes < end) {
		if (commands && may_be_command(bytes, (size_t)(end - bytes)))
			break;
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		if (!newline || newline - bytes > JOBLOG_LINE_BYTES_MAX)
			break;
		size_t len = (size_t)(newline - bytes);
		if (len > 0 && newline[-1] == '\r')
			len--;
		if (has_room(log, len))
			put_line(log, bytes, len);
		bytes = newline + 1;
	}
	return bytes;
}

/* What of a batch may go through feed_plain(), as far as is known. */
typedef struct Plain {
	const char *end;  /* NULL: not looked yet */
	guint generation; /* of the mask, when it was looked */
} Plain;

static const char *plain_end(JobLog *log, Plain *plain, const char *bytes, const char *end)
{
	if (plain->end && plain->generation == mask_generation(log->mask))
		return plain->end;
	size_t clear = mask_stream_clear(log->stream, bytes, (size_t)(end - bytes));
	plain->end = is_clean(bytes, clear) ? bytes + clear : bytes;
	plain->generation = mask_generation(log->mask);
	return plain->end;
}

void joblog_feed(JobLog *log, const char *bytes, size_t len)
{
	const char *end = bytes + len;
	Plain plain = {.end = NULL};
	clock_text(now_us(), log->stamp);
	while (bytes < end) {
		if (is_idle(log)) {
			bytes = feed_plain(log, bytes, plain_end(log, &plain, bytes, end));
			if (bytes == end)
				return;
		}
		bool by_line = !log->on_line && (!plain.end || bytes < plain.end); /* what follows it may be plain */
		const char *newline = by_line ? memchr(bytes, '\n', (size_t)(end - bytes)) : NULL;
		bytes = feed_some(log, bytes, newline ? newline + 1 : end);
	}
}

void joblog_feed_end(JobLog *log)
{
	if (log->command->len > 0) {
		meet_command(log, (const char *)log->command->data, log->command->len);
		g_byte_array_set_size(log->command, 0);
	}
	pass_end(log);
	log->line_begins = true;
}

void joblog_say(JobLog *log, const char *marker, const char *text)
{
	pass_end(log);
	clock_text(now_us(), log->stamp);
	g_autofree char *masked = mask_text(log->mask, text);
	log->own = true;
	const char *line = masked;
	do { /* a newline at the text's end does not begin another line */
		size_t len = strcspn(line, "\n");
		g_byte_array_append(log->partial, (const guint8 *)marker, (guint)strlen(marker));
		g_byte_array_append(log->partial, (const guint8 *)line, (guint)len);
		end_partial(log, true);
		line += len + (line[len] == '\n');
	} while (line[0]);
	log->own = false;
}

void joblog_sayf(JobLog *log, const char *marker, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	joblog_say(log, marker, text);
}

bool joblog_flush(JobLog *log, GError **error)
{
	write_out(log);
	if (!log->broken)
		return true;
	if (error)
		*error = g_error_copy(log->broken);
	return false;
}

int64_t joblog_offset(const JobLog *log)
{
	return log->written + (int64_t)log->buffered;
}

int64_t joblog_next_line(const JobLog *log)
{
	return log->lines + 1;
}

bool joblog_is_cut(const JobLog *log)
{
	return log->cut;
}
