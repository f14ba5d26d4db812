/* SPDX-License-Identifier: Apache-2.0 */
/*
 * github: GitHub and GitHub Enterprise Server. https://docs.github.com/en/webhooks
 *
 * The delivery's id is X-GitHub-Delivery, the same when it is sent again. The signature is over the raw body, whichever
 * of the two content types the hook was set to; with application/x-www-form-urlencoded the JSON is in the field
 * `payload`. Trust: what only someone with write access can cause is trusted; a pull request from another repo, and what
 * any visitor can cause (a comment, an issue, a star), is not, unless the forge calls its author a member.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/forge.h"
#include "webhooks/claim.h"
#include "webhooks/event.h"
#include "webhooks/signature.h"

#define GITHUB_API "https://api.github.com"
#define STATUS_DESCRIPTION_CHARACTERS 140

static char *github_delivery(const ForgeRequest *request)
{
	return event_delivery_id(request, "x-github-delivery");
}

static bool is_form(const ForgeRequest *request)
{
	const char *type = request->header(request->data, "content-type");
	return type && g_ascii_strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0;
}

/** The JSON of the request; of a form, its field `payload`, decoded. NULL when it is not there. */
static GBytes *payload_text(const ForgeRequest *request)
{
	if (!is_form(request))
		return g_bytes_new_static(request->body_len ? request->body : "", request->body_len);
	const char *at = request->body, *end = at ? at + request->body_len : at;
	if (request->body_len < 8 || memcmp(at, "payload=", 8) != 0)
		return NULL;
	const char *stop = memchr(at, '&', request->body_len);
	GByteArray *text = g_byte_array_new();
	for (at += 8; at < (stop ? stop : end); at++) {
		uint8_t byte = *at == '+' ? ' ' : (uint8_t)*at;
		if (*at == '%') {
			if (end - at < 3 || !g_ascii_isxdigit(at[1]) || !g_ascii_isxdigit(at[2])) {
				g_byte_array_unref(text);
				return NULL;
			}
			byte = (uint8_t)(g_ascii_xdigit_value(at[1]) << 4 | g_ascii_xdigit_value(at[2]));
			at += 2;
		}
		g_byte_array_append(text, &byte, 1);
	}
	return g_byte_array_free_to_bytes(text);
}

static char *github_claim(const ForgeRequest *request)
{
	g_autoptr(GBytes) text = payload_text(request);
	if (!text)
		return NULL;
	size_t len = 0;
	const char *json = g_bytes_get_data(text, &len);
	return claim_repo(json, len, "repository", "full_name");
}

static bool github_verify(const ForgeRequest *request, const void *secret, size_t secret_len)
{
	return signature_hmac_sha256(request->header(request->data, "x-hub-signature-256"), "sha256=", request->body,
	        request->body_len, secret, secret_len);
}

static bool is_member(const char *association)
{
	static const char *const members[] = {"OWNER", "MEMBER", "COLLABORATOR", NULL};
	return association && g_strv_contains(members, association);
}

/** Events that only someone who may write to the repo, or the forge itself, can cause. */
static bool needs_write_access(const char *event)
{
	static const char *const names[] = {"branch_protection_rule", "check_run", "check_suite", "create", "delete",
	        "deployment", "deployment_status", "label", "merge_group", "milestone", "ping", "push",
	        "registry_package", "release", "repository_dispatch", "status", "workflow_dispatch", "workflow_run", NULL};
	return g_strv_contains(names, event);
}

/** Do head and base belong to different repos? A head whose repo is gone counts as different. */
static bool is_from_fork(const json_t *pull)
{
	const json_t *head = json_object_get(json_object_get(json_object_get(pull, "head"), "repo"), "id");
	const json_t *base = json_object_get(json_object_get(json_object_get(pull, "base"), "repo"), "id");
	return !json_is_integer(head) || !json_is_integer(base) || !json_equal(head, base);
}

