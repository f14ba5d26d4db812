/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol over libcurl, which is loaded when the first image is pulled: a waiting worker does not carry it.
 * Order of an answer's life: addresses (mirrors first), then attempts with growing pauses, then the token that a 401 asks
 * for, once a scope. Every wait looks at the watch, so a cancelled job does not sit out a slow registry.
 *
 * Source: OCI Distribution Specification 1.1; Docker Registry token authentication.
 */
#include "executors/registry.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/base/library.h"
#include "executors/challenge.h"

#define HUB_ADDRESS "https://registry-1.docker.io"
#define ATTEMPTS 5
#define PAUSE_FIRST_MS 500
#define PAUSE_MOST_MS 20000
#define ASK_MS 100
#define CONNECT_S 15
#define STALL_S 30 /* less than a byte a second for this long */
#define ANSWER_S 120 /* for a manifest or a token as a whole */
#define TOKEN_BYTES_MAX (1024 * 1024)
#define HEADER_BYTES_MAX 8192
#define REDIRECTS_MAX 5L
#define ADDRESSES_MAX 9

#define CALLS(C)                                                                                                     \
	C(global_init, curl_global_init) C(init, curl_easy_init) C(cleanup, curl_easy_cleanup) C(reset, curl_easy_reset) \
	C(setopt, curl_easy_setopt) C(perform, curl_easy_perform) C(getinfo, curl_easy_getinfo)                          \
	C(strerror, curl_easy_strerror) C(append, curl_slist_append) C(free_all, curl_slist_free_all)
#define FIELD(field, name) __typeof__(&name) field;
typedef struct Curl {
	CALLS(FIELD)
} Curl;
#undef FIELD

