/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The face as its callers meet it: the real server at a port of the kernel's choice and at a unix socket, a store in
 * memory, and raw bytes over sockets. Client and server share this thread; exchange() turns the loop.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/front.h"
#include "agent/job/archive.h"
#include "agent/objects/objects.h"
#include "agent/store/audit.h"
#include "agent/store/deliveries.h"
#include "agent/store/gates.h"
#include "agent/store/people.h"
#include "agent/store/repos.h"
#include "tests/integration/fake_daemon.h"

#define SECRET "It's a Secret to Everybody"
#define PUSH "{\"repo\":\"acme/digits\",\"event\":\"push\",\"ref\":\"refs/heads/main\"," \
	"\"after\":\"6113728f27ae82c7b1a177c8d03f9e96e0adf246\"}"
#define PATIENCE_US (60 * 1000000) /* a large archive through a busy machine */

typedef struct House {
	Daemon daemon;
	uint16_t port;
	int64_t run, job;
	char *viewer, *developer, *admin; /* tokens */
} House;

static char *token(House *house, const char *name, const char *role)
{
	assert_ok(people_put(house->daemon.store, name, role, "correct horse", &error));
	char *text = people_token_new(house->daemon.store, name, "test", NULL);
	g_assert_nonnull(text);
	return text;
}

static void open_house(House *house, const void *data)
{
	(void)data;
	Daemon *daemon = &house->daemon;
	daemon->store = test_store();
	daemon->folder = test_folder();
	daemon->subscribers = g_ptr_array_new_with_free_func(g_free);
	daemon->config = (Config){.listen_address = g_strdup("127.0.0.1"), .body_bytes = 100000,
	        .socket = g_build_filename(daemon->folder, "assay.sock", NULL), .data = daemon->folder};
	int64_t repo = test_repo(daemon->store);
	assert_ok(repos_put(daemon->store, "acme/digits", "file:///srv/digits.git", SECRET, strlen(SECRET), NULL, &repo, &error));
	house->run = test_run(daemon->store, repo);
	house->job = test_job(daemon->store, house->run, "train");
	house->viewer = token(house, "vera", "viewer");
	house->developer = token(house, "dora", "developer");
	house->admin = token(house, "ada", "admin");
	assert_ok(web_front.start(daemon, &daemon->url, &error));
	house->port = (uint16_t)g_ascii_strtoull(strrchr(daemon->url, ':') + 1, NULL, 10);
	g_assert_cmpint(house->port, >, 0);
}

static void close_house(House *house, const void *data)
{
	(void)data;
	web_front.stop();
	Daemon *daemon = &house->daemon;
	g_assert_cmpuint(daemon->subscribers->len, ==, 0);
	g_assert_false(g_file_test(daemon->config.socket, G_FILE_TEST_EXISTS));
	g_ptr_array_unref(daemon->subscribers);
	store_close(daemon->store);
	g_free(daemon->config.listen_address);
	g_free(daemon->config.socket);
	g_free(daemon->url);
	g_free(daemon->dispatched);
	g_free(daemon->rerun);
	g_free(daemon->verdict);
	g_free(house->viewer);
	g_free(house->developer);
	g_free(house->admin);
	test_folder_remove(daemon->folder);
}

/* ---- a client ---- */

static int dial(const House *house)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(house->port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	return fd;
}

static int dial_socket(const House *house)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	g_strlcpy(address.sun_path, house->daemon.config.socket, sizeof address.sun_path);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	return fd;
}

static void send_all(int fd, const char *text, size_t len)
{
	for (size_t sent = 0; sent < len;) {
		ssize_t n = send(fd, text + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN)
			return; /* it hung up: the answer says why */
		g_main_context_iteration(NULL, FALSE);
	}
}

/** Turns the loop until `until` (NULL: the connection's end, or a whole answer) has been received. */
static void receive(int fd, GString *into, const char *until)
{
	int64_t end_us = monotonic_us() + PATIENCE_US;
	char buffer[65536];
	while (monotonic_us() < end_us) {
		g_main_context_iteration(NULL, FALSE);
		ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
		if (n > 0)
			g_string_append_len(into, buffer, n);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return;
		if (until && strstr(into->str, until))
			return;
		const char *body = until ? NULL : strstr(into->str, "\r\n\r\n");
		const char *length = body ? strcasestr(into->str, "\r\nContent-Length: ") : NULL;
		if (length && into->len - (size_t)(body + 4 - into->str) >= g_ascii_strtoull(length + 18, NULL, 10))
			return;
	}
	g_error("no answer in time; so far: %s", into->str);
}

static char *answer_of(int fd, const char *text)
{
	GString *answer = g_string_new(NULL);
	send_all(fd, text, strlen(text));
	receive(fd, answer, NULL);
	close(fd);
	return g_string_free(answer, FALSE);
}

/** One request, Connection: close, by this token (NULL: none). The answer whole, the caller's. */
static char *ask(const House *house, const char *line, const char *who, const char *headers, const char *body)
{
	g_autofree char *authorization = who ? g_strdup_printf("Authorization: Bearer %s\r\n", who) : g_strdup("");
	g_autofree char *text = g_strdup_printf("%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%sContent-Length: %zu\r\n\r\n%s",
	        line, authorization, headers ? headers : "", body ? strlen(body) : 0, body ? body : "");
	return answer_of(dial(house), text);
}

static unsigned status_of(const char *answer)
{
	g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 "));
	return (unsigned)g_ascii_strtoull(answer + 9, NULL, 10);
}

static const char *body_of(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");
	g_assert_nonnull(body);
	return body + 4;
}

static json_t *json_of(const char *answer)
{
	const char *body = body_of(answer);
	GError *error = NULL;
	json_t *value = json_parse(body, strlen(body), "the answer", &error);
	g_assert_no_error(error);
	return value;
}

static unsigned ask_status(const House *house, const char *line, const char *who, const char *body)
{
	g_autofree char *answer = ask(house, line, who, NULL, body);
	return status_of(answer);
}

