/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules: which are read, and when they are due next. */
#include "agent/model/cron.h"

#include <string.h>

static Cron read_valid(const char *text)
{
	g_autoptr(GError) error = NULL;
	Cron cron;
	bool good = cron_parse(text, &cron, &error);
	g_assert_no_error(error);
	g_assert_true(good);
	return cron;
}

static void refused(const char *text, const char *why)
{
	g_autoptr(GError) error = NULL;
	Cron cron;
	g_assert_false(cron_parse(text, &cron, &error));
	g_assert_nonnull(strstr(error->message, why));
}

/** Both moments as "2026-02-28T23:59:30Z". */
static void next_is(const char *text, const char *after, const char *zone_name, const char *expected)
{
	Cron cron = read_valid(text);
	g_autoptr(GTimeZone) zone = zone_name ? g_time_zone_new_identifier(zone_name) : NULL;
	g_assert_true(!zone_name || zone);
	g_autoptr(GDateTime) from = g_date_time_new_from_iso8601(after, NULL);
	int64_t next_us = cron_next(&cron, g_date_time_to_unix(from) * G_USEC_PER_SEC, zone);
	g_autoptr(GDateTime) next = g_date_time_new_from_unix_utc(next_us / G_USEC_PER_SEC);
	g_autofree char *shown = g_date_time_format_iso8601(next);
	g_assert_cmpstr(shown, ==, expected);
}

static void fields_are_read(void)
{
	Cron cron = read_valid("*/15 0-3,22 1/10 jan-MAR,12 MON-FRI");
	g_assert_cmphex(cron.minutes, ==, 1 | UINT64_C(1) << 15 | UINT64_C(1) << 30 | UINT64_C(1) << 45);
	g_assert_cmphex(cron.hours, ==, 0xF | 1 << 22);
	g_assert_cmphex(cron.days, ==, 1u << 1 | 1u << 11 | 1u << 21 | 1u << 31);
	g_assert_cmphex(cron.months, ==, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 12);
	g_assert_cmphex(cron.weekdays, ==, 0x3E);
	g_assert_cmphex(read_valid("0 0 * * 7").weekdays, ==, 1);
	g_assert_cmphex(read_valid(" 0\t0  * * SUN ").weekdays, ==, 1);
}

static void what_is_no_schedule_names_its_field(void)
{
	refused("* * * *", "minute hour day month weekday");
	refused("* * * * * *", "minute hour day month weekday");
	refused("", "minute hour day month weekday");
	refused("@daily", "minute hour day month weekday");
	refused("60 * * * *", "'60' is not a minute");
	refused("* 24 * * *", "'24' is not an hour");
	refused("* * 0 * *", "'0' is not a day of the month");
	refused("* * * 13 *", "'13' is not a month");
	refused("* * * * 8", "'8' is not a day of the week");
	refused("5-1 * * * *", "'5-1'");
	refused("*/0 * * * *", "'*/0'");
	refused("*/ * * * *", "'*/'");
	refused("1, * * * *", "'1,'");
	refused("-1 * * * *", "'-1'");
	refused("99999999999999999999 * * * *", "not a minute");
	refused("* * L * *", "'L'");
	refused("* * * MONDAY *", "'MONDAY'");
	refused("* * * * FRIDAY", "'FRIDAY'");
}

static void the_next_time_is_later(void)
{
	next_is("*/5 * * * *", "2026-03-01T10:00:00Z", NULL, "2026-03-01T10:05:00Z");
	next_is("*/5 * * * *", "2026-03-01T10:04:59Z", NULL, "2026-03-01T10:05:00Z");
	next_is("0 0 * * *", "2026-12-31T00:00:00Z", NULL, "2027-01-01T00:00:00Z");
	next_is("30 5 29 2 *", "2026-03-01T00:00:00Z", NULL, "2028-02-29T05:30:00Z");
	next_is("0 9 * * MON", "2026-11-25T00:00:00Z", NULL, "2026-11-30T09:00:00Z");
	Cron never = read_valid("0 0 30 2 *");
	g_assert_cmpint(cron_next(&never, 0, NULL), ==, -1);
}

static void a_day_or_a_weekday_is_enough_when_both_are_given(void)
{
	next_is("0 0 13 * FRI", "2026-11-25T00:00:00Z", NULL, "2026-11-27T00:00:00Z");
	next_is("0 0 13 * FRI", "2026-12-12T00:00:00Z", NULL, "2026-12-13T00:00:00Z");
	/* A star with a step is a star: both must hold. */
	next_is("0 0 */2 * MON", "2026-11-25T00:00:00Z", NULL, "2026-12-07T00:00:00Z");
}

static void a_zone_moves_the_hours(void)
{
	if (!g_file_test("/usr/share/zoneinfo/Europe/Berlin", G_FILE_TEST_EXISTS)) {
		g_test_skip("no time zones on this machine");
		return;
	}
	next_is("0 9 * * *", "2026-07-01T00:00:00Z", "Europe/Berlin", "2026-07-01T07:00:00Z");
	next_is("0 9 * * *", "2026-01-01T00:00:00Z", "Europe/Berlin", "2026-01-01T08:00:00Z");
	/* The night in which the clocks go forward has no half past two; the run is not lost. */
	next_is("30 2 * * *", "2026-03-28T12:00:00Z", "Europe/Berlin", "2026-03-29T01:00:00Z");
}

