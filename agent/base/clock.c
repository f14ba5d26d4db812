/* SPDX-License-Identifier: Apache-2.0 */
/* Time in and out. The only file that asks the kernel what time it is, so that tests can say. */
#include "agent/base/clock.h"

#include <glib.h>
#include <stdio.h>
#include <time.h>

static int64_t test_time_us;

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

int64_t now_us(void)
{
	return test_time_us ? test_time_us : read_clock(CLOCK_REALTIME);
}

int64_t monotonic_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void clock_set_test(int64_t time_us)
{
	test_time_us = time_us;
}

/* `digits` digits and what follows them; the end. */
static char *put_number(char *out, int number, int digits, char after)
{
	for (int i = digits - 1; i >= 0; i--, number /= 10)
		out[i] = (char)('0' + number % 10);
	out[digits] = after;
	return out + digits + 1;
}

const char *clock_text(int64_t time_us, char out[CLOCK_TEXT_BYTES])
{
	int64_t seconds = time_us / G_USEC_PER_SEC;
	int64_t rest = time_us % G_USEC_PER_SEC;
	if (rest < 0) {
		rest += G_USEC_PER_SEC;
		seconds--;
	}
	time_t at = (time_t)seconds;
	struct tm parts;
	if (!gmtime_r(&at, &parts) || parts.tm_year > 9999 - 1900 || parts.tm_year < -1900) {
		g_snprintf(out, CLOCK_TEXT_BYTES, "1970-01-01T00:00:00.000Z");
		return out;
	}
	/* By hand: each line of a log and each time of an answer comes here. */
	char *at_end = put_number(out, parts.tm_year + 1900, 4, '-');
	at_end = put_number(at_end, parts.tm_mon + 1, 2, '-');
	at_end = put_number(at_end, parts.tm_mday, 2, 'T');
	at_end = put_number(at_end, parts.tm_hour, 2, ':');
	at_end = put_number(at_end, parts.tm_min, 2, ':');
	at_end = put_number(at_end, parts.tm_sec, 2, '.');
	*put_number(at_end, (int)(rest / 1000), 3, 'Z') = '\0';
	return out;
}

char *clock_dup(int64_t time_us)
{
	if (time_us == 0)
		return NULL;
	char text[CLOCK_TEXT_BYTES];
	return g_strdup(clock_text(time_us, text));
}

bool clock_parse(const char *text, int64_t *out_us)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GDateTime) time = text ? g_date_time_new_from_iso8601(text, utc) : NULL;
	if (!time)
		return false;
	*out_us = g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time);
	return true;
}
