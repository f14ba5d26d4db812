/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zygote: linked, idle, without a secret. A clone of it starts working a millisecond after it was asked for,
 * where exec of a program with this many libraries takes ten. It reads only what the agent sends; a task's folder is
 * first looked at by the child.
 */
#include "agent/job/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/executor.h"
#include "agent/job/git.h"
#include "agent/job/task.h"

#define MESSAGE_BYTES_MAX 8192
#define EXECUTORS_MAX 16

/* One request: its length, 0 when the agent is gone, -1 on an error. */
static ssize_t receive(int socket_fd, char *text, int *out_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 4)];
	} control;
	struct iovec part = {text, MESSAGE_BYTES_MAX};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
	        .msg_controllen = sizeof control.bytes};
	ssize_t got;
	do
		got = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	*out_fd = -1;
	for (struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL; head; head = CMSG_NXTHDR(&message, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
			if (*out_fd < 0)
				*out_fd = fd;
			else
				close(fd);
		}
	}
	return got;
}

static void answer(int socket_fd, const json_t *reply, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	g_autofree char *text = json_text(reply);
	struct iovec part = {text, strlen(text)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(head), &fd, sizeof fd);
	}
	while (sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
		continue;
}

/* Field 22 of /proc/PID/stat: with the pid it names a process for ever. */
static int64_t start_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autoptr(GBytes) bytes = fd_read_file(path, 4096, NULL);
	if (!bytes)
		return 0;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autofree char *stat = g_strndup(text, len);
	const char *at = strrchr(stat, ')'); /* behind the name, which may hold anything; field 3 follows */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? g_ascii_strtoll(at + 1, NULL, 10) : 0;
}

/* The child's life. It begins when the parent has closed its end of `gate`. */
static G_NORETURN void live(int socket_fd, int gate, const char *folder, int secrets_fd)
{
	char byte;
	while (read(gate, &byte, 1) < 0 && errno == EINTR)
		continue;
	close(gate);
	close(socket_fd);
	setsid();
	int status = task_main(folder, secrets_fd);
#ifdef __SANITIZE_ADDRESS__
	__lsan_do_leak_check(); /* what exit() would do */
#endif
	_exit(status);
}

static void serve(int socket_fd, const char *text, size_t len, int secrets_fd)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) request = json_parse(text, len, "a request to the zygote", &error);
	g_autoptr(json_t) reply = json_object();
	const char *folder = json_get_string(request, "folder", NULL);
	json_set_int(reply, "task", json_get_int(request, "task", 0));
	int gate[2] = {-1, -1};
	pid_t pid = -1;
	autofd int pidfd = -1;
	if (!request) {
		/* error says it */
	} else if (!folder) {
		fail(&error, ASSAY_ERROR_USER, "a request to the zygote names no folder");
	} else if (pipe2(gate, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		fail_errno(&error, errno, "cannot start a worker");
	} else if (pid == 0) {
		close(gate[1]);
		live(socket_fd, gate[0], folder, secrets_fd);
	} else {
		/* The child waits at the gate, so its pid is still its own. */
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);
		if (pidfd < 0) {
			fail_errno(&error, errno, "cannot follow a worker");
			kill(pid, SIGKILL);
		}
		json_set_int(reply, "pid", pid);
		json_set_int(reply, "start", start_of(pid));
	}
	if (error)
		json_set_string(reply, "error", error->message);
	answer(socket_fd, reply, pidfd);
	autofd_close(&gate[0]);
	autofd_close(&gate[1]);
}

/* Lets executors make ready, and renew, what jobs have in common; returns when there is a request, or the agent is gone. */
static void wait_for_request(int socket_fd, struct pollfd *polls, size_t count)
{
	for (;;) {
		polls[0] = (struct pollfd){.fd = socket_fd, .events = POLLIN};
		if (poll(polls, count, -1) < 0 && errno != EINTR)
			return;
		if (polls[0].revents)
			return;
		for (size_t i = 1; i < count; i++)
			if (polls[i].revents)
				polls[i].fd = executors[i - 1]->prepare();
	}
}

static size_t prepare_executors(struct pollfd polls[EXECUTORS_MAX + 1])
{
	size_t count = 0;
	for (; executors[count] && count < EXECUTORS_MAX; count++) {
		int fd = executors[count]->prepare ? executors[count]->prepare() : -1;
		polls[count + 1] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	return count + 1;
}

int zygote_main(int socket_fd)
{
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM); /* a worker must not be ended by it before it looks; we end with the socket */
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (fcntl(socket_fd, F_SETFD, FD_CLOEXEC) < 0) {
		log_error("the zygote has no socket", KV("descriptor", socket_fd));
		return 2;
	}
	git_begin(); /* it parses the system's certificates: once here, not in each worker */
	struct pollfd polls[EXECUTORS_MAX + 1];
	size_t polls_len = prepare_executors(polls);
	char text[MESSAGE_BYTES_MAX];
	for (;;) {
		autofd int secrets_fd = -1;
		wait_for_request(socket_fd, polls, polls_len);
		ssize_t got = receive(socket_fd, text, &secrets_fd);
		/* The agent is gone; one that was killed may have left answers of ours unread. */
		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return 0;
		if (got < 0) {
			log_error("the zygote cannot receive", KV("why", g_strerror(errno)));
			return 1;
		}
		serve(socket_fd, text, (size_t)got, secrets_fd);
	}
}
