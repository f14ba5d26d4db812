/* SPDX-License-Identifier: Apache-2.0 */
/* A writer that is killed loses what it had not committed, and nothing else. */
#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/store/deliveries.h"
#include "tests/lib/store.h"

#define ROUNDS 12

static bool put(Store *store, int number)
{
	bool fresh = false;
	char name[32];
	static char body[8500];
	g_snprintf(name, sizeof name, "d-%d", number);
	memset(body, 'x', sizeof body);
	const DeliverySpec spec = {.forge = "github", .delivery = name, .repo = "acme/digits", .body = body,
	        .body_len = sizeof body, .received_us = 1};
	return deliveries_put(store, &spec, NULL, &fresh, NULL) && fresh;
}

/* The deliveries that are there, which must be 1 … n without a gap; n. */
static int count(const char *path)
{
	g_autoptr(Store) store = test_store_at(path);
	int found = 0;
	for (;;) {
		g_autoptr(json_t) next = deliveries_next(store, NULL);
		if (!next)
			return found;
		char name[32];
		g_snprintf(name, sizeof name, "d-%d", ++found);
		g_assert_cmpstr(json_get_string(next, "delivery", NULL), ==, name);
		assert_ok(deliveries_done(store, json_get_int(next, "id", 0), "ignored", NULL, &error));
	}
}

static void assert_whole(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
	g_assert_cmpstr((const char *)sqlite3_column_text(statement, 0), ==, "ok");
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

static void killed_between_begin_and_commit(void)
{
	char *folder = test_folder();
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	pid_t child = fork();
	g_assert_cmpint(child, >=, 0);
	if (child == 0) {
		Store *store = test_store_at(path);
		bool ok = store_begin(store, NULL) && put(store, 1) && put(store, 2) && store_commit(store, NULL);
		ok = ok && store_begin(store, NULL) && put(store, 3) && put(store, 4);
		if (ok)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	int status = 0;
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	g_assert_cmpint(count(path), ==, 2);
	assert_whole(path);
	test_folder_remove(folder);
}

static void write_for_ever(const char *path, int out)
{
	Store *store = test_store_at(path);
	for (int number = 1;; number++) {
		if (!store_begin(store, NULL) || !put(store, number) || !store_commit(store, NULL) ||
		        write(out, &number, sizeof number) != (ssize_t)sizeof number)
			_exit(1);
	}
}

/* What was acknowledged before a kill at any moment is there; at most the one under way may be there too. */
static void killed_at_any_moment(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		char *folder = test_folder();
		g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
		int ends[2];
		g_assert_cmpint(pipe(ends), ==, 0);
		pid_t child = fork();
		g_assert_cmpint(child, >=, 0);
		if (child == 0) {
			close(ends[0]);
			write_for_ever(path, ends[1]);
		}
		close(ends[1]);
		int acknowledged = 0;
		int number = 0;
		g_assert_cmpint(read(ends[0], &number, sizeof number), ==, sizeof number);
		acknowledged = number;
		g_usleep((gulong)g_test_rand_int_range(0, 30000));
		kill(child, SIGKILL);
		while (read(ends[0], &number, sizeof number) == (ssize_t)sizeof number)
			acknowledged = number;
		close(ends[0]);
		g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
		int kept = count(path);
		g_assert_cmpint(kept, >=, acknowledged);
		g_assert_cmpint(kept, <=, acknowledged + 1);
		assert_whole(path);
		test_folder_remove(folder);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/store_kill/killed_between_begin_and_commit", killed_between_begin_and_commit);
	g_test_add_func("/store_kill/killed_at_any_moment", killed_at_any_moment);
	return g_test_run();
}
