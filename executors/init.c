/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a place: PID 1 of a sandbox, or the supervisor of a host place. A static program without libc,
 * compiled into the worker and started from a sealed memory file, so that its start costs little and /proc/1/exe is
 * no way back to the worker. It gives up what the place must not have, then starts steps as it is told, adopts
 * orphans, and reports a step's end only when everything the step left behind is dead.
 *
 * It trusts its control socket and nothing else: steps cannot reach the socket, its memory (not dumpable) or, in a
 * pid namespace, signal it. The worker's end closing is its end, and with it, everyone's.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "executors/init.h"
#include "executors/init_confine.h"
#include "executors/init_pool.h"
#include "executors/init_sys.h"
#include "executors/init_wayout.h"

#define SIGNALS 64
#define TREE_MAX 32768
#define STACK_BYTES 16384
#define STRINGS_MAX 65536 /* arguments, environment and candidates of one step */
#define STUBBORN_ROUNDS 3000 /* times 1 ms for leftovers that no single kill() reaches */
#define ANCESTORS_MAX 4096

typedef struct Step {
	int pid;       /* 0 once it is reaped */
	bool used;     /* this row is taken, from its start until its end is reported */
	bool service;
	int report_fd;
	int status;
	int64_t cpu_us;
	int64_t peak_bytes;
	int64_t read_blocks, write_blocks;
} Step;

typedef struct Process {
	int pid, parent;
	bool living;
} Process;

/* One place per process: these are its whole state, static because there is no heap. */
static Step steps[INIT_STEPS_MAX];
static bool confined;
static int self;
static int children_fd; /* signalfd of SIGCHLD */
static Process tree[TREE_MAX];
static char packet[INIT_PACKET_MAX] __attribute__((aligned(16)));
static const char *strings[STRINGS_MAX + 8];
static char stack[STACK_BYTES] __attribute__((aligned(16)));

void init_main(void);

static void pause_ms(int64_t milliseconds)
{
	struct {
		int64_t seconds, nanoseconds;
	} time = {0, milliseconds * 1000000};
	SYS(__NR_nanosleep, &time, NULL);
}

/* ---- who is whose ---- */

static Step *find_step(int pid)
{
	for (int i = 0; pid > 0 && i < INIT_STEPS_MAX; i++)
		if (steps[i].pid == pid)
			return &steps[i];
	return NULL;
}

static int count_running(void)
{
	int count = 0;
	for (int i = 0; i < INIT_STEPS_MAX; i++)
		count += steps[i].pid > 0;
	return count;
}

