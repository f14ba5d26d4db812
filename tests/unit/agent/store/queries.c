/* SPDX-License-Identifier: Apache-2.0 */
/* How SQLite means to answer each statement: what walks over a whole table is named here, with its reason. */
#include <string.h>

#include "agent/store/sql.h"
#include "tests/lib/store.h"

static const char *const names[] = {
#define Q(name, text) #name,
#include "agent/store/queries.def"
#undef Q
};

/* Walks over everything, and may: few rows, or everything is what was asked for. */
static bool may_scan(const char *name, const char *detail)
{
	static const char *const whole[] = {"AUDIT_WALK", "USER_LIST", "TASK_COUNT", "TASK_COUNT_ALL", "TASK_LEASED", NULL};
	if (strcmp(name, "AUDIT_LAST") == 0) /* the newest row of all */
		return true;
	/* Tasks without the repo or the run that is put: looked for only where the transaction has such a row. */
	if ((strcmp(name, "REPO_PUT") == 0 || strcmp(name, "RUN_ADD") == 0) && strcmp(detail, "SCAN tasks") == 0)
		return true;
	/* The indexes of what waits hold only what waits. */
	static const char *const small[] = {"deliveries_new", "tasks_ready", "gates_by_expiry",
	        "turns_called", NULL};
	if (g_strv_contains(whole, name) || strstr(detail, "CONSTANT ROW"))
		return true;
	for (size_t i = 0; small[i]; i++)
		if (strstr(detail, small[i]))
			return true;
	return false;
}

static char *plan_of(Store *store, Query query)
{
	GString *plan = g_string_new(NULL);
	g_autofree char *text = g_strconcat("EXPLAIN QUERY PLAN ", sql_text(query), NULL);
	sqlite3_stmt *statement = NULL;
	g_assert_cmpint(sqlite3_prepare_v2(store->db, text, -1, &statement, NULL), ==, SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW)
		g_string_append_printf(plan, "%s\n", (const char *)sqlite3_column_text(statement, 3));
	sqlite3_finalize(statement);
	return g_string_free(plan, FALSE);
}

static void none_scans_a_table_that_grows(void)
{
	g_autoptr(Store) store = test_store();
	unsigned bad = 0;
	for (unsigned i = 0; i < QUERY_COUNT; i++) {
		g_autofree char *plan = plan_of(store, (Query)i);
		g_auto(GStrv) lines = g_strsplit(plan, "\n", -1);
		for (size_t j = 0; lines[j]; j++)
			if (g_str_has_prefix(lines[j], "SCAN") && !may_scan(names[i], lines[j])) {
				g_test_message("%s: %s", names[i], lines[j]);
				bad++;
			}
	}
	g_assert_cmpuint(bad, ==, 0);
}

static void no_list_sorts(void)
{
	g_autoptr(Store) store = test_store();
	unsigned lists = 0;
	unsigned bad = 0;
	for (unsigned i = 0; i < QUERY_COUNT; i++) {
		if (!strstr(names[i], "_LIST") && !g_str_has_prefix(names[i], "TASK_") && !strstr(names[i], "_NEXT"))
			continue;
		if (strcmp(names[i], "LEDGER_LIST") == 0 || strcmp(names[i], "VERDICT_LIST") == 0)
			continue; /* of one model, of one gate: a handful */
		g_autofree char *plan = plan_of(store, (Query)i);
		lists++;
		if (strstr(plan, "TEMP B-TREE")) {
			g_test_message("%s: %s", names[i], plan);
			bad++;
		}
	}
	g_assert_cmpuint(lists, >, 30);
	g_assert_cmpuint(bad, ==, 0);
}

/* A list of words in a check would be one: schema/0011_lighter.sql. */
static void what_each_job_writes_makes_no_table_for_it(void)
{
	static const Query each[] = {QUERY_DELIVERY_DONE, QUERY_TASK_PUT, QUERY_TASK_TAKE, QUERY_TASK_STARTED, QUERY_TASK_ADVANCE,
	        QUERY_TASK_FINISH, QUERY_JOB_ADD, QUERY_JOB_PLAN_ADD, QUERY_JOB_MOVE, QUERY_JOB_ISOLATION, QUERY_JOB_OUTPUTS,
	        QUERY_STEP_SET, QUERY_ANNOTATION_ADD, QUERY_TURN_HOLD, QUERY_TURN_LEAVE_JOB};
	g_autoptr(Store) store = test_store();
	for (size_t i = 0; i < G_N_ELEMENTS(each); i++) {
		g_autofree char *text = g_strconcat("EXPLAIN ", sql_text(each[i]), NULL);
		sqlite3_stmt *statement = NULL;
		g_assert_cmpint(sqlite3_prepare_v2(store->db, text, -1, &statement, NULL), ==, SQLITE_OK);
		while (sqlite3_step(statement) == SQLITE_ROW)
			if (strcmp((const char *)sqlite3_column_text(statement, 1), "OpenEphemeral") == 0)
				g_error("%s", names[each[i]]);
		sqlite3_finalize(statement);
	}
}

