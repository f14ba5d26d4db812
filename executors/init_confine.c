/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the first process of a place gives up before it starts a step, in an order where each call still may do what it
 * must: user and user namespace, limits, capabilities, Landlock, and the filter last.
 */
#include "executors/init_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "executors/init_sys.h"

#define CAPABILITIES 64 /* more than any kernel has */
#define MAPPER_STACK_BYTES 8192
#define OWN_NUMBER "/proc/1/" /* of the first process, as its child sees it */

/*
 * What root of an image with other users beside him may: give files to them, read and write theirs, become one of them,
 * end what they run. All of it over ids of the place alone: no mount, network or process outside is the place's.
 */
#define BIT(capability) (UINT64_C(1) << (capability))
#define OVER_USERS (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_KILL) | \
	BIT(CAP_SETGID) | BIT(CAP_SETUID))

static char mapper_stack[MAPPER_STACK_BYTES] __attribute__((aligned(16)));

static long write_text(const char *path, const char *text)
{
	long fd = SYS(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	long wrote = SYS(__NR_write, fd, text, text_len(text));
	SYS(__NR_close, fd);
	return wrote < 0 ? wrote : 0;
}

static long map_one(const char *path, uint32_t inner, uint32_t outer)
{
	char text[64];
	char *at = text_number(text, inner);
	at = text_number(text_copy(at, " "), outer);
	text_copy(at, " 1\n");
	return write_text(path, text);
}

/* "0 OUTER 1", and the others. */
static long map_many(const char *path, uint32_t outer, uint32_t first, uint32_t count)
{
	char text[128];
	char *at = text_number(text_copy(text, "0 "), outer);
	at = text_number(text_copy(at, " 1\n1 "), first);
	at = text_number(text_copy(at, " "), count);
	text_copy(at, "\n");
	return write_text(path, text);
}

/* More ids than his own are mapped by somebody who stayed outside: a child born before, which waits until it is time. */
typedef struct Mapper {
	const InitSetup *setup;
	bool same; /* as they are in the one above, part by part: the kernel takes no more at once */
	int ends[2];
} Mapper;

static int mapper_main(void *data)
{
	const Mapper *mapper = data;
	const InitSetup *setup = mapper->setup;
	char go;
	SYS(__NR_close, mapper->ends[1]);
	if (SYS(__NR_read, mapper->ends[0], &go, 1) != 1)
		return EPIPE;
	bool same = mapper->same;
	long got = map_many(OWN_NUMBER "uid_map", same ? 0 : setup->outer_uid, same ? 1 : setup->besides_uid, setup->besides);
	if (got >= 0)
		got = map_many(OWN_NUMBER "gid_map", same ? 0 : setup->outer_gid, same ? 1 : setup->besides_gid, setup->besides);
	return got < 0 ? (int)-got : 0;
}

static long begin_mapper(Mapper *mapper)
{
	long got = SYS(__NR_pipe2, mapper->ends, O_CLOEXEC);
	if (got < 0)
		return got;
	long pid = init_clone(SIGCHLD, mapper_stack + sizeof mapper_stack, mapper_main, mapper);
	SYS(__NR_close, mapper->ends[0]);
	if (pid < 0)
		SYS(__NR_close, mapper->ends[1]);
	return pid;
}

static long end_mapper(const Mapper *mapper, long pid)
{
	int status = 0;
	SYS(__NR_write, mapper->ends[1], "", 1);
	SYS(__NR_close, mapper->ends[1]);
	long got;
	do
		got = SYS(__NR_wait4, pid, &status, 0, NULL);
	while (got == -EINTR);
	if (got < 0)
		return got;
	return status == 0 ? 0 : (status & 0x7f) ? -EIO : -((status >> 8) & 0xff);
}

/* Of the init's user namespace that was just made. */
static long map_itself(const InitSetup *setup)
{
	long got = write_text("/proc/self/setgroups", "deny");
	if (got >= 0)
		got = map_one("/proc/self/uid_map", setup->inner_uid, setup->outer_uid);
	return got < 0 ? got : map_one("/proc/self/gid_map", setup->inner_gid, setup->outer_gid);
}

static long set_capabilities(bool keep_permitted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}, {0}};
	if (keep_permitted) {
		long got = SYS(__NR_capget, &header, data);
		if (got < 0)
			return got;
		data[0].effective = data[0].permitted;
		data[1].effective = data[1].permitted;
	}
	return SYS(__NR_capset, &header, data);
}

