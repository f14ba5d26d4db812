/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool is the queue of a socket pair whose both ends a process hands on to its clones: to take is to receive, and
 * the kernel gives each message to one receiver. The keeper (init_pool.c) is told by the socket itself when it runs low.
 */
#include "executors/netpool.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"

void netpool_init(NetPool *pool)
{
	supervisor_init(&pool->keeper);
	pool->take_fd = pool->give_fd = -1;
}

bool netpool_open(NetPool *pool, int user_fd, GError **error)
{
	int ends[2];
	netpool_init(pool);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return fail_errno(error, errno, "network namespaces: cannot make a socket pair");
	pool->take_fd = ends[0];
	pool->give_fd = ends[1];
	/* The least that the kernel allows: some six messages, and "runs low" at one. */
	setsockopt(pool->give_fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
	Failure failure = {0};
	const Birth birth = {.failure = &failure};
	const InitPool setup = {.kind = INIT_POOL, .enter = user_fd >= 0};
	const int fds[] = {pool->give_fd, user_fd};
	bool done = supervisor_launch(&pool->keeper, &birth) ||
	            fail_errno(error, failure.why, "%s", failure.what);
	done = done && supervisor_keep(&pool->keeper, &setup, sizeof setup, fds, setup.enter ? 2 : 1, error);
	if (done)
		return true;
	g_prefix_error(error, "network namespaces: ");
	netpool_close(pool);
	return false;
}

int netpool_take(const NetPool *pool)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control;
	char nothing;
	struct iovec part = {&nothing, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = sizeof control};
	int fd = -1;
	if (pool->take_fd < 0 || recvmsg(pool->take_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1)
		return -1;
	const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(head), sizeof fd);
	return fd;
}

void netpool_give(const NetPool *pool, int fd)
{
	autofd int owned = fd;
	if (pool->give_fd >= 0)
		(void)!supervisor_send_fds(pool->give_fd, &owned, 1); /* full: then it ends here */
}

void netpool_discard(const NetPool *pool, int fd)
{
	autofd int owned = fd;
	if (owned >= 0 && pool->keeper.control_fd >= 0)
		(void)!supervisor_send_fds(pool->keeper.control_fd, &owned, 1);
}

void netpool_close(NetPool *pool)
{
	autofd_close(&pool->take_fd);
	autofd_close(&pool->give_fd);
	autofd_close(&pool->keeper.control_fd);
	autofd_close(&pool->keeper.pidfd);
	netpool_init(pool);
}
