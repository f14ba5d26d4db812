/* SPDX-License-Identifier: Apache-2.0 */
/* A control group for one place: memory, processes and CPU time, in cgroup v2 or v1, where the host lets us. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define CGROUP_FOLDERS_MAX 3

typedef struct CgroupLimits {
	int64_t memory_bytes; /* 0: none; likewise below */
	int64_t processes;
	double cpus;
} CgroupLimits;

/** What one place has; all zero is "none". */
typedef struct Cgroup {
	char *folders[CGROUP_FOLDERS_MAX]; /* absolute; one for v2, one a controller for v1 */
	int procs_fds[CGROUP_FOLDERS_MAX]; /* writing "0" moves the writer in */
	int folders_len;
	char *memory; /* the folder of the memory controller, or NULL */
	char *events; /* the file with the oom_kill count */
	bool has_memory, has_processes, has_cpus;
} Cgroup;

/** Makes groups for as many of the limits as this host lets us; what it got is in has_…. Never fails. */
void cgroup_make(const CgroupLimits *limits, Cgroup *out);
/** Moves the calling process in; async-signal-safe. */
bool cgroup_join(const Cgroup *group);
/** How often the kernel has killed a process of the group for want of memory; 0 where unknown. */
int64_t cgroup_oom_count(const Cgroup *group);
/** The most memory the group used at once since the last call, where the kernel can forget; -1 where unknown. */
int64_t cgroup_memory_peak(const Cgroup *group);
/** Removes the groups; all of their processes must have ended. */
void cgroup_remove(Cgroup *group);

/** Which controllers a place could use here: "memory, pids"; NULL when none. The caller's. */
char *cgroup_describe(int *out_version);
