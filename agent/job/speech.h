/* SPDX-License-Identifier: Apache-2.0 */
/* What a step said (commands.h reads it) takes effect: annotations, masks, outputs, environment, summary. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/job/job.h"

/** A `::` line; a JobLogCommand whose data is the job. */
bool speech_command(void *data, const char *line, size_t len);
