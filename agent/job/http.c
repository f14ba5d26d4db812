/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small reader of HTTP/1.1 (RFC 9112). It knows what the clients of the runner's service send: a length or chunks,
 * no continuation lines, no upgrade. What is ambiguous is refused, since there is nobody to be lenient with.
 */
#include "agent/job/http.h"

#include <string.h>

#include "agent/base/error.h"

#define BUFFER_BYTES (64 * 1024)
#define CHUNK_LINE_MAX 256
#define TRAILER_LINES_MAX 32

struct HttpReader {
	HttpSource source;
	void *data;
	size_t at, end;      /* of what is in the buffer */
	int64_t body_left;   /* of the body, or of the chunk under way */
	bool chunked;
	bool first_chunk;
	bool body_done;
	char buffer[BUFFER_BYTES];
};

HttpReader *http_reader_new(HttpSource source, void *data)
{
	HttpReader *reader = g_new0(HttpReader, 1);
	reader->source = source;
	reader->data = data;
	reader->body_done = true;
	return reader;
}

void http_reader_free(HttpReader *reader)
{
	g_free(reader);
}

void http_request_clear(HttpRequest *request)
{
	g_clear_pointer(&request->method, g_free);
	g_clear_pointer(&request->path, g_free);
	g_clear_pointer(&request->query, g_hash_table_unref);
	g_clear_pointer(&request->headers, g_hash_table_unref);
}

/* false at the end of the source. */
static bool more(HttpReader *reader)
{
	if (reader->at < reader->end)
		return true;
	ssize_t got = reader->source(reader->data, reader->buffer, sizeof reader->buffer);
	reader->at = 0;
	reader->end = got > 0 ? (size_t)got : 0;
	return got > 0;
}

/* A line without its CRLF (a bare LF is taken, too). 1, 0 when the source ended before its first byte, -1. */
static int read_line(HttpReader *reader, GString *line, size_t limit)
{
	g_string_truncate(line, 0);
	while (more(reader)) {
		const char *start = reader->buffer + reader->at;
		size_t there = reader->end - reader->at;
		const char *newline = memchr(start, '\n', there);
		size_t len = newline ? (size_t)(newline - start) : there;
		if (line->len + len > limit)
			return -1;
		g_string_append_len(line, start, (gssize)len);
		reader->at += len + (newline != NULL);
		if (!newline)
			continue;
		if (line->len > 0 && line->str[line->len - 1] == '\r')
			g_string_truncate(line, line->len - 1);
		return memchr(line->str, '\0', line->len) ? -1 : 1;
	}
	return line->len > 0 ? -1 : 0;
}

static int hex_digit(char c)
{
	return g_ascii_xdigit_value(c);
}

/* "%41+" → "A+" (or "A " in a query); NULL for a broken escape or a NUL. */
static char *decode(const char *text, size_t len, bool plus)
{
	g_autoptr(GString) out = g_string_sized_new(len);
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%') {
			if (len - i < 3)
				return NULL;
			int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
			if (high < 0 || low < 0)
				return NULL;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		if (c == '\0')
			return NULL;
		g_string_append_c(out, c);
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

static bool read_query(HttpRequest *request, const char *text)
{
	g_auto(GStrv) pairs = g_strsplit(text, "&", HTTP_HEADERS_MAX);
	for (char **pair = pairs; *pair; pair++) {
		size_t name_len = strcspn(*pair, "=");
		const char *value = (*pair)[name_len] ? *pair + name_len + 1 : "";
		g_autofree char *name = decode(*pair, name_len, true);
		g_autofree char *decoded = decode(value, strlen(value), true);
		if (!name || !decoded)
			return false;
		if (!g_hash_table_contains(request->query, name))
			g_hash_table_insert(request->query, g_steal_pointer(&name), g_steal_pointer(&decoded));
	}
	return true;
}

static bool is_token(const char *text)
{
	for (const char *at = text; *at; at++)
		if (!g_ascii_isalnum(*at) && !strchr("!#$%&'*+-.^_`|~", *at))
			return false;
	return text[0] != '\0';
}

static bool read_request_line(HttpRequest *request, const char *line, GError **error)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 4);
	if (g_strv_length(words) != 3 || !is_token(words[0]) || words[1][0] != '/' ||
	        (strcmp(words[2], "HTTP/1.1") != 0 && strcmp(words[2], "HTTP/1.0") != 0))
		return fail(error, ASSAY_ERROR_USER, "this is no request of HTTP/1.1");
	request->method = g_strdup(words[0]);
	request->keep = strcmp(words[2], "HTTP/1.1") == 0;
	size_t path_len = strcspn(words[1], "?#");
	request->path = decode(words[1], path_len, false);
	if (!request->path || (words[1][path_len] == '?' && !read_query(request, words[1] + path_len + 1)))
		return fail(error, ASSAY_ERROR_USER, "the request's path cannot be decoded");
	return true;
}