static char *sign(const char *secret, const char *body)
{
	uint8_t mac[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_hmac(secret, strlen(secret), body, strlen(body), mac);
	hex_write(mac, HASH_BYTES, hex);
	return g_strconcat("sha256=", hex, NULL);
}

static char *delivery(const char *id, const char *signature, const char *body)
{
	g_autofree char *name = id ? g_strdup_printf("X-Assay-Delivery: %s\r\n", id) : g_strdup("");
	g_autofree char *signed_by = signature ? g_strdup_printf("X-Assay-Signature-256: %s\r\n", signature) : g_strdup("");
	return g_strdup_printf("POST /webhooks/generic HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%sContent-Length: %zu\r\n\r\n%s",
	        name, signed_by, strlen(body), body);
}

static char *deliver(const House *house, const char *id, const char *signature, const char *body)
{
	g_autofree char *text = delivery(id, signature, body);
	return answer_of(dial(house), text);
}

static size_t deliveries_stored(const House *house)
{
	g_autoptr(json_t) list = deliveries_list(house->daemon.store, NULL, NULL, 500, NULL);
	return json_array_size(json_object_get(list, "deliveries"));
}

static char *log_path(House *house)
{
	return daemon_log_path(&house->daemon, house->run, house->job);
}

static void append_log(House *house, const char *text)
{
	g_autofree char *path = log_path(house);
	FILE *file = fopen(path, "a");
	g_assert_nonnull(file);
	fputs(text, file);
	fclose(file);
}

/* ---- webhooks ---- */

static void test_delivery_once(House *house, const void *data)
{
	(void)data;
	g_autofree char *signature = sign(SECRET, PUSH);
	g_autofree char *first = deliver(house, "d-1", signature, PUSH);
	g_assert_cmpuint(status_of(first), ==, 202);
	g_assert_cmpstr(body_of(first), ==, "{\"delivery\":\"d-1\"}");
	g_assert_cmpuint(house->daemon.woken, ==, 1);
	g_autofree char *second = deliver(house, "d-1", signature, PUSH);
	g_assert_cmpuint(status_of(second), ==, 200);
	g_assert_cmpstr(body_of(second), ==, "{\"delivery\":\"d-1\"}");
	g_assert_cmpuint(deliveries_stored(house), ==, 1);
}

/** The answer without what differs from time to time: the id of the log line and the date. */
static char *comparable(const char *answer)
{
	g_autoptr(json_t) body = json_of(answer);
	json_object_del(body, "instance");
	g_autofree char *head = g_strndup(answer, (size_t)(strstr(answer, "\r\n\r\n") - answer));
	g_autoptr(GString) kept = g_string_new(NULL);
	g_auto(GStrv) lines = g_strsplit(head, "\r\n", -1);
	for (size_t i = 0; lines[i]; i++)
		if (!g_str_has_prefix(lines[i], "Date:"))
			g_string_append_printf(kept, "%s\n", lines[i]);
	g_autofree char *text = json_text(body);
	g_string_append(kept, text);
	return g_string_free(g_steal_pointer(&kept), FALSE);
}

static void test_signatures(House *house, const void *data)
{
	(void)data;
	static const char unknown_body[] = "{\"repo\":\"acme/other\",\"event\":\"push\",\"ref\":\"refs/heads/main\"}";
	g_autofree char *good = sign(SECRET, PUSH), *other = sign("guess", PUSH), *unknown = sign(SECRET, unknown_body);
	const struct {
		const char *signature, *body;
	} refused[] = {{other, PUSH}, {NULL, PUSH}, {"", PUSH}, {"sha256=", PUSH}, {good + 7, PUSH}, {good, PUSH " "},
	        {unknown, unknown_body}, {good, "{}"}, {good, ""}, {good, "not json"}};
	g_autofree char *wanted = NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autofree char *answer = deliver(house, "d-2", refused[i].signature, refused[i].body);
		g_assert_cmpuint(status_of(answer), ==, 401);
		g_autofree char *text = comparable(answer);
		if (wanted)
			g_assert_cmpstr(text, ==, wanted);
		else
			wanted = g_steal_pointer(&text);
	}
	g_assert_cmpuint(deliveries_stored(house), ==, 0);
	g_assert_cmpuint(house->daemon.woken, ==, 0);
	g_autofree char *metrics = ask(house, "GET /metrics", NULL, NULL, NULL);
	g_assert_nonnull(strstr(metrics, "assay_deliveries_total{outcome=\"refused\"} 10\n"));
	g_autofree char *answer = deliver(house, "d-2", good, PUSH);
	g_assert_cmpuint(status_of(answer), ==, 202);
}

static void test_repo_without_secret(House *house, const void *data)
{
	(void)data;
	int64_t id = 0;
	assert_ok(repos_put(house->daemon.store, "acme/open", "file:///srv/open.git", NULL, 0, NULL, &id, &error));
	static const char body[] = "{\"repo\":\"acme/open\",\"event\":\"push\",\"ref\":\"refs/heads/main\"}";
	g_autofree char *signature = sign("", body);
	g_autofree char *answer = deliver(house, "d-3", signature, body);
	g_assert_cmpuint(status_of(answer), ==, 401);
}

static void test_missing_id(House *house, const void *data)
{
	(void)data;
	g_autofree char *signature = sign(SECRET, PUSH);
	g_autofree char *answer = deliver(house, NULL, signature, PUSH);
	g_assert_cmpuint(status_of(answer), ==, 400);
	g_assert_cmpuint(deliveries_stored(house), ==, 0);
	g_assert_cmpuint(ask_status(house, "POST /webhooks/sourceforge", NULL, PUSH), ==, 404);
}

static void test_too_large(House *house, const void *data)
{
	(void)data;
	/* Announced: refused before a byte of it is read. */
	g_autofree char *answer = answer_of(dial(house), "POST /webhooks/generic HTTP/1.1\r\nHost: x\r\n"
	        "Content-Length: 100001\r\n\r\n");
	g_assert_cmpuint(status_of(answer), ==, 413);
	/* Not announced: refused as it grows, long before its end. */
	g_autoptr(GString) text = g_string_new("POST /webhooks/generic HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	g_autofree char *piece = g_strnfill(0x8000, 'x');
	for (int i = 0; i < 4; i++)
		g_string_append_printf(text, "8000\r\n%s\r\n", piece);
	g_autofree char *chunked = answer_of(dial(house), text->str);
	g_assert_cmpuint(status_of(chunked), ==, 413);
	g_assert_nonnull(strstr(chunked, "/problems/too-large"));
	/* Exactly at the limit it is read, and refused for its signature. */
	g_autofree char *full = g_strnfill(100000, 'x');
	g_assert_cmpuint(ask_status(house, "POST /webhooks/generic", NULL, full), ==, 401);
}

static void test_group_commit(House *house, const void *data)
{
	(void)data;
	enum { COUNT = 40 };
	int fds[COUNT];
	g_autofree char *signature = sign(SECRET, PUSH);
	for (int i = 0; i < COUNT; i++) {
		g_autofree char *id = g_strdup_printf("group-%d", i / 2);
		g_autofree char *text = delivery(id, signature, PUSH);
		fds[i] = dial(house);
		g_assert_cmpint(send(fds[i], text, strlen(text), MSG_NOSIGNAL), ==, (ssize_t)strlen(text));
	}
	unsigned fresh = 0, repeated = 0;
	for (int i = 0; i < COUNT; i++) {
		g_autoptr(GString) answer = g_string_new(NULL);
		receive(fds[i], answer, NULL);
		close(fds[i]);
		unsigned status = status_of(answer->str);
		g_assert_true(status == 202 || status == 200);
		fresh += status == 202;
		repeated += status == 200;
	}
	g_assert_cmpuint(fresh, ==, COUNT / 2);
	g_assert_cmpuint(repeated, ==, COUNT / 2);
	g_assert_cmpuint(deliveries_stored(house), ==, COUNT / 2);
	/* The daemon is woken once a commit. */
	g_assert_cmpuint(house->daemon.woken, <, COUNT / 4);
}

static void test_client_leaves(House *house, const void *data)
{
	(void)data;
	g_autofree char *signature = sign(SECRET, PUSH);
	g_autofree char *text = delivery("gone", signature, PUSH);
	int fd = dial(house);
	send_all(fd, text, strlen(text));
	close(fd);
	for (int i = 0; i < 100; i++)
		g_main_context_iteration(NULL, FALSE);
	g_assert_cmpuint(deliveries_stored(house), ==, 1);
}

/* ---- who may ---- */

static void test_roles(House *house, const void *data)
{
	(void)data;
	const char *nobody = NULL;
	g_assert_cmpuint(ask_status(house, "GET /api/v1/runs", nobody, NULL), ==, 401);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/runs", "wrong", NULL), ==, 401);
	g_assert_cmpuint(ask_status(house, "GET /healthz", "wrong", NULL), ==, 401);
	g_assert_cmpuint(ask_status(house, "GET /healthz", nobody, NULL), ==, 200);
	g_assert_cmpuint(ask_status(house, "GET /readyz", nobody, NULL), ==, 200);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/openapi.json", nobody, NULL), ==, 200);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/runs", house->viewer, NULL), ==, 200);
	g_assert_cmpuint(ask_status(house, "POST /api/v1/runs/1/cancel", house->viewer, NULL), ==, 403);
	g_assert_cmpuint(ask_status(house, "POST /api/v1/runs/1/cancel", house->developer, NULL), ==, 202);
	g_assert_cmpuint(ask_status(house, "POST /api/v1/runs/1/cancel", house->developer, NULL), ==, 409);
	g_assert_cmpuint(ask_status(house, "POST /api/v1/runs/1/rerun", house->viewer, "{}"), ==, 403);
	g_assert_null(house->daemon.rerun);
	g_assert_cmpuint(ask_status(house, "POST /api/v1/runs/1/rerun", house->developer, "{\"jobs\":\"failed\"}"), ==, 202);
	g_assert_cmpstr(house->daemon.rerun, ==, "1 \"failed\"");
	g_assert_cmpuint(ask_status(house, "POST /api/v1/runs/1/rerun", house->developer, "{\"jobs\":\"none\"}"), ==, 409);
	g_assert_cmpuint(ask_status(house, "POST /api/v1/gates/1/verdict", house->developer, "{}"), ==, 403);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/audit", house->developer, NULL), ==, 403);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/audit", house->admin, NULL), ==, 200);
	g_assert_cmpuint(ask_status(house, "POST /api/v1/users/vera/tokens", house->viewer, "{}"), ==, 201);
	g_assert_cmpuint(ask_status(house, "POST /api/v1/users/ada/tokens", house->viewer, "{}"), ==, 403);
}