static void words_are_still_checked(void)
{
	static const char *const bad[] = {"UPDATE jobs SET status = 'done'", "UPDATE jobs SET isolation = 'some'",
	        "UPDATE steps SET status = 'done'", "UPDATE runs SET status = 'done'", "UPDATE tasks SET kind = 'deed'",
	        "UPDATE annotations SET level = 'shout'", "UPDATE deliveries SET outcome = 'lost'", "UPDATE turns SET state = 'sits'",
	        "UPDATE run_attempts SET status = 'done'"};
	g_autoptr(Store) store = test_store();
	static const char rows[] =
	        "INSERT INTO repos (id, name, url, created_at) VALUES (1, 'a/b', '', 0);"
	        "INSERT INTO runs (id, repo, number, workflow, event, created_at) VALUES (1, 1, 1, 'w', 'push', 0);"
	        "INSERT INTO run_attempts (run, attempt, created_at) VALUES (1, 1, 0);"
	        "INSERT INTO jobs (id, run, position, key, job_group, name, created_at) VALUES (1, 1, 1, 'a', 'a', 'a', 0);"
	        "INSERT INTO steps (job, number) VALUES (1, 1);"
	        "INSERT INTO tasks (kind, repo, run, job, created_at) VALUES ('job', 1, 1, 1, 0);"
	        "INSERT INTO annotations (job, level, message) VALUES (1, 'notice', '');"
	        "INSERT INTO deliveries (forge, delivery, repo, received_at, headers, body) VALUES ('f', 'd', 'a/b', 0, '{}', x'');"
	        "INSERT INTO turns (repo, lock, run, state) VALUES (1, 'l', 1, 'waits');";
	g_assert_cmpint(sqlite3_exec(store->db, rows, NULL, NULL, NULL), ==, SQLITE_OK);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("%s", bad[i]);
		g_assert_cmpint(sqlite3_exec(store->db, bad[i], NULL, NULL, NULL) & 0xff, ==, SQLITE_CONSTRAINT);
	}
	/* And the text of the schema is nobody's to change once it is open. */
	g_assert_cmpint(sqlite3_exec(store->db, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = sql", NULL, NULL, NULL), !=,
	        SQLITE_OK);
}

static void each_list_of_runs_uses_the_index_it_is_for(void)
{
	g_autoptr(Store) store = test_store();
	const struct {
		Query query;
		const char *index;
	} want[] = {{QUERY_RUN_LIST_ALL, "INTEGER PRIMARY KEY"}, {QUERY_RUN_LIST_REPO, "runs_by_repo "},
	        {QUERY_RUN_LIST_STATUS, "runs_by_status"}, {QUERY_RUN_LIST_REPO_STATUS, "runs_by_repo_status"},
	        {QUERY_RUN_LIST_REF, "runs_by_ref"}, {QUERY_RUN_LIST_REPO_REF, "runs_by_repo_ref"},
	        {QUERY_RUN_LIST_WORKFLOW, "runs_by_workflow"}, {QUERY_RUN_LIST_REPO_WORKFLOW, "runs_by_repo_workflow"},
	        {QUERY_RUN_LIST_FILE, "runs_by_file"}, {QUERY_RUN_LIST_REPO_FILE, "runs_by_repo_file"},
	        {QUERY_RUN_LIST_EVENT, "runs_by_event"}, {QUERY_RUN_LIST_ACTOR, "runs_by_actor"},
	        {QUERY_RUN_LIST_DELIVERY, "runs_by_delivery"}};
	for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
		g_autofree char *plan = plan_of(store, want[i].query);
		if (!strstr(plan, want[i].index) || !strstr(plan, "rowid<?"))
			g_error("%s\n%s", names[want[i].query], plan);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/queries/none_scans_a_table_that_grows", none_scans_a_table_that_grows);
	g_test_add_func("/queries/no_list_sorts", no_list_sorts);
	g_test_add_func("/queries/what_each_job_writes_makes_no_table_for_it", what_each_job_writes_makes_no_table_for_it);
	g_test_add_func("/queries/words_are_still_checked", words_are_still_checked);
	g_test_add_func("/queries/each_list_of_runs_uses_the_index_it_is_for", each_list_of_runs_uses_the_index_it_is_for);
	return g_test_run();
}
