/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `lend USER [MOUNTS]`: what the unit of the package does as root before each start of an agent that may gain no privileges itself. It
 * makes a user namespace that belongs to USER, with his id and a range of others, and leaves it as a mount in a folder of
 * root's that USER can enter: whoever owns a user namespace may go into it. A later one takes its place; who is in the
 * earlier one stays there.
 *
 * MOUNTS is a mount namespace to go to first (/proc/1/ns/mnt): systemd gives one of its own also to what it runs as root
 * for a confined unit, and a mount there would end with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/executor.h"
#include "executors/mounts.h"
#include "executors/ready.h"

/* The namespace's first process, as its owner, until it is told to go. */
static G_NORETURN void be_owner(const struct passwd *user, int made, int go)
{
	char byte;
	bool done = setgroups(0, NULL) == 0 && setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == 0 &&
	            setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == 0 && unshare(CLONE_NEWUSER) == 0;
	if (done && write(made, "", 1) == 1)
		(void)!read(go, &byte, 1);
	_exit(done ? 0 : 1);
}

static bool map(pid_t pid, const char *what, unsigned own, unsigned first, GError **error)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, what);
	g_autofree char *text = g_strdup_printf("%d %u 1\n%d %u %d\n", MOUNTS_UID, own, TEMPLATE_FIRST, first, IDS_BESIDES);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return fail_errno(error, errno, "cannot write %s", path);
	return true;
}

/* What was lent before is ours to take away: nobody else can mount there. */
static bool clear(GError **error)
{
	struct statfs info;
	while (statfs(IDS_LENT_USER, &info) == 0 && info.f_type == NSFS_MAGIC)
		if (umount2(IDS_LENT_USER, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return fail_errno(error, errno, "cannot unmount " IDS_LENT_USER);
	return true;
}

static bool leave(pid_t pid, const struct passwd *user, const Ids *ids, GError **error)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/ns/user", (int)pid);
	g_autofree char *text = g_strdup_printf("%u %u\n", (unsigned)ids->first_uid, (unsigned)ids->first_gid);
	if ((mkdir(IDS_LENT, 0750) < 0 && errno != EEXIST) || chown(IDS_LENT, 0, user->pw_gid) < 0 || chmod(IDS_LENT, 0750) < 0)
		return fail_errno(error, errno, "cannot make " IDS_LENT);
	if (!clear(error))
		return false;
	autofd int file = open(IDS_LENT_USER, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	autofd int range = open(IDS_LENT_RANGE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (file < 0 || range < 0 || fchmod(range, 0644) < 0 || !fd_write_all(range, text, strlen(text), IDS_LENT_RANGE, error))
		return file >= 0 && range >= 0 ? false : fail_errno(error, errno, "cannot make files in " IDS_LENT);
	return mount(path, IDS_LENT_USER, NULL, MS_BIND, NULL) == 0 || fail_errno(error, errno, "cannot mount " IDS_LENT_USER);
}

static bool lend(const struct passwd *user, const Ids *ids, GError **error)
{
	int made[2], go[2];
	char byte;
	if (pipe2(made, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		return fail_errno(error, errno, "cannot make a pipe");
	pid_t pid = fork();
	if (pid == 0) {
		close(made[0]);
		close(go[1]);
		be_owner(user, made[1], go[0]);
	}
	close(made[1]);
	close(go[0]);
	bool good = pid > 0 && read(made[0], &byte, 1) == 1;
	if (!good)
		fail(error, ASSAY_ERROR_SYSTEM, "%s cannot make a user namespace; see 'assay doctor'", user->pw_name);
	good = good && map(pid, "uid_map", user->pw_uid, ids->first_uid, error) &&
	       map(pid, "gid_map", user->pw_gid, ids->first_gid, error) && leave(pid, user, ids, error);
	close(made[0]);
	close(go[1]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return good;
}

int lend_main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	const struct passwd *user = argc == 2 || argc == 3 ? getpwnam(argv[1]) : NULL;
	Ids ids = {0};
	if (geteuid() != 0 || !user || user->pw_uid == 0) {
		fprintf(stderr, "assay: lend: root lends ids to a user who is not root: lend USER [MOUNTS]\n");
		return 2;
	}
	autofd int mounts = argc == 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
	if (argc == 3 && (mounts < 0 || setns(mounts, CLONE_NEWNS) < 0)) {
		fail_errno(&error, errno, "cannot go to %s", argv[2]);
		return error_print(error);
	}
	umask(022);
	ids_of_root(NULL, user->pw_uid, user->pw_gid, &ids);
	if (ids.first_uid == 0)
		fail(&error, ASSAY_ERROR_SYSTEM, "images have one id: %s", ids.why_not);
	else if (lend(user, &ids, &error))
		printf("images of %s have ids from %u (%s)\n", user->pw_name, (unsigned)ids.first_uid, ids.source);
	ids_clear(&ids);
	return error ? error_print(error) : 0;
}
