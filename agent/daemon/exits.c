/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which workers have ended: their pidfds in one epoll descriptor, which is what the loop knows. A descriptor of its own for each
 * would make the loop wake itself when it comes and when it goes, and look at all of them in each turn.
 */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/daemon/loop.h"
#include "agent/daemon/state.h"

#define ENDS_A_TURN 64

/* One by one: what an end leads to may be the end of what the next one is about. So tasks are named, not pointed to. */
static gboolean on_ends(gint fd, GIOCondition condition, gpointer data)
{
	(void)condition;
	Daemon *daemon = data;
	struct epoll_event event;
	for (int i = 0; i < ENDS_A_TURN && epoll_wait(fd, &event, 1, 0) == 1; i++) {
		int64_t task = (int64_t)event.data.u64;
		Active *active = g_hash_table_lookup(daemon->active, &task);
		if (active)
			follow_exit(active);
	}
	return G_SOURCE_CONTINUE;
}

bool exits_begin(Daemon *daemon, GError **error)
{
	daemon->exits_fd = epoll_create1(EPOLL_CLOEXEC);
	if (daemon->exits_fd < 0)
		return fail_errno(error, errno, "cannot make an epoll descriptor");
	daemon->exits_source = loop_add_fd(G_PRIORITY_DEFAULT, daemon->exits_fd, G_IO_IN, on_ends, daemon);
	return true;
}

void exits_stop(Daemon *daemon)
{
	g_clear_handle_id(&daemon->exits_source, g_source_remove);
	autofd_close(&daemon->exits_fd);
}

bool exits_watch(Active *active, int pidfd, GError **error)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)active->task->id};
	active->pidfd = pidfd;
	if (epoll_ctl(active->daemon->exits_fd, EPOLL_CTL_ADD, pidfd, &event) == 0)
		return true;
	int why = errno;
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0U); /* nobody would hear of its end */
	exits_forget(active);
	return fail_errno(error, why, "cannot wait for the end of a worker, which is killed");
}

void exits_forget(Active *active)
{
	if (active->pidfd < 0)
		return;
	/* By hand: while the process that sent it has it open too, a close alone would leave it there. */
	epoll_ctl(active->daemon->exits_fd, EPOLL_CTL_DEL, active->pidfd, NULL);
	autofd_close(&active->pidfd);
}
