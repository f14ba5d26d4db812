/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written about runs, jobs and steps; runs_read.c reads it. Every move goes through the table of
 * agent/model/run.c, and a run's own state is never set by hand: runs_settle() derives it from the jobs.
 */
#include "agent/store/runs.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/sql.h"
#include "agent/store/turns.h"

#define SUMMARY_BYTES_MAX (2 * 1024 * 1024)      /* the worker's limit is smaller; masks may make it longer */
#define SUMMARY_HTML_BYTES_MAX (5 * 1024 * 1024)
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Times come as RFC 3339, as in our JSON, or as microseconds, as in events. */
static SqlValue time_field(const json_t *object, const char *key)
{
	int64_t at = json_get_int(object, key, 0);
	const char *text = json_get_string(object, key, NULL);
	if (text && !clock_parse(text, &at))
		at = 0;
	return ID(at);
}

static SqlValue int_field(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_integer(value) ? INT(json_integer_value(value)) : (SqlValue){.kind = SQL_NULL};
}

static SqlValue text_field(const json_t *object, const char *key)
{
	return TEXT(json_get_string(object, key, NULL));
}

static bool add_run(Store *store, int64_t repo, const json_t *fields, int64_t *out_id, GError **error)
{
	int64_t number = 0;
	bool found = false;
	if (!sql_int(store, QUERY_RUN_NUMBER, VALUES(INT(repo)), &number, &found, error))
		return false;
	if (!found)
		return fail(error, ASSAY_ERROR_ABSENT, "no repo with id %" G_GINT64_FORMAT "; see 'assay repo list'", repo);
	const char *path = json_get_string(fields, "workflow_path", NULL);
	g_autofree char *file = path ? g_path_get_basename(path) : NULL;
	const SqlValue values[] = {INT(repo), INT(number), TEXT(json_get_string(fields, "workflow", "")),
	        TEXT(path), text_field(fields, "workflow_digest"),
	        TEXT(json_get_string(fields, "event", "")), text_field(fields, "ref"), text_field(fields, "sha"),
	        text_field(fields, "before"), text_field(fields, "title"), text_field(fields, "actor"),
	        text_field(fields, "delivery"), INT(json_get_bool(fields, "untrusted", false)), INT(now_us()), TEXT(file)};
	int64_t id = 0;
	g_autoptr(json_t) none = json_object();
	const json_t *github = json_object_get(fields, "github");
	const json_t *concurrency = json_object_get(fields, "concurrency");
	if (!sql_int(store, QUERY_RUN_ADD, values, COUNT(values), &id, NULL, error) ||
	        !sql_run(store, QUERY_RUN_CONTEXT_ADD,
	                VALUES(INT(id), JSON(json_is_object(github) ? github : none),
	                        JSON(json_is_object(concurrency) ? concurrency : NULL)),
	                error))
		return false;
	*out_id = id;
	return true;
}

bool runs_add(Store *store, int64_t repo, const json_t *fields, int64_t *out_id, GError **error)
{
	int64_t id = 0;
	if (!sql_atomic_begin(store, error) || !sql_atomic_end(store, add_run(store, repo, fields, &id, error), error)) {
		g_prefix_error(error, "cannot add a run: ");
		return false;
	}
	if (out_id)
		*out_id = id;
	return true;
}

/* "production" or {"name":"production"}; an expression is no name until it is resolved. */
static const char *environment_of(const json_t *definition, const json_t *resolved)
{
	const json_t *environment = json_object_get(resolved ? resolved : definition, "environment");
	const char *name =
	        json_is_string(environment) ? json_string_value(environment) : json_get_string(environment, "name", NULL);
	return name && !strstr(name, "${{") ? name : NULL;
}

static bool check_key_free(Store *store, int64_t run, const char *key, int64_t except, GError **error)
{
	int64_t holder = 0;
	bool taken = false;
	if (!sql_int(store, QUERY_JOB_TAKEN, VALUES(INT(run), TEXT(key)), &holder, &taken, error))
		return false;
	return !taken || holder == except ||
	        fail(error, ASSAY_ERROR_USER, "run %" G_GINT64_FORMAT " has a job '%s' already", run, key);
}

