/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit that durable webhooks are measured against: libmicrohttpd, an HMAC, one SQLite insert, requests parked until
 * one commit for all of them. Nothing else: no routes, no roles, no repos. bench-intake_limit DATABASE SECRET prints its port.
 */
#include <glib.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/hash.h"

typedef struct Parked {
	struct MHD_Connection *connection;
	GByteArray *body;
	bool stored;
} Parked;

static const char *secret;
static sqlite3 *db;
static sqlite3_stmt *insert;
static GPtrArray *parked;

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(2, (void *)(uintptr_t) "{}", MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static bool verify(struct MHD_Connection *connection, const GByteArray *body)
{
	const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Hub-Signature-256");
	uint8_t digest[HASH_BYTES];
	char text[HASH_HEX_BYTES];
	hash_hmac(secret, strlen(secret), body->data, body->len, digest);
	hex_write(digest, HASH_BYTES, text);
	return given && strlen(given) == 71 && equal_constant_time(given + 7, text, 64);
}

static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_len, void **state)
{
	(void)data;
	(void)url;
	(void)method;
	(void)version;
	Parked *request = *state;
	if (!request) {
		request = g_new0(Parked, 1);
		request->connection = connection;
		request->body = g_byte_array_new();
		*state = request;
		return MHD_YES;
	}
	if (*upload_len > 0) {
		g_byte_array_append(request->body, (const guint8 *)upload, (guint)*upload_len);
		*upload_len = 0;
		return MHD_YES;
	}
	if (request->stored)
		return answer(connection, 202);
	if (!verify(connection, request->body))
		return answer(connection, 401);
	MHD_suspend_connection(connection);
	g_ptr_array_add(parked, request);
	return MHD_YES;
}

static void completed(void *data, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
	(void)data;
	(void)connection;
	(void)code;
	Parked *request = *state;
	if (!request)
		return;
	g_byte_array_unref(request->body);
	g_free(request);
}

static void commit(void)
{
	sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (guint i = 0; i < parked->len; i++) {
		Parked *request = g_ptr_array_index(parked, i);
		const char *id = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "X-GitHub-Delivery");
		sqlite3_bind_text(insert, 1, id, -1, SQLITE_TRANSIENT);
		sqlite3_bind_blob(insert, 2, request->body->data, (int)request->body->len, SQLITE_STATIC);
		sqlite3_step(insert);
		sqlite3_reset(insert);
		request->stored = true;
	}
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	for (guint i = 0; i < parked->len; i++)
		MHD_resume_connection(((Parked *)g_ptr_array_index(parked, i))->connection);
	g_ptr_array_set_size(parked, 0);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	secret = argv[2];
	signal(SIGPIPE, SIG_IGN);
	parked = g_ptr_array_new();
	if (sqlite3_open(argv[1], &db) != SQLITE_OK)
		return 1;
	sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	                 "CREATE TABLE d (id TEXT PRIMARY KEY, body BLOB) STRICT", NULL, NULL, NULL);
	sqlite3_prepare_v2(db, "INSERT OR IGNORE INTO d VALUES (?1, ?2)", -1, &insert, NULL);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, NULL,
	        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
	if (!daemon)
		return 1;
	printf("%u\n", (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	fflush(stdout);
	for (;;) {
		MHD_run_wait(daemon, parked->len > 0 ? 0 : 1000);
		if (parked->len > 0)
			commit();
	}
}
