/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `assay doctor`: asks this host what Assay can do on it, by trying where trying is cheap and leaves nothing, and says
 * of each answer what it means and what to change. It changes nothing itself.
 */
#include "executors/doctor.h"

#include <errno.h>
#include <glib.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/executor.h"
#include "executors/cgroup.h"
#include "executors/ready.h"

#define DATA_FOLDER "/var/lib/assay"
#define SANDBOX_PATH "/usr/local/bin:/usr/bin:/bin" /* where steps look for programs */
#define KERNEL_MAJOR 5
#define KERNEL_MINOR 14
#define DISK_BYTES_FEW (INT64_C(10) << 30)
#define INODES_FEW 200000
#define DESCRIPTORS_FEW 4096
#define GPUS_MAX 64
#define JOB_UID 64001 /* as sandbox.uid of the config is by default */

typedef enum State { STATE_OK, STATE_LIMITED, STATE_MISSING } State;
static const char *const state_names[] = {"ok", "limited", "missing"};

typedef struct Finding {
	const char *name;
	State state;
	char *means;
	const char *change; /* static, or the room's own; NULL when there is nothing to change */
} Finding;

typedef struct Report {
	GArray *findings;
	bool sandbox_works;
	bool overlay_works;
} Report;

static void found(Report *report, const char *name, State state, char *means, const char *change)
{
	const Finding finding = {name, state, means, state == STATE_OK ? NULL : change};
	g_array_append_val(report->findings, finding);
}

/* A sysctl's number; fallback when the kernel has none such. */
static int64_t read_number(const char *path, int64_t fallback)
{
	g_autofree char *text = NULL;
	return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoll(text, NULL, 10) : fallback;
}

static void check_kernel(Report *report)
{
	struct utsname name;
	unsigned major = 0, minor = 0;
	uname(&name);
	bool good = sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	            (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR));
	found(report, "kernel", good ? STATE_OK : STATE_MISSING,
	        g_strdup_printf("Linux %s on %s", name.release, name.machine), "run Linux 5.14 or newer");
}

static void check_sandbox(Report *report)
{
	g_autoptr(GError) error = NULL;
	const Executor *sandbox = executor_find("sandbox");
	report->sandbox_works = sandbox && sandbox->probe(&error);
	if (report->sandbox_works)
		found(report, "sandbox", STATE_OK, g_strdup("jobs are confined: own root, processes, network and user"), NULL);
	else
		found(report, "sandbox", STATE_MISSING,
		        g_strdup_printf("jobs cannot be confined: %s", error ? error->message : "it is not built in"),
		        "do what the lines below say; until then only the unconfined 'host' executor runs jobs");
}

static void check_user_namespaces(Report *report)
{
	int64_t most = read_number("/proc/sys/user/max_user_namespaces", -1);
	bool apparmor = read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1;
	bool forbidden = read_number("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0;
	if (most < 0)
		found(report, "user namespaces", STATE_MISSING, g_strdup("this kernel has none"),
		        "use a kernel with CONFIG_USER_NS");
	else if (most == 0)
		found(report, "user namespaces", STATE_MISSING, g_strdup("they are switched off"),
		        "sysctl user.max_user_namespaces=10000");
	else if (apparmor)
		found(report, "user namespaces", report->sandbox_works ? STATE_OK : STATE_LIMITED,
		        g_strdup("AppArmor keeps them from programs without a profile"),
		        "install the package's AppArmor profile (it says 'userns,'), or "
		        "sysctl kernel.apparmor_restrict_unprivileged_userns=0");
	else if (forbidden)
		found(report, "user namespaces", geteuid() == 0 ? STATE_OK : STATE_MISSING,
		        g_strdup("only root may make them"), "sysctl kernel.unprivileged_userns_clone=1");
	else
		found(report, "user namespaces", STATE_OK,
		        g_strdup_printf("at most %" G_GINT64_FORMAT " at once", most), NULL);
}

/* In a child, in namespaces of its own that end with it. */
static int mount_overlay(const char *folder)
{
	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
	        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	        mount("tmpfs", folder, "tmpfs", 0, "size=1m") < 0 || chdir(folder) < 0 || mkdir("low", 0755) < 0 ||
	        mkdir("up", 0755) < 0 || mkdir("work", 0755) < 0 || mkdir("all", 0755) < 0 ||
	        mount("overlay", "all", "overlay", 0, "lowerdir=low,upperdir=up,workdir=work,userxattr") < 0)
		return errno;
	return 0;
}

