/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/repos and what belongs to one: dispatches, secrets, variables, environments. A secret's value never comes back. */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/store/environments.h"
#include "agent/store/repos.h"
#include "agent/store/secrets.h"
#include "agent/store/workflows.h"
#include "web/handlers.h"

#define NAME_BYTES_MAX 255

bool api_repos_list(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	return request_page(request, &after, &limit, error) &&
	        reply_json(request, 200, repos_list(request->face->store, after, limit, error));
}

bool api_repos_get(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	return reply_json(request, 200, repos_get(request->face->store, repo, error));
}

static bool is_name(const char *name)
{
	if (!*name || g_str_equal(name, ".") || g_str_equal(name, "..") || strlen(name) > 100)
		return false;
	for (const char *c = name; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr("._-", *c))
			return false;
	return true;
}

/** A field that, when it is there, must be text. */
static bool is_text_or_absent(const json_t *body, const char *key, GError **error)
{
	const json_t *value = json_object_get(body, key);
	return !value || json_is_null(value) || json_is_string(value) ||
	        fail(error, ASSAY_ERROR_USER, "cannot use '%s': it must be text", key);
}

static bool check_repo(const Request *request, const json_t *body, GError **error)
{
	static const char *const texts[] = {"url", "webhook_secret", "network", "default_branch", "forge", "api", "token", "ssh_key",
	        "known_hosts"};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		if (!is_text_or_absent(body, texts[i], error))
			return false;
	if (!is_name(request_param(request, "owner")) || !is_name(request_param(request, "name")))
		return fail(error, ASSAY_ERROR_USER, "cannot name a repo '%s/%s': use letters, digits, '.', '_' and '-'",
		        request_param(request, "owner"), request_param(request, "name"));
	const char *url = json_get_string(body, "url", "");
	if (!*url || *url == '-')
		return fail(error, ASSAY_ERROR_USER, "cannot add the repo: 'url' is missing; give the address that git clones from");
	const char *network = json_get_string(body, "network", NULL);
	static const char *const networks[] = {"none", "loopback", "full", NULL};
	if (network && !g_strv_contains(networks, network))
		return fail(error, ASSAY_ERROR_USER, "cannot use 'network': it must be none, loopback or full");
	return true;
}

bool api_repos_put(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) body = request_json(request, "url webhook_secret network default_branch forge api token ssh_key known_hosts", error);
	if (!body || !check_repo(request, body, error))
		return false;
	g_autoptr(json_t) settings = json_object(), detail = json_object();
	static const char *const kept[] = {"network", "default_branch", "forge", "api"};
	for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
		if (json_get_string(body, kept[i], NULL))
			json_set_string(settings, kept[i], json_get_string(body, kept[i], NULL));
	const char *secret = json_get_string(body, "webhook_secret", NULL), *url = json_get_string(body, "url", NULL);
	if (secret && !*secret)
		return fail(error, ASSAY_ERROR_USER, "cannot use an empty webhook secret: anybody could sign with it");
	json_set_string(detail, "url", url);
	json_set_bool(detail, "webhook_secret_changed", secret != NULL);
	Store *store = request->face->store;
	if (!store_begin(store, error))
		return false;
	int64_t id = 0;
	bool done = repos_put(store, repo, url, secret, secret ? strlen(secret) : 0, settings, &id, error);
	static const char *const credentials[] = {"token", "ssh_key", "known_hosts"};
	for (size_t i = 0; done && i < G_N_ELEMENTS(credentials); i++) {
		const char *text = json_get_string(body, credentials[i], NULL);
		g_autofree char *changed = g_strconcat(credentials[i], "_changed", NULL);
		json_set_bool(detail, changed, text != NULL);
		done = !text || repos_set_credential(store, id, credentials[i], text, error);
	}
	return request_finish(request, done, "repo.set", repo, detail, error) && daemon_survey(request->face->daemon, id, error) &&
	        reply_json(request, 200, repos_get(store, repo, error));
}

