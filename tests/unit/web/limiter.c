/* SPDX-License-Identifier: Apache-2.0 */
#include "web/limiter.h"

#define S 1000000

static void test_window(void)
{
	g_autoptr(Limiter) limiter = limiter_new(3, 60 * S, 100);
	for (int i = 0; i < 3; i++) {
		g_assert_cmpint(limiter_wait_s(limiter, "a", 0), ==, 0);
		limiter_failed(limiter, "a", 0);
	}
	g_assert_cmpint(limiter_wait_s(limiter, "a", 1 * S), ==, 59);
	g_assert_cmpint(limiter_wait_s(limiter, "b", 1 * S), ==, 0);
	g_assert_cmpint(limiter_wait_s(limiter, "a", 60 * S), ==, 0);
	limiter_failed(limiter, "a", 60 * S);
	g_assert_cmpint(limiter_wait_s(limiter, "a", 60 * S), ==, 0);
}

static void test_forgive(void)
{
	g_autoptr(Limiter) limiter = limiter_new(1, 60 * S, 100);
	limiter_failed(limiter, "a", 0);
	g_assert_cmpint(limiter_wait_s(limiter, "a", 0), >, 0);
	limiter_forgive(limiter, "a");
	g_assert_cmpint(limiter_wait_s(limiter, "a", 0), ==, 0);
}

static void test_bound(void)
{
	g_autoptr(Limiter) limiter = limiter_new(1, 60 * S, 10);
	for (int i = 0; i < 10000; i++) {
		g_autofree char *key = g_strdup_printf("%d", i);
		limiter_failed(limiter, key, i);
	}
	g_assert_cmpint(limiter_wait_s(limiter, "9999", 10000), >, 0);
	g_assert_cmpint(limiter_wait_s(limiter, "1", 10000), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/limiter/waits_until_the_window_is_over", test_window);
	g_test_add_func("/limiter/forgives_after_a_success", test_forgive);
	g_test_add_func("/limiter/remembers_a_bounded_number_of_keys", test_bound);
	return g_test_run();
}
