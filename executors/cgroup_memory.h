/* SPDX-License-Identifier: Apache-2.0 */
/* Memory groups of version 1, some of which are used again for the places of a process and its clones. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "executors/cgroup.h"

/** Makes some ready, to be shared with the clones of this process. Never fails: without them, places make their own. */
void cgroup_memory_prepare(const char *base);
/** In the process that made them: removes those that are ready. */
void cgroup_memory_retire(void);
/** Adds one that is ready to a place's groups, with its limit and what counts in it. False when there is none. */
bool cgroup_memory_take(const char *base, int64_t limit_bytes, Cgroup *group);
/** Does the same with a new one, of which `group` has the folder and nothing else yet. */
void cgroup_memory_begin(const char *folder, int64_t limit_bytes, Cgroup *group);
/** Keeps the one of a place, whose processes have all ended, for another. False: it is to be removed. */
bool cgroup_memory_keep(const Cgroup *group);
