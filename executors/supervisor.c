/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets to and from init. Each start is answered; the end of a step comes over a pipe of its own, whose reading
 * end is the Child's fd: if init should die, the pipe says so by itself.
 */
#include "executors/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/spawn.h"
#include "executors/place.h"

#define STACK_BYTES (64 * 1024)
#define DESCRIPTORS_MAX 5
#define BLOCK_BYTES 512 /* of rusage, whatever the disk's are */
#define PAYLOAD_BYTES_MAX (8 * 1024 * 1024) /* more than the kernel takes in one exec */

extern const unsigned char embed_sandbox_init[];
extern const size_t embed_sandbox_init_len;

static const struct {
	const char *what;
	const char *what_to_do;
} stages[] = {
	[INIT_STAGE_NONE] = {"failed", "see the kernel's log"},
	[INIT_STAGE_IDS] = {"cannot become the job's user", "give the agent CAP_SETUID and CAP_SETGID, or start it as an "
	                                                    "ordinary user"},
	[INIT_STAGE_USER_NAMESPACE] = {"cannot make a user namespace", "raise the sysctl user.max_user_namespaces"},
	[INIT_STAGE_ID_MAP] = {"cannot map the job's user", "run 'assay doctor'"},
	[INIT_STAGE_LIMITS] = {"cannot set its limits", "lower the limits of the job"},
	[INIT_STAGE_CAPABILITIES] = {"cannot drop its capabilities", "run 'assay doctor'"},
	[INIT_STAGE_FILTER] = {"cannot load its system call filter", "use a kernel with CONFIG_SECCOMP_FILTER"},
	[INIT_STAGE_SCOPE] = {"cannot close itself off by Landlock", "run 'assay doctor'"},
	[INIT_STAGE_NETWORK] = {"cannot make a network namespace", "raise the sysctl user.max_net_namespaces"},
	[INIT_STAGE_TUN] = {"cannot make a /dev/net/tun", "give the agent CAP_SYS_ADMIN and CAP_MKNOD, or let everybody open "
	                                                  "/dev/net/tun (mode 0666)"},
	[INIT_STAGE_PACKET] = {"was not understood", "make its command and environment smaller"},
	[INIT_STAGE_PROCESS] = {"cannot start a process", "raise the job's limit of processes"},
	[INIT_STAGE_FOLDER] = {"cannot enter its folder", "give a 'working-directory' that is there"},
	[INIT_STAGE_PROGRAM] = {"cannot start its program", "check its name, its mode and its first line"},
};

static char *_Atomic kept_stack;

void supervisor_init(Supervisor *supervisor)
{
	*supervisor = (Supervisor){.pidfd = -1, .control_fd = -1};
}

/* What the child needs to know besides its Birth. */
typedef struct Newborn {
	const Birth *birth;
	int control_fd;
	int program_fd;
	int null_fd;
	char *stack_top; /* of the newborn, when another child clones it */
	pid_t pid;
} Newborn;

#define NEWBORN_FLAGS (CLONE_VM | CLONE_VFORK | SIGCHLD)

static bool failed(Failure *out, const char *what)
{
	*out = (Failure){.what = what, .why = errno};
	return false;
}

/* Descriptors of init: 0-2 nothing, 3 the control socket; its program closes itself by the exec. */
static bool place_descriptors(const Newborn *newborn)
{
	int control = fcntl(newborn->control_fd, F_DUPFD_CLOEXEC, 10);
	int null = fcntl(newborn->null_fd, F_DUPFD_CLOEXEC, 10);
	int program = fcntl(newborn->program_fd, F_DUPFD_CLOEXEC, 10);
	if (control < 0 || null < 0 || program < 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return false;
	return dup2(control, INIT_CONTROL_FD) >= 0 && dup3(program, INIT_CONTROL_FD + 1, O_CLOEXEC) >= 0 &&
	       syscall(SYS_close_range, INIT_CONTROL_FD + 2, ~0U, 0U) == 0;
}

static int newborn_main(void *data)
{
	const Newborn *newborn = data;
	const Birth *birth = newborn->birth;
	if (setsid() < 0)
		return !failed(birth->failure, "cannot leave the terminal");
	if (birth->prepare && !birth->prepare(birth->data, newborn->control_fd))
		return 1;
	if (!place_descriptors(newborn))
		return !failed(birth->failure, "cannot place its descriptors");
	static const char *const arguments[] = {"init", NULL};
	static const char *const environment[] = {NULL};
	syscall(SYS_execveat, INIT_CONTROL_FD + 1, "", arguments, environment, AT_EMPTY_PATH);
	return !failed(birth->failure, "cannot start init");
}

/* Waits for one answer; an init that is gone is an error of its own. */
static bool receive(Supervisor *supervisor, InitReply *out, GError **error)
{
	ssize_t len;
	do
		len = recv(supervisor->control_fd, out, sizeof *out, 0);
	while (len < 0 && errno == EINTR);
	if (len == (ssize_t)sizeof *out)
		return true;
	return fail(error, ASSAY_ERROR_SYSTEM, "the place's first process has ended unexpectedly; see the kernel's log");
}

static bool send_packet(Supervisor *supervisor, struct iovec *parts, size_t parts_len, const int *fds, size_t fds_len,
        GError **error)
{
	union {
		char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
		struct cmsghdr aligned;
	} control = {0};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = parts_len};
	if (fds_len > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fds_len * sizeof(int));
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fds_len * sizeof(int));
		memcpy(CMSG_DATA(head), fds, fds_len * sizeof(int));
	}
	ssize_t sent;
	do
		sent = sendmsg(supervisor->control_fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent >= 0 || fail_errno(error, errno, "cannot talk to the place's first process");
}

