/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's system call filter. Namespaces and empty capabilities are the walls; this closes the doors that lie
 * beside them: kernel interfaces that a build or a training never needs and that have been ways out, or that no
 * namespace covers (keyrings, vsock, io_uring). Numbers the table does not name are allowed up to the newest call
 * known here and answered ENOSYS beyond it, so that a future kernel opens nothing by itself.
 *
 * The program is a binary search over ranges of numbers that are answered alike, and behind it each answer once: the
 * kernel checks, translates and tries it for each job, so its length counts. It is written here rather than compiled by
 * libseccomp: that takes half a millisecond a job, this a few microseconds. Arguments are compared in their low 32 bits, as the kernel does
 * for these calls: a check of 64 would let ioctl(TIOCSTI + 2^32) by.
 */
#include "executors/filter.h"

#include <errno.h>
#include <glib.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Calls of kernels newer than our headers, whose numbers are the same on every processor. */
#define NR_STATMOUNT 457
#define NR_LISTMOUNT 458
#define NR_NEWEST 466 /* removexattrat, Linux 6.13 */
#define CLONE_NAMESPACES                                                                             \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
	        CLONE_NEWNET)
#define CLONE_NEWTIME_BIT 0x80u /* for unshare(2) only: in clone(2) it is a part of the signal */
#define PERSONALITY_QUERY 0xffffffffu

typedef enum Check {
	CHECK_NONE,
	CHECK_CLONE,
	CHECK_UNSHARE,
	CHECK_IOCTL,
	CHECK_SOCKET,
	CHECK_PERSONALITY,
	CHECK_CORE,     /* setrlimit */
	CHECK_CORE_OLD, /* prlimit64, which also only asks */
} Check;

typedef struct Rule {
	uint32_t number;
	uint16_t answer; /* errno */
	uint8_t check;   /* CHECK_NONE: refused whatever its arguments */
} Rule;

#define NO(name) {.number = SYS_##name, .answer = EPERM}
static const Rule rules_unsorted[] = {
	/* mounts and roots */
	NO(mount), NO(umount2), NO(pivot_root), NO(chroot), NO(open_tree), NO(move_mount), NO(fsopen), NO(fsconfig),
	NO(fsmount), NO(fspick), NO(mount_setattr), NO(swapon), NO(swapoff), NO(quotactl), NO(quotactl_fd), NO(acct),
	{NR_STATMOUNT, ENOSYS, CHECK_NONE}, {NR_LISTMOUNT, ENOSYS, CHECK_NONE},
	/* files by handle know no mount */
	NO(name_to_handle_at), NO(open_by_handle_at),
	/* namespaces */
	NO(setns), {SYS_clone, EPERM, CHECK_CLONE}, {SYS_unshare, EPERM, CHECK_UNSHARE},
	{SYS_clone3, ENOSYS, CHECK_NONE}, /* its flags lie in memory: libraries fall back to clone */
	/* other processes */
	NO(ptrace), NO(process_vm_readv), NO(process_vm_writev), NO(process_madvise), NO(pidfd_getfd), NO(kcmp),
	/* kernel interfaces that have been ways out */
	NO(bpf), NO(perf_event_open), NO(userfaultfd), NO(io_uring_setup), NO(io_uring_enter), NO(io_uring_register),
	NO(fanotify_init), NO(vhangup), NO(syslog),
	/* keyrings belong to no namespace */
	NO(keyctl), NO(add_key), NO(request_key),
	/* the machine */
	NO(kexec_load), NO(init_module), NO(finit_module), NO(delete_module), NO(reboot), NO(settimeofday),
	NO(clock_settime), NO(clock_adjtime), NO(adjtimex), NO(sethostname), NO(setdomainname),
#ifdef SYS_kexec_file_load
	NO(kexec_file_load),
#endif
#ifdef SYS_iopl
	NO(iopl), NO(ioperm), NO(modify_ldt), NO(uselib), NO(ustat), NO(sysfs), NO(_sysctl),
#endif
#ifdef SYS_lookup_dcookie
	NO(lookup_dcookie),
#endif
	/* typing into a terminal, addresses of no network namespace, other personalities */
	{SYS_ioctl, EPERM, CHECK_IOCTL}, {SYS_socket, EAFNOSUPPORT, CHECK_SOCKET},
	{SYS_personality, EPERM, CHECK_PERSONALITY},
	/* the limit of core files stays what init_confine.c makes it; `ulimit -c 0` is answered as if it were done */
	{SYS_prlimit64, 0, CHECK_CORE_OLD},
#ifdef SYS_setrlimit
	{SYS_setrlimit, 0, CHECK_CORE},
#endif
};
#undef NO

