/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/runs and /api/v1/jobs. */
#include "agent/store/runs.h"
#include "agent/base/json.h"
#include "web/handlers.h"

bool api_runs_list(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	if (!request_page(request, &after, &limit, error))
		return false;
	g_autoptr(json_t) filter = request_filter(request, "repo status branch workflow event actor delivery");
	return reply_json(request, 200, runs_list(request->face->store, filter, after, limit, error));
}

bool api_runs_get(Request *request, GError **error)
{
	int64_t id, attempt;
	return request_param_id(request, "id", &id, error) &&
	        request_query_int(request, "attempt", 1, G_MAXINT64, 0, &attempt, error) &&
	        reply_json(request, 200, runs_get_attempt(request->face->store, id, attempt, error));
}

bool api_runs_cancel(Request *request, GError **error)
{
	int64_t id;
	if (!request_param_id(request, "id", &id, error))
		return false;
	g_autoptr(json_t) run = runs_get(request->face->store, id, error);
	if (!run || !daemon_cancel(request->face->daemon, id, request_user(request), error))
		return false;
	return reply_json(request, 202, runs_get(request->face->store, id, error));
}

bool api_runs_rerun(Request *request, GError **error)
{
	int64_t id, attempt;
	if (!request_param_id(request, "id", &id, error))
		return false;
	g_autoptr(json_t) body = request_json(request, "jobs debug", error);
	if (!body || !daemon_rerun(request->face->daemon, id, body, request_user(request), &attempt, error))
		return false;
	return reply_json(request, 202, runs_get(request->face->store, id, error));
}

bool api_runs_reports(Request *request, GError **error)
{
	int64_t id, attempt;
	if (!request_param_id(request, "id", &id, error) ||
	        !request_query_int(request, "attempt", 1, G_MAXINT64, 0, &attempt, error))
		return false;
	g_autoptr(json_t) run = runs_get_attempt(request->face->store, id, attempt, error);
	json_t *reports = run ? runs_reports(request->face->store, id, attempt, error) : NULL;
	return reports && reply_json(request, 200, json_pack("{s:o}", "reports", reports));
}

bool api_jobs_get(Request *request, GError **error)
{
	int64_t id;
	return request_param_id(request, "id", &id, error) &&
	        reply_json(request, 200, runs_job(request->face->store, id, error));
}
