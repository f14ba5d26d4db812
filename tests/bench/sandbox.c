/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place costs, as multiples of a plain process: ninja bench-sandbox && tests/bench-sandbox [ROUNDS].
 * All variants run in a new random order each round, at real-time priority where that is allowed; only ratios within one
 * run are to be compared. Where a variant needs a process of a certain kind (300 more mounts, 512 MiB resident), one
 * such process waits beside the others and is asked. As root all is measured twice: as root, and as an ordinary user.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/fd.h"
#include "agent/base/spawn.h"
#include "agent/executor.h"
#include "executors/root.h"

#define ROUNDS 120
#define PAUSE_US 700 /* lets the kernel clear what the last variant left */
#define ORDINARY_UID 54321
#define MANY_MOUNTS 300
#define MANY_BYTES ((size_t)512 << 20)
#define MANY_JOBS 1000
#define OUTPUT_BYTES_MAX 65536
#define CLEARED_MS_MAX 20000

typedef enum Kind { KIND_PLAIN, KIND_MOUNTS, KIND_RESIDENT, KINDS } Kind;

/* One process that opens places. */
typedef struct Agent {
	pid_t pid;
	int ask_fd, answer_fd;
} Agent;

typedef struct Bench {
	const Executor *executor;
	char *folder;
	char *work, *home, *layers, *scratch, *bundle, *state;
	PlaceSpec spec;
	PlaceRoot root;
	Place *live;
	bool has_bwrap, has_crun, has_full;
	Agent agents[KINDS];
} Bench;

static const char *const environment[] = {"PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL};

/* ---- what is measured ---- */

static void spawn_and_wait(const char *const *argv)
{
	pid_t pid;
	int status;
	if (posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv,
	            (char *const *)(uintptr_t)environment) != 0)
		g_error("cannot start %s", argv[0]);
	waitpid(pid, &status, 0);
	if (status != 0)
		g_error("%s failed", argv[0]);
}

static void run_spawn(Bench *bench)
{
	(void)bench;
	const char *const argv[] = {"/bin/true", NULL};
	spawn_and_wait(argv);
}

static void run_bwrap(Bench *bench)
{
	const char *const argv[] = {"/usr/bin/bwrap", "--unshare-all", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin",
	        "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--ro-bind", "/etc", "/etc",
	        "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", bench->work, "/work", "--chdir",
	        "/work", "--cap-drop", "ALL", "--new-session", "--die-with-parent", "/bin/true", NULL};
	spawn_and_wait(argv);
}

static void run_crun(Bench *bench)
{
	const char *const argv[] = {"/usr/bin/crun", "--cgroup-manager=disabled", "--root", bench->state, "run", "--bundle", bench->bundle,
	        "assay-bench", NULL};
	spawn_and_wait(argv);
}

static void step(Bench *bench, Place *place)
{
	const char *const argv[] = {"/bin/true", NULL};
	const StepSpec spec = {.name = "true", .argv = argv, .envp = environment, .folder = place->work_inside,
	        .fds = {-1, -1, -1}};
	g_autoptr(GError) error = NULL;
	Child child;
	StepEnd end;
	if (!bench->executor->start(place, &spec, &child, &error))
		g_error("%s", error->message);
	struct pollfd wait = {.fd = child.fd, .events = POLLIN};
	while (poll(&wait, 1, -1) < 0 && errno == EINTR)
		;
	if (!bench->executor->finish(place, &child, &end, &error) || end.exit_code != 0)
		g_error("a step failed");
}

static void run_job_of(Bench *bench, const PlaceSpec *spec)
{
	g_autoptr(GError) error = NULL;
	Place *place = NULL;
	if (!bench->executor->open(spec, &place, &error))
		g_error("%s", error->message);
	step(bench, place);
	bench->executor->close(place);
}

static PlaceSpec limited(const Bench *bench, PlaceNetwork network)
{
	PlaceSpec spec = bench->spec;
	spec.network = network;
	spec.memory_bytes = INT64_C(1) << 30;
	spec.processes = 1000;
	return spec;
}

static void run_job(Bench *bench)
{
	run_job_of(bench, &bench->spec);
}