static void test_socket(House *house, const void *data)
{
	(void)data;
	struct stat file;
	g_assert_cmpint(stat(house->daemon.config.socket, &file), ==, 0);
	g_assert_cmpuint(file.st_mode & 0777, ==, 0660);
	/* This program's own user is the agent's. */
	g_autofree char *answer = answer_of(dial_socket(house), "GET /api/v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	g_assert_cmpuint(status_of(answer), ==, 200);
	/* A token says who one is, also here. */
	g_autofree char *text = g_strdup_printf("GET /api/v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	        "Authorization: Bearer %s\r\n\r\n", house->viewer);
	g_autofree char *denied = answer_of(dial_socket(house), text);
	g_assert_cmpuint(status_of(denied), ==, 403);
}

static void test_addresses(House *house, const void *data)
{
	(void)data;
	g_assert_cmpuint(ask_status(house, "GET /api/v1/nothing", house->admin, NULL), ==, 404);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/runs/7x", house->admin, NULL), ==, 404);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/runs/4711", house->admin, NULL), ==, 404);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/runs?limit=0", house->admin, NULL), ==, 422);
	g_assert_cmpuint(ask_status(house, "GET /api/v1/%2e%2e/runs", house->admin, NULL), ==, 400);
	g_autofree char *method = ask(house, "DELETE /api/v1/repos/acme/digits", house->admin, NULL, NULL);
	g_assert_cmpuint(status_of(method), ==, 405);
	g_assert_nonnull(strstr(method, "\r\nAllow: GET, HEAD, PUT\r\n"));
	g_autofree char *head = ask(house, "HEAD /api/v1/runs", house->admin, NULL, NULL);
	g_assert_cmpuint(status_of(head), ==, 200);
	g_assert_cmpstr(body_of(head), ==, "");
}

