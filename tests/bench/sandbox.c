/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place costs, as multiples of a plain process: ninja bench-sandbox && tests/bench-sandbox [ROUNDS].
 * All variants run in one process, in a new random order each round, at real-time priority where that is allowed;
 * only ratios within one run are to be compared. ASSAY_BENCH_UID=N measures as that user.
 */
#include <errno.h>
#include <glib.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/fd.h"
#include "agent/executor.h"

#define ROUNDS 120
#define PAUSE_US 700 /* lets the kernel clear what the last variant left */

typedef struct Bench {
	const Executor *executor;
	PlaceSpec spec;
	Place *live;
	char *bwrap_bind;
} Bench;

static const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};

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
	        "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", bench->bwrap_bind, "/work", "--chdir",
	        "/work", "--cap-drop", "ALL", "--new-session", "--die-with-parent", "/bin/true", NULL};
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

static void run_job(Bench *bench)
{
	g_autoptr(GError) error = NULL;
	Place *place = NULL;
	if (!bench->executor->open(&bench->spec, &place, &error))
		g_error("%s", error->message);
	step(bench, place);
	bench->executor->close(place);
}

static void run_job_loopback(Bench *bench)
{
	bench->spec.network = PLACE_NETWORK_LOOPBACK;
	run_job(bench);
	bench->spec.network = PLACE_NETWORK_NONE;
}

static void run_job_full(Bench *bench)
{
	bench->spec.network = PLACE_NETWORK_FULL;
	run_job(bench);
	bench->spec.network = PLACE_NETWORK_NONE;
}

static void run_job_limits(Bench *bench)
{
	bench->spec.memory_bytes = INT64_C(1) << 30;
	bench->spec.processes = 1000;
	run_job(bench);
	bench->spec.memory_bytes = bench->spec.processes = 0;
}

static void run_step(Bench *bench)
{
	step(bench, bench->live);
}

static const struct {
	const char *name;
	void (*run)(Bench *bench);
} variants[] = {
	{"posix_spawn", run_spawn},
	{"bwrap, CI profile", run_bwrap},
	{"job, network none", run_job},
	{"job, loopback", run_job_loopback},
	{"job, full network", run_job_full},
	{"job, memory and processes limited", run_job_limits},
	{"further step", run_step},
};

static int compare_times(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
	return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
	guint64 rounds = ROUNDS, uid = 0;
	if (argc > 1 && !g_ascii_string_to_unsigned(argv[1], 10, 1, 100000, &rounds, NULL))
		return 2;
	struct sched_param priority = {.sched_priority = 10};
	bool real_time = sched_setscheduler(0, SCHED_RR, &priority) == 0;
	g_autofree char *root = g_dir_make_tmp("assay-bench-XXXXXX", NULL);
	g_autofree char *work = g_build_filename(root, "work", NULL);
	g_autofree char *home = g_build_filename(root, "home", NULL);
	Bench bench = {.executor = executor_find("sandbox"), .spec = {.work_folder = work, .home_folder = home},
	        .bwrap_bind = work};
	const char *user = g_getenv("ASSAY_BENCH_UID");
	/* A folder on a disk costs as much as half a place, so the mount point is made with the job's others, before. */
	g_autofree char *point = g_build_filename(home, "work", NULL);
	if (mkdir(work, 0755) < 0 || mkdir(home, 0755) < 0 || mkdir(point, 0755) < 0)
		return 3;
	bench.spec.uid = bench.spec.gid = 54321;
	if (user && g_ascii_string_to_unsigned(user, 10, 1, G_MAXINT, &uid, NULL)) {
		if (chown(root, (uid_t)uid, (gid_t)uid) < 0 || chown(work, (uid_t)uid, (gid_t)uid) < 0 ||
		        chown(home, (uid_t)uid, (gid_t)uid) < 0 || setgroups(0, NULL) < 0 ||
		        setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) < 0 || setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0)
			return 3;
	}
	g_autoptr(GError) error = NULL;
	bench.executor->prepare();
	if (!bench.executor->open(&bench.spec, &bench.live, &error))
		g_error("%s", error->message);
	const size_t count = G_N_ELEMENTS(variants);
	g_autofree int64_t *times = g_new0(int64_t, rounds * count);
	for (guint64 round = 0; round < rounds; round++) {
		size_t order[G_N_ELEMENTS(variants)];
		for (size_t i = 0; i < count; i++)
			order[i] = i;
		for (size_t i = count - 1; i > 0; i--) {
			size_t other = (size_t)g_random_int_range(0, (gint32)i + 1);
			size_t kept = order[i];
			order[i] = order[other];
			order[other] = kept;
		}
		for (size_t i = 0; i < count; i++) {
			int64_t began_us = monotonic_us();
			variants[order[i]].run(&bench);
			times[order[i] * rounds + round] = monotonic_us() - began_us;
			g_usleep(PAUSE_US);
		}
	}
	bench.executor->close(bench.live);
	fd_remove_tree(root, NULL);
	double spawn_us = 1, bwrap_us = 1;
	printf("%" G_GUINT64_FORMAT " rounds, %s priority\n%-36s %9s %9s %8s %8s\n", rounds,
	        real_time ? "real-time" : "ordinary", "", "median µs", "p95 µs", "× spawn", "× bwrap");
	for (size_t i = 0; i < count; i++) {
		int64_t *row = times + i * rounds;
		qsort(row, rounds, sizeof *row, compare_times);
		double median = (double)row[rounds / 2];
		if (i == 0)
			spawn_us = median;
		if (i == 1)
			bwrap_us = median;
	}
	for (size_t i = 0; i < count; i++) {
		const int64_t *row = times + i * rounds;
		double median = (double)row[rounds / 2];
		printf("%-36s %9.0f %9.0f %8.2f %8.2f\n", variants[i].name, median, (double)row[rounds * 95 / 100],
		        median / spawn_us, median / bwrap_us);
	}
	return 0;
}
