/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batch API over libcurl, which is loaded with the first object. The server is asked for one object at a time where it
 * lies; what it answers, an address and headers, is a stranger's: the address is HTTP, no less safe than the remote's, and
 * leads to this machine only when the remote does; the repo's credentials go to the remote's own server alone.
 *
 * Source: Git LFS API, batch.md and basic-transfers.md.
 */
#include "agent/job/lfs.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/library.h"

#define POINTER_BYTES_MAX 1024
#define MEDIA_TYPE "application/vnd.git-lfs+json"
#define ANSWER_BYTES_MAX (1024 * 1024)
#define ADDRESS_BYTES_MAX 8192
#define HEADERS_MAX 32
#define HEADER_BYTES_MAX 8192
#define CONNECT_S 15L
#define STALL_S 60L
#define ANSWER_S 120L
#define REDIRECTS_MAX 5L

#define CALLS(C)                                                                                                     \
	C(global_init, curl_global_init) C(init, curl_easy_init) C(cleanup, curl_easy_cleanup)                           \
	C(setopt, curl_easy_setopt) C(perform, curl_easy_perform) C(getinfo, curl_easy_getinfo)                          \
	C(strerror, curl_easy_strerror) C(append, curl_slist_append) C(free_all, curl_slist_free_all)
#define FIELD(field, name) __typeof__(&name) field;
static struct {
	bool loaded;
	CALLS(FIELD)
} lib;
#undef FIELD

bool lfs_read_pointer(const char *bytes, size_t len, char out_oid[HASH_HEX_BYTES], int64_t *out_size)
{
	if (len == 0 || len > POINTER_BYTES_MAX)
		return false;
	g_autofree char *text = g_strndup(bytes, len);
	static const char version[] = "version https://git-lfs.github.com/spec/v1\n";
	const char *oid = strstr(text, "\noid sha256:");
	const char *size = strstr(text, "\nsize ");
	if (!g_str_has_prefix(text, version) || !oid || !size)
		return false;
	char hex[HASH_HEX_BYTES];
	g_strlcpy(hex, oid + strlen("\noid sha256:"), sizeof hex);
	int64_t bytes_there = g_ascii_strtoll(size + strlen("\nsize "), NULL, 10);
	if (strspn(hex, "0123456789abcdef") != HASH_HEX_BYTES - 1 || bytes_there < 0)
		return false;
	memcpy(out_oid, hex, sizeof hex);
	*out_size = bytes_there;
	return true;
}

static bool load(GError **error)
{
#define SYMBOL(field, name) {#name, &lib.field},
	static const LibrarySymbol symbols[] = {CALLS(SYMBOL)};
#undef SYMBOL
	if (lib.loaded)
		return true;
	if (!library_load("libcurl.so.4", "libcurl4", symbols, G_N_ELEMENTS(symbols), error))
		return false;
	lib.loaded = lib.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	return lib.loaded || fail(error, ASSAY_ERROR_SYSTEM, "libcurl does not start");
}

/* One request. */
typedef struct Asking {
	const LfsRemote *remote;
	CURL *handle;
	struct curl_slist *headers;
	GString *body;      /* of a small answer; NULL: to piece */
	LfsPiece piece;
	void *data;
	int64_t size, taken;
	bool too_long;
	bool may_be_here;   /* this machine's own addresses */
	GError *error;      /* of piece */
} Asking;

bool lfs_is_http(const char *url)
{
	return g_str_has_prefix(url, "https://") || g_str_has_prefix(url, "http://");
}

/* "https://host:port" of an address, without the name and the password that may stand in it. */
static char *origin_of(const char *url)
{
	const char *host = strstr(url, "://") + 3;
	size_t len = strcspn(host, "/?#");
	const char *at = g_strrstr_len(host, (gssize)len, "@");
	g_autofree char *name = at ? g_strndup(at + 1, len - (size_t)(at + 1 - host)) : g_strndup(host, len);
	g_autofree char *origin = g_strdup_printf("%.*s%s", (int)(host - url), url, name);
	return g_ascii_strdown(origin, -1);
}

static bool is_loopback(const char *url)
{
	g_autofree char *origin = origin_of(url);
	const char *host = strstr(origin, "://") + 3;
	size_t len = strcspn(host, ":");
	return g_str_has_prefix(host, "127.") || g_str_has_prefix(host, "[::1]") || (len == 9 && strncmp(host, "localhost", 9) == 0);
}

static size_t take_bytes(char *bytes, size_t one, size_t count, void *data)
{
	Asking *asking = data;
	size_t len = one * count;
	long status = 0;
	lib.getinfo(asking->handle, CURLINFO_RESPONSE_CODE, &status);
	if (asking->body) {
		asking->too_long = asking->body->len + len > ANSWER_BYTES_MAX;
		if (!asking->too_long)
			g_string_append_len(asking->body, bytes, (gssize)len);
		return asking->too_long ? 0 : len;
	}
	if (status < 200 || status > 299)
		return len; /* what an error says is not read */
	asking->taken += (int64_t)len;
	asking->too_long = asking->taken > asking->size;
	return !asking->too_long && asking->piece(bytes, len, asking->data, &asking->error) ? len : 0;
}

