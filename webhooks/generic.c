/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generic: a signed JSON push, for a git server's post-receive hook and for scripts. The smallest example of a forge.
 *
 *   {"repo":"acme/digits","event":"push","ref":"refs/heads/main","before":"…","after":"…"}
 *
 * signed by `X-Assay-Signature-256: sha256=<hex HMAC of the body>`, named by `X-Assay-Delivery`. `event` may be any of
 * GitHub's names; `action`, `title`, `actor` and `payload` (GitHub's shape, for github.event) may be given.
 */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/forge.h"
#include "webhooks/claim.h"
#include "webhooks/event.h"
#include "webhooks/signature.h"

static char *generic_delivery(const ForgeRequest *request)
{
	return event_delivery_id(request, "x-assay-delivery");
}

static char *generic_claim(const ForgeRequest *request)
{
	return claim_repo(request->body, request->body_len, "repo", NULL);
}

static bool generic_verify(const ForgeRequest *request, const void *secret, size_t secret_len)
{
	return signature_hmac_sha256(request->header(request->data, "x-assay-signature-256"), "sha256=",
	        request->body, request->body_len, secret, secret_len);
}

/** What github.event holds for a push, from the little that was sent. */
static json_t *push_payload(const json_t *body, const ForgeEvent *event)
{
	json_t *payload = json_object();
	json_set_string(payload, "ref", event->ref);
	json_set_string(payload, "before", event_text(body, "before", NULL));
	json_set_string(payload, "after", event_text(body, "after", NULL));
	json_set_bool(payload, "deleted", event->deleted);
	json_t *repository = json_object();
	json_set_string(repository, "full_name", event->repo);
	json_set(payload, "repository", repository);
	return payload;
}

static ForgeEvent *generic_parse(const ForgeRequest *request, GError **error)
{
	g_autoptr(json_t) body = json_parse(request->body, request->body_len, "the payload", error);
	if (!body)
		return NULL;
	const char *ref = event_text(body, "ref", NULL), *after = event_text(body, "after", NULL);
	g_autoptr(ForgeEvent) event = g_new0(ForgeEvent, 1);
	event->repo = g_strdup(event_text(body, "repo", NULL));
	event->event = g_strdup(json_get_string(body, "event", "push"));
	event->action = g_strdup(event_text(body, "action", NULL));
	event->ref = g_strdup(ref);
	event->sha = event_sha(after);
	event->before = event_sha(event_text(body, "before", NULL));
	event->title = event_title(event_text(body, "title", NULL));
	event->actor = g_strdup(event_text(body, "actor", NULL));
	event->deleted = event_is_zero_sha(after);
	event->untrusted = json_get_bool(body, "untrusted", false);
	if (!claim_is_repo_name(event->repo)) {
		fail(error, ASSAY_ERROR_USER, "cannot read the payload: 'repo' is not \"owner/name\"");
		return NULL;
	}
	bool is_push = g_str_equal(event->event, "push");
	if ((ref || is_push) && !event_is_ref(ref)) {
		fail(error, ASSAY_ERROR_USER, "cannot read the payload: 'ref' must be a full name as \"refs/heads/main\"");
		return NULL;
	}
	if (after && !event->sha && !event->deleted) {
		fail(error, ASSAY_ERROR_USER, "cannot read the payload: 'after' is not a commit's full id in lower-case hex");
		return NULL;
	}
	json_t *payload = json_object_get(body, "payload");
	event->payload = json_is_object(payload) ? json_incref(payload) : push_payload(body, event);
	return g_steal_pointer(&event);
}

static json_t *generic_status(const char *api, const char *repo, const char *sha, const char *state,
        const char *context, const char *description, const char *target_url)
{
	(void)api, (void)repo, (void)sha, (void)state, (void)context, (void)description, (void)target_url;
	return NULL;
}

extern const Forge forge_generic;
const Forge forge_generic = {
        .name = "generic",
        .summary = "any git server or script: a signed JSON push",
        .delivery = generic_delivery,
        .claim = generic_claim,
        .verify = generic_verify,
        .parse = generic_parse,
        .status = generic_status,
};
