/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to webhooks/: a forge. All functions are pure: bytes and headers in, facts out. The agent calls
 * identify() and verify() before it stores a delivery; parse() meets the payload only afterwards.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** A request as it came. header() finds a header by name without regard to case; NULL when absent. */
typedef struct ForgeRequest {
	const char *(*header)(void *data, const char *name);
	void *data;
	const void *body;
	size_t body_len;
} ForgeRequest;

/** What a delivery says, in our words. Strings are the event's own (forge_event_free). */
typedef struct ForgeEvent {
	char *repo;    /* "owner/name" */
	char *event;   /* GitHub's name: push, pull_request, ping, release … */
	char *action;  /* for events that have one; else NULL */
	char *ref;     /* "refs/heads/main", "refs/tags/v1", "refs/pull/7/merge" */
	char *sha;     /* the commit to run; NULL when there is none (ping, deletion) */
	char *before;
	char *title;   /* first line of the head commit's message, or the pull request's title */
	char *actor;
	bool deleted;  /* the ref went away: nothing runs */
	bool untrusted; /* from a fork, or by someone the forge does not call a member */
	json_t *payload; /* the event's payload in GitHub's shape, for github.event */
} ForgeEvent;

/** Frees an event; accepts NULL. Defined inline so that both halves have it. */
static inline void forge_event_free(ForgeEvent *event)
{
	if (!event)
		return;
	g_free(event->repo);
	g_free(event->event);
	g_free(event->action);
	g_free(event->ref);
	g_free(event->sha);
	g_free(event->before);
	g_free(event->title);
	g_free(event->actor);
	json_decref(event->payload);
	g_free(event);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ForgeEvent, forge_event_free)

typedef struct Forge {
	const char *name;    /* the last part of /webhooks/NAME */
	const char *summary;
	/** The delivery's id, the caller's; NULL when the request has none (answered 400). */
	char *(*delivery)(const ForgeRequest *request);
	/**
	 * The repo that the body claims, "owner/name", found without a full parse and without trust: only to pick
	 * the secret to verify with. The caller's; NULL when there is none.
	 */
	char *(*claim)(const ForgeRequest *request);
	/** Is the body signed with this secret? Constant time. */
	bool (*verify)(const ForgeRequest *request, const void *secret, size_t secret_len);
	/** The event in our words; NULL with USER when the payload cannot be read. */
	ForgeEvent *(*parse)(const ForgeRequest *request, GError **error);
	/**
	 * The request that sets a commit's status: {"method","url","headers":{},"body":{}}, `api` being the forge's
	 * address; NULL when the forge has no statuses (generic).
	 */
	json_t *(*status)(const char *api, const char *repo, const char *sha, const char *state, const char *context,
	        const char *description, const char *target_url);
} Forge;

/** NULL-terminated; the rows are in webhooks/table.c. */
extern const Forge *const forges[];

static inline const Forge *forge_find(const char *name)
{
	for (size_t i = 0; forges[i]; i++)
		if (g_strcmp0(forges[i]->name, name) == 0)
			return forges[i];
	return NULL;
}
