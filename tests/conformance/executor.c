/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of agent/executor.h as a table of cases, each run by every executor of the table that this machine
 * can use. `null` runs nothing, so it has cases of its own. ASSAY_TEST_UID=N runs the whole table as that user.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/fd.h"
#include "agent/executor.h"
#include "tests/lib/oci.h"

#define OPEN_FILES 200
#define FILE_BYTES (INT64_C(16) << 20)
#define STEP_US_MAX (30 * INT64_C(1000000))

/* One open place with its folders, and the way to run a script in it. */
typedef struct Fixture {
	const Executor *executor;
	char *root, *work, *home;
	Place *place;
} Fixture;

static const char *const environment[] = {"PATH=/usr/bin:/bin", "ONLY=this", NULL};

static void make_layout(const char *folder)
{
	const TarEntry entries[] = {{.name = "bin", .type = '2', .link = "usr/bin"}, {.name = "lib", .type = '2', .link = "usr/lib"},
	        {.name = "lib64", .type = '2', .link = "usr/lib64"}, {.name = "etc", .type = '5'}, {.name = NULL}};
	g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
	g_ptr_array_add(layers, oci_tar(entries));
	g_free(oci_layout(folder, layers, NULL));
}

static void open_place(Fixture *fixture)
{
	g_autoptr(GError) error = NULL;
	PlaceSpec spec = {.work_folder = fixture->work, .home_folder = fixture->home, .hostname = "runner",
	        .open_files = OPEN_FILES, .file_bytes = FILE_BYTES};
	PlaceImage image = {.reference = NULL};
	/* An image of links, and the host's programs in it: so it can do what the cases ask. */
	const PlaceMount programs[] = {{.source = "/usr", .target = "/usr"}};
	g_autofree char *layout = g_build_filename(fixture->root, "layout", NULL);
	g_autofree char *reference = g_strconcat("oci:", layout, NULL);
	g_autofree char *store = g_build_filename(fixture->root, "images", NULL);
	g_autofree char *scratch = g_build_filename(fixture->root, "scratch", NULL);
	g_autoptr(json_t) settings = json_pack("{s:[s]}", "local", fixture->root);
	if (strcmp(fixture->executor->name, "container") == 0) {
		make_layout(layout);
		image = (PlaceImage){.reference = reference, .store = store, .scratch = scratch, .settings = settings,
		        .work_inside = "/__w", .home_inside = "/github/home", .runner_inside = "/github/workflow", .user = "1001"};
		spec.image = &image;
		spec.mounts = programs;
		spec.mounts_len = G_N_ELEMENTS(programs);
	}
	g_assert_true(fixture->executor->open(&spec, &fixture->place, &error));
	g_assert_no_error(error);
}

static void setup(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	fixture->executor = data;
	fixture->root = g_dir_make_tmp("assay-executor-XXXXXX", &error);
	g_assert_no_error(error);
	fixture->work = g_build_filename(fixture->root, "work", NULL);
	fixture->home = g_build_filename(fixture->root, "home", NULL);
	g_assert_cmpint(g_mkdir(fixture->work, 0755) | g_mkdir(fixture->home, 0755), ==, 0);
	open_place(fixture);
}

static void teardown(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	fixture->executor->close(fixture->place);
	g_assert_true(fd_remove_tree(fixture->root, &error));
	g_free(fixture->home);
	g_free(fixture->work);
	g_free(fixture->root);
}

static bool ended_within(const Child *child, int64_t limit_us)
{
	struct pollfd wait = {.fd = child->fd, .events = POLLIN};
	int got;
	while ((got = poll(&wait, 1, (int)(limit_us / 1000))) < 0 && errno == EINTR)
		;
	return got == 1;
}

static Child start_argv(Fixture *fixture, const char *const *argv, const char *folder, int in, int out, int err)
{
	g_autoptr(GError) error = NULL;
	const StepSpec spec = {
		.name = "case",
		.argv = argv,
		.envp = environment,
		.folder = folder ? folder : fixture->place->work_inside,
		.fds = {in, out, err},
	};
	Child child = {.fd = -1};
	g_assert_true(fixture->executor->start(fixture->place, &spec, &child, &error));
	g_assert_no_error(error);
	return child;
}

static Child start(Fixture *fixture, const char *script, int in, int out, int err)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	return start_argv(fixture, argv, NULL, in, out, err);
}

