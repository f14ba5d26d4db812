/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets and caches: names that stand for digests. */
#include "agent/store/datasets.h"

#include <string.h>

#include "agent/store/caches.h"
#include "tests/lib/store.h"

#define D1 "1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "2222222222222222222222222222222222222222222222222222222222222222"

typedef struct Fixture {
	Store *store;
	int64_t repo;
	int64_t run;
	int64_t job;
} Fixture;

static void setup(Fixture *f, gconstpointer data)
{
	(void)data;
	f->store = test_store();
	f->repo = test_repo(f->store);
	f->run = test_run(f->store, f->repo);
	f->job = test_job(f->store, f->run, "data");
}

static void teardown(Fixture *f, gconstpointer data)
{
	(void)data;
	store_close(f->store);
}

static void assert_put(Fixture *f, int64_t repo, const char *name, const char *digest, int64_t version, bool changed)
{
	GError *error = NULL;
	g_autoptr(json_t) fields = json_pack("{s:s,s:i,s:i,s:i,s:s,s:{s:s}}", "digest", digest, "files", 3, "bytes", 100,
	        "new_bytes", 40, "message", "new", "tags", "kind", "train");
	g_autoptr(json_t) got = datasets_put(f->store, repo, f->run, name, fields, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_get_int(got, "version", 0), ==, version);
	g_assert_cmpint(json_get_bool(got, "changed", !changed), ==, changed);
}

static void the_same_bytes_are_the_same_version(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_put(f, f->repo, "digits", D1, 1, true);
	assert_put(f, f->repo, "digits", D1, 1, false);
	assert_put(f, f->repo, "digits", D2, 2, true);
	assert_put(f, f->repo, "digits", D1, 3, true);
}

static void a_version_is_found_by_number_by_digest_and_as_newest(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_put(f, f->repo, "digits", D1, 1, true);
	assert_put(f, f->repo, "digits", D2, 2, true);
	g_autoptr(json_t) newest = datasets_get(f->store, f->repo, "digits", 0, NULL, NULL);
	g_assert_cmpint(json_get_int(newest, "version", 0), ==, 2);
	g_assert_cmpstr(json_get_string(newest, "name", NULL), ==, "digits");
	g_assert_cmpint(json_get_int(newest, "bytes", 0), ==, 100);
	g_assert_cmpint(json_get_int(newest, "run", 0), ==, f->run);
	g_autoptr(json_t) first = datasets_get(f->store, f->repo, "digits", 1, NULL, NULL);
	g_assert_cmpstr(json_get_string(first, "digest", NULL), ==, D1);
	g_autoptr(json_t) by_digest = datasets_get(f->store, f->repo, "digits", 0, D1, NULL);
	g_assert_true(json_equal(first, by_digest));
	assert_fails(datasets_get(f->store, f->repo, "digits", 7, NULL, &error), ASSAY_ERROR_ABSENT);
	assert_fails(datasets_get(f->store, f->repo, "gone", 0, NULL, &error), ASSAY_ERROR_ABSENT);
}

static void a_repo_does_not_see_the_names_of_another(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_put(f, f->repo, "digits", D1, 1, true);
	assert_put(f, 0, "digits", D2, 1, true);
	g_autoptr(json_t) local = datasets_get(f->store, 0, "digits", 0, NULL, NULL);
	g_assert_cmpstr(json_get_string(local, "digest", NULL), ==, D2);
	g_autoptr(json_t) all = datasets_list(f->store, NULL, NULL, 10, NULL);
	g_assert_cmpuint(json_array_size(json_object_get(all, "datasets")), ==, 2);
	g_autoptr(json_t) one = datasets_list(f->store, "acme/digits", NULL, 10, NULL);
	const json_t *shown = json_array_get(json_object_get(one, "datasets"), 0);
	g_assert_cmpint(json_get_int(shown, "versions", 0), ==, 1);
	g_assert_cmpstr(json_get_string(json_object_get(shown, "newest"), "digest", NULL), ==, D1);
	g_autoptr(json_t) history = datasets_show(f->store, "acme/digits", "digits", NULL);
	g_assert_cmpuint(json_array_size(json_object_get(history, "versions")), ==, 1);
	assert_fails(datasets_show(f->store, "acme/digits", "gone", &error), ASSAY_ERROR_ABSENT);
}

