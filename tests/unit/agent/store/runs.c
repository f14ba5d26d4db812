/* SPDX-License-Identifier: Apache-2.0 */
/* Runs, jobs, steps: moves, what a run makes of its jobs, and the API's shapes. */
#include "agent/store/runs.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/gates.h"
#include "agent/store/queue.h"
#include "agent/store/repos.h"
#include "tests/lib/store.h"

#define T0 INT64_C(1777802640000000) /* 2026-05-03T10:04:00Z */

typedef struct Fixture {
	Store *store;
	int64_t repo;
	int64_t run;
} Fixture;

static void setup(Fixture *f, gconstpointer data)
{
	(void)data;
	clock_set_test(T0);
	f->store = test_store();
	f->repo = test_repo(f->store);
	f->run = test_run(f->store, f->repo);
}

static void teardown(Fixture *f, gconstpointer data)
{
	(void)data;
	store_close(f->store);
	clock_set_test(0);
}

static void move(Fixture *f, int64_t job, RunState state, const char *cause, const char *message)
{
	assert_ok(runs_move_job(f->store, job, state, cause, message, &error));
}

static void assert_run(Fixture *f, const char *status, const char *message, bool ended_now)
{
	bool ended = !ended_now;
	assert_ok(runs_settle(f->store, f->run, &ended, &error));
	g_autoptr(json_t) run = runs_get(f->store, f->run, NULL);
	g_assert_cmpstr(json_get_string(run, "status", NULL), ==, status);
	g_assert_cmpstr(json_get_string(run, "message", NULL), ==, message);
	g_assert_cmpint(ended, ==, ended_now);
}

static int64_t forgiven_job(Fixture *f, const char *key)
{
	int64_t id = 0;
	g_autoptr(json_t) job = json_pack("{s:s,s:{},s:{s:s,s:b,s:b}}", "key", key, "definition", "resolved", "key", key,
	        "run", 1, "continue_on_error", 1);
	assert_ok(runs_add_job(f->store, f->run, job, &id, &error));
	return id;
}

static void numbers_count_within_the_repo(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t other = 0;
	assert_ok(repos_put(f->store, "acme/other", "file:///x", NULL, 0, NULL, &other, &error));
	int64_t second = test_run(f->store, f->repo);
	int64_t first_of_other = test_run(f->store, other);
	g_autoptr(json_t) a = runs_get(f->store, second, NULL);
	g_autoptr(json_t) b = runs_get(f->store, first_of_other, NULL);
	g_assert_cmpint(json_get_int(a, "number", 0), ==, 2);
	g_assert_cmpint(json_get_int(b, "number", 0), ==, 1);
	g_autoptr(json_t) c = runs_get_number(f->store, "acme/digits", 2, 0, NULL);
	g_assert_true(json_equal(a, c));
}

static void a_run_has_the_shape_of_the_api(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t job = test_job(f->store, f->run, "test");
	move(f, job, RUN_RUNNING, NULL, NULL);
	clock_set_test(T0 + 1500000);
	move(f, job, RUN_FAILURE, CAUSE_EXIT, "step 'Test' exited with 1");
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	g_autoptr(json_t) run = runs_get(f->store, f->run, NULL);
	g_autoptr(json_t) want = test_json(
	        "{'id':1,'number':1,'repo':'acme/digits','workflow':'train','workflow_path':'.assay/workflows/train.yml',"
	        "'event':'push','ref':'refs/heads/main','sha':'1111111111111111111111111111111111111111','before':null,"
	        "'title':null,'actor':'alice','status':'failure','cause':'exit',"
	        "'message':'job `test`: step `Test` exited with 1','created_at':'2026-05-03T10:04:00.000Z',"
	        "'started_at':'2026-05-03T10:04:00.000Z','finished_at':'2026-05-03T10:04:01.500Z','delivery':'d-1',"
	        "'untrusted':false,'attempt':1,'attempts':[{'attempt':1,'actor':null,'jobs':null,'debug':false,'status':'failure',"
	        "'cause':'exit','message':'job `test`: step `Test` exited with 1','created_at':'2026-05-03T10:04:00.000Z',"
	        "'started_at':'2026-05-03T10:04:00.000Z','finished_at':'2026-05-03T10:04:01.500Z'}],"
	        "'jobs':[{'id':1,'key':'test','group':'test','name':'test','status':'failure','cause':'exit',"
	        "'message':'step `Test` exited with 1','attempt':1,'call':false,'caller':null,'needs':[],'gate':null,'environment':null,"
	        "'started_at':'2026-05-03T10:04:00.000Z','finished_at':'2026-05-03T10:04:01.500Z'}]}");
	g_autofree char *got = g_strdelimit(json_text(run), "'", '`');
	g_autofree char *expected = json_text(want);
	g_assert_cmpstr(got, ==, expected);
}

