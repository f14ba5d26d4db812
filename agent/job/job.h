/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job under way: what its steps share. job.c opens and closes it, steps.c walks through it, builtin.c, actions.c
 * and mlsteps.c do single steps in it.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/executor.h"
#include "agent/job/log.h"
#include "agent/job/task.h"
#include "agent/job/tree.h"
#include "agent/model/run.h"
#include "agent/objects/objects.h"

/** How a step ended, before `continue-on-error` is looked at. */
typedef struct StepResult {
	RunState state;
	const char *cause; /* static; NULL for a success */
	char *message;     /* one sentence */
	int exit_code;     /* -1: it has none */
	int64_t cpu_us;    /* of all its commands; -1: unknown, likewise below */
	int64_t memory_peak_bytes;
	int64_t read_bytes;
	int64_t write_bytes;
	int64_t energy_uj; /* of the whole machine's processors meanwhile */
} StepResult;

void step_result_clear(StepResult *result);
/** Sets a failure; takes message. */
void step_result_fail(StepResult *result, const char *cause, char *message);

typedef struct Job Job;

/** What runs after all steps, for an action that asked for it. */
typedef struct JobPost {
	char *name;
	json_t *with;
	json_t *state; /* what the step saved */
	void (*run)(Job *job, struct JobPost *post, StepResult *out);
	bool (*wanted)(Job *job, struct JobPost *post, bool *out, GError **error); /* NULL: always */
	char *key;     /* the step's (step_key); NULL: not known */
	json_t *step;  /* as it is written; its failure is one of the job. NULL: a failure is only told */
	void *data;
	void (*free_data)(void *data);
} JobPost;

struct Job {
	Task *task;
	const json_t *spec;       /* job.json, borrowed */
	json_t *definition;
	json_t *contexts;         /* what expressions see */
	json_t *env;              /* object of strings: workflow, job, GITHUB_ENV */
	GPtrArray *paths;         /* char *: GITHUB_PATH, the newest last */
	GPtrArray *posts;         /* JobPost * */
	JobLog *log;
	const Executor *executor;
	Place *place;
	struct Containers *containers; /* containers.h; NULL: the job asks for none */
	int printed_fd;           /* readable when a service has printed; -1: none */
	const json_t *place_env;  /* what the place's image gives to every command; NULL: it has none */
	TreeOwner owner;
	int work_fd;
	int runner_fd;       /* where scripts, environment files and the event are put for the steps */
	char *runner_inside; /* the same as steps see it */
	char *workspace;          /* below work/: "digits/digits" */
	char *workspace_path;     /* the same on this side, absolute */
	char *workspace_inside;   /* and as steps see it */
	RunState state;           /* RUNNING while all is well, then FAILURE or CANCELLED */
	TaskEnd *end;             /* the first failure of a step is kept here */
	int64_t deadline_us;      /* on the clock that never jumps; 0: none */
	bool timed_out;           /* the job itself */
	bool debug;               /* asked for, or by ACTIONS_STEP_DEBUG: `debug` commands are shown */
	struct Matchers *matchers; /* NULL while no step has named one */
	int64_t asked;            /* the number of the last ask */
	int64_t answers_offset;
	struct Energy *energy;    /* energy.h; NULL: this machine cannot be asked */
	struct Service *service;  /* for the clients of artifacts and caches; NULL: none */

	/* of the step under way */
	int step;                 /* its number */
	int files_step;           /* the number of the step whose environment files lie there; 0: none do */
	int64_t step_deadline_us;
	int64_t step_limit_us;    /* its timeout-minutes; 0: none */
	json_t *step_outputs;     /* object */
	json_t *step_state;       /* object: what save-state said */
	json_t *step_env;         /* object: the step's own env, evaluated */
	char *stop_token;         /* commands are text until this one comes */
	char *disk_why;           /* the sentence, once it was ended for what it wrote; NULL: it was not */
	int annotations[3];       /* so far: errors, warnings, notices */
	int summary_parts;        /* events of its summary so far */
	int depth;                /* of composite actions, one in the other */
	const json_t *raw_step;   /* as it is written */
	const json_t *around;     /* the environment of the composite action around it; NULL: none */
	char *step_key;           /* "3", and "3.1" for the first within a composite action */

	/* actions that are not built in */
	struct ActionUses *uses;        /* action_use.h */
	const char *build_cause;        /* of the command of a Dockerfile that has failed last; static. NULL: none has */
	GHashTable *action_states;      /* step_key → what its pre, main and post share */
	const struct ActionUse *within; /* the composite action whose steps run; NULL: the job's own do */
	GPtrArray *action_names;        /* char *: github.action of each step of the definition */
	char *node;                     /* the program that runs node actions, once it was looked for */
	int node_major;
};

/** Accepts NULL. */
void job_post_free(JobPost *post);

/**
 * Empties work/ and home/ of a task's folder. The empty folders that each job of the same repo needs stay: making and removing
 * them costs more than a small job's steps. A job that begins makes those anew that an earlier one has left otherwise than new.
 */
bool job_strip_folders(const Task *task, bool begins, GError **error);
/** Has a job that ended left nothing there that job_strip_folders() would remove? */
bool job_has_emptied(const Task *task);
/** Does the whole job: place, steps, outputs. */
void job_run(Task *task, TaskEnd *end);

/** The nearest of the deadlines that hold now; 0: none. */
int64_t job_deadline(const Job *job);
/** The workspace as a descriptor, made when it is not there; -1 on error. */
int job_open_workspace(Job *job, GError **error);
/** What the job's network is by its job.json. */
PlaceNetwork job_network(const Job *job);
/** What `full` reaches, for a PlaceSpec: the array is the caller's (g_free), its texts the job's; NULL: everything outside. */
const char **job_allow(const Job *job);
/** Which devices of this machine its steps may use, likewise; the caller's array, with the spec's texts. */
const char **job_devices(const Job *job);
/** PlaceImage.stopped and .say with a Job as data: is it to end, by a cancel or its time? Writes a line into its log. */
bool job_is_stopped(void *job);
void job_say(void *job, const char *text);
/** Writes the limits of its job.json into a PlaceSpec. */
void job_set_limits(const Job *job, PlaceSpec *spec);
/** Opens runner_fd, before each command anew where it is on the disk: a step may have removed or replaced it. */
bool job_open_runner(Job *job, GError **error);
/** Writes the event's payload to where github.event_path says. */
bool job_write_event(Job *job, GError **error);
/** The content store, D/objects; the caller's. */
Objects *job_open_store(Job *job, GError **error);
/** Writes a tree of the store into a new folder of the task's own, where no step can reach: a descriptor, or -1. */
int job_restore(Job *job, const char *digest, const char *stage, GError **error);
/** An annotation, in the events and as a line of the log. */
void job_annotate(Job *job, const char *level, const char *message);
/** The same at a place; file may be NULL. */
void job_annotate_at(Job *job, const char *level, const char *message, const char *file, int line);
