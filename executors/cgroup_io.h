/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of what a version 2 group reads from a disk and writes to it: io.max, for the one that a folder is on. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * The whole disk that a device of a file system is, or is a part of.
 *
 * @blocks   /sys/dev/block; another folder in tests
 * Returns   "254:0", the caller's; NULL when the device is none of a disk (memory, an overlay, several disks at once)
 */
char *cgroup_io_disk(const char *blocks, dev_t device);
/**
 * Limits a group.
 *
 * @group    its folder
 * @folder   whose disk is limited
 * @read     bytes in a second; 0: no limit; likewise write
 * @out_why  the part of a sentence that says why not, static
 */
bool cgroup_io_limit(const char *group, const char *folder, int64_t read, int64_t write, const char **out_why);
