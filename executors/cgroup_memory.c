/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memory group of version 1 costs as much as a third of a plain process: its birth, its end, what the kernel sets up in
 * it with the first page, and the one lock of all groups that it takes for that. So a few are used again. The pool is
 * nothing but names: a group that waits is named by the process that made it, one in use by its worker, and to take it
 * or to give it back is to rename it, which the kernel lets one of two do. So there is nothing to count, and after a
 * kill the name tells that the group is nobody's any more (remove_stale() in cgroup.c).
 *
 * A group is as new when no process is in it, it has never run out of memory, and it is charged with next to nothing:
 * what a job leaves in the page cache stays the group's until the memory is needed elsewhere. The most that was used is
 * forgotten and the limit set anew. Version 2 has no part in this: there the most that was used can be reset since Linux
 * 6.12 only, and what has happened is counted for ever.
 */
#include "executors/cgroup_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"

#define READY_MAX 4
#define NAMES_MAX 100
#define VALUE_BYTES_MAX 256
#define LEFT_BYTES_MAX (2 * 1024 * 1024) /* most of it is charged ahead for each CPU, or about to be freed: half of this is usual */

static struct {
	char *base;
	pid_t owner;          /* 0: there is no pool */
	_Atomic bool *closed; /* shared by the process that made it and all of its clones: it removes what is ready, or has */
} pool;

static bool write_value(int folder, const char *file, int64_t value)
{
	char text[24];
	autofd int fd = openat(folder, file, O_WRONLY | O_CLOEXEC);
	g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, value);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A small file as a text; false when there is none. */
static bool read_text(int fd, char text[VALUE_BYTES_MAX])
{
	ssize_t len = fd >= 0 ? pread(fd, text, VALUE_BYTES_MAX - 1, 0) : -1;
	if (len >= 0)
		text[len] = '\0';
	return len >= 0;
}

static int64_t charged(const Cgroup *group)
{
	char text[VALUE_BYTES_MAX];
	return read_text(group->usage_fd, text) ? g_ascii_strtoll(text, NULL, 10) : INT64_MAX;
}

/* The limit of both together may never be the lower one, so which can be written first depends on what they were. */
static bool limit(int folder, int64_t bytes)
{
	static bool counts_swap = true;
	static const char memory[] = "memory.limit_in_bytes";
	bool done = write_value(folder, memory, bytes);
	bool both = counts_swap && write_value(folder, "memory.memsw.limit_in_bytes", bytes);
	counts_swap = counts_swap && (both || errno != ENOENT);
	return done || (both && write_value(folder, memory, bytes));
}

static bool has_nobody(int folder)
{
	char text[VALUE_BYTES_MAX];
	autofd int fd = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	return read_text(fd, text) && text[0] == '\0';
}

