/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The site: who looks, and what each page is given. What a form posts comes here too: it does what the API's change does,
 * then sends the visitor to a page (303), so that a reload repeats nothing.
 */
#include "web/site.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/daemon/gatekeeper.h"
#include "agent/model/gate.h"
#include "agent/store/audit.h"
#include "agent/store/datasets.h"
#include "agent/store/deliveries.h"
#include "agent/store/environments.h"
#include "agent/store/gates.h"
#include "agent/store/models.h"
#include "agent/store/people.h"
#include "agent/store/repos.h"
#include "web/assets.h"
#include "web/handlers.h"

#define GATES_COUNTED 100
#define ADMIN_ROWS 100

static int64_t gates_waiting(Request *request)
{
	if (!request->user)
		return 0;
	g_autoptr(json_t) filter = json_pack("{s:s,s:s}", "status", "waiting", "reviewer", request_user(request));
	g_autoptr(json_t) list = gates_list(request->face->store, filter, NULL, GATES_COUNTED, NULL);
	return (int64_t)json_array_size(json_object_get(list, "gates"));
}

/** What ?done= stands for: only our own words reach the page. */
static const char *done_sentence(const Request *request)
{
	static const char *const sentences[][2] = {{"approve", "You approved this gate."}, {"reject", "You rejected this gate."},
	        {"cancel", "The run was cancelled; its jobs end now."}, {"rerun", "It runs again, as a new attempt."},
	        {"dispatch", "It was asked for; its run shows below in a moment."}};
	const char *done = request->target ? request_query(request, "done") : NULL;
	for (size_t i = 0; done && i < G_N_ELEMENTS(sentences); i++)
		if (g_str_equal(sentences[i][0], done))
			return sentences[i][1];
	return NULL;
}

bool site_show(Request *request, unsigned status, SitePage page, const json_t *data, SiteFlash flash)
{
	PageView view = {
	        .user = request_user(request),
	        .role = json_get_string(request->user, "role", NULL),
	        .csrf = json_get_string(request->user, "csrf", NULL),
	        .path = request->target ? request->target->raw : "/",
	        .base_url = daemon_url(request->face->daemon),
	        .asset_css = assets_address("style.css"),
	        .asset_phone = assets_address("phone.css"),
	        .asset_js = assets_address("app.js"),
	        .asset_logo = assets_address("logo.svg"),
	        .flash = flash.text ? flash.text : done_sentence(request),
	        .flash_failed = flash.failed,
	        .now_us = now_us(),
	        .gates_waiting = gates_waiting(request),
	};
	GString *out = g_string_sized_new(16 * 1024);
	page(out, &view, data);
	return reply_bytes(request, status, "text/html; charset=utf-8", g_string_free_to_bytes(out));
}

bool site_answer(Request *request, SitePage page, json_t *data)
{
	g_autoptr(json_t) owned = data;
	return owned && site_show(request, 200, page, owned, (SiteFlash){0});
}

bool site_sign_in(Request *request, GError **error)
{
	(void)error;
	json_t *data = json_object();
	json_set_string(data, "link", request_query(request, "link"));
	json_set_string(data, "next", request_query(request, "next"));
	json_set_string(data, "error", NULL);
	return site_answer(request, page_sign_in, data);
}

/* ---- gates ---- */

bool site_gates(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	if (!request_page(request, &after, &limit, error))
		return false;
	g_autoptr(json_t) filter = request_filter(request, "status repo");
	json_t *gates = gates_list(request->face->store, filter, after, limit, error);
	if (gates)
		json_set(gates, "filter", json_incref(filter));
	return site_answer(request, page_gates, gates);
}

static bool show_gate(Request *request, int64_t id, unsigned status, SiteFlash flash, GError **error)
{
	json_t *gate = gates_get(request->face->store, id, error);
	if (!gate)
		return false;
	const char *why = NULL;
	bool may = gate_may_decide(json_object_get(gate, "rules"), request_user(request),
	        json_get_string(json_object_get(gate, "evidence"), "author", NULL), &why);
	if (request_role(request) < ROLE_REVIEWER) {
		may = false;
		why = "Deciding takes the role reviewer.";
	}
	g_autoptr(json_t) data = json_object();
	json_set(data, "gate", gate);
	json_set_bool(data, "may_decide", may);
	json_set_string(data, "why_not", may ? NULL : why);
	return site_show(request, status, page_gate, data, flash);
}

bool site_gate(Request *request, GError **error)
{
	int64_t id;
	return request_param_id(request, "id", &id, error) && show_gate(request, id, 200, (SiteFlash){0}, error);
}

