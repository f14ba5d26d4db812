/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as we write it ourselves, read quickly; json.c asks it first. */
#pragma once

#include <jansson.h>
#include <stddef.h>

/**
 * Reads a document as jansson would, in a third of the time: jansson takes each byte through a buffer and three calls.
 *
 * Returns   a new reference; NULL for what is rare or wrong (escapes by number, keys that are not ASCII or come twice, numbers
 *           out of range, deep nesting, errors of all kinds), which jansson then reads or explains
 */
json_t *json_quick(const char *text, size_t len);
