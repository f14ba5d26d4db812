/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits by control groups. A v2 group is made beside or below the worker's own, where the service manager has
 * delegated the controllers; on v1 and hybrid hosts one group for each controller. The worker itself is never moved.
 * Whoever asked for a limit that cannot be had here is told by has_…; what that means is the executor's to say.
 */
#include "executors/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/fd.h"
#include "executors/cgroup_io.h"
#include "executors/cgroup_memory.h"

#define TABLE_BYTES_MAX (1024 * 1024)
#define VALUE_BYTES_MAX 65536
#define CPU_PERIOD_US 100000
#define EVENTS_BYTES_MAX 1024

typedef enum Controller { CONTROLLER_MEMORY, CONTROLLER_PIDS, CONTROLLER_CPU, CONTROLLERS } Controller;
static const char *const names[CONTROLLERS] = {"memory", "pids", "cpu"};

void cgroup_init(Cgroup *group)
{
	*group = (Cgroup){.events_fd = -1, .refusals_fd = -1, .peak_fd = -1, .usage_fd = -1, .memory_at = -1};
}

static char *read_text(const char *path, size_t limit_bytes)
{
	g_autoptr(GBytes) bytes = fd_read_file(path, limit_bytes, NULL);
	gsize len;
	const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	return data ? g_strndup(data, len) : NULL;
}

static int open_file(const char *folder, const char *file, int flags)
{
	g_autofree char *path = g_build_filename(folder, file, NULL);
	return open(path, flags | O_CLOEXEC);
}

static bool write_value(const char *folder, const char *file, const char *value)
{
	autofd int fd = open_file(folder, file, O_WRONLY);
	return fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

static bool write_number(const char *folder, const char *file, int64_t value)
{
	char text[24];
	g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, value);
	return write_value(folder, file, text);
}

static bool has_word(const char *list, const char *word)
{
	g_auto(GStrv) words = g_strsplit_set(list ? list : "", ", \n", 64);
	return g_strv_contains((const char *const *)words, word);
}

/* Where a hierarchy is mounted: the one of a v1 controller, or v2 for NULL. The caller's; NULL when nowhere. */
static char *find_mount(const char *controller)
{
	g_autofree char *table = read_text("/proc/self/mounts", TABLE_BYTES_MAX);
	g_auto(GStrv) lines = g_strsplit(table ? table : "", "\n", 0);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) fields = g_strsplit(*line, " ", 6);
		if (g_strv_length(fields) < 4)
			continue;
		bool fits = controller ? strcmp(fields[2], "cgroup") == 0 && has_word(fields[3], controller)
		                       : strcmp(fields[2], "cgroup2") == 0;
		if (fits)
			return g_strdup(fields[1]);
	}
	return NULL;
}

/* The worker's own group in a hierarchy, as a path. */
static char *own_folder(const char *mount, const char *controller)
{
	g_autofree char *table = read_text("/proc/self/cgroup", VALUE_BYTES_MAX);
	g_auto(GStrv) lines = g_strsplit(table ? table : "", "\n", 0);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) fields = g_strsplit(*line, ":", 3);
		if (g_strv_length(fields) < 3)
			continue;
		if (controller ? has_word(fields[1], controller) : strcmp(fields[0], "0") == 0) {
			g_autofree char *path = g_build_filename(mount, fields[2], NULL);
			/* In a container the path may be told from a root that is not mounted here. */
			return g_strdup(access(path, F_OK) == 0 ? path : mount);
		}
	}
	return g_strdup(mount);
}

/*
 * v1 has `tasks`, by which a single thread enters without the kernel waiting until no process of the machine forks or
 * ends: that wait is milliseconds. A newborn is a single thread.
 */
static int open_door(const char *folder)
{
	static const char *const doors[] = {"tasks", "cgroup.procs"};
	int fd = -1;
	for (size_t i = 0; fd < 0 && i < G_N_ELEMENTS(doors); i++)
		fd = open_file(folder, doors[i], O_WRONLY);
	return fd;
}

bool cgroup_hold(int door, const char *folder)
{
	return flock(door, LOCK_SH | LOCK_NB) == 0 && access(folder, F_OK) == 0;
}