/** The form's fields as the API's verdict: a reason to override is an override, and stands in the comment. */
static json_t *verdict_of_form(Request *request)
{
	const char *comment = request_form(request, "comment"), *reason = request_form(request, "override_reason");
	g_autofree char *said = g_strstrip(g_strdup(comment ? comment : ""));
	g_autofree char *why = g_strstrip(g_strdup(reason ? reason : ""));
	g_autofree char *both = g_strdup_printf("%s%s%s", said, *said && *why ? "\n\nOverride: " : "", why);
	json_t *verdict = json_object();
	json_set_string(verdict, "verdict", request_form(request, "verdict"));
	json_set_string(verdict, "comment", both);
	json_set_bool(verdict, "override", *why != 0);
	if (request_form(request, "evidence_digest"))
		json_set_string(verdict, "evidence_digest", request_form(request, "evidence_digest"));
	return verdict;
}

bool site_gate_verdict(Request *request, GError **error)
{
	int64_t id;
	if (!request_param_id(request, "id", &id, error))
		return false;
	g_autoptr(json_t) verdict = verdict_of_form(request), gate = NULL;
	g_autoptr(GError) why = NULL;
	if (!gatekeeper_verdict(request->face->daemon, id, request->user, verdict, &gate, &why)) {
		if (g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_ABSENT) || g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_SYSTEM)) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		return show_gate(request, id, error_http_status(why), (SiteFlash){why->message, true}, error);
	}
	g_autofree char *location = g_strdup_printf("/gates/%" G_GINT64_FORMAT "?done=%s", id,
	        json_get_string(verdict, "verdict", ""));
	return reply_redirect(request, location);
}

/* ---- models and data ---- */

bool site_models(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	return request_page(request, &after, &limit, error) &&
	        site_answer(request, page_models, models_list(request->face->store, request_query(request, "repo"), after, limit, error));
}

bool site_model(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	return site_answer(request, page_model, models_show(request->face->store, repo, request_param(request, "name"), error));
}

bool site_model_version(Request *request, GError **error)
{
	int64_t version;
	g_autofree char *name = request_repo(request);
	if (!request_param_id(request, "version", &version, error))
		return false;
	g_autoptr(json_t) repo = repos_get(request->face->store, name, error);
	json_t *model = repo ? models_get(request->face->store, json_get_int(repo, "id", 0), request_param(request, "name"),
	        version, NULL, error) : NULL;
	if (model) {
		json_set_string(model, "repo", name);
		json_set_string(model, "name", request_param(request, "name"));
	}
	return site_answer(request, page_model_version, model);
}

bool site_datasets(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	return request_page(request, &after, &limit, error) &&
	        site_answer(request, page_data, datasets_list(request->face->store, request_query(request, "repo"), after, limit, error));
}

bool site_dataset(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	return site_answer(request, page_dataset, datasets_show(request->face->store, repo, request_param(request, "name"), error));
}

/* ---- for admins ---- */

bool site_audit(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	return request_page(request, &after, &limit, error) &&
	        site_answer(request, page_audit, audit_list(request->face->store, after, limit, error));
}

/** Every repo's protected environments in one list. */
static json_t *all_environments(Store *store, const json_t *repos, GError **error)
{
	g_autoptr(json_t) all = json_array();
	size_t index;
	json_t *repo;
	json_array_foreach(repos, index, repo) {
		g_autoptr(json_t) some = environments_list(store, json_get_string(repo, "name", ""), error);
		if (!some)
			return NULL;
		json_array_extend(all, json_is_array(some) ? some : json_object_get(some, "environments"));
	}
	return g_steal_pointer(&all);
}

bool site_admin(Request *request, GError **error)
{
	Store *store = request->face->store;
	g_autoptr(json_t) repos = repos_list(store, NULL, ADMIN_ROWS, error);
	g_autoptr(json_t) users = repos ? people_list(store, error) : NULL;
	g_autoptr(json_t) deliveries = users ? deliveries_list(store, NULL, NULL, ADMIN_ROWS, error) : NULL;
	json_t *environments = deliveries ? all_environments(store, json_object_get(repos, "repos"), error) : NULL;
	if (!environments)
		return false;
	json_t *data = json_object();
	json_set_string(data, "version", ASSAY_VERSION);
	json_set(data, "repos", json_incref(json_object_get(repos, "repos")));
	json_set(data, "environments", environments);
	json_set(data, "users", json_incref(json_is_array(users) ? users : json_object_get(users, "users")));
	json_set(data, "deliveries", json_incref(json_object_get(deliveries, "deliveries")));
	return site_answer(request, page_admin, data);
}
