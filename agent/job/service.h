/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner's service: artifacts and caches for the clients inside of a job, by the protocols of GitHub's own. A socket
 * on the job's loopback; who connects is served by a process of its own, which ends with the job.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/job/job.h"

typedef struct Service Service;

/** Takes the socket of the job's place, or makes one on this machine's loopback where the job shares its network. */
Service *service_open(Job *job, GError **error);
/** Ends all connections. Accepts NULL. */
void service_close(Service *service);
/** Readable when somebody connects; -1 while there are as many as may be. */
int service_fd(Service *service);
/** Lets one in. Call it when service_fd() is readable. */
void service_accept(Job *job);
/** ACTIONS_RUNTIME_TOKEN, ACTIONS_RESULTS_URL and the like. */
void service_set_variables(const Service *service, json_t *env);