static int on_progress(void *data, curl_off_t total, curl_off_t now, curl_off_t up, curl_off_t up_now)
{
	const Asking *asking = data;
	(void)total;
	(void)now;
	(void)up;
	(void)up_now;
	return asking->remote->stopped && asking->remote->stopped(asking->remote->stopped_data);
}

static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	const Asking *asking = data;
	(void)purpose;
	const struct sockaddr *to = &address->addr;
	uint32_t ip = 0;
	bool here = false, link = false;
	if (to->sa_family == AF_INET) {
		ip = ntohl(((const struct sockaddr_in *)(const void *)to)->sin_addr.s_addr);
	} else if (to->sa_family == AF_INET6) {
		const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)to)->sin6_addr;
		here = IN6_IS_ADDR_LOOPBACK(six) || IN6_IS_ADDR_UNSPECIFIED(six);
		link = IN6_IS_ADDR_LINKLOCAL(six);
		if (IN6_IS_ADDR_V4MAPPED(six))
			ip = (uint32_t)six->s6_addr[12] << 24 | (uint32_t)six->s6_addr[13] << 16 | 1;
	}
	here = here || ip >> 24 == 127 || (to->sa_family == AF_INET && ip >> 24 == 0);
	link = link || ip >> 16 == 0xa9fe; /* which only this machine's hypervisor answers */
	if (link || (here && !asking->may_be_here))
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool add_header(Asking *asking, const char *line)
{
	struct curl_slist *more = lib.append(asking->headers, line);
	if (more)
		asking->headers = more;
	return more != NULL;
}

static void add_credentials(Asking *asking)
{
	if (!asking->remote->token)
		return;
	g_autofree char *both = g_strconcat(asking->remote->user, ":", asking->remote->token, NULL);
	g_autofree char *coded = g_base64_encode((const guchar *)both, strlen(both));
	g_autofree char *line = g_strconcat("Authorization: Basic ", coded, NULL);
	add_header(asking, line);
	explicit_bzero(both, strlen(both));
}

