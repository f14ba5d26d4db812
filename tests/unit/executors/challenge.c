/* SPDX-License-Identifier: Apache-2.0 */
#include "executors/challenge.h"

#include <glib.h>

#define HUB "Bearer realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"repository:a/b:pull\""

static void what_servers_say_is_found(void)
{
	static const struct {
		const char *header, *scheme, *name;
		bool found;
		const char *value;
	} cases[] = {
	        {HUB, "Bearer", "realm", true, "https://auth.example/token"},
	        {HUB, "bearer", "SCOPE", true, "repository:a/b:pull"},
	        {HUB, "Bearer", "error", true, NULL},
	        {HUB, "Basic", "realm", false, NULL},
	        {"Basic realm=\"a\", " HUB, "Bearer", "realm", true, "https://auth.example/token"},
	        {HUB ", Basic realm=\"a, b\"", "Basic", "realm", true, "a, b"},
	        {HUB ", Basic realm=\"a\"", "Bearer", "realm", true, "https://auth.example/token"},
	        {"Bearer realm=\"https://a/t?service=x\", service=y", "Bearer", "service", true, "y"},
	        {"Bearer realm=\"a\\\"b\\\\c\" , service = y", "Bearer", "realm", true, "a\"b\\c"},
	        {"Bearer realm=\"a\" , service = y", "Bearer", "service", true, "y"},
	        {" , Negotiate, NTLM TlRMTVNTUAAB==, Basic realm=x", "Basic", "realm", true, "x"},
	        {"Negotiate oYG2MIG=", "Negotiate", "oYG2MIG", true, NULL},
	        {"Bearer", "Bearer", "realm", true, NULL},
	        {"Bearer realm=a, realm=b", "Bearer", "realm", true, "a"},
	        {"Bearer realm=a, Bearer realm=b, service=c", "Bearer", "service", true, NULL},
	        {"Bearer realm=\"open", "Bearer", "realm", true, NULL},
	        {"Bearer realm=\"a\x01\"", "Bearer", "realm", true, NULL},
	        {"Bearer realm=\"\xc3\xbc\"", "Bearer", "realm", true, NULL},
	        {"BearerToken realm=a", "Bearer", "realm", false, NULL},
	        {"", "Bearer", "realm", false, NULL},
	        {"=", "Bearer", "realm", false, NULL},
	        {"\"Bearer realm=a\"", "Bearer", "realm", false, NULL},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *value = NULL;
		g_test_message("%s", cases[i].header);
		g_assert_cmpint(challenge_find(cases[i].header, cases[i].scheme, cases[i].name, &value), ==, cases[i].found);
		g_assert_cmpstr(value, ==, cases[i].value);
		g_assert_cmpint(challenge_find(cases[i].header, cases[i].scheme, NULL, NULL), ==, cases[i].found);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/challenge/what_servers_say_is_found", what_servers_say_is_found);
	return g_test_run();
}
