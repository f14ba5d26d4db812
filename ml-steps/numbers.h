/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that a training wrote: a JSON object, or JSON lines with a step; and sizes and times as people write them. */
#pragma once

#include "agent/mlstep.h"

/**
 * Reads metrics of a file: from .jsonl one object a line, whose key `step` (or the line's number from 0) is the step;
 * else one JSON object. Nested objects become names with '/', true and false 1 and 0; texts and lists are left out.
 *
 * Returns   array of {"name","value","step"}; NULL with USER
 */
json_t *numbers_read(MlContext *context, const char *path, GError **error);
/** The last value of each name: {"accuracy":0.97}. */
json_t *numbers_last(const json_t *metrics);
/** The fields of a JSON object as texts, nested ones with '/': parameters. NULL with USER. */
json_t *numbers_params(MlContext *context, const char *path, GError **error);
/** JSON with numbers as people write them, 0.1 rather than 0.10000000000000001; the caller's. */
char *numbers_json(const json_t *value);
/** "accuracy 0.9722, log_loss 0.1012", at most `most` of them; the caller's. */
char *numbers_sentence(const json_t *last, size_t most);

/** "90s", "30m", "2h", "1h30m" → microseconds. */
bool duration_parse(const char *text, int64_t *out_us, GError **error);
/** "512MiB", "2GB", "4G" (G is GiB, as in a container's limit) → bytes. */
bool size_parse(const char *text, int64_t *out_bytes, GError **error);
