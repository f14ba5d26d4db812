/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes network namespaces beforehand, since one costs as much as all else of a place. The pool is nothing but the
 * queue of a socket: each message carries one descriptor, whoever reads it has it alone, and the socket's buffer is the
 * pool's size. So there is nothing to count, and nothing to repair when somebody is killed.
 */
#include "executors/init_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "executors/init_sys.h"

#define OWN_NETWORK "/proc/self/ns/net"
#define AT_ONCE 3 /* made whenever the kernel says that the queue has run low */

static int pool_fd;
static long home_fd;

InitReply init_pool_begin(const InitPool *setup, const int *fds, int fds_len)
{
	InitReply failed = {.stage = INIT_STAGE_USER_NAMESPACE};
	long got = fds_len == (setup->enter ? 2 : 1) ? 0 : -EPROTO;
	if (got == 0)
		got = SYS(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (got >= 0 && setup->enter) {
		got = SYS(__NR_setns, fds[1], CLONE_NEWUSER);
		SYS(__NR_close, fds[1]);
		if (got >= 0) {
			failed.stage = INIT_STAGE_NETWORK;
			got = SYS(__NR_unshare, CLONE_NEWNET);
		}
	}
	if (got >= 0)
		got = home_fd = SYS(__NR_openat, AT_FDCWD, OWN_NETWORK, O_RDONLY | O_CLOEXEC);
	if (got < 0) {
		failed.error = (int)-got;
		return failed;
	}
	pool_fd = fds[0];
	return (InitReply){0};
}

static long send_one(void)
{
	long made = SYS(__NR_unshare, CLONE_NEWNET);
	if (made < 0)
		return made;
	made = SYS(__NR_openat, AT_FDCWD, OWN_NETWORK, O_RDONLY | O_CLOEXEC);
	if (made < 0)
		return made;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = {0};
	char nothing = 0;
	struct iovec part = {&nothing, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = sizeof control};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	*(int *)(void *)CMSG_DATA(head) = (int)made;
	long sent = SYS(__NR_sendmsg, pool_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	SYS(__NR_close, made);
	return sent;
}

/* Closes what workers would wait for if they did. False when those who could send are gone. */
static bool take_away(void)
{
	union {
		char bytes[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr aligned;
	} control;
	char nothing[8];
	struct iovec part = {nothing, sizeof nothing};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = sizeof control};
	if (SYS(__NR_recvmsg, INIT_CONTROL_FD, &message, MSG_CMSG_CLOEXEC) <= 0)
		return false;
	const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return true;
	int count = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (int i = 0; i < count; i++)
		SYS(__NR_close, ((const int *)(const void *)CMSG_DATA(head))[i]);
	return true;
}

void init_pool_serve(void)
{
	struct pollfd wait[2] = {{.fd = INIT_CONTROL_FD, .events = POLLIN}, {.fd = pool_fd, .events = POLLOUT}};
	for (;;) {
		long got = SYS(__NR_ppoll, wait, 2, NULL, NULL, 0);
		if (got == -EINTR)
			continue;
		if (got < 0 || (wait[1].revents & (POLLHUP | POLLERR)))
			break;
		if (wait[0].revents) {
			if (!take_away())
				break;
			continue;
		}
		for (int i = 0; got > 0 && i < AT_ONCE; i++)
			got = send_one();
		if (got < 0 && got != -EAGAIN)
			break; /* the kernel has no more: places make their own, and say what it said */
		SYS(__NR_setns, home_fd, CLONE_NEWNET); /* the last one made is not ours to keep */
	}
	SYS(__NR_exit_group, 0);
	__builtin_unreachable();
}