/* Is it the group of a worker, or made ready by a zygote, whose number is that of no process? For a number: that worker's. */
static bool is_stale(const char *name, pid_t gone)
{
	int pid;
	bool of_worker = sscanf(name, CGROUP_PREFIX "%d-", &pid) == 1;
	if (gone > 0)
		return of_worker && pid == gone;
	return (of_worker || sscanf(name, CGROUP_READY "%d-", &pid) == 1) && pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

/*
 * Groups of workers that were killed, and of zygotes that were: of one worker, or of all for 0. The number may be one of
 * another process namespace, so what somebody holds stays. False when one is left.
 */
static bool remove_stale(const char *base, pid_t gone)
{
	bool all = true;
	g_autoptr(GDir) folder = g_dir_open(base, 0, NULL);
	for (const char *name; folder && (name = g_dir_read_name(folder));) {
		if (!is_stale(name, gone))
			continue;
		g_autofree char *path = g_build_filename(base, name, NULL);
		autofd int door = open_door(path);
		bool is_gone = door < 0 ? access(path, F_OK) < 0 : flock(door, LOCK_EX | LOCK_NB) == 0 && rmdir(path) == 0;
		all = all && is_gone;
	}
	return all;
}

/* Makes one group below base, and opens its door. NULL where this user may not. */
static const char *make_folder(Cgroup *group, const char *base)
{
	if (access(base, W_OK) != 0 || group->folders_len == CGROUP_FOLDERS_MAX)
		return NULL;
	remove_stale(base, 0);
	for (unsigned try = 0; try < 100; try++) {
		g_autofree char *path = g_strdup_printf("%s/" CGROUP_PREFIX "%d-%u", base, (int)getpid(), try);
		if (mkdir(path, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return NULL;
		}
		int fd = open_door(path);
		if (fd < 0 || !cgroup_hold(fd, path)) {
			bool refused = fd < 0 && errno != ENOENT && errno != ENODEV;
			if (fd >= 0)
				close(fd);
			rmdir(path);
			if (refused)
				return NULL;
			continue; /* another agent, which does not see this process, took it for nobody's */
		}
		group->doors[group->folders_len] = fd;
		return group->folders[group->folders_len++] = g_steal_pointer(&path);
	}
	return NULL;
}

static bool wanted(const CgroupLimits *limits, Controller controller)
{
	switch (controller) {
	case CONTROLLER_MEMORY:
		return limits->memory_bytes > 0;
	case CONTROLLER_PIDS:
		return limits->processes > 0;
	case CONTROLLER_CPU:
		return limits->cpus > 0;
	case CONTROLLERS:
		break;
	}
	return false;
}

static bool is_worth_a_group(const CgroupLimits *limits, Controller controller)
{
	return wanted(limits, controller) && !(controller == CONTROLLER_PIDS && limits->processes_are_counted);
}

/* Version 1 counts what is written only where it bypasses the page cache, so there it would be a limit in name. */
static bool wants_io(const CgroupLimits *limits)
{
	return limits->io_folder && (limits->read_bytes_s > 0 || limits->write_bytes_s > 0);
}

static void limit_v2(const CgroupLimits *limits, Cgroup *out, const char *base, const char *available)
{
	const char *folder = make_folder(out, base);
	if (!folder)
		return;
	if (wanted(limits, CONTROLLER_MEMORY) && has_word(available, "memory")) {
		out->has_memory = write_number(folder, "memory.max", limits->memory_bytes);
		write_value(folder, "memory.swap.max", "0"); /* absent without swap accounting */
		out->events_fd = open_file(folder, "memory.events", O_RDONLY);
		out->peak_fd = open_file(folder, "memory.peak", O_RDONLY);
	}
	if (wanted(limits, CONTROLLER_PIDS) && has_word(available, "pids")) {
		out->has_processes = write_number(folder, "pids.max", limits->processes + 1);
		out->refusals_fd = open_file(folder, "pids.events", O_RDONLY);
	}
	if (wanted(limits, CONTROLLER_CPU) && has_word(available, "cpu")) {
		char text[48];
		g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT " %d", (int64_t)(limits->cpus * CPU_PERIOD_US),
		        CPU_PERIOD_US);
		out->has_cpus = write_value(folder, "cpu.max", text);
	}
	if (wants_io(limits) && has_word(available, "io"))
		out->has_io = cgroup_io_limit(folder, limits->io_folder, limits->read_bytes_s, limits->write_bytes_s, &out->io_lacks);
}

static void limit_memory_v1(const CgroupLimits *limits, Cgroup *out, const char *base)
{
	static pid_t looked; /* once a process: the next new group, which would look too, may be long in coming */
	if (looked != getpid())
		remove_stale(base, 0);
	looked = getpid();
	if (cgroup_memory_take(base, limits->memory_bytes, out))
		return;
	const char *folder = make_folder(out, base);
	if (folder)
		cgroup_memory_begin(folder, limits->memory_bytes, out);
}

static void limit_v1(const CgroupLimits *limits, Cgroup *out, Controller controller, const char *base)
{
	if (controller == CONTROLLER_MEMORY) {
		limit_memory_v1(limits, out, base);
		return;
	}
	const char *folder = make_folder(out, base);
	if (!folder)
		return;
	switch (controller) {
	case CONTROLLER_PIDS:
		out->has_processes = write_number(folder, "pids.max", limits->processes + 1);
		out->refusals_fd = open_file(folder, "pids.events", O_RDONLY);
		break;
	case CONTROLLER_CPU:
		out->has_cpus = write_number(folder, "cpu.cfs_period_us", CPU_PERIOD_US) &&
		                write_number(folder, "cpu.cfs_quota_us", (int64_t)(limits->cpus * CPU_PERIOD_US));
		break;
	case CONTROLLER_MEMORY:
	case CONTROLLERS:
		break;
	}
}

/* A group that is ours to divide: the service manager says so, it is our own user's, or there is no manager above. */
static bool is_delegated(const char *folder, const char *mount)
{
	static const char *const marks[] = {"user.delegate", "trusted.delegate"}; /* systemd sets both */
	char value;
	struct stat info;
	for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
		if (getxattr(folder, marks[i], &value, 1) == 1 && value == '1')
			return true;
	return strcmp(folder, mount) == 0 ||
	       (geteuid() != 0 && stat(folder, &info) == 0 && info.st_uid == geteuid());
}

/* The v2 group below which ours may be made, with the controllers it hands down. False when there is none. */
static bool find_v2(char **out_base, char **out_available)
{
	g_autofree char *mount = find_mount(NULL);
	if (!mount)
		return false;
	/* Beside us first: a group with processes, like our own, may not hand controllers down. */
	g_autofree char *own = own_folder(mount, NULL);
	g_autofree char *above = strcmp(own, mount) == 0 ? g_strdup(mount) : g_path_get_dirname(own);
	const char *const places[] = {above, own};
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = g_build_filename(places[i], "cgroup.subtree_control", NULL);
		g_autofree char *available = read_text(path, VALUE_BYTES_MAX);
		if (available && is_delegated(places[i], mount) && access(places[i], W_OK) == 0 &&
		        (has_word(available, "memory") || has_word(available, "pids") || has_word(available, "cpu"))) {
			*out_base = g_strdup(places[i]);
			*out_available = g_steal_pointer(&available);
			return true;
		}
	}
	return false;
}

