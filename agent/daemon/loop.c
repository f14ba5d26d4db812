/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/daemon/loop.h"

guint loop_add_fd(int priority, int fd, GIOCondition condition, GUnixFDSourceFunc callback, void *data)
{
	GSource *source = g_unix_fd_source_new(fd, condition);
	g_source_set_priority(source, priority);
	g_source_set_callback(source, G_SOURCE_FUNC(callback), data, NULL);
	/*
	 * Nothing here turns the loop again. Told so, GLib does not take the descriptor out and in for each dispatch, for both of
	 * which it writes to itself and then turns once more for nothing.
	 */
	g_source_set_can_recurse(source, TRUE);
	guint id = g_source_attach(source, NULL);
	g_source_unref(source);
	return id;
}
