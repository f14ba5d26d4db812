/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problems. `type` is stable and made for programs, `detail` is the sentence for a person, `instance` is the id of the log
 * line. Someone who has not signed in learns nothing about this machine from a failure of it.
 */
#include "web/problem.h"

#include "agent/base/error.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "web/site.h"

static const char *title_of(unsigned status)
{
	switch (status) {
	case 400: return "Bad request";
	case 401: return "Not signed in";
	case 403: return "Not allowed";
	case 404: return "Not found";
	case 405: return "Method not allowed";
	case 409: return "Not now";
	case 413: return "Too large";
	case 416: return "Range not satisfiable";
	case 422: return "Cannot be used";
	case 429: return "Too many attempts";
	case 502: return "The other side failed";
	case 503: return "Not ready";
	default: return "Failed";
	}
}

static json_t *document(unsigned status, const char *type, const char *detail, const char *id)
{
	g_autofree char *address = g_strconcat("/problems/", type, NULL);
	json_t *problem = json_object();
	json_set_string(problem, "type", address);
	json_set_string(problem, "title", title_of(status));
	json_set_int(problem, "status", status);
	json_set_string(problem, "detail", detail);
	json_set_string(problem, "instance", id);
	return problem;
}

char *problem_text(unsigned status, const char *type, const char *detail, const char *id)
{
	g_autoptr(json_t) problem = document(status, type, detail, id);
	return json_text(problem);
}

static void answer(Request *request, unsigned status, const char *type, const char *detail, const char *told)
{
	uint8_t bytes[6];
	char id[2 * sizeof bytes + 1];
	random_bytes(bytes, sizeof bytes);
	hex_write(bytes, sizeof bytes, id);
	/* The path alone: a query may hold a sign-in link's secret. */
	g_autofree char *path = NULL;
	if (request->target)
		path = g_strndup(request->target->raw, strcspn(request->target->raw, "?"));
	if (status >= 500)
		log_error("request failed", KV("id", (const char *)id), KV("method", request->method), KV("path", path),
		        KV("status", status), KV("why", detail));
	else
		log_debug("request refused", KV("id", (const char *)id), KV("method", request->method), KV("path", path),
		        KV("status", status), KV("why", detail));
	json_t *problem = document(status, type, told, id);
	if (request->target && request_wants_page(request)) {
		json_set_string(problem, "id", id);
		site_show(request, status, page_error, problem, (SiteFlash){0});
		json_decref(problem);
		return;
	}
	if (!reply_json(request, status, problem))
		reply_empty(request, status);
	request->reply.type = "application/problem+json";
}

void problem_answer(Request *request, unsigned status, const char *type, const char *detail)
{
	answer(request, status, type, detail, detail);
}

void problem_from_error(Request *request, const GError *error)
{
	const char *type = error_type(error);
	const char *detail = error ? error->message : "failed without a reason";
	bool hides = g_str_equal(type, "system") && !request->user;
	answer(request, error_http_status(error), type, detail,
	        hides ? "the agent failed; its log says why, on the line with this id" : detail);
}
