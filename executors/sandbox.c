/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default executor: a job's own root, processes, network and users by the kernel's namespaces, with no engine
 * and no setuid helper. One child is born into the namespaces, lays out the root (mounts.c) and becomes init
 * (init.c), which confines itself and then starts step after step; each further step costs little more than a
 * plain process.
 *
 * It is never weaker than what was asked: a piece that the kernel refuses is an error that names it. "reduced" is
 * said for the shared network that the job asked for, and for limits that this host cannot hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/if.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "executors/cgroup.h"
#include "executors/filter.h"
#include "executors/init.h"
#include "executors/mounts.h"
#include "executors/place.h"
#include "executors/supervisor.h"

#define STACK_BYTES (64 * 1024)
#define LANDLOCK_ABI_SCOPE 6

extern const Executor executor_sandbox;
extern const unsigned char embed_sandbox_init[];
extern const size_t embed_sandbox_init_len;

typedef struct SandboxPlace {
	Place place;
	Supervisor init;
	Cgroup group;
	int64_t oom_count;
	Mounts mounts;
} SandboxPlace;

/* What the newborn child reads and writes in the memory that it shares with us until it becomes init. */
typedef struct Birth {
	SandboxPlace *sandbox;
	const char *hostname;
	bool own_user_namespace; /* an ordinary user needs one to make the others */
	bool loopback;
	int control_fd;
	int init_fd;
	int null_fd;
	uid_t uid;
	gid_t gid;
	MountsFailure failure;
} Birth;

static int birth_fail(Birth *birth, const char *what)
{
	birth->failure.what = what;
	birth->failure.target = "";
	birth->failure.why = errno;
	return 127;
}

static bool write_file(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, len) == (ssize_t)len;
	int why = errno;
	if (fd >= 0)
		close(fd);
	errno = why;
	return done;
}

/* "1001 OWN 1": one id is all that a user may map by himself. */
static bool map_own_id(const char *path, unsigned own)
{
	char text[32] = "1001 ";
	char digits[12];
	size_t len = 5, count = 0;
	do
		digits[count++] = (char)('0' + own % 10);
	while ((own /= 10) > 0);
	while (count > 0)
		text[len++] = digits[--count];
	memcpy(text + len, " 1\n", 3);
	return write_file(path, text, len + 3);
}

/*
 * Maps the agent's user in the new user namespace. A worker that has made itself undumpable could not open its own
 * maps: it shares its memory with this child, so it is dumpable for the three writes.
 */
static bool map_self(const Birth *birth)
{
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	bool done = write_file("/proc/self/setgroups", "deny", 4) && map_own_id("/proc/self/uid_map", birth->uid) &&
	            map_own_id("/proc/self/gid_map", birth->gid);
	int why = errno;
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	errno = why;
	return done;
}

static bool raise_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
	int why = errno;
	if (fd >= 0)
		close(fd);
	errno = why;
	return done;
}