bool api_repos_dispatch(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) body = request_json(request, "workflow ref inputs event_type client_payload", error);
	if (!body || !is_text_or_absent(body, "workflow", error) || !is_text_or_absent(body, "ref", error) ||
	        !is_text_or_absent(body, "event_type", error))
		return false;
	const char *type = json_get_string(body, "event_type", NULL);
	if (type && (json_get_string(body, "workflow", NULL) || json_object_get(body, "inputs") || json_object_get(body, "ref")))
		return fail(error, ASSAY_ERROR_USER, "cannot dispatch: 'event_type' starts what asks for that event; it goes with 'client_payload' alone");
	if (!type && !json_get_string(body, "workflow", NULL))
		return fail(error, ASSAY_ERROR_USER, "cannot dispatch: 'workflow' is missing; name a file as \"train.yml\"");
	if (json_object_get(body, "client_payload") && !json_is_object(json_object_get(body, "client_payload")))
		return fail(error, ASSAY_ERROR_USER, "cannot dispatch: 'client_payload' must be an object");
	if (json_object_get(body, "inputs") && !json_is_object(json_object_get(body, "inputs")))
		return fail(error, ASSAY_ERROR_USER, "cannot dispatch: 'inputs' must be an object of names and values");
	g_autoptr(json_t) known = repos_get(request->face->store, repo, error);
	g_autofree char *delivery = NULL;
	if (!known || !daemon_dispatch(request->face->daemon, repo, body, request_user(request), &delivery, error))
		return false;
	return reply_json(request, 202, json_pack("{s:s}", "delivery", delivery));
}

bool api_repos_workflows(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) known = repos_get(request->face->store, repo, error);
	return known && reply_json(request, 200, workflows_list(request->face->store, json_get_int(known, "id", 0), error));
}

bool api_schedules_list(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	if (!request_page(request, &after, &limit, error))
		return false;
	json_t *list = schedules_list(request->face->store, request_query(request, "repo"), limit, error);
	return list && reply_json(request, 200, json_pack("{s:o,s:n}", "schedules", list, "next"));
}

/** Secrets and variables are environment variables' names; GITHUB_ is the runner's own. */
static bool check_variable(const Request *request, const char *param, GError **error)
{
	const char *name = request_param(request, param);
	bool good = (g_ascii_isalpha(*name) || *name == '_') && strlen(name) <= NAME_BYTES_MAX &&
	        g_ascii_strncasecmp(name, "GITHUB_", 7) != 0;
	for (const char *c = name; good && *c; c++)
		good = g_ascii_isalnum(*c) || *c == '_';
	return good || fail(error, ASSAY_ERROR_USER, "cannot use the name '%s': letters, digits and '_', not beginning with a "
	        "digit or with GITHUB_", name);
}

bool api_secrets_list(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) known = repos_get(request->face->store, repo, error);
	json_t *secrets = known ? secrets_list(request->face->store, repo, error) : NULL;
	return secrets && reply_json(request, 200, json_pack("{s:o,s:n}", "secrets", secrets, "next"));
}

static bool set_secret(Request *request, const char *environment, const char *value, GError **error)
{
	g_autofree char *repo = request_repo(request);
	const char *name = request_param(request, "secret");
	Store *store = request->face->store;
	g_autofree char *subject = g_strconcat(repo, " ", name, NULL);
	g_autoptr(json_t) detail = json_object();
	json_set_string(detail, "environment", environment);
	if (!store_begin(store, error))
		return false;
	bool done = secrets_set(store, repo, environment, name, value, value ? strlen(value) : 0, error);
	return request_finish(request, done, value ? "secret.set" : "secret.remove", subject, detail, error) &&
	        reply_empty(request, 204);
}

bool api_secrets_put(Request *request, GError **error)
{
	g_autoptr(json_t) body = request_json(request, "value environment", error);
	if (!body || !check_variable(request, "secret", error) || !is_text_or_absent(body, "environment", error))
		return false;
	const char *value = json_get_string(body, "value", NULL);
	if (!value)
		return fail(error, ASSAY_ERROR_USER, "cannot set the secret: 'value' is missing");
	return set_secret(request, json_get_string(body, "environment", NULL), value, error);
}

