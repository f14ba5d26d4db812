/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting children. A fork of a process with 512 MiB costs forty times a plain spawn, so nothing in Assay
 * forks a large process: this is clone(2) with shared memory, and the parent stands still until the exec.
 * Between clone and exec only async-signal-safe calls are made, on a stack of the child's own.
 */
#include "agent/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"

#define STACK_BYTES (64 * 1024)
#define FDS_MAX 64

typedef struct Birth {
	const SpawnSpec *spec;
	char *const *candidates; /* full paths to try, in order */
	int null_fd;
	pid_t parent;
	volatile int why; /* errno of the step that failed */
	const char *volatile step;
} Birth;

static const char *const empty_environment[] = {NULL};

/* The child leaves its frames by exec, so that AddressSanitizer would take the next child's stack for dead ones. */
#define ON_CHILD_STACK __attribute__((no_sanitize("address")))

ON_CHILD_STACK static int birth_fail(Birth *birth, const char *step)
{
	birth->why = errno;
	birth->step = step;
	return 127;
}

/* Moves spec->fds to 0…n-1: first all of them above n, so that no move overwrites a later source. */
ON_CHILD_STACK static bool place_fds(const SpawnSpec *spec, int null_fd)
{
	int high[FDS_MAX];
	int count = (int)spec->fds_len;
	for (int i = 0; i < count; i++) {
		high[i] = fcntl(spec->fds[i] < 0 ? null_fd : spec->fds[i], F_DUPFD_CLOEXEC, count);
		if (high[i] < 0)
			return false;
	}
	for (int i = 0; i < count; i++)
		if (dup2(high[i], i) < 0)
			return false;
	return syscall(SYS_close_range, (unsigned)count, ~0U, 0U) == 0;
}

/* Raw calls: glibc's would tell the parent's threads, with whom this child shares its memory. */
static bool give_up_root(const SpawnSpec *spec)
{
	return syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) == 0 &&
	       syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) == 0;
}

ON_CHILD_STACK static int child_main(void *data)
{
	Birth *birth = data;
	const SpawnSpec *spec = birth->spec;
	struct sigaction standard = {.sa_handler = SIG_DFL};
	for (int number = 1; number < 65; number++)
		sigaction(number, &standard, NULL);
	if (spec->own_session && setsid() < 0)
		return birth_fail(birth, "setsid");
	if (spec->uid != 0 && !give_up_root(spec))
		return birth_fail(birth, "cannot become its user");
	if (spec->die_with_parent) { /* after the change of user, which clears it */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			return birth_fail(birth, "prctl");
		if (getppid() != birth->parent)
			return birth_fail(birth, "the parent ended");
	}
	if (!place_fds(spec, birth->null_fd))
		return birth_fail(birth, "cannot place its descriptors");
	if (spec->folder && chdir(spec->folder) < 0)
		return birth_fail(birth, "cannot enter its folder");
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	const char *const *envp = spec->envp ? spec->envp : empty_environment;
	errno = ENOENT;
	for (char *const *path = birth->candidates; *path; path++) {
		execve(*path, (char *const *)(uintptr_t)spec->argv, (char *const *)(uintptr_t)envp);
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			break;
	}
	return birth_fail(birth, "cannot start it");
}

static char **find_candidates(const SpawnSpec *spec)
{
	GPtrArray *paths = g_ptr_array_new();
	if (strchr(spec->argv[0], '/')) {
		g_ptr_array_add(paths, g_strdup(spec->argv[0]));
	} else {
		const char *search = spec->path_search ? spec->path_search : g_getenv("PATH");
		g_auto(GStrv) folders = g_strsplit(search ? search : "/usr/bin:/bin", ":", 256);
		for (char **folder = folders; *folder; folder++)
			g_ptr_array_add(paths, g_build_filename((*folder)[0] ? *folder : ".", spec->argv[0], NULL));
	}
	g_ptr_array_add(paths, NULL);
	return (char **)g_ptr_array_free(paths, FALSE);
}

int spawn(const SpawnSpec *spec, pid_t *out_pid, GError **error)
{
	g_assert(spec->argv && spec->argv[0] && spec->fds_len >= 3 && spec->fds_len <= FDS_MAX);
	g_auto(GStrv) candidates = find_candidates(spec);
	autofd int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0) {
		fail_errno(error, errno, "cannot open /dev/null");
		return -1;
	}
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED) {
		fail_errno(error, errno, "no memory for a child");
		return -1;
	}
	Birth birth = {.spec = spec, .candidates = candidates, .null_fd = null_fd, .parent = getpid()};
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	int pidfd = -1;
	pid_t pid = clone(child_main, stack + STACK_BYTES,
	        CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &birth, &pidfd);
	int why = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	munmap(stack, STACK_BYTES);
	if (pid < 0) {
		fail_errno(error, why, "cannot start %s", spec->argv[0]);
		return -1;
	}
	if (birth.why) {
		waitpid(pid, NULL, 0);
		close(pidfd);
		fail_errno(error, birth.why, "%s: %s", spec->argv[0], birth.step);
		return -1;
	}
	if (out_pid)
		*out_pid = pid;
	return pidfd;
}

bool spawn_wait(int pidfd, SpawnEnd *out, GError **error)
{
	siginfo_t info = {0};
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
		if (errno != EINTR)
			return fail_errno(error, errno, "cannot wait for a child");
	*out = (SpawnEnd){.exit_code = -1};
	if (info.si_code == CLD_EXITED)
		out->exit_code = info.si_status;
	else
		out->signal = info.si_status;
	return true;
}

bool spawn_collect(const char *const *argv, size_t limit_bytes, GBytes **out, SpawnEnd *end, GError **error)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(error, errno, "cannot make a pipe");
	autofd int from = ends[0];
	autofd int into = ends[1];
	const int fds[] = {-1, into, STDERR_FILENO};
	g_auto(GStrv) environment = g_get_environ();
	const SpawnSpec spec = {.argv = argv, .envp = (const char *const *)environment, .fds = fds, .fds_len = 3};
	autofd int pidfd = spawn(&spec, NULL, error);
	if (pidfd < 0)
		return false;
	close(fd_steal(&into));
	g_autoptr(GBytes) bytes = fd_read_all(from, limit_bytes, argv[0], error);
	close(fd_steal(&from)); /* a child that still writes gets SIGPIPE */
	if (!spawn_wait(pidfd, end, bytes ? error : NULL) || !bytes)
		return false;
	*out = g_steal_pointer(&bytes);
	return true;
}