static bool is_untrusted(const char *event, const json_t *payload)
{
	if (needs_write_access(event))
		return false;
	const json_t *pull = json_object_get(payload, "pull_request");
	if (pull && is_from_fork(pull))
		return true;
	if (g_str_equal(event, "pull_request"))
		return pull == NULL;
	static const char *const authored[] = {"comment", "review", "discussion", "issue"};
	for (size_t i = 0; i < G_N_ELEMENTS(authored); i++) {
		const json_t *thing = json_object_get(payload, authored[i]);
		if (!thing)
			continue;
		/* The association is its author's; an action of somebody else, as a label, proves nothing about them. */
		return !is_member(event_text(thing, "author_association", NULL)) ||
		        g_strcmp0(event_text(thing, "user", "login", NULL), event_text(payload, "sender", "login", NULL)) != 0;
	}
	return true;
}

static void read_push(const json_t *payload, ForgeEvent *out)
{
	const char *after = event_text(payload, "after", NULL);
	out->ref = g_strdup(event_text(payload, "ref", NULL));
	out->sha = event_sha(after);
	out->before = event_sha(event_text(payload, "before", NULL));
	out->deleted = json_get_bool(payload, "deleted", false) || event_is_zero_sha(after);
	if (out->deleted)
		g_clear_pointer(&out->sha, g_free);
	out->title = event_title(event_text(payload, "head_commit", "message", NULL));
	if (!out->actor)
		out->actor = g_strdup(event_text(payload, "pusher", "name", NULL));
}

static void read_pull_request(const json_t *payload, ForgeEvent *out)
{
	const json_t *pull = json_object_get(payload, "pull_request");
	int64_t number = json_get_int(payload, "number", json_get_int(pull, "number", 0));
	if (number > 0)
		out->ref = g_strdup_printf("refs/pull/%" G_GINT64_FORMAT "/merge", number);
	out->sha = event_sha(event_text(pull, "head", "sha", NULL));
	out->before = event_sha(event_text(payload, "before", NULL));
	out->title = event_title(event_text(pull, "title", NULL));
}

/** Everything else happens on the default branch, as GitHub has it. */
static void read_other(const json_t *payload, ForgeEvent *out)
{
	const char *name = event_text(payload, "ref", NULL), *kind = event_text(payload, "ref_type", NULL);
	if (g_str_equal(out->event, "create") || g_str_equal(out->event, "delete")) {
		out->ref = event_ref(g_strcmp0(kind, "tag") == 0 ? "refs/tags/" : "refs/heads/", name);
		out->deleted = g_str_equal(out->event, "delete");
	} else if (g_str_equal(out->event, "release")) {
		out->ref = event_ref("refs/tags/", event_text(payload, "release", "tag_name", NULL));
		out->title = event_title(event_text(payload, "release", "name", NULL));
	} else if (g_str_equal(out->event, "merge_group")) {
		out->ref = g_strdup(event_text(payload, "merge_group", "head_ref", NULL));
		out->sha = event_sha(event_text(payload, "merge_group", "head_sha", NULL));
		out->before = event_sha(event_text(payload, "merge_group", "base_sha", NULL));
	} else if (g_str_equal(out->event, "workflow_dispatch") && event_is_ref(name)) {
		out->ref = g_strdup(name);
	} else if (!g_str_equal(out->event, "ping")) {
		out->ref = event_ref("refs/heads/", event_text(payload, "repository", "default_branch", NULL));
	}
	if (!out->title)
		out->title = event_title(event_text(payload, "issue", "title", NULL));
}

static bool is_event_name(const char *name)
{
	return name && *name && strlen(name) <= 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name);
}