static void check_overlay(Report *report)
{
	g_autofree char *folder = g_dir_make_tmp("assay-doctor-XXXXXX", NULL);
	pid_t pid = folder ? fork() : -1;
	if (pid == 0)
		_exit(mount_overlay(folder));
	int status = -1;
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (folder)
		rmdir(folder);
	bool good = status == 0;
	found(report, "overlay", good ? STATE_OK : STATE_LIMITED,
	        good ? g_strdup("folders can be laid over one another")
	             : g_strdup_printf("folders cannot be laid over one another: %s",
	                       WIFEXITED(status) ? g_strerror(WEXITSTATUS(status)) : "not tried"),
	        "modprobe overlay; until then jobs in images cannot run");
	report->overlay_works = good;
}

static void check_images(Report *report)
{
	g_autoptr(GError) error = NULL;
	const Executor *container = executor_find("container");
	bool good = container && container->probe(&error) && report->overlay_works;
	found(report, "images", good ? STATE_OK : STATE_LIMITED,
	        good ? g_strdup("'container', 'services' and docker actions run, without an engine")
	             : g_strdup_printf("'container', 'services' and docker actions cannot run: %s",
	                       error ? error->message : "their layers cannot be laid over one another"),
	        "install libcurl4 and libarchive13, and do what the lines on sandbox and overlay say");
}

/* As a place asks: for an ordinary user by making his user namespace. */
static void check_ids(Report *report)
{
	const Ids *ids = ready_ids(NULL, JOB_UID, JOB_UID);
	bool good = ids->first_uid != 0;
	g_autofree char *said = good ? g_strdup_printf("65536 from %u (%s): an image that runs as root has its other users", (unsigned)ids->first_uid, ids->source)
	                             : g_strdup("one: an image's program cannot become another user, and chown changes nothing");
	found(report, "ids of images", good ? STATE_OK : STATE_LIMITED, g_steal_pointer(&said), ids->why_not);
}

/* As the sandbox asks itself: by making one, which takes a moment and leaves nothing. */
static void check_way_out(Report *report)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *folder = g_dir_make_tmp("assay-doctor-XXXXXX", NULL);
	const Executor *sandbox = executor_find("sandbox");
	const PlaceSpec spec = {.work_folder = folder, .home_folder = folder, .uid = geteuid(), .gid = getegid(),
	        .network = PLACE_NETWORK_FULL};
	Place *place = NULL;
	bool good = folder && sandbox && sandbox->open(&spec, &place, &error);
	if (place)
		sandbox->close(place);
	if (folder)
		fd_remove_tree(folder, NULL);
	found(report, "network full", good ? STATE_OK : STATE_LIMITED,
	        good ? g_strdup("jobs that are given it have a network of their own, and pasta as the way out")
	             : g_strdup_printf("jobs that are given it fail: %s", error ? error->message : "there is no sandbox"),
	        "do what it says; 'sandbox.full_network: host' gives such jobs this machine's own network, with all that listens on it");
}

static void check_cgroup(Report *report)
{
	int version;
	g_autofree char *controllers = cgroup_describe(&version);
	bool all = controllers && strstr(controllers, "memory") && strstr(controllers, "pids");
	found(report, "cgroup", all ? STATE_OK : STATE_LIMITED,
	        controllers ? g_strdup_printf("version %d, usable for jobs: %s", version, controllers)
	                    : g_strdup("no controller may be used for jobs: memory is limited for each process, not for the "
	                               "job, and CPU time not at all"),
	        "let the service manager delegate them: 'Delegate=cpu memory pids io' in the unit, as packaged, and restart it");
}

/* Each limit of the config's `limits:`, as it would hold for a job of whoever asks. */
static void check_limits(Report *report)
{
	static const char *const delegate = "'Delegate=cpu memory pids io' in the agent's unit, as packaged; in a container, a "
	                                    "writable control group";
	int version;
	g_autofree char *controllers = cgroup_describe(&version);
	bool memory = controllers && strstr(controllers, "memory"), pids = controllers && strstr(controllers, "pids"),
	     cpu = controllers && strstr(controllers, "cpu");
	found(report, "limit of memory", memory ? STATE_OK : STATE_LIMITED,
	        g_strdup(memory && version == 2 ? "job_memory holds for the whole job, without swap; who passes it is told so (oom)"
	                 : memory               ? "job_memory holds for the whole job; who passes it is told so (oom)"
	                                        : "job_memory holds for each process, not for the job, and is told as the program's own error"),
	        delegate);
	found(report, "limit of CPUs", cpu ? STATE_OK : STATE_LIMITED,
	        g_strdup(cpu ? "job_cpus slows a job down" : "job_cpus does nothing"), delegate);
	bool io = version == 2 && controllers && strstr(controllers, "io");
	found(report, "limits of disks", io ? STATE_OK : STATE_LIMITED,
	        g_strdup(io ? "job_read and job_write slow a job down, where the data folder is on one disk"
	                    : "job_read and job_write do nothing: they need control groups of version 2"),
	        delegate);
	found(report, "limit of processes", STATE_OK,
	        g_strdup(pids ? "job_processes holds for the job" : "job_processes holds for the job, by its user namespace"), NULL);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	found(report, "limits of files", STATE_OK,
	        g_strdup_printf("job_open_files up to %lu and job_file hold for each process; job_disk is looked at each second",
	                (unsigned long)files.rlim_max), NULL);
}

