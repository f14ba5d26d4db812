/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's own log. One line is one write(2), so lines of several processes never mix. The journal
 * reads stderr: there the syslog priority goes in front ("<3>"), when JOURNAL_STREAM says so.
 */
#include "agent/base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"

static const char *const names[] = {"error", "warning", "info", "debug"};
static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
static LogLevel lowest = LOG_LEVEL_INFO;
static LogFormat form = LOG_FORMAT_TEXT;

void log_setup(LogLevel level, LogFormat format)
{
	lowest = level;
	form = format;
}

LogFormat log_default_format(void)
{
	return isatty(STDERR_FILENO) || g_getenv("JOURNAL_STREAM") ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
}

bool log_level_parse(const char *word, LogLevel *out)
{
	for (size_t i = 0; word && i < G_N_ELEMENTS(names); i++)
		if (strcmp(word, names[i]) == 0) {
			*out = (LogLevel)i;
			return true;
		}
	return false;
}

static void append_text(GString *line, const LogPair *pair)
{
	g_string_append_printf(line, " %s=", pair->key);
	if (pair->kind == LOG_PAIR_INT)
		g_string_append_printf(line, "%" G_GINT64_FORMAT, pair->number);
	else if (pair->kind == LOG_PAIR_REAL)
		g_string_append_printf(line, "%g", pair->real);
	else if (pair->text[0] == '\0' || strpbrk(pair->text, " \"=\n\t\r\033")) {
		g_autofree char *escaped = g_strescape(pair->text, NULL);
		g_string_append_printf(line, "\"%s\"", escaped);
	} else
		g_string_append(line, pair->text);
}

static char *line_as_json(LogLevel level, const char *phrase, const LogPair *pairs, size_t count)
{
	g_autoptr(json_t) line = json_object();
	json_set_time(line, "time", now_us());
	json_set_string(line, "level", names[level]);
	json_set_string(line, "message", phrase);
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].kind == LOG_PAIR_INT)
			json_set_int(line, pairs[i].key, pairs[i].number);
		else if (pairs[i].kind == LOG_PAIR_REAL)
			json_set_real(line, pairs[i].key, pairs[i].real);
		else
			json_set_string(line, pairs[i].key, pairs[i].text);
	}
	char *raw = json_dumps(line, JSON_COMPACT);
	char *text = g_strconcat(raw, "\n", NULL);
	free(raw);
	return text;
}

void log_write(LogLevel level, const char *phrase, const LogPair *pairs, size_t count)
{
	if (level > lowest)
		return;
	int keep = errno;
	g_autofree char *line = NULL;
	if (form == LOG_FORMAT_JSON) {
		line = line_as_json(level, phrase, pairs, count);
	} else {
		char time[CLOCK_TEXT_BYTES];
		GString *text = g_string_new(NULL);
		if (g_getenv("JOURNAL_STREAM"))
			g_string_append_printf(text, "%s%s", priorities[level], phrase);
		else
			g_string_append_printf(text, "%s %-7s %s", clock_text(now_us(), time), names[level], phrase);
		for (size_t i = 0; i < count; i++)
			append_text(text, &pairs[i]);
		g_string_append_c(text, '\n');
		line = g_string_free(text, FALSE);
	}
	ssize_t ignored = write(STDERR_FILENO, line, strlen(line)); /* nobody to tell */
	(void)ignored;
	errno = keep;
}
