/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job might try. Each attempt answers 0 when it got what it wanted, or the errno that it met; it runs in a child of
 * its own, once outside (there it must succeed) and once in a job (there it must not). Safe outside: what would hurt
 * is asked for in a form that only tells whether it would have been granted, and the runner cages the rest.
 */
#pragma once

#include <errno.h>
#include <stddef.h>

typedef struct Attempt {
	const char *name;
	int (*run)(const char *argument); /* "" when there is none */
} Attempt;

extern const Attempt attempts_files[], attempts_processes[], attempts_network[]; /* each ended by a NULL name */

/** What the attempt saw, for the runner; the last one counts. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** 0, or errno when a call failed. */
static inline int result(long got)
{
	return got < 0 ? errno : 0;
}
