/* SPDX-License-Identifier: Apache-2.0 */
/* The database: what is opened and what is refused, transactions that nest, statements that all compile. */
#include "agent/store/db.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/repos.h"
#include "agent/store/sql.h"
#include "tests/lib/store.h"

static const uint8_t key[32] = {9};

static char *message_of_open(const char *path, AssayError code)
{
	GError *error = NULL;
	g_assert_null(store_open(path, key, &error));
	g_assert_error(error, ASSAY_ERROR, (int)code);
	char *message = g_strdup(error->message);
	g_error_free(error);
	return message;
}

static int64_t count_repos(Store *store)
{
	g_autoptr(json_t) answer = repos_list(store, NULL, 100, NULL);
	return (int64_t)json_array_size(json_object_get(answer, "repos"));
}

static void every_statement_can_be_prepared(void)
{
	g_autoptr(Store) store = test_store();
	for (unsigned i = 0; i < QUERY_COUNT; i++) {
		GError *error = NULL;
		sqlite3_stmt *statement = sql_prepare(store, (Query)i, &error);
		if (!statement)
			g_test_message("%s", sql_text((Query)i));
		g_assert_no_error(error);
		g_assert_nonnull(statement);
	}
}

static void opens_again_what_it_wrote(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	Store *store = test_store_at(path);
	test_repo(store);
	store_close(store);
	store = test_store_at(path);
	g_assert_cmpint(count_repos(store), ==, 1);
	store_close(store);
	test_folder_remove(folder);
}

static void the_file_is_for_its_owner_alone(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	g_autoptr(Store) store = test_store_at(path);
	struct stat info;
	g_assert_cmpint(stat(path, &info), ==, 0);
	g_assert_cmpint(info.st_mode & 0777, ==, 0600);
	test_folder_remove(folder);
}

static void a_newer_schema_is_refused(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	sqlite3 *db = NULL;
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "PRAGMA user_version = 999", NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
	g_autofree char *message = message_of_open(path, ASSAY_ERROR_USER);
	g_assert_nonnull(strstr(message, "version 999"));
	test_folder_remove(folder);
}

static void a_file_that_is_no_database_is_refused_with_advice(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	g_autofree char *noise = g_strnfill(8192, 'x');
	g_assert_true(g_file_set_contents(path, noise, -1, NULL));
	g_autofree char *message = message_of_open(path, ASSAY_ERROR_SYSTEM);
	g_assert_nonnull(strstr(message, "assay restore"));
	test_folder_remove(folder);
}

static void an_absent_folder_and_a_folder_as_file_are_refused(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "gone", "assay.db", NULL);
	g_autofree char *absent = message_of_open(path, ASSAY_ERROR_ABSENT);
	g_assert_nonnull(strstr(absent, "No such file"));
	g_autofree char *message = message_of_open(folder, ASSAY_ERROR_SYSTEM);
	g_assert_nonnull(strstr(message, "directory"));
	test_folder_remove(folder);
}

static void another_writer_makes_it_busy(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	g_autoptr(Store) store = test_store_at(path);
	sqlite3_busy_timeout(store->db, 10);
	sqlite3 *other = NULL;
	g_assert_cmpint(sqlite3_open(path, &other), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), ==, SQLITE_OK);
	assert_fails(store_begin(store, &error), ASSAY_ERROR_BUSY);
	g_assert_false(store_in_transaction(store));
	sqlite3_close(other);
	test_folder_remove(folder);
}

static void durable_and_small(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	g_autoptr(Store) store = test_store_at(path);
	const struct {
		const char *pragma;
		const char *value;
	} want[] = {{"PRAGMA journal_mode", "wal"}, {"PRAGMA synchronous", "2"}, {"PRAGMA foreign_keys", "1"},
	        {"PRAGMA cache_size", "-512"}, {"PRAGMA mmap_size", "0"}};
	for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
		sqlite3_stmt *statement = NULL;
		g_assert_cmpint(sqlite3_prepare_v2(store->db, want[i].pragma, -1, &statement, NULL), ==, SQLITE_OK);
		g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
		g_assert_cmpstr((const char *)sqlite3_column_text(statement, 0), ==, want[i].value);
		sqlite3_finalize(statement);
	}
	test_folder_remove(folder);
}

static void only_the_outermost_commit_commits(void)
{
	g_autoptr(Store) store = test_store();
	uint64_t before = store_changes(store);
	assert_ok(store_begin(store, &error));
	assert_ok(store_begin(store, &error));
	test_repo(store);
	assert_ok(store_commit(store, &error));
	g_assert_true(store_in_transaction(store));
	g_assert_cmpuint(store_changes(store), ==, before);
	assert_ok(store_commit(store, &error));
	g_assert_false(store_in_transaction(store));
	g_assert_cmpuint(store_changes(store), >, before);
	g_assert_cmpint(count_repos(store), ==, 1);
}

