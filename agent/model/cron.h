/* SPDX-License-Identifier: Apache-2.0 */
/* The next time a schedule is due: five fields as POSIX has them, with names of months and days. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** A schedule, read: a bit for each minute, hour, day, month and weekday on which it may be due. */
typedef struct Cron {
	uint64_t minutes;
	uint32_t hours;
	uint32_t days;     /* bits 1 to 31 */
	uint16_t months;   /* bits 1 to 12 */
	uint8_t weekdays;  /* bit 0 is Sunday */
	bool any_day;      /* the day's field begins with a star: only the weekday counts */
	bool any_weekday;  /* and the other way round; when neither does, either is enough */
} Cron;

/** Reads five fields; false with USER, which names the field at fault. */
bool cron_parse(const char *text, Cron *out, GError **error);
/**
 * The first minute after a moment on which a schedule is due.
 *
 * @after_us   microseconds since the epoch
 * @zone       where the fields' hours are; NULL: UTC
 * Returns     microseconds since the epoch; -1 when there is none in the next eight years (the 30th of February)
 */
int64_t cron_next(const Cron *cron, int64_t after_us, GTimeZone *zone);
/** The fewest minutes between two times on one day: 1 to 1440. */
int cron_shortest_minutes(const Cron *cron);