static void run_loopback(Bench *bench)
{
	PlaceSpec spec = bench->spec;
	spec.network = PLACE_NETWORK_LOOPBACK;
	run_job_of(bench, &spec);
}

static void run_host(Bench *bench)
{
	PlaceSpec spec = bench->spec;
	spec.network = PLACE_NETWORK_HOST;
	run_job_of(bench, &spec);
}

static void run_full(Bench *bench)
{
	PlaceSpec spec = bench->spec;
	spec.network = PLACE_NETWORK_FULL;
	run_job_of(bench, &spec);
}

static void run_limits(Bench *bench)
{
	const PlaceSpec spec = limited(bench, PLACE_NETWORK_NONE);
	run_job_of(bench, &spec);
}

static void run_loopback_limits(Bench *bench)
{
	const PlaceSpec spec = limited(bench, PLACE_NETWORK_LOOPBACK);
	run_job_of(bench, &spec);
}

static void run_image(Bench *bench)
{
	PlaceSpec spec = bench->spec;
	spec.root = &bench->root;
	run_job_of(bench, &spec);
}

/* A folder for its changes is made with the job's others, before, and is used once. */
static void run_image_on_disk(Bench *bench)
{
	PlaceSpec spec = bench->spec;
	PlaceRoot root = bench->root;
	root.scratch = bench->scratch;
	spec.root = &root;
	run_job_of(bench, &spec);
}

static void renew_scratch(const Bench *bench)
{
	static const char *const names[] = {"upper", "work"};
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(bench->scratch, names[i], NULL);
		fd_remove_tree(path, NULL);
		if (mkdir(path, 0755) < 0 || (geteuid() == 0 && chown(path, ORDINARY_UID, ORDINARY_UID) < 0))
			g_error("cannot make %s", path);
	}
}

static void run_step(Bench *bench)
{
	step(bench, bench->live);
}

typedef enum Against { AGAINST_BWRAP, AGAINST_CRUN, AGAINST_LIMITS } Against;
typedef enum Need { NEED_NOTHING, NEED_BWRAP, NEED_CRUN, NEED_FULL } Need;
enum { SPAWN, BWRAP, CRUN, LIMITS = 6 };

static const struct {
	const char *name;
	void (*run)(Bench *bench);
	Kind kind;
	guint every; /* rounds */
	double must; /* at most so many spawns; 0: no bar */
	Against against;
	double other_must; /* at most so many of the other */
	Need need;
} variants[] = {
	[SPAWN] = {"posix_spawn", run_spawn, KIND_PLAIN, 1, 0, AGAINST_BWRAP, 0, NEED_NOTHING},
	[BWRAP] = {"bwrap, CI profile", run_bwrap, KIND_PLAIN, 2, 0, AGAINST_BWRAP, 0, NEED_BWRAP},
	[CRUN] = {"crun run, no cgroups", run_crun, KIND_PLAIN, 4, 0, AGAINST_BWRAP, 0, NEED_CRUN},
	{"job, network none", run_job, KIND_PLAIN, 1, 3.0, AGAINST_BWRAP, 0.45, NEED_NOTHING},
	{"job, loopback", run_loopback, KIND_PLAIN, 1, 3.0, AGAINST_BWRAP, 0.45, NEED_NOTHING},
	{"job, this machine's network", run_host, KIND_PLAIN, 1, 0, AGAINST_BWRAP, 0, NEED_NOTHING},
	[LIMITS] = {"job, none, memory and processes limited", run_limits, KIND_PLAIN, 1, 3.0, AGAINST_BWRAP, 0.45, NEED_NOTHING},
	{"job, loopback, limited", run_loopback_limits, KIND_PLAIN, 1, 3.0, AGAINST_BWRAP, 0.45, NEED_NOTHING},
	{"job, limited, 300 more host mounts", run_limits, KIND_MOUNTS, 1, 3.2, AGAINST_BWRAP, 0, NEED_NOTHING},
	{"job, limited, parent of 512 MiB", run_limits, KIND_RESIDENT, 1, 0, AGAINST_LIMITS, 1.10, NEED_NOTHING},
	{"job, unpacked OCI root", run_image, KIND_PLAIN, 1, 3.5, AGAINST_CRUN, 0.33, NEED_NOTHING},
	{"job, the same, changes on the disk", run_image_on_disk, KIND_PLAIN, 2, 0, AGAINST_CRUN, 0, NEED_NOTHING},
	{"further step", run_step, KIND_PLAIN, 1, 1.4, AGAINST_BWRAP, 0, NEED_NOTHING},
	{"job, full network, by a program", run_full, KIND_PLAIN, 20, 0, AGAINST_BWRAP, 0, NEED_FULL},
};
#define VARIANTS G_N_ELEMENTS(variants)
#define ASK_JOBS 1000 /* instead of a variant: run MANY_JOBS */
#define ASK_COUNTS 1001