static bool clone_failed(const Birth *birth)
{
	return failed(birth->failure, birth->flags ? "cannot make its namespaces" : "cannot start a process");
}

/* Goes where init is to be born, and clones it there as a child of the worker, not its own. */
static int midwife_main(void *data)
{
	Newborn *newborn = data;
	const Birth *birth = newborn->birth;
	if (!birth->enter(birth->data))
		return 1;
	newborn->pid = clone(newborn_main, newborn->stack_top, (int)(birth->flags | CLONE_PARENT | NEWBORN_FLAGS), newborn);
	return newborn->pid < 0 ? !clone_failed(birth) : 0;
}

/* The child's pid, or -1. It has become init, or *failure says why not. */
static pid_t bear(Newborn *newborn, char *stack)
{
	const Birth *birth = newborn->birth;
	newborn->stack_top = stack + STACK_BYTES;
	newborn->pid = -1;
	if (!birth->enter) {
		newborn->pid = clone(newborn_main, newborn->stack_top, (int)(birth->flags | NEWBORN_FLAGS), newborn);
		if (newborn->pid < 0)
			clone_failed(birth);
		return newborn->pid;
	}
	pid_t midwife = clone(midwife_main, stack + 2 * STACK_BYTES, NEWBORN_FLAGS, newborn);
	if (midwife < 0)
		clone_failed(birth);
	while (midwife > 0 && waitpid(midwife, NULL, 0) < 0 && errno == EINTR)
		;
	return newborn->pid;
}

/* It waits in the socket until there is an init. */
static bool send_setup(Supervisor *supervisor, const Birth *birth)
{
	struct iovec parts[] = {
		{.iov_base = (void *)(uintptr_t)birth->setup, .iov_len = sizeof *birth->setup},
		{.iov_base = (void *)(uintptr_t)birth->filter, .iov_len = birth->setup->filter_len * sizeof *birth->filter},
	};
	return send_packet(supervisor, parts, birth->setup->filter_len > 0 ? 2 : 1, NULL, 0, NULL);
}

