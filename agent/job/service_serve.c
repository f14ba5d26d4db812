/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: requests in, answers out, and which file answers what. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/service_private.h"

#define TWIRP "/twirp/github.actions.results.api.v1."
#define REST "/_apis/artifactcache/"
#define SKIP_BYTES_MAX (1024 * 1024)
#define REQUESTS_MAX 100000
#define COPY_BYTES (256 * 1024)

static ssize_t from_socket(void *data, void *bytes, size_t len)
{
	Connection *connection = data;
	ssize_t got;
	do
		got = recv(connection->fd, bytes, len, 0);
	while (got < 0 && errno == EINTR);
	return got;
}

static void send_all(Connection *connection, const void *bytes, size_t len)
{
	const char *at = bytes;
	while (len > 0 && !connection->broken) {
		ssize_t put = send(connection->fd, at, len, MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			connection->broken = true;
			return;
		}
		at += put;
		len -= (size_t)put;
	}
}

const char *service_header(const Connection *connection, const char *name)
{
	return g_hash_table_lookup(connection->request.headers, name);
}

/* What is left of the body is read before the answer: a client that still writes would not hear it. */
static void send_head(Connection *connection, int status, const char *type, int64_t length, const char *headers)
{
	if (!http_skip_body(connection->reader, SKIP_BYTES_MAX))
		connection->request.keep = false;
	g_autoptr(GString) head = g_string_new(NULL);
	g_string_append_printf(head, "HTTP/1.1 %d %s\r\nServer: assay\r\nx-ms-version: 2021-12-02\r\n", status,
	        http_reason(status));
	if (type)
		g_string_append_printf(head, "Content-Type: %s\r\n", type);
	if (status != 204)
		g_string_append_printf(head, "Content-Length: %" G_GINT64_FORMAT "\r\n", length);
	if (!connection->request.keep)
		g_string_append(head, "Connection: close\r\n");
	if (headers)
		g_string_append(head, headers);
	g_string_append(head, "\r\n");
	connection->answered = true;
	send_all(connection, head->str, head->len);
}

void service_answer_json(Connection *connection, int status, json_t *body)
{
	g_autoptr(json_t) owned = body;
	g_autofree char *text = json_text(owned);
	send_head(connection, status, "application/json", (int64_t)strlen(text), NULL);
	send_all(connection, text, strlen(text));
}

void service_answer_empty(Connection *connection, int status, const char *headers)
{
	send_head(connection, status, NULL, 0, headers);
}

void service_answer_error(Connection *connection, const GError *error)
{
	static const struct {
		int status;
		const char *code;
	} codes[] = {
	        [ASSAY_ERROR_USER] = {400, "invalid_argument"},
	        [ASSAY_ERROR_ABSENT] = {404, "not_found"},
	        [ASSAY_ERROR_DENIED] = {403, "permission_denied"},
	        [ASSAY_ERROR_BUSY] = {409, "already_exists"},
	        [ASSAY_ERROR_REMOTE] = {500, "internal"},
	        [ASSAY_ERROR_SYSTEM] = {500, "internal"},
	};
	int code = error && error->domain == ASSAY_ERROR ? error->code : ASSAY_ERROR_SYSTEM;
	const char *message = error ? error->message : "it failed";
	bool full = strstr(message, g_strerror(ENOSPC)) || strstr(message, g_strerror(EDQUOT));
	json_t *body = json_object();
	json_set_string(body, "code", full ? "resource_exhausted" : codes[code].code);
	json_set(body, "msg", json_string_any(message, strlen(message)));
	json_set(body, "message", json_string_any(message, strlen(message)));
	service_answer_json(connection, full ? 507 : codes[code].status, body);
}

void service_answer_file(Connection *connection, int fd, const char *type, const char *headers)
{
	struct stat info;
	if (fstat(fd, &info) < 0) {
		service_answer_empty(connection, 500, NULL);
		return;
	}
	int64_t size = info.st_size, from = 0, to = size - 1;
	/* Azure's clients ask by a header of their own. */
	const char *range = service_header(connection, "x-ms-range");
	range = range ? range : service_header(connection, "range");
	bool partial = range && http_read_range(range, size, &from, &to);
	g_autoptr(GString) more = g_string_new(headers);
	g_string_append_printf(more, "Accept-Ranges: bytes\r\nETag: \"%" G_GINT64_FORMAT "\"\r\nx-ms-blob-type: BlockBlob\r\n",
	        size);
	if (range && !partial && size > 0) {
		g_string_append_printf(more, "Content-Range: bytes */%" G_GINT64_FORMAT "\r\n", size);
		service_answer_empty(connection, 416, more->str);
		return;
	}
	if (partial)
		g_string_append_printf(more, "Content-Range: bytes %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT
		        "\r\n", from, to, size);
	send_head(connection, partial ? 206 : 200, type, to - from + 1, more->str);
	if (strcmp(connection->request.method, "HEAD") == 0)
		return;
	g_autofree char *buffer = g_malloc(COPY_BYTES);
	while (from <= to && !connection->broken) {
		ssize_t got = pread(fd, buffer, (size_t)MIN(to - from + 1, COPY_BYTES), from);
		if (got <= 0) { /* the length was promised */
			connection->broken = true;
			return;
		}
		send_all(connection, buffer, (size_t)got);
		from += got;
	}
}

