/* SPDX-License-Identifier: Apache-2.0 */
/* What steps used, as bars beside their numbers: time of processors, memory, the disk, energy. */
#pragma once

#include <glib.h>
#include <jansson.h>

/** A section "Usage" with a row for each step of a job in full; nothing while none is known. */
void usage_of_job(GString *out, const json_t *job);
/** The same with a row for each job. */
void usage_of_run(GString *out, const json_t *run);