/* What a step used is shown only where it can be measured. */
static void check_usage(Report *report)
{
	static const char *const counter = "/sys/class/powercap/intel-rapl:0/energy_uj";
	bool blocks = access("/proc/self/io", F_OK) == 0, there = access(counter, F_OK) == 0,
	     readable = access(counter, R_OK) == 0;
	found(report, "usage", blocks ? STATE_OK : STATE_LIMITED,
	        g_strdup(blocks ? "steps tell CPU time, peak memory, and what they read from disks and wrote"
	                        : "steps tell CPU time and peak memory; this kernel does not count what goes to disks"),
	        "use a kernel with CONFIG_TASK_IO_ACCOUNTING");
	found(report, "energy", readable ? STATE_OK : STATE_LIMITED,
	        g_strdup(readable ? "steps tell what the machine's processors used meanwhile"
	                 : there ? "not readable for this user: steps tell none"
	                         : "not readable: this machine shows no counters (virtual machines have none)"),
	        there ? "run the agent as root, or let its user read energy_uj below /sys/class/powercap (other users of the "
	                "machine learn from it what its processors do)"
	              : "nothing: it is only for information; on hardware, modprobe intel_rapl_msr");
}

static void check_filters(Report *report)
{
	bool seccomp = access("/proc/sys/kernel/seccomp/actions_avail", F_OK) == 0 || prctl(PR_GET_SECCOMP) >= 0;
	found(report, "seccomp", seccomp ? STATE_OK : STATE_MISSING,
	        g_strdup(seccomp ? "dangerous system calls are refused to jobs" : "system calls cannot be filtered"),
	        "use a kernel with CONFIG_SECCOMP_FILTER");
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U);
	if (abi >= 6)
		found(report, "landlock", STATE_OK, g_strdup_printf("ABI %ld: no job opens a file outside of its root", abi), NULL);
	else if (abi > 0)
		found(report, "landlock", STATE_LIMITED,
		        g_strdup_printf("ABI %ld: %sjobs that are given this host's own network reach its abstract sockets", abi,
		                abi >= 2 ? "no job opens a file outside of its root; " : ""),
		        "run Linux 6.12 or newer, or leave sandbox.full_network at own");
	else
		found(report, "landlock", STATE_LIMITED,
		        g_strdup("not there: a job's root is kept by its mounts alone, and one that is given this host's own network reaches "
		                 "its abstract sockets"),
		        "use a kernel with CONFIG_SECURITY_LANDLOCK and 'landlock' in its lsm= parameter");
}

static void check_disk(Report *report, const char *data)
{
	g_autofree char *folder = g_strdup(data);
	struct statvfs info;
	while (statvfs(folder, &info) < 0 && strcmp(folder, "/") != 0) {
		char *above = g_path_get_dirname(folder);
		g_free(folder);
		folder = above;
	}
	if (statvfs(folder, &info) < 0) {
		found(report, "disk", STATE_MISSING, g_strdup_printf("%s cannot be asked", folder), "mount it");
		return;
	}
	int64_t free_bytes = (int64_t)info.f_bavail * (int64_t)info.f_frsize;
	bool few_inodes = info.f_files > 0 && info.f_favail < INODES_FEW;
	g_autofree char *size = g_format_size_full((guint64)free_bytes, G_FORMAT_SIZE_IEC_UNITS);
	found(report, "disk", free_bytes < DISK_BYTES_FEW || few_inodes ? STATE_LIMITED : STATE_OK,
	        info.f_files > 0 ? g_strdup_printf("%s and %lu inodes free for %s", size, (unsigned long)info.f_favail, data)
	                         : g_strdup_printf("%s free for %s", size, data),
	        "make room, or put the data folder on a larger disk with --data");
}

