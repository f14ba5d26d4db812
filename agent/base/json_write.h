/* SPDX-License-Identifier: Apache-2.0 */
/* The usual JSON, written a fifth of the way. Not for other files than json.c. */
#pragma once

#include <jansson.h>

/**
 * Writes a value as json_dumps() does with JSON_COMPACT, JSON_SORT_KEYS and JSON_ENCODE_ANY.
 *
 * Returns   the text, the caller's (g_free); NULL when the value is of a kind that is left to jansson, which then is to say
 */
char *json_write_quick(const json_t *value);