bool supervisor_send_fds(int control_fd, const int *fds, size_t count)
{
	union {
		char bytes[CMSG_SPACE(SUPERVISOR_FDS_MAX * sizeof(int))];
		struct cmsghdr aligned;
	} control = {0};
	char nothing = 0;
	struct iovec part = {&nothing, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	return sendmsg(control_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

void supervisor_receive_fds(const Supervisor *supervisor, int *out, size_t count)
{
	union {
		char bytes[CMSG_SPACE(SUPERVISOR_FDS_MAX * sizeof(int))];
		struct cmsghdr aligned;
	} control;
	char nothing;
	struct iovec part = {&nothing, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	for (size_t i = 0; i < count; i++)
		out[i] = -1;
	const struct cmsghdr *head = NULL;
	if (recvmsg(supervisor->control_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) == 1)
		head = CMSG_FIRSTHDR(&message);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
	        head->cmsg_len == CMSG_LEN(count * sizeof(int)))
		memcpy(out, CMSG_DATA(head), count * sizeof(int));
}

/* One for all places of this process, and of its clones. */
static int null_device(void)
{
	static int fd = -1;
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

/* One is kept for the next place, and by a process that waits for its clones. */
static char *stack_take(void)
{
	char *stack = atomic_exchange(&kept_stack, NULL);
	if (stack)
		return stack;
	stack = mmap(NULL, 2 * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	return stack == MAP_FAILED ? NULL : stack;
}

static void stack_give(char *stack)
{
	char *other = atomic_exchange(&kept_stack, stack);
	if (other)
		munmap(other, 2 * STACK_BYTES);
}

bool supervisor_launch(Supervisor *supervisor, const Birth *birth)
{
	static int program = -1; /* sealed, so all places of this process, and of its clones, may have the one */
	int ends[2];
	if (program < 0)
		program = fd_sealed("assay-init", embed_sandbox_init, embed_sandbox_init_len, NULL);
	if (program < 0)
		return failed(birth->failure, "cannot make a memory file");
	int null_fd = null_device();
	if (null_fd < 0)
		return failed(birth->failure, "cannot open /dev/null");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return failed(birth->failure, "cannot make a socket pair");
	supervisor->control_fd = ends[0];
	autofd int theirs = ends[1]; /* closed here when init has it: so its end is our end of file */
	if (birth->setup && !send_setup(supervisor, birth))
		return failed(birth->failure, "cannot talk to its first process");
	supervisor->unanswered = birth->setup != NULL;
	char *stack = stack_take();
	if (!stack)
		return failed(birth->failure, "no memory for its first process");
	Newborn newborn = {.birth = birth, .control_fd = theirs, .program_fd = program, .null_fd = null_fd};
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid_t pid = bear(&newborn, stack);
	sigprocmask(SIG_SETMASK, &old, NULL);
	stack_give(stack);
	if (pid < 0)
		return false;
	supervisor->pid = pid;
	supervisor->pidfd = (int)syscall(SYS_pidfd_open, pid, 0U); /* it is our child, so the number is still its own */
	if (supervisor->pidfd >= 0)
		return !birth->failure->what;
	int why = errno;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	errno = why;
	return failed(birth->failure, "cannot follow its first process");
}

static bool first_answer(Supervisor *supervisor, GError **error)
{
	InitReply reply;
	if (!receive(supervisor, &reply, error))
		return false;
	if (reply.error == 0)
		return true;
	return fail(error, ASSAY_ERROR_SYSTEM, "it %s: %s; %s", stages[reply.stage].what,
	        g_strerror(reply.error), stages[reply.stage].what_to_do);
}

bool supervisor_begin(Supervisor *supervisor, GError **error)
{
	bool waits = supervisor->unanswered;
	supervisor->unanswered = false;
	return !waits || first_answer(supervisor, error);
}

bool supervisor_keep(Supervisor *supervisor, const void *packet, size_t len, const int *fds, size_t fds_len, GError **error)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)packet, .iov_len = len};
	return send_packet(supervisor, &part, 1, fds, fds_len, error) && first_answer(supervisor, error);
}

static uint32_t append_all(GByteArray *payload, const char *const *texts)
{
	uint32_t count = 0;
	for (; texts && texts[count]; count++)
		g_byte_array_append(payload, (const guint8 *)texts[count], (guint)strlen(texts[count]) + 1);
	return count;
}

bool supervisor_start(Supervisor *supervisor, const StepSpec *spec, Child *out, GError **error)
{
	g_autoptr(GByteArray) payload = g_byte_array_sized_new(4096);
	g_auto(GStrv) candidates = place_candidates(spec);
	g_byte_array_append(payload, (const guint8 *)spec->folder, (guint)strlen(spec->folder) + 1);
	InitStart start = {.kind = INIT_START, .service = spec->service};
	start.candidates = append_all(payload, (const char *const *)candidates);
	start.arguments = append_all(payload, spec->argv);
	start.environment = append_all(payload, spec->envp);
	start.payload_bytes = payload->len;
	if (payload->len > PAYLOAD_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "its command and environment have %u bytes; make them smaller",
		        payload->len);
	autofd int payload_fd = -1;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(error, errno, "cannot make a pipe");
	autofd int ended = ends[0];
	autofd int report = ends[1];
	int fds[DESCRIPTORS_MAX] = {spec->fds[0], spec->fds[1], spec->fds[2], report};
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			continue;
		fds[i] = null_device();
		if (fds[i] < 0)
			return fail_errno(error, errno, "cannot open /dev/null");
	}
	struct iovec parts[] = {
		{.iov_base = &start, .iov_len = sizeof start},
		{.iov_base = payload->data, .iov_len = payload->len},
	};
	if (sizeof start + payload->len > INIT_PACKET_MAX) {
		payload_fd = fd_sealed("assay-step", payload->data, payload->len, error);
		if (payload_fd < 0)
			return false;
		start.in_file = 1;
		fds[4] = payload_fd;
	}
	g_autoptr(GError) unsent = NULL;
	send_packet(supervisor, parts, start.in_file ? 1 : 2, fds, start.in_file ? 5 : 4, &unsent);
	if (!supervisor_begin(supervisor, error)) { /* what init has said is the reason for both */
		g_prefix_error(error, "sandbox: ");
		return false;
	}
	if (unsent) {
		g_propagate_error(error, g_steal_pointer(&unsent));
		return false;
	}
	InitReply reply;
	if (!receive(supervisor, &reply, error))
		return false;
	if (reply.error == 0) {
		*out = (Child){.fd = fd_steal(&ended), .pid = reply.pid};
		return true;
	}
	const char *subject = reply.stage == INIT_STAGE_FOLDER ? spec->folder : spec->argv[0];
	AssayError code = reply.stage >= INIT_STAGE_FOLDER ? ASSAY_ERROR_USER : ASSAY_ERROR_SYSTEM;
	return fail(error, code, "%s: %s: %s; %s", subject, stages[reply.stage].what, g_strerror(reply.error),
	        stages[reply.stage].what_to_do);
}

void supervisor_signal(Supervisor *supervisor, const Child *child, int signal_number)
{
	if (child->fd < 0 || child->pid <= 0)
		return;
	InitSignal order = {.kind = INIT_SIGNAL, .pid = child->pid, .signal = signal_number};
	struct iovec part = {.iov_base = &order, .iov_len = sizeof order};
	send_packet(supervisor, &part, 1, NULL, 0, NULL); /* when init is gone there is nobody to signal */
}

/* rusage says 0 where the kernel does not count (CONFIG_TASK_IO_ACCOUNTING): that is not a number to show. */
static bool counts_blocks(void)
{
	static int counts = -1;
	if (counts < 0)
		counts = access("/proc/self/io", F_OK) == 0;
	return counts;
}

bool supervisor_finish(Supervisor *supervisor, Child *child, StepEnd *out, GError **error)
{
	(void)supervisor;
	InitReport report;
	ssize_t len;
	do
		len = read(child->fd, &report, sizeof report);
	while (len < 0 && errno == EINTR);
	close(child->fd);
	*child = (Child){.fd = -1};
	if (len != (ssize_t)sizeof report) { /* init was killed, and in a pid namespace the step with it */
		*out = (StepEnd){.exit_code = -1, .signal = SIGKILL, .cause = "agent", .cpu_us = -1, .memory_peak_bytes = -1,
			.read_bytes = -1, .write_bytes = -1};
		return true;
	}
	*out = (StepEnd){
		.exit_code = WIFEXITED(report.status) ? WEXITSTATUS(report.status) : -1,
		.signal = WIFSIGNALED(report.status) ? WTERMSIG(report.status) : 0,
		.cause = WIFEXITED(report.status) ? "exit" : "signal",
		.cpu_us = report.cpu_us,
		.memory_peak_bytes = report.memory_peak_bytes,
		.read_bytes = counts_blocks() ? report.read_blocks * BLOCK_BYTES : -1,
		.write_bytes = counts_blocks() ? report.write_blocks * BLOCK_BYTES : -1,
	};
	if (report.living > 0)
		return fail(error, ASSAY_ERROR_SYSTEM,
		        "%d processes of the step do not end, even by SIGKILL; look for them with 'ps' and its state D",
		        report.living);
	return true;
}

static void wait_and_clear(Supervisor *supervisor)
{
	SpawnEnd end;
	if (supervisor->pidfd >= 0) {
		spawn_wait(supervisor->pidfd, &end, NULL);
		close(supervisor->pidfd);
	}
	supervisor_init(supervisor);
}

void supervisor_kill(Supervisor *supervisor)
{
	if (supervisor->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, supervisor->pidfd, SIGKILL, NULL, 0);
	if (supervisor->control_fd >= 0)
		close(supervisor->control_fd);
	wait_and_clear(supervisor);
}

void supervisor_leave(Supervisor *supervisor)
{
	if (supervisor->control_fd >= 0)
		close(supervisor->control_fd);
	wait_and_clear(supervisor);
}
