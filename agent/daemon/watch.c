/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One inotify descriptor for every file the agent follows. Two users of one path share the kernel's watch, so the
 * callbacks hang on the watch descriptor in a list.
 */
#include "agent/daemon/watch.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/daemon/loop.h"

typedef struct Watcher {
	unsigned id;
	int descriptor;
	WatchGrew grew;
	void *data;
} Watcher;

static int inotify_fd = -1;
static GPtrArray *watchers;
static unsigned last_id;

static bool is_used(int descriptor)
{
	for (guint i = 0; i < watchers->len; i++)
		if (((Watcher *)g_ptr_array_index(watchers, i))->descriptor == descriptor)
			return true;
	return false;
}

static void tell(int descriptor)
{
	/* A callback may remove any watcher or add one: so the ids are taken first and looked up again. */
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(unsigned));
	for (guint i = 0; i < watchers->len; i++) {
		const Watcher *watcher = g_ptr_array_index(watchers, i);
		if (watcher->descriptor == descriptor)
			g_array_append_val(ids, watcher->id);
	}
	for (guint k = 0; k < ids->len; k++)
		for (guint i = 0; i < watchers->len; i++) {
			const Watcher *watcher = g_ptr_array_index(watchers, i);
			if (watcher->id == g_array_index(ids, unsigned, k)) {
				watcher->grew(watcher->data);
				break;
			}
		}
}

static gboolean on_inotify(gint fd, GIOCondition condition, gpointer data)
{
	(void)condition;
	(void)data;
	_Alignas(struct inotify_event) char buffer[16 * 1024];
	ssize_t len = read(fd, buffer, sizeof buffer);
	for (char *at = buffer; len > 0 && at < buffer + len;) {
		const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
		at += sizeof *event + event->len;
		if (event->mask & IN_Q_OVERFLOW) {
			for (guint i = 0; i < watchers->len; i++)
				tell(((Watcher *)g_ptr_array_index(watchers, i))->descriptor);
			break;
		}
		tell(event->wd);
	}
	return G_SOURCE_CONTINUE;
}

unsigned watch_add(const char *path, WatchGrew grew, void *data, GError **error)
{
	if (inotify_fd < 0) {
		inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (inotify_fd < 0) {
			fail_errno(error, errno, "cannot watch files; raise fs.inotify.max_user_instances");
			return 0;
		}
		watchers = g_ptr_array_new_with_free_func(g_free);
		loop_add_fd(G_PRIORITY_DEFAULT, inotify_fd, G_IO_IN, on_inotify, NULL);
	}
	int descriptor = inotify_add_watch(inotify_fd, path, IN_MODIFY);
	if (descriptor < 0) {
		fail_errno(error, errno, "cannot watch %s; raise fs.inotify.max_user_watches", path);
		return 0;
	}
	Watcher *watcher = g_new(Watcher, 1);
	*watcher = (Watcher){.id = ++last_id, .descriptor = descriptor, .grew = grew, .data = data};
	g_ptr_array_add(watchers, watcher);
	return watcher->id;
}

void watch_remove(unsigned id)
{
	for (guint i = 0; watchers && i < watchers->len; i++) {
		const Watcher *watcher = g_ptr_array_index(watchers, i);
		if (watcher->id != id)
			continue;
		int descriptor = watcher->descriptor;
		g_ptr_array_remove_index_fast(watchers, i);
		if (!is_used(descriptor))
			inotify_rm_watch(inotify_fd, descriptor);
		return;
	}
}
