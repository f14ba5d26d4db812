/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/models. */
#include "agent/store/models.h"
#include "web/handlers.h"

bool api_models_list(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	return request_page(request, &after, &limit, error) &&
	        reply_json(request, 200, models_list(request->face->store, request_query(request, "repo"), after, limit, error));
}

bool api_models_get(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	return reply_json(request, 200, models_show(request->face->store, repo, request_param(request, "name"), error));
}
