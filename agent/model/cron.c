/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules as crontab(5) has them, less the `@daily` words, which GitHub does not take either. A field is a list of
 * `*`, `a`, `a-b`, each with an optional `/step`; `a/step` runs to the end of the field.
 */
#include "agent/model/cron.h"

#include <string.h>

#include "agent/base/error.h"

#define MINUTE_US (60 * G_USEC_PER_SEC)
#define YEARS_AHEAD 8 /* longer than any two leap days lie apart */

typedef struct FieldKind {
	const char *name;
	int least;
	int most;
	const char *const *words; /* names of the values from `least` on, or NULL */
} FieldKind;

static const char *const months[] = {
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const weekdays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};
static const FieldKind kinds[] = {{"a minute", 0, 59, NULL}, {"an hour", 0, 23, NULL}, {"a day of the month", 1, 31, NULL},
        {"a month", 1, 12, months}, {"a day of the week", 0, 7, weekdays}};

/** A number or a name at *at; false when there is neither, or it is outside the field. */
static bool read_value(const char **at, const FieldKind *kind, int *out)
{
	const char *p = *at;
	int value = -1;
	for (int i = 0; kind->words && kind->words[i]; i++)
		if (g_ascii_strncasecmp(p, kind->words[i], 3) == 0) {
			value = kind->least + i;
			p += 3;
		}
	if (value < 0 && g_ascii_isdigit(*p))
		for (value = 0; g_ascii_isdigit(*p) && value <= kind->most; p++)
			value = value * 10 + (*p - '0');
	if (value < kind->least || value > kind->most || g_ascii_isalnum(*p))
		return false;
	*at = p;
	*out = value;
	return true;
}

/** One item of a list. */
static bool read_item(const char **at, const FieldKind *kind, uint64_t *bits)
{
	int low = kind->least;
	int high = kind->most;
	int step = 1;
	bool whole = **at == '*';
	if (whole)
		(*at)++;
	else if (!read_value(at, kind, &low))
		return false;
	bool range = !whole && **at == '-';
	if (range) {
		(*at)++;
		if (!read_value(at, kind, &high) || high < low)
			return false;
	}
	bool stepped = **at == '/';
	if (stepped) {
		static const FieldKind steps = {"a step", 1, 59, NULL};
		(*at)++;
		if (!read_value(at, &steps, &step))
			return false;
	}
	if (!whole && !range && !stepped)
		high = low;
	for (int value = low; value <= high; value += step)
		*bits |= UINT64_C(1) << value;
	return true;
}

static bool read_field(const char *text, const FieldKind *kind, uint64_t *bits)
{
	for (const char *p = text;; p++) {
		if (!read_item(&p, kind, bits))
			return false;
		if (*p == '\0')
			return true;
		if (*p != ',')
			return false;
	}
}

bool cron_parse(const char *text, Cron *out, GError **error)
{
	g_auto(GStrv) words = g_strsplit_set(text, " \t\r\n", -1);
	const char *fields[G_N_ELEMENTS(kinds)] = {NULL};
	size_t count = 0;
	for (char **word = words; *word; word++) {
		if (!**word)
			continue;
		if (count < G_N_ELEMENTS(fields))
			fields[count] = *word;
		count++;
	}
	if (count != G_N_ELEMENTS(fields))
		return fail(error, ASSAY_ERROR_USER,
		        "'%s' is not a schedule: minute hour day month weekday are expected", text);
	uint64_t bits[G_N_ELEMENTS(kinds)] = {0};
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (!read_field(fields[i], &kinds[i], &bits[i]))
			return fail(error, ASSAY_ERROR_USER, "'%s' is not a schedule: '%s' is not %s (%d to %d)", text,
			        fields[i], kinds[i].name, kinds[i].least, kinds[i].most);
	*out = (Cron){.minutes = bits[0],
	        .hours = (uint32_t)bits[1],
	        .days = (uint32_t)bits[2],
	        .months = (uint16_t)bits[3],
	        .weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7F),
	        .any_day = *fields[2] == '*',
	        .any_weekday = *fields[4] == '*'};
	return true;
}

static bool day_is_due(const Cron *cron, int month, int day, int weekday)
{
	bool by_day = cron->days >> day & 1;
	bool by_weekday = cron->weekdays >> weekday & 1;
	if (!(cron->months >> month & 1))
		return false;
	return cron->any_day || cron->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/** The first due minute of a day from a minute of it on, or -1. */
static int minute_of_day(const Cron *cron, int from)
{
	for (int at = from; at < 24 * 60; at++)
		if ((cron->hours >> (at / 60) & 1) && (cron->minutes >> (at % 60) & 1))
			return at;
	return -1;
}

int64_t cron_next(const Cron *cron, int64_t after_us, GTimeZone *zone)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	GTimeZone *used = zone ? zone : utc;
	g_autoptr(GDateTime) start_utc = g_date_time_new_from_unix_utc(after_us / G_USEC_PER_SEC);
	g_autoptr(GDateTime) start = start_utc ? g_date_time_to_timezone(start_utc, used) : NULL;
	if (!start)
		return -1;
	GDate date;
	g_date_clear(&date, 1);
	g_date_set_dmy(&date, (GDateDay)g_date_time_get_day_of_month(start),
	        (GDateMonth)g_date_time_get_month(start), (GDateYear)g_date_time_get_year(start));
	for (int days = 0; days < YEARS_AHEAD * 366; days++, g_date_add_days(&date, 1)) {
		int weekday = g_date_get_weekday(&date) % 7;
		int day = g_date_get_day(&date);
		int month = (int)g_date_get_month(&date);
		if (!day_is_due(cron, month, day, weekday))
			continue;
		/* Before the clocks go back the same minute comes twice: the first one later than `after` counts. */
		for (int at = minute_of_day(cron, 0); at >= 0; at = minute_of_day(cron, at + 1)) {
			g_autoptr(GDateTime) due =
			        g_date_time_new(used, g_date_get_year(&date), month, day, at / 60, at % 60, 0);
			int64_t due_us = due ? g_date_time_to_unix(due) * G_USEC_PER_SEC : -1;
			if (due_us > after_us)
				return due_us;
		}
	}
	return -1;
}

int cron_shortest_minutes(const Cron *cron)
{
	int shortest = 24 * 60;
	int first = minute_of_day(cron, 0);
	int last = first;
	for (int at = minute_of_day(cron, first + 1); first >= 0 && at >= 0; at = minute_of_day(cron, at + 1)) {
		shortest = MIN(shortest, at - last);
		last = at;
	}
	/* From the day's last time to the next day's first. */
	return MIN(shortest, first + 24 * 60 - last);
}