static void an_ended_job_never_moves(Fixture *f, gconstpointer data)
{
	(void)data;
	const RunState ends[] = {RUN_SUCCESS, RUN_FAILURE, RUN_CANCELLED, RUN_SKIPPED};
	for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
		g_autofree char *key = g_strdup_printf("job%zu", i);
		int64_t job = test_job(f->store, f->run, key);
		move(f, job, ends[i], NULL, NULL);
		for (int to = RUN_QUEUED; to <= RUN_SKIPPED; to++)
			assert_fails(runs_move_job(f->store, job, (RunState)to, NULL, NULL, &error), ASSAY_ERROR_USER);
	}
	assert_fails(runs_move_job(f->store, 999, RUN_RUNNING, NULL, NULL, &error), ASSAY_ERROR_ABSENT);
}

static void a_job_that_goes_back_starts_anew(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t job = test_job(f->store, f->run, "test");
	move(f, job, RUN_RUNNING, NULL, NULL);
	move(f, job, RUN_QUEUED, NULL, NULL);
	g_autoptr(json_t) queued = runs_job(f->store, job, NULL);
	g_assert_true(json_is_null(json_object_get(queued, "started_at")));
	clock_set_test(T0 + 5000000);
	move(f, job, RUN_RUNNING, NULL, NULL);
	move(f, job, RUN_RUNNING, NULL, "still");
	g_autoptr(json_t) running = runs_job(f->store, job, NULL);
	g_assert_cmpstr(json_get_string(running, "started_at", NULL), ==, "2026-05-03T10:04:05.000Z");
}

static void a_run_follows_its_jobs(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_run(f, "queued", NULL, false);
	int64_t a = test_job(f->store, f->run, "a");
	int64_t b = test_job(f->store, f->run, "b");
	assert_run(f, "queued", NULL, false);
	move(f, a, RUN_RUNNING, NULL, NULL);
	assert_run(f, "running", NULL, false);
	move(f, a, RUN_SUCCESS, NULL, NULL);
	assert_run(f, "running", NULL, false);
	move(f, b, RUN_WAITING, NULL, NULL);
	assert_run(f, "waiting", NULL, false);
	move(f, b, RUN_QUEUED, NULL, NULL);
	move(f, b, RUN_RUNNING, NULL, NULL);
	assert_run(f, "running", NULL, false);
	move(f, b, RUN_SUCCESS, NULL, NULL);
	assert_run(f, "success", NULL, true);
	assert_run(f, "success", NULL, false);
}

