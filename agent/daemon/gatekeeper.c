/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens, decides and expires gates. A gate that waits is a row and nothing else: no process, no slot. What the reviewer
 * was shown is fixed when it opens; a verdict is bound to its digest, and a newer push to the ref voids the gate.
 */
#include "agent/daemon/gatekeeper.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/model/gate.h"
#include "agent/store/audit.h"
#include "agent/store/gates.h"
#include "agent/store/runs.h"

#define COMMENT_BYTES_MAX 8192

bool gatekeeper_open(Daemon *daemon, int64_t job, const char *environment, const json_t *rules, GError **error)
{
	g_autoptr(json_t) evidence = evidence_collect(daemon, job, environment, error);
	if (!evidence)
		return false;
	int64_t lives_s = json_get_int(rules, "expires_s", 0);
	int64_t lives_us = lives_s > 0 ? lives_s * G_USEC_PER_SEC : daemon->config->gate_expires_us;
	int64_t gate = 0;
	if (!gates_open(daemon->store, job, environment, rules, evidence, now_us() + lives_us, &gate, error) ||
	        !runs_set_gate(daemon->store, job, gate, error) ||
	        !runs_move_job(daemon->store, job, RUN_WAITING, NULL, NULL, error))
		return false;
	log_info("gate opened", KV("gate", gate), KV("job", job), KV("environment", environment));
	gatekeeper_arm(daemon);
	return true;
}

/* Ends a gate and lets its job go on, or fail. In the caller's transaction. */
bool gatekeeper_end(Daemon *daemon, int64_t gate, const char *status, const char *message, GError **error)
{
	g_autoptr(json_t) found = gates_get(daemon->store, gate, error);
	if (!found || !gates_decide(daemon->store, gate, status, message, error))
		return false;
	int64_t job = json_get_int(json_object_get(found, "job"), "id", 0);
	log_info("gate ended", KV("gate", gate), KV("status", status));
	if (strcmp(status, "approved") != 0)
		return graph_end_job(daemon, json_get_int(json_object_get(found, "run"), "id", 0), job, "failure", CAUSE_GATE, message, error);
	g_autoptr(json_t) internal = runs_job_internal(daemon->store, job, error);
	const json_t *run = json_object_get(internal, "run");
	int64_t run_id = json_get_int(run, "id", 0);
	return internal && runs_move_job(daemon->store, job, RUN_QUEUED, NULL, NULL, error) &&
	       queue_put(daemon->store, "job", json_get_int(run, "repo_id", 0), run_id, job, NULL, 0, NULL, error) &&
	       graph_advance(daemon, run_id, error);
}

bool gatekeeper_supersede(Daemon *daemon, int64_t repo, const char *ref, const char *sha, int64_t run, GError **error)
{
	g_autoptr(json_t) open = runs_open_of_ref(daemon->store, repo, ref, run, error);
	if (!open)
		return false;
	g_autofree char *message = g_strdup_printf("a newer push to %s (%.8s) took its place", ref, sha);
	size_t i, k;
	json_t *other, *gate;
	json_array_foreach(open, i, other) {
		g_autoptr(json_t) older = runs_get(daemon->store, json_integer_value(other), error);
		if (!older)
			return false;
		if (g_strcmp0(json_get_string(older, "sha", NULL), sha) == 0)
			continue; /* another workflow of the same push */
		g_autoptr(json_t) gates = gates_waiting_of_run(daemon->store, json_integer_value(other), error);
		if (!gates)
			return false;
		json_array_foreach(gates, k, gate)
			if (!gatekeeper_end(daemon, json_integer_value(gate), "expired", message, error))
				return false;
	}
	return true;
}

static gboolean on_expiry(gpointer data)
{
	Daemon *daemon = data;
	daemon->expiry_source = 0;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) expired = gates_expired(daemon->store, now_us(), &error);
	bool good = expired && store_begin(daemon->store, &error);
	size_t i;
	json_t *gate;
	json_array_foreach(expired, i, gate)
		good = good && gatekeeper_end(daemon, json_integer_value(gate), "expired", "nobody decided in time", &error);
	if (good)
		good = daemon_commit(daemon, &error);
	else if (store_in_transaction(daemon->store))
		store_rollback(daemon->store);
	if (error)
		log_error("cannot expire gates", KV("why", error->message));
	gatekeeper_arm(daemon);
	daemon_wake(daemon);
	return G_SOURCE_REMOVE;
}

void gatekeeper_arm(Daemon *daemon)
{
	if (daemon->expiry_source)
		g_source_remove(daemon->expiry_source);
	daemon->expiry_source = 0;
	int64_t next_us = gates_next_expiry(daemon->store);
	if (next_us <= 0)
		return;
	int64_t left_ms = MAX((next_us - now_us()) / 1000 + 1, 1);
	daemon->expiry_source = g_timeout_add((guint)MIN(left_ms, (int64_t)G_MAXINT), on_expiry, daemon);
}

