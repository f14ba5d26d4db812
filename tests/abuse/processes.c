/* SPDX-License-Identifier: Apache-2.0 */
/* J: processes, namespaces, keys, kernel interfaces, terminals, priorities, clocks. */
#include "tests/abuse/attempt.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* For calls whose success would do harm: any answer but a refusal means that the kernel has looked at them. */
static int reached(long got)
{
	return got < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES) ? errno : 0;
}

/* ---- other processes ---- */

static pid_t victim(const char *pid)
{
	if (pid[0])
		return (pid_t)strtol(pid, NULL, 10);
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	return child;
}
static void release(const char *pid, pid_t child)
{
	if (!pid[0])
		kill(child, SIGKILL);
}
static int try_ptrace(const char *pid)
{
	pid_t child = victim(pid);
	int got = result(ptrace(PTRACE_SEIZE, child, NULL, NULL));
	release(pid, child);
	return got;
}
static int try_read_memory(const char *pid)
{
	static char secret[] = "canary"; /* at the same address in a child of ours */
	char into[8];
	pid_t child = victim(pid);
	struct iovec local = {into, 7}, remote = {secret, 7};
	int got = result(process_vm_readv(child, &local, 1, &remote, 1, 0));
	release(pid, child);
	return got == EFAULT ? 0 : got; /* that address is not there, but it was looked at */
}
static int try_take_descriptor(const char *pid)
{
	pid_t child = victim(pid);
	int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	int got = pidfd < 0 ? errno : result(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
	release(pid, child);
	return got;
}
static int try_signal(const char *pid)
{
	return result(kill((pid_t)strtol(pid, NULL, 10), 0));
}
static int try_kill_init(const char *unused)
{
	(void)unused;
	kill(1, SIGKILL);
	usleep(50000);
	return kill(1, 0) == 0 || errno == EPERM ? EPERM : 0;
}
static int try_kill_everyone(const char *unused)
{
	(void)unused;
	signal(SIGUSR1, SIG_IGN);
	return result(kill(-1, SIGUSR1));
}

/* ---- namespaces ---- */

static int try_unshare(const char *which)
{
	return result(unshare((int)strtol(which, NULL, 0)));
}
static int try_clone(const char *which)
{
	long pid = syscall(SYS_clone, strtol(which, NULL, 0) | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	return result(pid);
}
static int try_clone3(const char *which)
{
	struct clone_args arguments = {.flags = strtoull(which, NULL, 0), .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
	if (pid == 0)
		_exit(0);
	return result(pid);
}
static int try_setns(const char *which)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/ns/%s", which);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? errno : result(setns(fd, 0));
}
static int try_setns_by_pidfd(const char *pid)
{
	int fd = (int)syscall(SYS_pidfd_open, strtol(pid, NULL, 10), 0);
	return fd < 0 ? errno : result(setns(fd, CLONE_NEWUTS));
}

/* ---- keys ---- */

static int try_add_key(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_add_key, "user", "assay-abuse", "x", 1, -2)); /* the process's keyring */
}
static int try_join_keyring(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_keyctl, 1, NULL)); /* a new, nameless session keyring */
}
static int try_read_keyring(const char *which)
{
	return result(syscall(SYS_keyctl, 0, strtol(which, NULL, 10), 1)); /* the id of @s, @u */
}
static int try_request_key(const char *unused)
{
	(void)unused;
	long got = syscall(SYS_request_key, "user", "assay-no-such-key", NULL, 0);
	return got < 0 && errno == ENOKEY ? 0 : result(got);
}

/* ---- kernel interfaces ---- */

static int try_io_uring(const char *unused)
{
	(void)unused;
	char parameters[256] = {0};
	return result(syscall(SYS_io_uring_setup, 1, parameters));
}
static int try_bpf(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_bpf, 5, NULL, 0));
}
static int try_perf(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}
static int try_userfault(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_userfaultfd, 1));
}
static int try_kexec(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_kexec_load, 0, 1000, NULL, 0xffffffff)); /* too many segments, wrong flags */
}
static int try_module(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_init_module, NULL, 0, ""));
}
static int try_quota(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_quotactl, 0x800007 << 8, "/no/such/device", 0, NULL)); /* Q_GETQUOTA */
}
static int try_acct(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_acct, "/no/such/file"));
}
static int try_swapon(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_swapon, "/no/such/file", 0));
}
static int try_reboot(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_reboot, 0, 0, 0, 0)); /* wrong magic numbers: refused, but later */
}
static int try_process_madvise(const char *unused)
{
	(void)unused;
	return reached(syscall(SYS_process_madvise, -1, NULL, 0, 0, 0));
}
static int try_fanotify(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_fanotify_init, 0, O_RDONLY));
}
static int try_syslog(const char *unused)
{
	(void)unused;
	char text[64];
	return result(syscall(SYS_syslog, 3, text, sizeof text));
}
static int try_call(const char *number)
{
	return reached(syscall(strtol(number, NULL, 0), -1L, -1L, -1L, -1L, -1L, -1L));
}

