/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/model/reach.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/base/error.h"

static void test_good(void)
{
	static const struct {
		const char *text, *host;
		int family;
		unsigned prefix;
		uint16_t port;
	} rows[] = {
		{"example.org", "example.org", 0, 32, 0},
		{"example.org:443", "example.org", 0, 32, 443},
		{"my_host-2:65535", "my_host-2", 0, 32, 65535},
		{"10.1.2.3", "10.1.2.3", AF_INET, 32, 0},
		{"10.1.0.0/16:443", "10.1.0.0", AF_INET, 16, 443},
		{"169.254.169.254:80", "169.254.169.254", AF_INET, 32, 80},
		{"2001:db8::1", "2001:db8::1", AF_INET6, 128, 0},
		{"2001:db8::/32", "2001:db8::", AF_INET6, 32, 0},
		{"[2001:db8::1]", "2001:db8::1", AF_INET6, 128, 0},
		{"[2001:db8::/32]:22", "2001:db8::", AF_INET6, 32, 22},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(Reach) reach = {0};
		g_autoptr(GError) error = NULL;
		g_assert_true(reach_parse(rows[i].text, &reach, &error));
		g_assert_no_error(error);
		g_assert_cmpstr(reach.host, ==, rows[i].host);
		g_assert_cmpint(reach.family, ==, rows[i].family);
		g_assert_cmpuint(reach.prefix, ==, rows[i].prefix);
		g_assert_cmpuint(reach.port, ==, rows[i].port);
		g_assert_false(reach.everything);
	}
	g_auto(Reach) everything = {0};
	g_assert_true(reach_parse("*", &everything, NULL));
	g_assert_true(everything.everything);
}

static void test_bad(void)
{
	static const char *const rows[] = {"", ":", ":80", "a:", "a:0", "a:65536", "a:-1", "a:+1", "a:http", "a b", "a/24", "*.org",
	        "10.0.0.0/33", "10.0.0.0/0", "10.0.0.0/", "[2001:db8::1", "[2001:db8::1]80", "[]", "2001:db8::/129", "127.0.0.1",
	        "127.8.8.8:80", "localhost:80", "LOCALHOST", "::1", "[::1]:80", "::ffff:127.0.0.1", "0.0.0.0", "::", "https://a", "-a"};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(Reach) reach = {0};
		g_autoptr(GError) error = NULL;
		g_assert_false(reach_parse(rows[i], &reach, &error));
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
		g_assert_null(reach.host);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/reach/hosts_ports_and_prefixes", test_good);
	g_test_add_func("/reach/loopbacks_and_nonsense_are_refused", test_bad);
	return g_test_run();
}