/* The usual case is told by the next task alone; it must be told as if all jobs had been looked at. */
static void between_two_jobs_a_run_goes_on(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t jobs[4];
	const char *const keys[] = {"a", "b", "c", "d"};
	for (size_t i = 0; i < 4; i++)
		jobs[i] = test_job(f->store, f->run, keys[i]);
	for (size_t i = 0; i < 3; i++)
		assert_ok(queue_put(f->store, "job", f->repo, f->run, jobs[i], NULL, 0, NULL, &error));
	g_autoptr(Task) first = NULL;
	g_autoptr(Task) second = NULL;
	assert_ok(queue_take(f->store, true, T0, &first, &error));
	move(f, jobs[0], RUN_RUNNING, NULL, NULL);
	assert_run(f, "running", NULL, false);
	move(f, jobs[0], RUN_QUEUED, NULL, NULL); /* its worker never began */
	assert_run(f, "queued", NULL, false);
	move(f, jobs[0], RUN_RUNNING, NULL, NULL);
	assert_run(f, "running", NULL, false);
	move(f, jobs[0], RUN_SUCCESS, NULL, NULL);
	assert_ok(queue_finish(f->store, first->id, &error));
	assert_run(f, "running", NULL, false);
	g_autoptr(json_t) rules = json_pack("{s:i}", "approvals", 1);
	g_autoptr(json_t) evidence = json_object();
	assert_ok(gates_open(f->store, jobs[3], "production", rules, evidence, 0, NULL, &error));
	move(f, jobs[3], RUN_WAITING, NULL, NULL);
	assert_run(f, "waiting", NULL, false);
	assert_ok(queue_take(f->store, true, T0, &second, &error));
	g_assert_cmpint(second->job, ==, jobs[1]);
	move(f, jobs[1], RUN_RUNNING, NULL, NULL);
	assert_run(f, "running", NULL, false);
	move(f, jobs[1], RUN_FAILURE, CAUSE_EXIT, "no");
	assert_run(f, "waiting", NULL, false);
	move(f, jobs[3], RUN_SKIPPED, NULL, NULL);
	assert_run(f, "running", NULL, false);
	move(f, jobs[2], RUN_CANCELLED, NULL, NULL); /* a task that is left behind keeps no run open */
	assert_run(f, "failure", "job 'b': no", true);
}

static void failure_wins_over_cancelled_and_names_the_first(Fixture *f, gconstpointer data)
{
	(void)data;
	move(f, test_job(f->store, f->run, "a"), RUN_CANCELLED, CAUSE_CANCELLED, "by alice");
	move(f, test_job(f->store, f->run, "b"), RUN_FAILURE, CAUSE_OOM, "out of memory");
	move(f, test_job(f->store, f->run, "c"), RUN_FAILURE, CAUSE_EXIT, "exited with 2");
	assert_run(f, "failure", "job 'b': out of memory", true);
	g_autoptr(json_t) run = runs_get(f->store, f->run, NULL);
	g_assert_cmpstr(json_get_string(run, "cause", NULL), ==, "oom");
}

static void a_cancelled_job_cancels_the_run(Fixture *f, gconstpointer data)
{
	(void)data;
	move(f, test_job(f->store, f->run, "a"), RUN_SUCCESS, NULL, NULL);
	move(f, test_job(f->store, f->run, "b"), RUN_CANCELLED, CAUSE_CANCELLED, "by alice");
	move(f, test_job(f->store, f->run, "c"), RUN_SKIPPED, CAUSE_NEEDS, NULL);
	assert_run(f, "cancelled", "job 'b': by alice", true);
}

static void a_failure_that_is_forgiven_is_none(Fixture *f, gconstpointer data)
{
	(void)data;
	move(f, forgiven_job(f, "flaky"), RUN_FAILURE, CAUSE_EXIT, "exited with 1");
	assert_run(f, "success", NULL, true);
}

static void all_skipped_is_skipped(Fixture *f, gconstpointer data)
{
	(void)data;
	move(f, test_job(f->store, f->run, "a"), RUN_SKIPPED, CAUSE_CONDITION, NULL);
	move(f, test_job(f->store, f->run, "b"), RUN_SKIPPED, CAUSE_NEEDS, NULL);
	assert_run(f, "skipped", NULL, true);
}

static void skipped_beside_success_is_success(Fixture *f, gconstpointer data)
{
	(void)data;
	move(f, test_job(f->store, f->run, "a"), RUN_SKIPPED, CAUSE_CONDITION, NULL);
	move(f, test_job(f->store, f->run, "b"), RUN_SUCCESS, NULL, NULL);
	assert_run(f, "success", NULL, true);
}

static void a_run_without_jobs_fails_with_a_cause(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(runs_fail(f->store, f->run, CAUSE_INVALID, "train.yml: line 3: no jobs", &error));
	assert_fails(runs_fail(f->store, f->run, CAUSE_INVALID, "again", &error), ASSAY_ERROR_USER);
	g_autoptr(json_t) run = runs_get(f->store, f->run, NULL);
	g_assert_cmpstr(json_get_string(run, "status", NULL), ==, "failure");
	g_assert_cmpstr(json_get_string(run, "cause", NULL), ==, "invalid");
	g_assert_cmpstr(json_get_string(run, "finished_at", NULL), ==, "2026-05-03T10:04:00.000Z");
	g_autoptr(json_t) late = test_json("{'key':'late'}");
	assert_fails(runs_add_job(f->store, f->run, late, NULL, &error), ASSAY_ERROR_USER);
}

