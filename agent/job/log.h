/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's log (docs/formats.md, "Logs"): what steps print, line by line with its time, without secrets, as valid
 * UTF-8, bounded, with an index for paging. Written first; who reads it is told afterwards, or watches the file.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/job/mask.h"

#define JOBLOG_LINE_BYTES_MAX (64 * 1024)     /* a longer line becomes several */
#define JOBLOG_COMMAND_BYTES_MAX (1024 * 1024) /* a longer `::command` is text */
#define JOBLOG_INDEX_LINES 1000

typedef struct JobLog JobLog;

/** A line that begins with `::`, as it was printed. true: it is not part of the log. */
typedef bool (*JobLogCommand)(void *data, const char *line, size_t len);

/**
 * A line that a step printed, without its newline and without secrets, before it is put down. Returns a marker to put in
 * front of it ("##[error]"), or NULL. Must not write to the log.
 */
typedef const char *(*JobLogLine)(void *data, const char *line, size_t len);

/**
 * Opens the log and its index; what is there already stays, and is counted.
 *
 * @mask          borrowed; must outlive the log
 * @limit_bytes   of what steps print, 0 for none; our own lines have a little more
 */
JobLog *joblog_open(const char *path, Mask *mask, int64_t limit_bytes, GError **error);
/** Flushes and closes. Accepts NULL. */
void joblog_close(JobLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JobLog, joblog_close)

/** Who is told of `::` lines; NULL: they are text. */
void joblog_on_command(JobLog *log, JobLogCommand command, void *data);
/** Meanwhile they are text for whoever is told. Between two commands, whose output has ended. */
void joblog_pause_commands(JobLog *log, bool paused);
/** Who sees the lines that steps print; NULL: nobody. */
void joblog_on_line(JobLog *log, JobLogLine seen, void *data);
/** Bytes that a step printed. */
void joblog_feed(JobLog *log, const char *bytes, size_t len);
/** The step has ended: what has no newline yet becomes a line. */
void joblog_feed_end(JobLog *log);
/** Lines of our own: marker ("##[error]", "" …) and text, which is masked; each of its lines gets the marker. */
void joblog_say(JobLog *log, const char *marker, const char *text);
/** The same for one line that a format makes. */
void joblog_sayf(JobLog *log, const char *marker, const char *format, ...) G_GNUC_PRINTF(3, 4);
/** Everything that is a whole line reaches the file. false when the disk refused, now or before. */
bool joblog_flush(JobLog *log, GError **error);
/** Where the next line will begin. */
int64_t joblog_offset(const JobLog *log);
/** The number of the line that comes next, from 1. */
int64_t joblog_next_line(const JobLog *log);
/** Were lines left out because of the limit? */
bool joblog_is_cut(const JobLog *log);
