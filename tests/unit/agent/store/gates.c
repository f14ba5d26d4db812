/* SPDX-License-Identifier: Apache-2.0 */
/* Gates and environments: rules, verdicts, digests, expiry. */
#include "agent/store/gates.h"

#include "agent/base/clock.h"
#include "agent/store/environments.h"
#include "agent/store/runs.h"
#include "tests/lib/store.h"

#define T0 INT64_C(1777802640000000)

typedef struct Fixture {
	Store *store;
	int64_t run;
	int64_t job;
	int64_t gate;
	char *digest;
} Fixture;

static int64_t open_gate(Fixture *f, int64_t job, const char *rules_text, int64_t expires_us)
{
	int64_t id = 0;
	g_autoptr(json_t) rules = test_json(rules_text);
	g_autoptr(json_t) evidence = test_json("{'repo':'acme/digits','verdict':'pass','sentence':'better'}");
	assert_ok(gates_open(f->store, job, "production", rules, evidence, expires_us, &id, &error));
	return id;
}

static void setup(Fixture *f, gconstpointer data)
{
	(void)data;
	clock_set_test(T0);
	f->store = test_store();
	f->run = test_run(f->store, test_repo(f->store));
	f->job = test_job(f->store, f->run, "deploy");
	f->gate = open_gate(f, f->job, "{'reviewers':['alice','bob'],'approvals':2}", T0 + 100);
	g_autoptr(json_t) gate = gates_get(f->store, f->gate, NULL);
	f->digest = g_strdup(json_get_string(gate, "evidence_digest", NULL));
}

static void teardown(Fixture *f, gconstpointer data)
{
	(void)data;
	store_close(f->store);
	g_free(f->digest);
	clock_set_test(0);
}

static void a_gate_has_the_shape_of_the_api(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(runs_set_gate(f->store, f->job, f->gate, &error));
	assert_ok(gates_verdict(f->store, f->gate, "alice", "approve", "fine", false, f->digest, &error));
	assert_ok(gates_decide(f->store, f->gate, "approved", "2 of 2", &error));
	g_autoptr(json_t) gate = gates_get(f->store, f->gate, NULL);
	g_autoptr(json_t) evidence = test_json("{'repo':'acme/digits','verdict':'pass','sentence':'better'}");
	g_autofree char *digest = json_digest(evidence);
	g_assert_cmpstr(f->digest, ==, digest);
	g_assert_true(json_equal(json_object_get(gate, "evidence"), evidence));
	g_assert_cmpstr(json_get_string(json_object_get(gate, "job"), "key", NULL), ==, "deploy");
	g_assert_cmpint(json_get_int(json_object_get(gate, "job"), "gate", 0), ==, f->gate);
	g_assert_cmpint(json_get_int(json_object_get(gate, "run"), "number", 0), ==, 1);
	g_autoptr(json_t) rest = test_json(
	        "{'id':1,'repo':'acme/digits','environment':'production','status':'approved','message':'2 of 2',"
	        "'rules':{'reviewers':['alice','bob'],'approvals':2},'approvals_needed':2,"
	        "'opened_at':'2026-05-03T10:04:00.000Z','expires_at':'2026-05-03T10:04:00.000Z',"
	        "'decided_at':'2026-05-03T10:04:00.000Z'}");
	const char *key;
	json_t *value;
	json_object_foreach(rest, key, value)
		g_assert_true(json_equal(json_object_get(gate, key), value));
	const json_t *verdict = json_array_get(json_object_get(gate, "verdicts"), 0);
	g_autoptr(json_t) want = json_pack("{s:s,s:s,s:s,s:b,s:s,s:s}", "user", "alice", "verdict", "approve", "comment",
	        "fine", "override", 0, "evidence_digest", digest, "at", "2026-05-03T10:04:00.000Z");
	g_assert_true(json_equal(verdict, want));
	g_assert_cmpuint(json_object_size(gate), ==, 15);
}

static void a_second_verdict_replaces_the_first(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_ok(gates_verdict(f->store, f->gate, "alice", "approve", NULL, false, f->digest, &error));
	assert_ok(gates_verdict(f->store, f->gate, "alice", "reject", "no", false, f->digest, &error));
	g_autoptr(json_t) gate = gates_get(f->store, f->gate, NULL);
	const json_t *verdicts = json_object_get(gate, "verdicts");
	g_assert_cmpuint(json_array_size(verdicts), ==, 1);
	g_assert_cmpstr(json_get_string(json_array_get(verdicts, 0), "verdict", NULL), ==, "reject");
}

static void a_verdict_on_other_evidence_is_refused(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_fails(gates_verdict(f->store, f->gate, "alice", "approve", NULL, false, "0000", &error), ASSAY_ERROR_BUSY);
	assert_fails(gates_verdict(f->store, f->gate, "alice", "maybe", NULL, false, f->digest, &error), ASSAY_ERROR_USER);
	assert_fails(gates_verdict(f->store, 99, "alice", "approve", NULL, false, NULL, &error), ASSAY_ERROR_ABSENT);
}

static void an_ended_gate_takes_nothing_more(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_fails(gates_decide(f->store, f->gate, "waiting", NULL, &error), ASSAY_ERROR_USER);
	assert_ok(gates_decide(f->store, f->gate, "rejected", "by alice", &error));
	assert_fails(gates_decide(f->store, f->gate, "approved", NULL, &error), ASSAY_ERROR_BUSY);
	assert_fails(gates_verdict(f->store, f->gate, "bob", "approve", NULL, false, f->digest, &error), ASSAY_ERROR_BUSY);
	assert_fails(gates_decide(f->store, 99, "approved", NULL, &error), ASSAY_ERROR_ABSENT);
}

