/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks: what a worker is started for. kind is "plan" (a delivery becomes runs), "resolve" (a job whose needs have
 * ended becomes jobs that can run) or "job". A task's folder is D/jobs/<id>; its fence grows with every take, so
 * that what a late worker wrote under an older lease is not believed.
 */
#pragma once

#include "agent/store/db.h"

typedef struct Task {
	int64_t id;
	int64_t fence;
	char *kind;
	int64_t repo;       /* id */
	int64_t run;        /* 0 for plan */
	int64_t job;        /* 0 for plan */
	json_t *input;      /* what queue_put was given */
	/* of a task that was taken: */
	int64_t pid;
	int64_t pid_start;  /* field 22 of /proc/PID/stat */
	int64_t offset;     /* bytes of events.jsonl that have been applied */
	int64_t deadline_us; /* 0: none */
	bool cancelling;
} Task;
void task_free(Task *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Task, task_free)

/** Takes nothing; input is borrowed and may be NULL. Lower priority numbers run first. */
bool queue_put(Store *store, const char *kind, int64_t repo, int64_t run, int64_t job, const json_t *input,
        int64_t priority, int64_t *out_id, GError **error);
/** Is there anything that queue_take() would lease? Cheap, and outside of a transaction; true when it cannot be told. */
bool queue_has_ready(Store *store, bool with_jobs);
/**
 * Leases the next task that is not held: plan and resolve before jobs, then priority, then age.
 * Jobs are taken only when with_jobs. *out is NULL when nothing is ready.
 */
bool queue_take(Store *store, bool with_jobs, int64_t at_us, Task **out, GError **error);
/** Notes the process that has it; fence must still be the current one (BUSY otherwise). */
bool queue_started(Store *store, int64_t id, int64_t fence, int64_t pid, int64_t pid_start,
        int64_t deadline_us, GError **error);
/** Notes how much of its events has been applied, in the same transaction as their effects. */
bool queue_advance(Store *store, int64_t id, int64_t fence, int64_t offset, GError **error);
bool queue_set_cancelling(Store *store, int64_t id, int64_t deadline_us, GError **error);
/** Back to the queue: its worker never began. */
bool queue_give_back(Store *store, int64_t id, int64_t fence, GError **error);
/** Done with: the row goes. */
bool queue_finish(Store *store, int64_t id, GError **error);
/** Every task that is leased: after a restart of the agent, to adopt. GPtrArray of Task, the caller's. */
GPtrArray *queue_leased(Store *store, GError **error);
/** The task of a job that is queued or leased; NULL when none. */
Task *queue_of_job(Store *store, int64_t job, GError **error);
/** Does a task that nobody has taken yet look at this repo's workflows? */
bool queue_has_survey(Store *store, int64_t repo);
int64_t queue_count(Store *store, const char *kind);

/** Asks of a worker, answered once: the answer is kept until the task ends, to be written again after a crash. */
bool queue_answer(Store *store, int64_t task, int64_t ask, const json_t *answer, GError **error);
/** [{"ask":1,…answer}], in order. */
json_t *queue_answers(Store *store, int64_t task, GError **error);
