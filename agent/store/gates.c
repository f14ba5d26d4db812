/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates. Rules and evidence are copied into the gate when it opens and never change: a verdict names the digest of
 * what its reviewer saw, and one that names another is refused here, whoever asks.
 */
#include "agent/store/gates.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/model/run.h"
#include "agent/store/sql.h"

static bool open_gate(Store *store, int64_t job, const char *environment, const json_t *rules, const json_t *evidence,
        int64_t expires_us, int64_t *out_id, GError **error)
{
	g_autofree char *digest = json_digest(evidence);
	const SqlValue values[] = {INT(job), TEXT(environment), INT(json_get_int(rules, "approvals", 1)), INT(now_us()),
	        ID(expires_us), TEXT(digest), JSON(rules), JSON(evidence)};
	bool found = false;
	if (!sql_int(store, QUERY_GATE_OPEN, values, G_N_ELEMENTS(values), out_id, &found, error))
		return false;
	if (!found)
		return fail(error, ASSAY_ERROR_ABSENT, "no job with id %" G_GINT64_FORMAT, job);
	size_t i;
	const json_t *reviewer;
	json_array_foreach(json_object_get(rules, "reviewers"), i, reviewer)
		if (json_is_string(reviewer) &&
		        !sql_run(store, QUERY_GATE_REVIEWER_ADD, VALUES(TEXT(json_string_value(reviewer)), INT(*out_id)), error))
			return false;
	return true;
}

bool gates_open(Store *store, int64_t job, const char *environment, const json_t *rules, const json_t *evidence,
        int64_t expires_us, int64_t *out_id, GError **error)
{
	if (!json_is_object(rules) || !json_is_object(evidence))
		return fail(error, ASSAY_ERROR_USER, "a gate needs rules and evidence");
	int64_t id = 0;
	if (!sql_atomic_begin(store, error) ||
	        !sql_atomic_end(store, open_gate(store, job, environment, rules, evidence, expires_us, &id, error), error)) {
		g_prefix_error(error, "cannot open a gate for '%s': ", environment);
		return false;
	}
	if (out_id)
		*out_id = id;
	return true;
}

/* Puts job, run and verdicts in the place of their ids. */
static bool fill(Store *store, json_t *gate, GError **error)
{
	int64_t id = json_get_int(gate, "id", 0);
	json_t *job = sql_one(store, QUERY_JOB_BRIEF, VALUES(INT(json_get_int(gate, "job_id", 0))), error, "its job is gone");
	if (!job)
		return false;
	json_set(gate, "job", job);
	json_t *run = sql_one(store, QUERY_RUN_GET, VALUES(INT(json_get_int(gate, "run_id", 0))), error, "its run is gone");
	if (!run)
		return false;
	json_set(gate, "run", run);
	json_t *verdicts = sql_array(store, QUERY_VERDICT_LIST, VALUES(INT(id)), error);
	if (!verdicts)
		return false;
	json_set(gate, "verdicts", verdicts);
	json_object_del(gate, "job_id");
	json_object_del(gate, "run_id");
	return true;
}

json_t *gates_get(Store *store, int64_t id, GError **error)
{
	g_autoptr(json_t) gate = sql_one(store, QUERY_GATE_GET, VALUES(INT(id)), error,
	        "no gate with id %" G_GINT64_FORMAT "; see 'assay gate list'", id);
	if (!gate || !fill(store, gate, error))
		return NULL;
	return g_steal_pointer(&gate);
}

static bool is_status(const char *status)
{
	static const char *const all[] = {"waiting", "approved", "rejected", "expired", NULL};
	return g_strv_contains(all, status);
}

