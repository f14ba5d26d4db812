/* SPDX-License-Identifier: Apache-2.0 */
/* A window of a log for its page: which lines, from where, and where a text occurs. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct LogWish {
	int64_t from;      /* first line of the window, from 1; 0: not said */
	int64_t at;        /* a byte that the window holds; -1: not said */
	const char *search; /* NULL: nothing is looked for */
	bool has_ended;    /* then a last line without a newline counts */
	int64_t lines_max; /* of the window */
} LogWish;

/**
 * Reads a window (page.h, page_job, "log"). Without `from` and `at`: all of a short log, else the window with the first line
 * marked ##[error], else the last one. Memory: the window and one buffer, however large the log.
 *
 * @fd       the log; -1: it is not there yet
 */
json_t *log_window(int fd, const LogWish *wish, GError **error);
