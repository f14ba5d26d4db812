/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates are made by a child that shares our memory and has its own namespaces and root: what it leaves is the
 * descriptors of those namespaces, sent to us, and they end with the last process that holds them. No process waits in
 * them, so there is none to be killed and nothing to clean up.
 */
#include "executors/template.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "executors/mounts.h"

#define STACK_BYTES (64 * 1024)

/* One name of the host, as it was. */
typedef struct Witness {
	const char *path; /* static */
	bool there;
	dev_t device;
	ino_t number;
	off_t size;
	struct timespec modified, changed;
} Witness;

/* Folders tell of names that come, go and are replaced; files, of their bytes, since those are copied. */
static const char *const watched[] = {"/", "/etc", "/etc/ssl", "/etc/pki", "/nix", "/etc/ld.so.cache", "/etc/protocols",
	"/etc/services", "/etc/ssl/openssl.cnf", "/etc/timezone", "/etc/os-release", "/etc/localtime"};

static Witness look(const char *path)
{
	struct stat info;
	Witness witness = {.path = path};
	if (lstat(path, &info) != 0)
		return witness;
	witness.there = true;
	witness.device = info.st_dev;
	witness.number = info.st_ino;
	witness.size = info.st_size;
	witness.modified = info.st_mtim;
	witness.changed = info.st_ctim;
	return witness;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool template_is_fresh(const Template *template)
{
	for (guint i = 0; i < template->witnesses->len; i++) {
		const Witness *before = &g_array_index(template->witnesses, Witness, i);
		const Witness now = look(before->path);
		if (now.there != before->there || now.device != before->device || now.number != before->number ||
		        now.size != before->size || !is_same_time(now.modified, before->modified) ||
		        !is_same_time(now.changed, before->changed))
			return false;
	}
	return true;
}

/* ---- the builder: a child in our memory ---- */

typedef struct Builder {
	int (*main)(struct Builder *builder);
	int user_fd;
	Mounts mounts;
	int socket_fd; /* where it sends what it leaves */
	const Ids *ids;
	uid_t own_uid;
	gid_t own_gid;
	Failure failure;
} Builder;

#define LEGACY_MAX 2

static int failed(Builder *builder, const char *what)
{
	builder->failure = (Failure){.what = what, .why = errno};
	return 1;
}

static int leave(Builder *builder, const int *fds, size_t count)
{
	union {
		char bytes[CMSG_SPACE(LEGACY_MAX * sizeof(int))];
		struct cmsghdr aligned;
	} control = {0};
	char nothing = 0;
	struct iovec part = {&nothing, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	return sendmsg(builder->socket_fd, &message, MSG_NOSIGNAL) == 1 ? 0 : failed(builder, "cannot hand over its namespaces");
}

/* Takes exactly `count` descriptors; out[] is -1 where there is none. */
static void inherit(int socket_fd, int *out, size_t count)
{
	union {
		char bytes[CMSG_SPACE(LEGACY_MAX * sizeof(int))];
		struct cmsghdr aligned;
	} control;
	char nothing;
	struct iovec part = {&nothing, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = sizeof control};
	for (size_t i = 0; i < count; i++)
		out[i] = -1;
	const struct cmsghdr *head =
	        recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) == 1 ? CMSG_FIRSTHDR(&message) : NULL;
	if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(count * sizeof(int)))
		memcpy(out, CMSG_DATA(head), count * sizeof(int));
}

static bool write_file(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, len) == (ssize_t)len;
	int why = errno;
	if (fd >= 0)
		close(fd);
	errno = why;
	return done;
}

static char *put_number(char *at, unsigned number)
{
	char digits[12];
	size_t count = 0;
	do
		digits[count++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (count > 0)
		*at++ = digits[--count];
	*at = '\0';
	return at;
}

/* "1001 OWN 1": one id is all that a user may map by himself. */
static bool map_own_id(const char *path, unsigned own)
{
	char text[32] = "1001 ";
	char *end = put_number(text + 5, own);
	memcpy(end, " 1\n", 3);
	return write_file(path, text, (size_t)(end - text) + 3);
}

/*
 * Who maps what the newcomer to a user namespace cannot: a child that stayed outside, with a copy of our memory, so that we
 * need not wait for it before it is time. -1 where it cannot be made; a write to *out_go lets it run.
 */
static pid_t begin_mapper(const Builder *builder, bool (*map)(const Builder *builder, pid_t whose), int *out_go)
{
	int ends[2];
	pid_t whose = (pid_t)syscall(SYS_getpid);
	signal(SIGCHLD, SIG_DFL); /* where the process that waits ignores it, its child would not learn of an end; here it is ours */
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		char go;
		close(ends[1]);
		_exit(read(ends[0], &go, 1) == 1 && map(builder, whose) ? 0 : 1);
	}
	close(ends[0]);
	if (pid < 0)
		close(ends[1]);
	*out_go = ends[1];
	return pid;
}