json_t *gates_list(Store *store, const json_t *filter, const char *after, int64_t limit, GError **error)
{
	const char *status = json_get_string(filter, "status", NULL);
	const char *repo = json_get_string(filter, "repo", NULL);
	const char *reviewer = json_get_string(filter, "reviewer", NULL);
	Page page;
	if (!page_parse(after, limit, &page, error))
		return NULL;
	if (status && !is_status(status)) {
		fail(error, ASSAY_ERROR_USER, "'%.40s' is not a status of a gate; use waiting, approved, rejected or expired",
		        status);
		return NULL;
	}
	SqlValue repo_id = {.kind = SQL_NULL};
	if (repo) {
		bool found = false;
		repo_id = INT(-1);
		if (!sql_int(store, QUERY_REPO_ID, VALUES(TEXT(repo), INT(1)), &repo_id.number, &found, error))
			return NULL;
	}
	Query query = QUERY_GATE_LIST_ALL;
	if (status && strcmp(status, "waiting") == 0) /* few wait */
		query = repo ? QUERY_GATE_LIST_REPO_STATUS : QUERY_GATE_LIST_STATUS;
	else if (reviewer)
		query = QUERY_GATE_LIST_REVIEWER;
	else if (repo)
		query = status ? QUERY_GATE_LIST_REPO_STATUS : QUERY_GATE_LIST_REPO;
	else if (status)
		query = QUERY_GATE_LIST_STATUS;
	g_autoptr(json_t) answer = sql_page(store, query,
	        VALUES(INT(page.at), INT(page.rows), TEXT(status), repo_id, TEXT(reviewer)), "gates", &page, error);
	size_t i;
	json_t *gate;
	json_array_foreach(json_object_get(answer, "gates"), i, gate)
		if (!fill(store, gate, error))
			return NULL;
	return g_steal_pointer(&answer);
}

/* Fails unless the gate waits; gives the digest of its evidence. */
static bool check_waiting(Store *store, int64_t gate, char **out_digest, GError **error)
{
	g_autoptr(json_t) state = sql_one(store, QUERY_GATE_STATE, VALUES(INT(gate)), error,
	        "no gate with id %" G_GINT64_FORMAT "; see 'assay gate list'", gate);
	if (!state)
		return false;
	const char *status = json_get_string(state, "status", "");
	if (strcmp(status, "waiting") != 0)
		return fail(error, ASSAY_ERROR_BUSY, "gate %" G_GINT64_FORMAT " is %s already", gate, status);
	*out_digest = g_strdup(json_get_string(state, "evidence_digest", ""));
	return true;
}

bool gates_verdict(Store *store, int64_t gate, const char *user, const char *verdict, const char *comment,
        bool override, const char *evidence_digest, GError **error)
{
	g_autofree char *digest = NULL;
	if (!check_waiting(store, gate, &digest, error))
		return false;
	if (evidence_digest && strcmp(evidence_digest, digest) != 0)
		return fail(error, ASSAY_ERROR_BUSY,
		        "gate %" G_GINT64_FORMAT " has other evidence than was shown; look at it again", gate);
	if (g_strcmp0(verdict, "approve") != 0 && g_strcmp0(verdict, "reject") != 0)
		return fail(error, ASSAY_ERROR_USER, "'%.40s' is not a verdict; use approve or reject", verdict ? verdict : "");
	return sql_run(store, QUERY_VERDICT_PUT,
	        VALUES(INT(gate), TEXT(user), TEXT(verdict), TEXT(comment), INT(override), TEXT(digest), INT(now_us())),
	        error);
}

bool gates_decide(Store *store, int64_t gate, const char *status, const char *message, GError **error)
{
	g_autofree char *digest = NULL;
	if (!check_waiting(store, gate, &digest, error))
		return false;
	if (!is_status(status) || strcmp(status, "waiting") == 0)
		return fail(error, ASSAY_ERROR_USER, "a gate does not end as '%.40s'", status);
	return sql_run(store, QUERY_GATE_DECIDE, VALUES(INT(gate), TEXT(status), TEXT(message), INT(now_us())), error);
}

int64_t gates_next_expiry(Store *store)
{
	int64_t at = 0;
	sql_int(store, QUERY_GATE_NEXT_EXPIRY, NO_VALUES, &at, NULL, NULL);
	return at;
}

json_t *gates_expired(Store *store, int64_t at_us, GError **error)
{
	return sql_list(store, QUERY_GATE_EXPIRED, VALUES(INT(at_us)), error);
}

json_t *gates_waiting_of_run(Store *store, int64_t run, GError **error)
{
	return sql_list(store, QUERY_GATE_WAITING_OF_RUN, VALUES(INT(run)), error);
}
