/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Package managers, tar and entrypoints run as an image's root and give files to other users. Here there are none, and
 * the kernel would say EINVAL, which they take for a broken machine.
 */
#include "executors/filter_image.h"

#include <glib.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "executors/filter.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

size_t filter_add_image(struct sock_filter *filter, size_t len)
{
	static const unsigned calls[] = {
#ifdef SYS_chown
	        SYS_chown, SYS_lchown,
#endif
	        SYS_fchown, SYS_fchownat};
	const size_t count = G_N_ELEMENTS(calls);
	struct sock_filter front[8 + G_N_ELEMENTS(calls)];
	size_t used = 0;
	front[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	/* Another table of numbers: the filter behind us kills it. */
	front[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0, (uint8_t)(count + 3));
	front[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < count; i++)
		front[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], (uint8_t)(count - i), 0);
	front[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0);
	front[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO);
	g_assert(len + used <= FILTER_LEN_MAX);
	memmove(filter + used, filter, len * sizeof *filter);
	memcpy(filter, front, used * sizeof *filter);
	return len + used;
}
