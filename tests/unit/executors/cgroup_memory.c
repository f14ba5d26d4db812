/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory groups of version 1 that serve one place after the other. Where there are none (another version, or no right to
 * make them) there is nothing to test, and each case says so. Each case is a process of its own: the pool is its process's.
 */
#include "executors/cgroup_memory.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (INT64_C(1) << 20)
#define LIMIT (256 * MIB)
#define KEPT 4

/* Where they are, found by making one; NULL: none can be made. */
static char *base_of_groups(void)
{
	const CgroupLimits limits = {.memory_bytes = LIMIT};
	Cgroup group;
	cgroup_make(&limits, &group);
	char *base = group.memory_at >= 0 && group.has_memory ? g_path_get_dirname(group.folders[group.memory_at]) : NULL;
	cgroup_remove(&group);
	return base;
}

static int count_named(const char *base, const char *kind, pid_t pid)
{
	g_autofree char *prefix = g_strdup_printf("%s%d-", kind, (int)pid);
	g_autoptr(GDir) folder = g_dir_open(base, 0, NULL);
	int count = 0;
	for (const char *name; folder && (name = g_dir_read_name(folder));)
		count += g_str_has_prefix(name, prefix);
	return count;
}

static int64_t value_of(const Cgroup *group, const char *file)
{
	g_autofree char *path = g_build_filename(group->folders[group->memory_at], file, NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return g_ascii_strtoll(text, NULL, 10);
}

static void make(int64_t limit_bytes, Cgroup *out)
{
	const CgroupLimits limits = {.memory_bytes = limit_bytes};
	cgroup_make(&limits, out);
	g_assert_true(out->has_memory);
	g_assert_cmpint(out->memory_at, ==, 0);
}

static ino_t identity(const Cgroup *group)
{
	struct stat info;
	g_assert_cmpint(stat(group->folders[group->memory_at], &info), ==, 0);
	return info.st_ino;
}

/* The kernel keeps some memory charged for each CPU: with one, how much is left does not depend on how many there are. */
static void stay_on_one_cpu(void)
{
	cpu_set_t allowed, one;
	g_assert_cmpint(sched_getaffinity(0, sizeof allowed, &allowed), ==, 0);
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			CPU_SET(cpu, &one);
	g_assert_cmpint(sched_setaffinity(0, sizeof one, &one), ==, 0);
}

/* A process in the group that needs so much memory, and writes so much to a file. */
static StepEnd live_in(const Cgroup *group, int64_t bytes, int64_t file_bytes)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (!cgroup_join(group))
			_exit(1);
		char *at = mmap(NULL, (size_t)bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			_exit(2);
		memset(at, 7, (size_t)bytes + 1);
		int fd = file_bytes ? open("file", O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
		if (file_bytes && write(fd, at, (size_t)file_bytes) != (ssize_t)file_bytes)
			_exit(3);
		_exit(0);
	}
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	StepEnd end = {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
	        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0, .cause = "exit", .memory_peak_bytes = -1};
	CgroupCounts known = {0};
	cgroup_judge(group, &known, &end);
	return end;
}

static void case_one_serves_many(const char *base)
{
	Cgroup group;
	cgroup_prepare();
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, KEPT);
	make(LIMIT, &group);
	ino_t first = identity(&group);
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, KEPT - 1);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 1);
	StepEnd end = live_in(&group, 64 * MIB, 0);
	g_assert_cmpint(end.exit_code, ==, 0);
	g_assert_cmpint(end.memory_peak_bytes, >=, 64 * MIB);
	cgroup_remove(&group);
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, KEPT);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 0);

	/* The limit is another's, higher or lower, and the most that was used is forgotten. */
	for (int i = 0; i < 3; i++) {
		int64_t limit_bytes = i % 2 ? 4 * LIMIT : LIMIT / 2;
		make(limit_bytes, &group);
		g_assert_cmpint((int64_t)identity(&group), ==, (int64_t)first);
		g_assert_cmpint(value_of(&group, "memory.limit_in_bytes"), >=, limit_bytes);
		g_assert_cmpint(value_of(&group, "memory.limit_in_bytes"), <=, limit_bytes + 4 * MIB);
		g_assert_cmpint(live_in(&group, 1 * MIB, 0).memory_peak_bytes, <, 32 * MIB);
		cgroup_remove(&group);
	}
	cgroup_memory_retire();
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, 0);
}

