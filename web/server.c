/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server. Two libmicrohttpd daemons, one for the address and one for the unix socket, each with its epoll descriptor
 * as one GSource; no threads. libmicrohttpd parses and frames, this file decides how long a connection may be silent, how
 * much it may send, and turns a Reply into a response. What an address means is in routes.c.
 *
 * The life of a request: on_target() makes the Exchange; on_access() is called with the head (here the caller is
 * identified and refused before a byte of the body is read), with each piece of the body, and with its end (here the
 * handler runs). A parked request is suspended and comes here once more after request_resume(). on_completed() frees it.
 */
#include "web/server.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/log.h"
#include "agent/daemon/daemon.h"
#include "agent/front.h"
#include "web/feed.h"
#include "web/handlers.h"
#include "web/limiter.h"
#include "web/listen.h"
#include "web/metrics.h"
#include "web/page.h"
#include "web/problem.h"
#include "web/routes.h"
#include "web/session.h"

#define SIGN_IN_FAILURES 10
#define SIGN_IN_CALLER_FAILURES 100
#define SIGN_IN_WINDOW_US (15 * 60 * (int64_t)1000000)
#define SIGN_IN_KEYS 4096
#define STOP_GRACE_US 1000000

typedef struct Listener {
	struct MHD_Daemon *mhd;
	GSource *source;
	bool is_socket;
	bool must_run; /* a connection was resumed: the library sees that only when it is run */
} Listener;

typedef struct Exchange {
	Request request; /* first: a Request of ours is an Exchange */
	Listener *listener;
	size_t body_limit;
	bool has_head;
	bool is_handled;
	/* of a feed: */
	GString *pending;
	size_t sent;
	bool is_feed_done;
	bool is_suspended;
} Exchange;

typedef struct Server {
	Face face;
	Counters counters;
	Listener listeners[2]; /* the address, the socket */
	char *socket_path;
	GPtrArray *feeds;      /* Exchange *, borrowed */
	guint heartbeat;
} Server;

/* The door has no argument to hand it back in; there is one face a process. */
static Server *server;

/* ---- the loop ---- */

typedef struct LoopSource {
	GSource base;
	Listener *listener;
	void *tag;
} LoopSource;

static gboolean loop_prepare(GSource *source, gint *timeout_ms)
{
	const Listener *listener = ((LoopSource *)source)->listener;
	MHD_UNSIGNED_LONG_LONG wait_ms = 0;
	if (!listener->must_run && MHD_get_timeout(listener->mhd, &wait_ms) != MHD_YES) {
		*timeout_ms = -1;
		return FALSE;
	}
	*timeout_ms = (gint)MIN(wait_ms, (MHD_UNSIGNED_LONG_LONG)G_MAXINT);
	return wait_ms == 0;
}

static gboolean loop_check(GSource *source)
{
	LoopSource *loop = (LoopSource *)source;
	gint timeout_ms;
	return (g_source_query_unix_fd(source, loop->tag) & G_IO_IN) || loop_prepare(source, &timeout_ms);
}

