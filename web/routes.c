/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row per address: method, pattern, role, handler, and one line for people. The rows are read from above: the first
 * whose pattern fits the path decides, so literal segments stand before names in braces. OpenAPI comes from the rows.
 */
#include "web/routes.h"

#include <string.h>

#include "agent/base/json.h"
#include "web/assets.h"
#include "web/handlers.h"
#include "web/session.h"

#define API "/api/v1"
#define REPO API "/repos/{owner}/{name}"
#define PAGED " limit after"

const Route routes[] = {
        {"POST", "/webhooks/{forge}", ROLE_NONE, hook_post, "takes a forge's delivery: verified, stored, then answered",
                .fields = "", .is_raw = true},

        {"GET", API "/runs", ROLE_VIEWER, api_runs_list, "lists runs, newest first",
                .query = "repo status branch workflow event actor delivery" PAGED},
        {"GET", API "/runs/{id}", ROLE_VIEWER, api_runs_get, "shows a run with its jobs; attempt: as it was in an older one",
                .query = "attempt"},
        {"POST", API "/runs/{id}/cancel", ROLE_DEVELOPER, api_runs_cancel, "cancels a run: its jobs end as cancelled",
                .fields = ""},
        {"POST", API "/runs/{id}/rerun", ROLE_DEVELOPER, api_runs_rerun,
                "runs again, as a new attempt: jobs \"all\", \"failed\" or a list of ids", .fields = "jobs debug"},
        {"GET", API "/runs/{id}/reports", ROLE_VIEWER, api_runs_reports, "shows the reports of a run's ML steps", .query = "attempt"},
        {"GET", API "/runs/{id}/artifacts", ROLE_VIEWER, api_artifacts_list, "lists a run's artifacts", .query = "attempt"},
        {"GET", API "/runs/{id}/artifacts/{name}", ROLE_VIEWER, download_artifact,
                "gives an artifact as a zip; 410 when it has expired", .query = "attempt", .answers = ANSWERS_ZIP},
        {"GET", API "/jobs/{id}", ROLE_VIEWER, api_jobs_get, "shows a job with steps, annotations, reports and artifacts", .query = NULL},
        {"GET", API "/jobs/{id}/log", ROLE_VIEWER, stream_log, "gives a job's log as text; Range works", .query = "offset",
                .answers = ANSWERS_TEXT},
        {"GET", API "/jobs/{id}/log/stream", ROLE_VIEWER, stream_log_events, "follows a job's log as server-sent events",
                .query = "offset", .answers = ANSWERS_EVENTS},
        {"GET", API "/events", ROLE_VIEWER, stream_changes, "tells of changed runs as server-sent events",
                .answers = ANSWERS_EVENTS},

        {"GET", API "/gates", ROLE_VIEWER, api_gates_list, "lists gates, newest first", .query = "status repo" PAGED},
        {"GET", API "/gates/{id}", ROLE_VIEWER, api_gates_get, "shows a gate with its evidence and verdicts", .query = NULL},
        {"POST", API "/gates/{id}/verdict", ROLE_REVIEWER, api_gates_verdict,
                "gives a reviewer's verdict, bound to the evidence that was shown",
                .fields = "verdict comment override evidence_digest"},

        {"GET", API "/schedules", ROLE_VIEWER, api_schedules_list, "lists what is due next, the nearest first", .query = "repo limit"},

        {"GET", API "/repos", ROLE_VIEWER, api_repos_list, "lists repos", .query = "limit after"},
        {"GET", REPO, ROLE_VIEWER, api_repos_get, "shows a repo", .query = NULL},
        {"PUT", REPO, ROLE_ADMIN, api_repos_put, "adds a repo, or changes one",
                .fields = "url webhook_secret network default_branch forge api"},
        {"POST", REPO "/dispatches", ROLE_DEVELOPER, api_repos_dispatch, "starts a workflow by hand",
                .fields = "workflow ref inputs event_type client_payload"},
        {"GET", REPO "/workflows", ROLE_VIEWER, api_repos_workflows,
                "shows the workflows of the default branch: their inputs, and when they are due", .query = NULL},
        {"GET", REPO "/secrets", ROLE_ADMIN, api_secrets_list, "lists the names of secrets, never a value", .query = NULL},
        {"PUT", REPO "/secrets/{secret}", ROLE_ADMIN, api_secrets_put, "sets a secret", .fields = "value environment"},
        {"DELETE", REPO "/secrets/{secret}", ROLE_ADMIN, api_secrets_delete, "removes a secret", .query = "environment"},
        {"PUT", REPO "/vars/{var}", ROLE_ADMIN, api_vars_put, "sets a variable", .fields = "value environment"},
        {"DELETE", REPO "/vars/{var}", ROLE_ADMIN, api_vars_delete, "removes a variable", .query = "environment"},
        {"GET", REPO "/environments", ROLE_VIEWER, api_environments_list, "lists environments with their rules", .query = NULL},
        {"PUT", REPO "/environments/{environment}", ROLE_ADMIN, api_environments_put, "sets an environment's rules",
                .fields = "reviewers approvals self_review expires_s branches"},

        {"GET", API "/users", ROLE_ADMIN, api_users_list, "lists users", .query = NULL},
        {"PUT", API "/users/{user}", ROLE_ADMIN, api_users_put, "adds a user, or changes one", .fields = "role password"},
        {"POST", API "/users/{user}/tokens", ROLE_VIEWER, api_users_token, "makes a token, shown once; for oneself, or as admin",
                .fields = "note"},
        {"POST", API "/users/{user}/link", ROLE_ADMIN, api_users_link, "makes a sign-in link, good once", .fields = ""},

        {"GET", API "/models", ROLE_VIEWER, api_models_list, "lists models", .query = "repo" PAGED},
        {"GET", API "/models/{owner}/{repo}/{name}", ROLE_VIEWER, api_models_get,
                "shows a model: versions, aliases, ledger, lineage", .query = NULL},
        {"GET", API "/datasets", ROLE_VIEWER, api_datasets_list, "lists datasets", .query = "repo" PAGED},
        {"GET", API "/datasets/{owner}/{repo}/{name}", ROLE_VIEWER, api_datasets_get, "shows a dataset's versions", .query = NULL},
        {"GET", API "/deliveries", ROLE_ADMIN, api_deliveries_list, "lists webhook deliveries", .query = "repo" PAGED},
        {"GET", API "/audit", ROLE_ADMIN, api_audit_list, "lists who did what", .query = "limit after"},
        {"GET", API "/openapi.json", ROLE_NONE, api_openapi, "describes this API", .query = NULL},

        {"GET", "/healthz", ROLE_NONE, metrics_health, "says that the program answers", .answers = ANSWERS_TEXT},
        {"GET", "/readyz", ROLE_NONE, metrics_ready, "says that it can take work", .answers = ANSWERS_TEXT},
        {"GET", "/metrics", ROLE_NONE, metrics_get, "gives numbers for Prometheus; for viewers, and from this machine",
                .answers = ANSWERS_TEXT},
        {"GET", "/badge/{owner}/{name}/{workflow}", ROLE_NONE, badge_get, "draws a workflow's last state", .query = "branch",
                .answers = ANSWERS_SVG},

        {"GET", "/assets/{file}", ROLE_NONE, assets_get, "gives style, script and logo", .answers = ANSWERS_PAGE},
        {"GET", "/sign-in", ROLE_NONE, site_sign_in, "shows the sign-in form", .answers = ANSWERS_PAGE},
        {"POST", "/sign-in", ROLE_NONE, session_post_sign_in, "signs in by name and password, or by link", .fields = "",
                .answers = ANSWERS_PAGE},
        {"POST", "/sign-out", ROLE_NONE, session_post_sign_out, "signs out", .fields = "", .answers = ANSWERS_PAGE},

        {"GET", "/", ROLE_VIEWER, site_runs, "lists runs", .answers = ANSWERS_PAGE},
        {"GET", "/gates", ROLE_VIEWER, site_gates, "lists gates", .answers = ANSWERS_PAGE},
        {"GET", "/gates/{id}", ROLE_VIEWER, site_gate, "shows a gate's evidence", .answers = ANSWERS_PAGE},
        {"POST", "/gates/{id}/verdict", ROLE_REVIEWER, site_gate_verdict, "takes a verdict from its form", .answers = ANSWERS_PAGE},
        {"POST", "/runs/{id}/cancel", ROLE_DEVELOPER, site_run_cancel, "cancels a run from its form", .answers = ANSWERS_PAGE},
        {"POST", "/runs/{id}/rerun", ROLE_DEVELOPER, site_run_rerun, "runs again from its form", .answers = ANSWERS_PAGE},
        {"GET", "/models", ROLE_VIEWER, site_models, "lists models", .answers = ANSWERS_PAGE},
        {"GET", "/models/{owner}/{repo}/{name}", ROLE_VIEWER, site_model, "shows a model", .answers = ANSWERS_PAGE},
        {"GET", "/models/{owner}/{repo}/{name}/{version}", ROLE_VIEWER, site_model_version, "shows a model's version", .answers = ANSWERS_PAGE},
        {"GET", "/data", ROLE_VIEWER, site_datasets, "lists datasets", .answers = ANSWERS_PAGE},
        {"GET", "/data/{owner}/{repo}/{name}", ROLE_VIEWER, site_dataset, "shows a dataset", .answers = ANSWERS_PAGE},
        {"GET", "/audit", ROLE_ADMIN, site_audit, "lists who did what", .answers = ANSWERS_PAGE},
        {"GET", "/admin", ROLE_ADMIN, site_admin, "shows repos, environments, users and deliveries", .answers = ANSWERS_PAGE},
        {"GET", "/{owner}/{name}/workflows", ROLE_VIEWER, site_workflows, "shows a repo's workflows", .answers = ANSWERS_PAGE},
        {"POST", "/{owner}/{name}/workflows", ROLE_DEVELOPER, site_dispatch, "starts a workflow from its form", .answers = ANSWERS_PAGE},
        {"GET", "/{owner}/{name}", ROLE_VIEWER, site_repo, "lists a repo's runs", .answers = ANSWERS_PAGE},
        {"GET", "/{owner}/{name}/actions/runs/{id}/artifacts/{artifact}", ROLE_VIEWER, download_artifact_by_id,
                "gives an artifact at the address that jobs are told", .answers = ANSWERS_ZIP},
        {"GET", "/{owner}/{name}/runs/{number}", ROLE_VIEWER, site_run, "shows a run", .answers = ANSWERS_PAGE},
        {"GET", "/{owner}/{name}/runs/{number}/jobs/{key}", ROLE_VIEWER, site_job, "shows a job and its log", .answers = ANSWERS_PAGE},
};
const size_t routes_len = G_N_ELEMENTS(routes);