static void case_more_than_are_ready(const char *base)
{
	Cgroup groups[KEPT + 3];
	cgroup_prepare();
	for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
		make(LIMIT, &groups[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
		for (size_t j = 0; j < i; j++)
			g_assert_cmpstr(groups[i].folders[0], !=, groups[j].folders[0]);
	for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
		cgroup_remove(&groups[i]);
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, KEPT);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 0);
	cgroup_memory_retire();
}

static void case_not_after_want_of_memory(const char *base)
{
	Cgroup group;
	cgroup_prepare();
	make(32 * MIB, &group);
	g_autofree char *used = g_strdup(group.folders[0]);
	ino_t first = identity(&group);
	if (live_in(&group, 64 * MIB, 0).signal != SIGKILL) {
		g_test_message("this host has swapped it out");
		cgroup_remove(&group);
		cgroup_memory_retire();
		return;
	}
	cgroup_remove(&group);
	for (int i = 0; i < KEPT + 1; i++) {
		make(LIMIT, &group);
		g_assert_cmpint((int64_t)identity(&group), !=, (int64_t)first);
		StepEnd end = {.exit_code = 1, .cause = "exit"};
		CgroupCounts known = {0};
		cgroup_judge(&group, &known, &end);
		g_assert_cmpstr(end.cause, ==, "exit");
		cgroup_remove(&group);
	}
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 0);
	cgroup_memory_retire();
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, 0);
}

/* What it left in the page cache is still its group's. */
static void case_not_with_what_is_left(const char *base)
{
	g_autofree char *folder = g_dir_make_tmp("assay-cgroup-XXXXXX", NULL);
	g_assert_cmpint(g_chdir(folder), ==, 0);
	Cgroup group;
	cgroup_prepare();
	make(LIMIT, &group);
	ino_t first = identity(&group);
	g_assert_cmpint(live_in(&group, 16 * MIB, 16 * MIB).exit_code, ==, 0);
	if (value_of(&group, "memory.usage_in_bytes") > 8 * MIB) {
		cgroup_remove(&group);
		g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, KEPT - 1);
		for (int i = 0; i < KEPT + 1; i++) {
			make(LIMIT, &group);
			g_assert_cmpint((int64_t)identity(&group), !=, (int64_t)first);
			cgroup_remove(&group);
		}
	} else {
		g_test_message("this host's page cache is in no group");
		cgroup_remove(&group);
	}
	cgroup_memory_retire();
	unlink("file");
	g_assert_cmpint(g_chdir("/"), ==, 0);
	rmdir(folder);
}

static void case_not_with_somebody_in_it(const char *base)
{
	Cgroup group;
	cgroup_prepare();
	make(LIMIT, &group);
	ino_t first = identity(&group);
	int ends[2];
	char byte = 0;
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	pid_t stays = fork();
	if (stays == 0) {
		bool joined = cgroup_join(&group);
		(void)!write(ends[1], "x", 1);
		pause();
		_exit(!joined);
	}
	g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
	g_assert_true(cgroup_memory_keep(&group));
	g_free(g_steal_pointer(&group.folders[0]));
	for (int i = 0; i < KEPT; i++) {
		Cgroup other;
		make(LIMIT, &other);
		g_assert_cmpint((int64_t)identity(&other), !=, (int64_t)first);
		cgroup_remove(&other);
	}
	kill(stays, SIGKILL);
	waitpid(stays, NULL, 0);
	cgroup_memory_retire();
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, 0);
}

static pid_t wait_for(pid_t pid, int expected)
{
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), ==, expected);
	return pid;
}