static bool run_state(Store *store, int64_t run, RunState *out, int64_t *out_attempt, GError **error)
{
	g_auto(Rows) rows = sql_query(store, QUERY_RUN_STATUS, VALUES(INT(run)), error);
	GError *inner = NULL;
	if (!rows_next(&rows, &inner)) {
		if (inner)
			g_propagate_error(error, inner);
		else if (!error || !*error)
			fail(error, ASSAY_ERROR_ABSENT, "no run with id %" G_GINT64_FORMAT "; see 'assay runs list'", run);
		return false;
	}
	if (out_attempt)
		*out_attempt = rows_int(&rows, 1);
	return run_state_parse(rows_text(&rows, 0), out) || fail(error, ASSAY_ERROR_SYSTEM, "a run has no known state");
}

static bool add_job(Store *store, int64_t run, const json_t *job, int64_t *out_id, GError **error)
{
	RunState state = RUN_QUEUED;
	if (!run_state(store, run, &state, NULL, error))
		return false;
	if (run_state_is_end(state))
		return fail(error, ASSAY_ERROR_USER, "run %" G_GINT64_FORMAT " has ended; it takes no more jobs", run);
	const char *key = json_get_string(job, "key", NULL);
	if (!key || !*key)
		return fail(error, ASSAY_ERROR_USER, "a job has no key");
	if (!check_key_free(store, run, key, 0, error))
		return false;
	const json_t *resolved = json_object_get(job, "resolved");
	if (json_is_null(resolved))
		resolved = NULL;
	g_autoptr(json_t) nothing = json_object();
	g_autoptr(json_t) nobody = json_array();
	const json_t *definition = json_object_get(job, "definition");
	const json_t *needs = json_object_get(job, "needs");
	const char *group = json_get_string(job, "group", json_get_string(resolved, "group", key));
	const char *caller = json_get_string(job, "caller", NULL);
	int64_t above = 0;
	bool found = false;
	if (caller && !sql_int(store, QUERY_JOB_TAKEN, VALUES(INT(run), TEXT(caller)), &above, &found, error))
		return false;
	if (caller && !found)
		return fail(error, ASSAY_ERROR_USER, "job '%s' is called by '%s', which the run has not", key, caller);
	int64_t position = 0;
	if (!sql_int(store, QUERY_JOB_POSITION, VALUES(INT(run), TEXT(group)), &position, NULL, error))
		return false;
	const SqlValue values[] = {INT(run), INT(position), TEXT(key), TEXT(group),
	        TEXT(json_get_string(resolved, "name", json_get_string(job, "name", key))),
	        JSON(json_is_array(needs) ? needs : nobody), INT(json_get_bool(resolved, "continue_on_error", false)),
	        TEXT(environment_of(definition, resolved)), INT(now_us()), int_field(job, "attempt"),
	        INT(json_get_bool(job, "debug", false)),
	        INT(json_object_get(definition, "uses") != NULL), TEXT(caller)};
	return sql_insert(store, QUERY_JOB_ADD, values, COUNT(values), out_id, error) &&
	        sql_run(store, QUERY_JOB_PLAN_ADD,
	                VALUES(INT(*out_id), JSON(json_is_object(definition) ? definition : nothing), JSON(resolved)),
	                error);
}

bool runs_add_job(Store *store, int64_t run, const json_t *job, int64_t *out_id, GError **error)
{
	int64_t id = 0;
	if (!sql_atomic_begin(store, error) || !sql_atomic_end(store, add_job(store, run, job, &id, error), error)) {
		g_prefix_error(error, "cannot add a job: ");
		return false;
	}
	if (out_id)
		*out_id = id;
	return true;
}

typedef struct JobState {
	RunState state;
	int64_t run;
	bool resolved;
} JobState;

