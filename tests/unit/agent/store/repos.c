/* SPDX-License-Identifier: Apache-2.0 */
/* Repos: added, changed, removed, and their webhook secrets. */
#include "agent/store/repos.h"

#include <sqlite3.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/runs.h"
#include "agent/store/sql.h"
#include "tests/lib/store.h"

static char *secret_of(Store *store, const char *name)
{
	g_autoptr(GBytes) secret = repos_webhook_secret(store, name);
	gsize len = 0;
	const char *bytes = secret ? g_bytes_get_data(secret, &len) : NULL;
	return bytes ? g_strndup(bytes, len) : NULL;
}

/* What was opened is kept; whatever changes a repo must be seen at once. */
static void a_kept_webhook_secret_is_the_one_that_holds(void)
{
	g_autoptr(Store) store = test_store();
	int64_t id = 0;
	g_assert_null(secret_of(store, "acme/digits"));
	assert_ok(repos_put(store, "acme/digits", "file:///x", "one", 3, NULL, &id, &error));
	for (int i = 0; i < 2; i++) {
		g_autofree char *first = secret_of(store, "acme/digits");
		g_assert_cmpstr(first, ==, "one");
	}
	assert_ok(store_begin(store, &error));
	assert_ok(repos_put(store, "acme/digits", "file:///x", "two", 3, NULL, &id, &error));
	g_autofree char *inside = secret_of(store, "acme/digits");
	g_assert_cmpstr(inside, ==, "two");
	store_rollback(store);
	g_autofree char *undone = secret_of(store, "acme/digits");
	g_assert_cmpstr(undone, ==, "one");
	assert_ok(repos_put(store, "acme/digits", "file:///x", "three", 5, NULL, &id, &error));
	g_autofree char *changed = secret_of(store, "acme/digits");
	g_assert_cmpstr(changed, ==, "three");
	for (int i = 0; i < 200; i++) {
		g_autofree char *name = g_strdup_printf("acme/stranger%d", i);
		g_assert_null(secret_of(store, name));
	}
	for (int i = 0; i < 100; i++) {
		g_autofree char *name = g_strdup_printf("many/known%d", i);
		assert_ok(repos_put(store, name, "file:///x", name, strlen(name), NULL, &id, &error));
	}
	for (int i = 0; i < 200; i++) {
		g_autofree char *name = g_strdup_printf("many/known%d", i % 100);
		g_autofree char *got = secret_of(store, name);
		g_assert_cmpstr(got, ==, name);
	}
	g_autofree char *after = secret_of(store, "acme/digits");
	g_assert_cmpstr(after, ==, "three");
	assert_ok(repos_remove(store, "acme/digits", &error));
	g_assert_null(secret_of(store, "acme/digits"));
	assert_ok(repos_put(store, "acme/stranger7", "file:///x", "known", 5, NULL, &id, &error));
	g_autofree char *known = secret_of(store, "acme/stranger7");
	g_assert_cmpstr(known, ==, "known");
}

static void has_the_shape_of_the_api(void)
{
	g_autoptr(Store) store = test_store();
	clock_set_test(INT64_C(1777802640000000));
	int64_t id = 0;
	g_autoptr(json_t) settings = test_json("{'network':'loopback','default_branch':'trunk','forge':'github'}");
	assert_ok(repos_put(store, "acme/digits", "file:///x", NULL, 0, settings, &id, &error));
	clock_set_test(0);
	g_autoptr(json_t) repo = repos_get(store, "acme/digits", NULL);
	g_autoptr(json_t) want = test_json(
	        "{'id':1,'name':'acme/digits','url':'file:///x','network':'loopback','default_branch':'trunk',"
	        "'forge':'github','api':null,'created_at':'2026-05-03T10:04:00.000Z','has_secret':false}");
	g_assert_true(json_equal(repo, want));
	g_autoptr(json_t) by_id = repos_get_id(store, id, NULL);
	g_assert_true(json_equal(by_id, want));
}

static void credentials_are_sealed_and_go_with_the_repo(void)
{
	g_autoptr(Store) store = test_store();
	int64_t id = 0, other = 0;
	assert_ok(repos_put(store, "acme/digits", "https://h/x", NULL, 0, NULL, &id, &error));
	assert_ok(repos_put(store, "acme/other", "https://h/y", NULL, 0, NULL, &other, &error));
	assert_ok(repos_set_credential(store, id, "token", "old", &error));
	assert_ok(repos_set_credential(store, id, "token", "new-token", &error));
	assert_fails(repos_set_credential(store, id, "token", "", &error), ASSAY_ERROR_USER);
	g_autofree char *got = repos_credential(store, id, "token");
	g_assert_cmpstr(got, ==, "new-token");
	g_assert_null(repos_credential(store, id, "ssh_key"));
	g_assert_null(repos_credential(store, other, "token"));
	g_autoptr(json_t) shown = repos_get(store, "acme/digits", NULL);
	g_autofree char *text = json_text(shown);
	g_assert_null(strstr(text, "new-token"));
	assert_ok(repos_remove(store, "acme/digits", &error));
	g_assert_null(repos_credential(store, id, "token"));
}