/* A clone is killed with its group, then the process that made them: the next finds both. */
static void case_killed(const char *base)
{
	pid_t zygote = fork();
	if (zygote == 0) {
		cgroup_prepare();
		pid_t worker = fork();
		if (worker == 0) {
			Cgroup group;
			make(LIMIT, &group);
			g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 1);
			raise(SIGKILL);
		}
		pid_t killed = wait_for(worker, SIGKILL);
		g_assert_cmpint(count_named(base, CGROUP_PREFIX, killed), ==, 1);
		worker = fork();
		if (worker == 0) { /* looks behind the last, though it need not make one */
			Cgroup group;
			make(LIMIT, &group);
			cgroup_remove(&group);
			_exit(0);
		}
		wait_for(worker, 0);
		g_assert_cmpint(count_named(base, CGROUP_PREFIX, killed), ==, 0);
		g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, KEPT - 1);
		raise(SIGKILL);
	}
	wait_for(zygote, SIGKILL);
	g_assert_cmpint(count_named(base, CGROUP_READY, zygote), ==, KEPT - 1);
	cgroup_prepare();
	g_assert_cmpint(count_named(base, CGROUP_READY, zygote), ==, 0);
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, KEPT);
	cgroup_memory_retire();
}

/* Whoever is told which worker was killed removes its groups, once its last process has ended; and nobody else's. */
static void case_tidied(const char *base)
{
	int born[2];
	pid_t member = 0;
	Cgroup group;
	cgroup_prepare();
	make(LIMIT, &group);
	g_assert_cmpint(pipe2(born, O_CLOEXEC), ==, 0);
	pid_t worker = fork();
	if (worker == 0) {
		Cgroup own, second;
		make(LIMIT, &own);
		make(LIMIT, &second);
		pid_t pid = fork();
		if (pid == 0) {
			bool joined = cgroup_join(&own);
			close(own.doors[0]); /* as a step, which holds nothing */
			close(second.doors[0]);
			pid = getpid();
			g_assert_cmpint(write(born[1], &pid, sizeof pid), ==, sizeof pid);
			pause();
			_exit(!joined);
		}
		pause();
	}
	g_assert_cmpint(read(born[0], &member, sizeof member), ==, sizeof member);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, worker), ==, 2);
	g_assert_false(cgroup_tidy(worker)); /* it lives, and holds them */
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, worker), ==, 2);
	kill(worker, SIGKILL);
	wait_for(worker, SIGKILL);
	g_assert_false(cgroup_tidy(worker));
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, worker), ==, 1);
	kill(member, SIGKILL);
	for (int i = 0; i < 6000 && !cgroup_tidy(worker); i++)
		g_usleep(10000);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, worker), ==, 0);
	g_assert_true(cgroup_tidy(worker));
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 1);
	cgroup_remove(&group);
	cgroup_memory_retire();
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, 0);
}

/* Looks for what the dead have left, in a process namespace where nobody has the numbers of this one. */
static bool sweep_elsewhere(const char *base)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(77);
		pid_t first = fork();
		if (first == 0) {
			g_assert_cmpint(mount("proc", "/proc", "proc", 0, NULL), ==, 0);
			cgroup_prepare();
			g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, KEPT);
			cgroup_memory_retire();
			_exit(0);
		}
		wait_for(first, 0);
		_exit(0);
	}
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77));
	return WEXITSTATUS(status) == 0;
}

/* To an agent with its own numbers of processes a group in use looks like one of the dead, until it asks who holds it. */
static void case_used_by_another_namespace(const char *base)
{
	int born[2];
	char byte;
	Cgroup group;
	make(LIMIT, &group);
	g_assert_cmpint(pipe2(born, O_CLOEXEC), ==, 0);
	pid_t worker = fork();
	if (worker == 0) {
		Cgroup own;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		make(LIMIT, &own);
		g_assert_cmpint(write(born[1], "x", 1), ==, 1);
		pause();
	}
	g_assert_cmpint(read(born[0], &byte, 1), ==, 1);
	if (!sweep_elsewhere(base)) {
		kill(worker, SIGKILL);
		_exit(wait_for(worker, SIGKILL) == worker ? 77 : 1);
	}
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 1);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, worker), ==, 1);
	kill(worker, SIGKILL);
	wait_for(worker, SIGKILL);
	g_assert_true(sweep_elsewhere(base));
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, worker), ==, 0);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 1);
	pid_t member = fork();
	if (member == 0)
		_exit(cgroup_join(&group) ? 0 : 1);
	wait_for(member, 0);
	cgroup_remove(&group);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 0);
}