static bool job_state(Store *store, int64_t job, JobState *out, GError **error)
{
	g_autoptr(json_t) row = sql_one(store, QUERY_JOB_STATE, VALUES(INT(job)), error,
	        "no job with id %" G_GINT64_FORMAT, job);
	if (!row)
		return false;
	out->run = json_get_int(row, "run", 0);
	out->resolved = json_get_bool(row, "resolved", false);
	return run_state_parse(json_get_string(row, "status", ""), &out->state) ||
	        fail(error, ASSAY_ERROR_SYSTEM, "job %" G_GINT64_FORMAT " has no known state", job);
}

static bool resolve_job(Store *store, int64_t job, const json_t *resolved, GError **error)
{
	JobState state = {0};
	if (!job_state(store, job, &state, error))
		return false;
	if (state.resolved || state.state != RUN_QUEUED)
		return fail(error, ASSAY_ERROR_USER, "job %" G_GINT64_FORMAT " waits for nothing", job);
	const char *key = json_get_string(resolved, "key", NULL);
	if (!key || !*key)
		return fail(error, ASSAY_ERROR_USER, "what job %" G_GINT64_FORMAT " resolved to has no key", job);
	return check_key_free(store, state.run, key, job, error) &&
	        sql_run(store, QUERY_JOB_RESOLVE,
	                VALUES(INT(job), TEXT(key), TEXT(json_get_string(resolved, "name", key)),
	                        INT(json_get_bool(resolved, "continue_on_error", false)),
	                        TEXT(environment_of(NULL, resolved))),
	                error) &&
	        sql_run(store, QUERY_JOB_PLAN_RESOLVE, VALUES(INT(job), JSON(resolved)), error);
}

bool runs_resolve_job(Store *store, int64_t job, const json_t *resolved, GError **error)
{
	const json_t *inside = json_object_get(resolved, "resolved");
	return sql_atomic_begin(store, error) &&
	        sql_atomic_end(store, resolve_job(store, job, json_is_object(inside) ? inside : resolved, error), error);
}

/* Staying in a state that has not ended is no move: only its cause and message change. */
static bool check_move(const char *noun, RunState from, RunState to, GError **error)
{
	if ((from == to && !run_state_is_end(from)) || run_state_may_move(from, to))
		return true;
	return fail(error, ASSAY_ERROR_USER, "%s is %s and cannot become %s", noun, run_state_name(from),
	        run_state_name(to));
}

bool runs_move_job(Store *store, int64_t job, RunState state, const char *cause, const char *message, GError **error)
{
	g_autoptr(json_t) row = sql_one(store, QUERY_JOB_TIMES, VALUES(INT(job)), error,
	        "no job with id %" G_GINT64_FORMAT, job);
	RunState from = RUN_QUEUED;
	if (!row)
		return false;
	g_autofree char *noun = g_strdup_printf("job %" G_GINT64_FORMAT, job);
	if (!run_state_parse(json_get_string(row, "status", ""), &from))
		return fail(error, ASSAY_ERROR_SYSTEM, "%s has no known state", noun);
	if (!check_move(noun, from, state, error))
		return false;
	int64_t started = json_get_int(row, "started_at", 0);
	if (state == RUN_RUNNING && started == 0)
		started = now_us();
	else if (state == RUN_QUEUED || state == RUN_WAITING)
		started = 0; /* its worker never began: it starts anew */
	return sql_run(store, QUERY_JOB_MOVE,
	               VALUES(INT(job), TEXT(run_state_name(state)), TEXT(cause), TEXT(message), ID(started),
	                       ID(run_state_is_end(state) ? now_us() : 0)),
	               error) &&
	       (!run_state_is_end(state) || turns_leave(store, 0, job, error));
}

/* What the jobs of a run say together. */
typedef struct Tally {
	size_t jobs;
	size_t in[RUN_SKIPPED + 1]; /* how many in each state; a failure that is forgiven counts as success */
	int64_t started_us;         /* the first start; 0: none */
	char *cause;                /* of the first job, in order, that failed, else that was cancelled */
	char *message;
	RunState blamed;
} Tally;

static void tally_blame(Tally *tally, RunState state, const Rows *rows)
{
	if (tally->blamed == RUN_FAILURE || tally->blamed == state)
		return;
	tally->blamed = state;
	g_free(tally->cause);
	g_free(tally->message);
	tally->cause = g_strdup(rows_text(rows, 3));
	const char *said = rows_text(rows, 4);
	tally->message = g_strdup_printf("job '%s': %s", rows_text(rows, 2), said ? said : run_state_name(state));
}

