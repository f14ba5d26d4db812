/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drawing is a list of lines, each cut to the terminal's width, so that going up by their number is exact. When the
 * terminal is not high enough, what has ended well or waits is left out first, and counted.
 */
#include "agent/daemon/terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/model/run.h"

#define COLUMNS_OTHERWISE 80
#define ROWS_OTHERWISE 24
#define LINE_BYTES_MAX 2048
#define STEPS_SHOWN 6

typedef struct Tail {
	char *lines[TERMINAL_TAIL_LINES];
	size_t count;
} Tail;

typedef struct Line {
	char *text;      /* without escapes */
	const char *sgr; /* of its sign; "" for none */
	size_t sign;     /* bytes of the indent and the sign */
	bool dim;
	int rank;        /* lower ranks are left out first */
	int width;       /* columns, once it was drawn */
} Line;

struct Terminal {
	int fd;
	bool colours;
	bool plain;
	GHashTable *tails;  /* int64_t job → Tail */
	GArray *drawn;      /* int: widths of the lines on the screen */
	unsigned frame;
};

static void tail_free(gpointer data)
{
	Tail *tail = data;
	for (size_t i = 0; i < TERMINAL_TAIL_LINES; i++)
		g_free(tail->lines[i]);
	g_free(tail);
}

Terminal *terminal_new(int fd, bool colours, bool plain)
{
	Terminal *terminal = g_new0(Terminal, 1);
	terminal->fd = fd;
	terminal->colours = colours;
	terminal->plain = plain;
	terminal->tails = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, tail_free);
	terminal->drawn = g_array_new(FALSE, FALSE, sizeof(int));
	return terminal;
}

void terminal_free(Terminal *terminal)
{
	if (!terminal)
		return;
	g_hash_table_unref(terminal->tails);
	g_array_unref(terminal->drawn);
	g_free(terminal);
}

/* Text that moves no cursor: escapes and control characters go, tabs become a blank. */
char *terminal_harmless(const char *text, size_t len)
{
	g_autofree char *valid = g_utf8_make_valid(text, (gssize)MIN(len, LINE_BYTES_MAX));
	GString *out = g_string_new(NULL);
	for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
		if (*at == '\x1b' && at[1] == '[') {
			at += 2;
			while (*at && (g_ascii_isdigit(*at) || strchr(";:?", *at)))
				at++;
			if (!*at)
				break;
			continue;
		}
		gunichar c = g_utf8_get_char(at);
		if (c == '\r')
			g_string_truncate(out, 0); /* a progress bar begins again */
		else if (c == '\t')
			g_string_append_c(out, ' ');
		else if (g_unichar_type(c) != G_UNICODE_CONTROL && g_unichar_type(c) != G_UNICODE_FORMAT)
			g_string_append_unichar(out, c);
	}
	return g_string_free(out, FALSE);
}

void terminal_line(Terminal *terminal, int64_t job, const char *text, size_t len)
{
	Tail *tail = g_hash_table_lookup(terminal->tails, &job);
	if (!tail) {
		int64_t *key = g_new(int64_t, 1);
		*key = job;
		tail = g_new0(Tail, 1);
		g_hash_table_insert(terminal->tails, key, tail);
	}
	if (len > 0 && text[len - 1] == '\r')
		len--;
	char *line = terminal_harmless(text, len);
	if (g_str_has_prefix(line, "##[") && strchr(line, ']'))
		memmove(line, strchr(line, ']') + 1, strlen(strchr(line, ']') + 1) + 1);
	if (!line[0]) {
		g_free(line);
		return;
	}
	if (tail->count == TERMINAL_TAIL_LINES) {
		g_free(tail->lines[0]);
		memmove(tail->lines, tail->lines + 1, (TERMINAL_TAIL_LINES - 1) * sizeof(char *));
		tail->count--;
	}
	tail->lines[tail->count++] = line;
}

/* ---- lines ---- */

typedef struct Look {
	const char *status, *sign, *ascii, *sgr;
	int rank;
} Look;

static const Look looks[] = {
        {"queued", "○", "o", "\x1b[2m", 1},     {"waiting", "◷", "~", "\x1b[33m", 3}, {"running", "◐", "*", "\x1b[34m", 5},
        {"success", "✓", "+", "\x1b[32m", 2},   {"failure", "✗", "x", "\x1b[31m", 6}, {"cancelled", "⊘", "/", "\x1b[2m", 2},
        {"skipped", "–", "-", "\x1b[2m", 0},
};

static const Look *look_of(const char *status)
{
	for (size_t i = 0; i < G_N_ELEMENTS(looks); i++)
		if (g_strcmp0(status, looks[i].status) == 0)
			return &looks[i];
	return &looks[0];
}

static const char *sign_of(const Terminal *terminal, const Look *look)
{
	static const char *const turning[] = {"◐", "◓", "◑", "◒"}, *const turning_ascii[] = {"|", "/", "-", "\\"};
	bool runs = strcmp(look->status, "running") == 0;
	if (terminal->plain)
		return runs ? turning_ascii[terminal->frame % 4] : look->ascii;
	return runs ? turning[terminal->frame % 4] : look->sign;
}