static void a_matrix_takes_the_place_of_its_group(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t waiting = 0;
	test_job(f->store, f->run, "data");
	g_autoptr(json_t) job = test_json(
	        "{'key':'test','group':'test','name':'test','needs':['data'],'definition':{'runs-on':'${{ matrix.os }}'}}");
	assert_ok(runs_add_job(f->store, f->run, job, &waiting, &error));
	test_job(f->store, f->run, "deploy");
	g_autoptr(json_t) first = test_json("{'key':'test (3.11)','group':'test','name':'test (3.11)','run':true,"
	                                    "'matrix':{'python':'3.11'},'environment':{'name':'staging','url':null}}");
	g_autoptr(json_t) second = test_json("{'key':'test (3.12)','group':'test','needs':['data'],'definition':{},"
	                                     "'resolved':{'key':'test (3.12)','group':'test','name':'test (3.12)','run':true}}");
	assert_ok(runs_resolve_job(f->store, waiting, first, &error));
	assert_fails(runs_resolve_job(f->store, waiting, first, &error), ASSAY_ERROR_USER);
	assert_ok(runs_add_job(f->store, f->run, second, NULL, &error));
	assert_fails(runs_add_job(f->store, f->run, second, NULL, &error), ASSAY_ERROR_USER);
	g_autoptr(json_t) brief = runs_jobs_brief(f->store, f->run, NULL);
	const char *const order[] = {"data", "test (3.11)", "test (3.12)", "deploy"};
	g_assert_cmpuint(json_array_size(brief), ==, G_N_ELEMENTS(order));
	for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
		g_assert_cmpstr(json_get_string(json_array_get(brief, i), "key", NULL), ==, order[i]);
	g_autoptr(json_t) shown = runs_job(f->store, waiting, NULL);
	g_assert_cmpstr(json_get_string(shown, "environment", NULL), ==, "staging");
	g_assert_cmpstr(json_get_string(json_object_get(shown, "matrix"), "python", NULL), ==, "3.11");
	g_autoptr(json_t) inside = runs_job_internal(f->store, waiting, NULL);
	g_assert_cmpstr(json_get_string(json_object_get(inside, "definition"), "runs-on", NULL), ==, "${{ matrix.os }}");
	g_assert_true(json_equal(json_object_get(inside, "resolved"), first));
	const json_t *run = json_object_get(inside, "run");
	g_autofree char *context = runs_github(f->store, f->run, NULL);
	g_autoptr(json_t) github = json_parse(context, strlen(context), "a context", NULL);
	g_assert_cmpstr(json_get_string(github, "event_name", NULL), ==, "push");
	g_autofree char *none = runs_github(f->store, 4711, NULL);
	g_assert_cmpstr(none, ==, "{}");
	g_assert_cmpint(json_get_int(run, "repo_id", 0), ==, f->repo);
	/* What a worker is told is a part of it. */
	static const char *const same[] = {"key", "group", "name", "attempt", "needs", "debug", "rerun_by", "definition", "resolved"};
	static const char *const of_run[] = {"id", "number", "sha", "untrusted"};
	g_autoptr(json_t) spec = runs_job_spec(f->store, waiting, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(same); i++)
		g_assert_true(json_equal(json_object_get(spec, same[i]), json_object_get(inside, same[i])));
	for (size_t i = 0; i < G_N_ELEMENTS(of_run); i++)
		g_assert_true(json_equal(json_object_get(json_object_get(spec, "run"), of_run[i]), json_object_get(run, of_run[i])));
	assert_fails(runs_job_spec(f->store, 4711, &error) != NULL, ASSAY_ERROR_ABSENT);
}

