/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions. A token in the Authorization header wins over the cookie, the cookie over the socket's peer: so that a person
 * on this machine can act as themselves. Peer credentials count on the unix socket only: root and the agent's own user
 * are admin there, everybody else is nobody.
 *
 * A change that comes with a cookie must carry the session's CSRF token, in the form's field `csrf` or the header
 * X-CSRF-Token. The cookie is HttpOnly and SameSite=Lax besides. A GET never changes anything: the one-time link shows a
 * form, and the form's POST uses the link up.
 */
#include "web/session.h"

#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/store/audit.h"
#include "agent/store/people.h"
#include "web/limiter.h"
#include "web/problem.h"
#include "web/routes.h"
#include "web/site.h"

#define COOKIE "assay_session"
#define SESSION_LIVES_S (14 * 24 * 3600)

static bool identify_by_token(Request *request, const char *authorization)
{
	if (g_ascii_strncasecmp(authorization, "Bearer ", 7) != 0)
		return false;
	const char *token = authorization + 7;
	while (*token == ' ')
		token++;
	request->user = people_by_token(request->face->store, token);
	request->identified_by = request->user ? BY_TOKEN : BY_NOBODY;
	return request->user != NULL;
}

bool session_identify(Request *request)
{
	const char *authorization = request_header(request, "authorization");
	if (authorization)
		return identify_by_token(request, authorization);
	g_autofree char *session = request_cookie(request, COOKIE);
	if (session) {
		request->user = people_by_session(request->face->store, session);
		if (request->user) {
			request->identified_by = BY_SESSION;
			return true;
		}
	}
	if (request->via_socket && (request->peer_uid == 0 || request->peer_uid == geteuid())) {
		request->user = json_object();
		json_set_string(request->user, "name", request->peer_uid == 0 ? "root" : "agent");
		json_set_string(request->user, "role", "admin");
		request->identified_by = BY_SOCKET;
	}
	return true;
}

bool session_allows(Request *request)
{
	if (request->route->role == ROLE_NONE)
		return true;
	if (!request->user) {
		bool is_page = request->route->answers == ANSWERS_PAGE && request_wants_page(request);
		if (is_page && g_str_equal(request->method, "GET")) {
			g_autofree char *next = target_escape(request->target->raw);
			g_autofree char *location = g_strconcat("/sign-in?next=", next, NULL);
			reply_redirect(request, location);
			return false;
		}
		reply_header(request, "WWW-Authenticate", "Bearer realm=\"assay\"");
		problem_answer(request, 401, "unauthorized", "cannot tell who is calling: no valid token or session; "
		        "sign in, or send 'Authorization: Bearer TOKEN' with a token of 'assay token create'");
		return false;
	}
	if (request_role(request) < request->route->role) {
		static const char *const names[] = {"nobody", "viewer", "developer", "reviewer", "admin"};
		g_autofree char *detail = g_strdup_printf("'%s' may not do this: it takes the role %s; ask an admin",
		        request_user(request), names[request->route->role]);
		problem_answer(request, 403, "denied", detail);
		return false;
	}
	return true;
}

bool session_checks_csrf(Request *request)
{
	bool reads = g_str_equal(request->method, "GET");
	if (reads || request->identified_by != BY_SESSION)
		return true;
	const char *given = request_header(request, "x-csrf-token");
	if (!given)
		given = request_form(request, "csrf");
	const char *wanted = json_get_string(request->user, "csrf", "");
	size_t len = strlen(wanted);
	if (given && len > 0 && strlen(given) == len && equal_constant_time(given, wanted, len))
		return true;
	problem_answer(request, 403, "denied", "cannot be sure that this came from our own page: the form's token is missing "
	        "or old; load the page again");
	return false;
}

bool session_is_local_path(const char *path)
{
	if (!path || path[0] != '/' || path[1] == '/' || strlen(path) > 2048)
		return false;
	for (const char *c = path; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 127 || *c == '\\')
			return false;
	return true;
}