static void putting_again_keeps_what_is_not_said(void)
{
	g_autoptr(Store) store = test_store();
	int64_t id = 0;
	int64_t again = 0;
	g_autoptr(json_t) settings = test_json("{'network':'full'}");
	assert_ok(repos_put(store, "acme/digits", "file:///x", "hush", 4, settings, &id, &error));
	assert_ok(repos_put(store, "acme/digits", "file:///y", NULL, 0, NULL, &again, &error));
	g_assert_cmpint(id, ==, again);
	g_autoptr(json_t) repo = repos_get(store, "acme/digits", NULL);
	g_assert_cmpstr(json_get_string(repo, "url", NULL), ==, "file:///y");
	g_assert_cmpstr(json_get_string(repo, "network", NULL), ==, "full");
	g_autofree char *secret = secret_of(store, "acme/digits");
	g_assert_cmpstr(secret, ==, "hush");
	assert_ok(repos_put(store, "acme/digits", "file:///y", "", 0, NULL, &again, &error));
	g_autofree char *empty = secret_of(store, "acme/digits");
	g_assert_cmpstr(empty, ==, "");
}

static void a_webhook_secret_is_not_in_the_file(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	Store *store = test_store_at(path);
	int64_t id = 0;
	assert_ok(repos_put(store, "acme/digits", "file:///x", "correct-horse-battery", 21, NULL, &id, &error));
	store_close(store); /* and so the log is in the file */
	g_autofree char *text = NULL;
	gsize len = 0;
	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	g_assert_null(memmem(text, len, "correct-horse", 13));
	test_folder_remove(folder);
}

static void an_unknown_repo_has_no_secret_and_no_error(void)
{
	g_autoptr(Store) store = test_store();
	g_assert_null(repos_webhook_secret(store, "acme/gone"));
	assert_fails(repos_get(store, "acme/gone", &error), ASSAY_ERROR_ABSENT);
}

static void removing_keeps_history_and_takes_the_secret(void)
{
	g_autoptr(Store) store = test_store();
	int64_t id = test_repo(store);
	int64_t run = test_run(store, id);
	assert_ok(repos_remove(store, "acme/digits", &error));
	assert_fails(repos_get(store, "acme/digits", &error), ASSAY_ERROR_ABSENT);
	assert_fails(repos_remove(store, "acme/digits", &error), ASSAY_ERROR_ABSENT);
	g_assert_null(repos_webhook_secret(store, "acme/digits"));
	g_autoptr(json_t) kept = runs_get(store, run, NULL);
	g_assert_cmpstr(json_get_string(kept, "repo", NULL), ==, "acme/digits");
	g_autoptr(json_t) list = repos_list(store, NULL, 0, NULL);
	g_assert_cmpuint(json_array_size(json_object_get(list, "repos")), ==, 0);
	g_assert_cmpint(test_repo(store), ==, id);
	g_autoptr(json_t) next = NULL;
	int64_t second = test_run(store, id);
	next = runs_get(store, second, NULL);
	g_assert_cmpint(json_get_int(next, "number", 0), ==, 2);
}

static void names_and_networks_are_checked(void)
{
	g_autoptr(Store) store = test_store();
	const char *const wrong[] = {"", "acme", "/x", "acme/", "a b/c", "../etc/x", "acme/x?y", "a\\b/c"};
	int64_t id = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_fails(repos_put(store, wrong[i], "file:///x", NULL, 0, NULL, &id, &error), ASSAY_ERROR_USER);
	assert_fails(repos_put(store, "acme/x", "", NULL, 0, NULL, &id, &error), ASSAY_ERROR_USER);
	g_autoptr(json_t) settings = test_json("{'network':'open'}");
	assert_fails(repos_put(store, "acme/x", "u", NULL, 0, settings, &id, &error), ASSAY_ERROR_USER);
	assert_ok(repos_put(store, "group/sub/x", "u", NULL, 0, NULL, NULL, &error));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/repos/credentials_are_sealed_and_go_with_the_repo", credentials_are_sealed_and_go_with_the_repo);
	g_test_add_func("/repos/a_kept_webhook_secret_is_the_one_that_holds", a_kept_webhook_secret_is_the_one_that_holds);
	g_test_add_func("/repos/has_the_shape_of_the_api", has_the_shape_of_the_api);
	g_test_add_func("/repos/putting_again_keeps_what_is_not_said", putting_again_keeps_what_is_not_said);
	g_test_add_func("/repos/a_webhook_secret_is_not_in_the_file", a_webhook_secret_is_not_in_the_file);
	g_test_add_func("/repos/an_unknown_repo_has_no_secret_and_no_error", an_unknown_repo_has_no_secret_and_no_error);
	g_test_add_func("/repos/removing_keeps_history_and_takes_the_secret",
	        removing_keeps_history_and_takes_the_secret);
	g_test_add_func("/repos/names_and_networks_are_checked", names_and_networks_are_checked);
	return g_test_run();
}
