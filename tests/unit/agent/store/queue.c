/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: order, leases, fences, answers. */
#include "agent/store/queue.h"

#include "agent/base/clock.h"
#include "tests/lib/store.h"

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
	f->job = test_job(f->store, f->run, "test");
}

static void teardown(Fixture *f, gconstpointer data)
{
	(void)data;
	store_close(f->store);
}

static int64_t put(Fixture *f, const char *kind, int64_t priority)
{
	int64_t id = 0;
	assert_ok(queue_put(f->store, kind, f->repo, 0, 0, NULL, priority, &id, &error));
	return id;
}

static Task *take(Fixture *f, bool with_jobs)
{
	Task *task = NULL;
	assert_ok(queue_take(f->store, with_jobs, now_us(), &task, &error));
	return task;
}

static void takes_planning_before_jobs_then_by_priority_then_age(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t late = put(f, "job", 5);
	int64_t urgent = put(f, "job", 1);
	int64_t urgent_too = put(f, "job", 1);
	int64_t resolve = put(f, "resolve", 9);
	int64_t plan = put(f, "plan", 8);
	const int64_t order[] = {plan, resolve, urgent, urgent_too, late};
	for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
		g_autoptr(Task) task = take(f, true);
		g_assert_cmpint(task->id, ==, order[i]);
	}
	g_assert_null(take(f, true));
}

static void take_leaves_jobs_when_asked_without(Fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_false(queue_has_ready(f->store, true));
	put(f, "job", 0);
	g_assert_false(queue_has_ready(f->store, false));
	g_assert_null(take(f, false));
	g_assert_true(queue_has_ready(f->store, true));
	int64_t plan = put(f, "plan", 0);
	g_assert_true(queue_has_ready(f->store, false));
	g_autoptr(Task) task = take(f, false);
	g_assert_cmpint(task->id, ==, plan);
	g_assert_false(queue_has_ready(f->store, false));
}

static void take_skips_leased(Fixture *f, gconstpointer data)
{
	(void)data;
	put(f, "plan", 0);
	g_autoptr(Task) first = take(f, true);
	g_assert_nonnull(first);
	g_assert_null(take(f, true));
}

static void gives_what_was_put(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) input = test_json("{'delivery':'d-1','n':[1,2]}");
	int64_t id = 0;
	assert_ok(queue_put(f->store, "job", f->repo, f->run, f->job, input, 0, &id, &error));
	g_autoptr(Task) task = take(f, true);
	g_assert_cmpint(task->id, ==, id);
	g_assert_cmpstr(task->kind, ==, "job");
	g_assert_cmpint(task->repo, ==, f->repo);
	g_assert_cmpint(task->run, ==, f->run);
	g_assert_cmpint(task->job, ==, f->job);
	g_assert_cmpint(task->fence, ==, 1);
	g_assert_true(json_equal(task->input, input));
}

static void a_late_worker_is_not_believed(Fixture *f, gconstpointer data)
{
	(void)data;
	put(f, "plan", 0);
	g_autoptr(Task) old = take(f, true);
	assert_ok(queue_started(f->store, old->id, old->fence, 100, 7, 0, &error));
	assert_ok(queue_give_back(f->store, old->id, old->fence, &error));
	assert_fails(queue_advance(f->store, old->id, old->fence, 10, &error), ASSAY_ERROR_BUSY);
	g_autoptr(Task) new = take(f, true);
	g_assert_cmpint(new->id, ==, old->id);
	g_assert_cmpint(new->fence, ==, old->fence + 1);
	g_assert_cmpint(new->pid, ==, 0);
	assert_fails(queue_started(f->store, old->id, old->fence, 1, 1, 0, &error), ASSAY_ERROR_BUSY);
	assert_fails(queue_advance(f->store, old->id, old->fence, 10, &error), ASSAY_ERROR_BUSY);
	assert_fails(queue_give_back(f->store, old->id, old->fence, &error), ASSAY_ERROR_BUSY);
	assert_ok(queue_advance(f->store, new->id, new->fence, 10, &error));
}

static void leased_tasks_are_found_again(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(queue_put(f->store, "job", f->repo, f->run, f->job, NULL, 0, NULL, &error));
	put(f, "plan", 0);
	put(f, "plan", 0);
	g_autoptr(Task) plan = take(f, true);
	g_autoptr(Task) other = take(f, true);
	g_autoptr(Task) job = take(f, true);
	assert_ok(queue_started(f->store, job->id, job->fence, 4711, 123456, 99, &error));
	assert_ok(queue_advance(f->store, job->id, job->fence, 512, &error));
	assert_ok(queue_set_cancelling(f->store, job->id, 77, &error));
	assert_ok(queue_finish(f->store, other->id, &error));
	GError *error = NULL;
	g_autoptr(GPtrArray) leased = queue_leased(f->store, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(leased->len, ==, 2);
	const Task *found = g_ptr_array_index(leased, 0);
	g_assert_cmpint(found->id, ==, job->id);
	g_assert_cmpint(found->pid, ==, 4711);
	g_assert_cmpint(found->pid_start, ==, 123456);
	g_assert_cmpint(found->offset, ==, 512);
	g_assert_cmpint(found->deadline_us, ==, 77);
	g_assert_true(found->cancelling);
	g_autoptr(Task) of_job = queue_of_job(f->store, f->job, &error);
	g_assert_cmpint(of_job->id, ==, job->id);
	g_assert_null(queue_of_job(f->store, f->job + 1, &error));
	g_assert_no_error(error);
	g_assert_cmpint(queue_count(f->store, "plan"), ==, 1);
	g_assert_cmpint(queue_count(f->store, NULL), ==, 2);
}

static void an_id_is_never_given_twice(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t first = put(f, "plan", 0);
	assert_ok(queue_finish(f->store, first, &error));
	g_assert_cmpint(put(f, "plan", 0), >, first);
}

static void an_ask_is_answered_once_and_forgotten_with_its_task(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t id = put(f, "plan", 0);
	g_autoptr(json_t) yes = test_json("{'ok':true,'result':{'version':13}}");
	g_autoptr(json_t) no = test_json("{'ok':false,'type':'absent','message':'no'}");
	assert_ok(queue_answer(f->store, id, 2, no, &error));
	assert_ok(queue_answer(f->store, id, 1, yes, &error));
	assert_ok(queue_answer(f->store, id, 1, no, &error));
	g_autoptr(json_t) answers = queue_answers(f->store, id, NULL);
	g_autoptr(json_t) want = test_json("[{'ask':1,'ok':true,'result':{'version':13}},"
	                                   "{'ask':2,'ok':false,'type':'absent','message':'no'}]");
	g_assert_true(json_equal(answers, want));
	assert_ok(queue_finish(f->store, id, &error));
	g_autoptr(json_t) none = queue_answers(f->store, id, NULL);
	g_assert_cmpuint(json_array_size(none), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add("/queue/" #name, Fixture, NULL, setup, name, teardown)
	TEST(takes_planning_before_jobs_then_by_priority_then_age);
	TEST(take_leaves_jobs_when_asked_without);
	TEST(take_skips_leased);
	TEST(gives_what_was_put);
	TEST(a_late_worker_is_not_believed);
	TEST(leased_tasks_are_found_again);
	TEST(an_id_is_never_given_twice);
	TEST(an_ask_is_answered_once_and_forgotten_with_its_task);
	return g_test_run();
}
