/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window of a log. The log is walked twice: once to count lines, to find the first error and what is searched for, and to
 * note where every thousandth line begins; then from the last note before the window. A line longer than the buffer is
 * cut; its number stays right.
 */
#include "web/log_window.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"

#define BUFFER_BYTES (256 * 1024)
#define NOTE_LINES 1000
#define TEXT_BYTES_MAX (16 * 1024)
#define FOUND_MAX 200
#define CONTEXT_LINES 100

/** false ends the walk. end is the offset behind the line and its newline. */
typedef bool (*LineSeen)(void *data, uint64_t offset, uint64_t end, const char *line, size_t len);

/** Calls `seen` for each line from an offset on. */
static bool walk(int fd, uint64_t offset, bool with_rest, LineSeen seen, void *data, GError **error)
{
	g_autofree char *buffer = g_malloc(BUFFER_BYTES);
	size_t held = 0, line_shown = 0;
	uint64_t line_at = offset;
	bool is_cut = false;
	for (;;) {
		ssize_t got = pread(fd, buffer + held, BUFFER_BYTES - held, (off_t)(offset + held));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(error, errno, "cannot read the log");
		size_t len = held + (size_t)got, start = 0;
		for (const char *newline; (newline = memchr(buffer + start, '\n', len - start));) {
			size_t stop = (size_t)(newline - buffer);
			uint64_t end = offset + stop + 1;
			/* What was cut before this newline has been shown already. */
			if (!is_cut && !seen(data, line_at, end, buffer + start, stop - start))
				return true;
			is_cut = false;
			start = stop + 1;
			line_at = end;
		}
		held = len - start;
		offset += start;
		if (got == 0) {
			if (with_rest && !is_cut && held > 0)
				seen(data, line_at, offset + held, buffer + start, held);
			return true;
		}
		if (start == 0 && held == BUFFER_BYTES) {
			line_shown = held;
			if (!is_cut && !seen(data, line_at, offset + line_shown, buffer, line_shown))
				return true;
			is_cut = true;
			offset += held;
			held = 0;
		} else {
			memmove(buffer, buffer + start, held);
		}
	}
}

/** Length of "2026-05-03T10:04:00.123Z " at the start of a line; 0 when it has none. */
static size_t stamp_len(const char *line, size_t len)
{
	if (len < 20 || line[4] != '-' || line[10] != 'T')
		return 0;
	const char *end = memchr(line, ' ', MIN(len, 40));
	if (!end && len <= 40 && line[len - 1] == 'Z')
		return len; /* an empty line has no blank behind its time */
	return end && end > line && end[-1] == 'Z' ? (size_t)(end - line) + 1 : 0; /* a blank may be its first byte */
}

typedef struct Survey {
	const LogWish *wish;
	int64_t lines, first_error, line_of_at;
	GArray *notes; /* uint64_t: where lines 1, 1001, … begin */
	size_t search_len;
	json_t *found;
	int64_t found_count;
} Survey;

static bool survey_line(void *data, uint64_t offset, uint64_t end, const char *line, size_t len)
{
	Survey *survey = data;
	if (survey->lines++ % NOTE_LINES == 0)
		g_array_append_val(survey->notes, offset);
	if (survey->wish->at >= 0 && !survey->line_of_at && (uint64_t)survey->wish->at < end)
		survey->line_of_at = survey->lines;
	size_t skip = stamp_len(line, len);
	if (!survey->first_error && len - skip >= 9 && memcmp(line + skip, "##[error]", 9) == 0)
		survey->first_error = survey->lines;
	if (survey->search_len && memmem(line + skip, len - skip, survey->wish->search, survey->search_len) &&
	        survey->found_count++ < FOUND_MAX) {
		json_t *one = json_object();
		json_set_int(one, "number", survey->lines);
		json_set(one, "text", json_string_any(line + skip, MIN(len - skip, TEXT_BYTES_MAX)));
		json_array_append_new(survey->found, one);
	}
	return true;
}

typedef struct Window {
	int64_t number, from, max;
	uint64_t end;
	json_t *lines;
} Window;

static bool window_line(void *data, uint64_t offset, uint64_t end, const char *line, size_t len)
{
	Window *window = data;
	if (window->number++ < window->from)
		return true;
	size_t skip = stamp_len(line, len);
	json_t *one = json_object();
	json_set_int(one, "number", window->number - 1);
	json_set_int(one, "offset", (int64_t)offset);
	json_set(one, "time", skip ? json_stringn(line, skip - (line[skip - 1] == ' ')) : json_null());
	json_set(one, "text", json_string_any(line + skip, MIN(len - skip, TEXT_BYTES_MAX)));
	json_array_append_new(window->lines, one);
	window->end = end;
	return (int64_t)json_array_size(window->lines) < window->max;
}

static int64_t choose_start(const Survey *survey)
{
	const LogWish *wish = survey->wish;
	int64_t last = MAX(1, survey->lines - wish->lines_max + 1);
	if (wish->from > 0)
		return MIN(wish->from, MAX(1, survey->lines));
	int64_t shown = wish->at >= 0 ? (survey->line_of_at ? survey->line_of_at : survey->lines) : survey->first_error;
	return shown ? CLAMP(shown - MIN(CONTEXT_LINES, wish->lines_max / 2), 1, last) : last;
}

json_t *log_window(int fd, const LogWish *wish, GError **error)
{
	g_autoptr(GArray) notes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_autoptr(json_t) found = json_array(), lines = json_array();
	Survey survey = {.wish = wish, .notes = notes, .found = found,
	        .search_len = wish->search ? strlen(wish->search) : 0};
	if (fd >= 0 && !walk(fd, 0, wish->has_ended, survey_line, &survey, error))
		return NULL;
	int64_t from = choose_start(&survey);
	Window window = {.number = 1, .from = from, .max = wish->lines_max, .lines = lines};
	if (survey.lines > 0) {
		int64_t note = (from - 1) / NOTE_LINES;
		window.number = note * NOTE_LINES + 1;
		window.end = g_array_index(notes, uint64_t, note);
		if (!walk(fd, window.end, wish->has_ended, window_line, &window, error))
			return NULL;
	}
	json_t *log = json_object();
	json_set(log, "lines", json_incref(lines));
	json_set_int(log, "total_lines", survey.lines);
	json_set_int(log, "from", from);
	json_set_bool(log, "ended", wish->has_ended);
	json_set_int(log, "end_offset", (int64_t)window.end);
	if (survey.search_len) {
		json_t *search = json_object();
		json_set_string(search, "q", wish->search);
		json_set_int(search, "count", survey.found_count);
		json_set(search, "lines", json_incref(found));
		json_set(log, "search", search);
	}
	return log;
}