static bool load(Curl *out, GError **error)
{
#define SYMBOL(field, name) {#name, &out->field},
	const LibrarySymbol symbols[] = {CALLS(SYMBOL)};
#undef SYMBOL
	if (!library_load("libcurl.so.4", "libcurl4", symbols, G_N_ELEMENTS(symbols), error))
		return false;
	if (out->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return fail(error, ASSAY_ERROR_SYSTEM, "libcurl does not start");
	return true;
}

bool registry_probe(GError **error)
{
	Curl curl;
	return load(&curl, error);
}

struct Registry {
	Curl curl;
	CURL *handle;
	char *repository;
	char *name;        /* for messages */
	GPtrArray *addresses; /* "https://host:port", the real one last */
	char *ca_file;
	char *username, *password;
	char *token;       /* of the address that `token_at` is */
	guint token_at;
	bool basic;
	int stall_s;
	int attempts;
	int pause_ms; /* before the second; doubled then */
	RegistryWatch watch;
};

/* One request and what came of it. */
typedef struct Answer {
	Registry *registry;
	GString *body;       /* NULL: into fd */
	size_t body_most;
	int fd;
	int64_t written;     /* of fd, from its start */
	int64_t fd_most;
	Hash *hash;
	long status;
	GString *challenges; /* of WWW-Authenticate, or NULL */
	int64_t retry_after_s;
	bool too_long;
	bool disk_failed;
	int disk_errno;
	bool restarted;      /* a range was asked for and all of it comes */
	bool range;
} Answer;

static bool is_stopped(const Registry *registry)
{
	return registry->watch.stopped && registry->watch.stopped(registry->watch.data);
}

static void say(const Registry *registry, const char *text)
{
	if (registry->watch.say)
		registry->watch.say(registry->watch.data, text);
}

/* false when the watch wants an end. */
static bool pause_for(const Registry *registry, int64_t milliseconds)
{
	for (int64_t until = monotonic_us() + milliseconds * 1000; monotonic_us() < until;) {
		if (is_stopped(registry))
			return false;
		poll(NULL, 0, ASK_MS);
	}
	return !is_stopped(registry);
}

/* ---- what libcurl calls ---- */

static size_t take_bytes(char *bytes, size_t one, size_t count, void *data)
{
	Answer *answer = data;
	size_t len = one * count;
	long status = 0;
	answer->registry->curl.getinfo(answer->registry->handle, CURLINFO_RESPONSE_CODE, &status);
	bool good = status >= 200 && status < 300;
	if (answer->body || !good) { /* what an error says is small, or is not read */
		if (!answer->body)
			return len;
		if (answer->body->len + len > answer->body_most) {
			answer->too_long = good;
			return good ? 0 : len;
		}
		g_string_append_len(answer->body, bytes, (gssize)len);
		return len;
	}
	if (answer->range && status == 200 && !answer->restarted) { /* it knows no ranges: from the start */
		answer->restarted = true;
		uint8_t unused[HASH_BYTES];
		hash_final(answer->hash, unused);
		answer->written = 0;
		if (ftruncate(answer->fd, 0) < 0 || lseek(answer->fd, 0, SEEK_SET) < 0) {
			answer->disk_failed = true;
			answer->disk_errno = errno;
			return 0;
		}
	}
	if (answer->written + (int64_t)len > answer->fd_most) {
		answer->too_long = true;
		return 0;
	}
	for (size_t done = 0; done < len;) {
		ssize_t put = write(answer->fd, bytes + done, len - done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			answer->disk_failed = true;
			answer->disk_errno = errno;
			return 0;
		}
		done += (size_t)put;
	}
	hash_update(answer->hash, bytes, len);
	answer->written += (int64_t)len;
	return len;
}

static void forget_challenges(Answer *answer)
{
	if (answer->challenges)
		g_string_free(answer->challenges, TRUE);
	answer->challenges = NULL;
}

/* "Name: value\r\n" */
static size_t take_header(char *bytes, size_t one, size_t count, void *data)
{
	Answer *answer = data;
	size_t len = one * count;
	if (len > HEADER_BYTES_MAX)
		return len;
	g_autofree char *line = g_strndup(bytes, len);
	g_strchomp(line);
	if (g_ascii_strncasecmp(line, "HTTP/", 5) == 0) { /* the next answer of a redirect */
		forget_challenges(answer);
		answer->retry_after_s = 0;
	} else if (g_ascii_strncasecmp(line, "WWW-Authenticate:", 17) == 0) {
		if (!answer->challenges)
			answer->challenges = g_string_new(NULL);
		if (answer->challenges->len < HEADER_BYTES_MAX)
			g_string_append_printf(answer->challenges, "%s, ", line + 17);
	} else if (g_ascii_strncasecmp(line, "Retry-After:", 12) == 0) {
		gint64 seconds = 0;
		if (g_ascii_string_to_signed(g_strchug(line + 12), 10, 0, 3600, &seconds, NULL))
			answer->retry_after_s = seconds;
	}
	return len;
}

static int on_progress(void *data, curl_off_t total, curl_off_t now, curl_off_t up, curl_off_t up_now)
{
	(void)total;
	(void)now;
	(void)up;
	(void)up_now;
	return is_stopped(data) ? 1 : 0;
}

/* A registry's name must not lead to the addresses that only this machine's hypervisor answers. */
static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)data;
	(void)purpose;
	const struct sockaddr *to = &address->addr;
	if (to->sa_family == AF_INET) {
		uint32_t ip = ntohl(((const struct sockaddr_in *)(const void *)to)->sin_addr.s_addr);
		if ((ip & 0xffff0000U) == 0xa9fe0000U)
			return CURL_SOCKET_BAD;
	} else if (to->sa_family == AF_INET6) {
		const struct in6_addr *ip = &((const struct sockaddr_in6 *)(const void *)to)->sin6_addr;
		if (IN6_IS_ADDR_LINKLOCAL(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == 169 && ip->s6_addr[13] == 254))
			return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- one request ---- */

static bool is_loopback(const char *address)
{
	const char *host = strstr(address, "://");
	host = host ? host + 3 : address;
	return g_str_has_prefix(host, "127.") || g_str_has_prefix(host, "localhost:") || strcmp(host, "localhost") == 0 ||
	       g_str_has_prefix(host, "localhost/") || g_str_has_prefix(host, "[::1]");
}

static void set_common(Registry *registry, const char *url, Answer *answer)
{
	const Curl *curl = &registry->curl;
	CURL *handle = registry->handle;
	bool plain = g_str_has_prefix(url, "http://");
	curl->reset(handle);
	curl->setopt(handle, CURLOPT_URL, url);
	curl->setopt(handle, CURLOPT_NOSIGNAL, 1L);
	curl->setopt(handle, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
	curl->setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, plain ? "http,https" : "https");
	curl->setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
	curl->setopt(handle, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	curl->setopt(handle, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl->setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl->setopt(handle, CURLOPT_LOW_SPEED_TIME, (long)registry->stall_s);
	curl->setopt(handle, CURLOPT_USERAGENT, "assay/" ASSAY_VERSION);
	curl->setopt(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl->setopt(handle, CURLOPT_NOPROGRESS, 0L);
	curl->setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl->setopt(handle, CURLOPT_XFERINFODATA, registry);
	curl->setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
	curl->setopt(handle, CURLOPT_HEADERDATA, answer);
	curl->setopt(handle, CURLOPT_WRITEFUNCTION, take_bytes);
	curl->setopt(handle, CURLOPT_WRITEDATA, answer);
	if (is_loopback(url))
		curl->setopt(handle, CURLOPT_PROXY, "");
	if (registry->ca_file)
		curl->setopt(handle, CURLOPT_CAINFO, registry->ca_file);
	if (answer->body)
		curl->setopt(handle, CURLOPT_TIMEOUT, (long)MAX(ANSWER_S, registry->stall_s));
}

static CURLcode ask(Registry *registry, const char *url, const char *accept, Answer *answer, bool authorized, guint at)
{
	const Curl *curl = &registry->curl;
	struct curl_slist *headers = NULL;
	set_common(registry, url, answer);
	if (accept) {
		g_autofree char *line = g_strconcat("Accept: ", accept, NULL);
		headers = curl->append(headers, line);
	}
	if (authorized && registry->token && registry->token_at == at) {
		g_autofree char *line = g_strconcat("Authorization: ", registry->basic ? "Basic " : "Bearer ", registry->token, NULL);
		headers = curl->append(headers, line);
	}
	if (answer->range) {
		g_autofree char *line = g_strdup_printf("Range: bytes=%" G_GINT64_FORMAT "-", answer->written);
		headers = curl->append(headers, line);
	}
	curl->setopt(registry->handle, CURLOPT_HTTPHEADER, headers);
	CURLcode code = curl->perform(registry->handle);
	curl->getinfo(registry->handle, CURLINFO_RESPONSE_CODE, &answer->status);
	curl->free_all(headers);
	return code;
}

/* ---- tokens ---- */

static void set_basic(Registry *registry, guint at)
{
	g_autofree char *both = g_strconcat(registry->username, ":", registry->password ? registry->password : "", NULL);
	g_free(registry->token);
	registry->token = g_base64_encode((const guchar *)both, strlen(both));
	registry->basic = true;
	registry->token_at = at;
	explicit_bzero(both, strlen(both));
}

static bool fetch_token(Registry *registry, const char *url, GError **error)
{
	Answer answer = {.registry = registry, .body = g_string_new(NULL), .body_most = TOKEN_BYTES_MAX, .fd = -1};
	set_common(registry, url, &answer);
	if (registry->username) {
		registry->curl.setopt(registry->handle, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		registry->curl.setopt(registry->handle, CURLOPT_USERNAME, registry->username);
		registry->curl.setopt(registry->handle, CURLOPT_PASSWORD, registry->password ? registry->password : "");
	}
	CURLcode code = registry->curl.perform(registry->handle);
	registry->curl.getinfo(registry->handle, CURLINFO_RESPONSE_CODE, &answer.status);
	forget_challenges(&answer);
	g_autoptr(GString) body = answer.body;
	if (code != CURLE_OK)
		return fail(error, ASSAY_ERROR_REMOTE, "the token service does not answer: %s", registry->curl.strerror(code));
	if (answer.status == 401 || answer.status == 403)
		return fail(error, ASSAY_ERROR_DENIED, "the token service refuses%s; check username and password",
		        registry->username ? " these credentials" : " to answer without credentials");
	g_autoptr(json_t) json = answer.status == 200 ? json_parse(body->str, body->len, "the token", NULL) : NULL;
	const char *token = json_get_string(json, "token", json_get_string(json, "access_token", NULL));
	if (!token || strpbrk(token, "\r\n"))
		return fail(error, ASSAY_ERROR_REMOTE, "the token service answers %ld and no token", answer.status);
	g_free(registry->token);
	registry->token = g_strdup(token);
	registry->basic = false;
	return true;
}

/* What a 401 asks for; of several ways, the one that asks a token service. */
static bool authorize(Registry *registry, const GString *challenges, guint at, GError **error)
{
	const char *address = g_ptr_array_index(registry->addresses, at);
	if (!challenges)
		return fail(error, ASSAY_ERROR_REMOTE, "it refuses without saying what it wants");
	g_autofree char *realm = NULL, *service = NULL, *asked = NULL;
	if (!challenge_find(challenges->str, "Bearer", "realm", &realm)) {
		if (!challenge_find(challenges->str, "Basic", NULL, NULL))
			return fail(error, ASSAY_ERROR_REMOTE, "it wants an unknown way of signing in, neither Bearer nor Basic");
		if (!registry->username)
			return fail(error, ASSAY_ERROR_DENIED, "it wants a user and a password; give 'credentials'");
		set_basic(registry, at);
		return true;
	}
	challenge_find(challenges->str, "Bearer", "service", &service);
	challenge_find(challenges->str, "Bearer", "scope", &asked);
	bool plain = g_str_has_prefix(address, "http://");
	if (!realm || !(g_str_has_prefix(realm, "https://") || (plain && g_str_has_prefix(realm, "http://"))))
		return fail(error, ASSAY_ERROR_REMOTE, "its token service '%.100s' is no address to send a password to",
		        realm ? realm : "");
	g_autofree char *scope = asked ? g_strdup(asked) : g_strdup_printf("repository:%s:pull", registry->repository);
	g_autofree char *scope_text = g_uri_escape_string(scope, NULL, FALSE);
	g_autofree char *service_text = service ? g_uri_escape_string(service, NULL, FALSE) : NULL;
	g_autofree char *url = g_strdup_printf("%s%s%s%s%sscope=%s", realm, strchr(realm, '?') ? "&" : "?",
	        service ? "service=" : "", service ? service_text : "", service ? "&" : "", scope_text);
	registry->token_at = at;
	return fetch_token(registry, url, error);
}

/* ---- attempts ---- */

static bool is_transient(CURLcode code)
{
	switch ((int)code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PARTIAL_FILE:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

/* What a request without an answer means, in words. */
static bool curl_failed(const Registry *registry, const Answer *answer, CURLcode code, GError **error)
{
	if (is_stopped(registry))
		return fail(error, ASSAY_ERROR_BUSY, "it was stopped");
	if (answer->disk_failed)
		return fail_errno(error, answer->disk_errno, "cannot write what it sends");
	if (answer->too_long)
		return fail(error, ASSAY_ERROR_REMOTE, "it sends more bytes than it said");
	if (code == CURLE_OPERATION_TIMEDOUT)
		return fail(error, ASSAY_ERROR_REMOTE, "it stalls: no byte for %d s, or no connection in %d s", registry->stall_s,
		        CONNECT_S);
	return fail(error, ASSAY_ERROR_REMOTE, "%s", registry->curl.strerror(code));
}

static bool status_failed(const Registry *registry, const Answer *answer, const char *what, GError **error)
{
	if (answer->status == 401 || answer->status == 403)
		return fail(error, ASSAY_ERROR_DENIED, "it refuses %s (%ld)%s", what, answer->status,
		        registry->username ? "; check these credentials and what they may read"
		                           : "; is it private? give 'credentials'");
	if (answer->status == 404)
		return fail(error, ASSAY_ERROR_ABSENT, "it has no %s; check name and tag", what);
	if (answer->status == 429)
		return fail(error, ASSAY_ERROR_BUSY, "it has had too many requests (429); give 'credentials', a mirror, or time");
	return fail(error, ASSAY_ERROR_REMOTE, "it answers %ld to %s", answer->status, what);
}

/* Ready for another attempt; what a file holds already is gone on from. */
static bool rewind_answer(Answer *answer)
{
	forget_challenges(answer);
	answer->status = 0;
	answer->retry_after_s = 0;
	answer->too_long = answer->disk_failed = answer->restarted = false;
	if (answer->body)
		g_string_truncate(answer->body, 0);
	answer->range = answer->fd >= 0 && answer->written > 0;
	return answer->fd < 0 || lseek(answer->fd, answer->written, SEEK_SET) >= 0;
}

/* Asks one address until it answers, or cannot any more. */
static bool ask_address(Registry *registry, guint at, const char *path, const char *accept, const char *what,
        Answer *answer, GError **error)
{
	const char *address = g_ptr_array_index(registry->addresses, at);
	g_autofree char *url = g_strdup_printf("%s/v2/%s/%s", address, registry->repository, path);
	int64_t pause_ms = registry->pause_ms;
	bool signed_in = false;
	for (int attempt = 1;; attempt++) {
		g_autoptr(GError) why = NULL;
		if (!rewind_answer(answer))
			return fail_errno(error, errno, "cannot read what was downloaded before");
		CURLcode code = ask(registry, url, accept, answer, true, at);
		if (code == CURLE_OK && answer->status >= 200 && answer->status < 300)
			return true;
		if (code == CURLE_OK && answer->status == 401 && !signed_in) {
			signed_in = true; /* once: one that goes on refusing is not asked for ever */
			if (!authorize(registry, answer->challenges, at, error))
				return false;
			attempt--;
			continue;
		}
		if (code == CURLE_OK && answer->status == 416 && answer->range) { /* nothing is left of the range */
			answer->written = 0;
			uint8_t unused[HASH_BYTES];
			hash_final(answer->hash, unused);
			if (ftruncate(answer->fd, 0) < 0)
				return fail_errno(error, errno, "cannot empty what was downloaded before");
		} else if (code != CURLE_OK) {
			curl_failed(registry, answer, code, &why);
			if (answer->disk_failed || answer->too_long || !is_transient(code) || is_stopped(registry)) {
				g_propagate_error(error, g_steal_pointer(&why));
				return false;
			}
		} else {
			status_failed(registry, answer, what, &why);
			if (answer->status != 429 && answer->status < 500) {
				g_propagate_error(error, g_steal_pointer(&why));
				return false;
			}
		}
		if (attempt >= registry->attempts) {
			if (!why)
				fail(&why, ASSAY_ERROR_REMOTE, "it does not give %s", what);
			g_prefix_error(&why, "after %d attempts: ", attempt);
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		if (why) {
			g_autofree char *text = g_strdup_printf("%s: %s; trying again", address, why->message);
			say(registry, text);
		}
		if (!pause_for(registry, MAX(pause_ms, answer->retry_after_s * 1000)))
			return fail(error, ASSAY_ERROR_BUSY, "it was stopped");
		pause_ms = MIN(pause_ms * 2, PAUSE_MOST_MS);
	}
}

/* Mirrors first; the registry itself has the last word. */
static bool ask_all(Registry *registry, const char *path, const char *accept, const char *what, Answer *answer,
        GError **error)
{
	for (guint at = 0; at < registry->addresses->len; at++) {
		g_autoptr(GError) why = NULL;
		const char *address = g_ptr_array_index(registry->addresses, at);
		bool last = at + 1 == registry->addresses->len;
		if (ask_address(registry, at, path, accept, what, answer, &why))
			return true;
		g_prefix_error(&why, "%s: ", address);
		if (last || is_stopped(registry)) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		g_autofree char *text = g_strdup_printf("mirror %s; asking the next", why->message);
		say(registry, text);
	}
	return fail(error, ASSAY_ERROR_SYSTEM, "no address to ask");
}

/* ---- the door ---- */

static bool lists(const json_t *array, const char *text)
{
	size_t i;
	json_t *item;
	json_array_foreach((json_t *)(uintptr_t)array, i, item)
		if (g_strcmp0(json_string_value(item), text) == 0)
			return true;
	return false;
}

/* Does it speak TLS? Asked only of loopback, where plain registries are usual. */
static bool speaks_tls(Registry *registry, const char *host)
{
	g_autofree char *url = g_strdup_printf("https://%s/v2/", host);
	Answer answer = {.registry = registry, .body = g_string_new(NULL), .body_most = TOKEN_BYTES_MAX, .fd = -1};
	CURLcode code = ask(registry, url, NULL, &answer, false, 0);
	g_string_free(answer.body, TRUE);
	forget_challenges(&answer);
	return code != CURLE_SSL_CONNECT_ERROR;
}

static void add_addresses(Registry *registry, const char *host, const json_t *settings)
{
	size_t i;
	json_t *mirror;
	json_array_foreach(json_object_get(json_object_get(settings, "mirrors"), host), i, mirror) {
		const char *text = json_string_value(mirror);
		if (text && (g_str_has_prefix(text, "https://") || g_str_has_prefix(text, "http://")) &&
		        registry->addresses->len < ADDRESSES_MAX - 1)
			g_ptr_array_add(registry->addresses, g_strndup(text, strlen(text) - (g_str_has_suffix(text, "/") ? 1 : 0)));
	}
	bool plain = lists(json_object_get(settings, "plain_http"), host);
	if (strcmp(host, "docker.io") == 0)
		g_ptr_array_add(registry->addresses, g_strdup(HUB_ADDRESS));
	else if (plain || (is_loopback(host) && !speaks_tls(registry, host)))
		g_ptr_array_add(registry->addresses, g_strconcat("http://", host, NULL));
	else
		g_ptr_array_add(registry->addresses, g_strconcat("https://", host, NULL));
}

Registry *registry_open(const ImageRef *ref, const json_t *settings, const char *username, const char *password,
        const RegistryWatch *watch, GError **error)
{
	g_autoptr(Registry) registry = g_new0(Registry, 1);
	if (!load(&registry->curl, error))
		return NULL;
	registry->handle = registry->curl.init();
	registry->addresses = g_ptr_array_new_with_free_func(g_free);
	registry->repository = g_strdup(ref->repository);
	registry->name = image_ref_text(ref);
	registry->ca_file = g_strdup(json_get_string(settings, "ca_file", NULL));
	registry->username = g_strdup(username && username[0] ? username : NULL);
	registry->password = g_strdup(password);
	registry->stall_s = (int)CLAMP(json_get_int(settings, "stall_s", STALL_S), 1, 3600);
	registry->attempts = (int)CLAMP(json_get_int(settings, "attempts", ATTEMPTS), 1, 100);
	registry->pause_ms = (int)CLAMP(json_get_int(settings, "pause_ms", PAUSE_FIRST_MS), 1, PAUSE_MOST_MS);
	if (watch)
		registry->watch = *watch;
	if (!registry->handle) {
		fail(error, ASSAY_ERROR_SYSTEM, "libcurl gives no handle");
		return NULL;
	}
	add_addresses(registry, ref->registry, settings);
	return g_steal_pointer(&registry);
}

void registry_close(Registry *registry)
{
	if (!registry)
		return;
	if (registry->handle)
		registry->curl.cleanup(registry->handle);
	if (registry->password)
		explicit_bzero(registry->password, strlen(registry->password));
	if (registry->token)
		explicit_bzero(registry->token, strlen(registry->token));
	g_free(registry->repository);
	g_free(registry->name);
	if (registry->addresses)
		g_ptr_array_unref(registry->addresses);
	g_free(registry->ca_file);
	g_free(registry->username);
	g_free(registry->password);
	g_free(registry->token);
	g_free(registry);
}

static GBytes *small(Registry *registry, const char *path, const char *accept, const char *what, size_t most,
        const char *digest, char **out_digest, GError **error)
{
	Answer answer = {.registry = registry, .body = g_string_new(NULL), .body_most = most, .fd = -1};
	bool good = ask_all(registry, path, accept, what, &answer, error);
	forget_challenges(&answer);
	g_autofree char *hex = hash_bytes_hex(answer.body->str, answer.body->len);
	g_autofree char *found = g_strconcat("sha256:", hex, NULL);
	if (good && digest && strcmp(digest, found) != 0)
		good = fail(error, ASSAY_ERROR_REMOTE, "the %s it gives has the digest %s and not %s; it lies, or is damaged", what,
		        found, digest);
	if (good && out_digest)
		*out_digest = g_steal_pointer(&found);
	GBytes *bytes = g_string_free_to_bytes(answer.body);
	if (good)
		return bytes;
	g_bytes_unref(bytes);
	return NULL;
}

GBytes *registry_manifest(Registry *registry, const char *name, char **out_digest, GError **error)
{
	g_autofree char *path = g_strdup_printf("manifests/%s", name);
	return small(registry, path, MANIFEST_ACCEPT, "manifest", MANIFEST_BYTES_MAX,
	        image_digest_is_valid(name) ? name : NULL, out_digest, error);
}

GBytes *registry_blob(Registry *registry, const Descriptor *blob, GError **error)
{
	g_autofree char *path = g_strdup_printf("blobs/%s", blob->digest);
	GBytes *bytes = small(registry, path, NULL, "config", (size_t)blob->size, blob->digest, NULL, error);
	return bytes;
}

/* Brings the hash to the file's end. */
static bool hash_file(int fd, int64_t most, Hash *hash, int64_t *out_len, GError **error)
{
	g_autofree char *buffer = g_malloc(1 << 16);
	*out_len = 0;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return fail_errno(error, errno, "cannot read what was downloaded before");
	for (;;) {
		ssize_t got = read(fd, buffer, 1 << 16);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(error, errno, "cannot read what was downloaded before");
		if (got == 0)
			return true;
		*out_len += got;
		if (*out_len > most) { /* it cannot be ours */
			uint8_t unused[HASH_BYTES];
			hash_final(hash, unused);
			*out_len = 0;
			return ftruncate(fd, 0) == 0 || fail_errno(error, errno, "cannot empty a broken download");
		}
		hash_update(hash, buffer, (size_t)got);
	}
}

bool registry_download(Registry *registry, const Descriptor *blob, int fd, GError **error)
{
	g_autoptr(Hash) hash = hash_new();
	Answer answer = {.registry = registry, .fd = fd, .fd_most = blob->size, .hash = hash};
	g_autofree char *path = g_strdup_printf("blobs/%s", blob->digest);
	if (!hash_file(fd, blob->size, hash, &answer.written, error))
		return false;
	bool whole = answer.written == blob->size;
	if (!whole && !ask_all(registry, path, NULL, "layer", &answer, error)) {
		forget_challenges(&answer);
		return false;
	}
	forget_challenges(&answer);
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_final(hash, digest);
	hex_write(digest, sizeof digest, hex);
	if (answer.written == blob->size && strcmp(hex, blob->digest + strlen("sha256:")) == 0)
		return true;
	bool emptied = ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0;
	if (!emptied)
		return fail_errno(error, errno, "cannot empty a broken download");
	if (whole) /* the part that lay here was not of this blob: once more from the start */
		return registry_download(registry, blob, fd, error);
	if (answer.written != blob->size)
		return fail(error, ASSAY_ERROR_REMOTE,
		        "layer %s has %" G_GINT64_FORMAT " bytes and not %" G_GINT64_FORMAT "; the registry lies, or it is damaged",
		        blob->digest, answer.written, blob->size);
	return fail(error, ASSAY_ERROR_REMOTE, "layer %s comes with the digest sha256:%s; the registry lies, or it is damaged",
	        blob->digest, hex);
}