static bool read_header(HttpRequest *request, const char *line, GError **error)
{
	const char *colon = strchr(line, ':');
	g_autofree char *name = colon ? g_ascii_strdown(line, colon - line) : NULL;
	if (!name || !is_token(name))
		return fail(error, ASSAY_ERROR_USER, "a header of the request has no name");
	g_autofree char *value = g_strstrip(g_strdup(colon + 1));
	static const char *const single[] = {"content-length", "transfer-encoding", "host", "authorization"};
	bool there = g_hash_table_contains(request->headers, name);
	for (size_t i = 0; there && i < G_N_ELEMENTS(single); i++)
		if (strcmp(name, single[i]) == 0)
			return fail(error, ASSAY_ERROR_USER, "the request has '%s' twice", name);
	g_hash_table_insert(request->headers, g_steal_pointer(&name), g_steal_pointer(&value));
	return true;
}

/* How long the body is. */
static bool read_framing(HttpReader *reader, HttpRequest *request, GError **error)
{
	const char *length = g_hash_table_lookup(request->headers, "content-length");
	const char *coding = g_hash_table_lookup(request->headers, "transfer-encoding");
	const char *connection = g_hash_table_lookup(request->headers, "connection");
	const char *expect = g_hash_table_lookup(request->headers, "expect");
	guint64 bytes = 0;
	if (length && coding)
		return fail(error, ASSAY_ERROR_USER, "the request has both a length and a transfer coding");
	if (coding && g_ascii_strcasecmp(coding, "chunked") != 0)
		return fail(error, ASSAY_ERROR_USER, "the transfer coding '%s' is not known", coding);
	if (length && !g_ascii_string_to_unsigned(length, 10, 0, G_MAXINT64, &bytes, NULL))
		return fail(error, ASSAY_ERROR_USER, "the request's length is no number");
	request->length = coding ? -1 : (int64_t)bytes;
	if (connection && g_ascii_strcasecmp(connection, "close") == 0)
		request->keep = false;
	request->expects_continue = expect && g_ascii_strcasecmp(expect, "100-continue") == 0;
	reader->chunked = coding != NULL;
	reader->first_chunk = true;
	reader->body_left = (int64_t)bytes;
	reader->body_done = !coding && bytes == 0;
	return true;
}

int http_read_head(HttpReader *reader, HttpRequest *out, GError **error)
{
	g_autoptr(GString) line = g_string_new(NULL);
	*out = (HttpRequest){.query = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
	        .headers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free)};
	int code = 1;
	for (int empty = 0; code == 1 && line->len == 0 && empty < 3; empty++)
		code = read_line(reader, line, HTTP_HEAD_BYTES_MAX);
	if (code == 0) {
		http_request_clear(out);
		return 0;
	}
	bool good = code == 1 && read_request_line(out, line->str, error);
	size_t bytes = line->len;
	int headers = 0;
	while (good) {
		code = read_line(reader, line, HTTP_HEAD_BYTES_MAX - MIN(bytes, HTTP_HEAD_BYTES_MAX));
		if (code != 1 || ++headers > HTTP_HEADERS_MAX) {
			good = false;
		} else if (line->len == 0) {
			good = read_framing(reader, out, error);
			break;
		} else {
			bytes += line->len;
			good = read_header(out, line->str, error);
		}
	}
	if (good)
		return 1;
	if (error && !*error)
		fail(error, ASSAY_ERROR_USER, "the request's head is incomplete, or longer than %d bytes or %d headers",
		        HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX);
	http_request_clear(out);
	return -1;
}

