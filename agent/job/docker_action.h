/* SPDX-License-Identifier: Apache-2.0 */
/* A docker action: one program in a place of its own, made from an image, with the job's workspace before it. */
#pragma once

#include <stdbool.h>

#include "agent/job/job.h"

typedef struct DockerAction {
	const char *name;             /* for messages */
	const char *image;            /* "alpine:3.20", with docker:// before it or not */
	const char *made;             /* instead: the key of an image that was made of a Dockerfile; NULL: it was not */
	const char *entrypoint;       /* NULL: the image's, with its command where there are no args */
	const char *const *args;      /* NULL: none are given */
	const char *const *extra_env; /* "INPUT_WHO=you" and so on; NULL: none */
} DockerAction;

/**
 * Brings the image, opens the place (/github/workspace, /github/home, /github/workflow), runs the program to its end and
 * closes it: commands, environment files and outputs are the step's, as of any other.
 */
void docker_action_run(Job *job, const DockerAction *action, StepResult *out);
/** The cause that fits an error of bringing or making its image. Static. */
const char *docker_action_cause(const Job *job, const GError *error);