/* ---- a machine's counts ---- */

typedef struct Counts {
	int64_t mounts, groups, networks, descriptors, children, resident_kb;
} Counts;

static int64_t count_lines(const char *path)
{
	g_autofree char *text = NULL;
	int64_t lines = 0;
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return -1;
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	return lines;
}

/* The number in a column of a table, in the row that begins with a word. */
static int64_t number_of(const char *path, const char *word, int column)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return -1;
	g_auto(GStrv) lines = g_strsplit(text, "\n", 0);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) words = g_strsplit_set(*line, " \t", 0);
		int at = 0;
		for (char **each = words; *each; each++)
			if (**each && at++ == column && g_str_has_prefix(*line, word))
				return g_ascii_strtoll(*each, NULL, 10);
	}
	return -1;
}

static int64_t count_entries(const char *path)
{
	int64_t count = 0;
	DIR *folder = opendir(path);
	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

static Counts count_all(void)
{
	return (Counts){
		.mounts = count_lines("/proc/self/mountinfo"),
		.groups = MAX(number_of("/proc/cgroups", "memory", 2), 0) + MAX(number_of("/proc/cgroups", "pids", 2), 0),
		.descriptors = count_entries("/proc/self/fd"),
		.children = count_lines("/proc/thread-self/children") + count_entries("/proc/self/task"),
		.resident_kb = number_of("/proc/self/status", "VmRSS:", 1),
	};
}

/* Only root may know: where we are not, -1. */
static int64_t count_networks(void)
{
	return number_of("/proc/slabinfo", "net_namespace", 1);
}

/* ---- the processes that are asked ---- */

static void become_user(uid_t uid)
{
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		g_error("cannot become user %u", (unsigned)uid);
}

static void add_mounts(const Bench *bench)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		g_error("cannot have mounts of its own");
	for (int i = 0; i < MANY_MOUNTS; i++) {
		g_autofree char *path = g_strdup_printf("%s/mounts/%d", bench->folder, i);
		if (g_mkdir_with_parents(path, 0755) < 0 || mount(path, path, NULL, MS_BIND, NULL) < 0)
			g_error("cannot mount on %s", path);
	}
}

/* crun refuses a host that has v1 and a v2 tree with a controller, even when it shall use neither. */
static void hide_v2(void)
{
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		umount2("/sys/fs/cgroup/unified", MNT_DETACH);
}

