/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/gates. What a verdict means is the gatekeeper's to say. */
#include "agent/daemon/gatekeeper.h"
#include "agent/store/gates.h"
#include "web/handlers.h"

bool api_gates_list(Request *request, GError **error)
{
	const char *after;
	int64_t limit;
	if (!request_page(request, &after, &limit, error))
		return false;
	g_autoptr(json_t) filter = request_filter(request, "status repo");
	return reply_json(request, 200, gates_list(request->face->store, filter, after, limit, error));
}

bool api_gates_get(Request *request, GError **error)
{
	int64_t id;
	return request_param_id(request, "id", &id, error) &&
	        reply_json(request, 200, gates_get(request->face->store, id, error));
}

bool api_gates_verdict(Request *request, GError **error)
{
	int64_t id;
	if (!request_param_id(request, "id", &id, error))
		return false;
	g_autoptr(json_t) verdict = request_json(request, "verdict comment override evidence_digest", error);
	json_t *gate = NULL;
	return verdict && gatekeeper_verdict(request->face->daemon, id, request->user, verdict, &gate, error) &&
	        reply_json(request, 200, gate);
}