long init_become(uint32_t uid, uint32_t gid)
{
	long got;
	if ((got = SYS(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0)) < 0 ||
	        (got = SYS(__NR_setgroups, 0, NULL)) < 0 ||
	        (got = SYS(__NR_setresgid, gid, gid, gid)) < 0 ||
	        (got = SYS(__NR_setresuid, uid, uid, uid)) < 0 ||
	        (got = set_capabilities(true)) < 0)
		return got;
	return SYS(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); /* to write our own maps, just below */
}

static long limit(int what, uint64_t value)
{
	uint64_t old[2];
	long got = SYS(__NR_prlimit64, 0, what, NULL, old);
	if (got < 0)
		return got;
	uint64_t both[2] = {value < old[1] ? value : old[1], value < old[1] ? value : old[1]};
	return SYS(__NR_prlimit64, 0, what, both, NULL);
}

static long set_limits(const InitSetup *setup)
{
	long got;
	/* One byte, not none: with none the kernel still pipes cores to the host's handler (core(5)). */
	if ((got = limit(RLIMIT_CORE, 1)) < 0 || (got = limit(RLIMIT_RTPRIO, 0)) < 0 ||
	        (got = limit(RLIMIT_NICE, 0)) < 0)
		return got;
	if (setup->processes && (got = limit(RLIMIT_NPROC, setup->processes + 1)) < 0) /* and init itself */
		return got;
	if (setup->file_bytes && (got = limit(RLIMIT_FSIZE, setup->file_bytes)) < 0)
		return got;
	if (setup->open_files && (got = limit(RLIMIT_NOFILE, setup->open_files)) < 0)
		return got;
	return setup->data_bytes ? limit(RLIMIT_DATA, setup->data_bytes) : 0;
}

/* For a place of several users: exec as root keeps these, becoming another gives them up, as programs expect. */
static long keep_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct data[2] = {{.effective = (uint32_t)kept, .permitted = (uint32_t)kept}, {0}};
	SYS(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return SYS(__NR_capset, &header, data);
}

