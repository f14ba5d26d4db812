/* SPDX-License-Identifier: Apache-2.0 */
#include "web/target.h"

#include <string.h>

#include "web/routes.h"

static void test_reads(void)
{
	g_autoptr(Target) target = target_parse("/a/b%2Fc/%C3%A4/?x=1%202&y=a+b&z&x=3", NULL);
	g_assert_nonnull(target);
	g_assert_cmpuint(target->segments->len, ==, 4);
	g_assert_cmpstr(target->segments->pdata[1], ==, "b/c");
	g_assert_cmpstr(target->segments->pdata[2], ==, "ä");
	g_assert_cmpstr(target->segments->pdata[3], ==, "");
	g_assert_cmpstr(target_query(target, "x"), ==, "1 2");
	g_assert_cmpstr(target_query(target, "y"), ==, "a b");
	g_assert_cmpstr(target_query(target, "z"), ==, "");
	g_assert_null(target_query(target, "w"));
	g_autoptr(Target) root = target_parse("/", NULL);
	g_assert_cmpuint(root->segments->len, ==, 0);
}

static void test_refuses(void)
{
	static const char *const bad[] = {"", "a", "http://x/", "/%", "/%0", "/%zz", "/%00", "/%0a", "/%ff", "/a/../b", "/%2e%2e",
	        "/.", "/?a=%00", "/?%ff=1", "*", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(target_parse(bad[i], &error));
		g_assert_nonnull(error);
	}
	g_autofree char *long_one = g_strnfill(TARGET_BYTES_MAX + 1, '/');
	g_assert_null(target_parse(long_one, NULL));
}

static void test_fits(void)
{
	g_autoptr(GPtrArray) params = g_ptr_array_new();
	g_autoptr(Target) target = target_parse("/api/v1/repos/acme/digits/secrets/KEY", NULL);
	g_assert_true(target_fits(target, "/api/v1/repos/{owner}/{name}/secrets/{secret}", params));
	g_assert_cmpstr(target_param(params, "owner"), ==, "acme");
	g_assert_cmpstr(target_param(params, "secret"), ==, "KEY");
	g_assert_null(target_param(params, "secre"));
	g_assert_false(target_fits(target, "/api/v1/repos/{owner}/{name}/secrets", NULL));
	g_assert_false(target_fits(target, "/api/v1/repos/{owner}/{name}/secrets/{secret}/x", NULL));
	g_autoptr(Target) slash = target_parse("/api/v1/runs/", NULL);
	g_assert_false(target_fits(slash, "/api/v1/runs", NULL));
	g_assert_false(target_fits(slash, "/api/v1/runs/{id}", NULL));
}

/** A path that only this pattern is meant for. */
static char *example_of(const char *pattern)
{
	GString *path = g_string_new(pattern);
	g_string_replace(path, "{", "", 0);
	g_string_replace(path, "}", "-x", 0);
	return g_string_free(path, FALSE);
}

static void test_every_row_is_reached(void)
{
	for (size_t i = 0; i < routes_len; i++) {
		g_autofree char *path = example_of(routes[i].pattern);
		g_autoptr(Target) target = target_parse(path, NULL);
		g_autoptr(GPtrArray) params = g_ptr_array_new();
		RouteMatch match = route_match(routes[i].method, target, params);
		g_assert_null(match.allowed);
		g_assert_true(match.route == &routes[i]);
		match = route_match("BREW", target, params);
		g_assert_null(match.route);
		g_assert_nonnull(strstr(match.allowed, routes[i].method));
		g_free(match.allowed);
	}
}

static void test_changes_need_a_role(void)
{
	for (size_t i = 0; i < routes_len; i++) {
		const Route *route = &routes[i];
		if (g_str_equal(route->method, "GET") || route->role != ROLE_NONE)
			continue;
		static const char *const open[] = {"/webhooks/{forge}", "/sign-in", "/sign-out", NULL};
		g_assert_true(g_strv_contains(open, route->pattern));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/target/reads_segments_and_pairs", test_reads);
	g_test_add_func("/target/refuses_what_is_not_plain_text", test_refuses);
	g_test_add_func("/target/fits_patterns_by_segments", test_fits);
	g_test_add_func("/routes/every_row_is_reached_by_its_own_path", test_every_row_is_reached);
	g_test_add_func("/routes/every_change_needs_a_role", test_changes_need_a_role);
	return g_test_run();
}
