/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's own confinement. It stays able to make namespaces and to change owners, since that is its work; steps
 * are confined much harder, by their executor. Each call here cannot fail on a kernel we run on, and where it did, the
 * worker would be as it was before: no error is worth a job.
 */
#include "agent/job/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/autoptr.h"

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#define LANDLOCK_READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_FIRST ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* all that the first version knows */

void confine_begin(void)
{
	/* One byte, not none: with none the kernel still pipes cores to the host's handler (core(5)), also those of our steps. */
	const struct rlimit least = {1, 1};
	setrlimit(RLIMIT_CORE, &least);
	umask(077);
}

void confine_before_strangers(bool keep_privileges)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (!keep_privileges)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void allow_folder(int ruleset, const char *folder, uint64_t access)
{
	autofd int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
	if (fd >= 0)
		syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
}

static void close_file_system(const char *readable, const char *const *writable)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1)
		return;
	uint64_t all = LANDLOCK_FIRST | (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0);
	const struct landlock_ruleset_attr attributes = {.handled_access_fs = all};
	autofd int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0U);
	if (ruleset < 0)
		return;
	allow_folder(ruleset, readable, LANDLOCK_READS);
	for (; *writable; writable++)
		allow_folder(ruleset, *writable, all & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE);
	syscall(SYS_landlock_restrict_self, ruleset, 0U);
}

/* What a reader of requests never does; each refused with EPERM. */
static void refuse_calls(void)
{
#ifdef THIS_ARCH
	static const int refused[] = {SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
	        SYS_kill, SYS_tkill, SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_socket, SYS_connect, SYS_bind,
	        SYS_setns, SYS_unshare, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_tree, SYS_move_mount,
	        SYS_fsopen, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_keyctl, SYS_add_key,
	        SYS_request_key, SYS_open_by_handle_at, SYS_init_module, SYS_finit_module, SYS_kexec_load, SYS_reboot,
	        SYS_mknodat};
	enum { COUNT = sizeof refused / sizeof refused[0], HEAD = 4 };
	struct sock_filter code[HEAD + COUNT + 2];
	code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0);
	code[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[3] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < COUNT; i++)
		code[HEAD + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused[i],
		        (uint8_t)(COUNT - i), 0);
	code[HEAD + COUNT] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[HEAD + COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	const struct sock_fprog program = {.len = HEAD + COUNT + 2, .filter = code};
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
#endif
}

void confine_service(const char *readable, const char *const *writable)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	syscall(SYS_capset, &head, none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	close_file_system(readable, writable);
	refuse_calls();
}
