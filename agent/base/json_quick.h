/* SPDX-License-Identifier: Apache-2.0 */
/* The usual JSON, read a tenth of the way. Not for other files than json.c. */
#pragma once

#include <jansson.h>
#include <stddef.h>

/**
 * Reads one JSON document as json_loadb() does with JSON_REJECT_DUPLICATES, JSON_DECODE_ANY and JSON_ALLOW_NUL.
 *
 * Returns   a new reference; NULL when the text is no JSON, or is of a kind that is left to jansson, which then is to say
 */
json_t *json_quick(const char *text, size_t len);
