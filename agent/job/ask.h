/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the agent's memory (docs/formats.md, "Asks"). */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/job/job.h"

/**
 * Asks, and waits for the answer, however long the agent is away; ends early when the job is cancelled or out of time.
 *
 * @with   borrowed; may be NULL
 * @out    the result, a new reference
 */
bool ask_agent(Job *job, const char *what, const json_t *with, json_t **out, GError **error);