/* Sends it. False with the reason unless the answer is a good one; what went wrong names the server, not the address. */
static bool perform(Asking *asking, const char *url, const char *post, GError **error)
{
	g_autofree char *server = origin_of(url);
	CURL *handle = asking->handle = lib.init();
	if (!handle)
		return fail(error, ASSAY_ERROR_SYSTEM, "libcurl does not start");
	bool plain = g_str_has_prefix(asking->remote->url, "http://");
	lib.setopt(handle, CURLOPT_URL, url);
	lib.setopt(handle, CURLOPT_NOSIGNAL, 1L);
	lib.setopt(handle, CURLOPT_PROTOCOLS_STR, plain ? "http,https" : "https");
	lib.setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, plain ? "http,https" : "https");
	lib.setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
	lib.setopt(handle, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	lib.setopt(handle, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
	lib.setopt(handle, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	lib.setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
	lib.setopt(handle, CURLOPT_LOW_SPEED_TIME, STALL_S);
	lib.setopt(handle, CURLOPT_USERAGENT, "assay/" ASSAY_VERSION);
	lib.setopt(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	lib.setopt(handle, CURLOPT_OPENSOCKETDATA, asking);
	lib.setopt(handle, CURLOPT_NOPROGRESS, 0L);
	lib.setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
	lib.setopt(handle, CURLOPT_XFERINFODATA, asking);
	lib.setopt(handle, CURLOPT_WRITEFUNCTION, take_bytes);
	lib.setopt(handle, CURLOPT_WRITEDATA, asking);
	lib.setopt(handle, CURLOPT_HTTPHEADER, asking->headers);
	asking->may_be_here = is_loopback(asking->remote->url);
	if (asking->may_be_here)
		lib.setopt(handle, CURLOPT_PROXY, "");
	if (post) {
		lib.setopt(handle, CURLOPT_POSTFIELDS, post);
		lib.setopt(handle, CURLOPT_TIMEOUT, ANSWER_S);
	}
	CURLcode code = lib.perform(handle);
	long status = 0;
	lib.getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	lib.cleanup(handle);
	if (asking->error) {
		g_propagate_error(error, g_steal_pointer(&asking->error));
		return false;
	}
	if (asking->too_long)
		return fail(error, ASSAY_ERROR_REMOTE, "%s sent more than was announced", server);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return fail(error, ASSAY_ERROR_BUSY, "it was cancelled");
	if (code != CURLE_OK)
		return fail(error, ASSAY_ERROR_REMOTE, "cannot ask %s: %s", server, lib.strerror(code));
	if (status == 401 || status == 403)
		return fail(error, ASSAY_ERROR_DENIED, "%s answers %ld: the credentials of the repo do not open it", server, status);
	if (status < 200 || status > 299)
		return fail(error, status == 404 || status == 410 ? ASSAY_ERROR_ABSENT : ASSAY_ERROR_REMOTE, "%s answers %ld", server, status);
	return true;
}

static void asking_clear(Asking *asking)
{
	lib.free_all(asking->headers);
	if (asking->body)
		g_string_free(asking->body, TRUE);
	g_clear_error(&asking->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Asking, asking_clear)

/* What the server says of the object, which has a download action; the caller's. */
static json_t *ask_batch(const LfsRemote *remote, const char *oid, int64_t size, GError **error)
{
	g_auto(Asking) asking = {.remote = remote, .body = g_string_new(NULL)};
	size_t len = strlen(remote->url);
	while (len > 0 && remote->url[len - 1] == '/')
		len--;
	bool has_suffix = len > 4 && strncmp(remote->url + len - 4, ".git", 4) == 0;
	g_autofree char *url = g_strdup_printf("%.*s%s/info/lfs/objects/batch", (int)len, remote->url, has_suffix ? "" : ".git");
	g_autoptr(json_t) wish = json_pack("{s:s,s:[s],s:s,s:[{s:s,s:I}]}", "operation", "download", "transfers", "basic", "hash_algo",
	        "sha256", "objects", "oid", oid, "size", (json_int_t)size);
	g_autofree char *post = json_text(wish);
	add_header(&asking, "Accept: " MEDIA_TYPE);
	add_header(&asking, "Content-Type: " MEDIA_TYPE);
	add_credentials(&asking);
	if (!perform(&asking, url, post, error))
		return NULL;
	g_autoptr(json_t) answer = json_parse(asking.body->str, asking.body->len, "the answer of the LFS server", error);
	if (!answer)
		return NULL;
	const json_t *object = json_array_get(json_object_get(answer, "objects"), 0), *why = json_object_get(object, "error");
	const json_t *action = json_object_get(json_object_get(object, "actions"), "download");
	if (json_is_object(why)) {
		int64_t code = json_get_int(why, "code", 0);
		fail(error, code == 404 || code == 410 ? ASSAY_ERROR_ABSENT : ASSAY_ERROR_REMOTE, "the server says %" G_GINT64_FORMAT ": %.200s",
		        code, json_get_string(why, "message", ""));
	} else if (g_strcmp0(json_get_string(object, "oid", NULL), oid) != 0 || json_get_int(object, "size", -1) != size || !action) {
		fail(error, ASSAY_ERROR_REMOTE, "the server's answer is about something else, or names no address");
	} else {
		return json_incref((json_t *)(uintptr_t)object);
	}
	return NULL;
}

/* The headers that the server wants to see again. */
static bool add_wanted(Asking *asking, const json_t *wanted, bool *out_authorized, GError **error)
{
	const char *name;
	json_t *value;
	*out_authorized = false;
	if (json_object_size(wanted) > HEADERS_MAX)
		return fail(error, ASSAY_ERROR_REMOTE, "the server wants more than %d headers", HEADERS_MAX);
	json_object_foreach((json_t *)(uintptr_t)wanted, name, value) {
		const char *text = json_string_value(value);
		size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
		if (!text || !name[0] || name[len] || strlen(name) + strlen(text) > HEADER_BYTES_MAX || strpbrk(text, "\r\n") ||
		        g_ascii_strcasecmp(name, "Host") == 0 || g_ascii_strcasecmp(name, "Content-Length") == 0)
			return fail(error, ASSAY_ERROR_REMOTE, "the server wants a header that cannot be sent: %.60s", name);
		g_autofree char *line = g_strdup_printf("%s: %s", name, text);
		add_header(asking, line);
		*out_authorized = *out_authorized || g_ascii_strcasecmp(name, "Authorization") == 0;
	}
	return true;
}

bool lfs_fetch(const LfsRemote *remote, const char *oid, int64_t size, LfsPiece piece, void *data, GError **error)
{
	if (!load(error))
		return false;
	g_autoptr(json_t) object = ask_batch(remote, oid, size, error);
	if (!object)
		return false;
	const json_t *action = json_object_get(json_object_get(object, "actions"), "download");
	const char *href = json_get_string(action, "href", "");
	bool plain = g_str_has_prefix(remote->url, "http://");
	if (!lfs_is_http(href) || (!plain && !g_str_has_prefix(href, "https://")) || strlen(href) > ADDRESS_BYTES_MAX)
		return fail(error, ASSAY_ERROR_REMOTE, "the server names an address that is not taken: %.60s", href);
	g_auto(Asking) asking = {.remote = remote, .piece = piece, .data = data, .size = size};
	bool authorized;
	if (!add_wanted(&asking, json_object_get(action, "header"), &authorized, error))
		return false;
	g_autofree char *ours = origin_of(remote->url), *theirs = origin_of(href);
	if (!authorized && !json_get_bool(object, "authenticated", false) && strcmp(ours, theirs) == 0)
		add_credentials(&asking);
	if (!perform(&asking, href, NULL, error))
		return false;
	return asking.taken == size || fail(error, ASSAY_ERROR_REMOTE, "%s sent %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " bytes", theirs,
	                                       asking.taken, size);
}