static void a_call_speaks_by_its_jobs(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t call = 0;
	int64_t inside = 0;
	g_autoptr(json_t) caller = test_json("{'key':'c','definition':{'uses':'./x.yml'}}");
	g_autoptr(json_t) called = test_json("{'key':'c / a','caller':'c','definition':{'call':{'path':'x.yml','sha':'5c'}}}");
	g_autoptr(json_t) orphan = test_json("{'key':'d / a','caller':'d','definition':{}}");
	g_autoptr(GError) why = NULL;
	assert_ok(runs_add_job(f->store, f->run, caller, &call, &error));
	assert_ok(runs_add_job(f->store, f->run, called, &inside, &error));
	g_assert_false(runs_add_job(f->store, f->run, orphan, NULL, &why));
	g_assert_nonnull(strstr(why->message, "is called by 'd', which the run has not"));
	assert_ok(runs_move_job(f->store, call, RUN_RUNNING, NULL, NULL, &error));
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	g_autoptr(json_t) before = runs_get(f->store, f->run, NULL);
	g_assert_cmpstr(json_get_string(before, "status", NULL), ==, "queued");
	g_assert_cmpint(runs_calls(f->store, f->run, NULL), ==, 1);
	assert_ok(runs_move_job(f->store, inside, RUN_FAILURE, CAUSE_EXIT, "no", &error));
	assert_ok(runs_move_job(f->store, call, RUN_FAILURE, CAUSE_NEEDS, "its job failed", &error));
	assert_ok(runs_settle(f->store, f->run, NULL, &error));
	g_autoptr(json_t) full = runs_job(f->store, inside, NULL);
	g_autofree char *file = json_text(json_object_get(full, "workflow_file"));
	g_assert_cmpstr(file, ==, "{\"path\":\"x.yml\",\"ref\":null,\"repository\":null,\"sha\":\"5c\"}");
	g_autoptr(json_t) after = runs_get(f->store, f->run, NULL);
	g_assert_cmpstr(json_get_string(after, "message", NULL), ==, "job 'c / a': no");
	g_assert_cmpint(runs_calls(f->store, f->run, NULL), ==, 0);
}

static void a_job_that_waits_for_needs_is_queued_and_unresolved(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t id = 0;
	g_autoptr(json_t) job = test_json("{'key':'deploy','needs':['test'],'definition':{'environment':'production'}}");
	assert_ok(runs_add_job(f->store, f->run, job, &id, &error));
	g_autoptr(json_t) brief = runs_jobs_brief(f->store, f->run, NULL);
	g_autoptr(json_t) want = test_json("[{'id':1,'key':'deploy','group':'deploy','status':'queued','needs':['test'],"
	                                   "'outputs':{},'resolved':false,'continue_on_error':false,'call':false,'caller':null}]");
	g_assert_true(json_equal(brief, want));
	g_autoptr(json_t) shown = runs_job(f->store, id, NULL);
	g_assert_cmpstr(json_get_string(shown, "environment", NULL), ==, "production");
}