static void the_shortest_interval(void)
{
	const struct {
		const char *text;
		int minutes;
	} rows[] = {{"*/4 * * * *", 4}, {"*/5 * * * *", 5}, {"0,3 * * * *", 3}, {"0 0 * * *", 1440}, {"59,0 * * * *", 1},
	        {"59 23 * * *", 1440}, {"0 0,23 * * *", 60}};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		Cron cron = read_valid(rows[i].text);
		g_assert_cmpint(cron_shortest_minutes(&cron), ==, rows[i].minutes);
	}
}

/* Is this minute one on which the schedule is due, by the clock of the zone? */
static bool is_due(const Cron *cron, GDateTime *minute)
{
	bool day = cron->days >> g_date_time_get_day_of_month(minute) & 1;
	bool weekday = cron->weekdays >> (g_date_time_get_day_of_week(minute) % 7) & 1;
	bool either = cron->any_day || cron->any_weekday ? day && weekday : day || weekday;
	return cron->minutes >> g_date_time_get_minute(minute) & 1 && cron->hours >> g_date_time_get_hour(minute) & 1 &&
	       cron->months >> g_date_time_get_month(minute) & 1 && either;
}

static char *any_field(const char *const *forms, size_t count, int low, int high)
{
	const char *form = forms[g_test_rand_int_range(0, (gint32)count)];
	int first = g_test_rand_int_range(low, high + 1), second = g_test_rand_int_range(first, high + 1);
	if (strcmp(form, "n") == 0)
		return g_strdup_printf("%d", first);
	if (strcmp(form, "n-n") == 0)
		return g_strdup_printf("%d-%d", first, second);
	if (strcmp(form, "n,n") == 0)
		return g_strdup_printf("%d,%d", first, second);
	return strcmp(form, "*/n") == 0 ? g_strdup_printf("*/%d", MAX(first, 1)) : g_strdup("*");
}

/* Any schedule from any moment: the same as walking minute by minute. Around a change of the clocks only that it is later. */
static void a_walk_by_minutes_agrees(void)
{
	static const char *const forms[] = {"*", "n", "n-n", "n,n", "*/n"};
	enum { DAYS = 12, ROUNDS = 60 };
	for (int round = 0; round < ROUNDS; round++) {
		bool berlin = round % 2 && g_file_test("/usr/share/zoneinfo/Europe/Berlin", G_FILE_TEST_EXISTS);
		g_autoptr(GTimeZone) zone = berlin ? g_time_zone_new_identifier("Europe/Berlin") : g_time_zone_new_utc();
		g_autofree char *minute = any_field(forms, 5, 0, 59), *hour = any_field(forms, 5, 0, 23);
		g_autofree char *day = any_field(forms, 3, 1, 31), *weekday = any_field(forms, 3, 0, 6);
		g_autofree char *text = g_strdup_printf("%s %s %s * %s", minute, hour, day, weekday);
		Cron cron = read_valid(text);
		int64_t after = (INT64_C(1767225600) + g_test_rand_int_range(0, 366 * 86400)) * G_USEC_PER_SEC;
		int64_t next = cron_next(&cron, after, berlin ? zone : NULL);
		int64_t first = after / (60 * G_USEC_PER_SEC) * 60 + 60, found = -1;
		for (int64_t at = first; found < 0 && at < first + DAYS * 86400; at += 60) {
			g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(at);
			g_autoptr(GDateTime) local = g_date_time_to_timezone(utc, zone);
			if (is_due(&cron, local))
				found = at * G_USEC_PER_SEC;
		}
		int begin = g_time_zone_get_offset(zone, g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, first - 86400));
		int end = g_time_zone_get_offset(zone, g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, first + (DAYS + 1) * 86400));
		g_test_message("%s after %" G_GINT64_FORMAT "%s", text, after, berlin ? " in Berlin" : "");
		if (begin != end)
			g_assert_true(next == -1 || next > after);
		else if (found >= 0)
			g_assert_cmpint(next, ==, found);
		else
			g_assert_true(next == -1 || next >= (first + DAYS * 86400) * G_USEC_PER_SEC);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cron/fields_are_read", fields_are_read);
	g_test_add_func("/cron/what_is_no_schedule_names_its_field", what_is_no_schedule_names_its_field);
	g_test_add_func("/cron/the_next_time_is_later", the_next_time_is_later);
	g_test_add_func("/cron/a_day_or_a_weekday_is_enough_when_both_are_given",
	        a_day_or_a_weekday_is_enough_when_both_are_given);
	g_test_add_func("/cron/a_zone_moves_the_hours", a_zone_moves_the_hours);
	g_test_add_func("/cron/a_walk_by_minutes_agrees", a_walk_by_minutes_agrees);
	g_test_add_func("/cron/the_shortest_interval", the_shortest_interval);
	return g_test_run();
}
