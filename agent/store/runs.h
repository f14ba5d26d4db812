/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs, jobs, steps. What is read comes as json_t in the API's shape (docs/api.md); what is written goes through
 * one function a noun, which checks the table of allowed moves in agent/model/run.c.
 */
#pragma once

#include "agent/model/run.h"
#include "agent/store/db.h"

/**
 * Adds a run, queued. `fields`: {"workflow","workflow_path","workflow_digest","event","ref","sha","before","title",
 * "actor","untrusted","github":{…},"delivery","concurrency":{…}}; number is the next one of the repo.
 */
bool runs_add(Store *store, int64_t repo, const json_t *fields, int64_t *out_id, GError **error);
/**
 * Adds a job: {"key","group","name","needs":[groups],"definition":{…},"resolved":{…}|absent,"attempt"|absent,"debug",
 * "caller":key|absent}. key is unique among the run's jobs that no other replaced (matrix: "test (3.11)"); group is the
 * workflow's own id of it ("test"), of a called job behind its caller's key ("deploy (eu) / test"); without an attempt it
 * belongs to the newest. A job whose definition has `uses` is a call: other jobs name it as their caller.
 */
bool runs_add_job(Store *store, int64_t run, const json_t *job, int64_t *out_id, GError **error);
/**
 * Replaces a job that had to wait for its needs by what it resolved to: a `resolved` object of docs/formats.md (its key
 * and name become the job's). A matrix of several: this for the first, runs_add_job for the others.
 */
bool runs_resolve_job(Store *store, int64_t job, const json_t *resolved, GError **error);

/** Moves a job; sets started_at, finished_at by the state. cause and message may be NULL. USER for a forbidden move. */
bool runs_move_job(Store *store, int64_t job, RunState state, const char *cause, const char *message,
        GError **error);
/**
 * Sets the run's state from its jobs' (queued, running, waiting, or an end), and its cause and message from the first
 * job that failed. *out_ended is true when it ended by this call: once in an attempt's life. A run without jobs stays.
 */
bool runs_settle(Store *store, int64_t run, bool *out_ended, GError **error);
/** Ends a run that has no jobs, with a cause: a workflow that cannot be read. */
bool runs_fail(Store *store, int64_t run, const char *cause, const char *message, GError **error);

/** Upserts step `number` of a job: {"number","name","status","cause","exit_code","started_at","finished_at",
 * "log_offset","cpu_us","memory_peak_bytes","read_bytes",
 * "write_bytes","energy_uj","message"}; keys that are absent stay as they are. */
bool runs_step(Store *store, int64_t job, const json_t *step, GError **error);
bool runs_set_outputs(Store *store, int64_t job, const json_t *outputs, GError **error);
bool runs_set_isolation(Store *store, int64_t job, const char *executor, const char *level, const json_t *missing,
        GError **error);
bool runs_set_gate(Store *store, int64_t job, int64_t gate, GError **error);
bool runs_annotate(Store *store, int64_t job, const json_t *annotation, GError **error);
/** {"step","markdown","html","part"}: part 0 or none is the first, later ones are added to it. */
bool runs_summarise(Store *store, int64_t job, const json_t *summary, GError **error);
/** The summaries of a job as HTML, unsafe as the worker made it: [{"step","html"}]. */
json_t *runs_summaries_html(Store *store, int64_t job, GError **error);
/** Keeps a report of an ML step; returns its digest in out (hex, the caller's). */
bool runs_report(Store *store, int64_t job, const json_t *report, char **out_digest, GError **error);
/** An artifact of a run: {"name","digest","bytes","files","expires_us"}; without the last it is kept with its run. */
bool runs_artifact_put(Store *store, int64_t run, int64_t job, const json_t *artifact, GError **error);
/** May the job put an artifact of this name? BUSY when its attempt has one already. */
bool runs_artifact_check(Store *store, int64_t run, int64_t job, const char *name, GError **error);
/** Removes the one that the job's attempt has put; those of older attempts stay with them. */
bool runs_artifact_remove(Store *store, int64_t run, int64_t job, const char *name, GError **error);
/**
 * {"artifacts":[{"name","digest","bytes","files","attempt"}]}: the one of this name (ABSENT), or all when name is NULL; as
 * they are in an attempt (0: the newest).
 */
json_t *runs_artifact_get(Store *store, int64_t run, int64_t attempt, const char *name, GError **error);
/**
 * One artifact for somebody who asks for it: as one of runs_artifact_get(), with "created_us" and "expired". What has expired
 * is known as long as its run is. ABSENT when there never was one.
 *
 * @name   as the attempt has it (0: the newest); NULL: the one with this id, whatever its attempt
 */
json_t *runs_artifact_find(Store *store, int64_t run, int64_t attempt, const char *name, int64_t id, GError **error);

/** One run with its jobs (docs/api.md, "Run") as it is in the newest attempt; ABSENT. */
json_t *runs_get(Store *store, int64_t id, GError **error);
/** The same in one of its attempts; 0: the newest. */
json_t *runs_get_attempt(Store *store, int64_t id, int64_t attempt, GError **error);
/** By the repo's name and the run's number. */
json_t *runs_get_number(Store *store, const char *repo, int64_t number, int64_t attempt, GError **error);
/** {"runs":[…],"next"}: newest first. filter: {"repo","status","branch","workflow","event","actor"}, any absent. */
json_t *runs_list(Store *store, const json_t *filter, const char *after, int64_t limit, GError **error);
/** One job in full (docs/api.md, "Job"); ABSENT. */
json_t *runs_job(Store *store, int64_t id, GError **error);
/**
 * A run's github context as it was planned, the event's payload in it: the text of a JSON object, the caller's. It is text
 * since most callers only hand it on, and a payload may be large.
 */
char *runs_github(Store *store, int64_t run, GError **error);

/** What the dispatcher needs and the API never shows: {"definition","resolved","debug","run":{…,"concurrency"}}. */
json_t *runs_job_internal(Store *store, int64_t id, GError **error);
/** As much of it as a worker is told: of the job no times and states, of the run {"id","number","sha","untrusted"}. */
json_t *runs_job_spec(Store *store, int64_t id, GError **error);
/** Every job of a run's newest attempt: [{"id","key","group","status","needs":[groups],"outputs","resolved":bool,"call":bool,
 * "caller":key|null}], in order. */
json_t *runs_jobs_brief(Store *store, int64_t run, GError **error);
/** How many queued jobs of a run wait for their needs to end; -1 on error. */
int64_t runs_unresolved(Store *store, int64_t run, GError **error);
/** How many calls of reusable workflows a run has that have not ended; -1 on error. */
int64_t runs_calls(Store *store, int64_t run, GError **error);
/** Ids of runs of this repo and ref that have not ended, other than `except`: a JSON array of integers. */
json_t *runs_open_of_ref(Store *store, int64_t repo, const char *ref, int64_t except, GError **error);
/** Reports of an attempt's jobs (0: the newest), oldest first: [{"job","digest","report":{…},"at"}]. */
json_t *runs_reports(Store *store, int64_t run, int64_t attempt, GError **error);
