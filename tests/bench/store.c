/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable deliveries a second through the store, against the least that SQLite could do: one table, one insert, the
 * same groups, the same pragmas, the same disk, in turns. Then lists of runs among 100,000.
 *
 *     ninja -C build bench-store && build/tests/bench-store [FOLDER]
 */
#include <glib.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/deliveries.h"
#include "agent/store/repos.h"
#include "agent/store/runs.h"
#include "tests/lib/store.h"

#define BODY_BYTES 8500
#define GROUP 32       /* requests that wait for one commit */
#define ROUND_US 500000
#define ROUNDS 7
#define RUNS 100000

static char body[BODY_BYTES];
static int64_t serial;

static void name_next(char out[32])
{
	g_snprintf(out, 32, "d-%" G_GINT64_FORMAT, ++serial);
}

static void group_through_store(Store *store)
{
	assert_ok(store_begin(store, &error));
	for (int i = 0; i < GROUP; i++) {
		char name[32];
		bool fresh = false;
		name_next(name);
		const DeliverySpec spec = {.forge = "github", .delivery = name, .repo = "acme/digits", .event = "push",
		        .headers = "{\"content-type\":\"application/json\",\"x-github-event\":\"push\"}", .body = body,
		        .body_len = sizeof body, .received_us = now_us()};
		assert_ok(deliveries_put(store, &spec, NULL, &fresh, &error));
	}
	assert_ok(store_commit(store, &error));
}

typedef struct Bare {
	sqlite3 *db;
	sqlite3_stmt *insert;
} Bare;

static void bare_open(Bare *bare, const char *path)
{
	g_assert_cmpint(sqlite3_open(path, &bare->db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(bare->db,
	                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
	                        "CREATE TABLE d (id INTEGER PRIMARY KEY, delivery TEXT UNIQUE, body BLOB)",
	                        NULL, NULL, NULL),
	        ==, SQLITE_OK);
	sqlite3_prepare_v2(bare->db, "INSERT INTO d (delivery, body) VALUES (?1, ?2)", -1, &bare->insert, NULL);
}

static void group_through_bare(Bare *bare)
{
	sqlite3_exec(bare->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (int i = 0; i < GROUP; i++) {
		char name[32];
		name_next(name);
		sqlite3_bind_text(bare->insert, 1, name, -1, SQLITE_STATIC);
		sqlite3_bind_blob(bare->insert, 2, body, sizeof body, SQLITE_STATIC);
		g_assert_cmpint(sqlite3_step(bare->insert), ==, SQLITE_DONE);
		sqlite3_reset(bare->insert);
	}
	g_assert_cmpint(sqlite3_exec(bare->db, "COMMIT", NULL, NULL, NULL), ==, SQLITE_OK);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare);
	return values[count / 2];
}

static void bench_deliveries(const char *folder)
{
	g_autofree char *path = g_build_filename(folder, "assay.db", NULL);
	g_autofree char *bare_path = g_build_filename(folder, "bare.db", NULL);
	g_autoptr(Store) store = test_store_at(path);
	Bare bare = {0};
	double ours[ROUNDS];
	double theirs[ROUNDS];
	bare_open(&bare, bare_path);
	memset(body, 'x', sizeof body);
	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = monotonic_us();
		int64_t done = 0;
		for (; monotonic_us() - start < ROUND_US; done += GROUP)
			group_through_store(store);
		ours[round] = (double)done * 1e6 / (double)(monotonic_us() - start);
		start = monotonic_us();
		for (done = 0; monotonic_us() - start < ROUND_US; done += GROUP)
			group_through_bare(&bare);
		theirs[round] = (double)done * 1e6 / (double)(monotonic_us() - start);
	}
	sqlite3_finalize(bare.insert);
	sqlite3_close(bare.db);
	double a = median(ours, ROUNDS);
	double b = median(theirs, ROUNDS);
	printf("deliveries of %d bytes, %d a commit: %.0f/s; bare loop %.0f/s; ratio %.2f\n", BODY_BYTES, GROUP, a, b, a / b);
}

/* 100,000 runs of ten repos: nine in ten succeeded, one branch in fifty is main's own. */
static void fill(Store *store)
{
	int64_t repos[10];
	for (int i = 0; i < 10; i++) {
		g_autofree char *name = g_strdup_printf("acme/repo%d", i);
		assert_ok(repos_put(store, name, "file:///x", NULL, 0, NULL, &repos[i], &error));
	}
	assert_ok(store_begin(store, &error));
	for (int i = 0; i < RUNS; i++) {
		g_autofree char *ref = g_strdup_printf("refs/heads/topic-%d", i % 50);
		g_autofree char *actor = g_strdup_printf("user%d", i % 37);
		g_autofree char *delivery = g_strdup_printf("d-%d", i);
		g_autoptr(json_t) fields = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "workflow", i % 3 ? "train" : "docs", "workflow_path",
		        i % 3 ? ".assay/workflows/train.yml" : ".assay/workflows/docs.yml", "event", i % 11 ? "push" : "schedule", "ref",
		        i % 50 ? ref : "refs/heads/main", "actor", actor, "delivery", delivery);
		int64_t run = 0;
		assert_ok(runs_add(store, repos[i % 10], fields, &run, &error));
		int64_t job = test_job(store, run, "train");
		assert_ok(runs_move_job(store, job, i % 10 ? RUN_SUCCESS : RUN_FAILURE, NULL, NULL, &error));
		assert_ok(runs_settle(store, run, NULL, &error));
	}
	assert_ok(store_commit(store, &error));
}

static void bench_lists(const char *folder)
{
	static const char *const filters[] = {"{}", "{'repo':'acme/repo3'}", "{'status':'failure'}", "{'status':'success'}",
	        "{'status':'running'}", "{'repo':'acme/repo3','status':'failure'}", "{'branch':'main'}",
	        "{'repo':'acme/repo3','branch':'topic-13'}", "{'workflow':'docs.yml'}", "{'repo':'acme/repo3','workflow':'docs'}",
	        "{'event':'schedule'}", "{'actor':'user7'}", "{'actor':'nobody'}", "{'delivery':'d-777'}",
	        "{'branch':'main','status':'failure','event':'schedule'}", "{'repo':'acme/repo3','event':'schedule'}",
	        "{'workflow':'docs','actor':'user7'}"};
	g_autofree char *path = g_build_filename(folder, "runs.db", NULL);
	g_autoptr(Store) store = test_store_at(path);
	fill(store);
	for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
		g_autoptr(json_t) filter = test_json(filters[i]);
		double times[15];
		size_t shown = 0;
		for (size_t j = 0; j < G_N_ELEMENTS(times); j++) {
			int64_t start = monotonic_us();
			g_autoptr(json_t) answer = runs_list(store, filter, NULL, 50, NULL);
			times[j] = (double)(monotonic_us() - start) / 1000;
			shown = json_array_size(json_object_get(answer, "runs"));
		}
		printf("%2zu of %d runs in %6.2f ms: %s\n", shown, RUNS, median(times, G_N_ELEMENTS(times)), filters[i]);
	}
}

int main(int argc, char **argv)
{
	g_autofree char *made = argc > 1 ? g_build_filename(argv[1], "assay-bench-XXXXXX", NULL) : NULL;
	char *folder = made ? g_mkdtemp(g_strdup(made)) : test_folder();
	g_assert_nonnull(folder);
	bench_deliveries(folder);
	bench_lists(folder);
	test_folder_remove(folder);
	return 0;
}