/* What a range of numbers is answered: by Rule's answer and check; all zero is "allowed". */
typedef struct Answer {
	uint16_t number;
	uint8_t check;
} Answer;

/* Numbers from here to the next range's. */
typedef struct Range {
	uint32_t from;
	Answer answer;
} Range;

#define RANGES_MAX (2 * G_N_ELEMENTS(rules_unsorted) + 1)
#define ANSWERS_MAX 16

/* A jump whose end is not written yet. */
typedef struct Jump {
	size_t at;
	bool if_true;
	Answer to;
} Jump;

typedef struct Writer {
	struct sock_filter *out;
	size_t len;
	Jump jumps[2 * RANGES_MAX];
	size_t jumps_len;
} Writer;

static void emit(Writer *writer, uint16_t code, uint32_t value, size_t if_true, size_t if_false)
{
	g_assert(writer->len < FILTER_LEN_MAX && if_true < 256 && if_false < 256);
	writer->out[writer->len++] = (struct sock_filter){code, (uint8_t)if_true, (uint8_t)if_false, value};
}

static void emit_return(Writer *writer, uint32_t what)
{
	emit(writer, BPF_RET | BPF_K, what, 0, 0);
}

static void emit_argument(Writer *writer, unsigned index)
{
	emit(writer, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * index), 0, 0);
}

/* Refuses when a bit of mask is set in the argument. */
static void emit_bits(Writer *writer, unsigned index, uint32_t mask, uint32_t refuse)
{
	emit_argument(writer, index);
	emit(writer, BPF_JMP | BPF_JSET | BPF_K, mask, 0, 1);
	emit_return(writer, refuse);
	emit_return(writer, SECCOMP_RET_ALLOW);
}

static void emit_one_of(Writer *writer, unsigned index, const uint32_t *values, size_t len, uint32_t found,
        uint32_t other)
{
	emit_argument(writer, index);
	for (size_t i = 0; i < len; i++)
		emit(writer, BPF_JMP | BPF_JEQ | BPF_K, values[i], len - i, 0);
	emit_return(writer, other);
	emit_return(writer, found);
}

static void emit_check(Writer *writer, Check check, uint32_t refuse)
{
	static const uint32_t typing[] = {TIOCSTI, TIOCLINUX};
	static const uint32_t personalities[] = {0, PERSONALITY_QUERY};
	static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6};
	switch (check) {
	case CHECK_NONE:
		emit_return(writer, refuse);
		break;
	case CHECK_CLONE:
		emit_bits(writer, 0, CLONE_NAMESPACES, refuse);
		break;
	case CHECK_UNSHARE:
		emit_bits(writer, 0, CLONE_NAMESPACES | CLONE_NEWTIME_BIT, refuse);
		break;
	case CHECK_IOCTL:
		emit_one_of(writer, 1, typing, G_N_ELEMENTS(typing), refuse, SECCOMP_RET_ALLOW);
		break;
	case CHECK_PERSONALITY:
		emit_one_of(writer, 0, personalities, G_N_ELEMENTS(personalities), SECCOMP_RET_ALLOW, refuse);
		break;
	case CHECK_CORE:
		emit_argument(writer, 0);
		emit(writer, BPF_JMP | BPF_JEQ | BPF_K, RLIMIT_CORE, 0, 1);
		emit_return(writer, refuse);
		emit_return(writer, SECCOMP_RET_ALLOW);
		break;
	case CHECK_CORE_OLD: /* all 64 bits of the new limit's address: none is a question */
		emit_argument(writer, 1);
		emit(writer, BPF_JMP | BPF_JEQ | BPF_K, RLIMIT_CORE, 0, 5);
		emit_argument(writer, 2);
		emit(writer, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2);
		emit(writer, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * 2 + 4), 0, 0);
		emit(writer, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
		emit_return(writer, refuse);
		emit_return(writer, SECCOMP_RET_ALLOW);
		break;
	case CHECK_SOCKET: /* netlink of protocol 0, route: libraries list addresses by it */
		emit_argument(writer, 0);
		emit(writer, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 4);
		emit_argument(writer, 2);
		emit(writer, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
		emit_return(writer, SECCOMP_RET_ALLOW);
		emit_return(writer, refuse);
		emit_one_of(writer, 0, families, G_N_ELEMENTS(families), SECCOMP_RET_ALLOW, refuse);
		break;
	}
}