/** The methods of a pattern, for 405. */
static char *allowed_methods(const char *pattern)
{
	GString *allowed = g_string_new(NULL);
	for (size_t i = 0; i < routes_len; i++) {
		if (!g_str_equal(routes[i].pattern, pattern))
			continue;
		bool reads = g_str_equal(routes[i].method, "GET");
		g_string_append_printf(allowed, "%s%s", allowed->len ? ", " : "", reads ? "GET, HEAD" : routes[i].method);
	}
	return g_string_free(allowed, FALSE);
}

RouteMatch route_match(const char *method, const Target *target, GPtrArray *params)
{
	RouteMatch match = {0};
	const char *pattern = NULL;
	for (size_t i = 0; i < routes_len && !match.route; i++) {
		const Route *route = &routes[i];
		if (pattern ? !g_str_equal(route->pattern, pattern) : !target_fits(target, route->pattern, params))
			continue;
		pattern = route->pattern;
		if (g_str_equal(route->method, method))
			match.route = route;
	}
	if (pattern && !match.route)
		match.allowed = allowed_methods(pattern);
	return match;
}

/* ---- OpenAPI ---- */

static json_t *parameter(const char *name, size_t len, const char *where)
{
	json_t *schema = json_object();
	json_set_string(schema, "type", "string");
	json_t *object = json_object();
	json_set(object, "name", json_stringn(name, len));
	json_set_string(object, "in", where);
	json_set_bool(object, "required", g_str_equal(where, "path"));
	json_set(object, "schema", schema);
	return object;
}

