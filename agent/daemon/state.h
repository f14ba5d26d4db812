/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's files share. Private to agent/daemon/. */
#pragma once

#include "agent/base/autoptr.h"
#include "agent/daemon/daemon.h"
#include "agent/daemon/zygote.h"
#include "agent/store/queue.h"

/** A task that a worker has, or is about to have. */
typedef struct Active {
	Daemon *daemon;
	Task *task;
	char *folder;
	int pidfd;            /* -1 until the zygote has answered */
	guint deadline_source;
	guint retry_source;   /* the store refused its events: again soon */
	guint soon_source;    /* its events are read when this rings, if nothing urgent comes before */
	int events_fd;        /* events.jsonl; -1 until it is first read */
	int64_t seen;         /* bytes of it that were looked at */
	int64_t timeout_us;   /* how long a job may run; 0: no limit */
	bool noted;           /* the store knows its pid */
	unsigned watch;       /* on events.jsonl */
	bool is_job;          /* holds a slot */
	bool ended;           /* its `end` has been applied: only the process is waited for */
	bool ahead;           /* leased before there is a slot for it: the daemon's `next` */
	bool moves;           /* it began, and the store does not know yet that its job runs */
	bool emptied;         /* and it said that it leaves nothing in its folder but empty folders */
} Active;

struct Daemon {
	const Config *config;
	Store *store;
	Zygote *zygote;
	char *url;
	GHashTable *active;   /* int64_t task id → Active, owned */
	int jobs_running;
	int jobs_max;
	GArray *next;         /* the lease of the job that comes next, made ready while all slots are taken; NULL: none */
	int64_t next_at_us;   /* when it was described (monotonic), and how much people had done by then: */
	uint64_t next_audited;
	bool next_void;       /* a job was cancelled since: perhaps this one */
	guint next_source;
	guint wake_source;
	guint late_source;    /* a turn that higher work must not put off any longer */
	guint expiry_source;
	int exits_fd;         /* the workers' pidfds: exits.c */
	guint exits_source;
	int schedule_fd;      /* a timer; -1 while nothing is scheduled */
	guint schedule_source;
	bool stopping;
	bool adopted;         /* the workers of an earlier agent are known, so that what is free can be told */
	guint spares;         /* folders of ended tasks kept for the next ones */
	GPtrArray *ended;     /* folders whose tasks have ended, perhaps not yet on the disk: folders.c */
	guint ended_source;
	GArray *subscribers;
	unsigned last_subscriber;
	GHashTable *touched;  /* runs changed in this transaction: told to subscribers after the commit */
	GHashTable *contexts; /* int64_t run → char *: payload.c */
	json_t *local;        /* for `assay run`: {"folder","network","executor"}; NULL in a server */
};

/* daemon.c */
void daemon_touch(Daemon *daemon, int64_t run);
/** Commits and tells the subscribers; on failure rolls back, logs and returns false. */
bool daemon_commit(Daemon *daemon, GError **error);
char *daemon_task_folder(const Daemon *daemon, int64_t task);

/* intake.c: stored deliveries become plan tasks. */
/** At most `most` of them; true when more wait. */
bool intake_run(Daemon *daemon, int most);

/* folders.c: D/jobs/<task>. */
void folders_open(Daemon *daemon);
/** Where this agent may not remove what users of an image have left, a worker is started that may. */
void folders_begin(const char *worker);
/** @description   the bytes of job.json */
bool folders_make(Daemon *daemon, const char *folder, const char *description, GError **error);
/**
 * A task has ended, in a transaction that need not be on the disk yet; its folder goes when it is.
 *
 * @emptied   its worker has said that work/ and home/ hold nothing but empty folders
 */
void folders_release(Daemon *daemon, const char *folder, bool emptied);
/** Removes the folders of tasks that nobody has any more: once, when the workers were adopted. */
void folders_sweep(Daemon *daemon);
/** Releases what waits, and removes what is kept aside: at start and at the end. */
void folders_forget(Daemon *daemon);

/* payload.c: the github contexts of runs. */
/** The text of a run's github context without `event`, which lies in the file payload_path(); borrowed until the next call. */
const char *payload_context(Daemon *daemon, int64_t run, GError **error);
/** The caller's. */
char *payload_path(const Daemon *daemon, int64_t run);

/* describe.c: what a worker is told of its task. */
#define GRACE_US (10LL * G_USEC_PER_SEC) /* from a signal to the next, harder one */
/**
 * The text of job.json, the caller's; NULL on error.
 *
 * @out_secrets      {"secrets",…}, the caller's to wipe; NULL on some errors
 * @out_timeout_us   how long a job may run, with what is left to it after that; 0: no limit
 * @out_git          will its worker look into a repository?
 */
char *describe_task(Daemon *daemon, const Task *task, json_t **out_secrets, int64_t *out_timeout_us, bool *out_git,
        GError **error);

/* dispatch.c: queue × slots → workers. */
void dispatch_run(Daemon *daemon);
/**
 * Leases what may start now, in the caller's transaction. After its commit the caller hands the leases to dispatch_start();
 * when it comes to nothing, to dispatch_drop(). NULL when the store fails.
 */
GArray *dispatch_lease(Daemon *daemon, GError **error);
/** Takes the leases. */
void dispatch_start(Daemon *daemon, GArray *leased);
/** Takes the leases, or NULL. */
void dispatch_drop(Daemon *daemon, GArray *leased);
/**
 * A slot will be free: asks for the worker of the job that was made ready for it. Outside of a transaction. In the next one the caller
 * has dispatch_note() tell the store. NULL when there is none, or nothing that may be used: then it is in the queue again.
 */
