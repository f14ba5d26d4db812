/* SPDX-License-Identifier: Apache-2.0 */
/* Files that grow: one inotify descriptor for all of them, as a GSource. No polling, no wake-up while idle. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef void (*WatchGrew)(void *data);

/** Calls `grew` after the file was written to. The file must be there. 0 on error, else an id. */
unsigned watch_add(const char *path, WatchGrew grew, void *data, GError **error);
void watch_remove(unsigned id);
