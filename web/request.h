/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its reply, as handlers see them: nothing of libmicrohttpd. A handler reads, asks the store or the
 * daemon, calls one reply_…() and returns true; or returns false with an error, which web/problem.c turns into an answer.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/autoptr.h"
#include "agent/daemon/daemon.h"
#include "web/target.h"

typedef struct Request Request;
typedef struct Route Route;
typedef struct Feed Feed;
typedef struct Counters Counters;
typedef struct Limiter Limiter;

/** Roles in order; ROLE_NONE: nobody needs to have signed in. */
typedef enum Role { ROLE_NONE, ROLE_VIEWER, ROLE_DEVELOPER, ROLE_REVIEWER, ROLE_ADMIN } Role;

/** What all requests share. */
typedef struct Face {
	Daemon *daemon;
	Store *store;
	Counters *counters;
	Limiter *limiter; /* failed sign-ins by caller and name */
	Limiter *callers; /* and by caller alone, with more patience */
	unsigned downloads; /* under way */
	bool stopping;
} Face;

typedef struct Reply {
	unsigned status;      /* 0: none yet */
	const char *type;     /* static */
	GBytes *body;
	GPtrArray *headers;   /* char *: name, value */
	int fd;               /* a file's part instead of a body; -1: none */
	uint64_t fd_offset, fd_len;
	Feed *feed;           /* a body that comes bit by bit */
	bool is_unsized;      /* to HEAD: nobody knows yet how long the body would be */
} Reply;

typedef enum IdentifiedBy { BY_NOBODY, BY_SOCKET, BY_TOKEN, BY_SESSION } IdentifiedBy;

struct Request {
	Face *face;
	void *connection;      /* the server's */
	const char *method;    /* HEAD arrives as GET with is_head */
	bool is_head;
	bool is_parked;        /* the handler answers later, by request_resume() */
	Target *target;
	const Route *route;
	GPtrArray *params;
	GByteArray *body;
	GPtrArray *form;       /* read by request_form() */
	json_t *user;          /* {"name","role",…}; NULL: nobody */
	IdentifiedBy identified_by;
	bool via_socket;
	bool is_loopback;
	uid_t peer_uid;        /* (uid_t)-1: unknown */
	char *address;         /* who is calling, as text: for limits and the log */
	int64_t started_us;
	Reply reply;
};

/** A request header without regard to case; NULL when absent. Borrowed. */
const char *request_header(const Request *request, const char *name);
/** The value of a cookie; the caller's, or NULL. */
char *request_cookie(const Request *request, const char *name);
/** What {name} of the route's pattern took. Never NULL for a name that is in the pattern. */
const char *request_param(const Request *request, const char *name);
/** {name} as an id; ABSENT when it is no positive number, because nothing has such an id. */
bool request_param_id(const Request *request, const char *name, int64_t *out, GError **error);
/** "{owner}/{name}" of the path, the caller's. */
char *request_repo(const Request *request);
const char *request_query(const Request *request, const char *name);
/** ?name= as a number between low and high; USER when it is anything else. */
bool request_query_int(const Request *request, const char *name, int64_t low, int64_t high, int64_t fallback,
        int64_t *out, GError **error);
/** ?limit= and ?after=. */
bool request_page(const Request *request, const char **out_after, int64_t *out_limit, GError **error);
/** The names of a query, those that are given, as a filter for the store: {"repo":"…"}. The caller's. */
json_t *request_filter(const Request *request, const char *names);
/**
 * The body as a JSON object that has no other keys than `keys` (words with spaces between; NULL: any); an empty body is
 * an empty object. The caller's; NULL with USER.
 */
json_t *request_json(const Request *request, const char *keys, GError **error);
/** A field of the body as an HTML form sends it; NULL when absent. Borrowed. */
const char *request_form(Request *request, const char *name);
bool request_is_form(const Request *request);

const char *request_user(const Request *request);
Role request_role(const Request *request);
Role role_parse(const char *name);
/** Does the caller want a page rather than JSON? */
bool request_wants_page(const Request *request);

/** Makes a change and its audit entry one transaction: call with the change's own result after store_begin(). */
bool request_finish(Request *request, bool done, const char *action, const char *subject, const json_t *detail,
        GError **error);

/** Takes value. Always true, so that a handler can return it; false when value is NULL. */
bool reply_json(Request *request, unsigned status, json_t *value);
/** Takes text, which g_free() frees. */
bool reply_text(Request *request, unsigned status, const char *type, char *text);
/** Takes body. */
bool reply_bytes(Request *request, unsigned status, const char *type, GBytes *body);
bool reply_empty(Request *request, unsigned status);
/** 303 to a path of ours. */
bool reply_redirect(Request *request, const char *location);
/** Takes feed. */
bool reply_feed(Request *request, const char *type, Feed *feed);
void reply_header(Request *request, const char *name, const char *value);
void reply_clear(Reply *reply);

/** Suspends the connection until request_resume(): a handler that answers later returns this. */
bool request_park(Request *request);
void request_resume(Request *request);
