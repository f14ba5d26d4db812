/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTML as text, with the escape in the verb: html() and html_href() escape every %s, html_text() and html_attr() what they
 * are given. Only g_string_append() writes markup as it stands, and it is only ever given literals.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Appends format, literally, with every %s escaped for text and quoted attributes alike; NULL is empty.
 * Knows %s, %d, %u, %ld, %lu, %lld, %zu (so PRId64 too), %.Nf, %c and %%; asserts on anything else.
 */
void html(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** Appends text, escaped. NULL is empty. What is not UTF-8 becomes U+FFFD; control characters are left out. */
void html_text(GString *out, const char *text);
void html_text_len(GString *out, const char *text, size_t len);

/** Appends ` name="value"`, escaped. */
void html_attr(GString *out, const char *name, const char *value);

/** Appends ` href="…"`, an address of our own: every %s is percent-encoded but for its slashes. */
void html_href(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** The same as ` action="…"`. */
void html_action(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** Appends one value of a query: everything but letters, digits and -._~ is percent-encoded. */
void html_query(GString *out, const char *value);

/** Appends ` name="url"` for an address that a stranger wrote: http, https and our own paths pass, others become "#". */
void html_url(GString *out, const char *name, const char *url);

/** `<time datetime title>`: "4 min ago", "in 23 h", with the exact time behind it. An unreadable text is shown as it is. */
void html_time(GString *out, const char *rfc3339, int64_t now_us);
/** The day of an RFC 3339 text: "3 May 2026". */
void html_day(GString *out, const char *rfc3339);
/** "450 ms", "7 s", "1m 04s", "2h 03m", "3 d 4 h". */
void html_duration(GString *out, int64_t duration_us);
/** "23 h", "4 min": one unit, for a wait. */
void html_span(GString *out, int64_t duration_us);
/** Binary units: "17.2 MiB". */
void html_bytes(GString *out, int64_t bytes);
/** "1,240". */
void html_count(GString *out, int64_t count);
/** "1,240 rows", "1 row": the plural takes an s. */
void html_counted(GString *out, int64_t count, const char *noun);
/** Eight characters; the whole in the title, and copied whole by the script. "sha256:" in front is left out. */
void html_digest(GString *out, const char *digest);
/** A number with so many decimals and a true minus; with_sign writes a plus too. */
void html_number(GString *out, double number, int decimals, bool with_sign);
/** How many decimals show two digits of this width: 0 to 6. */
int html_decimals(double width);
/** A JSON scalar as text; a number with up to six digits. What is nested is shown as JSON. */
void html_json(GString *out, const json_t *value);

/** Microseconds between two RFC 3339 texts; to NULL: until now_us; -1 when unknown. */
int64_t html_between(const char *from, const char *to, int64_t now_us);
/** "main" of "refs/heads/main", "v1" of "refs/tags/v1", "#12" of "refs/pull/12/merge". The caller's. */
char *html_ref(const char *ref);
