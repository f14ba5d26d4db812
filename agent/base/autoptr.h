/* SPDX-License-Identifier: Apache-2.0 */
/* g_autoptr for types of others that more than one file uses, and autofd. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <unistd.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

static inline void autofd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/** `autofd int fd = open(…);` closes fd at the end of the scope. */
#define autofd __attribute__((cleanup(autofd_close)))

/** Takes the descriptor out of an autofd variable. */
static inline int fd_steal(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}
