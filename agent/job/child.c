/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a command. One pipe takes stdout and stderr, so that lines keep their order. The loop reads as long as there
 * is something to read, and writes the log out when there is not: a talker is copied in large pieces, a quiet step's
 * line is visible at once. The end of the command is what its executor says, never the end of the pipe, which a
 * process that was left behind could keep open.
 */
#include "agent/job/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/containers.h"
#include "agent/job/contexts.h"
#include "agent/job/disk.h"
#include "agent/job/energy.h"
#include "agent/job/service.h"

#define READ_BYTES (256 * 1024)
#define READS_IN_A_ROW 16               /* then signals and deadlines are looked at */
#define PIPE_BYTES (256 * 1024)
#define DRAIN_BYTES_MAX (16 * 1024 * 1024)
#define GRACE_US_DEFAULT 10000000
#define AFTER_KILL_US 15000000
#define STAGE_KILL 2 /* the next signal is SIGKILL */

typedef struct Running {
	Job *job;
	Child child;
	int pipe_fd;        /* -1 when it has ended */
	char *bytes;
	const char *reason; /* why it is being stopped: "cancelled" or "timeout" */
	int stage;          /* 0: not; then SIGINT, SIGTERM, SIGKILL were sent */
	int64_t next_us;    /* when the next stage begins */
	int64_t deadline_us;
	bool ignore_cancel; /* the job is cancelled already: this one runs because of always() */
	DiskWatch disk;
	int64_t disk_bytes;
} Running;

/* Reads what is there. false when the pipe has ended. */
static bool read_some(Running *running, int reads)
{
	for (int i = 0; i < reads; i++) {
		ssize_t got = read(running->pipe_fd, running->bytes, READ_BYTES);
		if (got > 0) {
			joblog_feed(running->job->log, running->bytes, (size_t)got);
			continue;
		}
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0 || errno != EAGAIN) {
			close(fd_steal(&running->pipe_fd));
			break;
		}
		joblog_flush(running->job->log, NULL);
		return true;
	}
	return running->pipe_fd >= 0;
}

static void drain(Running *running)
{
	for (int i = 0; running->pipe_fd >= 0 && i < DRAIN_BYTES_MAX / PIPE_BYTES; i++) {
		int ready = 0;
		struct pollfd one = {.fd = running->pipe_fd, .events = POLLIN};
		ready = poll(&one, 1, 0);
		if (ready <= 0)
			break;
		read_some(running, READS_IN_A_ROW);
	}
}

/* The next, harder signal. */
static void stop_harder(Running *running, int64_t now)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGKILL};
	int64_t grace = json_get_int(json_object_get(running->job->spec, "limits"), "grace_us", GRACE_US_DEFAULT);
	Job *job = running->job;
	if (running->stage < (int)G_N_ELEMENTS(signals)) {
		job->executor->signal(job->place, &running->child, signals[running->stage]);
		running->stage++;
	}
	int64_t pause = running->stage == 1 ? grace * 3 / 4 : grace / 4;
	running->next_us = now + (running->stage == (int)G_N_ELEMENTS(signals) ? AFTER_KILL_US : pause);
}

/* Ends a command whose job fills the disk: at once, since it would go on filling it for as long as its grace. */
static bool is_filling_disk(Running *running, int64_t now)
{
	Job *job = running->job;
	char *why = disk_look(&running->disk, job->task->folder_fd, running->disk_bytes, now);
	if (!why)
		return false;
	g_free(job->disk_why);
	job->disk_why = why;
	running->stage = STAGE_KILL;
	return true;
}

/* Looks at signals, clocks and the disk; false when a killed command does not end. */
static bool look_around(Running *running)
{
	int64_t now = monotonic_us();
	const Task *task = running->job->task;
	if (task->held && now >= task->held_until_us)
		task_flush(running->job->task, NULL);
	if (!running->reason) {
		if (!running->ignore_cancel && task_is_cancelled(running->job->task))
			running->reason = CAUSE_CANCELLED;
		else if (running->deadline_us && now >= running->deadline_us)
			running->reason = CAUSE_TIMEOUT;
		else if (!joblog_flush(running->job->log, NULL))
			running->reason = CAUSE_DISK;
		else if (is_filling_disk(running, now))
			running->reason = CAUSE_DISK;
		if (running->reason)
			stop_harder(running, now);
		return true;
	}
	if (now < running->next_us)
		return true;
	if (running->stage == 3)
		return false;
	stop_harder(running, now);
	return true;
}

static int wait_ms(const Running *running)
{
	int64_t until = running->reason ? running->next_us : running->disk.next_us;
	if (!running->reason && running->deadline_us)
		until = MIN(until, running->deadline_us);
	if (running->job->task->held)
		until = MIN(until, running->job->task->held_until_us);
	int64_t left = until - monotonic_us();
	return left <= 0 ? 0 : (int)MIN(left / 1000 + 1, (int64_t)G_MAXINT);
}

static bool follow(Running *running, GError **error)
{
	for (;;) {
		bool watch_signal = !running->reason && !running->ignore_cancel;
		struct pollfd polls[] = {{.fd = running->pipe_fd, .events = POLLIN},
		        {.fd = running->child.fd, .events = POLLIN},
		        {.fd = watch_signal ? running->job->task->signal_fd : -1, .events = POLLIN},
		        {.fd = service_fd(running->job->service), .events = POLLIN},
		        {.fd = running->job->printed_fd, .events = POLLIN}};
		if (poll(polls, G_N_ELEMENTS(polls), wait_ms(running)) < 0 && errno != EINTR)
			return fail_errno(error, errno, "cannot wait for a command");
		if (polls[0].revents)
			read_some(running, READS_IN_A_ROW);
		if (polls[4].revents)
			containers_drain(running->job);
		if (polls[1].revents)
			return true;
		if (polls[3].revents)
			service_accept(running->job);
		if (!look_around(running))
			return fail(error, ASSAY_ERROR_SYSTEM, "a killed command does not end; see 'assay doctor'");
	}
}