/* Reads /proc/PID/stat: "12 (any (name)) S 1 …". */
static bool read_process(int pid, Process *out)
{
	char text[512];
	char *at = text_number(text_copy(text, "/proc/"), (uint64_t)pid);
	text_copy(at, "/stat");
	long fd = SYS(__NR_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	long len = SYS(__NR_read, fd, text, sizeof text);
	SYS(__NR_close, fd);
	while (len > 0 && text[len - 1] != ')')
		len--;
	if (len <= 0)
		return false;
	*out = (Process){.pid = pid, .living = text[len + 1] != 'Z' && text[len + 1] != 'X'};
	for (const char *digit = text + len + 3; *digit >= '0' && *digit <= '9'; digit++)
		out->parent = out->parent * 10 + (*digit - '0');
	return true;
}

/* Fills tree[] with every process, in the order of their numbers, as /proc lists them. */
static int read_tree(void)
{
	static char entries[32768];
	int count = 0;
	long fd = SYS(__NR_openat, AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (long len; (len = SYS(__NR_getdents64, fd, entries, sizeof entries)) > 0;)
		for (long at = 0; at < len;) {
			const char *entry = entries + at; /* struct linux_dirent64: ino, off, reclen, type, name */
			at += *(const unsigned short *)(entry + 16);
			int pid = 0;
			for (const char *digit = entry + 19; *digit >= '0' && *digit <= '9'; digit++)
				pid = pid * 10 + (*digit - '0');
			if (pid > 0 && count < TREE_MAX && read_process(pid, &tree[count]))
				count++;
		}
	SYS(__NR_close, fd);
	return count;
}

static const Process *find_process(int count, int pid)
{
	int low = 0, high = count;
	while (low < high) {
		int middle = (low + high) / 2;
		if (tree[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && tree[low].pid == pid ? &tree[low] : NULL;
}

/* The step above a process; 0 for an orphan that we adopted, -1 for what is not ours at all. */
static int step_above(int count, const Process *process)
{
	for (int i = 0; process && i < ANCESTORS_MAX; i++) {
		if (find_step(process->pid))
			return process->pid;
		if (process->parent == self)
			return 0;
		process = find_process(count, process->parent);
	}
	return -1;
}

/* Signals a step's tree, and orphans unless a service asks: it adopts its own. Returns how many lived. */
static int signal_tree(int step, bool orphans, int number)
{
	int living = 0;
	int count = read_tree();
	for (int i = 0; i < count; i++) {
		if (!tree[i].living || tree[i].pid == self)
			continue;
		int above = step_above(count, &tree[i]);
		if ((step > 0 && above == step) || (orphans && above == 0)) {
			living++;
			SYS(__NR_kill, tree[i].pid, number);
		}
	}
	return living;
}

/* ---- ends ---- */

static void add_usage(Step *step, const struct rusage *usage)
{
	if (!step)
		return;
	step->cpu_us += (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000L + usage->ru_utime.tv_usec +
	        usage->ru_stime.tv_usec;
	step->read_blocks += usage->ru_inblock;
	step->write_blocks += usage->ru_oublock;
	if (usage->ru_maxrss * 1024L > step->peak_bytes)
		step->peak_bytes = usage->ru_maxrss * 1024L;
}

/* The one step that orphans are counted to; NULL when there are several, or none. */
static Step *owner_of_orphans(void)
{
	Step *owner = NULL;
	for (int i = 0; i < INIT_STEPS_MAX; i++)
		if (steps[i].used && !steps[i].service) {
			if (owner)
				return NULL;
			owner = &steps[i];
		}
	return owner;
}

/* Reaps all that has ended. False when there is no child any more. */
static bool collect(void)
{
	struct rusage usage;
	int status;
	long pid;
	while ((pid = SYS(__NR_wait4, -1, &status, WNOHANG, &usage)) > 0) {
		Step *step = find_step((int)pid);
		add_usage(step ? step : owner_of_orphans(), &usage);
		if (step) {
			step->pid = 0;
			step->status = status;
		}
	}
	return pid != -ECHILD;
}

/* Kills what is left of a step whose main process has ended. Returns how many would not die. */
static int clear_leftovers(const Step *ended)
{
	for (int round = 0; collect(); round++) {
		bool alone = count_running() == 0;
		if (alone && confined) {
			SYS(__NR_kill, -1, SIGKILL); /* all of the pid namespace but us, at one instant */
			SYS(__NR_waitid, P_ALL, 0, NULL, WEXITED | WNOWAIT, NULL);
			continue;
		}
		if (ended->service && !alone)
			return 0; /* its orphans cannot be told from a running step's: they end with that one */
		int living = signal_tree(0, true, SIGKILL);
		if (living == 0)
			return 0;
		if (round >= STUBBORN_ROUNDS)
			return living;
		if (round > 1)
			pause_ms(1);
	}
	return 0;
}

/* Reaps, and reports the steps that have ended. */
static void settle(void)
{
	collect();
	for (int i = 0; i < INIT_STEPS_MAX; i++) {
		Step *step = &steps[i];
		if (!step->used || step->pid > 0)
			continue;
		int living = clear_leftovers(step);
		const InitReport end = {
			.status = step->status,
			.living = living,
			.cpu_us = step->cpu_us,
			.memory_peak_bytes = step->peak_bytes,
			.read_blocks = step->read_blocks,
			.write_blocks = step->write_blocks,
		};
		SYS(__NR_write, step->report_fd, &end, sizeof end);
		SYS(__NR_close, step->report_fd);
		*step = (Step){0};
		i = -1; /* another may have ended meanwhile */
	}
}

/* ---- starts ---- */

typedef struct Birth {
	const char *folder;
	const char **candidates, **arguments, **environment;
	const int *fds;
	bool service;
	long error;
	InitStage stage;
} Birth;

static int birth_fail(Birth *birth, InitStage stage, long error)
{
	birth->error = -error;
	birth->stage = stage;
	return 127;
}

/* In the child, which shares our memory until it has become the program. */
static int birth_main(void *data)
{
	Birth *birth = data;
	long got;
	SYS(__NR_setsid);
	if (birth->service)
		SYS(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	/* They arrived above 4 (control and SIGCHLD are below), so no move covers one that is still to come. */
	for (int i = 0; i < 3; i++)
		if ((got = SYS(__NR_dup3, birth->fds[i], i, 0)) < 0)
			return birth_fail(birth, INIT_STAGE_PROCESS, got);
	if ((got = SYS(__NR_close_range, 3, ~0U, 0)) < 0)
		return birth_fail(birth, INIT_STAGE_PROCESS, got);
	if ((got = SYS(__NR_chdir, birth->folder)) < 0)
		return birth_fail(birth, INIT_STAGE_FOLDER, got);
	const uint64_t no_signals = 0;
	SYS(__NR_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof no_signals);
	long worst = -ENOENT;
	for (const char **path = birth->candidates; *path; path++) {
		got = SYS(__NR_execve, *path, birth->arguments, birth->environment);
		if (got != -ENOENT && got != -ENOTDIR)
			worst = got;
		if (got != -ENOENT && got != -ENOTDIR && got != -EACCES)
			break;
	}
	return birth_fail(birth, INIT_STAGE_PROGRAM, worst);
}

/* Splits the payload into the four lists; false when it is not what the packet's head says. */
static bool read_strings(const InitStart *start, const char *payload, Birth *birth)
{
	size_t wanted = (size_t)start->candidates + start->arguments + start->environment;
	if (wanted > STRINGS_MAX || start->payload_bytes == 0 || payload[start->payload_bytes - 1] != '\0')
		return false;
	const char *end = payload + start->payload_bytes;
	birth->folder = payload;
	const char *at = payload + text_len(payload) + 1;
	const char **row = strings;
	const uint32_t counts[3] = {start->candidates, start->arguments, start->environment};
	const char ***const lists[3] = {&birth->candidates, &birth->arguments, &birth->environment};
	for (int list = 0; list < 3; list++) {
		*lists[list] = row;
		for (uint32_t i = 0; i < counts[list]; i++) {
			if (at >= end)
				return false;
			*row++ = at;
			at += text_len(at) + 1;
		}
		*row++ = NULL;
	}
	return at == end;
}

static void answer(long pid, long error, InitStage stage)
{
	const InitReply reply = {.pid = (int32_t)pid, .error = (int32_t)error, .stage = (int32_t)stage};
	SYS(__NR_sendto, INIT_CONTROL_FD, &reply, sizeof reply, MSG_NOSIGNAL, NULL, 0);
}

/* Takes fds[3]; the others are closed by its caller. */
static void start_step(const InitStart *start, size_t packet_len, int *fds, int fds_len)
{
	Step *row = NULL;
	for (int i = 0; !row && i < INIT_STEPS_MAX; i++)
		if (!steps[i].used)
			row = &steps[i];
	if (!row) {
		answer(0, EAGAIN, INIT_STAGE_PROCESS);
		return;
	}
	const char *payload = packet + sizeof *start;
	if (fds_len != (start->in_file ? 5 : 4) ||
	        (!start->in_file && start->payload_bytes != packet_len - sizeof *start)) {
		answer(0, EPROTO, INIT_STAGE_PACKET);
		return;
	}
	if (start->in_file) {
		long at = SYS(__NR_mmap, NULL, start->payload_bytes, PROT_READ, MAP_PRIVATE, fds[4], 0);
		if (at < 0 && at > -4096) {
			answer(0, -at, INIT_STAGE_PACKET);
			return;
		}
		payload = (const char *)at;
	}
	Birth birth = {.fds = fds, .service = start->service != 0};
	long pid = 0;
	if (!read_strings(start, payload, &birth)) {
		birth.error = EPROTO;
		birth.stage = INIT_STAGE_PACKET;
	} else {
		pid = init_clone(CLONE_VM | CLONE_VFORK | SIGCHLD, stack + sizeof stack, birth_main, &birth);
		if (pid < 0) {
			birth.error = -pid;
			birth.stage = INIT_STAGE_PROCESS;
		} else if (birth.error) {
			SYS(__NR_wait4, pid, NULL, 0, NULL);
		} else {
			*row = (Step){.pid = (int)pid, .used = true, .service = birth.service, .report_fd = fds[3]};
			fds[3] = -1;
		}
	}
	if (start->in_file)
		SYS(__NR_munmap, payload, start->payload_bytes);
	answer(birth.error ? 0 : pid, birth.error, birth.stage);
}

/* Signals a step and what belongs to it; its number may be old, or that of a step that has just ended. */
static void signal_step(const InitSignal *order)
{
	Step *step = find_step(order->pid);
	if (!step || order->signal < 1 || order->signal > SIGNALS)
		return;
	if (confined && count_running() == 1) {
		SYS(__NR_kill, -1, order->signal);
		return;
	}
	bool orphans = !step->service && owner_of_orphans() == step;
	signal_tree(step->pid, orphans, order->signal);
}

/* ---- the loop ---- */

static void end_all(void)
{
	for (int i = 0; i < INIT_STEPS_MAX; i++)
		if (steps[i].pid > 0 && !confined)
			signal_tree(steps[i].pid, true, SIGKILL);
	for (int round = 0; !confined && collect() && round < STUBBORN_ROUNDS; round++) {
		for (int i = 0; i < INIT_STEPS_MAX; i++)
			if (steps[i].pid > 0)
				signal_tree(steps[i].pid, false, SIGKILL);
		signal_tree(0, true, SIGKILL);
		pause_ms(1);
	}
	SYS(__NR_exit_group, 0); /* in a pid namespace the kernel kills the rest with us */
}

/* Reads one packet and the descriptors with it. Returns its length; 0 when the worker is gone. */
static long receive(int *fds, int *fds_len)
{
	union {
		char bytes[CMSG_SPACE(5 * sizeof(int))];
		struct cmsghdr aligned;
	} control;
	struct iovec part = {.iov_base = packet, .iov_len = sizeof packet};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = sizeof control};
	long len;
	do
		len = SYS(__NR_recvmsg, INIT_CONTROL_FD, &message, MSG_CMSG_CLOEXEC);
	while (len == -EINTR);
	*fds_len = 0;
	if (len <= 0)
		return 0;
	const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
		*fds_len = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (int i = 0; i < *fds_len; i++)
			fds[i] = ((const int *)CMSG_DATA(head))[i];
	}
	return len;
}

static void serve_packet(void)
{
	int fds[5];
	int fds_len;
	long len = receive(fds, &fds_len);
	if (len <= 0)
		end_all();
	uint32_t kind = *(const uint32_t *)(const void *)packet;
	if (kind == INIT_START && (size_t)len >= sizeof(InitStart)) {
		const InitStart start = *(const InitStart *)(const void *)packet;
		start_step(&start, (size_t)len, fds, fds_len);
	} else if (kind == INIT_SIGNAL && (size_t)len >= sizeof(InitSignal)) {
		signal_step((const InitSignal *)(const void *)packet);
	}
	for (int i = 0; i < fds_len; i++)
		if (fds[i] >= 0)
			SYS(__NR_close, fds[i]);
}

static void set_up(void)
{
	int fds[5];
	int fds_len;
	long len = receive(fds, &fds_len);
	const InitSetup *setup = (const InitSetup *)(const void *)packet;
	if ((size_t)len == sizeof(InitPool) && setup->kind == INIT_POOL) {
		InitReply refused = init_pool_begin((const InitPool *)(const void *)packet, fds, fds_len);
		answer(refused.error ? 0 : self, refused.error, (InitStage)refused.stage);
		if (refused.error)
			SYS(__NR_exit_group, 1);
		init_pool_serve();
	}
	if ((size_t)len >= sizeof(InitWayOut) && setup->kind == INIT_WAYOUT) {
		InitReply refused = init_wayout((const InitWayOut *)(const void *)packet, (size_t)len, fds, fds_len);
		answer(0, refused.error, (InitStage)refused.stage);
		SYS(__NR_exit_group, 1);
	}
	if ((size_t)len < sizeof *setup || setup->kind != INIT_SETUP || fds_len != 0 ||
	        (size_t)len != sizeof *setup + (size_t)setup->filter_len * sizeof(struct sock_filter))
		SYS(__NR_exit_group, 1);
	confined = setup->confine != 0;
	InitReply failed = confined ? init_confine(setup) : init_supervise(setup);
	answer(failed.error ? 0 : self, failed.error, (InitStage)failed.stage);
	if (failed.error)
		SYS(__NR_exit_group, 1);
}

__attribute__((used, noreturn)) void init_main(void)
{
	const uint64_t every = ~(uint64_t)0;
	const uint64_t child = (uint64_t)1 << (SIGCHLD - 1);
	SYS(__NR_rt_sigprocmask, SIG_SETMASK, &every, NULL, sizeof every);
	const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} standard = {0};
	for (int number = 1; number <= SIGNALS; number++) /* what the worker ignores, steps do not */
		SYS(__NR_rt_sigaction, number, &standard, NULL, sizeof every);
	SYS(__NR_umask, 022); /* what steps expect, whatever the worker's is */
	self = (int)SYS(__NR_getpid);
	children_fd = (int)SYS(__NR_signalfd4, -1, &child, sizeof child, SFD_CLOEXEC | SFD_NONBLOCK);
	SYS(__NR_fcntl, INIT_CONTROL_FD, F_SETFD, FD_CLOEXEC);
	set_up();
	struct pollfd wait[2] = {{.fd = INIT_CONTROL_FD, .events = POLLIN}, {.fd = children_fd, .events = POLLIN}};
	for (;;) {
		long got = SYS(__NR_ppoll, wait, 2, NULL, NULL, 0);
		if (got < 0)
			continue;
		if (wait[1].revents) {
			struct signalfd_siginfo drop;
			SYS(__NR_read, children_fd, &drop, sizeof drop);
			settle();
		}
		if (wait[0].revents)
			serve_packet();
	}
}
