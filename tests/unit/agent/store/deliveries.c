/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries: once each, oldest first to intake, newest first to people. */
#include "agent/store/deliveries.h"

#include <string.h>

#include "tests/lib/store.h"

static int64_t put(Store *store, const char *delivery, const char *repo, const char *body, bool *out_fresh)
{
	int64_t id = 0;
	const DeliverySpec spec = {.forge = "github", .delivery = delivery, .repo = repo, .event = "push",
	        .headers = "{\"x-github-event\":\"push\"}", .body = body, .body_len = strlen(body), .received_us = 1};
	assert_ok(deliveries_put(store, &spec, &id, out_fresh, &error));
	return id;
}

static void a_repeat_stores_nothing(void)
{
	g_autoptr(Store) store = test_store();
	bool fresh = false;
	int64_t first = put(store, "a", "acme/x", "{}", &fresh);
	g_assert_true(fresh);
	int64_t again = put(store, "a", "acme/x", "{\"other\":1}", &fresh);
	g_assert_false(fresh);
	g_assert_cmpint(first, ==, again);
	g_autoptr(json_t) next = deliveries_next(store, NULL);
	g_assert_cmpstr(json_get_string(next, "body", NULL), ==, "{}");
	int64_t id = 0;
	const DeliverySpec other = {.forge = "gitlab", .delivery = "a", .repo = "acme/x", .received_us = 1};
	assert_ok(deliveries_put(store, &other, &id, &fresh, &error));
	g_assert_true(fresh);
	assert_ok(deliveries_put(store, &other, NULL, &fresh, &error));
	g_assert_false(fresh);
}

static void intake_gets_the_oldest_that_is_new(void)
{
	g_autoptr(Store) store = test_store();
	bool fresh = false;
	int64_t a = put(store, "a", "acme/x", "1", &fresh);
	int64_t b = put(store, "b", "acme/x", "2", &fresh);
	g_autoptr(json_t) first = deliveries_next(store, NULL);
	g_autoptr(json_t) want = test_json("{'id':1,'forge':'github','delivery':'a','repo':'acme/x',"
	                                   "'headers':{'x-github-event':'push'},'body':'1'}");
	g_assert_true(json_equal(first, want));
	assert_ok(deliveries_done(store, a, "runs", "1 run", &error));
	g_autoptr(json_t) second = deliveries_next(store, NULL);
	g_assert_cmpint(json_get_int(second, "id", 0), ==, b);
	assert_ok(deliveries_done(store, b, "failed", "not JSON", &error));
	GError *said = NULL;
	g_assert_null(deliveries_next(store, &said));
	g_assert_no_error(said);
	assert_fails(deliveries_done(store, 99, "runs", NULL, &error), ASSAY_ERROR_ABSENT);
	assert_fails(deliveries_done(store, b, "lost", NULL, &error), ASSAY_ERROR_USER);
}

static void the_list_shows_no_bodies(void)
{
	g_autoptr(Store) store = test_store();
	bool fresh = false;
	put(store, "a", "acme/x", "secret body", &fresh);
	put(store, "b", "acme/y", "secret body", &fresh);
	g_autoptr(json_t) all = deliveries_list(store, NULL, NULL, 1, NULL);
	const json_t *row = json_array_get(json_object_get(all, "deliveries"), 0);
	g_assert_cmpstr(json_get_string(row, "delivery", NULL), ==, "b");
	g_assert_cmpstr(json_get_string(row, "event", NULL), ==, "push");
	g_assert_cmpstr(json_get_string(all, "next", NULL), ==, "2");
	g_assert_null(json_object_get(row, "body"));
	g_autoptr(json_t) one = deliveries_list(store, "acme/x", NULL, 10, NULL);
	g_assert_cmpuint(json_array_size(json_object_get(one, "deliveries")), ==, 1);
	g_assert_true(json_is_null(json_object_get(one, "next")));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/deliveries/a_repeat_stores_nothing", a_repeat_stores_nothing);
	g_test_add_func("/deliveries/intake_gets_the_oldest_that_is_new", intake_gets_the_oldest_that_is_new);
	g_test_add_func("/deliveries/the_list_shows_no_bodies", the_list_shows_no_bodies);
	return g_test_run();
}