static void test_headers(House *house, const void *data)
{
	(void)data;
	static const char *const lines[] = {"GET /healthz", "GET /api/v1/nothing", "GET /api/v1/runs"};
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_autofree char *answer = ask(house, lines[i], NULL, NULL, NULL);
		g_assert_nonnull(strstr(answer, "\r\nContent-Security-Policy: default-src 'none';"));
		g_assert_nonnull(strstr(answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
		g_assert_nonnull(strstr(answer, "\r\nReferrer-Policy: same-origin\r\n"));
	}
}

/* ---- sessions ---- */

static char *cookie_of(const char *answer)
{
	const char *start = strstr(answer, "\r\nSet-Cookie: ");
	g_assert_nonnull(start);
	start += strlen("\r\nSet-Cookie: ");
	g_autofree char *line = g_strndup(start, strcspn(start, "\r"));
	g_assert_nonnull(strstr(line, "; HttpOnly; SameSite=Lax"));
	return g_strndup(line, strcspn(line, ";"));
}

#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

static void test_sign_in(House *house, const void *data)
{
	(void)data;
	g_autofree char *answer = ask(house, "POST /sign-in", NULL, FORM, "name=dora&password=correct+horse&next=%2Fgates");
	g_assert_cmpuint(status_of(answer), ==, 303);
	g_assert_nonnull(strstr(answer, "\r\nLocation: /gates\r\n"));
	g_autofree char *session = cookie_of(answer);
	g_autofree char *cookie = g_strdup_printf("Cookie: %s\r\n", session);
	g_autofree char *reads = ask(house, "GET /api/v1/runs", NULL, cookie, NULL);
	g_assert_cmpuint(status_of(reads), ==, 200);
	/* A change needs the session's token. */
	g_autofree char *forged = ask(house, "POST /api/v1/runs/1/cancel", NULL, cookie, NULL);
	g_assert_cmpuint(status_of(forged), ==, 403);
	g_assert_cmpint(house->daemon.cancelled, ==, 0);
	g_autoptr(json_t) user = people_by_session(house->daemon.store, strchr(session, '=') + 1);
	g_autofree char *with = g_strdup_printf("%sX-CSRF-Token: %s\r\n", cookie, json_get_string(user, "csrf", ""));
	g_autofree char *changes = ask(house, "POST /api/v1/runs/1/cancel", NULL, with, NULL);
	g_assert_cmpuint(status_of(changes), ==, 202);
	/* A form's button and its box. */
	g_autofree char *form_headers = g_strdup_printf("%s" FORM, cookie);
	g_autofree char *unsigned_form = ask(house, "POST /runs/1/rerun", NULL, form_headers, "jobs=3&debug=1");
	g_assert_cmpuint(status_of(unsigned_form), ==, 403);
	g_autofree char *signed_body = g_strdup_printf("jobs=3&debug=1&csrf=%s", json_get_string(user, "csrf", ""));
	g_autofree char *rerun = ask(house, "POST /runs/1/rerun", NULL, form_headers, signed_body);
	g_assert_cmpuint(status_of(rerun), ==, 303);
	g_assert_cmpstr(house->daemon.rerun, ==, "1 [3] debug");
	/* And after signing out the cookie is worth nothing. */
	g_autofree char *field = g_strdup_printf("csrf=%s", json_get_string(user, "csrf", ""));
	g_autofree char *form = g_strdup_printf("%s" FORM, cookie);
	g_autofree char *out = ask(house, "POST /sign-out", NULL, form, field);
	g_assert_cmpuint(status_of(out), ==, 303);
	g_autofree char *after = ask(house, "GET /api/v1/runs", NULL, cookie, NULL);
	g_assert_cmpuint(status_of(after), ==, 401);
}

static void test_sign_in_elsewhere(House *house, const void *data)
{
	(void)data;
	static const char *const nexts[] = {"https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "a%0d%0aX: y"};
	for (size_t i = 0; i < G_N_ELEMENTS(nexts); i++) {
		g_autofree char *body = g_strdup_printf("name=dora&password=correct+horse&next=%s", nexts[i]);
		g_autofree char *answer = ask(house, "POST /sign-in", NULL, FORM, body);
		g_assert_nonnull(strstr(answer, "\r\nLocation: /\r\n"));
	}
	g_autofree char *cross = ask(house, "POST /sign-in", NULL, FORM "Sec-Fetch-Site: cross-site\r\n",
	        "name=dora&password=correct+horse");
	g_assert_cmpuint(status_of(cross), ==, 403);
}

static void test_link(House *house, const void *data)
{
	(void)data;
	g_autofree char *made = ask(house, "POST /api/v1/users/vera/link", house->admin, NULL, NULL);
	g_assert_cmpuint(status_of(made), ==, 201);
	g_autoptr(json_t) body = json_of(made);
	const char *secret = strstr(json_get_string(body, "url", ""), "?link=") + 6;
	g_autofree char *form = g_strdup_printf("link=%s", secret);
	g_autofree char *first = ask(house, "POST /sign-in", NULL, FORM, form);
	g_assert_cmpuint(status_of(first), ==, 303);
	g_autofree char *second = ask(house, "POST /sign-in", NULL, FORM, form);
	g_assert_cmpuint(status_of(second), ==, 401);
}

static void test_sign_in_limit(House *house, const void *data)
{
	(void)data;
	for (int i = 0; i < 10; i++) {
		g_autofree char *wrong = ask(house, "POST /sign-in", NULL, FORM, "link=wrong&name=dora");
		g_assert_cmpuint(status_of(wrong), ==, 401);
	}
	g_autofree char *locked = ask(house, "POST /sign-in", NULL, FORM, "name=dora&password=correct+horse");
	g_assert_cmpuint(status_of(locked), ==, 429);
	g_assert_nonnull(strstr(locked, "\r\nRetry-After: "));
	g_autofree char *other = ask(house, "POST /sign-in", NULL, FORM, "name=vera&password=correct+horse");
	g_assert_cmpuint(status_of(other), ==, 303);
	/* Trying many names ends too, later. */
	unsigned status = 401;
	for (int i = 0; i < 120 && status == 401; i++) {
		g_autofree char *body = g_strdup_printf("link=wrong&name=guess-%d", i);
		g_autofree char *guess = ask(house, "POST /sign-in", NULL, FORM, body);
		status = status_of(guess);
	}
	g_assert_cmpuint(status, ==, 429);
}

/* ---- pages ---- */

#define BROWSER "Accept: text/html,application/xhtml+xml\r\n"

static char *sign_in(House *house, const char *name)
{
	g_autofree char *body = g_strdup_printf("name=%s&password=correct+horse", name);
	g_autofree char *answer = ask(house, "POST /sign-in", NULL, FORM, body);
	g_autofree char *session = cookie_of(answer);
	return g_strdup_printf(BROWSER "Cookie: %s\r\n", session);
}

static char *csrf_of(House *house, const char *cookie)
{
	g_autofree char *session = g_strndup(strchr(cookie, '=') + 1, strcspn(strchr(cookie, '=') + 1, "\r"));
	g_autoptr(json_t) user = people_by_session(house->daemon.store, session);
	return g_strdup(json_get_string(user, "csrf", ""));
}

static int64_t open_gate(House *house)
{
	g_autoptr(json_t) rules = test_json("{'reviewers':['rita'],'approvals':1,'self_review':false,'expires_s':60,'branches':[]}");
	g_autoptr(json_t) evidence = test_json("{'repo':'acme/digits','environment':'production','author':'dora','verdict':'fail',"
	                                       "'sentence':'Worse on digit 8','reports':[],'data':[]}");
	int64_t gate = 0;
	assert_ok(gates_open(house->daemon.store, house->job, "production", rules, evidence, now_us() + 60000000, &gate, &error));
	return gate;
}

static void test_pages(House *house, const void *data)
{
	(void)data;
	append_log(house, "2026-05-03T10:04:00.123Z hello <b>\n");
	int64_t gate = open_gate(house);
	g_autofree char *cookie = sign_in(house, "ada");
	g_autofree char *gate_page = g_strdup_printf("/gates/%" G_GINT64_FORMAT, gate);
	const char *const pages[] = {"/", "/acme/digits", "/acme/digits/runs/1", "/acme/digits/runs/1/jobs/train",
	        "/acme/digits/runs/1/jobs/train?q=hello", "/gates", gate_page, "/models", "/data", "/audit", "/admin", "/sign-in",
	        "/sign-in?link=secret"};
	for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
		g_autofree char *line = g_strconcat("GET ", pages[i], NULL);
		g_autofree char *answer = ask(house, line, NULL, cookie, NULL);
		if (status_of(answer) != 200)
			g_test_message("%s: %s", pages[i], answer);
		g_assert_cmpuint(status_of(answer), ==, 200);
		g_assert_nonnull(strstr(answer, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
		g_assert_nonnull(strcasestr(answer, "<!doctype html>"));
		g_assert_null(strstr(answer, "hello <b>"));
		g_assert_nonnull(strstr(answer, "/assets/style."));
	}
	g_autofree char *log = ask(house, "GET /acme/digits/runs/1/jobs/train", NULL, cookie, NULL);
	g_assert_nonnull(strstr(log, "hello &lt;b&gt;"));
	g_autofree char *absent = ask(house, "GET /acme/digits/runs/99", NULL, cookie, NULL);
	g_assert_cmpuint(status_of(absent), ==, 404);
	g_assert_nonnull(strcasestr(absent, "<!doctype html>"));
	/* Who has not signed in is sent to the door, and from there to where they wanted to go. */
	g_autofree char *stranger = ask(house, "GET /acme/digits?status=failure", NULL, BROWSER, NULL);
	g_assert_cmpuint(status_of(stranger), ==, 303);
	g_assert_nonnull(strstr(stranger, "\r\nLocation: /sign-in?next=%2Facme%2Fdigits%3Fstatus%3Dfailure\r\n"));
	/* Looking at a link's page does not use the link up; a wrong one is told on the page. */
	g_autofree char *wrong = ask(house, "POST /sign-in", NULL, FORM BROWSER, "link=nothing");
	g_assert_cmpuint(status_of(wrong), ==, 401);
	g_assert_nonnull(strcasestr(wrong, "<!doctype html>"));
}

static void test_gate_form(House *house, const void *data)
{
	(void)data;
	int64_t gate = open_gate(house);
	g_autofree char *rita = token(house, "rita", "reviewer");
	g_autofree char *cookie = sign_in(house, "rita"), *csrf = csrf_of(house, cookie);
	g_autofree char *headers = g_strconcat(FORM, cookie, NULL);
	g_autofree char *line = g_strdup_printf("POST /gates/%" G_GINT64_FORMAT "/verdict", gate);
	g_autofree char *forged = ask(house, line, NULL, headers, "verdict=approve&csrf=guess");
	g_assert_cmpuint(status_of(forged), ==, 403);
	g_assert_null(house->daemon.verdict);
	g_autofree char *form = g_strdup_printf("csrf=%s&verdict=approve&comment=seen&override_reason=urgent&evidence_digest=abc", csrf);
	g_autofree char *answer = ask(house, line, NULL, headers, form);
	g_assert_cmpuint(status_of(answer), ==, 303);
	g_autofree char *wanted = g_strdup_printf("%" G_GINT64_FORMAT " rita {\"comment\":\"seen\\n\\nOverride: urgent\","
	        "\"evidence_digest\":\"abc\",\"override\":true,\"verdict\":\"approve\"}", gate);
	g_assert_cmpstr(house->daemon.verdict, ==, wanted);
	g_autofree char *viewer = sign_in(house, "vera"), *viewer_csrf = csrf_of(house, viewer);
	g_autofree char *viewer_headers = g_strconcat(FORM, viewer, NULL);
	g_autofree char *viewer_form = g_strdup_printf("csrf=%s&verdict=approve", viewer_csrf);
	g_autofree char *denied = ask(house, line, NULL, viewer_headers, viewer_form);
	g_assert_cmpuint(status_of(denied), ==, 403);
}

static void test_assets(House *house, const void *data)
{
	(void)data;
	g_autofree char *page = ask(house, "GET /sign-in", NULL, BROWSER, NULL);
	const char *start = strstr(page, "/assets/style.");
	g_autofree char *address = g_strndup(start, strcspn(start, "\""));
	g_autofree char *line = g_strconcat("GET ", address, NULL);
	g_autofree char *hashed = ask(house, line, NULL, NULL, NULL);
	g_assert_cmpuint(status_of(hashed), ==, 200);
	g_assert_nonnull(strstr(hashed, "immutable"));
	g_autofree char *plain = ask(house, "GET /assets/style.css", NULL, NULL, NULL);
	g_assert_cmpuint(status_of(plain), ==, 200);
	g_assert_nonnull(strstr(plain, "\r\nCache-Control: no-cache\r\n"));
	g_assert_cmpuint(ask_status(house, "GET /assets/style.0123456789abcdef.css", NULL, NULL), ==, 404);
}

/* ---- the API ---- */

static void test_changes_are_audited(House *house, const void *data)
{
	(void)data;
	const struct {
		const char *line, *body;
		unsigned status;
	} changes[] = {
	        {"PUT /api/v1/repos/acme/new", "{\"url\":\"file:///srv/new.git\",\"webhook_secret\":\"s3cret-one\"}", 200},
	        {"PUT /api/v1/repos/acme/digits/secrets/KEY", "{\"value\":\"s3cret-two\"}", 204},
	        {"PUT /api/v1/repos/acme/digits/vars/LEVEL", "{\"value\":\"s3cret-zero\"}", 204},
	        {"PUT /api/v1/repos/acme/digits/environments/production", "{\"reviewers\":[\"ada\"],\"approvals\":1}", 200},
	        {"PUT /api/v1/users/carl", "{\"role\":\"reviewer\",\"password\":\"s3cret-three\"}", 200},
	        {"POST /api/v1/users/carl/tokens", "{\"note\":\"laptop\"}", 201},
	        {"DELETE /api/v1/repos/acme/digits/secrets/KEY", NULL, 204},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
		g_autofree char *answer = ask(house, changes[i].line, house->admin, NULL, changes[i].body);
		if (status_of(answer) != changes[i].status)
			g_test_message("%s: %s", changes[i].line, answer);
		g_assert_cmpuint(status_of(answer), ==, changes[i].status);
		g_assert_null(strstr(answer, "s3cret"));
	}
	g_autofree char *audit = ask(house, "GET /api/v1/audit", house->admin, NULL, NULL);
	g_assert_null(strstr(audit, "s3cret"));
	g_autoptr(json_t) body = json_of(audit);
	g_assert_cmpuint(json_array_size(json_object_get(body, "entries")), ==, G_N_ELEMENTS(changes));
	assert_ok(audit_verify(house->daemon.store, &error));
	g_autofree char *secrets = ask(house, "GET /api/v1/repos/acme/digits/secrets", house->admin, NULL, NULL);
	g_assert_cmpstr(body_of(secrets), ==, "{\"secrets\":[],\"next\":null}");
}

static void test_bad_changes(House *house, const void *data)
{
	(void)data;
	const struct {
		const char *line, *body;
	} bad[] = {
	        {"PUT /api/v1/repos/acme/new", "{}"},
	        {"PUT /api/v1/repos/acme/new", "{\"url\":\"x\",\"webhook_secret\":\"\"}"},
	        {"PUT /api/v1/repos/acme/new", "{\"url\":\"x\",\"networks\":\"full\"}"},
	        {"PUT /api/v1/repos/acme/new", "{\"url\":\"x\",\"network\":\"all\"}"},
	        {"PUT /api/v1/repos/acme%20x/new", "{\"url\":\"x\"}"},
	        {"PUT /api/v1/repos/acme/new", "[1]"},
	        {"PUT /api/v1/repos/acme/new", "{\"url\":"},
	        {"PUT /api/v1/repos/acme/digits/secrets/1KEY", "{\"value\":\"x\"}"},
	        {"PUT /api/v1/repos/acme/digits/secrets/GITHUB_TOKEN", "{\"value\":\"x\"}"},
	        {"PUT /api/v1/repos/acme/digits/secrets/KEY", "{}"},
	        {"PUT /api/v1/repos/acme/digits/environments/p", "{\"reviewers\":[\"a\"],\"approvals\":2}"},
	        {"PUT /api/v1/repos/acme/digits/environments/p", "{\"reviewers\":\"a\"}"},
	        {"PUT /api/v1/users/carl", "{\"role\":\"king\"}"},
	        {"PUT /api/v1/users/carl", "{\"role\":\"viewer\",\"password\":\"short\"}"},
	        {"POST /api/v1/repos/acme/digits/dispatches", "{}"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *answer = ask(house, bad[i].line, house->admin, NULL, bad[i].body);
		if (status_of(answer) != 422)
			g_test_message("%s %s: %s", bad[i].line, bad[i].body, answer);
		g_assert_cmpuint(status_of(answer), ==, 422);
		g_assert_nonnull(strstr(answer, "\r\nContent-Type: application/problem+json\r\n"));
	}
	g_autofree char *audit = ask(house, "GET /api/v1/audit", house->admin, NULL, NULL);
	g_assert_nonnull(strstr(audit, "\"entries\":[]"));
}

static void test_dispatch(House *house, const void *data)
{
	(void)data;
	g_autofree char *answer = ask(house, "POST /api/v1/repos/acme/digits/dispatches", house->developer, NULL,
	        "{\"workflow\":\"train.yml\",\"ref\":\"main\",\"inputs\":{\"k\":\"v\"}}");
	g_assert_cmpuint(status_of(answer), ==, 202);
	g_assert_cmpstr(body_of(answer), ==, "{\"delivery\":\"dispatch-1\"}");
	g_assert_cmpstr(house->daemon.dispatched, ==,
	        "acme/digits dora {\"inputs\":{\"k\":\"v\"},\"ref\":\"main\",\"workflow\":\"train.yml\"}");
	g_assert_cmpuint(ask_status(house, "POST /api/v1/repos/acme/none/dispatches", house->developer,
	        "{\"workflow\":\"train.yml\"}"), ==, 404);
}

static void test_openapi(House *house, const void *data)
{
	(void)data;
	g_autofree char *answer = ask(house, "GET /api/v1/openapi.json", NULL, NULL, NULL);
	g_autoptr(json_t) document = json_of(answer);
	g_assert_cmpstr(json_get_string(document, "openapi", NULL), ==, "3.1.0");
	const json_t *paths = json_object_get(document, "paths");
	g_assert_nonnull(json_object_get(json_object_get(paths, "/api/v1/gates/{id}/verdict"), "post"));
	g_assert_null(json_object_get(paths, "/sign-in"));
}

static void test_badge(House *house, const void *data)
{
	(void)data;
	g_autofree char *there = ask(house, "GET /badge/acme/digits/train.svg", NULL, NULL, NULL);
	g_assert_cmpuint(status_of(there), ==, 200);
	g_assert_nonnull(strstr(there, "\r\nContent-Type: image/svg+xml\r\n"));
	g_autofree char *absent = ask(house, "GET /badge/acme/none/%3Cscript%3E.svg", NULL, NULL, NULL);
	g_assert_cmpuint(status_of(absent), ==, 200);
	g_assert_nonnull(strstr(absent, ">unknown<"));
	g_assert_null(strstr(absent, "<script>"));
}

/* ---- logs and events ---- */

static void end_job(House *house)
{
	assert_ok(runs_move_job(house->daemon.store, house->job, RUN_RUNNING, NULL, NULL, &error));
	assert_ok(runs_move_job(house->daemon.store, house->job, RUN_SUCCESS, NULL, NULL, &error));
}

static void test_log(House *house, const void *data)
{
	(void)data;
	g_autofree char *line = g_strdup_printf("GET /api/v1/jobs/%" G_GINT64_FORMAT "/log", house->job);
	g_autofree char *none = ask(house, line, house->viewer, NULL, NULL);
	g_assert_cmpuint(status_of(none), ==, 200);
	g_assert_cmpstr(body_of(none), ==, "");
	append_log(house, "0123456789");
	const struct {
		const char *query, *range;
		unsigned status;
		const char *body, *content_range;
	} cases[] = {
	        {"", NULL, 200, "0123456789", NULL},
	        {"?offset=4", NULL, 200, "456789", NULL},
	        {"?offset=99", NULL, 200, "", NULL},
	        {"", "bytes=2-4", 206, "234", "bytes 2-4/10"},
	        {"", "bytes=7-", 206, "789", "bytes 7-9/10"},
	        {"", "bytes=-3", 206, "789", "bytes 7-9/10"},
	        {"", "bytes=-30", 206, "0123456789", "bytes 0-9/10"},
	        {"", "bytes=8-99", 206, "89", "bytes 8-9/10"},
	        {"", "bytes=10-", 416, "", "bytes */10"},
	        {"", "bytes=4-2", 200, "0123456789", NULL},
	        {"", "bytes=0-1,4-5", 200, "0123456789", NULL},
	        {"", "lines=1", 200, "0123456789", NULL},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *address = g_strconcat(line, cases[i].query, NULL);
		g_autofree char *header = cases[i].range ? g_strdup_printf("Range: %s\r\n", cases[i].range) : NULL;
		g_autofree char *answer = ask(house, address, house->viewer, header, NULL);
		g_assert_cmpuint(status_of(answer), ==, cases[i].status);
		g_assert_cmpstr(body_of(answer), ==, cases[i].body);
		if (cases[i].content_range) {
			g_autofree char *wanted = g_strdup_printf("\r\nContent-Range: %s\r\n", cases[i].content_range);
			g_assert_nonnull(strstr(answer, wanted));
		}
	}
	g_autofree char *open = ask(house, line, house->viewer, NULL, NULL);
	g_assert_nonnull(strstr(open, "\r\nX-Assay-Log-End: false\r\n"));
	end_job(house);
	g_autofree char *ended = ask(house, line, house->viewer, NULL, NULL);
	g_assert_nonnull(strstr(ended, "\r\nX-Assay-Log-End: true\r\n"));
	g_assert_cmpuint(ask_status(house, line, NULL, NULL), ==, 401);
}

static int open_stream(House *house, const char *path, const char *headers)
{
	g_autofree char *text = g_strdup_printf("GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n", path,
	        house->viewer, headers);
	int fd = dial(house);
	send_all(fd, text, strlen(text));
	return fd;
}

static void test_log_stream(House *house, const void *data)
{
	(void)data;
	g_autofree char *path = g_strdup_printf("/api/v1/jobs/%" G_GINT64_FORMAT "/log/stream", house->job);
	autofd int fd = open_stream(house, path, "");
	g_autoptr(GString) seen = g_string_new(NULL);
	receive(fd, seen, "retry: 2000\n\n");
	g_assert_nonnull(strstr(seen->str, "\r\nContent-Type: text/event-stream\r\n"));
	/* The file appears when the job starts: the daemon tells. */
	append_log(house, "one\ntw");
	fake_changed(&house->daemon, house->run);
	receive(fd, seen, "event: log\nid: 4\ndata: one\n\n");
	g_assert_null(strstr(seen->str, "tw"));
	/* From now on the file itself tells. */
	append_log(house, "o\nthree\r\n");
	receive(fd, seen, "event: log\nid: 15\ndata: two\ndata: three\n\n");
	append_log(house, "rest");
	end_job(house);
	fake_changed(&house->daemon, house->run);
	receive(fd, seen, "event: end\n");
	g_assert_nonnull(strstr(seen->str, "event: log\nid: 19\ndata: rest\n\n"));
	/* It ends the response, and a client that comes back goes on from where it was. */
	autofd int again = open_stream(house, path, "Last-Event-ID: 15\r\n");
	g_autoptr(GString) rest = g_string_new(NULL);
	receive(again, rest, "event: end\n");
	g_assert_null(strstr(rest->str, "three"));
	g_assert_nonnull(strstr(rest->str, "id: 19\ndata: rest\n\n"));
}

static void test_log_stream_large(House *house, const void *data)
{
	(void)data;
	g_autoptr(GString) text = g_string_new(NULL);
	for (int i = 0; i < 50000; i++)
		g_string_append_printf(text, "line %d of a log that is long\n", i);
	g_autofree char *wide = g_strnfill(100000, 'w');
	g_string_append_printf(text, "%s\nlast\n", wide);
	append_log(house, text->str);
	end_job(house);
	g_autofree char *path = g_strdup_printf("/api/v1/jobs/%" G_GINT64_FORMAT "/log/stream", house->job);
	autofd int fd = open_stream(house, path, "");
	g_autoptr(GString) seen = g_string_new(NULL);
	receive(fd, seen, "event: end\n");
	unsigned lines = 0;
	for (const char *at = seen->str; (at = strstr(at, "data: line ")); at++)
		lines++;
	/* A chunk's frame may stand inside a line. */
	g_assert_cmpuint(lines, >, 49800);
	g_assert_nonnull(strstr(seen->str, "data: last\n"));
}

static void test_changes(House *house, const void *data)
{
	(void)data;
	autofd int fd = open_stream(house, "/api/v1/events", "");
	g_autoptr(GString) seen = g_string_new(NULL);
	receive(fd, seen, "retry: 2000\n\n");
	fake_changed(&house->daemon, 41);
	fake_changed(&house->daemon, 41);
	receive(fd, seen, "event: change\ndata: {\"run\":41}\n\n");
	fake_changed(&house->daemon, 42);
	receive(fd, seen, "event: change\ndata: {\"run\":42}\n\n");
	const char *first = strstr(seen->str, "{\"run\":41}");
	g_assert_null(strstr(first + 1, "{\"run\":41}"));
	/* A client that never reads costs no more than a set of ids. */
	autofd int deaf = open_stream(house, "/api/v1/events", "");
	g_autoptr(GString) nothing = g_string_new(NULL);
	receive(deaf, nothing, "retry: 2000\n\n");
	for (int i = 0; i < 100000; i++)
		fake_changed(&house->daemon, i + 100);
	receive(deaf, nothing, "{\"run\":0}");
}

/* ---- downloads ---- */

#define LARGE_BYTES (24 * 1024 * 1024)

/** Stores a folder as the worker does: a text, a program, a link, and `large` bytes that nothing can make smaller. */
static void put_artifact(House *house, const char *name, size_t large, int64_t expires_us)
{
	g_autofree char *objects_folder = g_build_filename(house->daemon.folder, "objects", NULL);
	g_autofree char *tree_path = test_folder();
	g_autofree char *inner = g_build_filename(tree_path, "in", NULL), *text = g_build_filename(inner, "größe.txt", NULL);
	g_autofree char *program = g_build_filename(tree_path, "run.sh", NULL), *link = g_build_filename(tree_path, "to", NULL);
	g_assert_cmpint(mkdir(inner, 0755), ==, 0);
	g_assert_true(g_file_set_contents(text, "forty-two\n", -1, NULL));
	g_assert_true(g_file_set_contents(program, "#!/bin/sh\n", -1, NULL));
	g_assert_cmpint(chmod(program, 0755), ==, 0);
	g_assert_cmpint(symlink("run.sh", link), ==, 0);
	if (large > 0) {
		g_autofree char *path = g_build_filename(tree_path, "large", NULL), *bytes = g_malloc(large);
		g_autoptr(GRand) noise = g_rand_new_with_seed(7);
		for (size_t i = 0; i + 4 <= large; i += 4)
			memcpy(bytes + i, &(guint32){g_rand_int(noise)}, 4);
		g_assert_true(g_file_set_contents(path, bytes, (gssize)large, NULL));
	}
	g_autoptr(Objects) objects = objects_open(objects_folder, NULL);
	int fd = open(tree_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ObjectsTree tree;
	assert_ok(objects_snapshot(objects, fd, ".", &tree, &error));
	close(fd);
	test_folder_remove(g_steal_pointer(&tree_path));
	g_autoptr(json_t) artifact = json_object();
	json_set_string(artifact, "name", name);
	json_set_string(artifact, "digest", tree.digest);
	json_set_int(artifact, "bytes", tree.bytes);
	json_set_int(artifact, "files", tree.files);
	json_set_int(artifact, "expires_us", expires_us);
	assert_ok(runs_artifact_put(house->daemon.store, house->run, house->job, artifact, &error));
}

/** The answer with its bytes counted, which may hold NULs. */
static GString *fetch(const House *house, const char *line, const char *who)
{
	int fd = dial(house);
	g_autofree char *text = g_strdup_printf("%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", line, who);
	GString *answer = g_string_new(NULL);
	send_all(fd, text, strlen(text));
	receive(fd, answer, NULL);
	close(fd);
	return answer;
}

/** Takes the chunks of a body apart; false when the last one is missing. */
static bool join_chunks(const GString *answer, GByteArray *out)
{
	const char *at = body_of(answer->str), *end = answer->str + answer->len;
	while (at < end) {
		char *after;
		guint64 len = g_ascii_strtoull(at, &after, 16);
		g_assert_true(g_str_has_prefix(after, "\r\n"));
		if (len == 0)
			return true;
		if ((guint64)(end - after - 2) < len + 2)
			return false;
		g_byte_array_append(out, (const guint8 *)after + 2, (guint)len);
		at = after + 2 + len + 2;
	}
	return false;
}

static void assert_zip(const GString *answer, size_t large)
{
	g_autoptr(GByteArray) zip = g_byte_array_new();
	g_assert_cmpuint(status_of(answer->str), ==, 200);
	g_assert_nonnull(strstr(answer->str, "\r\nContent-Type: application/zip\r\n"));
	g_assert_true(join_chunks(answer, zip));
	g_autofree char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "it.zip", NULL), *text_path = g_build_filename(folder, "in/größe.txt", NULL);
	g_autofree char *program = g_build_filename(folder, "run.sh", NULL), *large_path = g_build_filename(folder, "large", NULL);
	g_autofree char *link = g_build_filename(folder, "to", NULL);
	g_assert_true(g_file_set_contents(path, (const char *)zip->data, zip->len, NULL));
	/* By a program that is not ours, which also checks each file's sum. */
	g_autofree char *command = g_strdup_printf("env LC_ALL=C.UTF-8 unzip -q '%s' -d '%s'", path, folder);
	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, &(int){0}, NULL));
	g_autofree char *text = NULL, *large_bytes = NULL, *target = g_file_read_link(link, NULL);
	gsize large_len = 0;
	g_assert_true(g_file_get_contents(text_path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "forty-two\n");
	g_assert_cmpstr(target, ==, "run.sh");
	g_assert_true(g_file_test(program, G_FILE_TEST_IS_EXECUTABLE));
	if (large > 0) {
		g_autoptr(GRand) noise = g_rand_new_with_seed(7);
		g_assert_true(g_file_get_contents(large_path, &large_bytes, &large_len, NULL));
		g_assert_cmpuint(large_len, ==, large);
		for (size_t i = 0; i + 4 <= large; i += 4)
			g_assert_cmpint(memcmp(large_bytes + i, &(guint32){g_rand_int(noise)}, 4), ==, 0);
	}
	test_folder_remove(g_steal_pointer(&folder));
}

static char *artifact_path(const House *house, const char *rest)
{
	return g_strdup_printf("/api/v1/runs/%" G_GINT64_FORMAT "/artifacts%s", house->run, rest);
}

static void test_download(House *house, const void *data)
{
	(void)data;
	put_artifact(house, "r\"é; x", 100000, 0);
	g_autofree char *base = artifact_path(house, ""), *list_line = g_strconcat("GET ", base, NULL);
	g_autofree char *line = g_strconcat("GET ", base, "/r%22%C3%A9%3B%20x?attempt=1", NULL);
	g_autoptr(GString) answer = fetch(house, line, house->viewer);
	assert_zip(answer, 100000);
	g_assert_nonnull(strstr(answer->str, "\r\nContent-Disposition: attachment; filename=\"r____ x.zip\"; filename*=UTF-8''r%22%C3%A9%3B%20x.zip\r\n"));
	g_autoptr(GString) again = fetch(house, line, house->viewer);
	g_autoptr(GByteArray) zip = g_byte_array_new();
	g_autoptr(GByteArray) same = g_byte_array_new();
	g_assert_true(join_chunks(answer, zip) && join_chunks(again, same));
	g_assert_cmpmem(zip->data, zip->len, same->data, same->len);
	g_autofree char *list_answer = ask(house, list_line, house->viewer, NULL, NULL);
	g_autoptr(json_t) list = json_of(list_answer);
	const json_t *first = json_array_get(json_object_get(list, "artifacts"), 0);
	g_assert_cmpstr(json_get_string(first, "name", NULL), ==, "r\"é; x");
	/* The address that jobs are told; that of another repo has nothing. */
	g_autofree char *by_id = g_strdup_printf("GET /acme/digits/actions/runs/%" G_GINT64_FORMAT "/artifacts/%" G_GINT64_FORMAT,
	        house->run, json_get_int(first, "id", 0));
	g_autoptr(GString) named = fetch(house, by_id, house->viewer);
	assert_zip(named, 100000);
	g_autofree char *elsewhere = g_strdup_printf("GET /acme/other/actions/runs/%" G_GINT64_FORMAT "/artifacts/%" G_GINT64_FORMAT,
	        house->run, json_get_int(first, "id", 0));
	g_assert_cmpuint(ask_status(house, elsewhere, house->viewer, NULL), ==, 404);
}

static void test_download_refused(House *house, const void *data)
{
	(void)data;
	put_artifact(house, "there", 0, 0);
	put_artifact(house, "old", 0, now_us() - 1000000);
	static const struct {
		const char *rest;
		unsigned status, without;
	} cases[] = {{"/there", 200, 401}, {"/old", 410, 401}, {"/none", 404, 401}, {"/there?attempt=2", 404, 401},
	        {"/there?attempt=x", 422, 401}};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *path = artifact_path(house, cases[i].rest), *get = g_strconcat("GET ", path, NULL);
		g_autofree char *head = g_strconcat("HEAD ", path, NULL);
		g_autofree char *headed = ask(house, head, house->viewer, NULL, NULL);
		g_test_message("%s", get);
		g_assert_cmpuint(ask_status(house, get, house->viewer, NULL), ==, cases[i].status);
		g_assert_cmpuint(ask_status(house, get, NULL, NULL), ==, cases[i].without);
		g_assert_cmpuint(status_of(headed), ==, cases[i].status);
		g_assert_cmpstr(body_of(headed), ==, "");
		g_assert_true(cases[i].status != 200 || (strstr(headed, "Content-Disposition: ") && !strstr(headed, "Content-Length")));
	}
	g_autofree char *path = artifact_path(house, "/old"), *get = g_strconcat("GET ", path, NULL);
	g_autofree char *answer = ask(house, get, house->viewer, NULL, NULL);
	g_assert_nonnull(strstr(answer, "\r\nContent-Type: application/problem+json"));
	g_autoptr(json_t) problem = json_of(answer);
	g_assert_cmpstr(json_get_string(problem, "type", NULL), ==, "/problems/expired");
}

static void test_download_damaged(House *house, const void *data)
{
	(void)data;
	g_autofree char *line = artifact_path(house, "/lost"), *get = g_strconcat("GET ", line, NULL);
	g_autoptr(json_t) artifact = test_json("{'name':'lost','bytes':1,'files':1}");
	json_set_string(artifact, "digest", "6113728f27ae82c7b1a177c8d03f9e96e0adf2466113728f27ae82c7b1a177c8");
	assert_ok(runs_artifact_put(house->daemon.store, house->run, house->job, artifact, &error));
	g_autoptr(GString) answer = fetch(house, get, house->viewer);
	g_assert_null(strstr(answer->str, "0\r\n\r\n"));
}

static bool has_children(void)
{
	g_main_context_iteration(NULL, FALSE);
	siginfo_t info;
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD;
}

static int begin_download(House *house, const char *name, GString *seen)
{
	g_autofree char *path = artifact_path(house, name);
	int fd = dial(house);
	g_autofree char *text = g_strdup_printf("GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, house->viewer);
	send_all(fd, text, strlen(text));
	receive(fd, seen, "\r\n\r\n");
	return fd;
}

static void test_downloads_bounded(House *house, const void *data)
{
	(void)data;
	put_artifact(house, "large", LARGE_BYTES, 0);
	g_autofree char *path = artifact_path(house, "/large"), *get = g_strconcat("GET ", path, NULL);
	int held[8];
	for (size_t i = 0; i < G_N_ELEMENTS(held); i++) {
		g_autoptr(GString) seen = g_string_new(NULL);
		held[i] = begin_download(house, "/large", seen);
		g_assert_cmpuint(status_of(seen->str), ==, 200);
	}
	g_autofree char *refused = ask(house, get, house->viewer, NULL, NULL);
	g_assert_nonnull(strstr(refused, "cannot pack one more artifact: 8 are being downloaded"));
	for (size_t i = 0; i < G_N_ELEMENTS(held); i++)
		close(held[i]); /* none has read it: their processes end with them */
	int64_t end_us = monotonic_us() + 6 * PATIENCE_US;
	while (has_children() && monotonic_us() < end_us)
		g_usleep(1000);
	g_assert_false(has_children());
	g_autoptr(GString) answer = fetch(house, get, house->viewer);
	assert_zip(answer, LARGE_BYTES);
}

static void test_stop_with_download(House *house, const void *data)
{
	(void)data;
	put_artifact(house, "large", LARGE_BYTES, 0);
	g_autoptr(GString) seen = g_string_new(NULL);
	int fd = begin_download(house, "/large", seen);
	web_front.stop();
	receive(fd, seen, NULL);
	close(fd);
	g_autoptr(GByteArray) zip = g_byte_array_new();
	g_assert_false(join_chunks(seen, zip));
	int64_t end_us = monotonic_us() + 6 * PATIENCE_US;
	while (has_children() && monotonic_us() < end_us)
		g_usleep(1000);
	g_assert_false(has_children());
}

static void test_stop_with_streams(House *house, const void *data)
{
	(void)data;
	int fd = open_stream(house, "/api/v1/events", "");
	g_autoptr(GString) seen = g_string_new(NULL);
	receive(fd, seen, "retry: 2000\n\n");
	g_autofree char *signature = sign(SECRET, PUSH);
	g_autofree char *text = delivery("last", signature, PUSH);
	int parked = dial(house);
	g_assert_cmpint(send(parked, text, strlen(text), MSG_NOSIGNAL), ==, (ssize_t)strlen(text));
	while (house->daemon.woken == 0 && g_main_context_iteration(NULL, FALSE))
		;
	web_front.stop();
	g_assert_cmpuint(deliveries_stored(house), ==, 1);
	g_string_truncate(seen, 0);
	receive(fd, seen, NULL);
	g_assert_nonnull(strstr(seen->str, "0\r\n\r\n"));
	receive(parked, seen, NULL);
	g_assert_nonnull(strstr(seen->str, "{\"delivery\":\"last\"}"));
	close(fd);
	close(parked);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	static const struct {
		const char *claim;
		void (*run)(House *, const void *);
	} cases[] = {
	        {"hook/stores_a_delivery_once", test_delivery_once},
	        {"hook/refuses_wrong_signatures_and_unknown_repos_alike", test_signatures},
	        {"hook/refuses_a_repo_without_secret", test_repo_without_secret},
	        {"hook/needs_a_delivery_id", test_missing_id},
	        {"hook/refuses_large_bodies_at_once", test_too_large},
	        {"hook/commits_a_group_at_once", test_group_commit},
	        {"hook/keeps_a_delivery_whose_sender_left", test_client_leaves},
	        {"who/roles_decide", test_roles},
	        {"who/the_socket_knows_its_peer", test_socket},
	        {"routes/answers_404_405_and_head", test_addresses},
	        {"routes/guards_every_answer", test_headers},
	        {"session/signs_in_and_out", test_sign_in},
	        {"session/stays_on_its_own_site", test_sign_in_elsewhere},
	        {"session/link_is_good_once", test_link},
	        {"session/limits_failed_attempts", test_sign_in_limit},
	        {"pages/show_what_is_there", test_pages},
	        {"pages/take_a_verdict_by_form", test_gate_form},
	        {"pages/keep_assets_by_hash", test_assets},
	        {"api/audits_every_change", test_changes_are_audited},
	        {"api/refuses_bad_input_and_changes_nothing", test_bad_changes},
	        {"api/dispatches", test_dispatch},
	        {"api/describes_itself", test_openapi},
	        {"badge/says_one_word", test_badge},
	        {"log/serves_ranges", test_log},
	        {"log/streams_as_it_grows", test_log_stream},
	        {"log/streams_a_large_one_whole", test_log_stream_large},
	        {"events/tell_each_run_once", test_changes},
	        {"download/gives_an_artifact_as_a_zip", test_download},
	        {"download/says_what_is_gone", test_download_refused},
	        {"download/breaks_off_when_it_is_not_whole", test_download_damaged},
	        {"download/is_bounded_and_ends_with_its_client", test_downloads_bounded},
	        {"stop/breaks_downloads_off", test_stop_with_download},
	        {"stop/ends_what_waits", test_stop_with_streams},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *name = g_strconcat("/web/", cases[i].claim, NULL);
		g_test_add(name, House, NULL, open_house, cases[i].run, close_house);
	}
	return g_test_run();
}
