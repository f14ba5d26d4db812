/* SPDX-License-Identifier: Apache-2.0 */
/* What lies between two commits: for the page of a gate, "what changed since the release". */
#pragma once

#include <jansson.h>

#include "agent/job/task.h"

#define HISTORY_COMMITS_MAX 50

/**
 * For each of the older commits, the commits that are in `sha` and not in it, newest first, at most
 * HISTORY_COMMITS_MAX: {"<older>":[{"sha","title","author"}]}. A commit that the mirror does not have is left out.
 *
 * @since   array of hex ids
 */
json_t *history_since(Task *task, const json_t *since, const char *sha);
