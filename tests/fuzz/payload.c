/* SPDX-License-Identifier: Apache-2.0 */
/* A delivery's bytes: what the claim finds, the strict reader finds too, and nothing that parse() lets through is unsafe. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "agent/forge.h"
#include "webhooks/claim.h"
#include "webhooks/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"push", "pull_request", "issue_comment", "create", "release"};

static const char *header(void *data, const char *name)
{
	const unsigned *choice = data;
	if (g_str_equal(name, "x-github-event"))
		return names[*choice % G_N_ELEMENTS(names)];
	if (g_str_equal(name, "content-type"))
		return *choice >= G_N_ELEMENTS(names) ? "application/x-www-form-urlencoded" : "application/json";
	return "sha256=00";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned choice = 0; choice < 2 * G_N_ELEMENTS(names); choice++) {
		/* Exactly as many bytes as there are: a read beyond them is seen. */
		g_autofree uint8_t *body = g_memdup2(data, size);
		ForgeRequest request = {.header = header, .data = &choice, .body = body, .body_len = size};
		for (size_t i = 0; forges[i]; i++) {
			g_autofree char *claim = forges[i]->claim(&request);
			g_assert_true(!claim || claim_is_repo_name(claim));
			g_assert_false(forges[i]->verify(&request, "secret", 6));
			g_autoptr(ForgeEvent) event = forges[i]->parse(&request, NULL);
			if (!event)
				continue;
			g_assert_true(claim_is_repo_name(event->repo));
			g_assert_true(!event->ref || event_is_ref(event->ref));
			g_assert_true(!claim || g_str_equal(claim, event->repo));
		}
	}
	return 0;
}