static void open_counts(int folder, Cgroup *group)
{
	group->events_fd = openat(folder, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	group->peak_fd = openat(folder, "memory.max_usage_in_bytes", O_RDWR | O_CLOEXEC);
	group->usage_fd = openat(folder, "memory.usage_in_bytes", O_RDONLY | O_CLOEXEC);
	group->peak_can_be_reset = true;
}

static void close_counts(Cgroup *group)
{
	autofd_close(&group->events_fd);
	autofd_close(&group->peak_fd);
	autofd_close(&group->usage_fd);
	group->events_fd = group->peak_fd = group->usage_fd = -1;
	group->peak_can_be_reset = false;
}

/* What it is charged with does not count against the place: the limit is so much higher. */
static bool make_as_new(int folder, int64_t limit_bytes, const Cgroup *group)
{
	char text[VALUE_BYTES_MAX];
	int64_t left = charged(group);
	return left <= LEFT_BYTES_MAX && has_nobody(folder) && read_text(group->events_fd, text) &&
	       strstr(text, "under_oom 0\n") && strstr(text, "oom_kill 0\n") && limit(folder, limit_bytes + left) &&
	       pwrite(group->peak_fd, "0", 1, 0) == 1;
}

/* Takes path, of one that is ours by its name. */
static bool add(char *path, int64_t limit_bytes, Cgroup *group)
{
	g_autofree char *owned = path;
	autofd int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int door = folder >= 0 ? openat(folder, "tasks", O_WRONLY | O_CLOEXEC) : -1;
	open_counts(folder, group);
	if (door >= 0 && cgroup_hold(door, path) && make_as_new(folder, limit_bytes, group)) {
		group->has_memory = true;
		group->memory_at = group->folders_len;
		group->doors[group->folders_len] = door;
		group->folders[group->folders_len++] = g_steal_pointer(&owned);
		return true;
	}
	if (door >= 0)
		close(door);
	close_counts(group);
	rmdir(path); /* where somebody is in it, it keeps our name, which tells when it is nobody's */
	return false;
}

static char *ready_path(unsigned number)
{
	return g_strdup_printf("%s/" CGROUP_READY "%d-%u", pool.base, (int)pool.owner, number);
}

bool cgroup_memory_take(const char *base, int64_t limit_bytes, Cgroup *group)
{
	if (pool.owner == 0 || strcmp(pool.base, base) != 0 || group->folders_len == CGROUP_FOLDERS_MAX)
		return false;
	unsigned own_number = 0; /* a worker has a group for each of its places */
	for (unsigned number = 0; number < READY_MAX; number++) {
		g_autofree char *ready = ready_path(number);
		for (; own_number < NAMES_MAX; own_number++) {
			g_autofree char *own = g_strdup_printf("%s/" CGROUP_PREFIX "%d-%u", base, (int)getpid(), own_number);
			if (rename(ready, own) == 0) {
				if (add(g_steal_pointer(&own), limit_bytes, group))
					return true;
				break;
			}
			if (errno != EEXIST && errno != ENOTEMPTY)
				break; /* somebody else has it */
		}
	}
	return false;
}

void cgroup_memory_begin(const char *folder, int64_t limit_bytes, Cgroup *group)
{
	autofd int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	group->has_memory = fd >= 0 && limit(fd, limit_bytes);
	group->memory_at = group->folders_len - 1;
	open_counts(fd, group);
}

/* Only while whoever made the pool is there to remove what is in it. */
static bool is_of_the_pool(const char *folder)
{
	if (pool.owner == 0 || *pool.closed || (pool.owner != getpid() && pool.owner != getppid()))
		return false;
	size_t len = strlen(pool.base);
	return strncmp(folder, pool.base, len) == 0 && g_str_has_prefix(folder + len, "/" CGROUP_PREFIX);
}

bool cgroup_memory_keep(const Cgroup *group)
{
	const char *folder = group->folders[group->memory_at];
	if (!is_of_the_pool(folder) || charged(group) > LEFT_BYTES_MAX)
		return false;
	for (unsigned number = 0; number < READY_MAX; number++) {
		g_autofree char *ready = ready_path(number);
		if (rename(folder, ready) == 0)
			/* Of one that was given back while the pool was emptied, nobody knows: it is ours again, unless it was removed. */
			return !*pool.closed || rename(ready, folder) < 0;
	}
	return false;
}

void cgroup_memory_prepare(const char *base)
{
	if (pool.owner == getpid() && strcmp(pool.base, base) == 0)
		return;
	cgroup_memory_retire();
	g_free(pool.base);
	pool.base = NULL;
	pool.owner = 0;
	void *shared = mmap(NULL, sizeof *pool.closed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return;
	pool.closed = shared;
	pool.base = g_strdup(base);
	pool.owner = getpid();
	for (unsigned number = 0; number < READY_MAX; number++) {
		g_autofree char *ready = ready_path(number);
		mkdir(ready, 0755);
	}
}

void cgroup_memory_retire(void)
{
	if (pool.owner != getpid())
		return;
	*pool.closed = true; /* before the first is removed: whoever gives one back looks after that */
	for (unsigned number = 0; number < READY_MAX; number++) {
		g_autofree char *ready = ready_path(number);
		rmdir(ready);
	}
	munmap((void *)(uintptr_t)pool.closed, sizeof *pool.closed);
	g_clear_pointer(&pool.base, g_free);
	pool.closed = NULL;
	pool.owner = 0;
}
