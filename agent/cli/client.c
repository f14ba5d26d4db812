/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the agent by libcurl, which speaks to unix sockets as well. It is loaded when a request is made and not
 * linked: the agent is this same program, and would carry some thirty libraries of curl's in its memory for nothing.
 */
#include "agent/cli/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/library.h"

#define ANSWER_BYTES_MAX (64 * 1024 * 1024)
#define CONNECT_S 10L

static struct {
	CURL *(*easy_init)(void);
	CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
	CURLcode (*easy_perform)(CURL *);
	CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
	void (*easy_cleanup)(CURL *);
	const char *(*easy_strerror)(CURLcode);
	struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
	void (*slist_free_all)(struct curl_slist *);
} curl;

static bool load(GError **error)
{
	static const LibrarySymbol symbols[] = {{"curl_easy_init", &curl.easy_init}, {"curl_easy_setopt", &curl.easy_setopt},
	        {"curl_easy_perform", &curl.easy_perform}, {"curl_easy_getinfo", &curl.easy_getinfo},
	        {"curl_easy_cleanup", &curl.easy_cleanup}, {"curl_easy_strerror", &curl.easy_strerror},
	        {"curl_slist_append", &curl.slist_append}, {"curl_slist_free_all", &curl.slist_free_all}};
	return curl.easy_init || library_load("libcurl.so.4", "libcurl4", symbols, G_N_ELEMENTS(symbols), error);
}

/* Where the agent is: a socket that was named, a URL, or the standard socket. */
typedef struct Place {
	const char *socket;
	const char *url;
	const char *token;
} Place;

static Place find_agent(void)
{
	const char *socket_path = g_getenv("ASSAY_SOCKET");
	const char *url = g_getenv("ASSAY_URL");
	if (socket_path && socket_path[0])
		return (Place){.socket = socket_path, .url = "http://assay", .token = g_getenv("ASSAY_TOKEN")};
	if (url && url[0])
		return (Place){.url = url, .token = g_getenv("ASSAY_TOKEN")};
	return (Place){.socket = "/run/assay/assay.sock", .url = "http://assay", .token = g_getenv("ASSAY_TOKEN")};
}

static size_t collect(char *bytes, size_t size, size_t count, void *data)
{
	GString *all = data;
	if (all->len + size * count > ANSWER_BYTES_MAX)
		return 0;
	g_string_append_len(all, bytes, (gssize)(size * count));
	return size * count;
}

static size_t print(char *bytes, size_t size, size_t count, void *data)
{
	return fwrite(bytes, size, count, data) * size;
}

static bool unreachable(const Place *place, CURLcode code, GError **error)
{
	const char *where = place->socket ? place->socket : place->url;
	if (code == CURLE_COULDNT_CONNECT && place->socket && access(place->socket, F_OK) == 0 && access(place->socket, W_OK) != 0)
		return fail(error, ASSAY_ERROR_DENIED, "you may not use the agent's socket %s; run this as its user or as root, or set ASSAY_URL and ASSAY_TOKEN", where);
	return fail(error, ASSAY_ERROR_REMOTE, "cannot reach the agent at %s: %s; is it running? (assay serve; ASSAY_SOCKET or ASSAY_URL says where)",
	        where, curl.easy_strerror(code));
}

static bool refused(long status, const GString *answer, GError **error)
{
	g_autoptr(json_t) problem = json_parse(answer->str, answer->len, "the agent's answer", NULL);
	const char *type = json_get_string(problem, "type", "");
	const char *slash = strrchr(type, '/');
	const char *detail = json_get_string(problem, "detail", json_get_string(problem, "title", NULL));
	AssayError code = error_code_from_type(slash ? slash + 1 : type);
	if (status == 401)
		return fail(error, ASSAY_ERROR_DENIED, "the agent does not know you; set ASSAY_TOKEN (assay token create), or use its socket");
	return fail(error, code, "%s", detail ? detail : "the agent refused without a reason");
}

/* Into answer, or, where it is NULL, into file. */
static bool perform(const char *method, const char *path, const json_t *body, GString *answer, FILE *file, GError **error)
{
	if (!load(error))
		return false;
	const Place place = find_agent();
	CURL *handle = curl.easy_init();
	g_autofree char *url = g_strconcat(place.url, path, NULL);
	g_autofree char *text = body ? json_text(body) : NULL;
	g_autofree char *authorization = place.token ? g_strconcat("Authorization: Bearer ", place.token, NULL) : NULL;
	struct curl_slist *headers = curl.slist_append(NULL, "Accept: application/json");
	if (body)
		headers = curl.slist_append(headers, "Content-Type: application/json");
	if (authorization)
		headers = curl.slist_append(headers, authorization);
	curl.easy_setopt(handle, CURLOPT_URL, url);
	curl.easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method);
	curl.easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
	curl.easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl.easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(handle, CURLOPT_NOPROXY, "*");
	curl.easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(handle, CURLOPT_WRITEFUNCTION, answer ? collect : print);
	curl.easy_setopt(handle, CURLOPT_WRITEDATA, answer ? (void *)answer : file);
	if (place.socket)
		curl.easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH, place.socket);
	if (text) {
		curl.easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
		curl.easy_setopt(handle, CURLOPT_POSTFIELDS, text);
	}
	if (!answer)
		curl.easy_setopt(handle, CURLOPT_FAILONERROR, 1L);
	CURLcode code = curl.easy_perform(handle);
	long status = 0;
	curl.easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	curl.slist_free_all(headers);
	curl.easy_cleanup(handle);
	if (code == CURLE_HTTP_RETURNED_ERROR)
		return fail(error, status == 404 || status == 410 ? ASSAY_ERROR_ABSENT : status == 409 ? ASSAY_ERROR_BUSY : ASSAY_ERROR_DENIED,
		        "the agent answered %ld%s", status, status == 404 ? ", not there" : status == 410 ? ", expired" : status == 409 ? ", try later" : "");
	if (file && (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_WRITE_ERROR))
		return fail(error, ASSAY_ERROR_REMOTE, "what the agent sent broke off: %s; its log says why", curl.easy_strerror(code));
	if (code != CURLE_OK)
		return unreachable(&place, code, error);
	return status < 400 || refused(status, answer, error);
}

bool client_request(const char *method, const char *path, const json_t *body, json_t **out, GError **error)
{
	g_autoptr(GString) answer = g_string_new(NULL);
	if (!perform(method, path, body, answer, NULL, error))
		return false;
	if (!out)
		return true;
	*out = answer->len > 0 ? json_parse(answer->str, answer->len, "the agent's answer", error) : json_object();
	return *out != NULL;
}

bool client_print(const char *path, GError **error)
{
	return perform("GET", path, NULL, NULL, stdout, error);
}

bool client_save(const char *path, FILE *file, GError **error)
{
	return perform("GET", path, NULL, NULL, file, error);
}

char *client_escape(const char *text)
{
	return g_uri_escape_string(text, NULL, FALSE);
}

char *client_repo(const char *repo, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(repo, "/", 3);
	if (g_strv_length(parts) != 2 || !parts[0][0] || !parts[1][0]) {
		fail(error, ASSAY_ERROR_USER, "'%s' is not a repo's name; give owner/name", repo);
		return NULL;
	}
	g_autofree char *owner = client_escape(parts[0]);
	g_autofree char *name = client_escape(parts[1]);
	return g_strconcat(owner, "/", name, NULL);
}