json_t *service_read_json(Connection *connection, GError **error)
{
	g_autoptr(GBytes) bytes = http_read_all(connection->reader, SERVICE_JSON_BYTES_MAX, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	json_t *body = json_parse(text ? text : "", len, "the request's body", error);
	if (body && !json_is_object(body)) {
		json_decref(body);
		fail(error, ASSAY_ERROR_USER, "the request's body is no JSON object");
		return NULL;
	}
	return body;
}

static bool has_token(const Connection *connection)
{
	const char *given = service_header(connection, "authorization");
	const char *token = connection->service->token;
	return given && g_ascii_strncasecmp(given, "Bearer ", 7) == 0 && strlen(given + 7) == strlen(token) &&
	       equal_constant_time(given + 7, token, strlen(token));
}

static void refuse(Connection *connection, AssayError code, int status, const char *message)
{
	g_autoptr(GError) error = NULL;
	fail(&error, code, "%s", message);
	if (status == 401) {
		json_t *body = json_pack("{s:s, s:s}", "code", "unauthenticated", "msg", message);
		service_answer_json(connection, 401, body);
		return;
	}
	service_answer_error(connection, error);
}

/* What stands behind a signed URL. */
static void route_signed(Connection *connection, const char *path)
{
	const char *method = connection->request.method;
	bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	g_auto(GStrv) parts = g_strsplit(path + 1, "/", 4); /* "blobs/upload/ID", "blobs/artifact/DIGEST.zip" */
	if (g_strv_length(parts) != 3)
		refuse(connection, ASSAY_ERROR_ABSENT, 404, "there is nothing here");
	else if (strcmp(parts[1], "upload") == 0 && strcmp(method, "PUT") == 0)
		blob_put(connection, parts[2]);
	else if (strcmp(parts[1], "artifact") == 0 && reads)
		service_artifact_download(connection, parts[2]);
	else if (strcmp(parts[1], "cache") == 0 && reads)
		service_cache_download(connection, parts[2]);
	else
		service_answer_empty(connection, 405, NULL);
}

static void route(Connection *connection)
{
	const char *path = connection->request.path;
	bool posts = strcmp(connection->request.method, "POST") == 0;
	if (g_str_has_prefix(path, "/blobs/")) {
		if (service_is_signed(connection))
			route_signed(connection, path);
		else
			refuse(connection, ASSAY_ERROR_DENIED, 403, "the URL's signature is not of this job");
		return;
	}
	if (!has_token(connection)) {
		refuse(connection, ASSAY_ERROR_DENIED, 401, "the token is not of this job");
		return;
	}
	if (posts && g_str_has_prefix(path, TWIRP "ArtifactService/"))
		service_artifacts(connection, path + strlen(TWIRP "ArtifactService/"));
	else if (posts && g_str_has_prefix(path, TWIRP "CacheService/"))
		service_caches(connection, path + strlen(TWIRP "CacheService/"));
	else if (g_str_has_prefix(path, REST))
		service_caches_rest(connection, path + strlen(REST));
	else
		refuse(connection, ASSAY_ERROR_ABSENT, 404, "there is nothing here");
}

void service_serve(Connection *connection)
{
	connection->reader = http_reader_new(from_socket, connection);
	for (int i = 0; i < REQUESTS_MAX && !connection->broken; i++) {
		g_autoptr(GError) error = NULL;
		int code = http_read_head(connection->reader, &connection->request, &error);
		if (code == 0)
			break;
		connection->answered = false;
		if (code < 0) {
			connection->request = (HttpRequest){.keep = false, .method = g_strdup("GET")};
			service_answer_error(connection, error);
			http_request_clear(&connection->request);
			break;
		}
		if (connection->request.expects_continue)
			send_all(connection, "HTTP/1.1 100 Continue\r\n\r\n", strlen("HTTP/1.1 100 Continue\r\n\r\n"));
		route(connection);
		if (!connection->answered)
			service_answer_empty(connection, 500, NULL);
		bool keep = connection->request.keep;
		http_request_clear(&connection->request);
		if (!keep)
			break;
	}
	http_reader_free(connection->reader);
	shutdown(connection->fd, SHUT_WR);
}
