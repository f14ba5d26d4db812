/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unfiltered UID FOLDER COMMAND…: a place without its filter of system calls, to see what the other walls hold by
 * themselves. The executors are the product's own; only filter_write() is ours, and allows everything.
 *
 * In the environment: ABUSE_IMAGE=oci:FOLDER, the place's root is that image, unpacked in ABUSE_STORE. ABUSE_CPUS=0.5:
 * with that limit; what the place lacks is said on stderr.
 *
 * unfiltered --race UID FOLDER SOURCE OUTSIDE TRIES: makes places whose mount's target, and the folder below a mount's
 * source, are at that moment being swapped between a folder and a link to OUTSIDE.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/executor.h"
#include "executors/filter.h"

extern const Executor executor_container, executor_sandbox;

size_t filter_write(struct sock_filter out[FILTER_LEN_MAX])
{
	out[0] = (struct sock_filter){.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
	return 1;
}

static bool make_folder(const char *path, uid_t uid)
{
	return (mkdir(path, 0755) == 0 || errno == EEXIST) && (geteuid() != 0 || chown(path, uid, uid) == 0);
}

/* A root that is an image, where the environment names one. */
static const Executor *choose(const char *folder, PlaceImage *image, PlaceSpec *spec)
{
	const char *reference = g_getenv("ABUSE_IMAGE");
	if (!reference)
		return &executor_sandbox;
	*image = (PlaceImage){.reference = reference, .store = g_getenv("ABUSE_STORE"), .work_inside = "/__w",
	        .home_inside = "/github/home", .runner_inside = "/github/workflow"};
	image->scratch = g_build_filename(folder, "scratch", NULL); /* as long as the program, like the other */
	image->settings = json_pack("{s:[s]}", "local", "/");
	spec->image = image;
	return &executor_container;
}

static int run(const Executor *executor, Place *place, const char *const *argv, GError **error)
{
	static const char *const envp[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
	const StepSpec step = {.name = "unfiltered", .argv = argv, .envp = g_getenv("ABUSE_IMAGE") ? envp : NULL,
	        .folder = place->work_inside, .fds = {0, 1, 2}};
	Child child = {.fd = -1};
	StepEnd end = {.exit_code = 5};
	if (executor->start(place, &step, &child, error)) {
		struct pollfd wait = {.fd = child.fd, .events = POLLIN};
		while (poll(&wait, 1, -1) < 0)
			;
		executor->finish(place, &child, &end, error);
	}
	return end.exit_code < 0 ? 6 : end.exit_code;
}

/* Swaps folder/link, a folder, and folder/other, a link outwards, for ever. */
static pid_t start_swapping(const char *folder)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (;;)
		renameat2(fd, "link", fd, "other", RENAME_EXCHANGE);
}

static bool make_pair(const char *folder, const char *outside, uid_t uid)
{
	g_autofree char *link = g_build_filename(folder, "link", NULL);
	g_autofree char *other = g_build_filename(folder, "other", NULL);
	return make_folder(folder, uid) && make_folder(link, uid) && symlink(outside, other) == 0;
}

typedef struct Race {
	int opened, refused, failed, escaped, control;
} Race;

static void count(Race *race, bool opened, const GError *error)
{
	race->opened += opened;
	race->refused += !opened && strstr(error->message, "link") != NULL;
	race->failed += !opened && strstr(error->message, "link") == NULL;
	if (!opened && !strstr(error->message, "link"))
		fprintf(stderr, "%s\n", error->message);
}

/* home/link is where a mount goes: what is made for it must not be made where the link leads. */
static void race_target(const Executor *executor, PlaceSpec spec, const char *source, const char *outside, int i, Race *race)
{
	g_autofree char *target = g_strdup_printf("%s/link/deep%d", spec.image ? spec.image->home_inside : "/home/runner", i);
	g_autofree char *escape = g_strdup_printf("%s/deep%d", outside, i);
	const PlaceMount mount = {.source = source, .target = target};
	spec.mounts = &mount;
	spec.mounts_len = 1;
	g_autoptr(GError) error = NULL;
	Place *place = NULL;
	bool opened = executor->open(&spec, &place, &error);
	count(race, opened, error);
	executor->close(place);
	race->escaped += access(escape, F_OK) == 0;
	/* somebody who follows names */
	g_autofree char *followed = g_strdup_printf("%s/link/plain%d", spec.home_folder, i);
	g_autofree char *landed = g_strdup_printf("%s/plain%d", outside, i);
	mkdir(followed, 0755);
	race->control += rmdir(landed) == 0;
}

/* home/link is what a mount brings: what lies where the link leads must not be seen. */
static void race_source(const Executor *executor, PlaceSpec spec, Race *race)
{
	static const char *const look[] = {"/bin/sh", "-c", "test ! -e /mnt/canary", NULL};
	const PlaceMount mount = {.source = spec.home_folder, .target = "/mnt", .below = "link"};
	spec.mounts = &mount;
	spec.mounts_len = 1;
	g_autofree char *followed = g_build_filename(spec.home_folder, "link/canary", NULL);
	g_autoptr(GError) error = NULL;
	Place *place = NULL;
	bool opened = executor->open(&spec, &place, &error);
	count(race, opened, error);
	if (opened)
		race->escaped += run(executor, place, look, &error) != 0;
	executor->close(place);
	race->control += access(followed, F_OK) == 0;
}

static int race(uid_t uid, const char *folder, const char *source, const char *outside, int tries)
{
	g_autofree char *work = g_build_filename(folder, "race-work", NULL);
	g_autofree char *home = g_build_filename(folder, "race-home", NULL);
	if (!make_folder(work, uid) || !make_pair(home, outside, uid))
		return 3;
	PlaceImage image;
	PlaceSpec spec = {.work_folder = work, .home_folder = home, .uid = uid, .gid = uid};
	const Executor *executor = choose(folder, &image, &spec);
	pid_t swapper = start_swapping(home);
	Race race = {0};
	for (int i = 0; i < tries; i++)
		if (spec.image && i % 2 == 1) /* only mounts of images have a folder below */
			race_source(executor, spec, &race);
		else
			race_target(executor, spec, source, outside, i, &race);
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	printf("%d opened, %d refused, %d escaped; control: %d of %d lead out\n", race.opened, race.refused, race.escaped,
	        race.control, tries);
	return race.escaped > 0 || race.failed > 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "unpack") == 0) /* a layer of an image: the store starts its own program again */
		return image_unpack_main(argc - 1, argv + 1);
	if (argc == 7 && strcmp(argv[1], "--race") == 0)
		return race((uid_t)g_ascii_strtoull(argv[2], NULL, 10), argv[3], argv[4], argv[5],
		        (int)g_ascii_strtoll(argv[6], NULL, 10));
	if (argc < 4)
		return 2;
	g_autoptr(GError) error = NULL;
	uid_t uid = (uid_t)g_ascii_strtoull(argv[1], NULL, 10);
	g_autofree char *work = g_build_filename(argv[2], "unfiltered-work", NULL);
	g_autofree char *home = g_build_filename(argv[2], "unfiltered-home", NULL);
	if (!make_folder(work, uid) || !make_folder(home, uid))
		return 3;
	PlaceImage image;
	PlaceSpec spec = {.work_folder = work, .home_folder = home, .uid = uid, .gid = uid,
	        .cpus = g_getenv("ABUSE_CPUS") ? g_ascii_strtod(g_getenv("ABUSE_CPUS"), NULL) : 0,
	        .write_bytes_s = g_getenv("ABUSE_WRITE") ? g_ascii_strtoll(g_getenv("ABUSE_WRITE"), NULL, 10) : 0};
	const Executor *executor = choose(argv[2], &image, &spec);
	Place *place = NULL;
	if (!executor->open(&spec, &place, &error)) {
		fprintf(stderr, "%s\n", error->message);
		return 4;
	}
	for (guint i = 0; i < place->missing->len; i++)
		fprintf(stderr, "%s\n", (const char *)place->missing->pdata[i]);
	int code = run(executor, place, (const char *const *)argv + 3, &error);
	if (error)
		fprintf(stderr, "%s\n", error->message);
	executor->close(place);
	return code;
}
