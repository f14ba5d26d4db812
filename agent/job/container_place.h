/* SPDX-License-Identifier: Apache-2.0 */
/* A place that is made from an image: the job's own container, a service, a container action. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/executor.h"
#include "agent/job/job.h"
#include "agent/model/container.h"

/** What a place of an image is made from; the rest is as the job's own. */
typedef struct ContainerSpec {
	const char *image;
	const char *made;             /* PlaceImage.made, instead of an image's name; NULL: the name */
	const char *username;
	const char *password;
	const char *name;             /* of the folder for its changes, unique in the job */
	const ContainerOptions *options; /* NULL: none */
	GPtrArray *volumes;           /* char *, or NULL */
	const char *work_folder;      /* on the host */
	const char *work_below;       /* the part of it that is seen; NULL: all */
	const char *work_inside;
	bool runner_service;          /* PlaceSpec.service */
	bool shares_network;
	const Place *network_of;
	const char *hosts;            /* lines for /etc/hosts, before those of the options */
} ContainerSpec;

/** Opens one; the caller closes it by the executor `container`. Brings the image first where it is not here yet. */
bool container_place_open(Job *job, const ContainerSpec *spec, Place **out, GError **error);
/** The environment of each command in such a place, with the workflow's @env and the @options, both or NULL; the caller's. */
json_t *container_place_env(const Place *place, const json_t *env, const ContainerOptions *options);
/** The job's network, as one that has neighbours needs it: with a loopback at least. */
PlaceNetwork container_place_network(const Job *job, bool wants_neighbours);
