/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between the method and "HTTP/1.1": a path in segments and a query in pairs. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define TARGET_BYTES_MAX 8192
#define TARGET_SEGMENTS_MAX 16
#define TARGET_PAIRS_MAX 64

typedef struct Target {
	char *raw;           /* as it came */
	GPtrArray *segments; /* char *, decoded; "/" has none, "/a/" has "a" and "" */
	GPtrArray *query;    /* char *, decoded: name, value, name, value */
} Target;

/** Reads a target in origin form; NULL with USER when it is too long, not UTF-8 or holds control characters. */
Target *target_parse(const char *raw, GError **error);
void target_free(Target *target);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Target, target_free)

/** The first value of that name in the query; NULL when there is none. Borrowed. */
const char *target_query(const Target *target, const char *name);

/**
 * Does a path fit a pattern as "/api/v1/runs/{id}/cancel"? A name in braces takes one segment that is not empty.
 *
 * @params   gets name, value, … of what the braces took: borrowed from the target, the names without their closing brace
 *           ("id}/cancel"), so compare them with target_param(); may be NULL
 */
bool target_fits(const Target *target, const char *pattern, GPtrArray *params);
/** The value that {name} took; NULL when the pattern has none. Borrowed. */
const char *target_param(const GPtrArray *params, const char *name);

/** Pairs of an application/x-www-form-urlencoded text, decoded, as in Target.query; NULL with USER. */
GPtrArray *target_form(const char *text, size_t len, GError **error);
/** The first value of that name in such pairs. Borrowed. */
const char *target_pair(const GPtrArray *pairs, const char *name);
/** Percent-encodes one path segment or query value; the caller's. */
char *target_escape(const char *text);