static json_t *parameters(const Route *route)
{
	json_t *list = json_array();
	for (const char *at = strchr(route->pattern, '{'); at; at = strchr(at, '{')) {
		at++;
		json_array_append_new(list, parameter(at, strcspn(at, "}"), "path"));
	}
	g_auto(GStrv) names = g_strsplit(route->query ? route->query : "", " ", -1);
	for (size_t i = 0; names[i]; i++)
		if (*names[i])
			json_array_append_new(list, parameter(names[i], strlen(names[i]), "query"));
	return list;
}

static json_t *content(const char *type, json_t *schema)
{
	json_t *media = json_object(), *object = json_object();
	json_set(media, "schema", schema);
	json_set(object, type, media);
	return object;
}

static json_t *body_of(const Route *route)
{
	json_t *properties = json_object();
	g_auto(GStrv) names = g_strsplit(route->fields, " ", -1);
	for (size_t i = 0; names[i]; i++)
		if (*names[i])
			json_set(properties, names[i], json_object());
	json_t *schema = json_object();
	json_set_string(schema, "type", "object");
	json_set(schema, "properties", properties);
	json_set_bool(schema, "additionalProperties", false);
	json_t *body = json_object();
	json_set(body, "content", content("application/json", schema));
	return body;
}

static json_t *operation(const Route *route)
{
	static const char *const types[] = {"application/json", "text/plain", "text/event-stream", "text/html", "image/svg+xml",
	        "application/zip"};
	static const char *const roles[] = {"nobody has to sign in", "viewer", "developer", "reviewer", "admin"};
	json_t *object = json_object();
	json_set_string(object, "summary", route->summary);
	g_autofree char *description = g_strdup_printf("Role: %s.", roles[route->role]);
	json_set_string(object, "description", description);
	json_set(object, "parameters", parameters(route));
	if (route->fields && *route->fields)
		json_set(object, "requestBody", body_of(route));
	json_t *done = json_object(), *failed = json_object(), *responses = json_object(), *reference = json_object();
	json_set_string(done, "description", "done");
	json_set(done, "content", content(types[route->answers], json_object()));
	json_set_string(reference, "$ref", "#/components/schemas/Problem");
	json_set_string(failed, "description", "an error (RFC 9457)");
	json_set(failed, "content", content("application/problem+json", reference));
	json_set(responses, "2XX", done);
	json_set(responses, "default", failed);
	json_set(object, "responses", responses);
	if (route->role == ROLE_NONE)
		json_set(object, "security", json_array());
	return object;
}

