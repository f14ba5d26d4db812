/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A delivery becomes a plan task, once. What the payload says is read here, after it was stored and answered; what the
 * repo says is read by a worker.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/store/deliveries.h"
#include "agent/store/repos.h"

static const char *stored_header(void *data, const char *name)
{
	g_autofree char *lower = g_ascii_strdown(name, -1);
	return json_string_value(json_object_get(data, lower));
}

static json_t *event_object(const ForgeEvent *event)
{
	json_t *object = json_object();
	json_set_string(object, "event", event->event);
	json_set_string(object, "action", event->action);
	json_set_string(object, "ref", event->ref);
	json_set_string(object, "sha", event->sha);
	json_set_string(object, "before", event->before);
	json_set_string(object, "title", event->title);
	json_set_string(object, "actor", event->actor);
	json_set_bool(object, "untrusted", event->untrusted);
	json_set(object, "payload", event->payload ? json_incref(event->payload) : json_object());
	return object;
}

static bool plan(Daemon *daemon, const json_t *delivery, const char **out_outcome, char **out_message, GError **error)
{
	const Forge *forge = forge_find(json_get_string(delivery, "forge", ""));
	if (!forge)
		return fail(error, ASSAY_ERROR_USER, "this program does not know the forge");
	const char *body = json_string_value(json_object_get(delivery, "body"));
	ForgeRequest request = {.header = stored_header, .data = json_object_get(delivery, "headers"),
	        .body = body ? body : "", .body_len = json_string_length(json_object_get(delivery, "body"))};
	g_autoptr(ForgeEvent) event = forge->parse(&request, error);
	if (!event)
		return false;
	if (event->deleted || !event->ref) {
		*out_outcome = "ignored";
		*out_message = g_strdup_printf("%s: nothing to run%s", event->event,
		        event->deleted ? ", the ref was deleted" : "");
		return true;
	}
	g_autoptr(json_t) repo = repos_get(daemon->store, json_get_string(delivery, "repo", event->repo), error);
	if (!repo)
		return false;
	g_autoptr(json_t) input = json_object();
	json_set(input, "event", event_object(event));
	json_set_string(input, "delivery", json_get_string(delivery, "delivery", NULL));
	json_set_int(input, "delivery_row", json_get_int(delivery, "id", 0));
	*out_outcome = "runs";
	return queue_put(daemon->store, "plan", json_get_int(repo, "id", 0), 0, 0, input, 0, NULL, error);
}

/* One delivery, in the caller's transaction; false only when the store fails. */
static bool take_in(Daemon *daemon, const json_t *delivery, GError **error)
{
	const char *outcome = "failed";
	g_autofree char *message = NULL;
	g_autoptr(GError) why = NULL;
	if (!plan(daemon, delivery, &outcome, &message, &why)) {
		if (error_type(why) && strcmp(error_type(why), "system") == 0) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		outcome = "failed";
		message = g_strdup(why->message);
		log_warning("delivery cannot be used, continuing",
		        KV("delivery", json_get_string(delivery, "delivery", "")), KV("why", message));
	}
	return deliveries_done(daemon->store, json_get_int(delivery, "id", 0), outcome, message, error);
}

bool intake_run(Daemon *daemon, int most)
{
	g_autoptr(GError) error = NULL;
	bool open = false;
	bool good = true;
	int taken = 0;
	while (good && taken < most) {
		g_autoptr(json_t) delivery = deliveries_next(daemon->store, &error);
		if (!delivery)
			break;
		if (!open)
			good = open = store_begin(daemon->store, &error);
		good = good && take_in(daemon, delivery, &error);
		taken++;
	}
	if (open && (!good || error))
		store_rollback(daemon->store);
	else if (open)
		good = daemon_commit(daemon, &error);
	if (error)
		log_error("deliveries wait: the store refuses to take them in", KV("why", error->message));
	return good && taken == most;
}
