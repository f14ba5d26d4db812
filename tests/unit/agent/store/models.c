/* SPDX-License-Identifier: Apache-2.0 */
/* The registry: versions never change, aliases move through the ledger. */
#include "agent/store/models.h"

#include "tests/lib/store.h"

#define D1 "1111111111111111111111111111111111111111111111111111111111111111"

typedef struct Fixture {
	Store *store;
	int64_t repo;
} Fixture;

static void setup(Fixture *f, gconstpointer data)
{
	(void)data;
	f->store = test_store();
	f->repo = test_repo(f->store);
	for (int64_t i = 1; i <= 3; i++) {
		g_autoptr(json_t) version = test_json("{'files':2,'bytes':10,'metrics':{'accuracy':0.9},'card':'# Digits',"
		                                      "'lineage':{'sha':'abc','data':[{'name':'digits','version':1}]}}");
		json_set_string(version, "digest", D1);
		g_autoptr(json_t) got = models_register(f->store, f->repo, 0, 0, "digits", version, NULL);
		g_assert_cmpint(json_get_int(got, "version", 0), ==, i);
		g_assert_cmpstr(json_get_string(got, "digest", NULL), ==, D1);
	}
}

static void teardown(Fixture *f, gconstpointer data)
{
	(void)data;
	store_close(f->store);
}

static int64_t move(Fixture *f, int64_t version, const char *alias)
{
	GError *error = NULL;
	g_autoptr(json_t) got = models_alias(f->store, f->repo, "digits", version, alias, 0, "alice", &error);
	g_assert_no_error(error);
	g_assert_nonnull(json_object_get(got, "previous"));
	return json_get_int(got, "previous", 0);
}

static int64_t at(Fixture *f, const char *alias)
{
	g_autoptr(json_t) got = models_get(f->store, f->repo, "digits", 0, alias, NULL);
	return json_get_int(got, "version", 0);
}

static void an_alias_moves_and_the_ledger_remembers(Fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(move(f, 1, "production"), ==, 0);
	g_assert_cmpint(move(f, 3, "production"), ==, 1);
	g_assert_cmpint(move(f, 3, "production"), ==, 3);
	g_assert_cmpint(move(f, 1, "production"), ==, 3);
	g_assert_cmpint(at(f, "production"), ==, 1);
	g_assert_cmpint(at(f, NULL), ==, 1);
	g_autoptr(json_t) shown = models_show(f->store, "acme/digits", "digits", NULL);
	const json_t *ledger = json_object_get(shown, "ledger");
	g_assert_cmpuint(json_array_size(ledger), ==, 3);
	const json_t *newest = json_array_get(ledger, 0);
	g_assert_cmpint(json_get_int(newest, "version", 0), ==, 1);
	g_assert_cmpint(json_get_int(newest, "previous", 0), ==, 3);
	g_assert_cmpstr(json_get_string(newest, "actor", NULL), ==, "alice");
	g_assert_true(json_is_null(json_object_get(newest, "gate")));
	g_assert_cmpuint(json_array_size(json_object_get(shown, "versions")), ==, 3);
}

static void a_version_is_given_in_full(Fixture *f, gconstpointer data)
{
	(void)data;
	move(f, 2, "production");
	move(f, 2, "shadow");
	g_autoptr(json_t) got = models_get(f->store, f->repo, "digits", 2, NULL, NULL);
	g_assert_cmpstr(json_get_string(got, "card", NULL), ==, "# Digits");
	g_assert_cmpstr(json_get_string(json_object_get(got, "lineage"), "sha", NULL), ==, "abc");
	g_assert_cmpfloat(json_get_real(json_object_get(got, "metrics"), "accuracy", 0), ==, 0.9);
	g_autoptr(json_t) aliases = test_json("['production','shadow']");
	g_assert_true(json_equal(json_object_get(got, "aliases"), aliases));
	assert_fails(models_get(f->store, f->repo, "digits", 9, NULL, &error), ASSAY_ERROR_ABSENT);
	assert_fails(models_get(f->store, f->repo, "digits", 0, "gone", &error), ASSAY_ERROR_ABSENT);
	assert_fails(models_get(f->store, f->repo, "gone", 1, NULL, &error), ASSAY_ERROR_ABSENT);
}

static void latest_is_read_but_never_set(Fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(at(f, "latest"), ==, 3);
	const char *const wrong[] = {"latest", "Latest", "v7", "V12", "", "a/b"};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_fails(models_alias(f->store, f->repo, "digits", 1, wrong[i], 0, "alice", &error), ASSAY_ERROR_USER);
	g_assert_cmpint(move(f, 1, "v7b"), ==, 0);
	assert_fails(models_alias(f->store, f->repo, "digits", 9, "production", 0, "alice", &error), ASSAY_ERROR_ABSENT);
}

static void the_list_shows_release_and_newest(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) before = models_list(f->store, NULL, NULL, 10, NULL);
	g_assert_true(json_is_null(json_object_get(json_array_get(json_object_get(before, "models"), 0), "release")));
	move(f, 2, "production");
	g_autoptr(json_t) list = models_list(f->store, "acme/digits", NULL, 10, NULL);
	const json_t *model = json_array_get(json_object_get(list, "models"), 0);
	g_assert_cmpint(json_get_int(model, "versions", 0), ==, 3);
	g_assert_cmpint(json_get_int(json_object_get(model, "release"), "version", 0), ==, 2);
	g_assert_cmpstr(json_get_string(json_object_get(model, "release"), "sha", NULL), ==, "abc");
	g_assert_cmpint(json_get_int(json_object_get(model, "newest"), "version", 0), ==, 3);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add("/models/" #name, Fixture, NULL, setup, name, teardown)
	TEST(an_alias_moves_and_the_ledger_remembers);
	TEST(a_version_is_given_in_full);
	TEST(latest_is_read_but_never_set);
	TEST(the_list_shows_release_and_newest);
	return g_test_run();
}