static void one_rollback_inside_undoes_all(void)
{
	g_autoptr(Store) store = test_store();
	assert_ok(store_begin(store, &error));
	test_repo(store);
	assert_ok(store_begin(store, &error));
	store_rollback(store);
	assert_fails(repos_put(store, "acme/other", "file:///x", NULL, 0, NULL, &(int64_t){0}, &error),
	        ASSAY_ERROR_SYSTEM);
	assert_fails(store_commit(store, &error), ASSAY_ERROR_SYSTEM);
	g_assert_false(store_in_transaction(store));
	g_assert_cmpint(count_repos(store), ==, 0);
	test_repo(store);
	g_assert_cmpint(count_repos(store), ==, 1);
}

static void a_part_that_fails_leaves_the_rest_usable(void)
{
	g_autoptr(Store) store = test_store();
	assert_ok(store_begin(store, &error));
	assert_ok(sql_atomic_begin(store, &error));
	test_repo(store);
	g_assert_false(sql_atomic_end(store, false, NULL));
	g_assert_cmpint(count_repos(store), ==, 0);
	assert_ok(sql_atomic_begin(store, &error));
	test_repo(store);
	assert_ok(sql_atomic_end(store, true, &error));
	assert_ok(store_commit(store, &error));
	g_assert_cmpint(count_repos(store), ==, 1);
}

static void a_full_disk_is_said_and_undone_whole(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	g_autoptr(Store) store = test_store_at(path);
	sqlite3_exec(store->db, "PRAGMA max_page_count = 1", NULL, NULL, NULL); /* no page more than there are */
	g_autofree char *large = g_strnfill(1 << 20, 'x');
	int64_t id = 0;
	assert_ok(store_begin(store, &error));
	GError *said = NULL;
	g_assert_false(repos_put(store, "acme/digits", large, NULL, 0, NULL, &id, &said));
	g_assert_error(said, ASSAY_ERROR, ASSAY_ERROR_SYSTEM);
	g_assert_nonnull(strstr(said->message, "disk is full"));
	g_error_free(said);
	/* SQLite has ended the transaction by itself: nothing may slip in outside it. */
	bool ended = sqlite3_get_autocommit(store->db) != 0;
	if (ended)
		assert_fails(repos_put(store, "acme/two", "u", NULL, 0, NULL, &id, &error), ASSAY_ERROR_SYSTEM);
	store_rollback(store);
	g_assert_cmpint(count_repos(store), ==, 0);
	test_folder_remove(folder);
}

static void trimming_gives_memory_back_and_loses_nothing(void)
{
	g_autoptr(Store) store = test_store();
	test_repo(store);
	for (unsigned i = 0; i < QUERY_COUNT; i++)
		g_assert_nonnull(sql_prepare(store, (Query)i, NULL));
	int64_t before = sqlite3_memory_used();
	store_trim(store);
	g_assert_cmpint(sqlite3_memory_used(), <, before / 2);
	g_assert_cmpint(count_repos(store), ==, 1);
}

static void pages_are_bounded_and_their_keys_checked(void)
{
	Page page;
	assert_ok(page_parse(NULL, 0, &page, &error));
	g_assert_cmpint(page.rows, ==, 51);
	assert_ok(page_parse("7", 100000, &page, &error));
	g_assert_cmpint(page.at, ==, 7);
	g_assert_cmpint(page.rows, ==, 501);
	assert_fails(page_parse("7; DROP", 1, &page, &error), ASSAY_ERROR_USER);
	assert_fails(page_parse("-7", 1, &page, &error), ASSAY_ERROR_USER);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/db/every_statement_can_be_prepared", every_statement_can_be_prepared);
	g_test_add_func("/db/opens_again_what_it_wrote", opens_again_what_it_wrote);
	g_test_add_func("/db/the_file_is_for_its_owner_alone", the_file_is_for_its_owner_alone);
	g_test_add_func("/db/a_newer_schema_is_refused", a_newer_schema_is_refused);
	g_test_add_func("/db/a_file_that_is_no_database_is_refused_with_advice",
	        a_file_that_is_no_database_is_refused_with_advice);
	g_test_add_func("/db/an_absent_folder_and_a_folder_as_file_are_refused",
	        an_absent_folder_and_a_folder_as_file_are_refused);
	g_test_add_func("/db/another_writer_makes_it_busy", another_writer_makes_it_busy);
	g_test_add_func("/db/durable_and_small", durable_and_small);
	g_test_add_func("/db/only_the_outermost_commit_commits", only_the_outermost_commit_commits);
	g_test_add_func("/db/one_rollback_inside_undoes_all", one_rollback_inside_undoes_all);
	g_test_add_func("/db/a_part_that_fails_leaves_the_rest_usable", a_part_that_fails_leaves_the_rest_usable);
	g_test_add_func("/db/a_full_disk_is_said_and_undone_whole", a_full_disk_is_said_and_undone_whole);
	g_test_add_func("/db/trimming_gives_memory_back_and_loses_nothing", trimming_gives_memory_back_and_loses_nothing);
	g_test_add_func("/db/pages_are_bounded_and_their_keys_checked", pages_are_bounded_and_their_keys_checked);
	return g_test_run();
}
