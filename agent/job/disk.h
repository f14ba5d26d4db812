/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job's folders hold on the disk, looked at while its steps run. No quota is asked of the file system: that
 * needs root and the right one. So a job can pass its limit by what it writes until the next look, and is ended then; and
 * whatever its limit, the one that holds much is ended before the disk is full for everybody.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define DISK_LOOK_US G_GINT64_CONSTANT(1000000)

typedef struct DiskWatch {
	int64_t next_us; /* when it is worth looking again; monotonic */
} DiskWatch;

/** What a job's folders take, counted as the file system counts; stops at either limit (0: none). */
typedef struct DiskUse {
	int64_t bytes;
	int64_t files;
} DiskUse;

/** Adds up everything below a folder, following no link. Folders that nobody can open count as themselves. */
DiskUse disk_measure(int folder_fd, int64_t bytes_max, int64_t files_max);

/** Who is asked where folders are shut to us: measures in a process that may open them. false: it cannot. */
void disk_set_other(bool (*measure)(int folder_fd, int64_t bytes_max, int64_t files_max, DiskUse *out));

/**
 * Looks, if it is time to: at most a twentieth of the time is spent on it.
 *
 * @folder_fd   the job's folder
 * @limit_bytes of the job; 0: none
 * Returns      NULL, or the sentence that says why the job must end; the caller's
 */
char *disk_look(DiskWatch *watch, int folder_fd, int64_t limit_bytes, int64_t now_us);