/* ---- other tables of calls, terminals ---- */

static int try_int80(const char *unused)
{
	(void)unused;
#if defined(__x86_64__)
	long got = 20; /* getpid of the 32 bit table */
	__asm__ volatile("int $0x80" : "+a"(got) : : "memory", "r8", "r9", "r10", "r11");
	return got > 0 ? 0 : ENOSYS;
#else
	return ENOSYS;
#endif
}
static int try_x32(const char *unused)
{
	(void)unused;
	return result(syscall(0x40000000 | SYS_getpid));
}
static int own_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof name) != 0)
		return -1;
	setsid();
	int slave = open(name, O_RDWR | O_CLOEXEC);
	if (slave >= 0)
		ioctl(slave, TIOCSCTTY, 0);
	return slave;
}
static int try_terminal(const char *unused)
{
	(void)unused;
	return result(own_terminal());
}
static int try_type(const char *high)
{
	int fd = own_terminal();
	unsigned long request = TIOCSTI | (unsigned long)strtoull(high, NULL, 0);
	return fd < 0 ? ENOTTY : result(syscall(SYS_ioctl, fd, request, "x"));
}
static int try_type_linux(const char *unused)
{
	(void)unused;
	char code = 3; /* paste the selection */
	int fd = own_terminal();
	return fd < 0 ? ENODEV : reached(ioctl(fd, TIOCLINUX, &code));
}
static int try_controlling_terminal(const char *unused)
{
	(void)unused;
	return result(open("/dev/tty", O_RDWR | O_CLOEXEC));
}
static int try_steal_terminal(const char *unused)
{
	(void)unused;
	setsid();
	return result(ioctl(0, TIOCSCTTY, 1));
}

/* ---- priorities, limits, clocks ---- */

static int try_fifo(const char *unused)
{
	(void)unused;
	struct sched_param parameter = {.sched_priority = 1};
	return result(sched_setscheduler(0, SCHED_FIFO, &parameter));
}
static int try_nice(const char *unused)
{
	(void)unused;
	return result(setpriority(PRIO_PROCESS, 0, -20));
}
static int try_mlockall(const char *unused)
{
	(void)unused;
	size_t len = 64 << 20;
	void *block = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return block == MAP_FAILED ? errno : result(mlock(block, len));
}
static int try_raise_limit(const char *unused)
{
	(void)unused;
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_max++;
	return result(setrlimit(RLIMIT_NOFILE, &limit));
}
static int try_oom_score(const char *unused)
{
	(void)unused;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	return fd < 0 ? errno : result(write(fd, "-1000", 5));
}
/* Neither time nor zone: only the question whether we might. */
static int try_set_time(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_settimeofday, NULL, NULL));
}
static int try_clock(const char *unused)
{
	(void)unused;
	struct timespec time = {.tv_nsec = -1}; /* not a time: EINVAL where it is looked at */
	return reached(syscall(SYS_clock_settime, CLOCK_REALTIME, &time));
}
static int try_adjtime(const char *unused)
{
	(void)unused;
	struct timex parameters = {.modes = 0};
	return result(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &parameters));
}
static int try_hostname(const char *unused)
{
	(void)unused;
	return result(sethostname("abuse", 5));
}
static int try_personality(const char *unused)
{
	(void)unused;
	return result(personality(ADDR_NO_RANDOMIZE));
}
static int try_ldt(const char *unused)
{
	(void)unused;
#ifdef SYS_modify_ldt
	char entries[64];
	return result(syscall(SYS_modify_ldt, 0, entries, sizeof entries));
#else
	return ENOSYS;
#endif
}

/* ---- numbers ---- */

/* Opens until it may not: the errno, and how many. */
static int try_descriptor_bomb(const char *limit)
{
	struct rlimit most;
	getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	long max = strtol(limit, NULL, 10);
	for (long count = 0; count < max; count++)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) {
			int why = errno;
			say("%ld", count);
			return why;
		}
	say("%ld", max);
	return 0;
}
static int try_orphans(const char *number)
{
	long wanted = strtol(number, NULL, 10), made = 0;
	for (; made < wanted; made++) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0) {
			if (fork() == 0)
				_exit(0); /* ends after its parent: init's */
			_exit(0);
		}
		if (made % 64 == 63)
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	say("%ld", made);
	return made == wanted ? 0 : EAGAIN;
}