/* "4.2s", "1m 04s", "2h 05m"; "" when it never began. */
static char *duration_of(const json_t *thing, int64_t now_us)
{
	int64_t from = 0, to = now_us;
	const char *started = json_get_string(thing, "started_at", NULL), *finished = json_get_string(thing, "finished_at", NULL);
	if (!started || !clock_parse(started, &from))
		return g_strdup("");
	if (finished)
		clock_parse(finished, &to);
	int64_t ms = MAX(to - from, 0) / 1000, s = ms / 1000;
	if (s < 10)
		return g_strdup_printf("%d.%ds", (int)s, (int)(ms % 1000 / 100));
	if (s < 60)
		return g_strdup_printf("%ds", (int)s);
	if (s < 3600)
		return g_strdup_printf("%dm %02ds", (int)(s / 60), (int)(s % 60));
	return g_strdup_printf("%" G_GINT64_FORMAT "h %02dm", s / 3600, (int)(s % 3600 / 60));
}

static void line_free(gpointer data)
{
	Line *line = data;
	g_free(line->text);
	g_free(line);
}

static void add(const Terminal *terminal, GPtrArray *lines, int depth, const char *status, const char *name, const char *rest,
        bool dim, int rank)
{
	const Look *look = status ? look_of(status) : NULL;
	g_autofree char *indent = g_strnfill((gsize)depth * 2, ' ');
	g_autofree char *clean = terminal_harmless(name, strlen(name));
	Line *line = g_new0(Line, 1);
	line->text = g_strdup_printf("%s%s%s%s%s%s", indent, look ? sign_of(terminal, look) : "", look ? " " : "", clean,
	        rest && *rest ? "  " : "", rest ? rest : "");
	line->sign = strlen(indent) + (look ? strlen(sign_of(terminal, look)) : 0);
	line->sgr = look ? look->sgr : "";
	line->dim = dim;
	line->rank = rank >= 0 ? rank : look ? look->rank : 0;
	g_ptr_array_add(lines, line);
}

static bool is_status(const json_t *thing, const char *status)
{
	return g_strcmp0(json_get_string(thing, "status", NULL), status) == 0;
}

static void add_steps(const Terminal *terminal, GPtrArray *lines, const json_t *job, int64_t now_us, bool whole)
{
	const json_t *steps = json_object_get(job, "steps");
	size_t count = json_array_size(steps), i;
	json_t *step;
	json_array_foreach(steps, i, step) {
		if (!whole && !is_status(step, "failure") && i + STEPS_SHOWN < count)
			continue;
		g_autofree char *took = duration_of(step, now_us);
		add(terminal, lines, 2, json_get_string(step, "status", "queued"), json_get_string(step, "name", "step"), took, false,
		        is_status(step, "running") || is_status(step, "failure") ? 4 : 0);
	}
	int64_t id = json_get_int(job, "id", 0);
	const Tail *tail = g_hash_table_lookup(terminal->tails, &id);
	for (size_t k = 0; tail && is_status(job, "running") && k < tail->count; k++)
		add(terminal, lines, 4, NULL, tail->lines[k], NULL, true, 3);
}

static void add_job(const Terminal *terminal, GPtrArray *lines, const json_t *job, int64_t now_us)
{
	const char *status = json_get_string(job, "status", "queued"), *message = json_get_string(job, "message", NULL);
	g_autofree char *took = duration_of(job, now_us);
	bool tells = message && *message && strcmp(status, "success") != 0 && strcmp(status, "running") != 0;
	g_autofree char *told = tells ? terminal_harmless(message, strlen(message)) : g_strdup("");
	g_autofree char *rest = g_strdup_printf("%s%s%s", took, *took && tells ? "  " : "", told);
	add(terminal, lines, 1, status, json_get_string(job, "name", json_get_string(job, "key", "job")), rest, false, -1);
	if (strcmp(status, "running") == 0 || strcmp(status, "failure") == 0)
		add_steps(terminal, lines, job, now_us, false);
}

static GPtrArray *lines_of(const Terminal *terminal, const json_t *runs, const char *note, int64_t now_us)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(line_free);
	size_t i, k;
	json_t *run, *job;
	json_array_foreach(runs, i, run) {
		const char *status = json_get_string(run, "status", "queued"), *message = json_get_string(run, "message", NULL);
		g_autofree char *took = duration_of(run, now_us);
		bool tells = message && *message && json_array_size(json_object_get(run, "jobs")) == 0;
		g_autofree char *told = tells ? terminal_harmless(message, strlen(message)) : g_strdup("");
		g_autofree char *rest = g_strdup_printf("%s  %s%s%s", status, took, tells ? "  " : "", told);
		add(terminal, lines, 0, status, json_get_string(run, "workflow", "run"), rest, false, 7);
		json_array_foreach(json_object_get(run, "jobs"), k, job)
			add_job(terminal, lines, job, now_us);
	}
	if (json_array_size(runs) == 0)
		add(terminal, lines, 0, "running", "reading the workflows", NULL, false, 7);
	if (note)
		add(terminal, lines, 0, NULL, note, NULL, false, 8);
	return lines;
}

