/* SPDX-License-Identifier: Apache-2.0 */
/* The table of addresses: one row each, and what is made from the rows. */
#pragma once

#include "web/request.h"

typedef bool (*RouteHandler)(Request *request, GError **error);

struct Route {
	const char *method;
	const char *pattern;
	Role role;
	RouteHandler handler;
	const char *summary;
	const char *query;  /* names of query parameters, spaces between; NULL: none */
	const char *fields; /* names of the JSON body's fields; NULL: no body */
	enum { ANSWERS_JSON, ANSWERS_TEXT, ANSWERS_EVENTS, ANSWERS_PAGE, ANSWERS_SVG, ANSWERS_ZIP } answers;
	bool is_raw;        /* the handler reads the body itself: no CSRF check, no limit of the API */
};

extern const Route routes[];
extern const size_t routes_len;

typedef struct RouteMatch {
	const Route *route;   /* NULL: no row, or none with this method */
	char *allowed;        /* "GET, HEAD, PUT" when the path is known but the method is not; the caller's */
} RouteMatch;

/** The row for a method and a path. The first row that fits the path decides which rows count; params as target_fits(). */
RouteMatch route_match(const char *method, const Target *target, GPtrArray *params);

/** OpenAPI 3.1 of all rows below /api/ and of the open addresses; the caller's. */
json_t *routes_openapi(const char *server_url);
