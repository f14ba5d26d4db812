/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs steps as plain children on this machine: no isolation, and it says so. It still keeps the promise that
 * nothing of a step survives its end: while a place is open the worker adopts orphans (child subreaper), and what
 * belongs to the step's session, or was adopted from it, is killed before the end is reported.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/spawn.h"
#include "executors/place.h"

#define CLEAN_US_MAX 5000000 /* how long leftovers may resist SIGKILL before it is an error */
#define CLEAN_PAUSE_US 1000

extern const Executor executor_host;

typedef struct HostPlace {
	Place place;
	uid_t uid;
	gid_t gid;
	GHashTable *running; /* pids of the steps under way: their trees are not leftovers of another */
} HostPlace;

typedef struct Process {
	pid_t pid;
	pid_t parent;
	pid_t session;
	char state;
} Process;

static bool host_probe(GError **error)
{
	(void)error;
	return true;
}

static bool host_open(const PlaceSpec *spec, Place **out, GError **error)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return fail_errno(error, errno, "host executor: cannot adopt what steps leave behind");
	HostPlace *host = g_new0(HostPlace, 1);
	place_init(&host->place, &executor_host, spec->work_folder, spec->home_folder, "none");
	place_lacks(&host->place, "The host executor confines nothing: steps see this machine as their user does.");
	host->running = g_hash_table_new(NULL, NULL);
	if (geteuid() == 0) {
		host->uid = spec->uid;
		host->gid = spec->gid;
	}
	*out = &host->place;
	return true;
}

static bool host_start(Place *place, const StepSpec *spec, Child *out, GError **error)
{
	HostPlace *host = (HostPlace *)place;
	if (!place_check_step(spec, error))
		return false;
	const char *path = NULL;
	for (const char *const *pair = spec->envp; pair && *pair; pair++)
		if (g_str_has_prefix(*pair, "PATH="))
			path = *pair + 5;
	const SpawnSpec child = {
		.argv = spec->argv,
		.envp = spec->envp,
		.path_search = path,
		.folder = spec->folder,
		.fds = spec->fds,
		.fds_len = 3,
		.own_session = true,
		.die_with_parent = true,
		.uid = host->uid,
		.gid = host->gid,
	};
	pid_t pid = 0;
	int pidfd = spawn(&child, &pid, error);
	if (pidfd < 0) {
		g_prefix_error(error, "step '%s': ", spec->name);
		return false;
	}
	g_hash_table_add(host->running, GINT_TO_POINTER(pid));
	*out = (Child){.fd = pidfd, .pid = pid};
	return true;
}

static bool read_process(pid_t pid, Process *out)
{
	char path[64];
	char text[512];
	g_snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (len <= 0)
		return false;
	text[len] = '\0';
	const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
	int parent, group, session;
	if (!rest || sscanf(rest, ") %c %d %d %d", &out->state, &parent, &group, &session) != 4)
		return false;
	out->pid = pid;
	out->parent = parent;
	out->session = session;
	return true;
}

static GArray *read_processes(void)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(Process));
	DIR *folder = opendir("/proc");
	for (const struct dirent *entry; folder && (entry = readdir(folder));) {
		guint64 pid;
		Process process;
		if (g_ascii_string_to_unsigned(entry->d_name, 10, 1, G_MAXINT, &pid, NULL) &&
		        read_process((pid_t)pid, &process))
			g_array_append_val(all, process);
	}
	if (folder)
		closedir(folder);
	return all;
}

/* True for what the step with this pid started: its session, its tree, and what we adopted that is no one else's. */
static bool belongs(const HostPlace *host, GArray *all, const Process *process, pid_t step)
{
	pid_t self = getpid();
	pid_t own_session = getsid(0);
	Process at = *process;
	for (guint depth = 0; depth <= all->len; depth++) {
		if (at.pid == step || at.session == step)
			return true;
		if (at.pid == self || at.pid <= 1 || g_hash_table_contains(host->running, GINT_TO_POINTER(at.pid)) ||
		        g_hash_table_contains(host->running, GINT_TO_POINTER(at.session)))
			return false;
		if (at.parent == self)
			return at.session != own_session;
		const Process *parent = NULL;
		for (guint i = 0; i < all->len && !parent; i++)
			if (g_array_index(all, Process, i).pid == at.parent)
				parent = &g_array_index(all, Process, i);
		if (!parent)
			return false;
		at = *parent;
	}
	return false;
}

