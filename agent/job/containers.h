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

/** The same for a place that containers_open_place() made; the caller's. */
json_t *containers_place_env(const Place *place);
/** Whose network a further place joins to be in the job's; NULL: nobody's. */
const Place *containers_network(const Job *job);

/** What a place of an image is made from; the rest is as the job's own. */
typedef struct ContainerSpec {
	const char *image;
	const char *made;             /* PlaceImage.made, instead of an image's name; NULL: the name */
	const char *username;
	const char *password;
	const char *name;             /* of the folder for its changes, unique in the job */
	const struct ContainerOptions *options; /* NULL: none */
	GPtrArray *volumes;           /* char *, or NULL */
	const char *work_folder;      /* on the host */
	const char *work_below;       /* the part of it that is seen; NULL: all */
	const char *work_inside;
	bool runner_service;          /* PlaceSpec.service */
	bool shares_network;
	const Place *network_of;
} ContainerSpec;
/** Opens one; the caller closes it by the executor `container`. */
bool containers_open_place(Job *job, const ContainerSpec *spec, Place **out, GError **error);