static void gates_expire_in_their_order(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t never = open_gate(f, test_job(f->store, f->run, "a"), "{}", 0);
	int64_t sooner = open_gate(f, test_job(f->store, f->run, "b"), "{}", T0 + 50);
	g_assert_cmpint(gates_next_expiry(f->store), ==, T0 + 50);
	g_autoptr(json_t) none = gates_expired(f->store, T0 + 49, NULL);
	g_assert_cmpuint(json_array_size(none), ==, 0);
	g_autoptr(json_t) expired = gates_expired(f->store, T0 + 1000, NULL);
	g_autoptr(json_t) want = json_pack("[I,I]", (json_int_t)sooner, (json_int_t)f->gate);
	g_assert_true(json_equal(expired, want));
	assert_ok(gates_decide(f->store, sooner, "expired", NULL, &error));
	g_assert_cmpint(gates_next_expiry(f->store), ==, T0 + 100);
	g_autoptr(json_t) waiting = gates_waiting_of_run(f->store, f->run, NULL);
	g_autoptr(json_t) both = json_pack("[I,I]", (json_int_t)f->gate, (json_int_t)never);
	g_assert_true(json_equal(waiting, both));
	assert_ok(gates_decide(f->store, f->gate, "expired", NULL, &error));
	g_assert_cmpint(gates_next_expiry(f->store), ==, 0);
}

static size_t count(Fixture *f, const char *filter)
{
	g_autoptr(json_t) given = test_json(filter);
	g_autoptr(json_t) answer = gates_list(f->store, given, NULL, 10, NULL);
	g_assert_nonnull(answer);
	return json_array_size(json_object_get(answer, "gates"));
}

static void a_list_takes_every_filter(Fixture *f, gconstpointer data)
{
	(void)data;
	int64_t other = open_gate(f, test_job(f->store, f->run, "a"), "{'reviewers':['carol']}", 0);
	assert_ok(gates_decide(f->store, other, "approved", NULL, &error));
	g_assert_cmpuint(count(f, "{}"), ==, 2);
	g_assert_cmpuint(count(f, "{'status':'waiting'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'status':'approved'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'repo':'acme/digits'}"), ==, 2);
	g_assert_cmpuint(count(f, "{'repo':'acme/gone'}"), ==, 0);
	g_assert_cmpuint(count(f, "{'reviewer':'carol'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'reviewer':'carol','status':'waiting'}"), ==, 0);
	g_assert_cmpuint(count(f, "{'reviewer':'alice','status':'waiting','repo':'acme/digits'}"), ==, 1);
	g_assert_cmpuint(count(f, "{'reviewer':'alice','status':'approved'}"), ==, 0);
	g_autoptr(json_t) wrong = test_json("{'status':'open'}");
	assert_fails(gates_list(f->store, wrong, NULL, 10, &error), ASSAY_ERROR_USER);
	g_autoptr(json_t) page = gates_list(f->store, NULL, NULL, 1, NULL);
	g_assert_cmpstr(json_get_string(page, "next", NULL), ==, "2");
}

static void an_environment_is_what_an_admin_set_and_no_more(Fixture *f, gconstpointer data)
{
	(void)data;
	GError *said = NULL;
	g_assert_null(environments_get(f->store, "acme/digits", "production", &said));
	g_assert_no_error(said);
	g_autoptr(json_t) rules = test_json("{'reviewers':['alice'],'branches':['main'],'expires_s':60}");
	assert_ok(environments_set(f->store, "acme/digits", "production", rules, &error));
	g_autoptr(json_t) got = environments_get(f->store, "acme/digits", "production", NULL);
	g_autoptr(json_t) want = test_json(
	        "{'repo':'acme/digits','name':'production','reviewers':['alice'],'branches':['main'],'expires_s':60,"
	        "'approvals':1,'self_review':false,'updated_at':'2026-05-03T10:04:00.000Z'}");
	g_assert_true(json_equal(got, want));
	g_autoptr(json_t) nothing = json_object();
	assert_ok(environments_set(f->store, "acme/digits", "production", nothing, &error));
	g_autoptr(json_t) list = environments_list(f->store, "acme/digits", NULL);
	g_assert_cmpuint(json_array_size(json_object_get(json_array_get(list, 0), "reviewers")), ==, 0);
	assert_fails(environments_set(f->store, "acme/gone", "production", nothing, &error), ASSAY_ERROR_ABSENT);
}

static void a_rule_that_protects_nothing_is_refused(Fixture *f, gconstpointer data)
{
	(void)data;
	const char *const wrong[] = {"{'reviewer':['alice']}", "{'reviewers':'alice'}", "{'reviewers':['']}",
	        "{'reviewers':['alice'],'approvals':2}", "{'approvals':-1}", "{'approvals':'1'}", "{'expires_s':0}",
	        "{'self_review':1}", "{'branches':[1]}", "[]"};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(json_t) rules = test_json(wrong[i]);
		assert_fails(environments_set(f->store, "acme/digits", "production", rules, &error), ASSAY_ERROR_USER);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add("/gates/" #name, Fixture, NULL, setup, name, teardown)
	TEST(a_gate_has_the_shape_of_the_api);
	TEST(a_second_verdict_replaces_the_first);
	TEST(a_verdict_on_other_evidence_is_refused);
	TEST(an_ended_gate_takes_nothing_more);
	TEST(gates_expire_in_their_order);
	TEST(a_list_takes_every_filter);
	TEST(an_environment_is_what_an_admin_set_and_no_more);
	TEST(a_rule_that_protects_nothing_is_refused);
	return g_test_run();
}
