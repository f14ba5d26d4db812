/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers read from a request and say in a reply. The server turns a Reply into bytes. */
#include "web/request.h"

#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/store/audit.h"
#include "web/routes.h"

#define PAGE_LIMIT_DEFAULT 50
#define PAGE_LIMIT_MAX 500

char *request_cookie(const Request *request, const char *name)
{
	const char *cookies = request_header(request, "cookie");
	if (!cookies)
		return NULL;
	g_auto(GStrv) parts = g_strsplit(cookies, ";", 64);
	size_t len = strlen(name);
	for (size_t i = 0; parts[i]; i++) {
		const char *part = g_strstrip(parts[i]);
		if (strncmp(part, name, len) == 0 && part[len] == '=')
			return g_strdup(part + len + 1);
	}
	return NULL;
}

const char *request_param(const Request *request, const char *name)
{
	return target_param(request->params, name);
}

bool request_param_id(const Request *request, const char *name, int64_t *out, GError **error)
{
	const char *text = request_param(request, name);
	gint64 number = 0;
	if (text && g_ascii_isdigit(*text) && g_ascii_string_to_signed(text, 10, 1, G_MAXINT64, &number, NULL)) {
		*out = number;
		return true;
	}
	return fail(error, ASSAY_ERROR_ABSENT, "nothing has the id '%s': it is not a number", text ? text : "");
}

char *request_repo(const Request *request)
{
	const char *name = request_param(request, "name"), *repo = request_param(request, "repo");
	return g_strdup_printf("%s/%s", request_param(request, "owner"), repo ? repo : name);
}

const char *request_query(const Request *request, const char *name)
{
	const char *value = target_query(request->target, name);
	return value && *value ? value : NULL;
}

bool request_query_int(const Request *request, const char *name, int64_t low, int64_t high, int64_t fallback,
        int64_t *out, GError **error)
{
	const char *text = request_query(request, name);
	gint64 number = fallback;
	if (text && !g_ascii_string_to_signed(text, 10, low, high, &number, NULL))
		return fail(error, ASSAY_ERROR_USER, "cannot use '%s=%s': it must be a number from %" G_GINT64_FORMAT
		        " to %" G_GINT64_FORMAT, name, text, low, high);
	*out = number;
	return true;
}

bool request_page(const Request *request, const char **out_after, int64_t *out_limit, GError **error)
{
	*out_after = request_query(request, "after");
	return request_query_int(request, "limit", 1, PAGE_LIMIT_MAX, PAGE_LIMIT_DEFAULT, out_limit, error);
}

json_t *request_filter(const Request *request, const char *names)
{
	json_t *filter = json_object();
	g_auto(GStrv) words = g_strsplit(names, " ", -1);
	for (size_t i = 0; words[i]; i++)
		if (request_query(request, words[i]))
			json_set_string(filter, words[i], request_query(request, words[i]));
	return filter;
}

json_t *request_json(const Request *request, const char *keys, GError **error)
{
	if (request->body->len == 0)
		return json_object();
	g_autoptr(json_t) body = json_parse((const char *)request->body->data, request->body->len, "the request", error);
	if (!body)
		return NULL;
	if (!json_is_object(body)) {
		fail(error, ASSAY_ERROR_USER, "cannot use the request: the body must be a JSON object");
		return NULL;
	}
	g_auto(GStrv) known = g_strsplit(keys ? keys : "", " ", -1);
	const char *key;
	json_t *value;
	json_object_foreach(body, key, value) {
		if (keys && !g_strv_contains((const char *const *)known, key)) {
			fail(error, ASSAY_ERROR_USER, "cannot use the request: there is no field '%s' here; known are: %s", key, keys);
			return NULL;
		}
	}
	return g_steal_pointer(&body);
}

bool request_is_form(const Request *request)
{
	const char *type = request_header(request, "content-type");
	return type && g_ascii_strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0;
}

const char *request_form(Request *request, const char *name)
{
	if (!request_is_form(request))
		return NULL;
	if (!request->form)
		request->form = target_form((const char *)request->body->data, request->body->len, NULL);
	return target_pair(request->form, name);
}

const char *request_user(const Request *request)
{
	return json_get_string(request->user, "name", NULL);
}

Role role_parse(const char *name)
{
	static const char *const names[] = {"", "viewer", "developer", "reviewer", "admin"};
	for (size_t i = 1; i < G_N_ELEMENTS(names); i++)
		if (g_strcmp0(name, names[i]) == 0)
			return (Role)i;
	return ROLE_NONE;
}

Role request_role(const Request *request)
{
	return role_parse(json_get_string(request->user, "role", NULL));
}

bool request_wants_page(const Request *request)
{
	const char *path = request->target ? request->target->raw : "";
	const char *accept = request_header(request, "accept");
	return accept && strstr(accept, "text/html") && !g_str_has_prefix(path, "/api/") &&
	        !g_str_has_prefix(path, "/webhooks/");
}

bool request_finish(Request *request, bool done, const char *action, const char *subject, const json_t *detail,
        GError **error)
{
	Store *store = request->face->store;
	const char *actor = request_user(request);
	if (done && audit_add(store, actor ? actor : "-", action, subject, detail, error))
		return store_commit(store, error);
	store_rollback(store);
	return false;
}

static void set_reply(Request *request, unsigned status, const char *type)
{
	request->reply.status = status;
	request->reply.type = type;
	g_clear_pointer(&request->reply.body, g_bytes_unref);
}

bool reply_bytes(Request *request, unsigned status, const char *type, GBytes *body)
{
	set_reply(request, status, type);
	request->reply.body = body;
	return true;
}

bool reply_text(Request *request, unsigned status, const char *type, char *text)
{
	return reply_bytes(request, status, type, g_bytes_new_take(text, strlen(text)));
}

bool reply_json(Request *request, unsigned status, json_t *value)
{
	if (!value)
		return false;
	/* Keys in the order they were set: what people read first stands first. */
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(value);
	if (!text)
		return reply_empty(request, 500);
	return reply_bytes(request, status, "application/json", g_bytes_new_with_free_func(text, strlen(text), free, text));
}

bool reply_empty(Request *request, unsigned status)
{
	set_reply(request, status, NULL);
	return true;
}

bool reply_redirect(Request *request, const char *location)
{
	reply_header(request, "Location", location);
	return reply_empty(request, 303);
}

bool reply_feed(Request *request, const char *type, Feed *feed)
{
	set_reply(request, 200, type);
	request->reply.feed = feed;
	return true;
}

void reply_header(Request *request, const char *name, const char *value)
{
	if (!request->reply.headers)
		request->reply.headers = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(request->reply.headers, g_strdup(name));
	g_ptr_array_add(request->reply.headers, g_strdup(value));
}

void reply_clear(Reply *reply)
{
	g_clear_pointer(&reply->body, g_bytes_unref);
	g_clear_pointer(&reply->headers, g_ptr_array_unref);
	if (reply->fd >= 0)
		close(reply->fd);
	*reply = (Reply){.fd = -1};
}