/* Of the jobs that an attempt shows; it began with the first that it started itself. */
static bool tally_jobs(Store *store, int64_t run, int64_t attempt, Tally *tally, GError **error)
{
	GError *inner = NULL;
	g_auto(Rows) rows = sql_query(store, QUERY_JOB_SETTLE, VALUES(INT(run), INT(attempt), INT(attempt)), &inner);
	while (rows_next(&rows, &inner)) {
		RunState state = RUN_QUEUED;
		run_state_parse(rows_text(&rows, 0), &state);
		if (state == RUN_FAILURE && rows_int(&rows, 1) != 0)
			state = RUN_SUCCESS;
		bool call = rows_int(&rows, 6) != 0;
		if (call && state == RUN_RUNNING) /* its jobs speak for it */
			continue;
		/* A call fails because a job of it did: that one is named. */
		if ((state == RUN_FAILURE || state == RUN_CANCELLED) && !(call && g_strcmp0(rows_text(&rows, 3), CAUSE_NEEDS) == 0))
			tally_blame(tally, state, &rows);
		tally->jobs++;
		tally->in[state]++;
		if (call)
			continue;
		int64_t started = rows_int(&rows, 5);
		if (started && (!tally->started_us || started < tally->started_us))
			tally->started_us = started;
	}
	if (inner)
		g_propagate_error(error, inner);
	return inner == NULL;
}

static RunState tally_state(const Tally *tally)
{
	const size_t *in = tally->in;
	if (in[RUN_RUNNING])
		return RUN_RUNNING;
	if (in[RUN_WAITING])
		return RUN_WAITING;
	if (in[RUN_QUEUED]) /* between two jobs a run is under way */
		return in[RUN_QUEUED] == tally->jobs ? RUN_QUEUED : RUN_RUNNING;
	if (in[RUN_FAILURE])
		return RUN_FAILURE;
	if (in[RUN_CANCELLED])
		return RUN_CANCELLED;
	return in[RUN_SUCCESS] ? RUN_SUCCESS : RUN_SKIPPED;
}

static bool move_run(Store *store, int64_t run, RunState state, const char *cause, const char *message,
        int64_t started_us, GError **error)
{
	return sql_run(store, QUERY_RUN_MOVE,
	               VALUES(INT(run), TEXT(run_state_name(state)), TEXT(cause), TEXT(message), ID(started_us),
	                       ID(run_state_is_end(state) ? now_us() : 0)),
	               error) &&
	       (!run_state_is_end(state) || turns_leave(store, run, 0, error));
}

static void tally_clear(Tally *tally)
{
	g_free(tally->cause);
	g_free(tally->message);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tally, tally_clear)

/* Attempts that a newer one overtook while some of their jobs still ran: they end with the last of those. */
static bool settle_older(Store *store, int64_t run, GError **error)
{
	g_autoptr(json_t) open = sql_list(store, QUERY_ATTEMPT_OPEN, VALUES(INT(run)), error);
	size_t i;
	json_t *attempt;
	json_array_foreach(open, i, attempt) {
		g_auto(Tally) tally = {0};
		if (!tally_jobs(store, run, json_integer_value(attempt), &tally, error))
			return false;
		RunState to = tally_state(&tally);
		bool ended = run_state_is_end(to);
		if (!sql_run(store, QUERY_ATTEMPT_MOVE,
		            VALUES(INT(run), INT(json_integer_value(attempt)), TEXT(run_state_name(to)),
		                    TEXT(ended ? tally.cause : NULL), TEXT(ended ? tally.message : NULL), ID(tally.started_us),
		                    ID(ended ? now_us() : 0)),
		            error))
			return false;
	}
	return open != NULL;
}

