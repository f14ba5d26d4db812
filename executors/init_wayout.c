/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a place that has a way out belongs to a user namespace in which nothing lives but the program that
 * carries its packets: so that program needs no rights on the host, and a job has none over its network. As root it is
 * nobody's; as an ordinary user it is the agent's own, below the user namespace that the places are made in.
 *
 * The program must itself stay in the host's network, so the new one is made by a child that ends at once.
 */
#include "executors/init_wayout.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "executors/init_confine.h"
#include "executors/init_sys.h"

#define OWN_NETWORK "/proc/self/ns/net"
#define TUN_FOLDER "/dev/net"
#define TUN_NODE "/dev/net/tun"
#define TUN_DEVICE ((10 << 8) | 200)
#define ARGUMENTS_MAX 64
#define CHILD_STACK_BYTES 8192

typedef struct Network {
	long network_fd;
	long routes_fd;
} Network;

static char stack[CHILD_STACK_BYTES] __attribute__((aligned(16)));

static long write_text(const char *path, const char *text)
{
	long fd = SYS(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	long wrote = SYS(__NR_write, fd, text, text_len(text));
	SYS(__NR_close, fd);
	return wrote < 0 ? wrote : 0;
}

/* "0 ID 1": it is root of a namespace that has nobody else, so what it executes keeps its rights there. */
static long map_root(const char *path, uint32_t outer)
{
	char text[64];
	char *at = text_copy(text, "0 ");
	at = text_number(at, outer);
	text_copy(at, " 1\n");
	return write_text(path, text);
}

/* In mounts of our own, on a file system of the agent's root: on the host nothing changes. */
static long make_tun(void)
{
	long got = SYS(__NR_unshare, CLONE_NEWNS);
	if (got >= 0)
		got = SYS(__NR_mount, "none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (got >= 0)
		got = SYS(__NR_mount, "tun", TUN_FOLDER, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=4k");
	if (got >= 0)
		got = SYS(__NR_mknodat, AT_FDCWD, TUN_NODE, S_IFCHR | 0666, TUN_DEVICE);
	return got < 0 ? got : SYS(__NR_fchmodat, AT_FDCWD, TUN_NODE, 0666);
}

static int network_main(void *data)
{
	Network *network = data;
	network->network_fd = SYS(__NR_openat, AT_FDCWD, OWN_NETWORK, O_RDONLY | O_CLOEXEC);
	network->routes_fd = SYS(__NR_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	return 0;
}

static long make_network(Network *out)
{
	long pid = init_clone(CLONE_NEWNET | CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, stack + sizeof stack, network_main,
	        out);
	if (pid < 0)
		return pid;
	SYS(__NR_wait4, pid, NULL, 0, NULL);
	return out->network_fd < 0 ? out->network_fd : out->routes_fd < 0 ? out->routes_fd : 0;
}

static long send_packet(const void *bytes, size_t len, const int *fds, size_t fds_len)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr aligned;
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)bytes, len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (fds_len > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fds_len * sizeof(int));
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fds_len * sizeof(int));
		for (size_t i = 0; i < fds_len; i++)
			((int *)(void *)CMSG_DATA(head))[i] = fds[i];
	}
	return SYS(__NR_sendmsg, INIT_CONTROL_FD, &message, MSG_NOSIGNAL);
}

/* Splits the strings behind the packet into an argument vector; false when they are not what its head says. */
static bool read_arguments(const InitWayOut *setup, size_t packet_len, const char **out)
{
	const char *at = (const char *)(setup + 1);
	const char *end = at + setup->strings_bytes;
	if (packet_len != sizeof *setup + setup->strings_bytes || setup->strings < 2 || setup->strings >= ARGUMENTS_MAX ||
	        setup->strings_bytes == 0 || end[-1] != '\0')
		return false;
	for (uint32_t i = 0; i < setup->strings; i++) {
		if (at >= end)
			return false;
		*out++ = at;
		at += text_len(at) + 1;
	}
	*out = NULL;
	return at == end;
}

/* From here on the worker hears of a failure only that the program is not there. */
static void become_program(const char *const *arguments, const Network *network, const int *fds)
{
	const uint64_t no_signals = 0;
	static const char *const environment[] = {NULL};
	SYS(__NR_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof no_signals);
	if (SYS(__NR_dup3, network->network_fd, 0, 0) < 0 || SYS(__NR_dup3, fds[0], 1, 0) < 0 || SYS(__NR_dup3, fds[1], 2, 0) < 0)
		return;
	SYS(__NR_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
	SYS(__NR_execve, arguments[0], arguments + 1, environment);
}

InitReply init_wayout(const InitWayOut *setup, size_t packet_len, const int *fds, int fds_len)
{
	const char *arguments[ARGUMENTS_MAX + 1];
	InitReply failed = {.stage = INIT_STAGE_PACKET};
	Network network = {-1, -1};
	long got = read_arguments(setup, packet_len, arguments) && fds_len == (setup->enter ? 3 : 2) ? 0 : -EPROTO;
#define TRY(call, at)                      \
	do {                               \
		failed.stage = (at);       \
		if (got >= 0)              \
			got = (call);      \
	} while (0)
	if (got >= 0 && setup->make_tun)
		TRY(make_tun(), INIT_STAGE_TUN);
	if (got >= 0 && setup->become)
		TRY(init_become(setup->outer_uid, setup->outer_gid), INIT_STAGE_IDS);
	if (got >= 0 && setup->enter)
		TRY(SYS(__NR_setns, fds[2], CLONE_NEWUSER), INIT_STAGE_USER_NAMESPACE);
	if (got >= 0) {
		TRY(SYS(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0), INIT_STAGE_IDS); /* to write our own maps */
		TRY(SYS(__NR_unshare, CLONE_NEWUSER), INIT_STAGE_USER_NAMESPACE);
		TRY(write_text("/proc/self/setgroups", "deny"), INIT_STAGE_ID_MAP);
		TRY(map_root("/proc/self/uid_map", setup->outer_uid), INIT_STAGE_ID_MAP);
		TRY(map_root("/proc/self/gid_map", setup->outer_gid), INIT_STAGE_ID_MAP);
		TRY(make_network(&network), INIT_STAGE_NETWORK);
		/* Last, for whoever becomes somebody else forgets it; and a worker that has gone meanwhile ends nobody. */
		TRY(SYS(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), INIT_STAGE_IDS);
		TRY((uint32_t)SYS(__NR_getppid) == setup->worker ? 0 : -ESRCH, INIT_STAGE_IDS);
	}
#undef TRY
	if (got < 0) {
		failed.error = (int)-got;
		return failed;
	}
	const InitReply good = {0};
	const int made[2] = {(int)network.network_fd, (int)network.routes_fd};
	char nothing = 0;
	if (send_packet(&good, sizeof good, NULL, 0) >= 0 && send_packet(&nothing, 1, made, 2) >= 0)
		become_program(arguments, &network, fds);
	SYS(__NR_exit_group, 127);
	__builtin_unreachable();
}
