/* SPDX-License-Identifier: Apache-2.0 */
/* How the agent's files wait in GLib's loop for what they are told often: without making the loop wake itself. */
#pragma once

#include <glib-unix.h>
#include <stdint.h>

/** A source on a descriptor, as of g_unix_fd_add_full(): its id, for g_source_remove(). */
guint loop_add_fd(int priority, int fd, GIOCondition condition, GUnixFDSourceFunc callback, void *data);