bool runs_settle(Store *store, int64_t run, bool *out_ended, GError **error)
{
	RunState from = RUN_QUEUED;
	int64_t attempt = 1;
	if (out_ended)
		*out_ended = false;
	if (!run_state(store, run, &from, &attempt, error))
		return false;
	if (run_state_is_end(from))
		return true;
	bool still = false; /* the usual case of a run with many jobs, and told without looking at them all */
	if (from == RUN_RUNNING && attempt == 1 &&
	        (!sql_int(store, QUERY_RUN_STILL_RUNS, VALUES(INT(run)), NULL, &still, error) ||
	                (!still && !sql_int(store, QUERY_RUN_STILL_GOES_ON, VALUES(INT(run)), NULL, &still, error))))
		return false;
	if (still)
		return true;
	g_auto(Tally) tally = {0};
	if (!tally_jobs(store, run, attempt, &tally, error) || (attempt > 1 && !settle_older(store, run, error)))
		return false;
	if (tally.jobs == 0)
		return true;
	RunState to = tally_state(&tally);
	bool ended = run_state_is_end(to);
	if (!move_run(store, run, to, ended ? tally.cause : NULL, ended ? tally.message : NULL, tally.started_us, error))
		return false;
	if (out_ended)
		*out_ended = ended;
	return true;
}

bool runs_fail(Store *store, int64_t run, const char *cause, const char *message, GError **error)
{
	RunState from = RUN_QUEUED;
	if (!run_state(store, run, &from, NULL, error))
		return false;
	g_autofree char *noun = g_strdup_printf("run %" G_GINT64_FORMAT, run);
	return check_move(noun, from, RUN_FAILURE, error) &&
	        move_run(store, run, RUN_FAILURE, cause, message, 0, error);
}

/* One that was not told of yet is queued. */
static bool step_state(Store *store, int64_t job, int64_t number, RunState *out, GError **error)
{
	GError *inner = NULL;
	g_auto(Rows) rows = sql_query(store, QUERY_STEP_STATUS, VALUES(INT(job), INT(number)), &inner);
	if (rows_next(&rows, &inner))
		run_state_parse(rows_text(&rows, 0), out);
	if (inner)
		g_propagate_error(error, inner);
	return inner == NULL;
}

bool runs_step(Store *store, int64_t job, const json_t *step, GError **error)
{
	int64_t number = json_get_int(step, "number", 0);
	if (number < 1)
		return fail(error, ASSAY_ERROR_USER, "a step has no number");
	RunState from = RUN_QUEUED;
	if (!step_state(store, job, number, &from, error))
		return false;
	SqlValue started = time_field(step, "started_at");
	SqlValue finished = time_field(step, "finished_at");
	const char *status = json_get_string(step, "status", NULL);
	RunState to = RUN_QUEUED;
	if (status) {
		g_autofree char *noun = g_strdup_printf("step %" G_GINT64_FORMAT, number);
		if (!run_state_parse(status, &to))
			return fail(error, ASSAY_ERROR_USER, "'%.40s' is not a state of a step", status);
		if (!check_move(noun, from, to, error))
			return false;
		if (to == RUN_RUNNING && from != RUN_RUNNING && started.kind == SQL_NULL)
			started = INT(now_us());
		if (run_state_is_end(to) && finished.kind == SQL_NULL)
			finished = INT(now_us());
	}
	const SqlValue values[] = {INT(job), INT(number), text_field(step, "name"), TEXT(status),
	        text_field(step, "cause"), int_field(step, "exit_code"), text_field(step, "message"), started, finished,
	        int_field(step, "log_offset"), int_field(step, "cpu_us"), int_field(step, "memory_peak_bytes"),
	        int_field(step, "read_bytes"), int_field(step, "write_bytes"), int_field(step, "energy_uj")};
	return sql_run(store, QUERY_STEP_SET, values, COUNT(values), error);
}

static bool update_job(Store *store, Query query, const SqlValue *values, size_t count, int64_t job, GError **error)
{
	int64_t changed = 0;
	if (!sql_run_counted(store, query, values, count, &changed, error))
		return false;
	return changed > 0 || fail(error, ASSAY_ERROR_ABSENT, "no job with id %" G_GINT64_FORMAT, job);
}