static gboolean loop_dispatch(GSource *source, GSourceFunc callback, void *data)
{
	(void)callback;
	(void)data;
	Listener *listener = ((LoopSource *)source)->listener;
	listener->must_run = false;
	MHD_run(listener->mhd);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs loop_functions = {.prepare = loop_prepare, .check = loop_check, .dispatch = loop_dispatch};

static GSource *loop_attach(Listener *listener, const char *name)
{
	GSource *source = g_source_new(&loop_functions, sizeof(LoopSource));
	LoopSource *loop = (LoopSource *)source;
	loop->listener = listener;
	int fd = MHD_get_daemon_info(listener->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	loop->tag = g_source_add_unix_fd(source, fd, G_IO_IN);
	g_source_set_static_name(source, name);
	/* Nothing here turns the loop again; told so, GLib does not take the descriptor out and in for each dispatch. */
	g_source_set_can_recurse(source, TRUE);
	g_source_attach(source, NULL);
	return source;
}

/* ---- replies ---- */

static void add_headers(struct MHD_Response *response, const Request *request)
{
	static const char *const always[][2] = {{"Content-Security-Policy", PAGE_POLICY},
	        {"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "same-origin"}};
	for (size_t i = 0; i < G_N_ELEMENTS(always); i++)
		MHD_add_response_header(response, always[i][0], always[i][1]);
	const Reply *reply = &request->reply;
	if (reply->type)
		MHD_add_response_header(response, "Content-Type", reply->type);
	bool says_cache = false;
	for (guint i = 0; reply->headers && i + 1 < reply->headers->len; i += 2) {
		MHD_add_response_header(response, reply->headers->pdata[i], reply->headers->pdata[i + 1]);
		says_cache = says_cache || g_str_equal(reply->headers->pdata[i], "Cache-Control");
	}
	if (!says_cache)
		MHD_add_response_header(response, "Cache-Control", "no-store");
}

static void release_bytes(void *data)
{
	g_bytes_unref(data);
}

static ssize_t read_feed(void *data, uint64_t position, char *buffer, size_t max)
{
	(void)position;
	Exchange *exchange = data;
	Feed *feed = exchange->request.reply.feed;
	if (exchange->sent == exchange->pending->len) {
		g_string_truncate(exchange->pending, 0);
		exchange->sent = 0;
		if (!exchange->is_feed_done && !server->face.stopping)
			exchange->is_feed_done = !feed->fill(feed, exchange->pending);
	}
	size_t left = exchange->pending->len - exchange->sent;
	if (left > 0) {
		size_t len = MIN(left, max);
		memcpy(buffer, exchange->pending->str + exchange->sent, len);
		exchange->sent += len;
		return (ssize_t)len;
	}
	if (exchange->is_feed_done || server->face.stopping)
		return feed->has_failed || (feed->is_plain && !exchange->is_feed_done) ? MHD_CONTENT_READER_END_WITH_ERROR
		                                                                       : MHD_CONTENT_READER_END_OF_STREAM;
	exchange->is_suspended = true;
	MHD_suspend_connection(exchange->request.connection);
	return 0;
}

static void resume(Exchange *exchange)
{
	MHD_resume_connection(exchange->request.connection);
	exchange->listener->must_run = true;
}

static void resume_feed(Exchange *exchange)
{
	if (!exchange->is_suspended)
		return;
	exchange->is_suspended = false;
	resume(exchange);
}

void feed_wake(Feed *feed)
{
	if (feed->exchange)
		resume_feed(feed->exchange);
}

bool feed_may_open(GError **error)
{
	return (server && server->feeds->len < SERVER_FEEDS_MAX) ||
	        fail(error, ASSAY_ERROR_BUSY, "cannot open one more live view: %d are open; close one and try again",
	                SERVER_FEEDS_MAX);
}

/** A comment line down each feed that waits: the only way to notice that a client has gone without a word. */
static gboolean on_heartbeat(void *data)
{
	(void)data;
	for (guint i = 0; i < server->feeds->len; i++) {
		Exchange *exchange = server->feeds->pdata[i];
		if (exchange->request.reply.feed->is_plain)
			continue;
		if (exchange->is_suspended && exchange->pending->len == exchange->sent)
			g_string_append(exchange->pending, ":\n\n");
		resume_feed(exchange);
	}
	return G_SOURCE_CONTINUE;
}

static struct MHD_Response *feed_response(Exchange *exchange)
{
	exchange->pending = g_string_sized_new(1024);
	/* How soon a client comes back; it also makes the head leave at once. */
	if (!exchange->request.reply.feed->is_plain)
		g_string_append(exchange->pending, "retry: 2000\n\n");
	exchange->request.reply.feed->exchange = exchange;
	g_ptr_array_add(server->feeds, exchange);
	server->counters.feeds = server->feeds->len;
	if (!server->heartbeat)
		server->heartbeat = g_timeout_add_seconds(SERVER_HEARTBEAT_S, on_heartbeat, NULL);
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 * 1024, read_feed, exchange, NULL);
}

static ssize_t read_nothing(void *data, uint64_t position, char *buffer, size_t max)
{
	(void)data;
	(void)position;
	(void)buffer;
	(void)max;
	return MHD_CONTENT_READER_END_OF_STREAM;
}

/** The head alone of an answer whose length nobody knows. In chunks the library would send the last one, which is a body. */
static struct MHD_Response *unsized_response(void)
{
	struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, read_nothing, NULL, NULL);
	if (response)
		MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
	return response;
}

static struct MHD_Response *make_response(Exchange *exchange)
{
	Reply *reply = &exchange->request.reply;
	if (reply->feed && !exchange->request.is_head)
		return feed_response(exchange);
	if (reply->is_unsized)
		return unsized_response();
	if (reply->fd >= 0 && reply->fd_len > 0) {
		struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(reply->fd_len, reply->fd,
		        reply->fd_offset);
		if (response)
			reply->fd = -1; /* it closes the file */
		return response;
	}
	if (!reply->body)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	size_t len = 0;
	const void *bytes = g_bytes_get_data(reply->body, &len);
	return MHD_create_response_from_buffer_with_free_callback_cls(len, (void *)bytes, release_bytes,
	        g_bytes_ref(reply->body));
}

static enum MHD_Result send_reply(Exchange *exchange)
{
	Request *request = &exchange->request;
	if (request->reply.status == 0)
		problem_answer(request, 500, "system", "the address has no answer; this is a mistake in assay");
	struct MHD_Response *response = make_response(exchange);
	if (!response)
		return MHD_NO;
	add_headers(response, request);
	unsigned status = request->reply.status;
	server->counters.answers[MIN(status / 100, 5)]++;
	enum MHD_Result result = MHD_queue_response(request->connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* ---- requests ---- */

static void *on_target(void *data, const char *target, struct MHD_Connection *connection)
{
	Exchange *exchange = g_new0(Exchange, 1);
	exchange->listener = data;
	Request *request = &exchange->request;
	*request = (Request){.face = &server->face, .connection = connection, .method = "GET", .peer_uid = (uid_t)-1,
	        .target = target_parse(target, NULL), .params = g_ptr_array_new(), .body = g_byte_array_new(),
	        .reply = {.fd = -1}, .started_us = monotonic_us(), .via_socket = exchange->listener->is_socket};
	return exchange;
}

static void exchange_free(Exchange *exchange)
{
	Request *request = &exchange->request;
	Feed *feed = request->reply.feed;
	if (feed) {
		if (g_ptr_array_remove_fast(server->feeds, exchange)) {
			server->counters.feeds = server->feeds->len;
			if (server->feeds->len == 0)
				g_clear_handle_id(&server->heartbeat, g_source_remove);
		}
		feed->free(feed);
	}
	if (exchange->pending)
		g_string_free(exchange->pending, TRUE);
	reply_clear(&request->reply);
	target_free(request->target);
	g_ptr_array_unref(request->params);
	g_byte_array_unref(request->body);
	if (request->form)
		g_ptr_array_unref(request->form);
	json_decref(request->user);
	g_free(request->address);
	g_free(exchange);
}

static void on_completed(void *data, struct MHD_Connection *connection, void **exchange,
        enum MHD_RequestTerminationCode code)
{
	(void)data;
	(void)connection;
	(void)code;
	if (*exchange)
		exchange_free(*exchange);
	*exchange = NULL;
}

static void read_peer(Request *request)
{
	const union MHD_ConnectionInfo *info;
	if (request->via_socket) {
		info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		request->peer_uid = info ? listen_peer_uid(info->connect_fd) : (uid_t)-1;
		request->address = g_strdup("socket");
		return;
	}
	info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	request->address = listen_address_text(info ? info->client_addr : NULL, &request->is_loopback);
	/* Behind a proxy on this machine the caller is the last one that the proxy names. */
	const char *forwarded = request->is_loopback ? request_header(request, "x-forwarded-for") : NULL;
	if (!forwarded)
		return;
	const char *last = strrchr(forwarded, ',');
	g_free(request->address);
	request->address = g_strstrip(g_strndup(last ? last + 1 : forwarded, 64));
	request->is_loopback = false;
}

/** Everything that can be decided without the body. True when it may be read. */
static bool accept_head(Exchange *exchange, const char *method)
{
	Request *request = &exchange->request;
	request->is_head = g_str_equal(method, "HEAD");
	request->method = request->is_head ? "GET" : g_intern_string(method);
	read_peer(request);
	if (!request->target) {
		problem_answer(request, 400, "user", "cannot read the address: it is too long or not properly encoded UTF-8 text");
		return false;
	}
	RouteMatch match = route_match(request->method, request->target, request->params);
	g_autofree char *allowed = match.allowed;
	if (!match.route) {
		if (allowed) {
			reply_header(request, "Allow", allowed);
			problem_answer(request, 405, "method", "this address does not know the method; see the header Allow");
		} else {
			problem_answer(request, 404, "absent", "there is nothing at this address; see /api/v1/openapi.json for what there is");
		}
		return false;
	}
	request->route = match.route;
	if (!match.route->is_raw && !session_identify(request)) {
		reply_header(request, "WWW-Authenticate", "Bearer realm=\"assay\", error=\"invalid_token\"");
		problem_answer(request, 401, "unauthorized", "cannot tell who is calling: the token is not known or has been revoked; "
		        "make one with 'assay token create'");
		return false;
	}
	if (!session_allows(request))
		return false;
	int64_t hook_bytes = daemon_config(server->face.daemon)->body_bytes;
	exchange->body_limit = match.route->is_raw ? (size_t)hook_bytes : SERVER_API_BODY_BYTES;
	const char *length = request_header(request, "content-length");
	guint64 announced = 0;
	if (length && g_ascii_string_to_unsigned(length, 10, 0, G_MAXUINT64, &announced, NULL) &&
	        announced > exchange->body_limit) {
		g_autofree char *detail = g_strdup_printf("cannot take the request: its body has more than %zu bytes",
		        exchange->body_limit);
		if (match.route->is_raw)
			server->counters.deliveries_too_large++;
		problem_answer(request, 413, "too-large", detail);
		return false;
	}
	return true;
}

/**
 * A body that did not say how long it is has grown over the limit. libmicrohttpd takes no response before the body's end,
 * so the answer is written here and the connection closed.
 */
static enum MHD_Result refuse_growing(Exchange *exchange)
{
	if (exchange->request.route->is_raw)
		server->counters.deliveries_too_large++;
	server->counters.answers[4]++;
	g_autofree char *body = problem_text(413, "too-large", "cannot take the request: its body is over the limit", NULL);
	g_autofree char *text = g_strdup_printf("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
	        "Content-Type: application/problem+json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(exchange->request.connection,
	        MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info && send(info->connect_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		shutdown(info->connect_fd, SHUT_WR);
	return MHD_NO;
}

static void handle(Exchange *exchange)
{
	Request *request = &exchange->request;
	exchange->is_handled = true;
	if (!request->route->is_raw && !session_checks_csrf(request))
		return;
	g_autoptr(GError) error = NULL;
	if (!request->route->handler(request, &error))
		problem_from_error(request, error);
}

static bool has_body(const Request *request)
{
	const char *length = request_header(request, "content-length");
	return (length && !g_str_equal(length, "0")) || request_header(request, "transfer-encoding");
}

static enum MHD_Result on_access(void *data, struct MHD_Connection *connection, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_len, void **context)
{
	(void)data;
	(void)url;
	(void)version;
	Exchange *exchange = *context;
	if (!exchange)
		return MHD_NO;
	Request *request = &exchange->request;
	if (!exchange->has_head) {
		exchange->has_head = true;
		if (accept_head(exchange, method))
			return MHD_YES;
		/* A refusal at this point ends the connection, which is right only when a body would follow. */
		exchange->is_handled = true;
		return has_body(request) ? send_reply(exchange) : MHD_YES;
	}
	if (*upload_len > 0) {
		if (request->body->len + *upload_len > exchange->body_limit)
			return refuse_growing(exchange);
		g_byte_array_append(request->body, (const guint8 *)upload, (guint)*upload_len);
		*upload_len = 0;
		return MHD_YES;
	}
	if (!exchange->is_handled)
		handle(exchange);
	if (request->is_parked) {
		MHD_suspend_connection(connection);
		return MHD_YES;
	}
	return send_reply(exchange);
}

const char *request_header(const Request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

bool request_park(Request *request)
{
	request->is_parked = true;
	return true;
}

void request_resume(Request *request)
{
	request->is_parked = false;
	resume((Exchange *)request);
}

/* ---- start and stop ---- */

static void on_mhd_log(void *data, const char *format, va_list args) G_GNUC_PRINTF(2, 0);
static void on_mhd_log(void *data, const char *format, va_list args)
{
	(void)data;
	g_autofree char *text = g_strdup_vprintf(format, args);
	log_debug("http", KV("why", g_strchomp(text)));
}

/** Nothing is decoded for us: target.c reads the target as it came. */
static size_t leave_encoded(void *data, struct MHD_Connection *connection, char *text)
{
	(void)data;
	(void)connection;
	return strlen(text);
}

static bool start_listener(Listener *listener, int fd, bool is_socket, GError **error)
{
	listener->is_socket = is_socket;
	unsigned limit = is_socket ? SERVER_SOCKET_CONNECTIONS_MAX : SERVER_CONNECTIONS_MAX;
	listener->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_access,
	        listener, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
	        MHD_OPTION_URI_LOG_CALLBACK, on_target, listener, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	        MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL, MHD_OPTION_CONNECTION_LIMIT, limit,
	        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVER_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	        (size_t)SERVER_CONNECTION_BYTES, MHD_OPTION_END);
	if (!listener->mhd) {
		close(fd);
		return fail(error, ASSAY_ERROR_SYSTEM, "cannot start the web server: the library refuses; try again");
	}
	listener->source = loop_attach(listener, is_socket ? "web socket" : "web address");
	return true;
}

static void web_stop(void);

static bool web_start(Daemon *daemon, char **out_url, GError **error)
{
	const Config *config = daemon_config(daemon);
	server = g_new0(Server, 1);
	server->feeds = g_ptr_array_new();
	server->face = (Face){.daemon = daemon, .store = daemon_store(daemon), .counters = &server->counters,
	        .limiter = limiter_new(SIGN_IN_FAILURES, SIGN_IN_WINDOW_US, SIGN_IN_KEYS),
	        .callers = limiter_new(SIGN_IN_CALLER_FAILURES, SIGN_IN_WINDOW_US, SIGN_IN_KEYS)};
	g_autofree char *url = NULL;
	int fd = listen_tcp(config->listen_address, config->listen_port, &url, error);
	bool good = fd >= 0 && start_listener(&server->listeners[0], fd, false, error);
	if (good && config->socket) {
		fd = listen_unix(config->socket, error);
		good = fd >= 0;
		if (good)
			server->socket_path = g_strdup(config->socket);
		good = good && start_listener(&server->listeners[1], fd, true, error);
	}
	if (!good) {
		web_stop();
		return false;
	}
	*out_url = g_steal_pointer(&url);
	return true;
}

static unsigned connections(const Listener *listener)
{
	return MHD_get_daemon_info(listener->mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/** Nobody new comes in; parked requests are stored and answered, feeds end; a second for the answers to leave. */
static void drain(void)
{
	server->face.stopping = true;
	hook_flush(&server->face);
	for (guint i = 0; i < server->feeds->len; i++)
		resume_feed(server->feeds->pdata[i]);
	int64_t until_us = monotonic_us() + STOP_GRACE_US;
	for (size_t i = 0; i < G_N_ELEMENTS(server->listeners); i++) {
		Listener *listener = &server->listeners[i];
		if (!listener->mhd)
			continue;
		int fd = MHD_quiesce_daemon(listener->mhd);
		if (fd >= 0)
			close(fd);
		do
			MHD_run_wait(listener->mhd, 20);
		while (server->feeds->len > 0 && connections(listener) > 0 && monotonic_us() < until_us);
		hook_flush(&server->face);
		MHD_run(listener->mhd);
	}
}

static void web_stop(void)
{
	if (!server)
		return;
	drain();
	for (size_t i = 0; i < G_N_ELEMENTS(server->listeners); i++) {
		Listener *listener = &server->listeners[i];
		if (listener->source) {
			g_source_destroy(listener->source);
			g_source_unref(listener->source);
		}
		if (listener->mhd)
			MHD_stop_daemon(listener->mhd);
	}
	if (server->socket_path)
		unlink(server->socket_path);
	g_clear_handle_id(&server->heartbeat, g_source_remove);
	g_free(server->socket_path);
	g_ptr_array_unref(server->feeds);
	limiter_free(server->face.limiter);
	limiter_free(server->face.callers);
	g_clear_pointer(&server, g_free);
}

const Front web_front = {.name = "web", .start = web_start, .stop = web_stop};