static void a_job_in_full_has_all_that_it_said(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t job = test_job(f->store, f->run, "test");
	g_autoptr(json_t) begin = test_json("{'number':1,'name':'Test','status':'running','log_offset':0}");
	g_autoptr(json_t) end = test_json("{'number':1,'status':'failure','cause':'exit','exit_code':1,'cpu_us':1200,"
	                                 "'read_bytes':4096,'energy_uj':7}");
	g_autoptr(json_t) again = test_json("{'number':1,'status':'running'}");
	g_autoptr(json_t) note = test_json("{'level':'error','message':'no','file':'a.py','line':3,'step':1}");
	g_autoptr(json_t) report = test_json("{'version':1,'kind':'compare','verdict':'fail','sentence':'worse'}");
	g_autoptr(json_t) outputs = test_json("{'digest':'abc'}");
	g_autoptr(json_t) missing = test_json("['cgroups']");
	g_autoptr(json_t) artifact = test_json("{'name':'model','digest':'d1','bytes':10,'files':1}");
	g_autofree char *digest = NULL;
	assert_ok(runs_step(f->store, job, begin, &error));
	clock_set_test(T0 + 2000000);
	assert_ok(runs_step(f->store, job, end, &error));
	assert_fails(runs_step(f->store, job, again, &error), ASSAY_ERROR_USER);
	assert_ok(runs_annotate(f->store, job, note, &error));
	g_autoptr(json_t) old_summary = test_json("{'step':1,'markdown':'# Old','html':'<h1>Old</h1>'}");
	g_autoptr(json_t) new_summary = test_json("{'step':1,'part':0,'markdown':'# '}");
	g_autoptr(json_t) more = test_json("{'step':1,'part':1,'markdown':'New'}");
	g_autoptr(json_t) shown_as = test_json("{'step':1,'part':2,'markdown':'','html':'<h1>New</h1>'}");
	assert_ok(runs_summarise(f->store, job, old_summary, &error));
	assert_ok(runs_summarise(f->store, job, new_summary, &error));
	assert_ok(runs_summarise(f->store, job, more, &error));
	assert_ok(runs_summarise(f->store, job, shown_as, &error));
	g_autoptr(json_t) made = runs_summaries_html(f->store, job, NULL);
	g_assert_cmpstr(json_get_string(json_array_get(made, 0), "html", NULL), ==, "<h1>New</h1>");
	assert_ok(runs_report(f->store, job, report, &digest, &error));
	assert_ok(runs_set_outputs(f->store, job, outputs, &error));
	assert_ok(runs_set_isolation(f->store, job, "sandbox", "reduced", missing, &error));
	assert_ok(runs_artifact_put(f->store, f->run, job, artifact, &error));
	g_autofree char *want_digest = json_digest(report);
	g_assert_cmpstr(digest, ==, want_digest);
	g_autoptr(json_t) shown = runs_job(f->store, job, NULL);
	g_autoptr(json_t) want = test_json(
	        "{'outputs':{'digest':'abc'},'executor':'sandbox','isolation':'reduced','missing':['cgroups'],'matrix':{},"
	        "'steps':[{'number':1,'name':'Test','status':'failure','cause':'exit','exit_code':1,'message':null,"
	        "'started_at':'2026-05-03T10:04:00.000Z','finished_at':'2026-05-03T10:04:02.000Z','log_offset':0,"
	        "'cpu_us':1200,'memory_peak_bytes':null,'read_bytes':4096,'write_bytes':null,'energy_uj':7}],"
	        "'annotations':[{'level':'error','message':'no','title':null,'file':'a.py','line':3,'end_line':null,"
	        "'column':null,'code':null,'log_line':null,'step':1}],"
	        "'summaries':[{'step':1,'markdown':'# New'}],"
	        "'artifacts':[{'name':'model','digest':'d1','bytes':10,'files':1}]}");
	const char *key;
	json_t *value;
	json_object_foreach(want, key, value)
		g_assert_true(json_equal(json_object_get(shown, key), value));
	g_assert_cmpint(json_get_int(json_object_get(shown, "run"), "number", 0), ==, 1);
	g_assert_null(json_object_get(json_object_get(shown, "run"), "jobs"));
	g_autoptr(json_t) reports = runs_reports(f->store, f->run, 0, NULL);
	g_assert_cmpstr(json_get_string(json_array_get(reports, 0), "job", NULL), ==, "test");
	g_assert_cmpstr(json_get_string(json_array_get(reports, 0), "digest", NULL), ==, digest);
}

static void an_artifact_is_found_by_name(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) one = test_json("{'name':'model','digest':'d1','bytes':10,'files':1}");
	g_autoptr(json_t) two = test_json("{'name':'model','digest':'d2','bytes':20,'files':2}");
	assert_ok(runs_artifact_put(f->store, f->run, 0, one, &error));
	assert_ok(runs_artifact_put(f->store, f->run, 0, two, &error));
	g_autoptr(json_t) got = runs_artifact_get(f->store, f->run, 0, "model", NULL);
	const json_t *model = json_array_get(json_object_get(got, "artifacts"), 0);
	g_assert_cmpint(json_array_size(json_object_get(got, "artifacts")), ==, 1);
	g_assert_cmpstr(json_get_string(model, "digest", NULL), ==, "d2");
	g_assert_cmpint(json_get_int(model, "files", 0), ==, 2);
	g_assert_cmpint(json_get_int(model, "id", 0), >, 0);
	g_assert_true(json_is_null(json_object_get(model, "expires_at")));
	g_autoptr(json_t) all = runs_artifact_get(f->store, f->run, 0, NULL, NULL);
	g_assert_true(json_equal(json_array_get(json_object_get(all, "artifacts"), 0), model));
	assert_fails(runs_artifact_get(f->store, f->run, 0, "gone", &error), ASSAY_ERROR_ABSENT);
}