/* Descriptors of init: 0-2 nothing, 3 the control socket; its program closes itself by the exec. */
static bool place_descriptors(const Birth *birth)
{
	int control = fcntl(birth->control_fd, F_DUPFD_CLOEXEC, 10);
	int null = fcntl(birth->null_fd, F_DUPFD_CLOEXEC, 10);
	int program = fcntl(birth->init_fd, F_DUPFD_CLOEXEC, 10);
	if (control < 0 || null < 0 || program < 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return false;
	return dup2(control, INIT_CONTROL_FD) >= 0 && dup3(program, INIT_CONTROL_FD + 1, O_CLOEXEC) >= 0 &&
	       syscall(SYS_close_range, INIT_CONTROL_FD + 2, ~0U, 0U) == 0;
}

/* The child. It shares our memory: only system calls, and nothing is changed but *birth. */
static int birth_main(void *data)
{
	Birth *birth = data;
	SandboxPlace *sandbox = birth->sandbox;
	if (setsid() < 0)
		return birth_fail(birth, "cannot leave the terminal");
	if (!cgroup_join(&sandbox->group))
		return birth_fail(birth, "cannot enter its control group");
	if (birth->own_user_namespace && !map_self(birth))
		return birth_fail(birth, "cannot map its user");
	if (unshare(CLONE_NEWCGROUP) < 0)
		return birth_fail(birth, "cannot make a cgroup namespace");
	if (sethostname(birth->hostname, strlen(birth->hostname)) < 0)
		return birth_fail(birth, "cannot set its host name");
	if (birth->loopback && !raise_loopback())
		return birth_fail(birth, "cannot bring its loopback up");
	if (!mounts_apply(&sandbox->mounts, &birth->failure))
		return 127;
	if (!place_descriptors(birth))
		return birth_fail(birth, "cannot place its descriptors");
	static const char *const arguments[] = {"init", NULL};
	static const char *const environment[] = {NULL};
	syscall(SYS_execveat, INIT_CONTROL_FD + 1, "", arguments, environment, AT_EMPTY_PATH);
	return birth_fail(birth, "cannot start init");
}

/* What to change on the host when namespaces are refused. */
static const char *remedy(int why)
{
	g_autofree char *apparmor = NULL;
	if (why == ENOSPC || why == EUSERS)
		return "raise the sysctl user.max_user_namespaces (and its neighbours), or run fewer jobs";
	if (g_file_get_contents("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &apparmor, NULL, NULL) &&
	        apparmor[0] == '1')
		return "AppArmor forbids user namespaces: install the AppArmor profile of the package (it says "
		       "'userns,'), or set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0";
	g_clear_pointer(&apparmor, g_free);
	if (g_file_get_contents("/proc/sys/kernel/unprivileged_userns_clone", &apparmor, NULL, NULL) && apparmor[0] == '0')
		return "set the sysctl kernel.unprivileged_userns_clone to 1";
	return "run 'assay doctor', which tells what this host must allow";
}

static bool spawn_init(SandboxPlace *sandbox, Birth *birth, unsigned long flags, GError **error)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return fail_errno(error, errno, "sandbox: no memory for its first process");
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	int pidfd = -1;
	pid_t pid = clone(birth_main, stack + STACK_BYTES, (int)(flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD),
	        birth, &pidfd);
	int why = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	munmap(stack, STACK_BYTES);
	if (pid < 0)
		return fail(error, ASSAY_ERROR_SYSTEM, "sandbox: cannot make its namespaces: %s; %s", g_strerror(why),
		        remedy(why));
	sandbox->init.pid = pid;
	sandbox->init.pidfd = pidfd;
	if (birth->failure.what)
		return fail(error, ASSAY_ERROR_SYSTEM, "sandbox: %s %s: %s; %s", birth->failure.what,
		        birth->failure.target, g_strerror(birth->failure.why), remedy(birth->failure.why));
	return true;
}

static bool check_spec(const PlaceSpec *spec, GError **error)
{
	if (!spec->work_folder || spec->work_folder[0] != '/' || !spec->home_folder || spec->home_folder[0] != '/')
		return fail(error, ASSAY_ERROR_USER, "sandbox: it needs absolute paths of a work and a home folder");
	if (spec->hostname && strlen(spec->hostname) > 63)
		return fail(error, ASSAY_ERROR_USER, "sandbox: the host name '%s' is longer than 63 characters",
		        spec->hostname);
	return true;
}

/* The limits that are kept by init itself, and what is said about those that nobody can keep. */
static void set_limits(SandboxPlace *sandbox, const PlaceSpec *spec, InitSetup *setup)
{
	const Cgroup *group = &sandbox->group;
	setup->file_bytes = (uint64_t)MAX(spec->file_bytes, 0);
	setup->processes = (uint64_t)MAX(spec->processes, 0);
	if (spec->memory_bytes > 0 && !group->has_memory) {
		setup->data_bytes = (uint64_t)spec->memory_bytes;
		place_lacks(&sandbox->place, "Memory is limited for each process, not for the job: no cgroup memory "
		        "controller is delegated to the agent.");
	}
	/* A limit of processes is kept by the job's own user namespace, except for the host's root. */
	if (spec->processes > 0 && !group->has_processes && setup->outer_uid == 0)
		place_lacks(&sandbox->place, "The number of processes is not limited: no cgroup pids controller is "
		        "delegated to the agent, and steps run as root.");
	if (spec->cpus > 0 && !group->has_cpus)
		place_lacks(&sandbox->place, "CPU time is not limited: no cgroup cpu controller is delegated to the agent.");
}

static void note_network(SandboxPlace *sandbox, const PlaceSpec *spec, InitSetup *setup)
{
	if (spec->network != PLACE_NETWORK_FULL)
		return;
	setup->scope = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U) >= LANDLOCK_ABI_SCOPE; /* 1: tell the ABI */
	place_lacks(&sandbox->place, "The job shares this machine's network: it reaches what listens on 127.0.0.1%s.",
	        setup->scope ? "" : " and abstract unix sockets");
}