static G_NORETURN void live(Bench *bench, Kind kind, uid_t uid, int ask_fd, int answer_fd)
{
	if (kind == KIND_MOUNTS && geteuid() == 0)
		add_mounts(bench);
	else
		hide_v2();
	if (uid != 0 && geteuid() == 0)
		become_user(uid);
	struct sched_param priority = {.sched_priority = 10};
	sched_setscheduler(0, SCHED_RR, &priority);
	bench->executor->prepare();
	g_autoptr(GError) error = NULL;
	if (!bench->executor->open(&bench->spec, &bench->live, &error))
		g_error("%s", error->message);
	if (kind == KIND_RESIDENT) {
		char *much = mmap(NULL, MANY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (much == MAP_FAILED)
			g_error("no memory");
		memset(much, 7, MANY_BYTES);
	}
	int asked;
	while (read(ask_fd, &asked, sizeof asked) == sizeof asked) {
		Counts counts = {0};
		if (asked < (int)VARIANTS && variants[asked].run == run_image_on_disk)
			renew_scratch(bench);
		int64_t began_us = monotonic_us();
		if (asked == ASK_COUNTS)
			counts = count_all();
		else if (asked == ASK_JOBS)
			for (int i = 0; i < MANY_JOBS; i++)
				run_limits(bench);
		else
			variants[asked].run(bench);
		int64_t took_us = monotonic_us() - began_us;
		const void *answer = asked == ASK_COUNTS ? (const void *)&counts : &took_us;
		size_t len = asked == ASK_COUNTS ? sizeof counts : sizeof took_us;
		if (write(answer_fd, answer, len) != (ssize_t)len)
			break;
	}
	bench->executor->close(bench->live);
	bench->executor->retire();
	_exit(0);
}

static void start_agent(Bench *bench, Kind kind, uid_t uid)
{
	int ask[2], answer[2];
	if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
		g_error("no pipe");
	pid_t pid = fork();
	if (pid == 0) {
		close(ask[1]);
		close(answer[0]);
		for (Kind other = 0; other < kind; other++) {
			close(bench->agents[other].ask_fd);
			close(bench->agents[other].answer_fd);
		}
		live(bench, kind, uid, ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	bench->agents[kind] = (Agent){.pid = pid, .ask_fd = ask[1], .answer_fd = answer[0]};
}

static void ask(const Bench *bench, Kind kind, int what, void *out, size_t len)
{
	const Agent *agent = &bench->agents[kind];
	if (write(agent->ask_fd, &what, sizeof what) != sizeof what || read(agent->answer_fd, out, len) != (ssize_t)len)
		g_error("a measuring process has ended");
}

static void stop_agents(Bench *bench)
{
	for (Kind kind = 0; kind < KINDS; kind++) {
		if (bench->agents[kind].pid < 0)
			continue;
		close(bench->agents[kind].ask_fd);
		waitpid(bench->agents[kind].pid, NULL, 0);
		close(bench->agents[kind].answer_fd);
	}
}

/* ---- a root that is an image ---- */

static void copy_into(const char *folder, const char *path)
{
	g_autofree char *target = g_strconcat(folder, path, NULL);
	g_autofree char *above = g_path_get_dirname(target);
	g_autofree char *bytes = NULL;
	gsize len;
	if (g_mkdir_with_parents(above, 0755) < 0 || !g_file_get_contents(path, &bytes, &len, NULL) ||
	        !g_file_set_contents(target, bytes, (gssize)len, NULL) || chmod(target, 0755) < 0)
		g_error("cannot copy %s", path);
}

/* /bin/true and what it is linked with: the least that can run. */
static void fill_layer(const char *folder)
{
	const char *const argv[] = {"ldd", "/bin/true", NULL};
	g_autoptr(GBytes) output = NULL;
	g_autoptr(GError) error = NULL;
	SpawnEnd end;
	if (!spawn_collect(argv, OUTPUT_BYTES_MAX, &output, &end, &error))
		g_error("%s", error->message);
	gsize len;
	const char *bytes = g_bytes_get_data(output, &len);
	g_autofree char *text = g_strndup(bytes, len);
	g_auto(GStrv) words = g_strsplit_set(text, " \t\n", 0);
	copy_into(folder, "/bin/true");
	for (char **word = words; *word; word++)
		if ((*word)[0] == '/')
			copy_into(folder, *word);
}

static void make_image(Bench *bench)
{
	static const char *const folders[] = {"crun", "layers/programs", "layers/settings/etc", "scratch/upper", "scratch/work",
	        "bundle/rootfs/proc", "bundle/rootfs/dev"};
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = g_build_filename(bench->folder, folders[i], NULL);
		if (g_mkdir_with_parents(path, 0755) < 0)
			g_error("cannot make %s", path);
	}
	g_autofree char *programs = g_build_filename(bench->layers, "programs", NULL);
	g_autofree char *settings = g_build_filename(bench->layers, "settings/etc/os-release", NULL);
	g_autofree char *rootfs = g_build_filename(bench->bundle, "rootfs", NULL);
	fill_layer(programs);
	fill_layer(rootfs);
	if (!g_file_set_contents(settings, "ID=bench\n", -1, NULL))
		g_error("cannot write %s", settings);
	bench->root = (PlaceRoot){.layers_folder = bench->layers, .lower = "settings:programs",
	        .work_inside = "/__w", .home_inside = "/github/home", .runner_inside = "/__r", .shm_bytes = 64 << 20};
}

static void make_bundle(const Bench *bench, uid_t uid)
{
	g_autofree char *path = g_build_filename(bench->bundle, "config.json", NULL);
	const char *format =
	        "{\"ociVersion\":\"1.0.0\",\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"/bin/true\"],"
	        "\"env\":[\"PATH=/bin\"],\"cwd\":\"/\",\"noNewPrivileges\":true},\"root\":{\"path\":\"rootfs\",\"readonly\":false},"
	        "\"hostname\":\"bench\",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	        "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"mode=755\",\"size=65536k\"]}],"
	        "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},"
	        "{\"type\":\"mount\"}%s]%s}}";
	g_autofree char *maps = g_strdup_printf(",\"uidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}],"
	        "\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}]", (unsigned)uid, (unsigned)uid);
	g_auto(GStrv) parts = g_strsplit(format, "%s", 3);
	g_autofree char *whole = g_strconcat(parts[0], uid != 0 ? ",{\"type\":\"user\"}" : "", parts[1], uid != 0 ? maps : "",
	        parts[2], NULL);
	if (!g_file_set_contents(path, whole, -1, NULL))
		g_error("cannot write %s", path);
}

/* ---- a run ---- */

static int compare_times(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
	return (left > right) - (left < right);
}

static bool is_due(const Bench *bench, size_t variant, guint64 round)
{
	return round % variants[variant].every == 0 && (variants[variant].need != NEED_BWRAP || bench->has_bwrap) &&
	       (variants[variant].need != NEED_CRUN || bench->has_crun) &&
	       (variants[variant].need != NEED_FULL || bench->has_full);
}

static void measure(const Bench *bench, guint64 rounds, GArray *times[VARIANTS])
{
	for (guint64 round = 0; round < rounds; round++) {
		size_t order[VARIANTS];
		for (size_t i = 0; i < VARIANTS; i++)
			order[i] = i;
		for (size_t i = VARIANTS - 1; i > 0; i--) {
			size_t other = (size_t)g_random_int_range(0, (gint32)i + 1);
			size_t kept = order[i];
			order[i] = order[other];
			order[other] = kept;
		}
		for (size_t i = 0; i < VARIANTS; i++) {
			int64_t took_us;
			if (!is_due(bench, order[i], round))
				continue;
			ask(bench, variants[order[i]].kind, (int)order[i], &took_us, sizeof took_us);
			g_array_append_val(times[order[i]], took_us);
			g_usleep(PAUSE_US);
		}
	}
}

static double at_share(GArray *times, double share)
{
	return times->len == 0 ? 0 : (double)g_array_index(times, int64_t, (guint)(share * (times->len - 1)));
}

static const char *verdict(double ratio, double must)
{
	return must == 0 || ratio == 0 ? "" : ratio <= must ? "ok" : "MISSED";
}

static void print_times(GArray *times[VARIANTS])
{
	double medians[VARIANTS];
	for (size_t i = 0; i < VARIANTS; i++) {
		qsort(times[i]->data, times[i]->len, sizeof(int64_t), compare_times);
		medians[i] = at_share(times[i], 0.5);
	}
	const double others[] = {[AGAINST_BWRAP] = medians[BWRAP], [AGAINST_CRUN] = medians[CRUN], [AGAINST_LIMITS] = medians[LIMITS]};
	static const char *const names[] = {[AGAINST_BWRAP] = "bwrap", [AGAINST_CRUN] = "crun", [AGAINST_LIMITS] = "the same"};
	printf("%-41s %8s %8s %8s %14s %19s\n", "", "median", "p95", "× spawn", "must", "× other, must");
	for (size_t i = 0; i < VARIANTS; i++) {
		if (times[i]->len == 0)
			continue;
		double ratio = medians[i] / medians[SPAWN];
		double other = others[variants[i].against] > 0 ? medians[i] / others[variants[i].against] : 0;
		g_autofree char *must = variants[i].must > 0
		                                ? g_strdup_printf("≤ %.1f %s", variants[i].must, verdict(ratio, variants[i].must))
		                                : g_strdup("");
		g_autofree char *other_must =
		        variants[i].other_must > 0
		                ? g_strdup_printf("≤ %.2f %s", variants[i].other_must, verdict(other, variants[i].other_must))
		                : g_strdup("");
		printf("%-41s %8.0f %8.0f %8.2f %14s %7.2f %s %s\n", variants[i].name, medians[i], at_share(times[i], 0.95), ratio,
		        must, other, names[variants[i].against], other_must);
	}
}

/* The kernel clears behind a job's end: it is given time to. */
static void run_many(const Bench *bench)
{
	Counts before, after;
	int64_t took_us;
	ask(bench, KIND_PLAIN, ASK_COUNTS, &before, sizeof before);
	before.networks = count_networks();
	ask(bench, KIND_PLAIN, ASK_JOBS, &took_us, sizeof took_us);
	bool same = false;
	for (int waited = 0; waited < CLEARED_MS_MAX && !same; waited += 200) {
		g_usleep(200000);
		ask(bench, KIND_PLAIN, ASK_COUNTS, &after, sizeof after);
		after.networks = count_networks();
		same = after.mounts == before.mounts && after.groups <= before.groups && after.networks <= before.networks &&
		       after.descriptors == before.descriptors && after.children == before.children &&
		       after.resident_kb <= before.resident_kb + 1024;
	}
	printf("after %d jobs (%.2f ms each): mounts %" G_GINT64_FORMAT " → %" G_GINT64_FORMAT ", cgroups %" G_GINT64_FORMAT
	       " → %" G_GINT64_FORMAT ", network namespaces %" G_GINT64_FORMAT " → %" G_GINT64_FORMAT ", descriptors %" G_GINT64_FORMAT
	       " → %" G_GINT64_FORMAT ", processes %" G_GINT64_FORMAT " → %" G_GINT64_FORMAT ", resident %" G_GINT64_FORMAT
	       " → %" G_GINT64_FORMAT " kB: %s\n", MANY_JOBS, (double)took_us / 1000 / MANY_JOBS, before.mounts, after.mounts,
	        before.groups, after.groups, before.networks, after.networks, before.descriptors, after.descriptors,
	        before.children, after.children, before.resident_kb, after.resident_kb, same ? "ok" : "MISSED");
}

static void give(const char *path, uid_t uid)
{
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
	if (lchown(path, uid, uid) < 0)
		g_error("cannot give %s away", path);
	for (const char *name; folder && (name = g_dir_read_name(folder));) {
		g_autofree char *inner = g_build_filename(path, name, NULL);
		give(inner, uid);
	}
}

static bool works(const char *const *argv)
{
	g_autoptr(GBytes) output = NULL;
	SpawnEnd end;
	return spawn_collect(argv, OUTPUT_BYTES_MAX, &output, &end, NULL) && end.exit_code == 0;
}

/* It takes a program and a device that not every user may open. */
static bool can_have_full_network(const Bench *bench, uid_t uid)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (uid != 0 && geteuid() == 0)
			become_user(uid);
		PlaceSpec spec = bench->spec;
		spec.network = PLACE_NETWORK_FULL;
		g_autoptr(GError) error = NULL;
		Place *place = NULL;
		bool can = bench->executor->open(&spec, &place, &error);
		if (!can)
			fprintf(stderr, "no full network: %s\n", error->message);
		bench->executor->close(place);
		_exit(!can);
	}
	int status;
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void run_as(Bench *bench, uid_t uid, guint64 rounds)
{
	const char *const bwrap[] = {"bwrap", "--version", NULL};
	const char *const crun[] = {"crun", "--version", NULL};
	bench->has_bwrap = works(bwrap);
	bench->has_crun = works(crun);
	make_bundle(bench, uid);
	if (geteuid() == 0)
		give(bench->folder, ORDINARY_UID);
	/* Jobs of root's agent run as somebody else, as the config has it; an ordinary user's run as he is. */
	bench->spec.uid = bench->spec.gid = ORDINARY_UID;
	bench->has_full = can_have_full_network(bench, uid);
	for (Kind kind = 0; kind < KINDS; kind++)
		start_agent(bench, kind, uid);
	GArray *times[VARIANTS];
	for (size_t i = 0; i < VARIANTS; i++)
		times[i] = g_array_new(FALSE, FALSE, sizeof(int64_t));
	measure(bench, rounds, times);
	printf("\nas %s, %" G_GUINT64_FORMAT " rounds, microseconds\n", uid == 0 && geteuid() == 0 ? "root" : "an ordinary user", rounds);
	print_times(times);
	run_many(bench);
	stop_agents(bench);
	for (size_t i = 0; i < VARIANTS; i++)
		g_array_unref(times[i]);
}

/* --loop VARIANT COUNT: one of them alone, for a profiler to look at. */
static int loop(Bench *bench, const char *variant, const char *count)
{
	guint64 which, times;
	int64_t took_us, all_us = 0;
	if (!g_ascii_string_to_unsigned(variant, 10, 0, VARIANTS - 1, &which, NULL) ||
	        !g_ascii_string_to_unsigned(count, 10, 1, 1000000, &times, NULL))
		return 2;
	bool ordinary = geteuid() == 0 && g_getenv("ASSAY_BENCH_ORDINARY");
	make_bundle(bench, ordinary ? ORDINARY_UID : geteuid());
	if (geteuid() == 0)
		give(bench->folder, ORDINARY_UID);
	bench->spec.uid = bench->spec.gid = ORDINARY_UID;
	for (Kind kind = 0; kind < KINDS; kind++)
		if (kind != variants[which].kind)
			bench->agents[kind] = (Agent){.pid = -1, .ask_fd = -1, .answer_fd = -1};
		else
			start_agent(bench, kind, ordinary ? ORDINARY_UID : geteuid());
	for (guint64 i = 0; i < times; i++) {
		ask(bench, variants[which].kind, (int)which, &took_us, sizeof took_us);
		all_us += took_us;
	}
	stop_agents(bench);
	printf("%s: %.0f microseconds each\n", variants[which].name, (double)all_us / (double)times);
	return 0;
}

int main(int argc, char **argv)
{
	guint64 rounds = ROUNDS;
	bool is_loop = argc == 4 && strcmp(argv[1], "--loop") == 0;
	if (!is_loop && argc > 1 && !g_ascii_string_to_unsigned(argv[1], 10, 1, 100000, &rounds, NULL))
		return 2;
	struct sched_param priority = {.sched_priority = 10};
	bool real_time = sched_setscheduler(0, SCHED_RR, &priority) == 0;
	g_autofree char *folder = g_dir_make_tmp("assay-bench-XXXXXX", NULL);
	Bench bench = {.executor = executor_find("sandbox"), .folder = folder};
	bench.work = g_build_filename(folder, "work", NULL);
	bench.home = g_build_filename(folder, "home", NULL);
	bench.layers = g_build_filename(folder, "layers", NULL);
	bench.scratch = g_build_filename(folder, "scratch", NULL);
	bench.bundle = g_build_filename(folder, "bundle", NULL);
	bench.state = g_build_filename(folder, "crun", NULL);
	bench.spec.work_folder = bench.work;
	bench.spec.home_folder = bench.home;
	bench.spec.hostname = "assay";
	/* A folder on a disk costs as much as half a place, so the mount point is made with the job's others, before. */
	g_autofree char *point = g_build_filename(bench.home, "work", NULL);
	if (chmod(folder, 0755) < 0 || mkdir(bench.work, 0755) < 0 || mkdir(bench.home, 0755) < 0 || mkdir(point, 0755) < 0)
		return 3;
	make_image(&bench);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (is_loop) {
		int status = loop(&bench, argv[2], argv[3]);
		fd_remove_tree(folder, NULL);
		return status;
	}
	printf("%s priority\n", real_time ? "real-time" : "ordinary");
	if (geteuid() == 0)
		run_as(&bench, 0, rounds);
	run_as(&bench, geteuid() == 0 ? ORDINARY_UID : geteuid(), rounds);
	fd_remove_tree(folder, NULL);
	return 0;
}
