/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zygote: linked, idle, without a secret. A clone of it starts working a millisecond after it was asked for,
 * where exec of a program with this many libraries takes ten. It reads only what the agent sends; a task's folder is
 * first looked at by the child.
 *
 * A second zygote, itself a clone of the first, has libgit2 besides (git_calls.h): tasks that need it are its, and the others
 * do not pay for it. What executors share, both have from the first, which makes the second anew when that was renewed.
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
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/pages.h"
#include "agent/executor.h"
#include "agent/job/git.h"
#include "agent/job/task.h"

#define MESSAGE_BYTES_MAX 8192
#define EXECUTORS_MAX 16
#define TIDY_MAX 64
#define TIDY_PAUSE_US (10LL * 1000)
#define TIDY_PAUSE_MOST_US (1000LL * 1000)
#define TIDY_LONGEST_US (60LL * G_USEC_PER_SEC)

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

/* One message with one descriptor, or none for -1. */
static bool send_text(int socket_fd, const char *text, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {(char *)(uintptr_t)text, strlen(text)};
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
	ssize_t sent;
	do
		sent = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent >= 0;
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

/* The same clock's time of now: what the kernel notes when it makes a process. */
static int64_t boot_ticks(void)
{
	struct timespec now;
	long ticks = sysconf(_SC_CLK_TCK);
	if (ticks <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
		return 0;
	return now.tv_sec * ticks + now.tv_nsec / (G_USEC_PER_SEC * 1000 / ticks);
}

/*
 * The next worker, born before there is a task for it: its birth is no part of what a job waits for. It waits for one
 * message, the folder with the descriptor of the secrets, and ends when the zygote does.
 */
typedef struct Spare {
	pid_t pid;
	int pidfd;
	int fd; /* our end; -1: there is none */
	int64_t start;
} Spare;

static void spare_clear(Spare *spare)
{
	autofd_close(&spare->fd);
	autofd_close(&spare->pidfd);
	*spare = (Spare){.pidfd = -1, .fd = -1};
}

/* The child's life. */
static G_NORETURN void live(int fd)
{
	char folder[MESSAGE_BYTES_MAX];
	int secrets_fd = -1;
	setsid();
	ssize_t len = receive(fd, folder, &secrets_fd);
	if (len <= 0 || len == (ssize_t)sizeof folder)
		_exit(0); /* the zygote is gone, or wants another in our place */
	folder[len] = '\0';
	close(fd);
	int status = task_main(folder, secrets_fd);
#ifdef __SANITIZE_ADDRESS__
	__lsan_do_leak_check(); /* what exit() would do */
#endif
	_exit(status);
}

/* One of the two. */
typedef struct Zygote {
	int asks_fd;    /* where requests come from: the agent, or the first zygote */
	int answers_fd; /* where they are answered: the agent */
	Spare spare;
	int second_fd;  /* of the first: to the second; -1: there is none */
} Zygote;

static bool spare_make(Zygote *zygote, GError **error)
{
	Spare *spare = &zygote->spare;
	int pair[2];
	if (spare->fd >= 0)
		return true;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail_errno(error, errno, "cannot make a socket pair");
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	int64_t before = boot_ticks();
	pid_t pid = fork();
	int64_t after = boot_ticks();
	if (pid < 0)
		return fail_errno(error, errno, "cannot start a worker");
	if (pid == 0) {
		close(fd_steal(&ours));
		close(zygote->asks_fd);
		if (zygote->answers_fd != zygote->asks_fd)
			close(zygote->answers_fd);
		autofd_close(&zygote->second_fd);
		live(fd_steal(&theirs));
	}
	/* The child waits for us, so its pid is still its own. */
	autofd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);
	if (pidfd < 0) {
		int why = errno;
		kill(pid, SIGKILL);
		return fail_errno(error, why, "cannot follow a worker");
	}
	*spare = (Spare){.pid = pid, .pidfd = fd_steal(&pidfd), .fd = fd_steal(&ours),
	        .start = before == after && before > 0 ? before : start_of(pid)}; /* to ask costs more than to know */
	return true;
}

/*
 * Workers that were killed, and may have left on this machine what only somebody else can remove. The last processes of a
 * job end a while after its worker, so it is tried again, ever more rarely.
 */
typedef struct Tidying {
	pid_t gone[TIDY_MAX];
	size_t len;
	int64_t next_us, pause_us, until_us;
} Tidying;

static void tidy_later(Tidying *tidying, pid_t pid)
{
	if (tidying->len == TIDY_MAX) /* of what is forgotten here, the next job takes care */
		memmove(tidying->gone, tidying->gone + 1, --tidying->len * sizeof tidying->gone[0]);
	tidying->gone[tidying->len++] = pid;
	tidying->pause_us = TIDY_PAUSE_US;
	tidying->next_us = monotonic_us() + TIDY_PAUSE_US; /* a job that is asked for next does not wait for it */
	tidying->until_us = monotonic_us() + TIDY_LONGEST_US;
}

static bool tidy_one(pid_t pid)
{
	bool all = true;
	for (size_t i = 0; executors[i]; i++)
		all = (!executors[i]->tidy || executors[i]->tidy(pid)) && all;
	return all;
}

/* Does what is due. Returns for how many milliseconds there is nothing more to do; -1: until somebody asks. */
static int tidy(Tidying *tidying)
{
	int64_t now = monotonic_us();
	if (tidying->len > 0 && now >= tidying->next_us) {
		size_t left = 0;
		for (size_t i = 0; i < tidying->len; i++)
			if (!tidy_one(tidying->gone[i]) && now < tidying->until_us)
				tidying->gone[left++] = tidying->gone[i];
		tidying->len = left;
		tidying->pause_us = MIN(tidying->pause_us * 2, TIDY_PAUSE_MOST_US);
		tidying->next_us = now + tidying->pause_us;
	}
	return tidying->len > 0 ? (int)(MAX(tidying->next_us - now, 0) / 1000) + 1 : -1;
}

static void serve(Zygote *zygote, json_t *request, const char *folder, int secrets_fd, GError *refusal)
{
	Spare *spare = &zygote->spare;
	g_autoptr(GError) error = refusal;
	g_autoptr(json_t) reply = json_object();
	json_set_int(reply, "task", json_get_int(request, "task", 0));
	if (!error && spare_make(zygote, &error)) {
		json_set_int(reply, "pid", spare->pid);
		json_set_int(reply, "start", spare->start);
		if (!send_text(spare->fd, folder, secrets_fd)) {
			fail_errno(&error, errno, "cannot give a worker its task");
			kill(spare->pid, SIGKILL);
		}
	}
	if (error)
		json_set_string(reply, "error", error->message);
	g_autofree char *said = json_text(reply);
	send_text(zygote->answers_fd, said, error ? -1 : spare->pidfd);
	spare_clear(spare);
}

static G_NORETURN void live_as_second(Zygote *zygote);

static bool second_make(Zygote *zygote, GError **error)
{
	int pair[2];
	if (zygote->second_fd >= 0)
		return true;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail_errno(error, errno, "cannot make a socket pair");
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	pid_t pid = fork();
	if (pid < 0)
		return fail_errno(error, errno, "cannot start the process that has git");
	if (pid == 0) {
		close(fd_steal(&ours));
		spare_clear(&zygote->spare); /* the first's, which has it still */
		zygote->asks_fd = fd_steal(&theirs);
		live_as_second(zygote);
	}
	zygote->second_fd = fd_steal(&ours);
	return true;
}

/* What was asked of it before it is served; then it ends, as its workers do. */
static void second_let_go(Zygote *zygote)
{
	autofd_close(&zygote->second_fd);
	zygote->second_fd = -1;
}

static void hand_out(Zygote *zygote, Tidying *tidying, const char *text, size_t len, int secrets_fd)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) request = json_parse(text, len, "a request to the zygote", &error);
	const char *folder = json_get_string(request, "folder", "");
	int64_t gone = json_get_int(request, "tidy", 0);
	if (gone > 0 && gone <= G_MAXINT32) {
		tidy_later(tidying, (pid_t)gone);
		return;
	}
	if (request && !folder[0])
		fail(&error, ASSAY_ERROR_USER, "a request to the zygote names no folder");
	if (!error && json_get_bool(request, "git", false) && second_make(zygote, &error)) {
		if (send_text(zygote->second_fd, text, secrets_fd))
			return;
		fail_errno(&error, errno, "cannot ask the process that has git");
	}
	serve(zygote, request, folder, secrets_fd, g_steal_pointer(&error));
}