Active *dispatch_next(Daemon *daemon);
/** Gives back what was made ready, if it is old or might be wrong, or if always. Outside of a transaction. */
void dispatch_forget_next(Daemon *daemon, bool always);
/** In the caller's transaction: the job of this worker runs. After the commit the caller clears `moves`. */
bool dispatch_note(Active *active, GError **error);
void dispatch_started(int64_t task, int pidfd, int64_t pid, int64_t start, const GError *error, void *data);
void dispatch_adopt(Daemon *daemon);
void dispatch_arm_deadline(Active *active);
void active_free(Active *active);

/* exits.c: when a worker's process ends, follow_exit() is called. */
bool exits_begin(Daemon *daemon, GError **error);
void exits_stop(Daemon *daemon);
/** Takes pidfd. Where its end cannot be waited for, the worker is killed, and it has none any more. */
bool exits_watch(Active *active, int pidfd, GError **error);
/** Lets go of the worker; what it does is its own. */
void exits_forget(Active *active);

/* follow.c: events.jsonl → store. */
bool follow_begin(Active *active, GError **error);
void follow_read(Active *active);
/** It may have written: what is urgent is read now, the rest within a few milliseconds, together. */
void follow_grew(Active *active);
/** The process has ended: reads what is left, and ends the task if it did not say so itself. */
void follow_exit(Active *active);
void follow_cancel(Active *active);

/* graph.c: what a job's end, or a plan, means for its run; inside the caller's transaction. */
bool graph_plan(Daemon *daemon, const Task *task, json_t *const *events, size_t count, GError **error);
bool graph_resolved(Daemon *daemon, const Task *task, json_t *const *events, size_t count, GError **error);
bool graph_advance(Daemon *daemon, int64_t run, GError **error);
bool graph_ready(Daemon *daemon, int64_t job, GError **error);
bool graph_end_job(Daemon *daemon, int64_t run, int64_t job, const char *status, const char *cause, const char *message,
        GError **error);

/** fail-fast: what is left of a matrix ends when one of it (runs_job_internal) failed. */
bool graph_stop_siblings(Daemon *daemon, const json_t *failed, GError **error);
/** A run whose turn has come: what can start starts. */
bool graph_begin(Daemon *daemon, int64_t run, GError **error);

/* turns.c: concurrency groups and max-parallel. */
/** May it start now? If not it stands in line, and its jobs say what for. Inside the caller's transaction. */
bool turns_ask_run(Daemon *daemon, int64_t repo, int64_t run, bool untrusted, const json_t *concurrency, bool *out,
        GError **error);
/** The same for a resolved job (runs_job_internal); it may have ended instead, with a reason. */
bool turns_ask_job(Daemon *daemon, const json_t *internal, bool *out, GError **error);
/** Does a resolved job have to ask at all? */
bool turns_needed(const json_t *resolved);
/** Starts what was called since. */
void turns_run(Daemon *daemon);

/* calls.c: jobs that call reusable workflows; inside the caller's transaction. */
/** A resolved call goes: the jobs that it calls may begin. */
bool calls_begin(Daemon *daemon, int64_t run, int64_t job, GError **error);
/** The job of a key among those of runs_jobs_brief, or NULL. Borrowed. */
const json_t *calls_find(const json_t *jobs, const char *key);
/** May a job (of runs_jobs_brief) begin as far as its callers are concerned? */
bool calls_run(const json_t *jobs, const json_t *job);
/** Ends the calls whose jobs have ended, or asks a worker for their outputs first. */
bool calls_settle(Daemon *daemon, int64_t run, GError **error);
/** A worker told the outputs. */
bool calls_told(Daemon *daemon, const Task *task, json_t *const *events, size_t count, GError **error);
/** Cancels the jobs of a call. */
bool calls_cancel(Daemon *daemon, const json_t *call, const char *message, GError **error);

/* needs.c: what a job may know of those it needs. */
/** result and outputs by the id that its file gives each; `groups` are those of the run. */
json_t *needs_object(const json_t *jobs, const json_t *groups);
/** How all that it needs went, and what that needs: success, failure, cancelled, skipped. Static. */
const char *needs_status(const json_t *jobs, const json_t *groups);

/* cancel.c: inside the caller's transaction; the message says why, also when a worker has to end first. */
bool cancel_job(Daemon *daemon, const json_t *job, const char *message, GError **error);
bool cancel_run(Daemon *daemon, int64_t run, const char *message, GError **error);

/* asks.c: carries out one ask of a job; a false is an answer too, never a failure of the agent. */
json_t *asks_answer(Daemon *daemon, const Task *task, const char *what, const json_t *with);

/* schedule.c */
/** The agent begins: every repo's workflows are read anew, and what was missed is started. */
void schedule_begin(Daemon *daemon);
/** Starts what is due, and waits for the next. */
void schedule_run(Daemon *daemon);
void schedule_stop(Daemon *daemon);
/** What a worker read of the default branch; in the caller's transaction. */
bool schedule_learn(Daemon *daemon, const Task *task, const json_t *event, GError **error);

/* gatekeeper.c */
bool gatekeeper_open(Daemon *daemon, int64_t job, const char *environment, const json_t *rules, GError **error);
bool gatekeeper_end(Daemon *daemon, int64_t gate, const char *status, const char *message, GError **error);
bool gatekeeper_supersede(Daemon *daemon, int64_t repo, const char *ref, const char *sha, int64_t run, GError **error);
void gatekeeper_arm(Daemon *daemon);

/* evidence.c */
json_t *evidence_collect(Daemon *daemon, int64_t job, const char *environment, GError **error);
