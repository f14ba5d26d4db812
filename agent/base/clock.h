/* SPDX-License-Identifier: Apache-2.0 */
/* Time: microseconds since the epoch, UTC, as int64_t; text only at the edge. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_TEXT_BYTES 32

/** Microseconds since the epoch, UTC; what clock_set_test() said, if it was called. */
int64_t now_us(void);

/** Microseconds of a clock that never jumps, for measuring how long something took. */
int64_t monotonic_us(void);

/** Makes now_us() answer this, for tests; 0 gives the real clock back. */
void clock_set_test(int64_t time_us);

/** Writes RFC 3339 with milliseconds, as "2026-05-03T10:04:00.123Z", and returns out. */
const char *clock_text(int64_t time_us, char out[CLOCK_TEXT_BYTES]);

/** The same in new memory; NULL for a time of 0, which means "never". */
char *clock_dup(int64_t time_us);

/** Reads RFC 3339 with any offset and up to nine digits of a second. */
bool clock_parse(const char *text, int64_t *out_us);