static void an_artifact_goes_when_its_time_has_come(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t job = test_job(f->store, f->run, "test");
	g_autoptr(json_t) one = test_json("{'name':'model','digest':'d1','bytes':10,'files':1}");
	json_set_int(one, "expires_us", now_us() + 1000000);
	assert_ok(runs_artifact_put(f->store, f->run, job, one, &error));
	g_autoptr(json_t) there = runs_artifact_get(f->store, f->run, 0, "model", NULL);
	g_assert_nonnull(there);
	assert_fails(runs_artifact_check(f->store, f->run, job, "model", &error), ASSAY_ERROR_BUSY);
	clock_set_test(now_us() + 2000000);
	assert_fails(runs_artifact_get(f->store, f->run, 0, "model", &error), ASSAY_ERROR_ABSENT);
	g_autoptr(json_t) gone = runs_artifact_find(f->store, f->run, 0, "model", 0, NULL);
	g_assert_true(json_get_bool(gone, "expired", false));
	g_autoptr(json_t) by_id = runs_artifact_find(f->store, f->run, 0, NULL, json_get_int(gone, "id", 0), NULL);
	g_assert_true(json_equal(gone, by_id));
	assert_fails(runs_artifact_find(f->store, f->run, 0, "never", 0, &error), ASSAY_ERROR_ABSENT);
	assert_fails(runs_artifact_find(f->store, f->run, 0, NULL, 999, &error), ASSAY_ERROR_ABSENT);
	assert_ok(runs_artifact_check(f->store, f->run, job, "model", &error));
}

static void a_name_is_used_once_until_it_is_removed(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t job = test_job(f->store, f->run, "test");
	g_autoptr(json_t) one = test_json("{'name':'model','digest':'d1','bytes':10,'files':1}");
	assert_ok(runs_artifact_check(f->store, f->run, job, "model", &error));
	assert_ok(runs_artifact_put(f->store, f->run, job, one, &error));
	assert_fails(runs_artifact_check(f->store, f->run, job, "model", &error), ASSAY_ERROR_BUSY);
	assert_ok(runs_artifact_remove(f->store, f->run, job, "model", &error));
	assert_ok(runs_artifact_check(f->store, f->run, job, "model", &error));
	assert_fails(runs_artifact_get(f->store, f->run, 0, "model", &error), ASSAY_ERROR_ABSENT);
}

static void a_list_pages_newest_first(Fixture *f, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 4; i++)
		test_run(f->store, f->repo);
	g_autofree char *after = NULL;
	const int64_t want[3][2] = {{5, 4}, {3, 2}, {1, 0}};
	for (size_t page = 0; page < 3; page++) {
		g_autoptr(json_t) answer = runs_list(f->store, NULL, after, 2, NULL);
		const json_t *runs = json_object_get(answer, "runs");
		for (size_t i = 0; i < 2; i++)
			g_assert_cmpint(json_get_int(json_array_get(runs, i), "id", 0), ==, want[page][i]);
		g_free(after);
		after = g_strdup(json_get_string(answer, "next", NULL));
		g_assert_cmpint(after != NULL, ==, page < 2);
	}
	assert_fails(runs_list(f->store, NULL, "x", 2, &error), ASSAY_ERROR_USER);
}

static size_t count(Fixture *f, const char *filter)
{
	g_autoptr(json_t) given = test_json(filter);
	GError *error = NULL;
	g_autoptr(json_t) answer = runs_list(f->store, given, NULL, 50, &error);
	g_assert_no_error(error);
	return json_array_size(json_object_get(answer, "runs"));
}