bool api_secrets_delete(Request *request, GError **error)
{
	return check_variable(request, "secret", error) &&
	        set_secret(request, request_query(request, "environment"), NULL, error);
}

static bool set_var(Request *request, const char *environment, const char *value, GError **error)
{
	g_autofree char *repo = request_repo(request);
	const char *name = request_param(request, "var");
	Store *store = request->face->store;
	g_autofree char *subject = g_strconcat(repo, " ", name, NULL);
	g_autoptr(json_t) detail = json_object();
	/* Not its value: the trail is never cut, and people do put secrets into variables. */
	json_set_string(detail, "environment", environment);
	if (!store_begin(store, error))
		return false;
	bool done = vars_set(store, repo, environment, name, value, error);
	return request_finish(request, done, value ? "var.set" : "var.remove", subject, detail, error) &&
	        reply_empty(request, 204);
}

bool api_vars_put(Request *request, GError **error)
{
	g_autoptr(json_t) body = request_json(request, "value environment", error);
	if (!body || !check_variable(request, "var", error) || !is_text_or_absent(body, "environment", error))
		return false;
	const char *value = json_get_string(body, "value", NULL);
	if (!value)
		return fail(error, ASSAY_ERROR_USER, "cannot set the variable: 'value' is missing");
	return set_var(request, json_get_string(body, "environment", NULL), value, error);
}

bool api_vars_delete(Request *request, GError **error)
{
	return check_variable(request, "var", error) && set_var(request, request_query(request, "environment"), NULL, error);
}

bool api_environments_list(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) known = repos_get(request->face->store, repo, error);
	json_t *environments = known ? environments_list(request->face->store, repo, error) : NULL;
	if (environments && json_is_array(environments))
		environments = json_pack("{s:o,s:n}", "environments", environments, "next");
	return reply_json(request, 200, environments);
}

static bool check_rules(const json_t *rules, GError **error)
{
	static const char *const lists[] = {"reviewers", "branches"};
	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
		const json_t *list = json_object_get(rules, lists[i]);
		if (!list)
			continue;
		bool good = json_is_array(list);
		size_t index;
		json_t *item;
		json_array_foreach(list, index, item)
			good = good && json_is_string(item) && json_string_length(item) > 0;
		if (!good)
			return fail(error, ASSAY_ERROR_USER, "cannot use '%s': it must be a list of names", lists[i]);
	}
	const json_t *approvals = json_object_get(rules, "approvals"), *expires = json_object_get(rules, "expires_s");
	if (approvals && (!json_is_integer(approvals) || json_integer_value(approvals) < 0 ||
	        json_integer_value(approvals) > 100))
		return fail(error, ASSAY_ERROR_USER, "cannot use 'approvals': it must be a number from 0 to 100");
	size_t reviewers = json_array_size(json_object_get(rules, "reviewers"));
	if (approvals && reviewers > 0 && json_integer_value(approvals) > (json_int_t)reviewers)
		return fail(error, ASSAY_ERROR_USER, "cannot ask for more approvals than there are reviewers: nothing would ever pass");
	if (expires && (!json_is_integer(expires) || json_integer_value(expires) < 1))
		return fail(error, ASSAY_ERROR_USER, "cannot use 'expires_s': it must be a number of seconds");
	const json_t *self = json_object_get(rules, "self_review");
	return !self || json_is_boolean(self) || fail(error, ASSAY_ERROR_USER, "cannot use 'self_review': it must be true or false");
}

bool api_environments_put(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	const char *name = request_param(request, "environment");
	g_autoptr(json_t) rules = request_json(request, "reviewers approvals self_review expires_s branches", error);
	if (!rules || !check_rules(rules, error))
		return false;
	Store *store = request->face->store;
	g_autofree char *subject = g_strconcat(repo, " ", name, NULL);
	if (!store_begin(store, error))
		return false;
	bool done = environments_set(store, repo, name, rules, error);
	return request_finish(request, done, "environment.set", subject, rules, error) &&
	        reply_json(request, 200, environments_get(store, repo, name, error));
}