/*
 * Lets executors make ready, renew and remove what jobs share or leave; returns when there is a request, or the agent is gone. A
 * spare worker and the second zygote are made when nothing else is to be done, and anew when what they were born with was
 * renewed. False when the second ended by itself, perhaps with a request that now nobody answers.
 */
static bool wait_for_request(Zygote *zygote, Tidying *tidying, struct pollfd *polls, size_t count)
{
	bool refused = false;
	for (;;) {
		bool lacks_spare = zygote->spare.fd < 0, lacks_second = zygote->second_fd < 0;
		polls[0] = (struct pollfd){.fd = zygote->asks_fd, .events = POLLIN};
		polls[count] = (struct pollfd){.fd = zygote->second_fd}; /* hang-up is told unasked */
		bool makes = (lacks_spare || lacks_second) && !refused;
		int pause_ms = tidy(tidying);
		int ready = poll(polls, count + 1, makes ? 0 : pause_ms);
		if (ready == 0 && makes) /* the request will say why it is refused; now we wait for it */
			refused = lacks_spare ? !spare_make(zygote, NULL) : !second_make(zygote, NULL);
		if ((ready < 0 && errno != EINTR) || (ready > 0 && polls[0].revents))
			return true;
		if (ready > 0 && polls[count].revents)
			return false;
		for (size_t i = 1; ready > 0 && i < count; i++)
			if (polls[i].revents) {
				polls[i].fd = executors[i - 1]->prepare();
				spare_clear(&zygote->spare);
				second_let_go(zygote);
				refused = false;
			}
	}
}