/* Is the verdict of a form that may be given? */
static bool check(const json_t *gate, const json_t *user, const json_t *verdict, GError **error)
{
	const char *name = json_get_string(user, "name", "");
	const json_t *evidence = json_object_get(gate, "evidence");
	const char *what = json_get_string(verdict, "verdict", "");
	const char *comment = json_get_string(verdict, "comment", "");
	const char *shown = json_get_string(verdict, "evidence_digest", NULL);
	const char *why = NULL;
	int64_t id = json_get_int(gate, "id", 0);
	if (strcmp(what, "approve") != 0 && strcmp(what, "reject") != 0)
		return fail(error, ASSAY_ERROR_USER, "a verdict is 'approve' or 'reject', not '%s'", what);
	if (!gate_may_decide(json_object_get(gate, "rules"), name, json_get_string(evidence, "author", NULL), &why))
		return fail(error, ASSAY_ERROR_DENIED, "gate %" G_GINT64_FORMAT ": %s", id, why);
	if (strcmp(json_get_string(gate, "status", ""), "waiting") != 0)
		return fail(error, ASSAY_ERROR_BUSY, "gate %" G_GINT64_FORMAT " is %s already: %s", id,
		        json_get_string(gate, "status", ""), json_get_string(gate, "message", "it was decided"));
	if (shown && shown[0] && strcmp(shown, json_get_string(gate, "evidence_digest", "")) != 0)
		return fail(error, ASSAY_ERROR_BUSY,
		        "gate %" G_GINT64_FORMAT ": other evidence was shown than the gate holds; load the page again", id);
	if (strlen(comment) > COMMENT_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "the comment is longer than %d bytes", COMMENT_BYTES_MAX);
	const char *result = json_get_string(evidence, "verdict", "none");
	g_autofree char *trimmed = g_strstrip(g_strdup(comment));
	if (strcmp(what, "approve") == 0 && gate_needs_override(result) &&
	        (!json_get_bool(verdict, "override", false) || trimmed[0] == '\0'))
		return fail(error, ASSAY_ERROR_USER,
		        "gate %" G_GINT64_FORMAT ": the evidence says '%s'; approving against it is an override and needs a reason",
		        id, result);
	return true;
}

static bool record(Daemon *daemon, const json_t *gate, const char *name, const json_t *verdict, GError **error)
{
	int64_t id = json_get_int(gate, "id", 0);
	const char *what = json_get_string(verdict, "verdict", "");
	const char *comment = json_get_string(verdict, "comment", "");
	const char *digest = json_get_string(gate, "evidence_digest", "");
	bool override = strcmp(what, "approve") == 0 &&
	                gate_needs_override(json_get_string(json_object_get(gate, "evidence"), "verdict", "none"));
	g_autofree char *subject = g_strdup_printf("gate %" G_GINT64_FORMAT, id);
	g_autoptr(json_t) detail = json_pack("{s:s, s:b, s:s}", "comment", comment, "override", override, "evidence_digest", digest);
	if (!gates_verdict(daemon->store, id, name, what, comment, override, digest, error) ||
	        !audit_add(daemon->store, name, strcmp(what, "approve") == 0 ? "gate.approve" : "gate.reject", subject, detail, error))
		return false;
	g_autoptr(json_t) after = gates_get(daemon->store, id, error);
	if (!after)
		return false;
	daemon_touch(daemon, json_get_int(json_object_get(gate, "run"), "id", 0));
	GateState state = gate_decide(json_object_get(after, "rules"), json_object_get(after, "verdicts"), digest);
	g_autofree char *message = comment[0] ? g_strdup_printf("%s by %s: %s", state == GATE_REJECTED ? "rejected" : "approved", name, comment)
	                                      : g_strdup_printf("%s by %s", state == GATE_REJECTED ? "rejected" : "approved", name);
	if (state == GATE_WAITING)
		return true;
	return gatekeeper_end(daemon, id, state == GATE_APPROVED ? "approved" : "rejected", message, error);
}

bool gatekeeper_verdict(Daemon *daemon, int64_t id, const json_t *user, const json_t *verdict, json_t **out, GError **error)
{
	g_autoptr(json_t) gate = gates_get(daemon->store, id, error);
	if (!gate || !check(gate, user, verdict, error) || !store_begin(daemon->store, error))
		return false;
	if (!record(daemon, gate, json_get_string(user, "name", ""), verdict, error)) {
		store_rollback(daemon->store);
		return false;
	}
	if (!daemon_commit(daemon, error))
		return false;
	gatekeeper_arm(daemon);
	daemon_wake(daemon);
	*out = gates_get(daemon->store, id, error);
	return *out != NULL;
}