/* Whose maker is gone removes its own: nobody else would. */
static void case_the_maker_ended(const char *base)
{
	int ends[2];
	char byte = 0;
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	pid_t zygote = fork();
	if (zygote == 0) {
		cgroup_prepare();
		int born[2];
		g_assert_cmpint(pipe2(born, O_CLOEXEC), ==, 0);
		if (fork() == 0) {
			Cgroup group;
			pid_t maker = getppid();
			make(LIMIT, &group);
			g_assert_cmpint(write(born[1], "x", 1), ==, 1);
			while (getppid() == maker)
				g_usleep(1000);
			cgroup_remove(&group);
			g_assert_cmpint(count_named(base, CGROUP_PREFIX, getpid()), ==, 0);
			g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
			_exit(0);
		}
		g_assert_cmpint(read(born[0], &byte, 1), ==, 1);
		cgroup_memory_retire();
		_exit(0);
	}
	wait_for(zygote, 0);
	close(ends[1]);
	g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
	g_assert_cmpint(count_named(base, CGROUP_READY, zygote), ==, 0);
}

/* Its maker has removed all that were ready, and still ends: what is given back then would be nobody's. */
static void case_given_back_while_the_maker_ends(const char *base)
{
	int born[2], retired[2];
	char byte = 0;
	g_assert_cmpint(pipe2(born, O_CLOEXEC), ==, 0);
	g_assert_cmpint(pipe2(retired, O_CLOEXEC), ==, 0);
	cgroup_prepare();
	pid_t worker = fork();
	if (worker == 0) {
		Cgroup group;
		make(LIMIT, &group);
		g_assert_cmpint(write(born[1], "x", 1), ==, 1);
		g_assert_cmpint(read(retired[0], &byte, 1), ==, 1);
		cgroup_remove(&group);
		_exit(0);
	}
	g_assert_cmpint(read(born[0], &byte, 1), ==, 1);
	cgroup_memory_retire();
	g_assert_cmpint(write(retired[1], "x", 1), ==, 1);
	wait_for(worker, 0);
	g_assert_cmpint(count_named(base, CGROUP_READY, getpid()), ==, 0);
	g_assert_cmpint(count_named(base, CGROUP_PREFIX, worker), ==, 0);
}

static bool has_version_1(void)
{
	g_autofree char *table = NULL;
	return g_file_get_contents("/proc/self/mounts", &table, NULL, NULL) &&
	       g_regex_match_simple(" cgroup [^ ]*\\bmemory\\b", table, 0, 0);
}

typedef void Case(const char *base);

static void test_case(const void *data)
{
	Case *const *which = data;
	g_autofree char *base = base_of_groups();
	if (!base) {
		g_test_skip(has_version_1() ? "no memory groups of version 1 can be made here by this user"
		                            : "this machine has no memory groups of version 1; what version 2 does is tried in the guest");
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		stay_on_one_cpu();
		(*which)(base);
		_exit(0);
	}
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	bool not_here = WIFEXITED(status) && WEXITSTATUS(status) == 77;
	if (not_here && geteuid() == 0)
		g_test_fail_printf("no process namespace can be made here, which root can");
	else if (not_here)
		g_test_skip("no process namespace can be made here");
	else
		g_assert_cmpint(status, ==, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		Case *run;
	} cases[] = {
		{"/cgroup_memory/one_serves_many_places", case_one_serves_many},
		{"/cgroup_memory/more_places_than_are_ready", case_more_than_are_ready},
		{"/cgroup_memory/not_again_after_want_of_memory", case_not_after_want_of_memory},
		{"/cgroup_memory/not_again_with_what_is_left", case_not_with_what_is_left},
		{"/cgroup_memory/not_again_with_somebody_in_it", case_not_with_somebody_in_it},
		{"/cgroup_memory/killed_ones_leave_nothing", case_killed},
		{"/cgroup_memory/tidied_when_told", case_tidied},
		{"/cgroup_memory/not_taken_from_another_namespace", case_used_by_another_namespace},
		{"/cgroup_memory/removed_when_the_maker_has_ended", case_the_maker_ended},
		{"/cgroup_memory/removed_while_the_maker_ends", case_given_back_while_the_maker_ends},
	};
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_test_add_data_func(cases[i].name, &cases[i].run, test_case);
	return g_test_run();
}
