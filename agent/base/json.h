/* SPDX-License-Identifier: Apache-2.0 */
/* json_t from text or a file with limits, and short ways to read fields; errors carry a path. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/autoptr.h"

#define JSON_TEXT_BYTES_MAX (32 * 1024 * 1024)

/**
 * Reads one JSON document; duplicate keys are refused.
 *
 * @what     what the text is, for the message: "events.jsonl, line 3"
 * Returns   a new reference, NULL with USER
 */
json_t *json_parse(const char *text, size_t len, const char *what, GError **error);
/** The same from a file of at most limit_bytes. */
json_t *json_parse_file(const char *path, size_t limit_bytes, GError **error);
/** Compact text with sorted keys, the caller's: equal values give equal bytes. NULL is "null". */
char *json_text(const json_t *value);
/** The same with keys in the order in which they were set, for half the work: what is only read again. */
char *json_text_unsorted(const json_t *value);
/** SHA-256 of json_text(), as hex; the caller's. */
char *json_digest(const json_t *value);

/** Field readers. They borrow, and give the fallback when the key is absent or of another type. */
const char *json_get_string(const json_t *object, const char *key, const char *fallback);
int64_t json_get_int(const json_t *object, const char *key, int64_t fallback);
double json_get_real(const json_t *object, const char *key, double fallback);
bool json_get_bool(const json_t *object, const char *key, bool fallback);

/** Sets object[key]; NULL text becomes null. */
void json_set_string(json_t *object, const char *key, const char *text);
void json_set_int(json_t *object, const char *key, int64_t number);
void json_set_real(json_t *object, const char *key, double number); /* NaN and infinities become strings */
void json_set_bool(json_t *object, const char *key, bool truth);
/** Sets an RFC 3339 text; a time of 0 becomes null. */
void json_set_time(json_t *object, const char *key, int64_t time_us);
/** Takes value. */
void json_set(json_t *object, const char *key, json_t *value);

/** Appends text as json_text() would write it, with its quotes; what is not UTF-8 becomes U+FFFD. */
void json_append_string(GString *out, const char *text);
/** A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. Never NULL. */
json_t *json_string_any(const char *bytes, size_t len);
