/* SPDX-License-Identifier: Apache-2.0 */
/* A request's target against every route: what fits is plain text, and each name in braces has a value. */
#include <stdint.h>
#include <string.h>

#include "web/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *raw = g_strndup((const char *)data, size);
	g_autoptr(GPtrArray) form = target_form((const char *)data, size, NULL);
	g_assert_true(!form || form->len % 2 == 0);
	g_autoptr(Target) target = target_parse(raw, NULL);
	if (!target)
		return 0;
	for (guint i = 0; i < target->segments->len; i++) {
		const char *segment = target->segments->pdata[i];
		g_assert_true(g_utf8_validate(segment, -1, NULL));
		g_assert_false(g_str_equal(segment, "..") || g_str_equal(segment, "."));
	}
	g_autoptr(GPtrArray) params = g_ptr_array_new();
	static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "TRACE"};
	for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
		RouteMatch match = route_match(methods[i], target, params);
		g_autofree char *allowed = match.allowed;
		if (!match.route)
			continue;
		for (const char *at = strchr(match.route->pattern, '{'); at; at = strchr(at + 1, '{')) {
			g_autofree char *name = g_strndup(at + 1, strcspn(at, "}") - 1);
			const char *value = target_param(params, name);
			g_assert_true(value && *value);
		}
	}
	return 0;
}