/* Begins the next chunk; false when it is none. The last one ends the body. */
static bool next_chunk(HttpReader *reader)
{
	g_autoptr(GString) line = g_string_new(NULL);
	if (!reader->first_chunk && (read_line(reader, line, CHUNK_LINE_MAX) != 1 || line->len > 0))
		return false;
	reader->first_chunk = false;
	if (read_line(reader, line, CHUNK_LINE_MAX) != 1)
		return false;
	line->str[strcspn(line->str, "; \t")] = '\0';
	guint64 bytes = 0;
	if (!g_ascii_string_to_unsigned(line->str, 16, 0, G_MAXINT64, &bytes, NULL))
		return false;
	reader->body_left = (int64_t)bytes;
	if (bytes > 0)
		return true;
	for (int i = 0; i < TRAILER_LINES_MAX; i++) {
		if (read_line(reader, line, HTTP_HEAD_BYTES_MAX) != 1)
			return false;
		if (line->len == 0) {
			reader->body_done = true;
			return true;
		}
	}
	return false;
}

ssize_t http_read_body(HttpReader *reader, void *bytes, size_t len, GError **error)
{
	if (!reader->body_done && reader->body_left == 0 && reader->chunked && !next_chunk(reader)) {
		fail(error, ASSAY_ERROR_USER, "a chunk of the request cannot be read");
		return -1;
	}
	if (reader->body_done)
		return 0;
	if (!more(reader)) {
		fail(error, ASSAY_ERROR_REMOTE, "the connection ended within the request's body");
		return -1;
	}
	size_t take = MIN(reader->end - reader->at, len);
	if ((uint64_t)reader->body_left < take)
		take = (size_t)reader->body_left;
	memcpy(bytes, reader->buffer + reader->at, take);
	reader->at += take;
	reader->body_left -= (int64_t)take;
	if (reader->body_left == 0 && !reader->chunked)
		reader->body_done = true;
	return (ssize_t)take;
}

GBytes *http_read_all(HttpReader *reader, size_t limit_bytes, GError **error)
{
	g_autoptr(GByteArray) all = g_byte_array_new();
	char part[8192];
	for (ssize_t got; (got = http_read_body(reader, part, sizeof part, error)) != 0;) {
		if (got < 0)
			return NULL;
		if (all->len + (size_t)got > limit_bytes) {
			fail(error, ASSAY_ERROR_USER, "the request's body has more than %zu bytes", limit_bytes);
			return NULL;
		}
		g_byte_array_append(all, (const guint8 *)part, (guint)got);
	}
	return g_byte_array_free_to_bytes(g_steal_pointer(&all));
}

bool http_skip_body(HttpReader *reader, size_t limit_bytes)
{
	char part[8192];
	size_t skipped = 0;
	while (!reader->body_done) {
		ssize_t got = http_read_body(reader, part, sizeof part, NULL);
		if (got < 0 || (skipped += (size_t)got) > limit_bytes)
			return false;
	}
	return true;
}

bool http_read_range(const char *text, int64_t size, int64_t *out_from, int64_t *out_to)
{
	if (!text || !g_str_has_prefix(text, "bytes=") || strchr(text, ',') || size <= 0)
		return false;
	const char *dash = strchr(text, '-');
	if (!dash)
		return false;
	g_autofree char *first = g_strndup(text + 6, (size_t)(dash - text - 6));
	guint64 from = 0, to = (guint64)size - 1;
	if (first[0] && !g_ascii_string_to_unsigned(first, 10, 0, G_MAXINT64, &from, NULL))
		return false;
	if (dash[1] && !g_ascii_string_to_unsigned(dash + 1, 10, 0, G_MAXINT64, &to, NULL))
		return false;
	if (!first[0]) {
		if (!dash[1] || to == 0)
			return false;
		from = to >= (guint64)size ? 0 : (guint64)size - to;
		to = (guint64)size - 1;
	}
	if (from > to || from >= (guint64)size)
		return false;
	*out_from = (int64_t)from;
	*out_to = (int64_t)MIN(to, (guint64)size - 1);
	return true;
}

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {{100, "Continue"}, {200, "OK"}, {201, "Created"}, {204, "No Content"}, {206, "Partial Content"},
	        {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
	        {405, "Method Not Allowed"}, {409, "Conflict"}, {413, "Content Too Large"},
	        {416, "Range Not Satisfiable"}, {500, "Internal Server Error"}, {503, "Service Unavailable"},
	        {507, "Insufficient Storage"}};
	for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}
