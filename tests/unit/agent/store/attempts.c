/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts: what a re-run keeps, what it replaces, and what the older attempts go on to show. */
#include "agent/store/attempts.h"

#include "agent/base/clock.h"
#include "agent/store/runs.h"
#include "tests/lib/store.h"

#define T0 INT64_C(1777802640000000) /* 2026-05-03T10:04:00Z */

typedef struct Fixture {
	Store *store;
	int64_t repo;
	int64_t run;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
	(void)data;
	clock_set_test(T0);
	f->store = test_store();
	f->repo = test_repo(f->store);
	f->run = test_run(f->store, f->repo);
}

static void tear_down(Fixture *f, gconstpointer data)
{
	(void)data;
	store_close(f->store);
}

static void move(Fixture *f, int64_t job, RunState state)
{
	assert_ok(runs_move_job(f->store, job, RUN_RUNNING, NULL, NULL, &error));
	assert_ok(runs_move_job(f->store, job, state, state == RUN_FAILURE ? CAUSE_EXIT : NULL,
	        state == RUN_FAILURE ? "exited with 1" : NULL, &error));
}

static int64_t begin(Fixture *f, const char *jobs, bool debug)
{
	int64_t attempt = 0;
	assert_ok(attempts_begin(f->store, f->run, "bob", jobs, debug, &attempt, &error));
	return attempt;
}

static int64_t again(Fixture *f, int64_t old, const char *key, int64_t attempt)
{
	assert_ok(attempts_replace(f->store, old, attempt, &error));
	return test_job(f->store, f->run, key);
}

/* "lint:1 test:2": the jobs of an attempt by the one that made them. */
static char *jobs_of(Fixture *f, int64_t attempt)
{
	g_autoptr(json_t) run = runs_get_attempt(f->store, f->run, attempt, NULL);
	GString *out = g_string_new(NULL);
	size_t i;
	json_t *job;
	json_array_foreach(json_object_get(run, "jobs"), i, job)
		g_string_append_printf(out, "%s%s:%d", i ? " " : "", json_get_string(job, "key", ""),
		        (int)json_get_int(job, "attempt", 0));
	return g_string_free(out, FALSE);
}

static const char *text_of(Fixture *f, int64_t attempt, const char *key)
{
	g_autoptr(json_t) run = runs_get_attempt(f->store, f->run, attempt, NULL);
	return g_intern_string(json_get_string(run, key, ""));
}

static void what_succeeded_is_kept_and_what_failed_is_new(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t lint = test_job(f->store, f->run, "lint"), test = test_job(f->store, f->run, "test");
	move(f, lint, RUN_SUCCESS);
	move(f, test, RUN_FAILURE);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	clock_set_test(T0 + 5 * G_USEC_PER_SEC);
	g_assert_cmpint(begin(f, "failed", false), ==, 2);
	again(f, test, "test", 2);
	g_autofree char *first = jobs_of(f, 1), *second = jobs_of(f, 0);
	g_assert_cmpstr(first, ==, "lint:1 test:1");
	g_assert_cmpstr(second, ==, "lint:1 test:2");
	g_assert_cmpstr(text_of(f, 1, "status"), ==, "failure");
	g_assert_cmpstr(text_of(f, 1, "message"), ==, "job 'test': exited with 1");
	g_assert_cmpstr(text_of(f, 1, "finished_at"), ==, "2026-05-03T10:04:00.000Z");
	g_assert_cmpstr(text_of(f, 2, "status"), ==, "queued");
	g_assert_cmpstr(text_of(f, 2, "finished_at"), ==, "");
	g_autoptr(GError) why = NULL;
	g_assert_null(runs_get_attempt(f->store, f->run, 3, &why));
	g_assert_cmpstr(error_type(why), ==, "absent");
}

static void a_job_knows_who_ran_it_again(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t lint = test_job(f->store, f->run, "lint"), test = test_job(f->store, f->run, "test");
	move(f, lint, RUN_SUCCESS);
	move(f, test, RUN_FAILURE);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	begin(f, "failed", false);
	const int64_t jobs[] = {lint, test, again(f, test, "test", 2)};
	const char *const wants[] = {NULL, NULL, "bob"};
	for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
		g_autoptr(json_t) job = runs_job_internal(f->store, jobs[i], NULL);
		g_assert_cmpstr(json_get_string(job, "rerun_by", NULL), ==, wants[i]);
		g_autoptr(json_t) spec = runs_job_spec(f->store, jobs[i], NULL);
		g_assert_cmpstr(json_get_string(spec, "rerun_by", NULL), ==, wants[i]);
	}
}

static void it_begins_with_its_own_first_job(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t lint = test_job(f->store, f->run, "lint"), test = test_job(f->store, f->run, "test");
	move(f, lint, RUN_SUCCESS);
	move(f, test, RUN_FAILURE);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	begin(f, "failed", false);
	clock_set_test(T0 + 60 * G_USEC_PER_SEC);
	move(f, again(f, test, "test", 2), RUN_SUCCESS);
	bool ended = false;
	assert_ok(runs_settle(f->store, f->run, &ended, &error));
	g_assert_true(ended);
	g_assert_cmpstr(text_of(f, 0, "status"), ==, "success");
	g_assert_cmpstr(text_of(f, 0, "started_at"), ==, "2026-05-03T10:05:00.000Z");
	g_assert_cmpstr(text_of(f, 1, "started_at"), ==, "2026-05-03T10:04:00.000Z");
	g_assert_cmpstr(text_of(f, 1, "status"), ==, "failure");
}

