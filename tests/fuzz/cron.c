/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules of strangers: refused, or due at a minute that is later, on the fields, and found again from the one before. */
#include "agent/model/cron.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int64_t start_us = INT64_C(1700000000) * G_USEC_PER_SEC;
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autoptr(GError) error = NULL;
	Cron cron;
	bool good = cron_parse(text, &cron, &error);
	g_assert_true(good == (error == NULL));
	if (!good)
		return 0;
	int shortest = cron_shortest_minutes(&cron);
	g_assert_true(shortest >= 1 && shortest <= 24 * 60);
	int64_t next_us = cron_next(&cron, start_us, NULL);
	g_assert_true(next_us == -1 || next_us > start_us);
	if (next_us < 0)
		return 0;
	g_autoptr(GDateTime) next = g_date_time_new_from_unix_utc(next_us / G_USEC_PER_SEC);
	g_assert_true(cron.minutes >> g_date_time_get_minute(next) & 1);
	g_assert_true(cron.hours >> g_date_time_get_hour(next) & 1);
	g_assert_true(cron.months >> g_date_time_get_month(next) & 1);
	g_assert_cmpint(cron_next(&cron, next_us - 1, NULL), ==, next_us);
	return 0;
}
