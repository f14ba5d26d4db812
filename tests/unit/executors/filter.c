/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter's program, interpreted here: each system call number that the table knows gets its answer, each neighbour
 * is allowed. What the kernel makes of it is tried in sandbox.c.
 */
#include "executors/filter.h"

#include <errno.h>
#include <glib.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

static struct sock_filter program[FILTER_LEN_MAX];
static size_t program_len;

static uint32_t interpret(const struct seccomp_data *data)
{
	uint32_t value = 0;
	for (size_t at = 0; at < program_len; at++) {
		const struct sock_filter *one = &program[at];
		switch (one->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			g_assert_cmpuint(one->k, <=, sizeof *data - sizeof value);
			memcpy(&value, (const char *)data + one->k, sizeof value);
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += value == one->k ? one->jt : one->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += value >= one->k ? one->jt : one->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			at += value > one->k ? one->jt : one->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			at += value & one->k ? one->jt : one->jf;
			break;
		case BPF_RET | BPF_K:
			return one->k;
		default:
			g_error("an instruction of code %u", one->code);
		}
	}
	g_error("the program runs out of itself");
}

static uint32_t answer(long number, uint64_t first, uint64_t second, uint64_t third)
{
	const struct seccomp_data data = {.nr = (int)number, .arch = ARCHITECTURE, .args = {first, second, third}};
	return interpret(&data);
}

#define REFUSED(why) (SECCOMP_RET_ERRNO | (why))

static void test_refuses_by_name(void)
{
	static const long refused[] = {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_tree, SYS_move_mount,
	        SYS_fsopen, SYS_fspick, SYS_mount_setattr, SYS_setns, SYS_ptrace, SYS_process_vm_readv, SYS_kcmp, SYS_bpf,
	        SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_register, SYS_keyctl, SYS_add_key,
	        SYS_request_key, SYS_kexec_load, SYS_reboot, SYS_clock_settime, SYS_sethostname, SYS_open_by_handle_at,
	        SYS_name_to_handle_at, SYS_init_module, SYS_finit_module, SYS_swapon, SYS_acct, SYS_quotactl};
	static const long allowed[] = {SYS_read, SYS_write, SYS_openat, SYS_execve, SYS_close, SYS_futex, SYS_mmap, SYS_exit_group,
	        SYS_getpid, SYS_statx, SYS_openat2, SYS_pidfd_open, SYS_close_range, SYS_memfd_create, SYS_getrandom,
	        SYS_landlock_create_ruleset, SYS_epoll_pwait2, SYS_wait4, SYS_kill, SYS_prctl};
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
		g_assert_cmphex(answer(refused[i], 0, 0, 0), ==, REFUSED(EPERM));
	for (size_t i = 0; i < G_N_ELEMENTS(allowed); i++)
		g_assert_cmphex(answer(allowed[i], 0, 0, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_clone3, 0, 0, 0), ==, REFUSED(ENOSYS));
	g_assert_cmphex(answer(457, 0, 0, 0), ==, REFUSED(ENOSYS)); /* statmount */
	g_assert_cmphex(answer(458, 0, 0, 0), ==, REFUSED(ENOSYS)); /* listmount */
	g_assert_cmphex(answer(459, 0, 0, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(1000, 0, 0, 0), ==, REFUSED(ENOSYS));
	g_assert_cmphex(answer(0x40000000 | SYS_read, 0, 0, 0), ==, REFUSED(ENOSYS));
}

static void test_looks_at_arguments(void)
{
	const uint64_t high = UINT64_C(1) << 32;
	g_assert_cmphex(answer(SYS_clone, SIGCHLD, 0, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0), ==, REFUSED(EPERM));
	g_assert_cmphex(answer(SYS_unshare, CLONE_FS, 0, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_unshare, CLONE_NEWNS, 0, 0), ==, REFUSED(EPERM));
	g_assert_cmphex(answer(SYS_ioctl, 0, TIOCGWINSZ, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_ioctl, 0, TIOCSTI, 0), ==, REFUSED(EPERM));
	g_assert_cmphex(answer(SYS_ioctl, 0, high | TIOCSTI, 0), ==, REFUSED(EPERM));
	g_assert_cmphex(answer(SYS_socket, AF_UNIX, SOCK_STREAM, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_socket, AF_INET6, SOCK_STREAM, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_socket, AF_NETLINK, SOCK_RAW, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_socket, AF_NETLINK, SOCK_RAW, 15), ==, REFUSED(EAFNOSUPPORT));
	g_assert_cmphex(answer(SYS_socket, AF_VSOCK, SOCK_STREAM, 0), ==, REFUSED(EAFNOSUPPORT));
	g_assert_cmphex(answer(SYS_personality, 0xffffffff, 0, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_personality, 0x0040000, 0, 0), ==, REFUSED(EPERM));
	/* answered as done, and not done */
	g_assert_cmphex(answer(SYS_prlimit64, 0, RLIMIT_CORE, 0x7fff0000), ==, REFUSED(0));
	g_assert_cmphex(answer(SYS_prlimit64, 0, RLIMIT_CORE, high), ==, REFUSED(0));
	g_assert_cmphex(answer(SYS_prlimit64, 0, RLIMIT_CORE, 0), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_prlimit64, 0, RLIMIT_NOFILE, 0x7fff0000), ==, SECCOMP_RET_ALLOW);
	g_assert_cmphex(answer(SYS_setrlimit, RLIMIT_CORE, 0x7fff0000, 0), ==, REFUSED(0));
	g_assert_cmphex(answer(SYS_setrlimit, RLIMIT_NOFILE, 0x7fff0000, 0), ==, SECCOMP_RET_ALLOW);
}

static void test_kills_another_architecture(void)
{
	const struct seccomp_data data = {.nr = 1, .arch = AUDIT_ARCH_I386};
	g_assert_cmphex(interpret(&data), ==, SECCOMP_RET_KILL_PROCESS);
}

/* The kernel translates and tries it for each job. */
static void test_is_short(void)
{
	g_assert_cmpuint(program_len, <=, 200);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	program_len = filter_write(program);
	g_test_add_func("/filter/refuses_by_name", test_refuses_by_name);
	g_test_add_func("/filter/looks_at_arguments", test_looks_at_arguments);
	g_test_add_func("/filter/kills_another_architecture", test_kills_another_architecture);
	g_test_add_func("/filter/is_short", test_is_short);
	return g_test_run();
}
