/* SPDX-License-Identifier: Apache-2.0 */
/* What of the machine and of the job a container sees: volumes and devices. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/job/job.h"
#include "agent/model/container.h"

#define CONTAINER_WORK_INSIDE "/__w" /* the job's work folder, as its containers see it */

/**
 * Adds the mount that a volume's text asks for, as [source:]target[:ro].
 *
 * @mounts  of PlaceMount; its texts are kept in @texts, which frees them
 */
bool container_view_add_volume(Job *job, const char *text, GArray *mounts, GPtrArray *texts, GError **error);
/** Does this agent give its jobs each device that the options ask for? An error names the first that it does not. */
bool container_view_check_devices(const Job *job, const ContainerOptions *options, GError **error);
