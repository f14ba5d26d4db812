/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/datasets. */
#include "agent/store/datasets.h"
#include "web/handlers.h"

bool api_datasets_list(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	return request_page(request, &after, &limit, error) &&
	        reply_json(request, 200, datasets_list(request->face->store, request_query(request, "repo"), after, limit, error));
}

bool api_datasets_get(Request *request, GError **error)
{
	g_autofree char *repo = request_repo(request);
	return reply_json(request, 200, datasets_show(request->face->store, repo, request_param(request, "name"), error));
}