static long drop_capabilities(uint64_t kept)
{
	for (int capability = 0; capability < CAPABILITIES; capability++) {
		if (kept & BIT(capability))
			continue;
		long got = SYS(__NR_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
		if (got == -EINVAL)
			break; /* past the kernel's last */
		if (got < 0)
			return got;
	}
	if (kept) {
		long got = keep_capabilities(kept);
		return got < 0 ? got : SYS(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	}
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
	        SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
	        SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	long got = SYS(__NR_prctl, PR_SET_SECUREBITS, bits, 0, 0, 0);
	if (got < 0)
		return got;
	SYS(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if ((got = set_capabilities(false)) < 0)
		return got;
	return SYS(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/*
 * Landlock: nothing is opened, made or removed that does not lie beneath this root, whatever way leads there: a descriptor
 * that was left open, a mount namespace that was entered. What may be done beneath it the mounts say. And where the place
 * shares the host's network (ABI 6), abstract sockets and signals stay within it, too.
 */
static long set_landlock(const InitSetup *setup)
{
	const int rights = setup->landlock >= 5 ? 16 : setup->landlock >= 3 ? 15 : 14; /* of files, that the ABI knows */
	const uint64_t files = setup->landlock ? (UINT64_C(1) << rights) - 1 : 0;
	const uint64_t ruleset[3] = {files, 0, setup->scope ? 3 : 0}; /* network: untouched; abstract sockets | signals */
	long root = setup->landlock ? SYS(__NR_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (setup->landlock && root < 0)
		return root;
	long fd = SYS(__NR_landlock_create_ruleset, ruleset, sizeof ruleset, 0);
	const struct landlock_path_beneath_attr beneath = {.allowed_access = files, .parent_fd = (int)root};
	long got = fd;
	if (fd >= 0 && setup->landlock)
		got = SYS(__NR_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	if (got >= 0)
		got = SYS(__NR_landlock_restrict_self, fd, 0);
	if (fd >= 0)
		SYS(__NR_close, fd);
	if (root >= 0)
		SYS(__NR_close, root);
	return got < 0 ? got : 0;
}

static long set_filter(const InitSetup *setup)
{
	const struct sock_fprog program = {
		.len = (unsigned short)setup->filter_len,
		.filter = (struct sock_filter *)(uintptr_t)(setup + 1),
	};
	return SYS(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
}

/* A user namespace more, with the ids of this one: what all of its users start counts together against our limit here. */
static long count_together(const InitSetup *setup)
{
	Mapper mapper = {.setup = setup, .same = true};
	long mapping = begin_mapper(&mapper);
	if (mapping < 0)
		return mapping;
	long got = setup->processes ? limit(RLIMIT_NPROC, setup->processes + 1) : 0;
	if (got >= 0)
		got = SYS(__NR_unshare, CLONE_NEWUSER);
	return got < 0 ? got : end_mapper(&mapper, mapping);
}

InitReply init_confine(const InitSetup *setup)
{
	InitReply failed = {0};
	Mapper mapper = {.setup = setup};
	long mapping = 0;
	long got;
#define TRY(what, at)                              \
	do {                                       \
		if ((got = (what)) < 0) {          \
			failed.error = (int)-got;  \
			failed.stage = (at);       \
			return failed;             \
		}                                  \
	} while (0)
	if (setup->become)
		TRY(init_become(setup->outer_uid, setup->outer_gid), INIT_STAGE_IDS);
	/* Made last: the mounts belong to the user namespace outside, so no one in here can undo them. */
	if (setup->besides)
		TRY(mapping = begin_mapper(&mapper), INIT_STAGE_ID_MAP);
	TRY(SYS(__NR_unshare, CLONE_NEWUSER), INIT_STAGE_USER_NAMESPACE);
	TRY(setup->besides ? end_mapper(&mapper, mapping) : map_itself(setup), INIT_STAGE_ID_MAP);
	if (setup->together)
		TRY(count_together(setup), INIT_STAGE_ID_MAP);
	TRY(SYS(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0), INIT_STAGE_IDS);
	TRY(SYS(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), INIT_STAGE_IDS);
	TRY(set_limits(setup), INIT_STAGE_LIMITS);
	TRY(drop_capabilities(setup->besides ? OVER_USERS : 0), INIT_STAGE_CAPABILITIES);
	if (setup->scope || setup->landlock)
		TRY(set_landlock(setup), INIT_STAGE_SCOPE);
	TRY(set_filter(setup), INIT_STAGE_FILTER);
#undef TRY
	return failed;
}

InitReply init_supervise(const InitSetup *setup)
{
	InitReply failed = {0};
	long got = SYS(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	failed.stage = INIT_STAGE_IDS;
	if (got >= 0 && setup->become &&
	        (got = SYS(__NR_setgroups, 0, NULL)) >= 0 &&
	        (got = SYS(__NR_setresgid, setup->outer_gid, setup->outer_gid, setup->outer_gid)) >= 0)
		got = SYS(__NR_setresuid, setup->outer_uid, setup->outer_uid, setup->outer_uid);
	if (got >= 0) {
		failed.stage = INIT_STAGE_LIMITS;
		if (setup->file_bytes)
			got = limit(RLIMIT_FSIZE, setup->file_bytes);
		if (got >= 0 && setup->open_files)
			got = limit(RLIMIT_NOFILE, setup->open_files);
		if (got >= 0 && setup->data_bytes)
			got = limit(RLIMIT_DATA, setup->data_bytes);
	}
	failed.error = got < 0 ? (int)-got : 0;
	return failed;
}
