/* SPDX-License-Identifier: Apache-2.0 */
/* Tracking runs: params said once, metrics as series, NaN kept. */
#include "agent/store/tracking.h"

#include <string.h>

#include "agent/base/clock.h"
#include "tests/lib/store.h"

#define T0 INT64_C(1777802640000000)

typedef struct Fixture {
	Store *store;
	int64_t run;
	char *id;
} Fixture;

static void setup(Fixture *f, gconstpointer data)
{
	(void)data;
	clock_set_test(T0);
	f->store = test_store();
	int64_t repo = test_repo(f->store);
	f->run = test_run(f->store, repo);
	int64_t job = test_job(f->store, f->run, "train");
	g_autoptr(json_t) fields =
	        test_json("{'experiment':'digits','name':'first','params':{'lr':0.1,'solver':'lbfgs'},'tags':{'who':'alice'}}");
	g_autoptr(json_t) got = tracking_start(f->store, repo, f->run, job, fields, NULL);
	f->id = g_strdup(json_get_string(got, "tracking_run", NULL));
}

static void teardown(Fixture *f, gconstpointer data)
{
	(void)data;
	store_close(f->store);
	g_free(f->id);
	clock_set_test(0);
}

static void log_json(Fixture *f, const char *text)
{
	g_autoptr(json_t) fields = test_json(text);
	assert_ok(tracking_log(f->store, f->id, fields, &error));
}

static void a_tracking_run_says_all_it_was_told(Fixture *f, gconstpointer data)
{
	(void)data;
	log_json(f, "{'metrics':[{'name':'loss','value':0.5,'step':1}],'tags':{'who':'bob'}}");
	assert_ok(tracking_end(f->store, f->id, "FINISHED", &error));
	g_autoptr(json_t) got = tracking_get(f->store, f->id, NULL);
	g_autoptr(json_t) want = test_json(
	        "{'experiment':'digits','repo':'acme/digits','name':'first','status':'FINISHED','run':1,'job':1,"
	        "'params':{'lr':'0.1','solver':'lbfgs'},'tags':{'who':'bob'},"
	        "'metrics':{'loss':{'value':0.5,'step':1,'time':'2026-05-03T10:04:00.000Z'}},"
	        "'started_at':'2026-05-03T10:04:00.000Z','finished_at':'2026-05-03T10:04:00.000Z'}");
	json_set_string(want, "tracking_run", f->id);
	g_assert_cmpuint(strlen(f->id), ==, 32);
	g_assert_true(json_equal(got, want));
	g_autoptr(json_t) of_run = tracking_of_run(f->store, f->run, NULL);
	g_assert_cmpuint(json_array_size(of_run), ==, 1);
}

static void the_newest_point_has_the_highest_step(Fixture *f, gconstpointer data)
{
	(void)data;
	log_json(f, "{'metrics':[{'name':'a','value':3,'step':3},{'name':'a','value':1,'step':1},{'name':'a','value':2,'step':2},"
	            "{'name':'a','value':2,'step':2}]}");
	g_autoptr(json_t) got = tracking_get(f->store, f->id, NULL);
	const json_t *metric = json_object_get(json_object_get(got, "metrics"), "a");
	g_assert_cmpint(json_get_int(metric, "step", 0), ==, 3);
	g_autoptr(json_t) history = tracking_history(f->store, f->id, "a", 0, NULL);
	g_assert_cmpuint(json_array_size(history), ==, 3);
	for (size_t i = 0; i < 3; i++)
		g_assert_cmpint(json_get_int(json_array_get(history, i), "step", 0), ==, (int64_t)i + 1);
	g_autoptr(json_t) two = tracking_history(f->store, f->id, "a", 2, NULL);
	g_assert_cmpuint(json_array_size(two), ==, 2);
}

static void what_is_not_a_number_is_kept(Fixture *f, gconstpointer data)
{
	(void)data;
	log_json(f, "{'metrics':[{'name':'a','value':'NaN'},{'name':'b','value':'-Infinity'}]}");
	g_autoptr(json_t) got = tracking_get(f->store, f->id, NULL);
	const json_t *metrics = json_object_get(got, "metrics");
	g_assert_cmpstr(json_get_string(json_object_get(metrics, "a"), "value", NULL), ==, "NaN");
	g_assert_cmpstr(json_get_string(json_object_get(metrics, "b"), "value", NULL), ==, "-Infinity");
}

static void a_param_is_said_once(Fixture *f, gconstpointer data)
{
	(void)data;
	log_json(f, "{'params':{'solver':'lbfgs'}}");
	g_autoptr(json_t) other = test_json("{'metrics':[{'name':'z','value':1}],'params':{'solver':'sgd'}}");
	assert_fails(tracking_log(f->store, f->id, other, &error), ASSAY_ERROR_USER);
	g_autoptr(json_t) got = tracking_get(f->store, f->id, NULL);
	g_assert_null(json_object_get(json_object_get(got, "metrics"), "z")); /* none of it happened */
}

static void wrong_words_are_refused(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) word = test_json("{'metrics':[{'name':'z','value':'high'}]}");
	g_autoptr(json_t) none = test_json("{'metrics':[{'name':'z'}]}");
	assert_fails(tracking_log(f->store, f->id, word, &error), ASSAY_ERROR_USER);
	assert_fails(tracking_log(f->store, f->id, none, &error), ASSAY_ERROR_USER);
	assert_fails(tracking_end(f->store, f->id, "DONE", &error), ASSAY_ERROR_USER);
	assert_fails(tracking_end(f->store, "gone", "FAILED", &error), ASSAY_ERROR_ABSENT);
	assert_fails(tracking_get(f->store, "gone", &error), ASSAY_ERROR_ABSENT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add("/tracking/" #name, Fixture, NULL, setup, name, teardown)
	TEST(a_tracking_run_says_all_it_was_told);
	TEST(the_newest_point_has_the_highest_step);
	TEST(what_is_not_a_number_is_kept);
	TEST(a_param_is_said_once);
	TEST(wrong_words_are_refused);
	return g_test_run();
}
