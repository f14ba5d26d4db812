/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filter patterns of `on.<event>.branches`, `tags` and `paths`: `*` is anything but a slash, `**` anything, `?` and `+`
 * are "none or one" and "one or more" of the character before, `[…]` a set, `\` takes the next character as it is.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define GLOB_PATTERN_BYTES_MAX 4096

/** Does the whole text match? In time proportional to pattern × text, whatever the pattern. A leading `!` is no part of it. */
bool glob_matches(const char *pattern, const char *text);
/** The verdict of a list, in order: the last pattern that matches decides, one with a leading `!` against. */
bool glob_list_matches(const char *const *patterns, const char *text);