static json_t *components(void)
{
	return json_pack("{s:{s:{s:s,s:s},s:{s:s,s:s,s:s}},s:{s:{s:s,s:{s:{s:s},s:{s:s},s:{s:s},s:{s:s},s:{s:s}}}}}",
	        "securitySchemes", "token", "type", "http", "scheme", "bearer", "session", "type", "apiKey", "in", "cookie",
	        "name", "assay_session", "schemas", "Problem", "type", "object", "properties", "type", "type", "string", "title",
	        "type", "string", "status", "type", "integer", "detail", "type", "string", "instance", "type", "string");
}

json_t *routes_openapi(const char *server_url)
{
	json_t *paths = json_object();
	for (size_t i = 0; i < routes_len; i++) {
		const Route *route = &routes[i];
		if (route->answers == ANSWERS_PAGE || (route->answers == ANSWERS_ZIP && !g_str_has_prefix(route->pattern, API)))
			continue;
		json_t *path = json_object_get(paths, route->pattern);
		if (!path) {
			path = json_object();
			json_set(paths, route->pattern, path);
		}
		g_autofree char *method = g_ascii_strdown(route->method, -1);
		json_set(path, method, operation(route));
	}
	json_t *document = json_pack("{s:s,s:{s:s,s:s,s:s},s:[{s:s}],s:[{s:[]},{s:[]}]}", "openapi", "3.1.0", "info", "title",
	        "Assay", "version", ASSAY_VERSION, "description",
	        "Everything the pages show. Lists take limit and after; errors are problem documents.", "servers", "url",
	        server_url ? server_url : "/", "security", "token", "session");
	json_set(document, "paths", paths);
	json_set(document, "components", components());
	return document;
}