static StepEnd finish(Fixture *fixture, Child *child)
{
	g_autoptr(GError) error = NULL;
	StepEnd end = {0};
	g_assert_true(ended_within(child, STEP_US_MAX));
	g_assert_true(fixture->executor->finish(fixture->place, child, &end, &error));
	g_assert_no_error(error);
	return end;
}

static StepEnd run(Fixture *fixture, const char *script)
{
	Child child = start(fixture, script, -1, -1, -1);
	return finish(fixture, &child);
}

/* Runs a script and gives what it wrote to stdout, through a file so that a leftover writer cannot block us. */
static char *output_of(Fixture *fixture, const char *const *argv, const char *folder)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_build_filename(fixture->root, "output", NULL);
	autofd int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	g_assert_cmpint(fd, >=, 0);
	Child child = start_argv(fixture, argv, folder, -1, fd, STDERR_FILENO);
	StepEnd end = finish(fixture, &child);
	g_assert_cmpint(end.exit_code, ==, 0);
	char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, &error));
	return text;
}

static char *work_file(Fixture *fixture, const char *name)
{
	return g_build_filename(fixture->work, name, NULL);
}

static void test_exit_codes(Fixture *fixture, gconstpointer data)
{
	(void)data;
	for (int code = 0; code < 256; code++) {
		g_autofree char *script = g_strdup_printf("exit %d", code);
		StepEnd end = run(fixture, script);
		g_assert_cmpint(end.exit_code, ==, code);
		g_assert_cmpint(end.signal, ==, 0);
		g_assert_cmpstr(end.cause, ==, "exit");
	}
}

static void test_signals(Fixture *fixture, gconstpointer data)
{
	(void)data;
	static const int signals[] = {SIGHUP, SIGINT, SIGABRT, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGUSR1};
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
		g_autofree char *script = g_strdup_printf("kill -%d $$; sleep 20", signals[i]);
		StepEnd end = run(fixture, script);
		g_assert_cmpint(end.exit_code, ==, -1);
		g_assert_cmpint(end.signal, ==, signals[i]);
		g_assert_cmpstr(end.cause, ==, "signal");
	}
}

static void test_environment(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const char *const argv[] = {"env", NULL}; /* also: found by the PATH of envp */
	g_autofree char *text = output_of(fixture, argv, NULL);
	g_assert_cmpstr(text, ==, "PATH=/usr/bin:/bin\nONLY=this\n");
}

static void test_folder(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const char *const argv[] = {"/bin/pwd", "-P", NULL};
	g_autofree char *work = output_of(fixture, argv, NULL);
	g_autofree char *expected = g_strdup_printf("%s\n", fixture->place->work_inside);
	g_assert_cmpstr(work, ==, expected);
	g_autofree char *home = output_of(fixture, argv, fixture->place->home_inside);
	g_autofree char *expected_home = g_strdup_printf("%s\n", fixture->place->home_inside);
	g_assert_cmpstr(home, ==, expected_home);
}

static void test_files(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *script = g_strdup_printf("echo made > made && echo home > %s/at-home",
	        fixture->place->home_inside);
	g_assert_cmpint(run(fixture, script).exit_code, ==, 0);
	g_autofree char *made = work_file(fixture, "made");
	g_autofree char *at_home = g_build_filename(fixture->home, "at-home", NULL);
	struct stat info;
	g_assert_cmpint(stat(made, &info), ==, 0);
	g_assert_cmpint(info.st_uid, ==, geteuid());
	g_assert_cmpint(stat(at_home, &info), ==, 0);
}

static void test_streams(Fixture *fixture, gconstpointer data)
{
	(void)data;
	int in[2], out[2], err[2];
	g_assert_cmpint(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), ==, 0);
	Child child = start(fixture, "read word; echo \"got $word\"; echo aside >&2", in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	g_assert_cmpint(write(in[1], "hello\n", 6), ==, 6);
	close(in[1]);
	char text[64] = {0};
	g_assert_cmpint(read(out[0], text, sizeof text - 1), ==, 10);
	g_assert_cmpstr(text, ==, "got hello\n");
	char aside[64] = {0};
	g_assert_cmpint(read(err[0], aside, sizeof aside - 1), ==, 6);
	g_assert_cmpstr(aside, ==, "aside\n");
	g_assert_cmpint(finish(fixture, &child).exit_code, ==, 0);
	g_assert_cmpint(read(out[0], text, sizeof text), ==, 0); /* no one else holds the writing end */
	close(out[0]);
	close(err[0]);
}