static bool sandbox_launch(SandboxPlace *sandbox, const PlaceSpec *spec, GError **error)
{
	autofd int program = fd_sealed("assay-init", embed_sandbox_init, embed_sandbox_init_len, error);
	if (program < 0)
		return false;
	autofd int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	autofd int theirs = supervisor_connect(&sandbox->init, error);
	if (null_fd < 0 || theirs < 0)
		return null_fd < 0 ? fail_errno(error, errno, "sandbox: cannot open /dev/null") : false;
	bool root = geteuid() == 0;
	Birth birth = {
		.sandbox = sandbox,
		.hostname = spec->hostname && spec->hostname[0] ? spec->hostname : MOUNTS_USER,
		.own_user_namespace = !root,
		.loopback = spec->network == PLACE_NETWORK_LOOPBACK,
		.control_fd = theirs,
		.init_fd = program,
		.null_fd = null_fd,
		.uid = geteuid(),
		.gid = getegid(),
	};
	unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	if (spec->network != PLACE_NETWORK_FULL)
		flags |= CLONE_NEWNET;
	if (!root)
		flags |= CLONE_NEWUSER;
	if (!spawn_init(sandbox, &birth, flags, error))
		return false;
	InitSetup setup = {
		.kind = INIT_SETUP,
		.confine = 1,
		.become = root,
		.outer_uid = root ? spec->uid : MOUNTS_UID,
		.outer_gid = root ? spec->gid : MOUNTS_UID,
		.inner_uid = MOUNTS_UID,
		.inner_gid = MOUNTS_UID,
	};
	note_network(sandbox, spec, &setup);
	set_limits(sandbox, spec, &setup);
	struct sock_filter filter[FILTER_LEN_MAX];
	setup.filter_len = (uint32_t)filter_write(filter);
	close(fd_steal(&theirs)); /* so that its end is our end of file */
	return supervisor_setup(&sandbox->init, &setup, filter, error);
}

static bool sandbox_open(const PlaceSpec *spec, Place **out, GError **error)
{
	if (!check_spec(spec, error))
		return false;
	SandboxPlace *sandbox = g_new0(SandboxPlace, 1);
	supervisor_init(&sandbox->init);
	place_init(&sandbox->place, &executor_sandbox, MOUNTS_WORK, MOUNTS_HOME, "full");
	const CgroupLimits limits = {
		.memory_bytes = spec->memory_bytes,
		/* Elsewhere the user namespace counts: cheaper, and exact. */
		.processes = spec->memory_bytes > 0 || (geteuid() == 0 && spec->uid == 0) ? spec->processes : 0,
		.cpus = spec->cpus,
	};
	cgroup_make(&limits, &sandbox->group);
	if (!mounts_list(spec, &sandbox->mounts, error) || !sandbox_launch(sandbox, spec, error)) {
		executor_sandbox.close(&sandbox->place);
		return false;
	}
	if (sandbox->place.missing->len > 0) {
		g_free(sandbox->place.isolation);
		sandbox->place.isolation = g_strdup("reduced");
	}
	*out = &sandbox->place;
	return true;
}

static bool sandbox_start(Place *place, const StepSpec *spec, Child *out, GError **error)
{
	SandboxPlace *sandbox = (SandboxPlace *)place;
	if (!place_check_step(spec, error))
		return false;
	/* A working directory behind a descriptor would be a way around the root (CVE-2024-21626). */
	if (g_str_has_prefix(spec->folder, "/proc/") || g_str_has_prefix(spec->folder, "/dev/fd"))
		return fail(error, ASSAY_ERROR_USER, "step '%s': its folder '%s' is none to work in", spec->name,
		        spec->folder);
	if (!supervisor_start(&sandbox->init, spec, out, error)) {
		g_prefix_error(error, "step '%s': ", spec->name);
		return false;
	}
	return true;
}

static void sandbox_signal(Place *place, Child *child, int signal_number)
{
	supervisor_signal(&((SandboxPlace *)place)->init, child, signal_number);
}

static bool sandbox_finish(Place *place, Child *child, StepEnd *out, GError **error)
{
	SandboxPlace *sandbox = (SandboxPlace *)place;
	bool done = supervisor_finish(&sandbox->init, child, out, error);
	int64_t count = cgroup_oom_count(&sandbox->group);
	if (done && count > sandbox->oom_count && (out->signal != 0 || out->exit_code != 0))
		out->cause = "oom";
	sandbox->oom_count = count;
	int64_t peak = cgroup_memory_peak(&sandbox->group);
	if (done && peak >= 0)
		out->memory_peak_bytes = peak;
	return done;
}

static void sandbox_close(Place *place)
{
	if (!place)
		return;
	SandboxPlace *sandbox = (SandboxPlace *)place;
	supervisor_kill(&sandbox->init);
	cgroup_remove(&sandbox->group);
	mounts_clear(&sandbox->mounts);
	place_clear(place);
	g_free(sandbox);
}

/* The truest question is to make one: a few milliseconds, nothing left. */
static bool sandbox_probe(GError **error)
{
	g_autofree char *folder = g_dir_make_tmp("assay-probe-XXXXXX", error);
	if (!folder)
		return false;
	const PlaceSpec spec = {.work_folder = folder, .home_folder = folder, .uid = geteuid(), .gid = getegid()};
	Place *place = NULL;
	bool can = sandbox_open(&spec, &place, error);
	sandbox_close(place);
	fd_remove_tree(folder, NULL);
	return can;
}

const Executor executor_sandbox = {
	.name = "sandbox",
	.summary = "the default: an own root, processes, network and user by kernel namespaces; no engine needed",
	.probe = sandbox_probe,
	.open = sandbox_open,
	.start = sandbox_start,
	.signal = sandbox_signal,
	.finish = sandbox_finish,
	.close = sandbox_close,
};
