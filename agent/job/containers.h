/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `container` and `services` of a job: images brought here, services started and waited for before the first step, ended
 * with the job. Each has a place of its own; all share the job's network.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/executor.h"
#include "agent/job/job.h"

typedef struct Containers Containers;

/** Does the job ask for a container of its own? */
bool containers_has_job(const Job *job);
/** Does it ask for a container or for services? */
bool containers_are_asked(const Job *job);

/**
 * Starts the services and waits until they are ready, then opens the job's place: an image where `container` says so,
 * otherwise spec as it is, in the services' network.
 *
 * @spec   what the place would be without all this; its executor is job->executor
 */
bool containers_open(Job *job, const PlaceSpec *spec, GError **error);
/** Reads what services print; called when job's printed_fd is readable. */
void containers_drain(Job *job);
/** What services printed last, when the job has failed; ends them all. Before the job's own place is closed. */
void containers_close(Job *job);
/** `job.container` and `job.services` of the contexts. */
void containers_fill_contexts(Job *job, json_t *job_context);
/** The environment that the image and the workflow give to each command in the place, lowest first; NULL: none. */
const json_t *containers_env(const Job *job);

/** Whose network a further place joins to be in the job's; NULL: nobody's. */
const Place *containers_network(const Job *job);
/** The lines that its services add to /etc/hosts, the job's; empty without services. */
const char *containers_hosts(const Job *job);
