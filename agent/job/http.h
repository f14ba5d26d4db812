/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 requests of a stranger, read with limits, one after the other from one connection; and short answers. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP_HEAD_BYTES_MAX (64 * 1024)
#define HTTP_HEADERS_MAX 100

/** One connection. Its source is a function, so that tests and fuzzers need no socket. */
typedef struct HttpReader HttpReader;
/** Gives 1 to len bytes, 0 at the end, -1 on an error. */
typedef ssize_t (*HttpSource)(void *data, void *bytes, size_t len);

HttpReader *http_reader_new(HttpSource source, void *data);
void http_reader_free(HttpReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpReader, http_reader_free)

/** The head of a request. Texts are its own. */
typedef struct HttpRequest {
	char *method;
	char *path;           /* decoded; begins with a slash, has no NUL */
	GHashTable *query;    /* decoded names and values; the first of a name counts */
	GHashTable *headers;  /* names in lower case */
	int64_t length;       /* of the body; -1: chunked */
	bool keep;            /* the connection may go on behind it */
	bool expects_continue;
} HttpRequest;

void http_request_clear(HttpRequest *request);

/**
 * Reads the next head.
 *
 * Returns   1, 0 when the connection has ended between requests, -1 with USER when it is no request that we read
 */
int http_read_head(HttpReader *reader, HttpRequest *out, GError **error);
/** Some bytes of the body: their number, 0 at its end, -1 on an error. */
ssize_t http_read_body(HttpReader *reader, void *bytes, size_t len, GError **error);
/** The whole body, at most limit_bytes of it. */
GBytes *http_read_all(HttpReader *reader, size_t limit_bytes, GError **error);
/** Reads on to the body's end if that is at most limit_bytes away; false when the connection cannot be used again. */
bool http_skip_body(HttpReader *reader, size_t limit_bytes);
/** "bytes=A-B", "bytes=A-" or "bytes=-N" for size bytes; false when it is none that we serve. B is inclusive. */
bool http_read_range(const char *text, int64_t size, int64_t *out_from, int64_t *out_to);
/** The reason phrase of a status. Static. */
const char *http_reason(int status);
