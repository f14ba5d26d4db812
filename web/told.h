/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of some jobs told: annotations, each with the line of the log where it was said, and summaries. */
#pragma once

#include "web/frame.h"

/** A section "Annotations" of jobs in full; nothing when there is none. */
void told_annotations(GString *out, const json_t *run, const json_t *jobs);
/** A section "Summaries"; each may have "html" beside its "markdown". */
void told_summaries(GString *out, const json_t *run, const json_t *jobs);
