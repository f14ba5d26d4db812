/* SPDX-License-Identifier: Apache-2.0 */
/* What a called workflow may not ask for. */
#include "agent/model/permission.h"

#include "agent/base/json.h"

static void assert_excess(const char *wanted_text, const char *allowed_text, const char *more, const char *may)
{
	g_autoptr(json_t) wanted = wanted_text ? json_loads(wanted_text, JSON_DECODE_ANY, NULL) : NULL;
	g_autoptr(json_t) allowed = allowed_text ? json_loads(allowed_text, JSON_DECODE_ANY, NULL) : NULL;
	g_autofree char *out = NULL;
	g_autofree char *got = permission_excess(wanted, allowed, &out);
	g_assert_cmpstr(got, ==, more);
	g_assert_cmpstr(out, ==, may);
}

static void only_what_goes_beyond_is_told(void)
{
	assert_excess(NULL, "{}", NULL, NULL);
	assert_excess("\"write-all\"", NULL, NULL, NULL);
	assert_excess("\"write-all\"", "\"write-all\"", NULL, NULL);
	assert_excess("{\"actions\":\"write\"}", "\"write-all\"", NULL, NULL);
	assert_excess("{\"actions\":\"none\"}", "{}", NULL, NULL);
	assert_excess("{\"actions\":\"read\"}", "\"read-all\"", NULL, NULL);
	assert_excess("{\"actions\":\"write\",\"checks\":\"read\",\"pages\":\"read\"}", "{\"actions\":\"read\",\"pages\":\"write\"}",
	        "actions: write, checks: read", "actions: read, checks: none");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/permission/only_what_goes_beyond_is_told", only_what_goes_beyond_is_told);
	return g_test_run();
}