static ForgeEvent *github_parse(const ForgeRequest *request, GError **error)
{
	const char *name = request->header(request->data, "x-github-event");
	if (!is_event_name(name)) {
		fail(error, ASSAY_ERROR_USER, "cannot read the delivery: no X-GitHub-Event header that names an event");
		return NULL;
	}
	g_autoptr(GBytes) text = payload_text(request);
	if (!text) {
		fail(error, ASSAY_ERROR_USER, "cannot read the payload: no field 'payload' in the form; "
		        "set the webhook's content type to application/json");
		return NULL;
	}
	size_t len = 0;
	const char *json = g_bytes_get_data(text, &len);
	g_autoptr(json_t) payload = json_parse(json, len, "the payload", error);
	if (!payload)
		return NULL;
	g_autoptr(ForgeEvent) event = g_new0(ForgeEvent, 1);
	event->event = g_strdup(name);
	event->repo = g_strdup(event_text(payload, "repository", "full_name", NULL));
	event->action = g_strdup(event_text(payload, "action", NULL));
	event->actor = g_strdup(event_text(payload, "sender", "login", NULL));
	event->untrusted = is_untrusted(name, payload);
	if (!claim_is_repo_name(event->repo)) {
		fail(error, ASSAY_ERROR_USER, "cannot read the payload: 'repository.full_name' is not \"owner/name\"");
		return NULL;
	}
	if (g_str_equal(name, "push"))
		read_push(payload, event);
	else if (json_object_get(payload, "pull_request"))
		read_pull_request(payload, event);
	else
		read_other(payload, event);
	bool needs_ref = g_str_equal(name, "push") || g_str_equal(name, "pull_request");
	if ((needs_ref || event->ref) && !event_is_ref(event->ref)) {
		fail(error, ASSAY_ERROR_USER, "cannot read the payload: the event '%s' names no ref that git would have", name);
		return NULL;
	}
	if (needs_ref && !event->sha && !event->deleted) {
		fail(error, ASSAY_ERROR_USER, "cannot read the payload: the event '%s' names no commit", name);
		return NULL;
	}
	event->payload = g_steal_pointer(&payload);
	return g_steal_pointer(&event);
}

static const char *status_word(const char *state)
{
	static const struct {
		const char *ours, *theirs;
	} words[] = {{"queued", "pending"}, {"waiting", "pending"}, {"running", "pending"}, {"success", "success"},
	        {"skipped", "success"}, {"failure", "failure"}, {"cancelled", "error"}};
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (g_strcmp0(state, words[i].ours) == 0)
			return words[i].theirs;
	return "error";
}

static json_t *github_status(const char *api, const char *repo, const char *sha, const char *state,
        const char *context, const char *description, const char *target_url)
{
	if (!claim_is_repo_name(repo) || !sha)
		return NULL;
	g_autofree char *url = g_strdup_printf("%s/repos/%s/statuses/%s", api && *api ? api : GITHUB_API, repo, sha);
	g_autofree char *short_text = NULL;
	if (description && g_utf8_strlen(description, -1) > STATUS_DESCRIPTION_CHARACTERS) {
		g_autofree char *start = g_utf8_substring(description, 0, STATUS_DESCRIPTION_CHARACTERS - 1);
		short_text = g_strconcat(start, "…", NULL);
	}
	json_t *headers = json_object();
	json_set_string(headers, "Accept", "application/vnd.github+json");
	json_set_string(headers, "Content-Type", "application/json");
	json_set_string(headers, "X-GitHub-Api-Version", "2022-11-28");
	json_t *body = json_object();
	json_set_string(body, "state", status_word(state));
	json_set_string(body, "context", context);
	json_set_string(body, "description", short_text ? short_text : description);
	json_set_string(body, "target_url", target_url);
	json_t *request = json_object();
	json_set_string(request, "method", "POST");
	json_set_string(request, "url", url);
	json_set(request, "headers", headers);
	json_set(request, "body", body);
	return request;
}

extern const Forge forge_github;
const Forge forge_github = {
        .name = "github",
        .summary = "GitHub and GitHub Enterprise Server",
        .delivery = github_delivery,
        .claim = github_claim,
        .verify = github_verify,
        .parse = github_parse,
        .status = github_status,
};