/* Leaves out what matters least until it fits, and says how much that was. */
static void fit(const Terminal *terminal, GPtrArray *lines, int rows)
{
	guint left_out = 0;
	for (int rank = 0; rank < 7 && (int)lines->len + (left_out > 0) > rows; rank++)
		for (guint i = 0; i < lines->len && (int)lines->len + 1 > rows;)
			if (((const Line *)lines->pdata[i])->rank == rank) {
				g_ptr_array_remove_index(lines, i);
				left_out++;
			} else {
				i++;
			}
	if (left_out == 0)
		return;
	g_autofree char *text = g_strdup_printf("%u more lines", left_out);
	add(terminal, lines, 1, NULL, text, NULL, true, 8);
	while ((int)lines->len > MAX(rows, 1))
		g_ptr_array_remove_index(lines, lines->len - 1);
}

/* How many bytes of a text fit into so many columns; their number of columns. */
static size_t cut(const char *text, int columns, int *out_width)
{
	const char *at = text;
	int width = 0;
	for (; *at; at = g_utf8_next_char(at)) {
		gunichar c = g_utf8_get_char(at);
		int wide = g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
		if (width + wide > columns)
			break;
		width += wide;
	}
	*out_width = width;
	return (size_t)(at - text);
}

static void put_line(const Terminal *terminal, GString *out, Line *line, int columns)
{
	size_t len = cut(line->text, columns, &line->width);
	size_t sign = MIN(line->sign, len);
	if (terminal->colours && line->dim)
		g_string_append(out, "\x1b[2m");
	else if (terminal->colours)
		g_string_append(out, line->sgr);
	g_string_append_len(out, line->text, (gssize)(line->dim ? len : sign));
	if (terminal->colours && (line->dim || *line->sgr))
		g_string_append(out, "\x1b[0m");
	if (!line->dim)
		g_string_append_len(out, line->text + sign, (gssize)(len - sign));
	g_string_append_c(out, '\n');
}

static void write_all(const Terminal *terminal, const GString *out)
{
	for (gsize at = 0; at < out->len;) {
		ssize_t put = write(terminal->fd, out->str + at, out->len - at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return; /* the terminal is gone; nobody looks */
		at += (gsize)put;
	}
}

static void size_of(const Terminal *terminal, int *columns, int *rows)
{
	struct winsize size = {0};
	bool known = ioctl(terminal->fd, TIOCGWINSZ, &size) == 0;
	*columns = known && size.ws_col > 0 ? size.ws_col : COLUMNS_OTHERWISE;
	*rows = known && size.ws_row > 0 ? size.ws_row : ROWS_OTHERWISE;
}

/* Takes the drawing away. Lines that a narrower terminal broke in two are counted so. */
static void erase(Terminal *terminal, GString *out, int columns)
{
	int up = 0;
	for (guint i = 0; i < terminal->drawn->len; i++)
		up += MAX((g_array_index(terminal->drawn, int, i) + columns - 1) / columns, 1);
	if (up > 0)
		g_string_append_printf(out, "\x1b[%dA", up);
	g_string_append(out, "\r\x1b[J");
	g_array_set_size(terminal->drawn, 0);
}

void terminal_draw(Terminal *terminal, const json_t *runs, const char *note, int64_t now_us)
{
	int columns, rows;
	size_of(terminal, &columns, &rows);
	g_autoptr(GString) out = g_string_new("\x1b[?2026h\x1b[?25l"); /* as one picture, without the cursor */
	g_autoptr(GPtrArray) lines = lines_of(terminal, runs, note, now_us);
	fit(terminal, lines, MAX(rows - 1, 1));
	erase(terminal, out, columns);
	for (guint i = 0; i < lines->len; i++) {
		Line *line = lines->pdata[i];
		put_line(terminal, out, line, columns - 1);
		g_array_append_val(terminal->drawn, line->width);
	}
	g_string_append(out, "\x1b[?25h\x1b[?2026l");
	terminal->frame++;
	write_all(terminal, out);
}

void terminal_finish(Terminal *terminal, const json_t *runs, int64_t now_us)
{
	int columns, rows;
	size_of(terminal, &columns, &rows);
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GPtrArray) lines = lines_of(terminal, runs, NULL, now_us);
	erase(terminal, out, columns);
	for (guint i = 0; i < lines->len; i++)
		put_line(terminal, out, lines->pdata[i], columns - 1);
	write_all(terminal, out);
}

char *terminal_text(Terminal *terminal, const json_t *runs, const char *note, int64_t now_us, int columns, int rows)
{
	GString *out = g_string_new(NULL);
	g_autoptr(GPtrArray) lines = lines_of(terminal, runs, note, now_us);
	if (rows > 0)
		fit(terminal, lines, rows);
	for (guint i = 0; i < lines->len; i++)
		put_line(terminal, out, lines->pdata[i], columns);
	return g_string_free(out, FALSE);
}
