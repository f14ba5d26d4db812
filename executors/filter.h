/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that a sandbox refuses, as a BPF program for seccomp(2). */
#pragma once

#include <linux/filter.h>
#include <stddef.h>

#define FILTER_LEN_MAX 1024

/** Writes the program; the same one each time. Returns its number of instructions. Takes microseconds. */
size_t filter_write(struct sock_filter out[FILTER_LEN_MAX]);
