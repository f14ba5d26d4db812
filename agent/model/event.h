/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines a worker appends to events.jsonl (docs/formats.md): made, checked and written as text. Pure. The agent
 * reads what a process wrote that had met strangers' files, so a line is believed only as far as its shape is checked.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_LINE_BYTES_MAX (1024 * 1024)
#define EVENT_VERSION 1

typedef enum EventType {
	EVENT_BEGIN,
	EVENT_RUN,
	EVENT_JOB,
	EVENT_INVALID,
	EVENT_WORKFLOWS,
	EVENT_RESOLVED,
	EVENT_ISOLATION,
	EVENT_STEP,
	EVENT_ANNOTATION,
	EVENT_SUMMARY,
	EVENT_REPORT,
	EVENT_OUTPUTS,
	EVENT_ASK,
	EVENT_END,
	EVENT_UNKNOWN, /* of a later version: to be passed over */
} EventType;

/**
 * Reads one line, without its newline, and checks the fields of its type.
 *
 * Returns   a new reference, or NULL with USER: not JSON, too long, no type or time, or a field of the wrong kind
 */
json_t *event_parse(const char *line, size_t len, GError **error);
EventType event_type(const json_t *event);
/** "begin", "run", …; "unknown". Static. */
const char *event_type_name(EventType type);

/** {"type":…,"t":t_us}: a new reference, to be filled with json_set_*(). */
json_t *event_new(EventType type, int64_t t_us);
/**
 * The line as it is written, with its newline; the caller's. NULL with USER when it is longer than the limit or
 * would not pass event_parse().
 */
char *event_line(const json_t *event, size_t *out_len, GError **error);

/**
 * Cuts whole lines out of bytes that were read so far.
 *
 * @used     moves behind the line's newline
 * Returns   the line's first byte, or NULL when no whole line is left
 */
const char *event_next_line(const char *bytes, size_t len, size_t *used, size_t *out_line_len);
