/* SPDX-License-Identifier: Apache-2.0 */
/* A control group for one place: memory, processes and CPU time, in cgroup v2 or v1, where the host lets us. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/executor.h"

#define CGROUP_FOLDERS_MAX 3
#define CGROUP_PREFIX "assay-"              /* of a place's group: the worker's pid follows, "-" and a number */
#define CGROUP_READY CGROUP_PREFIX "ready-" /* of one that waits for a place: the pid of whoever made it */

typedef struct CgroupLimits {
	int64_t memory_bytes; /* 0: none; likewise below */
	int64_t processes;
	bool processes_are_counted; /* by somebody else too: the limit is not worth a group of its own */
	double cpus;
	int64_t read_bytes_s;  /* of the disk that io_folder is on */
	int64_t write_bytes_s;
	const char *io_folder;
} CgroupLimits;

/** What one place has; cgroup_init() makes it "none". */
typedef struct Cgroup {
	char *folders[CGROUP_FOLDERS_MAX]; /* absolute; one for v2, one a controller for v1 */
	int doors[CGROUP_FOLDERS_MAX];     /* writing "0" moves the writer in */
	int folders_len;
	int events_fd;   /* the file with the oom_kill count; likewise -1 where there is none */
	int refusals_fd; /* the file that counts processes refused */
	int peak_fd;     /* the most memory that was used at once */
	int usage_fd;    /* the memory that is used, of version 1 */
	bool peak_can_be_reset;
	bool has_memory, has_processes, has_cpus, has_io;
	const char *io_lacks; /* why it has no limit of disks, where one was asked for: a part of a sentence, static */
	int memory_at; /* which folder is version 1's of memory; -1: none */
} Cgroup;

/** What a group has counted. */
typedef struct CgroupCounts {
	int64_t oom;
	int64_t refusals;
} CgroupCounts;

void cgroup_init(Cgroup *group);
/** Looks where groups can be made. Not needed: but a process that does saves its clones the trouble. */
void cgroup_look(void);
/** The same for a process that waits: it makes groups ready for the clones that are born to it (cgroup_memory.h). */
void cgroup_prepare(void);
/** Removes the groups of a worker that has ended. False when one is still there: its last processes end after it. */
bool cgroup_tidy(pid_t gone);
/**
 * Marks a group as used for as long as its door is open, also to agents of other process namespaces.
 *
 * @door     a descriptor of the group's file that lists who is in it
 * Returns   false when the group has gone, or just goes
 */
bool cgroup_hold(int door, const char *folder);
/** Makes groups for as many of the limits as this host lets us; what it got is in has_…. Never fails. */
void cgroup_make(const CgroupLimits *limits, Cgroup *out);
/** Moves the calling process in; async-signal-safe. */
bool cgroup_join(const Cgroup *group);
/**
 * Corrects a step's end by what the group knows: the most memory it used at once, and that it failed after the kernel
 * had to kill one of its processes for want of memory, or refused it another process.
 *
 * @known   what has been accounted for; starts at 0
 */
void cgroup_judge(const Cgroup *group, CgroupCounts *known, StepEnd *end);
/** Removes the groups; all of their processes must have ended. */
void cgroup_remove(Cgroup *group);

/** Which controllers a place could use here: "memory, pids"; NULL when none. The caller's. */
char *cgroup_describe(int *out_version);
