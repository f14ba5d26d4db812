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
	static const char *const whole[] = {"AUDIT_WALK", "USER_LIST", "TASK_COUNT_ALL", NULL};
	/* The newest row of all; and tasks that are checked for their repo, which are few and live shortly. */
	if (strcmp(name, "AUDIT_LAST") == 0 || (strcmp(name, "REPO_PUT") == 0 && strcmp(detail, "SCAN tasks") == 0))
		return true;
	/* The indexes of what waits hold only what waits. */
	static const char *const small[] = {"deliveries_new", "tasks_leased", "tasks_ready", "gates_by_expiry",
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
	g_test_add_func("/queries/each_list_of_runs_uses_the_index_it_is_for", each_list_of_runs_uses_the_index_it_is_for);
	return g_test_run();
}