/*
 * Where groups can be made, looked up once: with many mounts on the host that costs more than a group. A process and its
 * clones keep what was found, as long as groups can be made there.
 */
typedef struct Found {
	bool looked;
	bool is_v2;
	char *base; /* of v2, likewise available */
	char *available;
	char *bases[CONTROLLERS]; /* of v1; NULL: there is none */
} Found;
static Found found;

void cgroup_look(void)
{
	g_free(found.base);
	g_free(found.available);
	for (Controller each = 0; each < CONTROLLERS; each++)
		g_free(found.bases[each]);
	found = (Found){.looked = true};
	found.is_v2 = find_v2(&found.base, &found.available);
	for (Controller each = 0; each < CONTROLLERS && !found.is_v2; each++) {
		g_autofree char *mount = find_mount(names[each]);
		g_autofree char *base = mount ? own_folder(mount, names[each]) : NULL;
		if (base && access(base, W_OK) == 0)
			found.bases[each] = g_steal_pointer(&base);
	}
}

static bool remove_everywhere(pid_t gone)
{
	bool all = !found.base || remove_stale(found.base, gone);
	for (Controller each = 0; each < CONTROLLERS; each++)
		all = (!found.bases[each] || remove_stale(found.bases[each], gone)) && all;
	return all;
}

void cgroup_prepare(void)
{
	cgroup_look();
	remove_everywhere(0);
	if (found.bases[CONTROLLER_MEMORY])
		cgroup_memory_prepare(found.bases[CONTROLLER_MEMORY]);
}

bool cgroup_tidy(pid_t gone)
{
	return remove_everywhere(gone);
}