static int64_t nearest(int64_t a, int64_t b)
{
	return a && b ? MIN(a, b) : MAX(a, b);
}

bool child_run(Job *job, const ChildSpec *spec, ChildEnd *out, GError **error)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(error, errno, "cannot make a pipe");
	autofd int into = ends[1];
	Running running = {.job = job, .pipe_fd = ends[0], .ignore_cancel = job->state == RUN_CANCELLED};
	running.deadline_us = nearest(job_deadline(job), spec->time_us > 0 ? monotonic_us() + spec->time_us : 0);
	fcntl(running.pipe_fd, F_SETFL, O_NONBLOCK);
	fcntl(running.pipe_fd, F_SETPIPE_SZ, PIPE_BYTES);
	g_auto(GStrv) environment = spec->only_env ? g_strdupv((char **)(uintptr_t)spec->only_env)
	                                           : contexts_environment(job, spec->extra_env);
	const StepSpec step = {.name = spec->name, .argv = spec->argv, .envp = (const char *const *)environment,
	        .folder = spec->folder, .fds = {-1, into, into}};
	EnergyMark energy;
	energy_mark(job->energy, &energy);
	mode_t ours = umask(022); /* steps have the usual one */
	bool started = job->executor->start(job->place, &step, &running.child, error);
	umask(ours);
	if (!started) {
		close(running.pipe_fd);
		return false;
	}
	close(fd_steal(&into));
	running.bytes = g_malloc(READ_BYTES);
	running.disk_bytes = json_get_int(json_object_get(job->spec, "limits"), "disk_bytes", 0);
	running.disk.next_us = monotonic_us() + DISK_LOOK_US;
	bool followed = follow(&running, error);
	drain(&running); /* what it printed last comes before what its end means */
	StepEnd end = {.exit_code = -1, .cause = "agent", .cpu_us = -1, .memory_peak_bytes = -1,
	        .read_bytes = -1, .write_bytes = -1};
	bool finished = followed && job->executor->finish(job->place, &running.child, &end, error);
	drain(&running);
	joblog_feed_end(job->log);
	joblog_flush(job->log, NULL);
	autofd_close(&running.pipe_fd);
	g_free(running.bytes);
	if (!finished)
		return false;
	*out = (ChildEnd){.exit_code = end.exit_code, .signal = end.signal,
	        .cause = running.reason ? running.reason : end.cause, .cpu_us = end.cpu_us,
	        .memory_peak_bytes = end.memory_peak_bytes, .read_bytes = end.read_bytes, .write_bytes = end.write_bytes,
	        .energy_uj = energy_since(job->energy, &energy)};
	return true;
}

/* Of an image nobody knows what it has but itself: the last of the names is what GitHub takes there. */
static const char *first_program(const Job *job, const char *const *names)
{
	for (; names[1]; names++) {
		if (job->place->image)
			continue;
		g_autofree char *found = g_find_program_in_path(*names);
		if (found)
			return *names;
	}
	return *names;
}

char **child_script(Job *job, const char *shell, const char *script, GError **error)
{
	static const struct {
		const char *shell;
		const char *command;
		const char *suffix;
	} known[] = {
	        {"bash", "bash --noprofile --norc -e -o pipefail {0}", "sh"},
	        {"sh", "sh -e {0}", "sh"},
	        {"python", "python {0}", "py"},
	        {"pwsh", "pwsh -command . '{0}'", "ps1"},
	};
	const char *const pythons[] = {"python", job->place->image ? "python" : "python3", NULL};
	static const char *const shells[] = {"bash", "sh", NULL};
	g_autofree char *command = NULL;
	const char *suffix = "sh";
	if (!shell || !shell[0]) {
		command = g_strconcat(first_program(job, shells), " -e {0}", NULL);
	} else {
		for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
			if (strcmp(known[i].shell, shell) == 0) {
				command = g_strdup(known[i].command);
				suffix = known[i].suffix;
			}
		if (g_strcmp0(shell, "python") == 0) {
			g_free(command);
			command = g_strconcat(first_program(job, pythons), " {0}", NULL);
		}
		if (!command && !strstr(shell, "{0}")) {
			fail(error, ASSAY_ERROR_USER,
			        "shell '%s' is not known; write bash, sh, python, pwsh, or a command with {0}", shell);
			return NULL;
		}
		if (!command)
			command = g_strdup(shell);
	}
	uint8_t random[8];
	char hex[17];
	random_bytes(random, sizeof random);
	hex_write(random, sizeof random, hex);
	g_autofree char *name = g_strdup_printf("%s.%s", hex, suffix);
	if (!job_open_runner(job, error) ||
	        !tree_write_file(job->runner_fd, name, script, strlen(script), 0755, job->owner, error))
		return NULL;
	g_autofree char *inside = g_strdup_printf("%s/%s", job->runner_inside, name);
	g_auto(GStrv) words = NULL;
	if (!g_shell_parse_argv(command, NULL, &words, NULL)) {
		fail(error, ASSAY_ERROR_USER, "shell '%s' cannot be split into words", shell);
		return NULL;
	}
	GPtrArray *argv = g_ptr_array_new();
	for (char **word = words; *word; word++) {
		g_auto(GStrv) pieces = g_strsplit(*word, "{0}", -1);
		g_ptr_array_add(argv, g_strjoinv(inside, pieces));
	}
	g_ptr_array_add(argv, NULL);
	return (char **)g_ptr_array_free(argv, FALSE);
}