bool runs_set_outputs(Store *store, int64_t job, const json_t *outputs, GError **error)
{
	if (!json_is_object(outputs))
		return fail(error, ASSAY_ERROR_USER, "the outputs of job %" G_GINT64_FORMAT " are not an object", job);
	return update_job(store, QUERY_JOB_OUTPUTS, VALUES(INT(job), JSON(outputs)), job, error);
}

bool runs_set_isolation(Store *store, int64_t job, const char *executor, const char *level, const json_t *missing,
        GError **error)
{
	return update_job(store, QUERY_JOB_ISOLATION,
	        VALUES(INT(job), TEXT(executor), TEXT(level), JSON(json_is_array(missing) ? missing : NULL)), job, error);
}

bool runs_set_gate(Store *store, int64_t job, int64_t gate, GError **error)
{
	return update_job(store, QUERY_JOB_GATE, VALUES(INT(job), ID(gate)), job, error);
}

bool runs_annotate(Store *store, int64_t job, const json_t *annotation, GError **error)
{
	return sql_run(store, QUERY_ANNOTATION_ADD,
	        VALUES(INT(job), TEXT(json_get_string(annotation, "level", "notice")),
	                TEXT(json_get_string(annotation, "message", "")), text_field(annotation, "title"),
	                text_field(annotation, "file"), int_field(annotation, "line"), int_field(annotation, "step"),
	                int_field(annotation, "end_line"), int_field(annotation, "column"), text_field(annotation, "code"),
	                int_field(annotation, "log_line")),
	        error);
}

bool runs_summarise(Store *store, int64_t job, const json_t *summary, GError **error)
{
	SqlValue step = INT(json_get_int(summary, "step", 0));
	SqlValue markdown = TEXT(json_get_string(summary, "markdown", ""));
	if (json_get_int(summary, "part", 0) == 0)
		return sql_run(store, QUERY_SUMMARY_PUT, VALUES(INT(job), step, markdown, text_field(summary, "html")), error);
	return sql_run(store, QUERY_SUMMARY_MORE,
	        VALUES(INT(job), step, markdown, text_field(summary, "html"), INT(SUMMARY_BYTES_MAX), INT(SUMMARY_HTML_BYTES_MAX)),
	        error);
}

bool runs_report(Store *store, int64_t job, const json_t *report, char **out_digest, GError **error)
{
	g_autofree char *digest = json_digest(report);
	if (!update_job(store, QUERY_REPORT_ADD, VALUES(INT(job), TEXT(digest), INT(now_us()), JSON(report)), job, error))
		return false;
	if (out_digest)
		*out_digest = g_steal_pointer(&digest);
	return true;
}

bool runs_artifact_put(Store *store, int64_t run, int64_t job, const json_t *artifact, GError **error)
{
	const char *name = json_get_string(artifact, "name", NULL);
	const char *digest = json_get_string(artifact, "digest", NULL);
	if (!name || !*name || !digest)
		return fail(error, ASSAY_ERROR_USER, "an artifact needs a name and a digest");
	return sql_run(store, QUERY_ARTIFACT_PUT,
	               VALUES(INT(run), ID(job), TEXT(name), TEXT(digest), INT(json_get_int(artifact, "bytes", 0)),
	                       INT(json_get_int(artifact, "files", 0)), INT(now_us()), ID(json_get_int(artifact, "expires_us", 0))),
	               error);
}

bool runs_artifact_check(Store *store, int64_t run, int64_t job, const char *name, GError **error)
{
	int64_t id = 0;
	bool found = false;
	if (!sql_int(store, QUERY_ARTIFACT_CLASH, VALUES(INT(run), INT(job), TEXT(name), INT(now_us())), &id, &found, error))
		return false;
	return !found || fail(error, ASSAY_ERROR_BUSY, "an artifact with the name '%.200s' already exists in this run; choose "
	                      "another, or set 'overwrite'", name);
}

bool runs_artifact_remove(Store *store, int64_t run, int64_t job, const char *name, GError **error)
{
	return sql_run(store, QUERY_ARTIFACT_REMOVE, VALUES(INT(run), INT(job), TEXT(name)), error);
}