static void uses_are_listed_once(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(datasets_use(f->store, f->run, f->job, D1, "digits", 1, &error));
	assert_ok(datasets_use(f->store, f->run, f->job, D1, "digits", 1, &error));
	g_autoptr(json_t) uses = datasets_of_run(f->store, f->run, NULL);
	g_autoptr(json_t) want = json_pack("[{s:s,s:i,s:s,s:s}]", "name", "digits", "version", 1, "digest", D1, "job", "data");
	g_assert_true(json_equal(uses, want));
}

static void candidates_of_one_evaluation_are_counted_once_a_run(Fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(datasets_judged(f->store, D1, 10, NULL), ==, 1);
	g_assert_cmpint(datasets_judged(f->store, D1, 10, NULL), ==, 1);
	g_assert_cmpint(datasets_judged(f->store, D1, 11, NULL), ==, 2);
	g_assert_cmpint(datasets_judged(f->store, D2, 11, NULL), ==, 1);
}

static void wrong_names_and_digests_are_refused(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) fine = json_pack("{s:s}", "digest", D1);
	g_autoptr(json_t) none = json_object();
	const char *const wrong[] = {"", "a/b", "a:b", " a", "a\n", NULL};
	for (size_t i = 0; wrong[i]; i++)
		assert_fails(datasets_put(f->store, f->repo, 0, wrong[i], fine, &error), ASSAY_ERROR_USER);
	assert_fails(datasets_put(f->store, f->repo, 0, "digits", none, &error), ASSAY_ERROR_USER);
}

static void assert_cache(Fixture *f, const char *scopes, const char *key, const char *restore, bool hit, const char *found)
{
	g_autoptr(json_t) may = test_json(scopes);
	g_autoptr(json_t) prefixes = test_json(restore);
	g_autoptr(json_t) got = caches_get(f->store, f->repo, may, key, prefixes, NULL);
	g_assert_cmpint(json_get_bool(got, "hit", !hit), ==, hit);
	g_assert_cmpstr(json_get_string(got, "key", NULL), ==, found);
}

static void a_cache_is_found_by_key_then_by_prefix(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(caches_put(f->store, f->repo, "refs/heads/main", "pip-1", D1, &error));
	assert_ok(caches_put(f->store, f->repo, "refs/heads/main", "pip-2", D2, &error));
	assert_ok(caches_put(f->store, f->repo, "refs/heads/main", "pip-2", D1, &error));
	assert_cache(f, "['refs/heads/main']", "pip-1", "[]", true, "pip-1");
	assert_cache(f, "['refs/heads/main']", "pip-3", "['pip-']", false, "pip-2");
	assert_cache(f, "['refs/heads/main']", "pip-3", "['npm-']", false, NULL);
	g_autoptr(json_t) may = test_json("['refs/heads/main']");
	g_autoptr(json_t) got = caches_get(f->store, f->repo, may, "pip-2", NULL, NULL);
	g_assert_cmpstr(json_get_string(got, "digest", NULL), ==, D2);
}

static void a_cache_of_a_topic_does_not_reach_main(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(caches_put(f->store, f->repo, "refs/pull/1/merge", "pip-1", D1, &error));
	assert_cache(f, "['refs/heads/main']", "pip-1", "['pip-']", false, NULL);
	assert_ok(caches_put(f->store, f->repo, "refs/heads/main", "pip-1", D2, &error));
	g_autoptr(json_t) may = test_json("['refs/pull/1/merge','refs/heads/main']");
	g_autoptr(json_t) got = caches_get(f->store, f->repo, may, "pip-1", NULL, NULL);
	g_assert_cmpstr(json_get_string(got, "digest", NULL), ==, D1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add("/datasets/" #name, Fixture, NULL, setup, name, teardown)
	TEST(the_same_bytes_are_the_same_version);
	TEST(a_version_is_found_by_number_by_digest_and_as_newest);
	TEST(a_repo_does_not_see_the_names_of_another);
	TEST(uses_are_listed_once);
	TEST(candidates_of_one_evaluation_are_counted_once_a_run);
	TEST(wrong_names_and_digests_are_refused);
	TEST(a_cache_is_found_by_key_then_by_prefix);
	TEST(a_cache_of_a_topic_does_not_reach_main);
	return g_test_run();
}
