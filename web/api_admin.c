/* SPDX-License-Identifier: Apache-2.0 */
/* Users, tokens, sign-in links, deliveries, the audit trail, and the description of the API itself. */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/store/audit.h"
#include "agent/store/deliveries.h"
#include "agent/store/people.h"
#include "web/handlers.h"
#include "web/routes.h"

#define PASSWORD_BYTES_MIN 8
#define PASSWORD_BYTES_MAX 1024
#define LINK_LIVES_S (24 * 3600)

bool api_users_list(Request *request, GError **error)
{
	json_t *users = people_list(request->face->store, error);
	if (users && json_is_array(users))
		users = json_pack("{s:o,s:n}", "users", users, "next");
	return reply_json(request, 200, users);
}

static bool is_user_name(const char *name)
{
	if (!g_ascii_isalnum(*name) || strlen(name) > 64)
		return false;
	for (const char *c = name; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr("._-@", *c))
			return false;
	return true;
}

bool api_users_put(Request *request, GError **error)
{
	const char *name = request_param(request, "user");
	g_autoptr(json_t) body = request_json(request, "role password", error);
	if (!body)
		return false;
	const char *role = json_get_string(body, "role", NULL), *password = json_get_string(body, "password", NULL);
	if (!is_user_name(name))
		return fail(error, ASSAY_ERROR_USER, "cannot name a user '%s': letters, digits, '.', '_', '-' and '@', "
		        "beginning with a letter or digit, at most 64", name);
	if (role_parse(role) == ROLE_NONE)
		return fail(error, ASSAY_ERROR_USER, "cannot use the role '%s': it must be viewer, developer, reviewer or admin",
		        role ? role : "");
	if (password && (strlen(password) < PASSWORD_BYTES_MIN || strlen(password) > PASSWORD_BYTES_MAX))
		return fail(error, ASSAY_ERROR_USER, "cannot use the password: it must have %d to %d bytes", PASSWORD_BYTES_MIN,
		        PASSWORD_BYTES_MAX);
	Store *store = request->face->store;
	g_autoptr(json_t) detail = json_object();
	json_set_string(detail, "role", role);
	json_set_bool(detail, "password_changed", password != NULL);
	if (!store_begin(store, error))
		return false;
	bool done = people_put(store, name, role, password, error);
	return request_finish(request, done, "user.set", name, detail, error) &&
	        reply_json(request, 200, people_get(store, name, error));
}

bool api_users_token(Request *request, GError **error)
{
	const char *name = request_param(request, "user");
	if (request_role(request) < ROLE_ADMIN && g_strcmp0(request_user(request), name) != 0)
		return fail(error, ASSAY_ERROR_DENIED, "'%s' may not make a token for '%s': only they or an admin may",
		        request_user(request), name);
	g_autoptr(json_t) body = request_json(request, "note", error);
	Store *store = request->face->store;
	if (!body || !store_begin(store, error))
		return false;
	g_autoptr(json_t) known = people_get(store, name, error);
	g_autofree char *token = known ? people_token_new(store, name, json_get_string(body, "note", NULL), error) : NULL;
	return request_finish(request, token != NULL, "token.create", name, body, error) &&
	        reply_json(request, 201, json_pack("{s:s}", "token", token));
}

bool api_users_link(Request *request, GError **error)
{
	const char *name = request_param(request, "user");
	Store *store = request->face->store;
	if (!store_begin(store, error))
		return false;
	g_autoptr(json_t) known = people_get(store, name, error);
	g_autofree char *secret = known ? people_link_new(store, name, LINK_LIVES_S, error) : NULL;
	if (!request_finish(request, secret != NULL, "link.create", name, NULL, error))
		return false;
	const char *base = daemon_url(request->face->daemon);
	g_autofree char *url = g_strdup_printf("%s/sign-in?link=%s", base ? base : "", secret);
	return reply_json(request, 201, json_pack("{s:s}", "url", url));
}

bool api_deliveries_list(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	if (!request_page(request, &after, &limit, error))
		return false;
	json_t *list = deliveries_list(request->face->store, request_query(request, "repo"), after, limit, error);
	return reply_json(request, 200, list);
}

bool api_audit_list(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	return request_page(request, &after, &limit, error) &&
	        reply_json(request, 200, audit_list(request->face->store, after, limit, error));
}

bool api_openapi(Request *request, GError **error)
{
	(void)error;
	return reply_json(request, 200, routes_openapi(daemon_url(request->face->daemon)));
}
