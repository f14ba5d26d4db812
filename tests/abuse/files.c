/* SPDX-License-Identifier: Apache-2.0 */
/* F: files, mounts, roots, descriptors, devices. */
#include "tests/abuse/attempt.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int try_read(const char *path)
{
	char bytes[8]; /* some files of /proc give whole words only */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno;
	ssize_t got = read(fd, bytes, sizeof bytes);
	return got < 0 ? errno : got == 0 ? ENODATA : 0;
}
static int try_open(const char *path)
{
	return result(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}
/* Opened only: nothing is written. */
static int try_write(const char *path)
{
	return result(open(path, O_WRONLY | O_CLOEXEC));
}
static int try_create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	unlink(path);
	return 0;
}
static int try_list(const char *path)
{
	char names[2048] = "";
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);
	if (count < 0)
		return errno;
	for (int i = 0; i < count; i++)
		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0 &&
		        strlen(names) + strlen(entries[i]->d_name) + 2 < sizeof names) {
			strcat(names, entries[i]->d_name);
			strcat(names, " ");
		}
	say("%s", names);
	return 0;
}

/* ---- mounts ---- */

static int try_mount_tmpfs(const char *path)
{
	return result(mount("tmpfs", path, "tmpfs", 0, NULL));
}
static int try_mount_bind(const char *path)
{
	return result(mount("/tmp", path, NULL, MS_BIND, NULL));
}
static int try_remount(const char *path)
{
	return result(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
}
static int try_umount(const char *path)
{
	return result(umount2(path, MNT_DETACH));
}
static int try_mount_type(const char *type)
{
	mkdir("/tmp/mounted", 0700);
	return result(mount("none", "/tmp/mounted", type, 0, NULL));
}
/* v1, as a release_agent needs it: a hierarchy of no controller, by its name. */
static int try_mount_cgroup_v1(const char *unused)
{
	(void)unused;
	mkdir("/tmp/mounted", 0700);
	return result(mount("none", "/tmp/mounted", "cgroup", 0, "none,name=systemd"));
}
static int try_cgroup_by_new_user(const char *unused)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) < 0)
		return errno;
	return try_mount_type(unused[0] ? unused : "cgroup2");
}
static int try_fsopen(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_fsopen, "tmpfs", 0));
}
static int try_open_tree(const char *path)
{
	return result(open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
}
static int try_mount_setattr(const char *path)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID};
	return result(mount_setattr(AT_FDCWD, path, 0, &attributes, sizeof attributes));
}
static int try_pivot_root(const char *unused)
{
	(void)unused;
	mkdir("/tmp/newroot", 0700);
	if (mount("tmpfs", "/tmp/newroot", "tmpfs", 0, NULL) < 0 && errno != EPERM)
		return errno;
	mkdir("/tmp/newroot/old", 0700);
	return result(syscall(SYS_pivot_root, "/tmp/newroot", "/tmp/newroot/old"));
}
static int try_chroot(const char *path)
{
	return result(chroot(path[0] ? path : "/tmp"));
}
/* The old way out of a chroot: a root below the working directory, and up. */
static int try_chroot_escape(const char *path)
{
	int above = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdir("/tmp/deeper", 0700);
	if (chroot("/tmp/deeper") < 0)
		return errno;
	if (fchdir(above) < 0)
		return errno;
	for (int i = 0; i < 64; i++)
		if (chdir("..") < 0)
			return errno;
	return chroot(".") < 0 ? errno : try_read(path);
}
static int try_name_to_handle(const char *unused)
{
	(void)unused;
	struct {
		struct file_handle head;
		char bytes[MAX_HANDLE_SZ];
	} handle = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
	int mount_id;
	return result(name_to_handle_at(AT_FDCWD, "/", &handle.head, &mount_id, 0));
}
/* Shocker: a file by its inode's number, whatever is mounted where. */
static int try_open_by_handle(const char *path)
{
	union {
		struct file_handle head;
		char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
	int mount_id;
	const char *where = path[0] ? path : "/";
	if (name_to_handle_at(AT_FDCWD, where, &handle.head, &mount_id, 0) < 0) {
		handle.head.handle_bytes = 8;
		handle.head.handle_type = 1;
		handle.bytes[sizeof(struct file_handle)] = 2;
	}
	int any = open(where, O_RDONLY | O_CLOEXEC);
	return result(open_by_handle_at(any, &handle.head, O_RDONLY));
}

/* ---- descriptors and programs ---- */

/* Succeeds when a descriptor beyond the three is there. */
static int try_extra_descriptors(const char *unused)
{
	(void)unused;
	char found[512] = "";
	for (int fd = 3; fd < 20000 && strlen(found) < 400; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			snprintf(found + strlen(found), sizeof found - strlen(found), "%d ", fd);
	say("%s", found);
	return found[0] ? 0 : ENOENT;
}
static int try_unreachable_folder(const char *unused)
{
	(void)unused;
	char path[4096];
	long len = syscall(SYS_getcwd, path, sizeof path);
	say("%s", len > 0 ? path : "");
	return len > 0 && path[0] == '/' ? ENOENT : 0;
}
static int try_folder_by_descriptor(const char *unused)
{
	(void)unused;
	for (int fd = 3; fd < 64; fd++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (chdir(path) == 0)
			return 0;
	}
	return ENOENT;
}
/* CVE-2019-5736: a program held by O_PATH, reopened for writing once nobody runs it. */
static int try_reopen_program(const char *pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%s/exe", pid);
	int held = open(path, O_PATH | O_CLOEXEC);
	if (held < 0)
		return errno;
	snprintf(path, sizeof path, "/proc/self/fd/%d", held);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 || errno == ETXTBSY ? 0 : errno; /* busy: a matter of time */
}
static int try_self_program(const char *unused)
{
	(void)unused;
	return result(open("/proc/self/exe", O_WRONLY | O_CLOEXEC));
}

/* ---- covers, devices, set-user-ID ---- */

/* Succeeds when the file gives anything; a cover by /dev/null is looked at, not believed. */
static int try_uncovered(const char *path)
{
	struct stat info;
	if (stat(path, &info) < 0)
		return errno;
	if (S_ISCHR(info.st_mode))
		return info.st_rdev == makedev(1, 3) ? ENODATA : 0;
	return try_read(path);
}
static int try_writable_mount(const char *path)
{
	struct statvfs info;
	if (statvfs(path, &info) < 0)
		return errno;
	return info.f_flag & ST_RDONLY ? EROFS : 0;
}
static int try_mounts_without_nosuid(const char *unused)
{
	(void)unused;
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[4096];
	while (file && fgets(line, sizeof line, file))
		if (!strstr(line, "nosuid")) {
			say("%s", line);
			return 0;
		}
	return file ? ENOENT : errno;
}
static int try_mknod_char(const char *path)
{
	unlink(path);
	return result(mknod(path, S_IFCHR | 0666, makedev(1, 5)));
}
static int try_mknod_block(const char *path)
{
	unlink(path);
	return result(mknod(path, S_IFBLK | 0666, makedev(7, 0)));
}
/* A set-user-ID copy of this program: does it become somebody else? */
static int try_setuid_program(const char *path)
{
	int ends[2];
	char text[64] = "";
	if (pipe(ends) < 0)
		return errno;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		execl(path, path, "euid", NULL);
		_exit(127);
	}
	close(ends[1]);
	if (read(ends[0], text, sizeof text - 1) < 0)
		return errno;
	int status;
	waitpid(pid, &status, 0);
	say("uid %d gid %d, program says %s", (int)geteuid(), (int)getegid(), text);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return ENOEXEC;
	char own[64];
	snprintf(own, sizeof own, "%d %d\n", (int)geteuid(), (int)getegid());
	return strcmp(own, text) == 0 ? EPERM : 0;
}
static int try_crash(const char *unused)
{
	(void)unused;
	if (chdir("/tmp") < 0)
		return errno;
	raise(SIGSEGV);
	return 0;
}
/* With a limit of no bytes the kernel writes no core, and yet runs the handler behind a pipe. */
static int try_crash_without_limit(const char *unused)
{
	const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return errno;
	return try_crash(unused);
}
static int try_hide_tree(const char *unused)
{
	(void)unused;
	return result(link("/etc/hosts", "linked"));
}

const Attempt attempts_files[] = {
	{"read", try_read}, {"open", try_open}, {"write", try_write}, {"create", try_create}, {"list", try_list},
	{"mount_tmpfs", try_mount_tmpfs}, {"mount_bind", try_mount_bind}, {"remount", try_remount}, {"umount", try_umount},
	{"mount_type", try_mount_type}, {"mount_cgroup_v1", try_mount_cgroup_v1},
	{"cgroup_by_new_user", try_cgroup_by_new_user}, {"fsopen", try_fsopen}, {"open_tree", try_open_tree},
	{"mount_setattr", try_mount_setattr}, {"pivot_root", try_pivot_root}, {"chroot", try_chroot},
	{"chroot_escape", try_chroot_escape}, {"name_to_handle", try_name_to_handle},
	{"open_by_handle", try_open_by_handle}, {"extra_descriptors", try_extra_descriptors},
	{"unreachable_folder", try_unreachable_folder}, {"folder_by_descriptor", try_folder_by_descriptor},
	{"reopen_program", try_reopen_program}, {"self_program", try_self_program}, {"uncovered", try_uncovered},
	{"writable_mount", try_writable_mount}, {"mounts_without_nosuid", try_mounts_without_nosuid},
	{"mknod_char", try_mknod_char}, {"mknod_block", try_mknod_block}, {"setuid_program", try_setuid_program},
	{"crash", try_crash}, {"crash_without_limit", try_crash_without_limit}, {"hardlink", try_hide_tree}, {NULL, NULL},
};