static bool make_all(const CgroupLimits *limits, Cgroup *out)
{
	cgroup_init(out);
	int wanted_len = 0;
	out->io_lacks = "no cgroup io controller of version 2 is delegated to the agent";
	if (found.is_v2) {
		limit_v2(limits, out, found.base, found.available);
		return out->folders_len == 1;
	}
	for (Controller each = 0; each < CONTROLLERS; each++)
		if (is_worth_a_group(limits, each) && found.bases[each]) {
			wanted_len++;
			limit_v1(limits, out, each, found.bases[each]);
		}
	return out->folders_len == wanted_len;
}

void cgroup_make(const CgroupLimits *limits, Cgroup *out)
{
	bool any = false;
	cgroup_init(out);
	for (Controller each = 0; each < CONTROLLERS; each++)
		any = any || is_worth_a_group(limits, each);
	if (!any && !wants_io(limits))
		return;
	bool fresh = !found.looked;
	if (fresh)
		cgroup_look();
	if (make_all(limits, out) || fresh)
		return;
	cgroup_remove(out); /* what was found may have gone since */
	cgroup_look();
	make_all(limits, out);
}

bool cgroup_join(const Cgroup *group)
{
	for (int i = 0; i < group->folders_len; i++)
		if (write(group->doors[i], "0", 1) != 1)
			return false;
	return true;
}

/* A small file from its beginning; false when there is none. */
static bool read_again(int fd, char *text, size_t size)
{
	ssize_t len = fd >= 0 ? pread(fd, text, size - 1, 0) : -1;
	if (len >= 0)
		text[len] = '\0';
	return len >= 0;
}

static int64_t count_of(int fd, const char *word)
{
	char text[EVENTS_BYTES_MAX];
	const char *at = read_again(fd, text, sizeof text) ? strstr(text, word) : NULL;
	return at ? g_ascii_strtoll(at + strlen(word), NULL, 10) : 0;
}

/* v1 forgets between two steps; v2 keeps the whole job's. */
static int64_t memory_peak(const Cgroup *group)
{
	char text[EVENTS_BYTES_MAX];
	if (!read_again(group->peak_fd, text, sizeof text))
		return -1;
	if (group->peak_can_be_reset)
		(void)!pwrite(group->peak_fd, "0", 1, 0);
	return g_ascii_strtoll(text, NULL, 10);
}

void cgroup_judge(const Cgroup *group, CgroupCounts *known, StepEnd *end)
{
	const CgroupCounts counts = {.oom = count_of(group->events_fd, "oom_kill "), .refusals = count_of(group->refusals_fd, "max ")};
	bool failed = end->signal != 0 || end->exit_code != 0;
	if (failed && counts.oom > known->oom)
		end->cause = "oom";
	else if (failed && counts.refusals > known->refusals)
		end->cause = "limit";
	*known = counts;
	int64_t peak = memory_peak(group);
	if (peak >= 0)
		end->memory_peak_bytes = peak;
}

void cgroup_remove(Cgroup *group)
{
	autofd_close(&group->events_fd);
	autofd_close(&group->refusals_fd);
	autofd_close(&group->peak_fd);
	for (int i = 0; i < group->folders_len; i++) {
		if (found.is_v2)
			write_value(group->folders[i], "cgroup.kill", "1");
		close(group->doors[i]);
		bool is_kept = i == group->memory_at && cgroup_memory_keep(group);
		for (int try = 0; !is_kept && rmdir(group->folders[i]) < 0 && errno == EBUSY && try < 500; try++)
			g_usleep(2000); /* the last member's end reaches the group a moment after its parent */
		g_free(group->folders[i]);
	}
	autofd_close(&group->usage_fd);
	cgroup_init(group);
}

char *cgroup_describe(int *out_version)
{
	g_autofree char *base = NULL;
	g_autofree char *available = NULL;
	GString *got = g_string_new(NULL);
	*out_version = find_v2(&base, &available) ? 2 : 1;
	for (Controller each = 0; each < CONTROLLERS; each++) {
		bool usable = has_word(available, names[each]);
		if (*out_version == 1) {
			g_autofree char *mount = find_mount(names[each]);
			g_autofree char *folder = mount ? own_folder(mount, names[each]) : NULL;
			usable = folder && access(folder, W_OK) == 0;
		}
		if (usable)
			g_string_append_printf(got, "%s%s", got->len ? ", " : "", names[each]);
	}
	if (*out_version == 2 && has_word(available, "io"))
		g_string_append(got, ", io");
	bool none = got->len == 0;
	return g_string_free(got, none);
}
