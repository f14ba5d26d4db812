/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets and caches: names that stand for digests. */
#include "agent/store/datasets.h"

#include <string.h>

#include "agent/base/clock.h"
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

static bool put_cache(Fixture *f, const char *scope, const char *key, const char *digest, GError **error)
{
	const CacheEntry entry = {.scope = scope, .key = key, .version = "v", .form = "tree", .digest = digest, .bytes = 10};
	return caches_put(f->store, f->repo, &entry, (CacheLimits){0}, NULL, error);
}

static void assert_cache(Fixture *f, const char *scopes, const char *key, const char *restore, bool hit, const char *found)
{
	g_autoptr(json_t) may = test_json(scopes);
	g_autoptr(json_t) prefixes = test_json(restore);
	g_autoptr(json_t) versions = test_json("['v']");
	g_autoptr(json_t) got = caches_get(f->store, f->repo, may, key, versions, prefixes, NULL);
	g_assert_cmpint(json_get_bool(got, "hit", !hit), ==, hit);
	g_assert_cmpstr(json_get_string(got, "key", NULL), ==, found);
}

static void a_cache_is_found_by_key_then_by_prefix(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(put_cache(f, "refs/heads/main", "pip-1", D1, &error));
	assert_ok(put_cache(f, "refs/heads/main", "pip-2", D2, &error));
	assert_ok(put_cache(f, "refs/heads/main", "pip-2", D1, &error));
	assert_cache(f, "['refs/heads/main']", "pip-1", "[]", true, "pip-1");
	assert_cache(f, "['refs/heads/main']", "pip-3", "['pip-']", false, "pip-2");
	assert_cache(f, "['refs/heads/main']", "pip-3", "['npm-']", false, NULL);
	g_autoptr(json_t) may = test_json("['refs/heads/main']");
	g_autoptr(json_t) versions = test_json("['v']");
	g_autoptr(json_t) got = caches_get(f->store, f->repo, may, "pip-2", versions, NULL, NULL);
	g_assert_cmpstr(json_get_string(got, "digest", NULL), ==, D2);
}

static void a_cache_of_a_topic_does_not_reach_main(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(put_cache(f, "refs/pull/1/merge", "pip-1", D1, &error));
	assert_cache(f, "['refs/heads/main']", "pip-1", "['pip-']", false, NULL);
	assert_ok(put_cache(f, "refs/heads/main", "pip-1", D2, &error));
	g_autoptr(json_t) may = test_json("['refs/pull/1/merge','refs/heads/main']");
	g_autoptr(json_t) versions = test_json("['v']");
	g_autoptr(json_t) got = caches_get(f->store, f->repo, may, "pip-1", versions, NULL, NULL);
	g_assert_cmpstr(json_get_string(got, "digest", NULL), ==, D1);
}

static void the_nearest_scope_is_asked_for_everything_first(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(put_cache(f, "refs/heads/main", "pip-3", D1, &error));
	assert_ok(put_cache(f, "refs/heads/topic", "pip-2", D2, &error));
	assert_cache(f, "['refs/heads/topic','refs/heads/main']", "pip-3", "['pip-']", false, "pip-2");
	assert_cache(f, "['refs/heads/topic','refs/heads/main']", "pip-3", "[]", true, "pip-3");
	assert_cache(f, "['refs/heads/main']", "pip-", "[]", false, "pip-3"); /* the key itself is a prefix, too */
}

static void another_version_is_another_cache(Fixture *f, gconstpointer data)
{
	(void)data;
	const CacheEntry entry = {.scope = "refs/heads/main", .key = "pip-1", .version = "zstd", .other_version = "gzip",
	        .form = "tree", .digest = D1, .bytes = 1};
	assert_ok(caches_put(f->store, f->repo, &entry, (CacheLimits){0}, NULL, &error));
	assert_cache(f, "['refs/heads/main']", "pip-1", "['pip-']", false, NULL);
	g_autoptr(json_t) may = test_json("['refs/heads/main']");
	static const char *const fits[] = {"['zstd']", "['gzip']", "['other','gzip']"};
	for (size_t i = 0; i < G_N_ELEMENTS(fits); i++) {
		g_autoptr(json_t) versions = test_json(fits[i]);
		g_autoptr(json_t) got = caches_get(f->store, f->repo, may, "pip-1", versions, NULL, NULL);
		g_assert_true(json_get_bool(got, "hit", false));
		g_assert_cmpstr(json_get_string(got, "version", NULL), ==, "zstd");
	}
	assert_fails(caches_check(f->store, f->repo, "refs/heads/main", "pip-1", "gzip", &error), ASSAY_ERROR_BUSY);
	assert_ok(caches_check(f->store, f->repo, "refs/heads/main", "pip-1", "v", &error));
	assert_fails(caches_check(f->store, f->repo, "refs/heads/main", "a,b", "v", &error), ASSAY_ERROR_USER);
}

static void caches_unused_longest_make_room(Fixture *f, gconstpointer data)
{
	(void)data;
	const CacheLimits limits = {.bytes = 25, .age_us = 100 * G_USEC_PER_SEC};
	static const char *const keys[] = {"a", "b"};
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		const CacheEntry entry = {.scope = "refs/heads/main", .key = keys[i], .version = "v", .form = "tree", .digest = D1,
		        .bytes = 10};
		clock_set_test(now_us() + G_USEC_PER_SEC);
		assert_ok(caches_put(f->store, f->repo, &entry, limits, NULL, &error));
	}
	clock_set_test(now_us() + G_USEC_PER_SEC);
	assert_cache(f, "['refs/heads/main']", "a", "[]", true, "a"); /* used: b goes before it */
	CacheEntry more = {.scope = "refs/heads/main", .key = "c", .version = "v", .form = "tree", .digest = D2, .bytes = 10};
	clock_set_test(now_us() + G_USEC_PER_SEC);
	assert_ok(caches_put(f->store, f->repo, &more, limits, NULL, &error));
	assert_cache(f, "['refs/heads/main']", "b", "[]", false, NULL);
	assert_cache(f, "['refs/heads/main']", "a", "[]", true, "a");
	clock_set_test(now_us() + 101 * G_USEC_PER_SEC);
	more.key = "d";
	assert_ok(caches_put(f->store, f->repo, &more, limits, NULL, &error));
	assert_cache(f, "['refs/heads/main']", "a", "[]", false, NULL);
	assert_cache(f, "['refs/heads/main']", "d", "[]", true, "d");
	more.bytes = 26;
	assert_fails(caches_put(f->store, f->repo, &more, limits, NULL, &error), ASSAY_ERROR_USER);
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
	TEST(the_nearest_scope_is_asked_for_everything_first);
	TEST(another_version_is_another_cache);
	TEST(caches_unused_longest_make_room);
	TEST(a_cache_of_a_topic_does_not_reach_main);
	return g_test_run();
}
