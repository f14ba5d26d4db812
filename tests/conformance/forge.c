/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every forge keeps its contract, and every golden payload means what its file says: tests/golden/payloads/FORGE/NAME.json
 * is {"headers":{…},"payload":{…},"event":{…}|null}, null when the payload has to be refused.
 */
#include "agent/forge.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"

static const char *header(void *data, const char *name)
{
	return json_get_string(data, name, NULL);
}

static json_t *event_json(const ForgeEvent *event)
{
	json_t *out = json_object();
	json_set_string(out, "repo", event->repo);
	json_set_string(out, "event", event->event);
	json_set_string(out, "action", event->action);
	json_set_string(out, "ref", event->ref);
	json_set_string(out, "sha", event->sha);
	json_set_string(out, "before", event->before);
	json_set_string(out, "title", event->title);
	json_set_string(out, "actor", event->actor);
	json_set_bool(out, "deleted", event->deleted);
	json_set_bool(out, "untrusted", event->untrusted);
	return out;
}

static void check_file(const Forge *forge, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) file = json_parse_file(path, 1 << 20, &error);
	g_assert_no_error(error);
	g_autofree char *body = json_text(json_object_get(file, "payload"));
	ForgeRequest request = {.header = header, .data = json_object_get(file, "headers"), .body = body,
	        .body_len = strlen(body)};
	g_autofree char *delivery = forge->delivery(&request);
	g_assert_nonnull(delivery);
	g_autoptr(ForgeEvent) event = forge->parse(&request, &error);
	const json_t *wanted = json_object_get(file, "event");
	if (json_is_null(wanted)) {
		g_assert_null(event);
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
		return;
	}
	g_assert_no_error(error);
	g_autoptr(json_t) got = event_json(event);
	g_autofree char *got_text = json_text(got), *wanted_text = json_text(wanted);
	if (!g_str_equal(got_text, wanted_text))
		g_test_message("%s", path);
	g_assert_cmpstr(got_text, ==, wanted_text);
	g_assert_true(json_is_object(event->payload));
	g_autofree char *claim = forge->claim(&request);
	g_assert_cmpstr(claim, ==, event->repo);
}

static void test_golden(const void *data)
{
	const Forge *forge = data;
	g_autofree char *folder = g_build_filename(TEST_SOURCE_DIR, "tests/golden/payloads", forge->name, NULL);
	g_autoptr(GDir) files = g_dir_open(folder, 0, NULL);
	g_assert_nonnull(files);
	for (const char *name; (name = g_dir_read_name(files));) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		check_file(forge, path);
	}
}

static void test_nothing(const void *data)
{
	const Forge *forge = data;
	g_autoptr(json_t) headers = json_object();
	ForgeRequest request = {.header = header, .data = headers, .body = NULL, .body_len = 0};
	g_autoptr(GError) error = NULL;
	g_assert_null(forge->delivery(&request));
	g_assert_null(forge->claim(&request));
	g_assert_false(forge->verify(&request, "secret", 6));
	g_assert_false(forge->verify(&request, "", 0));
	g_assert_null(forge->parse(&request, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
}

static void test_status(const void *data)
{
	const Forge *forge = data;
	static const char *const states[] = {"queued", "waiting", "running", "success", "failure", "cancelled", "skipped"};
	for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
		g_autoptr(json_t) request = forge->status("https://api.example", "acme/digits",
		        "6113728f27ae82c7b1a177c8d03f9e96e0adf246", states[i], "assay/train", "it ran", "https://ci.example/1");
		if (!request)
			continue; /* a forge without statuses */
		g_assert_cmpstr(json_get_string(request, "method", NULL), ==, "POST");
		g_assert_true(g_str_has_prefix(json_get_string(request, "url", ""), "https://api.example/"));
		g_assert_true(json_is_object(json_object_get(request, "headers")));
		g_assert_true(json_is_object(json_object_get(request, "body")));
	}
}

static void test_form(void)
{
	const char *body = "payload=%7B%22repository%22%3A%7B%22full_name%22%3A%22acme%2Fdigits%22%7D%2C+%22ref%22%3A%22"
	                   "refs%2Fheads%2Fmain%22%2C%22after%22%3A%226113728f27ae82c7b1a177c8d03f9e96e0adf246%22%7D";
	g_autoptr(json_t) headers = json_pack("{s:s,s:s}", "content-type", "application/x-www-form-urlencoded",
	        "x-github-event", "push");
	uint8_t mac[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_hmac("s", 1, body, strlen(body), mac);
	hex_write(mac, HASH_BYTES, hex);
	g_autofree char *signature = g_strconcat("sha256=", hex, NULL);
	json_set_string(headers, "x-hub-signature-256", signature);
	ForgeRequest request = {.header = header, .data = headers, .body = body, .body_len = strlen(body)};
	const Forge *forge = forge_find("github");
	g_assert_true(forge->verify(&request, "s", 1));
	g_autofree char *claim = forge->claim(&request);
	g_assert_cmpstr(claim, ==, "acme/digits");
	g_autoptr(ForgeEvent) event = forge->parse(&request, NULL);
	g_assert_cmpstr(event->ref, ==, "refs/heads/main");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; forges[i]; i++) {
		static const struct {
			const char *claim;
			GTestDataFunc run;
		} cases[] = {{"reads_its_golden_payloads", test_golden}, {"refuses_an_empty_request", test_nothing},
		        {"phrases_every_state_as_a_request", test_status}};
		for (size_t j = 0; j < G_N_ELEMENTS(cases); j++) {
			g_autofree char *name = g_strdup_printf("/forge/%s/%s", forges[i]->name, cases[j].claim);
			g_test_add_data_func(name, forges[i], cases[j].run);
		}
	}
	g_test_add_func("/forge/github/reads_a_form", test_form);
	return g_test_run();
}
