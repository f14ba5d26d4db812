/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of Dockerfiles, for actions that bring no other. What is built knows the job's limits, trust and kind of network,
 * and nothing else of it: no secret, no workspace, no service. What was built is kept under a key of all that made it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/job/job.h"

typedef struct BuildSource {
	const char *uses;   /* as the step names the action */
	const char *work;   /* the action's folder, below the job's work folder */
	const char *inside; /* as steps see it */
	const char *image;  /* `runs.image`: "Dockerfile", "docker/Dockerfile" */
} BuildSource;

/** Is it the path of a Dockerfile below the action's folder? USER when it is not. */
bool build_check(const char *uses, const char *image, GError **error);

/**
 * Makes the image, as far as it is not kept; its output goes to the job's log.
 *
 * @out_key   of the image (PlaceImage.made); the caller's
 * Returns    false: USER when the Dockerfile is wrong or a command of it fails, BUSY when the job was ended meanwhile
 */
bool build_image(Job *job, const BuildSource *source, char **out_key, GError **error);
/** Is it still there? */
bool build_is_kept(const Job *job, const char *key);
