/* SPDX-License-Identifier: Apache-2.0 */
/* One task of a worker: its folder, job.json, secrets, the events it writes, and the wish that it should end. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/job/mask.h"
#include "agent/model/event.h"

#define TASK_SPEC_BYTES_MAX (32 * 1024 * 1024)
#define TASK_SECRETS_BYTES_MAX (8 * 1024 * 1024)

/** Memory that a task holds to its end goes with its process; only where leaks are looked for it is given back piece by piece. */
#ifdef __SANITIZE_ADDRESS__
#define TASK_GIVES_BACK true
#else
#define TASK_GIVES_BACK false
#endif

typedef struct Task {
	char *folder;
	int folder_fd;
	json_t *spec;     /* job.json */
	json_t *secrets;  /* object: name → value */
	json_t *environment_secrets; /* of a called job: those of its environment alone */
	char *token;      /* for the forge, or NULL */
	char *ssh_key;    /* likewise, a private key's text */
	char *known_hosts; /* of its server: lines */
	Mask *mask;
	int events_fd;
	GString *held;    /* events that are not on the disk yet; NULL when there are none */
	int64_t held_until_us; /* then they go there, by monotonic_us() */
	int signal_fd;    /* readable when SIGTERM or SIGINT has come */
	bool cancelled;
} Task;

/**
 * Works off the task in a folder, from its first event to its last.
 *
 * @secrets_fd   a file with the secrets (docs/formats.md), or -1
 * Returns       the exit status: 0 when the last event could be written, whatever it says
 */
int task_main(const char *folder, int secrets_fd);

/** Appends an event in one write; takes it. Free text in it is masked. false when the disk refused or it is too long. */
bool task_emit(Task *task, json_t *event, GError **error);
/**
 * Likewise, for progress that nobody waits for: it may stay in memory for TASK_HOLD_US, and goes to the disk with the next
 * event that may not, in its order. Whoever is about to do something long calls task_flush() first.
 */
#define TASK_HOLD_US 10000
bool task_emit_later(Task *task, json_t *event, GError **error);
/** Writes what is held, if anything is. */
bool task_flush(Task *task, GError **error);
/** A new event of now. */
json_t *task_event(EventType type);
/** Looks, without waiting, whether the task should end. */
bool task_is_cancelled(Task *task);
/** "acme/digits" and the like, from the task's repo; never NULL. */
const char *task_repo_name(const Task *task);
const json_t *task_repo(const Task *task);
/** The token that the job's own steps may have; NULL for a stranger's run, which is only fetched with it. */
const char *task_job_token(const Task *task);

/** How a task ends: the fields of its last event. */
typedef struct TaskEnd {
	const char *status; /* static */
	const char *cause;  /* static, or NULL */
	char *message;
} TaskEnd;
/** Sets a failure; takes message. */
void task_end_fail(TaskEnd *end, const char *cause, char *message);
/** The cause that fits an error: disk, invalid, cancelled, or `otherwise`. */
const char *task_cause_of(const Task *task, const GError *error, const char *otherwise);