static bool is_same(Answer a, Answer b)
{
	return a.number == b.number && a.check == b.check;
}

/* One side of a test: on to what is written next, or to an answer, which is written later. */
static void emit_side(Writer *writer, size_t test, bool if_true, const Range *ranges, size_t len);

static void emit_search(Writer *writer, const Range *ranges, size_t len)
{
	size_t half = len / 2;
	size_t test = writer->len;
	emit(writer, BPF_JMP | BPF_JGE | BPF_K, ranges[half].from, 0, 0);
	emit_side(writer, test, false, ranges, half);
	emit_side(writer, test, true, ranges + half, len - half);
}

static void patch(Writer *writer, size_t test, bool if_true, size_t to)
{
	size_t distance = to - test - 1;
	g_assert(distance < 256);
	if (if_true)
		writer->out[test].jt = (uint8_t)distance;
	else
		writer->out[test].jf = (uint8_t)distance;
}

static void emit_side(Writer *writer, size_t test, bool if_true, const Range *ranges, size_t len)
{
	if (len == 1) {
		g_assert(writer->jumps_len < G_N_ELEMENTS(writer->jumps));
		writer->jumps[writer->jumps_len++] = (Jump){test, if_true, ranges->answer};
		return;
	}
	patch(writer, test, if_true, writer->len);
	emit_search(writer, ranges, len);
}

/* Each answer once, and all jumps to it. */
static void emit_answers(Writer *writer)
{
	Answer written[ANSWERS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < writer->jumps_len; i++) {
		Answer answer = writer->jumps[i].to;
		bool is_written = false;
		for (size_t j = 0; j < count; j++)
			is_written = is_written || is_same(written[j], answer);
		if (is_written)
			continue;
		g_assert(count < ANSWERS_MAX);
		written[count++] = answer;
		for (size_t j = i; j < writer->jumps_len; j++)
			if (is_same(writer->jumps[j].to, answer))
				patch(writer, writer->jumps[j].at, writer->jumps[j].if_true, writer->len);
		if (answer.check == CHECK_NONE && answer.number == 0)
			emit_return(writer, SECCOMP_RET_ALLOW);
		else
			emit_check(writer, answer.check, SECCOMP_RET_ERRNO | answer.number);
	}
}

/* Neighbours that are answered alike become one. */
static size_t add_range(Range *ranges, size_t len, uint32_t from, Answer answer)
{
	if (len > 0 && is_same(ranges[len - 1].answer, answer))
		return len;
	ranges[len] = (Range){from, answer};
	return len + 1;
}

static size_t make_ranges(const Rule *rules, size_t rules_len, Range *out)
{
	const Answer allowed = {0, CHECK_NONE};
	size_t len = add_range(out, 0, 0, allowed);
	for (size_t i = 0; i < rules_len; i++) {
		const Answer answer = {rules[i].answer, rules[i].check};
		if (len > 0 && out[len - 1].from == rules[i].number && is_same(out[len - 1].answer, allowed))
			len--; /* nothing lies between this one and the last */
		len = add_range(out, len, rules[i].number, answer);
		if (i + 1 == rules_len || rules[i + 1].number != rules[i].number + 1)
			len = add_range(out, len, rules[i].number + 1, allowed);
	}
	return len;
}

static int compare_rules(const void *a, const void *b)
{
	uint32_t left = ((const Rule *)a)->number, right = ((const Rule *)b)->number;
	return (left > right) - (left < right);
}

size_t filter_write(struct sock_filter out[FILTER_LEN_MAX])
{
	Writer writer = {.out = out};
	Range ranges[RANGES_MAX];
	Rule rules[G_N_ELEMENTS(rules_unsorted)];
	memcpy(rules, rules_unsorted, sizeof rules);
	qsort(rules, G_N_ELEMENTS(rules), sizeof rules[0], compare_rules);
	emit(&writer, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	emit(&writer, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	emit_return(&writer, SECCOMP_RET_KILL_PROCESS); /* int 0x80: another table of numbers */
	emit(&writer, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	emit(&writer, BPF_JMP | BPF_JGT | BPF_K, NR_NEWEST, 0, 1); /* newer calls, and all of x32 */
	emit_return(&writer, SECCOMP_RET_ERRNO | ENOSYS);
	emit_search(&writer, ranges, make_ranges(rules, G_N_ELEMENTS(rules), ranges));
	emit_answers(&writer);
	return writer.len;
}
