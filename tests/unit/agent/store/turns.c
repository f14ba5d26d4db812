/* SPDX-License-Identifier: Apache-2.0 */
/* Turns: who holds a lock, who waits, and who is called when a holder ends, whatever way. */
#include "agent/store/turns.h"

#include "agent/store/runs.h"
#include "tests/lib/store.h"

#define LOCK "group deploy"

typedef struct Fixture {
	Store *store;
	int64_t repo;
	int64_t run;
} Fixture;

static void setup(Fixture *f, gconstpointer data)
{
	(void)data;
	f->store = test_store();
	f->repo = test_repo(f->store);
	f->run = test_run(f->store, f->repo);
}

static void teardown(Fixture *f, gconstpointer data)
{
	(void)data;
	store_close(f->store);
}

static TurnState take(Fixture *f, int64_t places, int64_t run, int64_t job)
{
	TurnState state = TURN_HOLDS;
	assert_ok(turns_take(f->store, f->repo, LOCK, places, run, job, &state, &error));
	return state;
}

static void assert_called(Fixture *f, int64_t run, int64_t job)
{
	g_autoptr(json_t) turn = turns_next(f->store, NULL);
	g_assert_cmpint(json_get_int(turn, "run", 0), ==, run);
	g_assert_cmpint(json_get_int(turn, "job", 0), ==, job);
	if (turn)
		assert_ok(turns_hold(f->store, json_get_int(turn, "id", 0), &error));
}

static void end_job(Fixture *f, int64_t job, RunState state)
{
	assert_ok(runs_move_job(f->store, job, state, CAUSE_CANCELLED, "over", &error));
}

static void the_first_holds_and_the_others_wait_in_order(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t jobs[4];
	for (int i = 0; i < 4; i++) {
		g_autofree char *key = g_strdup_printf("j%d", i);
		jobs[i] = test_job(f->store, f->run, key);
		g_assert_cmpint(take(f, 1, f->run, jobs[i]), ==, i == 0 ? TURN_HOLDS : TURN_WAITS_NEWLY);
		g_assert_cmpint(take(f, 1, f->run, jobs[i]), ==, i == 0 ? TURN_HOLDS : TURN_WAITS);
	}
	g_autoptr(json_t) holder = turns_holder(f->store, f->repo, LOCK, NULL);
	g_assert_cmpstr(json_get_string(holder, "key", NULL), ==, "j0");
	g_autoptr(json_t) waiting = turns_waiting(f->store, f->repo, LOCK, NULL);
	g_assert_cmpuint(json_array_size(waiting), ==, 3);
	g_autoptr(json_t) first = turns_first(f->store, f->repo, LOCK, NULL);
	g_assert_cmpint(json_get_int(first, "job", 0), ==, jobs[1]);
	assert_called(f, 0, 0);
	end_job(f, jobs[2], RUN_CANCELLED); /* waits no more: nobody is called for it */
	assert_called(f, 0, 0);
	end_job(f, jobs[0], RUN_CANCELLED);
	g_assert_cmpint(take(f, 1, f->run, jobs[1]), ==, TURN_HOLDS);
	assert_called(f, f->run, jobs[1]);
	assert_called(f, 0, 0);
	end_job(f, jobs[1], RUN_FAILURE);
	assert_called(f, f->run, jobs[3]);
}

static void as_many_hold_as_there_are_places(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t a = test_job(f->store, f->run, "a"), b = test_job(f->store, f->run, "b"), c = test_job(f->store, f->run, "c");
	g_assert_cmpint(take(f, 2, f->run, a), ==, TURN_HOLDS);
	g_assert_cmpint(take(f, 2, f->run, b), ==, TURN_HOLDS);
	g_assert_cmpint(take(f, 2, f->run, c), ==, TURN_WAITS_NEWLY);
	end_job(f, b, RUN_SKIPPED);
	assert_called(f, f->run, c);
	end_job(f, a, RUN_SKIPPED);
	assert_called(f, 0, 0);
}

static void a_run_holds_until_its_last_job_ends(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t a = test_job(f->store, f->run, "a"), b = test_job(f->store, f->run, "b");
	int64_t second = test_run(f->store, f->repo);
	g_assert_cmpint(take(f, 1, f->run, 0), ==, TURN_HOLDS);
	g_assert_cmpint(take(f, 1, second, 0), ==, TURN_WAITS_NEWLY);
	end_job(f, a, RUN_CANCELLED);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	assert_called(f, 0, 0);
	end_job(f, b, RUN_CANCELLED);
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	assert_called(f, second, 0);
	g_autoptr(json_t) holder = turns_holder(f->store, f->repo, LOCK, NULL);
	g_assert_cmpint(json_get_int(holder, "number", 0), ==, 2);
	assert_ok(runs_fail(f->store, second, CAUSE_INVALID, "no jobs", &error));
	g_autoptr(json_t) nobody = turns_holder(f->store, f->repo, LOCK, NULL);
	g_assert_null(nobody);
}

static void jobs_say_what_their_run_waits_for(Fixture *f, gconstpointer data)
{
	(void)data;
	test_job(f->store, f->run, "a");
	assert_ok(turns_say(f->store, f->run, "waits for run 41", &error));
	g_autoptr(json_t) run = runs_get(f->store, f->run, NULL);
	const json_t *job = json_array_get(json_object_get(run, "jobs"), 0);
	g_assert_cmpstr(json_get_string(job, "message", NULL), ==, "waits for run 41");
	assert_ok(turns_say(f->store, f->run, NULL, &error));
	g_autoptr(json_t) after = runs_get(f->store, f->run, NULL);
	g_assert_null(json_get_string(json_array_get(json_object_get(after, "jobs"), 0), "message", NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/turns/" #name, Fixture, NULL, setup, name, teardown)
	ADD(the_first_holds_and_the_others_wait_in_order);
	ADD(as_many_hold_as_there_are_places);
	ADD(a_run_holds_until_its_last_job_ends);
	ADD(jobs_say_what_their_run_waits_for);
	return g_test_run();
}