static void check_descriptors(Report *report)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	found(report, "descriptors", limit.rlim_max < DESCRIPTORS_FEW ? STATE_LIMITED : STATE_OK,
	        g_strdup_printf("%lu open files, at most %lu", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max),
	        "raise LimitNOFILE= in the unit, or ulimit -n");
}

/* Programs by the folders that a sandbox shows, not by the PATH of whoever asks. */
static void check_program(Report *report, const char *name, const char *used_for, const char *change)
{
	g_auto(GStrv) folders = g_strsplit(SANDBOX_PATH, ":", 0);
	for (char **folder = folders; *folder; folder++) {
		g_autofree char *path = g_build_filename(*folder, name, NULL);
		if (access(path, X_OK) == 0) {
			found(report, name, STATE_OK, g_strdup_printf("%s, %s", path, used_for), NULL);
			return;
		}
	}
	found(report, name, STATE_MISSING, g_strdup_printf("not in " SANDBOX_PATH ": %s are not", used_for), change);
}

static void check_gpu(Report *report)
{
	unsigned count = 0;
	for (unsigned i = 0; i < GPUS_MAX; i++) {
		g_autofree char *path = g_strdup_printf("/dev/nvidia%u", i);
		count += access(path, F_OK) == 0;
	}
	if (count == 0) {
		found(report, "gpu", STATE_MISSING, g_strdup("none: jobs that ask for one wait for another machine"),
		        "install the NVIDIA driver, if there is one in this machine");
		return;
	}
	bool control = access("/dev/nvidiactl", R_OK | W_OK) == 0;
	found(report, "gpu", control ? STATE_OK : STATE_LIMITED,
	        g_strdup_printf("%u of /dev/nvidia*%s", count, control ? "" : ", but this user may not use them"),
	        "let the agent's user read and write /dev/nvidia*");
}

static Report examine(const char *data)
{
	Report report = {.findings = g_array_new(FALSE, FALSE, sizeof(Finding))};
	check_kernel(&report);
	check_sandbox(&report);
	check_user_namespaces(&report);
	check_filters(&report);
	check_way_out(&report);
	check_cgroup(&report);
	check_limits(&report);
	check_usage(&report);
	check_overlay(&report);
	check_images(&report);
	check_ids(&report);
	check_disk(&report, data);
	check_descriptors(&report);
	check_program(&report, "python3", "steps of Python run", "install Python 3");
	check_program(&report, "node", "actions written in JavaScript run", "install Node.js 20, if workflows use such actions");
	check_program(&report, "bash", "steps with the default shell run", "install bash");
	check_gpu(&report);
	return report;
}

static void print_text(const Report *report)
{
	for (guint i = 0; i < report->findings->len; i++) {
		const Finding *finding = &g_array_index(report->findings, Finding, i);
		printf("%-8s %-18s %s\n", state_names[finding->state], finding->name, finding->means);
		if (finding->change)
			printf("%-8s %-18s → %s\n", "", "", finding->change);
	}
}

static void print_json(const Report *report)
{
	g_autoptr(json_t) root = json_object();
	json_set_bool(root, "sandbox", report->sandbox_works);
	json_t *checks = json_array();
	for (guint i = 0; i < report->findings->len; i++) {
		const Finding *finding = &g_array_index(report->findings, Finding, i);
		json_t *check = json_object();
		json_set_string(check, "name", finding->name);
		json_set_string(check, "state", state_names[finding->state]);
		json_set_string(check, "means", finding->means);
		json_set_string(check, "change", finding->change);
		json_array_append_new(checks, check);
	}
	json_set(root, "checks", checks);
	g_autofree char *text = json_text(root);
	printf("%s\n", text);
}

int verb_doctor(int argc, char **argv)
{
	gboolean as_json = FALSE;
	g_autofree char *data = NULL;
	const GOptionEntry options[] = {
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "one JSON object instead of lines", NULL},
		{"data", 0, 0, G_OPTION_ARG_FILENAME, &data, "the data folder to look at (default " DATA_FOLDER ")", "FOLDER"},
		{0},
	};
	g_autoptr(GError) error = NULL;
	g_autoptr(GOptionContext) context = g_option_context_new("- what this host can do, and what to change");
	g_option_context_add_main_entries(context, options, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
		fprintf(stderr, "assay: doctor: %s; see --help\n", error ? error->message : "it takes no operand");
		return 2;
	}
	Report report = examine(data ? data : DATA_FOLDER);
	if (as_json)
		print_json(&report);
	else
		print_text(&report);
	for (guint i = 0; i < report.findings->len; i++)
		g_free(g_array_index(report.findings, Finding, i).means);
	g_array_unref(report.findings);
	return report.sandbox_works ? 0 : 1;
}
