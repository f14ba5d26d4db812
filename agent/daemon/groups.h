/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's place in the control groups of version 2 that a service manager delegates to it. A group that hands controllers
 * down may hold no process, so the agent moves into a leaf of its own; the groups of jobs (executors/cgroup.c) stand beside that.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define GROUPS_LEAF "agent"

/** Where the calling process is, absolute; the caller's. NULL without version 2. */
char *groups_own_folder(void);

/**
 * Moves the calling process into the leaf and hands the controllers down. Does nothing in a group that is not delegated, or
 * that has other processes too: it is not the agent's alone.
 *
 * @own       its group; when that is the leaf already (DelegateSubgroup=agent), the group above hands down
 * @pid       its own number, as cgroup.procs shows it
 * @kept      a file of groups_make_way(), whose limits are written again; may be NULL or absent. It is there afterwards, empty, when
 *            the process moved by itself
 * @out_why   static; why not, when NULL is returned
 * Returns    what is handed down, "memory pids cpu io"; the caller's
 */
char *groups_enter(const char *own, pid_t pid, const char *kept, const char **out_why);

/**
 * Takes the controllers back, so that a manager older than systemd 254 can put the next agent into the group above while jobs
 * of the last one still run. Their limits are written to a file, and hold again once groups_enter() has read it.
 * Does nothing where the last agent was put into its leaf by its manager.
 *
 * @own   the group of a process that runs after the agent: systemd's .control, beside the leaf
 */
bool groups_make_way(const char *own, const char *kept);
