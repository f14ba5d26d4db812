/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service that runs beside a job: one program in a place of its own, started before the first step and ended with the
 * job. What it prints goes into a short memory, and into the job's log only when something fails.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/executor.h"
#include "agent/job/job.h"
#include "agent/model/container.h"

typedef struct Neighbour {
	char *id;
	const Executor *executor; /* of its place */
	Place *place;
	Child child;
	bool running;
	int exit_code;     /* once it has ended */
	int epoll_fd;      /* the job's for what is printed; not its own */
	int pipe_fd;
	GString *printed;  /* the last of it */
	json_t *ports;     /* {"5432":"5432"} */
	ContainerOptions options;
	char **env;        /* of its commands, since it was started */
} Neighbour;

/** Without a place yet. */
Neighbour *neighbour_new(const char *id, const Executor *executor, int epoll_fd);
/** Its place was closed before. */
void neighbour_free(Neighbour *service);
/** Starts its program: `entrypoint`, `command` and `env` of what the workflow asked for, otherwise the image's. */
bool neighbour_start(Neighbour *service, const json_t *asked, GError **error);
/** Waits until it is healthy, or has lived a moment where nothing can be asked. False also when the job is to end. */
bool neighbour_wait_ready(Job *job, Neighbour *service, GError **error);
/** Has it ended by itself? */
bool neighbour_has_ended(Neighbour *service);
/** Reads what it printed. */
void neighbour_drain(Neighbour *service);
/** Writes the last of what it printed into the job's log. */
void neighbour_print(Job *job, const Neighbour *service);