/* Signals what belongs to a step, the ended ones reaped on the way. Returns how many still live. */
static guint signal_tree(HostPlace *host, pid_t step, bool with_main, int signal_number)
{
	guint living = 0;
	g_autoptr(GArray) all = read_processes();
	for (guint i = 0; i < all->len; i++) {
		const Process *process = &g_array_index(all, Process, i);
		if (process->pid == getpid() || (!with_main && process->pid == step) ||
		        !belongs(host, all, process, step))
			continue;
		if (process->state == 'Z') {
			if (process->pid != step && process->parent == getpid())
				waitpid(process->pid, NULL, WNOHANG);
			continue;
		}
		living++;
		kill(process->pid, signal_number);
	}
	return living;
}

static void host_signal(Place *place, Child *child, int signal_number)
{
	if (child->pid <= 0)
		return;
	kill(-child->pid, signal_number); /* in one go for those that stayed in the group */
	signal_tree((HostPlace *)place, child->pid, true, signal_number);
}

static bool host_finish(Place *place, Child *child, StepEnd *out, GError **error)
{
	HostPlace *host = (HostPlace *)place;
	pid_t step = child->pid;
	/* The main process stays a zombie until its tree is gone: so its number cannot be given away meanwhile. */
	siginfo_t info = {0};
	while (waitid(P_PID, (id_t)step, &info, WEXITED | WNOWAIT) < 0)
		if (errno != EINTR)
			return fail_errno(error, errno, "cannot wait for a step");
	kill(-step, SIGKILL);
	int64_t until_us = monotonic_us() + CLEAN_US_MAX;
	guint living;
	while ((living = signal_tree(host, step, false, SIGKILL)) > 0 && monotonic_us() < until_us)
		g_usleep(CLEAN_PAUSE_US);
	int status = 0;
	struct rusage usage = {0};
	while (wait4(step, &status, 0, &usage) < 0 && errno == EINTR)
		;
	g_hash_table_remove(host->running, GINT_TO_POINTER(step));
	close(child->fd);
	*child = (Child){.fd = -1};
	*out = (StepEnd){
		.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		.cause = WIFEXITED(status) ? "exit" : "signal",
		.cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) + usage.ru_utime.tv_usec +
		        usage.ru_stime.tv_usec,
		.memory_peak_bytes = usage.ru_maxrss * INT64_C(1024),
	};
	if (living > 0)
		return fail(error, ASSAY_ERROR_SYSTEM,
		        "%u processes of the step do not end, even by SIGKILL; look for them with 'ps -s %d'", living,
		        (int)step);
	return true;
}

static void host_close(Place *place)
{
	if (!place)
		return;
	HostPlace *host = (HostPlace *)place;
	GHashTableIter each;
	gpointer pid;
	g_hash_table_iter_init(&each, host->running);
	while (g_hash_table_iter_next(&each, &pid, NULL)) {
		kill(-GPOINTER_TO_INT(pid), SIGKILL);
		while (signal_tree(host, GPOINTER_TO_INT(pid), true, SIGKILL) > 0)
			g_usleep(CLEAN_PAUSE_US);
		waitpid(GPOINTER_TO_INT(pid), NULL, 0);
	}
	g_hash_table_unref(host->running);
	place_clear(place);
	g_free(host);
}

const Executor executor_host = {
	.name = "host",
	.summary = "runs steps on this machine, unconfined, as the agent's user",
	.probe = host_probe,
	.open = host_open,
	.start = host_start,
	.signal = host_signal,
	.finish = host_finish,
	.close = host_close,
};