static void test_only_three_descriptors(Fixture *fixture, gconstpointer data)
{
	(void)data;
	autofd int leaked = open("/etc/hostname", O_RDONLY); /* on purpose without O_CLOEXEC */
	const char *const argv[] = {"/bin/sh", "-c", "for fd in 3 4 5 6 7 8 9 10 11 12 20 30 63; do "
	        "if [ -e /proc/$$/fd/$fd ]; then echo $fd; fi; done", NULL};
	g_autofree char *text = output_of(fixture, argv, NULL);
	g_assert_cmpstr(text, ==, "");
}

static void test_signal_mask(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const char *const argv[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
	g_autofree char *text = output_of(fixture, argv, NULL);
	g_assert_cmpstr(text, ==, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_creation_mask(Fixture *fixture, gconstpointer data)
{
	(void)data;
	mode_t ours = umask(077);
	fixture->executor->close(fixture->place);
	open_place(fixture);
	const char *const argv[] = {"/bin/sh", "-c", "umask", NULL};
	g_autofree char *text = output_of(fixture, argv, NULL);
	umask(ours);
	g_assert_cmpstr(text, ==, "0022\n");
}

static void test_many_steps(Fixture *fixture, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 100; i++)
		g_assert_cmpint(run(fixture, "exit 7").exit_code, ==, 7);
}

static void test_absent_program(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	const char *const argv[] = {"no-such-program", NULL};
	const StepSpec spec = {.name = "absent", .argv = argv, .envp = environment,
	        .folder = fixture->place->work_inside, .fds = {-1, -1, -1}};
	Child child = {.fd = -1};
	g_assert_false(fixture->executor->start(fixture->place, &spec, &child, &error));
	g_assert_nonnull(strstr(error->message, "no-such-program"));
	g_clear_error(&error);
	const char *const real[] = {"true", NULL};
	const StepSpec lost = {.name = "lost", .argv = real, .envp = environment, .folder = "/no/such/folder",
	        .fds = {-1, -1, -1}};
	g_assert_false(fixture->executor->start(fixture->place, &lost, &child, &error));
	g_assert_nonnull(strstr(error->message, "folder"));
	g_assert_cmpint(run(fixture, "exit 0").exit_code, ==, 0); /* the place is as good as before */
}

/* A leftover appends to a file for as long as it lives; after finish() the file must not grow. */
static void expect_silence(Fixture *fixture, const char *name)
{
	g_autofree char *path = work_file(fixture, name);
	struct stat before, after;
	g_assert_cmpint(stat(path, &before), ==, 0);
	g_usleep(60000);
	g_assert_cmpint(stat(path, &after), ==, 0);
	g_assert_cmpint(before.st_size, ==, after.st_size);
}

static void test_orphans_die(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(run(fixture, "(while :; do echo x >> beat; sleep 0.01; done) & "
	                             "while [ ! -s beat ]; do sleep 0.01; done").exit_code, ==, 0);
	expect_silence(fixture, "beat");
}

static void test_daemons_die(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(run(fixture, "setsid -f sh -c 'trap \"\" TERM HUP; while :; do echo x >> beat; sleep 0.01; "
	                             "done'; while [ ! -s beat ]; do sleep 0.01; done").exit_code, ==, 0);
	expect_silence(fixture, "beat");
}

static void test_daemon_holding_the_pipe(Fixture *fixture, gconstpointer data)
{
	(void)data;
	int out[2];
	g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
	int64_t began_us = monotonic_us();
	Child child = start(fixture, "setsid -f sleep 1000; echo done", -1, out[1], -1);
	close(out[1]);
	g_assert_cmpint(finish(fixture, &child).exit_code, ==, 0);
	char text[16];
	g_assert_cmpint(read(out[0], text, sizeof text), ==, 5);
	g_assert_cmpint(read(out[0], text, sizeof text), ==, 0);
	g_assert_cmpint(monotonic_us() - began_us, <, 10000000);
	close(out[0]);
}

static void wait_for_file(Fixture *fixture, const char *name)
{
	g_autofree char *path = work_file(fixture, name);
	for (int i = 0; i < 2000 && access(path, F_OK) != 0; i++)
		g_usleep(5000);
	g_assert_cmpint(access(path, F_OK), ==, 0);
}

static void test_term_reaches_the_step(Fixture *fixture, gconstpointer data)
{
	(void)data;
	Child child = start(fixture, "trap 'exit 42' TERM; : > ready; while :; do sleep 0.02; done", -1, -1, -1);
	wait_for_file(fixture, "ready");
	fixture->executor->signal(fixture->place, &child, SIGTERM);
	g_assert_cmpint(finish(fixture, &child).exit_code, ==, 42);
}

static void test_kill_beats_ignored_term(Fixture *fixture, gconstpointer data)
{
	(void)data;
	Child child = start(fixture, "trap '' TERM INT HUP; : > ready; while :; do sleep 0.02; done", -1, -1, -1);
	wait_for_file(fixture, "ready");
	fixture->executor->signal(fixture->place, &child, SIGTERM);
	g_assert_false(ended_within(&child, 100000));
	fixture->executor->signal(fixture->place, &child, SIGKILL);
	StepEnd end = finish(fixture, &child);
	g_assert_cmpint(end.signal, ==, SIGKILL);
	fixture->executor->signal(fixture->place, &child, SIGKILL); /* safe after its end */
}

static void test_kill_of_a_stopped_step(Fixture *fixture, gconstpointer data)
{
	(void)data;
	Child child = start(fixture, ": > ready; kill -STOP $$; exit 1", -1, -1, -1);
	wait_for_file(fixture, "ready");
	g_assert_false(ended_within(&child, 50000));
	fixture->executor->signal(fixture->place, &child, SIGKILL);
	g_assert_cmpint(finish(fixture, &child).signal, ==, SIGKILL);
}

/* A service with an orphan of its own, beside a step with another: each keeps and loses what is its. */
static void test_two_at_once(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	const char *const argv[] = {"/bin/sh", "-c", "setsid -f sh -c 'while :; do echo x >> orphan; sleep 0.01; done'; "
	        "while :; do echo x >> service; sleep 0.01; done", NULL};
	const StepSpec spec = {.name = "service", .argv = argv, .envp = environment, .service = true,
	        .folder = fixture->place->work_inside, .fds = {-1, -1, -1}};
	Child service = {.fd = -1};
	g_assert_true(fixture->executor->start(fixture->place, &spec, &service, &error));
	wait_for_file(fixture, "service");
	wait_for_file(fixture, "orphan");
	g_assert_cmpint(run(fixture, "setsid -f sh -c 'while :; do echo x >> beat; sleep 0.01; done'; "
	                             "while [ ! -s beat ]; do sleep 0.01; done; exit 3").exit_code, ==, 3);
	expect_silence(fixture, "beat");
	g_assert_false(ended_within(&service, 20000)); /* a step's end is not the service's */
	g_autofree char *path = work_file(fixture, "orphan");
	struct stat before, after;
	g_assert_cmpint(stat(path, &before), ==, 0);
	for (int turn = 0; turn == 0 || (after.st_size <= before.st_size && turn < 600); turn++) {
		g_usleep(100000);
		g_assert_cmpint(stat(path, &after), ==, 0);
	}
	g_assert_cmpint(before.st_size, <, after.st_size);
	fixture->executor->signal(fixture->place, &service, SIGKILL);
	g_assert_cmpint(finish(fixture, &service).signal, ==, SIGKILL);
	expect_silence(fixture, "orphan");
}

static void test_files_are_limited(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(run(fixture, "[ $(ulimit -n) -eq 200 ] && [ $(ulimit -Hn) -eq 200 ]").exit_code, ==, 0);
	g_assert_cmpint(run(fixture, "exec head -c 16777216 /dev/zero >most").exit_code, ==, 0);
	g_assert_cmpint(run(fixture, "exec head -c 16777217 /dev/zero >more").signal, ==, SIGXFSZ);
}

static void test_usage_is_counted(Fixture *fixture, gconstpointer data)
{
	(void)data;
	StepEnd end = run(fixture, "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done");
	g_assert_cmpint(end.exit_code, ==, 0);
	g_assert_cmpint(end.cpu_us, >, 1000);
	g_assert_cmpint(end.memory_peak_bytes, >, 100000);
	/* Of a disk it is counted, of a folder in memory it is nothing, and a kernel that cannot tell says so. */
	StepEnd writer = run(fixture, "head -c 3000000 /dev/zero >big && sync big 2>/dev/null; true");
	bool counted = access("/proc/self/io", F_OK) == 0;
	struct statfs disk;
	g_autofree char *big = work_file(fixture, "big");
	g_assert_cmpint(statfs(big, &disk), ==, 0);
	if (!counted)
		g_assert_cmpint(writer.write_bytes, ==, -1);
	else if (disk.f_type == TMPFS_MAGIC)
		g_assert_cmpint(writer.write_bytes, ==, 0);
	else
		g_assert_cmpint(writer.write_bytes, >=, 3000000 / 4096 * 4096);
	g_assert_cmpint(end.read_bytes, >=, counted ? 0 : -1);
}

static void test_close_ends_what_runs(Fixture *fixture, gconstpointer data)
{
	(void)data;
	Child child = start(fixture, "setsid -f sh -c 'while :; do echo x >> beat; sleep 0.01; done'; "
	                             "while :; do echo y >> beat; sleep 0.01; done", -1, -1, -1);
	wait_for_file(fixture, "beat");
	fixture->executor->close(g_steal_pointer(&fixture->place));
	expect_silence(fixture, "beat");
	close(child.fd);
}

static void test_ends_with_the_worker(Fixture *fixture, gconstpointer data)
{
	(void)data;
	pid_t worker = fork();
	if (worker == 0) {
		Fixture own = *fixture;
		open_place(&own);
		start(&own, "setsid -f sh -c 'while :; do echo x >> beat; sleep 0.01; done'; "
		            "while :; do echo y >> beat; sleep 0.01; done", -1, -1, -1);
		for (;;)
			pause();
	}
	wait_for_file(fixture, "beat");
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	g_usleep(200000);
	expect_silence(fixture, "beat");
}

static void test_null_says_so(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const char *const argv[] = {"/bin/false", NULL};
	g_autofree char *text = output_of(fixture, argv, NULL);
	g_assert_cmpstr(text, ==, "null executor: not run: /bin/false\n");
	g_assert_cmpstr(fixture->place->isolation, ==, "none");
	g_assert_cmpuint(fixture->place->missing->len, ==, 1);
}

static const struct {
	const char *name;
	void (*test)(Fixture *fixture, gconstpointer data);
} cases[] = {
	{"reports_every_exit_code", test_exit_codes},
	{"reports_fatal_signals", test_signals},
	{"gives_exactly_the_environment", test_environment},
	{"starts_in_the_folder", test_folder},
	{"work_and_home_are_writable", test_files},
	{"connects_the_streams", test_streams},
	{"passes_no_other_descriptor", test_only_three_descriptors},
	{"clears_the_signal_mask", test_signal_mask},
	{"sets_the_usual_creation_mask", test_creation_mask},
	{"runs_a_hundred_steps", test_many_steps},
	{"names_what_is_absent", test_absent_program},
	{"orphans_are_dead_at_finish", test_orphans_die},
	{"daemons_are_dead_at_finish", test_daemons_die},
	{"a_daemon_with_the_pipe_does_not_block", test_daemon_holding_the_pipe},
	{"term_reaches_the_step", test_term_reaches_the_step},
	{"kill_beats_ignored_term", test_kill_beats_ignored_term},
	{"kill_ends_a_stopped_step", test_kill_of_a_stopped_step},
	{"a_service_outlives_a_step", test_two_at_once},
	{"counts_cpu_and_memory", test_usage_is_counted},
	{"limits_files", test_files_are_limited},
	{"close_ends_what_runs", test_close_ends_what_runs},
	{"ends_with_the_worker", test_ends_with_the_worker},
};

/* As an ordinary user, when ASSAY_TEST_UID says so. */
static void become_user(void)
{
	const char *text = g_getenv("ASSAY_TEST_UID");
	guint64 uid;
	if (!text || geteuid() != 0)
		return;
	g_assert_true(g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &uid, NULL));
	g_assert_cmpint(setgroups(0, NULL), ==, 0);
	g_assert_cmpint(setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid), ==, 0);
	g_assert_cmpint(setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid), ==, 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "unpack") == 0) /* as the worker does for a layer */
		return image_unpack_main(argc - 1, argv + 1);
	g_test_init(&argc, &argv, NULL);
	become_user();
	const Executor *null = executor_find("null");
	g_assert_nonnull(null);
	g_test_add("/executor/null/says_that_it_runs_nothing", Fixture, null, setup, test_null_says_so, teardown);
	for (size_t i = 0; executors[i]; i++) {
		g_autoptr(GError) error = NULL;
		if (executors[i] == null)
			continue;
		if (!executors[i]->probe(&error)) {
			g_printerr("# %s cannot be tested here: %s\n", executors[i]->name, error->message);
			continue;
		}
		for (size_t j = 0; j < G_N_ELEMENTS(cases); j++) {
			g_autofree char *path = g_strdup_printf("/executor/%s/%s", executors[i]->name, cases[j].name);
			g_test_add(path, Fixture, executors[i], setup, cases[j].test, teardown);
		}
	}
	return g_test_run();
}