static void an_overtaken_attempt_ends_with_its_last_job(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t slow = test_job(f->store, f->run, "slow"), test = test_job(f->store, f->run, "test");
	assert_ok(runs_move_job(f->store, slow, RUN_RUNNING, NULL, NULL, &error));
	move(f, test, RUN_FAILURE);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	begin(f, "test", true);
	move(f, again(f, test, "test", 2), RUN_SUCCESS);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	g_assert_cmpstr(text_of(f, 1, "status"), ==, "running");
	assert_ok(runs_move_job(f->store, slow, RUN_SUCCESS, NULL, NULL, &error));
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	g_assert_cmpstr(text_of(f, 1, "status"), ==, "failure");
	g_assert_cmpstr(text_of(f, 2, "status"), ==, "success");
	g_autoptr(json_t) run = runs_get(f->store, f->run, NULL);
	const json_t *second = json_array_get(json_object_get(run, "attempts"), 1);
	g_assert_cmpstr(json_get_string(second, "actor", NULL), ==, "bob");
	g_assert_true(json_get_bool(second, "debug", false));
}

static void a_job_is_replaced_once(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t test = test_job(f->store, f->run, "test");
	move(f, test, RUN_FAILURE);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	begin(f, "all", false);
	again(f, test, "test", 2);
	assert_fails(attempts_replace(f->store, test, 2, &error), ASSAY_ERROR_BUSY);
	assert_fails(attempts_take_over(f->store, test, 2, false, &error), ASSAY_ERROR_BUSY);
	g_autoptr(json_t) one = runs_job(f->store, test, NULL);
	g_assert_cmpint(json_get_int(one, "replaced", 0), ==, 2);
	g_assert_cmpuint(json_array_size(json_object_get(one, "attempts")), ==, 2);
}

static void what_has_not_begun_is_taken_over(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t test = test_job(f->store, f->run, "test"), after = test_job(f->store, f->run, "after");
	move(f, test, RUN_FAILURE);
	begin(f, "test", true);
	again(f, test, "test", 2);
	assert_ok(attempts_take_over(f->store, after, 2, true, &error));
	g_autofree char *first = jobs_of(f, 1), *second = jobs_of(f, 2);
	g_assert_cmpstr(first, ==, "test:1");
	g_assert_cmpstr(second, ==, "test:2 after:2");
}

static char *artifacts_of(Fixture *f, int64_t attempt)
{
	g_autoptr(json_t) got = runs_artifact_get(f->store, f->run, attempt, NULL, NULL);
	GString *out = g_string_new(NULL);
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(got, "artifacts"), i, one)
		g_string_append_printf(out, "%s=%s ", json_get_string(one, "name", ""), json_get_string(one, "digest", ""));
	return g_string_free(out, FALSE);
}

static void put(Fixture *f, int64_t job, const char *name, const char *digest)
{
	g_autoptr(json_t) artifact = json_pack("{s:s,s:s,s:i,s:i}", "name", name, "digest", digest, "bytes", 1, "files", 1);
	assert_ok(runs_artifact_put(f->store, f->run, job, artifact, &error));
}

static void artifacts_and_reports_stay_with_their_attempt(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t lint = test_job(f->store, f->run, "lint"), test = test_job(f->store, f->run, "test");
	g_autoptr(json_t) old = test_json("{'version':1,'kind':'compare','sentence':'old'}");
	g_autoptr(json_t) new = test_json("{'version':1,'kind':'compare','sentence':'new'}");
	put(f, lint, "style", "d0");
	put(f, test, "model", "d1");
	put(f, test, "gone", "d2");
	assert_ok(runs_report(f->store, test, old, NULL, &error));
	move(f, lint, RUN_SUCCESS);
	move(f, test, RUN_FAILURE);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	begin(f, "failed", false);
	int64_t second = again(f, test, "test", 2);
	g_autofree char *before = artifacts_of(f, 0);
	g_assert_cmpstr(before, ==, "style=d0 ");
	put(f, second, "model", "d3");
	put(f, second, "model", "d4");
	assert_ok(runs_report(f->store, second, new, NULL, &error));
	g_autofree char *newest = artifacts_of(f, 0), *first = artifacts_of(f, 1);
	g_assert_cmpstr(newest, ==, "model=d4 style=d0 ");
	g_assert_cmpstr(first, ==, "gone=d2 model=d1 style=d0 ");
	for (int64_t attempt = 1; attempt <= 2; attempt++) {
		g_autoptr(json_t) reports = runs_reports(f->store, f->run, attempt, NULL);
		g_assert_cmpuint(json_array_size(reports), ==, 1);
		g_assert_cmpstr(json_get_string(json_object_get(json_array_get(reports, 0), "report"), "sentence", NULL), ==,
		        attempt == 1 ? "old" : "new");
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(test) g_test_add("/attempts/" #test, Fixture, NULL, set_up, test, tear_down)
	ADD(what_succeeded_is_kept_and_what_failed_is_new);
	ADD(a_job_knows_who_ran_it_again);
	ADD(it_begins_with_its_own_first_job);
	ADD(an_overtaken_attempt_ends_with_its_last_job);
	ADD(a_job_is_replaced_once);
	ADD(what_has_not_begun_is_taken_over);
	ADD(artifacts_and_reports_stay_with_their_attempt);
	return g_test_run();
}
