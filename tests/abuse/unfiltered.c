/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unfiltered UID FOLDER COMMAND…: a sandbox without its filter of system calls, to see what the other walls hold by
 * themselves. The sandbox is the product's own; only filter_write() is ours, and allows everything.
 *
 * ABUSE_CPUS=0.5 in the environment: with that limit; what the place lacks is said on stderr.
 *
 * unfiltered --race UID FOLDER SOURCE OUTSIDE TRIES: makes places whose mount's target is at that moment being swapped
 * between a folder and a link to OUTSIDE.
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

extern const Executor executor_sandbox;

size_t filter_write(struct sock_filter out[FILTER_LEN_MAX])
{
	out[0] = (struct sock_filter){.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
	return 1;
}

static bool make_folder(const char *path, uid_t uid)
{
	return (mkdir(path, 0755) == 0 || errno == EEXIST) && (geteuid() != 0 || chown(path, uid, uid) == 0);
}

/* Swaps home/link, a folder, and home/other, a link outwards, for ever. */
static pid_t start_swapping(const char *home)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int fd = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (;;)
		renameat2(fd, "link", fd, "other", RENAME_EXCHANGE);
}

static int race(uid_t uid, const char *folder, const char *source, const char *outside, int tries)
{
	g_autofree char *work = g_build_filename(folder, "race-work", NULL);
	g_autofree char *home = g_build_filename(folder, "race-home", NULL);
	g_autofree char *link = g_build_filename(home, "link", NULL);
	g_autofree char *other = g_build_filename(home, "other", NULL);
	if (!make_folder(work, uid) || !make_folder(home, uid) || !make_folder(link, uid) || symlink(outside, other) < 0)
		return 3;
	pid_t swapper = start_swapping(home);
	int opened = 0, refused = 0, escaped = 0, control = 0;
	for (int i = 0; i < tries; i++) {
		g_autofree char *target = g_strdup_printf("/home/runner/link/deep%d", i);
		g_autofree char *escape = g_strdup_printf("%s/deep%d", outside, i);
		const PlaceMount mount = {.source = source, .target = target};
		const PlaceSpec spec = {.work_folder = work, .home_folder = home, .mounts = &mount, .mounts_len = 1,
		        .uid = uid, .gid = uid};
		g_autoptr(GError) error = NULL;
		Place *place = NULL;
		if (executor_sandbox.open(&spec, &place, &error))
			opened++;
		else if (strstr(error->message, "link"))
			refused++;
		else
			fprintf(stderr, "%s\n", error->message);
		executor_sandbox.close(place);
		escaped += access(escape, F_OK) == 0;
		/* somebody who follows names */
		g_autofree char *followed = g_strdup_printf("%s/plain%d", link, i);
		g_autofree char *landed = g_strdup_printf("%s/plain%d", outside, i);
		mkdir(followed, 0755);
		control += rmdir(landed) == 0;
	}
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	printf("%d opened, %d refused, %d escaped; control: %d of %d lead out\n", opened, refused, escaped, control, tries);
	return escaped > 0 || opened + refused != tries;
}

int main(int argc, char **argv)
{
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
	const PlaceSpec place_spec = {.work_folder = work, .home_folder = home, .uid = uid, .gid = uid,
	        .cpus = g_getenv("ABUSE_CPUS") ? g_ascii_strtod(g_getenv("ABUSE_CPUS"), NULL) : 0};
	Place *place = NULL;
	if (!executor_sandbox.open(&place_spec, &place, &error)) {
		fprintf(stderr, "%s\n", error->message);
		return 4;
	}
	for (guint i = 0; i < place->missing->len; i++)
		fprintf(stderr, "%s\n", (const char *)place->missing->pdata[i]);
	const StepSpec step = {.name = "unfiltered", .argv = (const char *const *)argv + 3, .folder = place->work_inside,
	        .fds = {0, 1, 2}};
	Child child = {.fd = -1};
	StepEnd end = {.exit_code = 5};
	if (executor_sandbox.start(place, &step, &child, &error)) {
		struct pollfd wait = {.fd = child.fd, .events = POLLIN};
		while (poll(&wait, 1, -1) < 0)
			;
		executor_sandbox.finish(place, &child, &end, &error);
	}
	if (error)
		fprintf(stderr, "%s\n", error->message);
	executor_sandbox.close(place);
	return end.exit_code < 0 ? 6 : end.exit_code;
}
