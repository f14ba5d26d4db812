/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /webhooks/{forge}: a delivery's bytes go to the store, and only then is it answered.
 *
 * A commit costs a write to the disk, whatever it holds. So requests whose signature held are parked; one idle source
 * takes all that have gathered in this turn of the loop, stores them in one transaction, and resumes them. While it
 * waits for the disk the next ones gather. When the store refuses, all of the group are told 500, so that the forges
 * send them again.
 *
 * An unknown repo, a repo without a secret and a wrong signature look alike: the same answer after the same work. The
 * reply says which they might be, the counter does not tell them apart either.
 */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/daemon/daemon.h"
#include "agent/store/deliveries.h"
#include "agent/store/repos.h"
#include "web/handlers.h"
#include "web/metrics.h"
#include "web/problem.h"

typedef struct Parked {
	Request *request;
	const Forge *forge;
	char *repo;
	char *delivery;
	char *headers; /* JSON */
	const char *event;
	bool is_fresh;
} Parked;

static GPtrArray *parked;
static guint idle;

static void parked_free(void *data)
{
	Parked *one = data;
	g_free(one->repo);
	g_free(one->delivery);
	g_free(one->headers);
	g_free(one);
}

static const char *forge_header(void *data, const char *name)
{
	return request_header(data, name);
}

/**
 * What parse() may ask for later, as the text of an object; neither signatures nor a forge's token are kept. Written by hand: a
 * tree of values that lives until it is written costs ten times as much. out_event is the header that names the event, for
 * the list of deliveries; a forge that has none loses nothing else.
 */
static char *kept_headers(const Request *request, const char **out_event)
{
	/* In the order that json_text() has. */
	static const char *const names[] = {"content-type", "idempotency-key", "user-agent", "x-assay-delivery", "x-event-key",
	        "x-forgejo-delivery", "x-forgejo-event", "x-forgejo-event-type", "x-gitea-delivery", "x-gitea-event",
	        "x-gitea-event-type", "x-github-delivery", "x-github-enterprise-host", "x-github-event", "x-gitlab-event",
	        "x-gitlab-event-uuid", "x-gitlab-instance", "x-request-id", "x-request-uuid"};
	GString *text = g_string_sized_new(256);
	const char *event = NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const char *value = request_header(request, names[i]);
		if (!value)
			continue;
		g_string_append(text, text->len ? ",\"" : "{\"");
		g_string_append(text, names[i]);
		g_string_append(text, "\":");
		json_append_string(text, value);
		if (g_str_has_suffix(names[i], "-event") || g_str_equal(names[i], "x-event-key"))
			event = value;
	}
	g_string_append(text, text->len ? "}" : "{}");
	*out_event = event;
	return g_string_free(text, FALSE);
}

/** A secret that nobody has: what a claim without a repo is verified with. */
static GBytes *dummy_secret(void)
{
	static uint8_t secret[HASH_BYTES];
	static bool is_made;
	if (!is_made)
		random_bytes(secret, sizeof secret);
	is_made = true;
	return g_bytes_new_static(secret, sizeof secret);
}

static bool is_signed(Request *request, const Forge *forge, const ForgeRequest *asked, const char *repo)
{
	g_autoptr(GBytes) known = repos_webhook_secret(request->face->store, repo ? repo : "");
	bool has = known && g_bytes_get_size(known) > 0;
	g_autoptr(GBytes) secret = has ? g_bytes_ref(known) : dummy_secret();
	size_t len = 0;
	const void *bytes = g_bytes_get_data(secret, &len);
	bool holds = forge->verify(asked, bytes, len);
	return holds && has && repo;
}

static bool store_parked(Face *face, GError **error)
{
	int64_t at_us = now_us();
	if (!store_begin(face->store, error))
		return false;
	for (guint i = 0; i < parked->len; i++) {
		Parked *one = parked->pdata[i];
		const GByteArray *body = one->request->body;
		const DeliverySpec spec = {.forge = one->forge->name, .delivery = one->delivery, .repo = one->repo,
		        .event = one->event, .headers = one->headers, .body = body->data, .body_len = body->len,
		        .received_us = at_us};
		if (!deliveries_put(face->store, &spec, NULL, &one->is_fresh, error)) {
			store_rollback(face->store);
			return false;
		}
	}
	return store_commit(face->store, error);
}

void hook_flush(Face *face)
{
	g_clear_handle_id(&idle, g_source_remove);
	if (!parked || parked->len == 0)
		return;
	g_autoptr(GError) error = NULL;
	bool stored = store_parked(face, &error);
	g_autoptr(GPtrArray) group = g_steal_pointer(&parked);
	for (guint i = 0; i < group->len; i++) {
		Parked *one = group->pdata[i];
		if (!stored) {
			g_prefix_error(&error, "%s", i == 0 ? "cannot store the delivery: " : "");
			problem_from_error(one->request, error);
		} else {
			GString *answer = g_string_new("{\"delivery\":");
			json_append_string(answer, one->delivery);
			g_string_append_c(answer, '}');
			reply_text(one->request, one->is_fresh ? 202 : 200, "application/json", g_string_free(answer, FALSE));
			if (one->is_fresh)
				face->counters->deliveries_accepted++;
			else
				face->counters->deliveries_repeated++;
		}
		request_resume(one->request);
	}
	if (!stored)
		return;
	face->counters->deliveries_commits++;
	daemon_wake(face->daemon);
}

static gboolean on_idle(void *data)
{
	idle = 0;
	hook_flush(data);
	return G_SOURCE_REMOVE;
}

bool hook_post(Request *request, GError **error)
{
	const char *name = request_param(request, "forge");
	const Forge *forge = forge_find(name);
	if (!forge)
		return fail(error, ASSAY_ERROR_ABSENT, "there is no forge '%s' here; see the list in the manual", name);
	ForgeRequest asked = {.header = forge_header, .data = request, .body = request->body->data,
	        .body_len = request->body->len};
	g_autofree char *repo = forge->claim(&asked);
	if (!is_signed(request, forge, &asked, repo)) {
		request->face->counters->deliveries_refused++;
		problem_answer(request, 401, "unauthorized", "cannot accept the delivery: its signature does not fit a repo that is "
		        "known here; compare the webhook's secret with the one given to 'assay repo add'");
		return true;
	}
	g_autofree char *delivery = forge->delivery(&asked);
	if (!delivery) {
		problem_answer(request, 400, "user", "cannot accept the delivery: the request carries no delivery id");
		return true;
	}
	if (!parked)
		parked = g_ptr_array_new_with_free_func(parked_free);
	Parked *one = g_new0(Parked, 1);
	*one = (Parked){.request = request, .forge = forge, .repo = g_steal_pointer(&repo),
	        .delivery = g_steal_pointer(&delivery)};
	one->headers = kept_headers(request, &one->event);
	g_ptr_array_add(parked, one);
	/* At the server's own priority: lower, it would starve under a steady stream of requests. */
	if (!idle)
		idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, request->face, NULL);
	return request_park(request);
}
