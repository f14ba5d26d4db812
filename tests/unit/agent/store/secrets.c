/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets: sealed, bound to their row, opened for one environment. */
#include "agent/store/secrets.h"

#include <sqlite3.h>
#include <string.h>

#include "agent/store/seal.h"
#include "tests/lib/store.h"

#define REPO "acme/digits"

static void set(Store *store, const char *environment, const char *name, const char *value)
{
	assert_ok(secrets_set(store, REPO, environment, name, value, value ? strlen(value) : 0, &error));
}

static void assert_open(Store *store, int64_t repo, const char *environment, const char *want_text)
{
	GError *error = NULL;
	g_autoptr(json_t) opened = secrets_open(store, repo, environment, &error);
	g_assert_no_error(error);
	g_autoptr(json_t) want = test_json(want_text);
	g_assert_true(json_equal(opened, want));
}

static void an_environment_wins_over_the_repo(void)
{
	g_autoptr(Store) store = test_store();
	int64_t repo = test_repo(store);
	set(store, NULL, "KEY", "repo");
	set(store, NULL, "other", "both");
	set(store, "production", "KEY", "prod");
	set(store, "staging", "KEY", "stage");
	assert_open(store, repo, NULL, "{'KEY':'repo','OTHER':'both'}");
	assert_open(store, repo, "production", "{'KEY':'prod','OTHER':'both'}");
	assert_open(store, repo, "gone", "{'KEY':'repo','OTHER':'both'}");
	assert_open(store, 0, NULL, "{}");
	set(store, NULL, "KEY", NULL);
	assert_open(store, repo, NULL, "{'OTHER':'both'}");
}

static void the_list_has_names_and_no_values(void)
{
	g_autoptr(Store) store = test_store();
	test_repo(store);
	set(store, NULL, "KEY", "hush-hush");
	set(store, "production", "KEY", "hush-hush");
	g_autoptr(json_t) list = secrets_list(store, REPO, NULL);
	g_autofree char *text = json_text(list);
	g_assert_null(strstr(text, "hush"));
	g_assert_cmpuint(json_array_size(list), ==, 2);
	g_assert_true(json_is_null(json_object_get(json_array_get(list, 0), "environment")));
	g_assert_cmpstr(json_get_string(json_array_get(list, 1), "environment", NULL), ==, "production");
}

static void a_sealed_value_that_is_moved_does_not_open(void)
{
	g_autoptr(Store) store = test_store();
	int64_t repo = test_repo(store);
	set(store, "staging", "KEY", "hush");
	g_assert_cmpint(
	        sqlite3_exec(store->db, "UPDATE secrets SET environment = 'production'", NULL, NULL, NULL), ==, SQLITE_OK);
	assert_fails(secrets_open(store, repo, "production", &error), ASSAY_ERROR_SYSTEM);
	g_assert_cmpint(sqlite3_exec(store->db, "UPDATE secrets SET environment = 'staging'", NULL, NULL, NULL), ==, SQLITE_OK);
	assert_open(store, repo, "staging", "{'KEY':'hush'}");
}

static void a_sealed_value_that_is_changed_does_not_open(void)
{
	g_autoptr(Store) store = test_store();
	g_autoptr(GBytes) sealed = seal(store, 1, "production", "KEY", "hush", 4);
	gsize len = 0;
	const uint8_t *bytes = g_bytes_get_data(sealed, &len);
	g_autoptr(GBytes) opened = seal_open(store, 1, "production", "KEY", bytes, len);
	g_assert_cmpmem(g_bytes_get_data(opened, NULL), g_bytes_get_size(opened), "hush", 4);
	for (gsize i = 0; i < len; i++) {
		g_autofree uint8_t *changed = g_memdup2(bytes, len);
		changed[i] ^= 1;
		g_assert_null(seal_open(store, 1, "production", "KEY", changed, len));
	}
	for (gsize cut = 0; cut < len; cut++)
		g_assert_null(seal_open(store, 1, "production", "KEY", bytes, cut));
	g_assert_null(seal_open(store, 2, "production", "KEY", bytes, len));
	g_assert_null(seal_open(store, 1, "productio", "nKEY", bytes, len));
}

static void another_key_opens_nothing_and_says_so(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	Store *store = test_store_at(path);
	int64_t repo = test_repo(store);
	set(store, NULL, "KEY", "hush");
	store_close(store);
	const uint8_t other[32] = {42};
	store = store_open(path, other, NULL);
	assert_fails(secrets_open(store, repo, NULL, &error), ASSAY_ERROR_SYSTEM);
	store_close(store);
	test_folder_remove(folder);
}

static void names_and_values_that_no_job_could_use_are_refused(void)
{
	g_autoptr(Store) store = test_store();
	test_repo(store);
	const char *const wrong[] = {"", "1A", "A-B", "A B", "A="};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_fails(secrets_set(store, REPO, NULL, wrong[i], "x", 1, &error), ASSAY_ERROR_USER);
	assert_fails(secrets_set(store, REPO, NULL, "A", "\xff\xfe", 2, &error), ASSAY_ERROR_USER);
	assert_fails(secrets_set(store, REPO, NULL, "A", "a\0b", 3, &error), ASSAY_ERROR_USER);
	assert_fails(secrets_set(store, "acme/gone", NULL, "A", "x", 1, &error), ASSAY_ERROR_ABSENT);
	g_autofree char *large = g_strnfill(300 * 1024, 'x');
	assert_fails(secrets_set(store, REPO, NULL, "A", large, strlen(large), &error), ASSAY_ERROR_USER);
}

static void wiping_leaves_no_byte(void)
{
	g_autoptr(json_t) opened = test_json("{'KEY':'hush','OTHER':'x'}");
	secrets_wipe(opened);
	const char *value = json_string_value(json_object_get(opened, "KEY"));
	const char zeros[4] = {0};
	g_assert_cmpmem(value, 4, zeros, 4);
	secrets_wipe(NULL);
}

static void variables_follow_the_same_order(void)
{
	g_autoptr(Store) store = test_store();
	int64_t repo = test_repo(store);
	assert_ok(vars_set(store, REPO, NULL, "region", "eu", &error));
	assert_ok(vars_set(store, REPO, NULL, "SIZE", "small", &error));
	assert_ok(vars_set(store, REPO, "production", "SIZE", "large", &error));
	g_autoptr(json_t) got = vars_get(store, repo, "production", NULL);
	g_autoptr(json_t) want = test_json("{'REGION':'eu','SIZE':'large'}");
	g_assert_true(json_equal(got, want));
	assert_ok(vars_set(store, REPO, NULL, "REGION", NULL, &error));
	g_autoptr(json_t) left = vars_get(store, repo, NULL, NULL);
	g_autoptr(json_t) small = test_json("{'SIZE':'small'}");
	g_assert_true(json_equal(left, small));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/secrets/" #name, name)
	TEST(an_environment_wins_over_the_repo);
	TEST(the_list_has_names_and_no_values);
	TEST(a_sealed_value_that_is_moved_does_not_open);
	TEST(a_sealed_value_that_is_changed_does_not_open);
	TEST(another_key_opens_nothing_and_says_so);
	TEST(names_and_values_that_no_job_could_use_are_refused);
	TEST(wiping_leaves_no_byte);
	TEST(variables_follow_the_same_order);
	return g_test_run();
}
