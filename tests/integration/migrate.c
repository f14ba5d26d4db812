/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database of every released schema opens, keeps its rows, and ends with the same tables as a new one. Add a file
 * tests/golden/store/NNNN.sql and a row here with each schema.
 */
#include <glib.h>
#include <sqlite3.h>
#include <string.h>

#include "agent/store/datasets.h"
#include "agent/store/deliveries.h"
#include "agent/store/gates.h"
#include "agent/store/models.h"
#include "agent/store/people.h"
#include "agent/store/queue.h"
#include "agent/store/runs.h"
#include "tests/lib/store.h"

static const char *const released[] = {"0001.sql", "0002.sql", "0003.sql", "0004.sql", "0005.sql", "0006.sql", "0007.sql", "0008.sql", "0009.sql", "0010.sql",
        "0011.sql"};

static void write_database(const char *path, const char *golden)
{
	g_autofree char *from = g_build_filename(TEST_SOURCE_DIR, "tests", "golden", "store", golden, NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(from, &text, NULL, NULL));
	sqlite3 *db = NULL;
	char *said = NULL;
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	sqlite3_exec(db, text, NULL, NULL, &said);
	g_assert_cmpstr(said, ==, NULL);
	sqlite3_close(db);
}

/* Every table, index and trigger by its name and text, and what does not fit its foreign keys. */
static char *describe(const char *path)
{
	static const char *const questions[] = {
	        "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY type, name",
	        "SELECT 'version ' || user_version FROM pragma_user_version",
	        "SELECT 'no parent: ' || \"table\" || ' ' || rowid FROM pragma_foreign_key_check",
	        "SELECT 'integrity: ' || integrity_check FROM pragma_integrity_check"};
	GString *out = g_string_new(NULL);
	sqlite3 *db = NULL;
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	for (size_t i = 0; i < G_N_ELEMENTS(questions); i++) {
		sqlite3_stmt *statement = NULL;
		g_assert_cmpint(sqlite3_prepare_v2(db, questions[i], -1, &statement, NULL), ==, SQLITE_OK);
		while (sqlite3_step(statement) == SQLITE_ROW)
			g_string_append_printf(out, "%s\n", (const char *)sqlite3_column_text(statement, 0));
		sqlite3_finalize(statement);
	}
	sqlite3_close(db);
	return g_string_free(out, FALSE);
}

static void assert_rows(Store *store)
{
	g_autoptr(json_t) run = runs_get_number(store, "acme/digits", 7, 0, NULL);
	g_assert_cmpstr(json_get_string(run, "status", NULL), ==, "waiting");
	g_assert_cmpint(json_get_int(json_array_get(json_object_get(run, "jobs"), 0), "gate", 0), ==, 3);
	g_autoptr(json_t) gate = gates_get(store, 3, NULL);
	g_assert_cmpstr(json_get_string(gate, "evidence_digest", NULL), ==, "e1");
	g_autoptr(json_t) delivery = deliveries_next(store, NULL);
	g_assert_cmpstr(json_get_string(delivery, "delivery", NULL), ==, "d-2");
	g_autoptr(GPtrArray) leased = queue_leased(store, NULL);
	g_assert_cmpuint(leased->len, ==, 1);
	g_assert_cmpint(((const Task *)g_ptr_array_index(leased, 0))->offset, ==, 512);
	g_autoptr(json_t) answers = queue_answers(store, 17, NULL);
	g_assert_cmpuint(json_array_size(answers), ==, 1);
	g_autoptr(json_t) data = datasets_get(store, 1, "digits", 0, NULL, NULL);
	g_assert_cmpstr(json_get_string(data, "digest", NULL), ==, "d1");
	g_autoptr(json_t) model = models_get(store, 1, "digits", 0, "production", NULL);
	g_assert_cmpstr(json_get_string(model, "digest", NULL), ==, "m1");
	g_autoptr(json_t) user = people_get(store, "alice", NULL);
	g_assert_cmpstr(json_get_string(user, "role", NULL), ==, "reviewer");
	/* And it goes on where it was. */
	g_autoptr(json_t) next = runs_get(store, test_run(store, 1), NULL);
	g_assert_cmpint(json_get_int(next, "number", 0), ==, 8);
	g_assert_cmpint(json_get_int(next, "id", 0), ==, 5);
}

static void every_released_schema_opens_and_keeps_its_rows(void)
{
	char *folder = test_folder();
	g_autofree char *new_path = g_build_filename(folder, "new.db", NULL);
	store_close(test_store_at(new_path));
	g_autofree char *want = describe(new_path);
	for (size_t i = 0; i < G_N_ELEMENTS(released); i++) {
		g_autofree char *path = g_build_filename(folder, released[i], NULL);
		write_database(path, released[i]);
		Store *store = test_store_at(path);
		assert_rows(store);
		store_close(store);
		g_autofree char *got = describe(path);
		g_assert_cmpstr(got, ==, want);
	}
	test_folder_remove(folder);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/migrate/every_released_schema_opens_and_keeps_its_rows",
	        every_released_schema_opens_and_keeps_its_rows);
	return g_test_run();
}
