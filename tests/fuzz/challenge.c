/* SPDX-License-Identifier: Apache-2.0 */
/* WWW-Authenticate: any text is read to its end, and what comes out of it can be put into a URL's query or a message. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "executors/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"realm", "service", "scope"};
	g_autofree char *header = g_strndup((const char *)data, size);
	bool bearer = challenge_find(header, "Bearer", NULL, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *value = NULL;
		g_assert_true(challenge_find(header, "Bearer", names[i], &value) == bearer);
		g_assert_true(bearer || !value);
		for (const char *at = value; at && *at; at++)
			g_assert_true(*at >= ' ' && *at <= '~');
	}
	/* It stands behind another as it stands alone. */
	g_autofree char *behind = g_strconcat("Other key=\"a, b\", ", header, NULL);
	g_assert_true(challenge_find(behind, "Other", "key", NULL));
	g_assert_true(!bearer || challenge_find(behind, "Bearer", NULL, NULL));
	return 0;
}
