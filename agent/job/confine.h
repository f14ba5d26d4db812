/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker itself gives up, in order, before it reads a stranger's byte. */
#pragma once

#include <stdbool.h>

/** At the start of every task: no core files, new files for nobody else. */
void confine_begin(void);
/**
 * Before the first foreign byte is read: nobody of the same user may look into this process (it holds secrets), and,
 * unless the steps' executor depends on set-user-ID programs, neither it nor what it starts can gain rights.
 */
void confine_before_strangers(bool keep_privileges);
/**
 * For a process that serves the job's own clients: no capabilities, no programs, no sockets, no other processes; the
 * file system is what is listed. What the kernel does not know is left out.
 *
 * @readable   a folder that may be read
 * @writable   NULL-terminated folders that may be written; absent ones are left out
 */
void confine_service(const char *readable, const char *const *writable);