static void a_list_takes_every_filter(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t id = 0;
	g_autoptr(json_t) other = test_json("{'workflow':'docs','workflow_path':'.github/workflows/docs.yml','event':"
	                                    "'pull_request','ref':'refs/heads/topic','actor':'bob','delivery':'d-2'}");
	assert_ok(runs_add(f->store, f->repo, other, &id, &error));
	assert_ok(runs_fail(f->store, id, CAUSE_INVALID, "no", &error));
	g_assert_cmpuint(count(f, "{}"), ==, 2);
	g_assert_cmpuint(count(f, "{'repo':'acme/digits'}"), ==, 2);
	g_assert_cmpuint(count(f, "{'repo':'acme/gone'}"), ==, 0);
	g_assert_cmpuint(count(f, "{'status':'failure'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'status':'success'}"), ==, 0);
	g_assert_cmpuint(count(f, "{'repo':'acme/digits','status':'queued'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'branch':'main'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'repo':'acme/digits','branch':'refs/heads/topic'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'branch':'main','status':'failure'}"), ==, 0);
	g_assert_cmpuint(count(f, "{'workflow':'docs'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'repo':'acme/digits','workflow':'train'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'workflow':'.github/workflows/docs.yml'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'workflow':'docs.yml'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'repo':'acme/digits','workflow':'train.yml'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'event':'push'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'actor':'bob'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'delivery':'d-2','actor':'alice'}"), ==, 0);
	g_assert_cmpuint(count(f, "{'delivery':'d-2'}"), ==, 1);
	g_autoptr(json_t) wrong = test_json("{'status':'fine'}");
	assert_fails(runs_list(f->store, wrong, NULL, 50, &error), ASSAY_ERROR_USER);
}

static void open_runs_of_a_ref_leave_out_ended_ones_and_oneself(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t second = test_run(f->store, f->repo);
	int64_t third = test_run(f->store, f->repo);
	assert_ok(runs_fail(f->store, second, CAUSE_INVALID, "no", &error));
	g_autoptr(json_t) open = runs_open_of_ref(f->store, f->repo, "refs/heads/main", third, NULL);
	g_assert_cmpuint(json_array_size(open), ==, 1);
	g_assert_cmpint(json_integer_value(json_array_get(open, 0)), ==, f->run);
}

static void scope_zero_has_runs_without_a_repo(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t id = test_run(f->store, 0);
	g_autoptr(json_t) run = runs_get(f->store, id, NULL);
	g_assert_cmpstr(json_get_string(run, "repo", NULL), ==, "local");
	assert_ok(queue_put(f->store, "plan", 0, 0, 0, NULL, 0, NULL, &error));
	assert_fails(repos_get_id(f->store, 0, &error), ASSAY_ERROR_ABSENT);
	assert_fails(repos_get(f->store, "local", &error), ASSAY_ERROR_ABSENT);
	assert_fails(repos_remove(f->store, "local", &error), ASSAY_ERROR_USER);
	g_autoptr(json_t) repos = repos_list(f->store, NULL, 0, NULL);
	g_assert_cmpuint(json_array_size(json_object_get(repos, "repos")), ==, 1);
	g_autoptr(json_t) fields = test_json("{'event':'push'}");
	assert_fails(runs_add(f->store, 77, fields, NULL, &error), ASSAY_ERROR_ABSENT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add("/runs/" #name, Fixture, NULL, setup, name, teardown)
	TEST(numbers_count_within_the_repo);
	TEST(a_run_has_the_shape_of_the_api);
	TEST(an_ended_job_never_moves);
	TEST(a_job_that_goes_back_starts_anew);
	TEST(a_run_follows_its_jobs);
	TEST(between_two_jobs_a_run_goes_on);
	TEST(failure_wins_over_cancelled_and_names_the_first);
	TEST(a_cancelled_job_cancels_the_run);
	TEST(a_failure_that_is_forgiven_is_none);
	TEST(all_skipped_is_skipped);
	TEST(skipped_beside_success_is_success);
	TEST(a_run_without_jobs_fails_with_a_cause);
	TEST(a_matrix_takes_the_place_of_its_group);
	TEST(a_call_speaks_by_its_jobs);
	TEST(a_job_that_waits_for_needs_is_queued_and_unresolved);
	TEST(a_job_in_full_has_all_that_it_said);
	TEST(an_artifact_is_found_by_name);
	TEST(an_artifact_goes_when_its_time_has_come);
	TEST(a_name_is_used_once_until_it_is_removed);
	TEST(a_list_pages_newest_first);
	TEST(a_list_takes_every_filter);
	TEST(open_runs_of_a_ref_leave_out_ended_ones_and_oneself);
	TEST(scope_zero_has_runs_without_a_repo);
	return g_test_run();
}