static bool end_mapper(pid_t pid, int go)
{
	int status = -1;
	bool told = write(go, "", 1) == 1;
	close(go);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	errno = EPERM;
	return told && status == 0;
}

/* Runs newuidmap or newgidmap: "PID 1001 OWN 1 100000 FIRST 65535". Does not return when it can be started. */
static bool map_by(const char *program, pid_t whose, unsigned own, unsigned first)
{
	char numbers[4][12];
	put_number(numbers[0], (unsigned)whose);
	put_number(numbers[1], own);
	put_number(numbers[2], TEMPLATE_FIRST);
	put_number(numbers[3], first);
	char besides[12];
	put_number(besides, IDS_BESIDES);
	const char *const argv[] = {program, numbers[0], "1001", numbers[1], "1", numbers[2], numbers[3], besides, NULL};
	char *const envp[] = {NULL};
	execve(program, (char *const *)(uintptr_t)argv, envp);
	return false;
}

static bool map_users(const Builder *builder, pid_t whose)
{
	return map_by(IDS_NEWUIDMAP, whose, geteuid(), builder->ids->first_uid);
}

static bool map_groups(const Builder *builder, pid_t whose)
{
	return map_by(IDS_NEWGIDMAP, whose, getegid(), builder->ids->first_gid);
}

/* By ourselves, who may: as root, or in the user namespace above. */
static bool map_image(const char *what, pid_t whose, unsigned own, unsigned first)
{
	char path[64] = "/proc/";
	char text[64] = "0 ";
	memcpy(put_number(path + 6, (unsigned)whose), what, strlen(what) + 1);
	char *at = put_number(text + 2, own);
	memcpy(at, " 1\n1 ", 5);
	at = put_number(at + 5, first);
	*at++ = ' ';
	at = put_number(at, IDS_BESIDES);
	*at++ = '\n';
	return write_file(path, text, (size_t)(at - text));
}

static bool map_both(const Builder *builder, pid_t whose)
{
	const Ids *ids = builder->ids;
	return map_image("/uid_map", whose, builder->own_uid, ids->outer_uid) &&
	       map_image("/gid_map", whose, builder->own_gid, ids->outer_gid);
}

/* A process that has made itself undumpable could not open its own maps, nor others of its user: for some writes it is dumpable. */
static int begin_to_map(void)
{
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return dumpable;
}

static int end_to_map(Builder *builder, bool done, int dumpable)
{
	int made = done ? open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC) : -1;
	int status = made < 0 ? failed(builder, "cannot map its user") : leave(builder, &made, 1);
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return status;
}

static int make_user(Builder *builder)
{
	unsigned user = geteuid(), group = getegid();
	int go[2];
	pid_t mappers[2] = {0, 0};
	if (builder->ids) {
		mappers[0] = begin_mapper(builder, map_users, &go[0]);
		mappers[1] = mappers[0] < 0 ? -1 : begin_mapper(builder, map_groups, &go[1]);
		if (mappers[1] < 0)
			return failed(builder, "cannot start a process");
	}
	if (unshare(CLONE_NEWUSER) < 0)
		return failed(builder, "cannot make its namespaces");
	int dumpable = begin_to_map();
	bool done;
	if (builder->ids) {
		bool users = end_mapper(mappers[0], go[0]);
		done = end_mapper(mappers[1], go[1]) && users;
	} else {
		done = write_file("/proc/self/setgroups", "deny", 4) && map_own_id("/proc/self/uid_map", user) &&
		       map_own_id("/proc/self/gid_map", group);
	}
	return end_to_map(builder, done, dumpable);
}

static int make_ids(Builder *builder)
{
	int go;
	if (builder->user_fd >= 0 && setns(builder->user_fd, CLONE_NEWUSER) < 0)
		return failed(builder, "cannot enter its user namespace");
	pid_t mapper = begin_mapper(builder, map_both, &go);
	if (mapper < 0)
		return failed(builder, "cannot start a process");
	if (unshare(CLONE_NEWUSER) < 0)
		return failed(builder, "cannot make its namespaces");
	int dumpable = begin_to_map();
	return end_to_map(builder, end_mapper(mapper, go), dumpable);
}

