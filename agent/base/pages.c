/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/pages.h"

#include <glib.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#define HEAP_STEP_BYTES (1024 * 1024) /* the heap grows and shrinks by this */
#define APART_BYTES (4 * 1024 * 1024) /* what is larger has a mapping of its own: two system calls and its faults */

void pages_let_go(void)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents("/proc/self/smaps", &text, NULL, NULL))
		return;
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	unsigned long long from = 0, to = 0;
	bool may = false;
	for (char **line = lines; *line; line++) {
		char rights[8] = "";
		unsigned long long begin, end, inode;
		if (sscanf(*line, "%llx-%llx %7s %*x %*x:%*x %llu", &begin, &end, rights, &inode) == 4) {
			from = begin;
			to = end;
			may = inode != 0 && rights[1] == '-' && rights[3] == 'p';
		} else if (may && g_str_has_prefix(*line, "Anonymous:") && g_ascii_strtoull(*line + 10, NULL, 10) == 0) {
			madvise((void *)(uintptr_t)from, (size_t)(to - from), MADV_DONTNEED);
		}
	}
}

void pages_settle(void)
{
#ifdef __GLIBC__
	mallopt(M_TOP_PAD, HEAP_STEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, 2 * HEAP_STEP_BYTES);
	mallopt(M_MMAP_THRESHOLD, APART_BYTES);
	malloc_trim(0);
#endif
}
