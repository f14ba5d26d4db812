/* SPDX-License-Identifier: Apache-2.0 */
/* actions/setup-python and actions/setup-node from what the job's place has; nothing is installed. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/job/actions.h"

extern const ActionInput setup_python_inputs[];
extern const ActionInput setup_node_inputs[];

bool setup_python(Job *job, const json_t *with, GError **error);
bool setup_node(Job *job, const json_t *with, GError **error);