static int make_root(Builder *builder)
{
	int fds[LEGACY_MAX] = {-1, -1}; /* the template's mounts, and for an ordinary user the host's */
	int own = open("/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool ordinary = builder->user_fd >= 0;
	if (ordinary && setns(builder->user_fd, CLONE_NEWUSER) < 0)
		return failed(builder, "cannot enter its user namespace");
	if (unshare(CLONE_NEWNS) < 0)
		return failed(builder, "cannot make its namespaces");
	if (ordinary) {
		/* A copy of the host's mounts that goes with the host where the host lets it, and never the other way. */
		if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
			return failed(builder, "cannot leave the host's mounts");
		fds[1] = openat(own, "mnt", O_RDONLY | O_CLOEXEC);
		if (fds[1] < 0 || unshare(CLONE_NEWNS) < 0)
			return failed(builder, "cannot make its namespaces");
	}
	if (!mounts_build(&builder->mounts, &builder->failure))
		return 1;
	fds[0] = openat(own, "mnt", O_RDONLY | O_CLOEXEC);
	return fds[0] < 0 ? failed(builder, "cannot open its namespaces") : leave(builder, fds, ordinary ? 2 : 1);
}

static int builder_main(void *data)
{
	Builder *builder = data;
	return builder->main(builder);
}

/* Runs the builder to its end; out[] is what it left. */
static bool build(Builder *builder, int *out, size_t count)
{
	int ends[2];
	for (size_t i = 0; i < count; i++)
		out[i] = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return !failed(builder, "cannot make a socket pair");
	autofd int ours = ends[0];
	autofd int theirs = ends[1];
	builder->socket_fd = theirs;
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return !failed(builder, "no memory for a template");
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid_t pid = clone(builder_main, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, builder);
	int why = errno;
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		; /* where SIGCHLD is ignored it is gone by itself */
	sigprocmask(SIG_SETMASK, &old, NULL);
	munmap(stack, STACK_BYTES);
	errno = why;
	if (pid < 0)
		return !failed(builder, "cannot start a process");
	inherit(ours, out, count);
	return !builder->failure.what && out[0] >= 0;
}

int template_make_user(const Ids *ids, Failure *out)
{
	Builder builder = {.main = make_user, .user_fd = -1, .ids = ids};
	int fd;
	build(&builder, &fd, 1);
	*out = builder.failure;
	return fd;
}

int template_make_ids(int user_fd, const Ids *ids, uid_t own_uid, gid_t own_gid, Failure *out)
{
	Builder builder = {.main = make_ids, .user_fd = user_fd, .ids = ids, .own_uid = own_uid, .own_gid = own_gid};
	int fd;
	build(&builder, &fd, 1);
	*out = builder.failure;
	return fd;
}

Template *template_make(const char *recipe, int user_fd, Failure *out)
{
	Builder builder = {.main = make_root, .user_fd = user_fd};
	int fds[LEGACY_MAX] = {-1, -1};
	g_autoptr(Template) template = g_new0(Template, 1);
	template->recipe = g_strdup(recipe);
	/* Looked at before anything is read: a change in between makes the template stale, not wrong. */
	template->witnesses = g_array_sized_new(FALSE, FALSE, sizeof(Witness), G_N_ELEMENTS(watched));
	for (size_t i = 0; i < G_N_ELEMENTS(watched); i++) {
		const Witness witness = look(watched[i]);
		g_array_append_val(template->witnesses, witness);
	}
	mounts_list_template(recipe, &builder.mounts);
	bool built = build(&builder, fds, user_fd >= 0 ? 2 : 1);
	template->root_fd = fds[0];
	template->host_fd = fds[1];
	*out = builder.failure;
	if (out->target)
		out->target = g_intern_string(out->target); /* its list is about to go */
	mounts_clear(&builder.mounts);
	return built ? g_steal_pointer(&template) : NULL;
}

void template_free(Template *template)
{
	if (!template)
		return;
	autofd_close(&template->root_fd);
	autofd_close(&template->host_fd);
	g_clear_pointer(&template->recipe, g_free);
	g_clear_pointer(&template->witnesses, g_array_unref);
	g_free(template);
}