/* What libraries set up with their first use is set up here, not in each clone again. */
static void warm_up(void)
{
	char text[CLOCK_TEXT_BYTES];
	clock_text(now_us(), text); /* the time zone */
}

static void warm_up_second(void)
{
	static const char text[] = "first";
	uint8_t digest[HASH_BYTES];
	hash_bytes(text, sizeof text, digest);
	hash_hmac(text, sizeof text, text, sizeof text, digest);
}

/* The second's life: as the first's, but that it prepares nothing and has no second. */
static void live_as_second(Zygote *zygote)
{
	g_autoptr(GError) error = NULL;
	char text[MESSAGE_BYTES_MAX];
	if (!git_begin(&error)) /* it parses the system's certificates: once here, not in each worker */
		log_error("git cannot be loaded; its tasks will say so", KV("why", error->message));
	warm_up_second();
	pages_let_go();
	pages_settle();
	for (;;) {
		autofd int secrets_fd = -1;
		struct pollfd ask = {.fd = zygote->asks_fd, .events = POLLIN};
		if (zygote->spare.fd < 0 && poll(&ask, 1, 0) == 0)
			spare_make(zygote, NULL);
		ssize_t got = receive(zygote->asks_fd, text, &secrets_fd);
		if (got <= 0)
			_exit(got < 0);
		g_autoptr(GError) refusal = NULL;
		g_autoptr(json_t) request = json_parse(text, (size_t)got, "a request to the zygote", &refusal);
		const char *folder = json_get_string(request, "folder", "");
		serve(zygote, request, folder, secrets_fd, g_steal_pointer(&refusal));
	}
}

/* Into polls[1] and further. Returns the number of polls, with the first, which is the agent's. */
static size_t prepare_executors(struct pollfd *polls)
{
	size_t count = 0;
	for (; executors[count] && count < EXECUTORS_MAX; count++) {
		int fd = executors[count]->prepare ? executors[count]->prepare() : -1;
		polls[count + 1] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	return count + 1;
}

static void retire_executors(void)
{
	for (size_t i = 0; executors[i]; i++)
		if (executors[i]->retire)
			executors[i]->retire();
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
	warm_up();
	struct pollfd polls[1 + EXECUTORS_MAX + 1]; /* the agent, executors, the second zygote */
	size_t polls_len = prepare_executors(polls);
	pages_let_go();
	pages_settle();
	char text[MESSAGE_BYTES_MAX];
	Zygote zygote = {.asks_fd = socket_fd, .answers_fd = socket_fd, .spare = {.pidfd = -1, .fd = -1}, .second_fd = -1};
	Tidying tidying = {.len = 0};
	for (;;) {
		autofd int secrets_fd = -1;
		if (!wait_for_request(&zygote, &tidying, polls, polls_len)) {
			log_error("the process that has git ended by itself");
			return 1;
		}
		ssize_t got = receive(socket_fd, text, &secrets_fd);
		/* The agent is gone; one that was killed may have left answers of ours unread. */
		if (got == 0 || (got < 0 && errno == ECONNRESET)) {
			tidying.next_us = 0;
			tidy(&tidying);
			retire_executors();
			return 0;
		}
		if (got < 0) {
			log_error("the zygote cannot receive", KV("why", g_strerror(errno)));
			return 1;
		}
		hand_out(&zygote, &tidying, text, (size_t)got, secrets_fd);
	}
}