/* Forks until it may not, or until a number: how many came. */
static int try_fork_bomb(const char *number)
{
	long wanted = strtol(number, NULL, 10), made = 0;
	int why = 0;
	for (; made < wanted && why == 0; made++) {
		pid_t pid = fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		why = pid < 0 ? errno : 0;
	}
	say("%ld", made);
	fflush(stdout);
	signal(SIGUSR1, SIG_IGN);
	usleep(500000);
	return why;
}

/* ---- memory, each by another way; 256 MiB where nothing stops it ---- */

#define MEBIBYTES 256
static char block[1 << 20];

static int fill(int fd)
{
	memset(block, 7, sizeof block);
	for (int i = 0; i < MEBIBYTES; i++)
		if (write(fd, block, sizeof block) < 0)
			return errno;
	return 0;
}
static int try_memory(const char *how)
{
	if (strcmp(how, "anon") == 0) {
		for (int i = 0; i < MEBIBYTES; i++) {
			char *more = malloc(sizeof block);
			if (!more)
				return ENOMEM;
			memset(more, 7, sizeof block);
		}
		return 0;
	}
	if (strcmp(how, "tmpfs") == 0)
		return fill(open("/tmp/abuse-fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	if (strcmp(how, "shm") == 0)
		return fill(open("/dev/shm/abuse-fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	if (strcmp(how, "memfd") == 0)
		return fill((int)syscall(SYS_memfd_create, "abuse", 0));
	if (strcmp(how, "sysv") == 0) {
		long id = syscall(SYS_shmget, 0, (size_t)MEBIBYTES << 20, 01600);
		char *at = id < 0 ? NULL : (char *)syscall(SYS_shmat, id, NULL, 0);
		if (!at || at == (char *)-1)
			return errno;
		memset(at, 7, (size_t)MEBIBYTES << 20);
		return 0;
	}
	if (strcmp(how, "tables") == 0) { /* a page of table for each two megabytes that are touched */
		for (long i = 0; i < MEBIBYTES * 256L; i++) {
			char *at = mmap(NULL, 2 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (at == MAP_FAILED)
				return errno;
			if (*(volatile char *)at)
				return 0;
		}
		return 0;
	}
	if (strcmp(how, "pipes") == 0) {
		for (int i = 0; i < MEBIBYTES; i++) {
			int ends[2];
			if (pipe(ends) < 0)
				return errno;
			fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
			fcntl(ends[1], F_SETFL, O_NONBLOCK);
			while (write(ends[1], block, sizeof block) > 0)
				;
		}
		return 0;
	}
	return EINVAL;
}

const Attempt attempts_processes[] = {
	{"ptrace", try_ptrace}, {"read_memory", try_read_memory}, {"take_descriptor", try_take_descriptor},
	{"signal", try_signal}, {"kill_init", try_kill_init}, {"kill_everyone", try_kill_everyone},
	{"unshare", try_unshare}, {"clone", try_clone}, {"clone3", try_clone3}, {"setns", try_setns},
	{"setns_by_pidfd", try_setns_by_pidfd}, {"add_key", try_add_key}, {"join_keyring", try_join_keyring},
	{"read_keyring", try_read_keyring}, {"request_key", try_request_key}, {"io_uring", try_io_uring}, {"bpf", try_bpf},
	{"perf", try_perf}, {"userfault", try_userfault}, {"kexec", try_kexec}, {"module", try_module},
	{"quota", try_quota}, {"acct", try_acct}, {"swapon", try_swapon}, {"reboot", try_reboot},
	{"process_madvise", try_process_madvise}, {"fanotify", try_fanotify}, {"syslog", try_syslog}, {"call", try_call},
	{"int80", try_int80}, {"x32", try_x32}, {"terminal", try_terminal}, {"type", try_type},
	{"type_linux", try_type_linux}, {"controlling_terminal", try_controlling_terminal},
	{"steal_terminal", try_steal_terminal}, {"fifo", try_fifo}, {"nice", try_nice}, {"mlockall", try_mlockall},
	{"raise_limit", try_raise_limit}, {"oom_score", try_oom_score}, {"set_time", try_set_time}, {"clock", try_clock},
	{"adjtime", try_adjtime}, {"hostname", try_hostname}, {"personality", try_personality}, {"ldt", try_ldt},
	{"descriptor_bomb", try_descriptor_bomb}, {"orphans", try_orphans}, {"fork_bomb", try_fork_bomb}, {"memory", try_memory}, {NULL, NULL},
};