bool session_is_https(const Request *request)
{
	const char *url = daemon_url(request->face->daemon);
	return url && g_str_has_prefix(url, "https://");
}

static void set_cookie(Request *request, const char *value, int lives_s)
{
	g_autofree char *cookie = g_strdup_printf(COOKIE "=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%s", value,
	        lives_s, session_is_https(request) ? "; Secure" : "");
	reply_header(request, "Set-Cookie", cookie);
}

/** Signs a form of another site out of the question: it would sign the visitor in as somebody else. */
static bool is_cross_site(const Request *request)
{
	const char *site = request_header(request, "sec-fetch-site");
	return site && !g_str_equal(site, "same-origin") && !g_str_equal(site, "none");
}

/** Who the form says it is, or NULL. */
static char *check_form(Request *request)
{
	Store *store = request->face->store;
	const char *link = request_form(request, "link");
	if (link && *link)
		return people_link_use(store, link);
	const char *name = request_form(request, "name"), *password = request_form(request, "password");
	return name && password ? people_check_password(store, name, password) : NULL;
}

static bool refuse_sign_in(Request *request, int64_t wait_s)
{
	g_autofree char *detail = NULL;
	if (wait_s > 0) {
		g_autofree char *seconds = g_strdup_printf("%" G_GINT64_FORMAT, wait_s);
		reply_header(request, "Retry-After", seconds);
		detail = g_strdup_printf("cannot sign in: too many failed attempts from here; try again in %" G_GINT64_FORMAT
		        " minutes", (wait_s + 59) / 60);
	} else {
		detail = g_strdup("cannot sign in: name, password or link is not right; "
		        "a link is good once, an admin makes a new one with 'assay user link NAME'");
	}
	if (request_wants_page(request)) {
		g_autoptr(json_t) data = json_object();
		json_set_string(data, "error", detail);
		json_set_string(data, "next", request_form(request, "next"));
		return site_show(request, wait_s > 0 ? 429 : 401, page_sign_in, data, (SiteFlash){0});
	}
	problem_answer(request, wait_s > 0 ? 429 : 401, wait_s > 0 ? "rate-limited" : "unauthorized", detail);
	return true;
}

bool session_post_sign_in(Request *request, GError **error)
{
	if (is_cross_site(request))
		return fail(error, ASSAY_ERROR_DENIED, "cannot sign in from another site's form; open the sign-in page");
	Store *store = request->face->store;
	int64_t at_us = now_us();
	const char *claimed = request_form(request, "name");
	/* By caller and name, so that one person's mistakes behind a shared address do not lock out the others. */
	g_autofree char *key = g_strdup_printf("%s %.64s", request->address, claimed ? claimed : "");
	int64_t wait_s = MAX(limiter_wait_s(request->face->limiter, key, at_us),
	        limiter_wait_s(request->face->callers, request->address, at_us));
	if (wait_s > 0)
		return refuse_sign_in(request, wait_s);
	g_autofree char *name = check_form(request);
	if (!name) {
		limiter_failed(request->face->limiter, key, at_us);
		limiter_failed(request->face->callers, request->address, at_us);
		return refuse_sign_in(request, 0);
	}
	limiter_forgive(request->face->limiter, key);
	g_autofree char *session = people_session_new(store, name, SESSION_LIVES_S, error);
	if (!session || !audit_add(store, name, "session.start", name, NULL, error))
		return false;
	set_cookie(request, session, SESSION_LIVES_S);
	const char *next = request_form(request, "next");
	return reply_redirect(request, session_is_local_path(next) ? next : "/");
}

bool session_post_sign_out(Request *request, GError **error)
{
	(void)error;
	g_autofree char *session = request_cookie(request, COOKIE);
	if (session)
		people_session_end(request->face->store, session);
	set_cookie(request, "", 0);
	return reply_redirect(request, "/sign-in");
}
