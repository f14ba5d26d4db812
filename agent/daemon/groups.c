/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/daemon/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/fd.h"

#define TABLE_BYTES_MAX (1024 * 1024)
#define VALUE_BYTES_MAX 65536
#define JOB_PREFIX "assay-" /* as executors/cgroup.c names them */
#define MODE_OF_FOLDER 0755
#define MODE_OF_KEPT 0600

static const char *const controllers[] = {"memory", "pids", "cpu", "io"};
static const char *const limits[] = {"memory.max", "memory.swap.max", "pids.max", "cpu.max", "io.max"};

static char *read_text(const char *folder, const char *file)
{
	g_autofree char *path = folder ? g_build_filename(folder, file, NULL) : g_strdup(file);
	g_autoptr(GBytes) bytes = fd_read_file(path, folder ? VALUE_BYTES_MAX : TABLE_BYTES_MAX, NULL);
	gsize len;
	const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	return data ? g_strstrip(g_strndup(data, len)) : NULL;
}

static bool write_text(const char *folder, const char *file, const char *text)
{
	g_autofree char *path = g_build_filename(folder, file, NULL);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool has_word(const char *list, const char *word)
{
	g_auto(GStrv) words = g_strsplit_set(list ? list : "", " \n", 0);
	return g_strv_contains((const char *const *)words, word);
}

char *groups_own_folder(void)
{
	g_autofree char *mounts = read_text(NULL, "/proc/self/mounts");
	g_autofree char *own = read_text(NULL, "/proc/self/cgroup");
	g_auto(GStrv) rows = g_strsplit(mounts ? mounts : "", "\n", 0);
	g_auto(GStrv) groups = g_strsplit(own ? own : "", "\n", 0);
	for (char **row = rows; *row; row++) {
		g_auto(GStrv) fields = g_strsplit(*row, " ", 4);
		if (g_strv_length(fields) < 3 || strcmp(fields[2], "cgroup2") != 0)
			continue;
		for (char **group = groups; *group; group++)
			if (g_str_has_prefix(*group, "0::/"))
				return g_build_filename(fields[1], *group + strlen("0::"), NULL);
	}
	return NULL;
}

/* systemd marks what it hands over, and gives it to the unit's user. */
static bool is_delegated(const char *folder)
{
	static const char *const marks[] = {"user.delegate", "trusted.delegate"};
	char value;
	struct stat info;
	for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
		if (getxattr(folder, marks[i], &value, 1) == 1 && value == '1')
			return true;
	return geteuid() != 0 && stat(folder, &info) == 0 && info.st_uid == geteuid();
}

static bool is_alone(const char *folder, pid_t pid)
{
	g_autofree char *text = read_text(folder, "cgroup.procs");
	g_autofree char *only = g_strdup_printf("%d", (int)pid);
	return g_strcmp0(text, only) == 0;
}

/* Into the leaf; base then has no process of ours. */
static bool move(const char *base, pid_t pid, const char **out_why)
{
	g_autofree char *leaf = g_build_filename(base, GROUPS_LEAF, NULL);
	*out_why = "other processes are in the agent's group";
	if (!is_alone(base, pid))
		return false;
	*out_why = "the agent may not move into a group of its own";
	return (mkdir(leaf, MODE_OF_FOLDER) == 0 || errno == EEXIST) && write_text(leaf, "cgroup.procs", "0");
}

static char *hand_down(const char *base)
{
	g_autofree char *available = read_text(base, "cgroup.controllers");
	GString *done = g_string_new(NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(controllers); i++) {
		g_autofree char *order = g_strconcat("+", controllers[i], NULL);
		if (has_word(available, controllers[i]) && write_text(base, "cgroup.subtree_control", order))
			g_string_append_printf(done, "%s%s", done->len ? " " : "", controllers[i]);
	}
	bool none = done->len == 0;
	return g_string_free(done, none);
}

static bool is_limit(const char *file)
{
	for (size_t i = 0; i < G_N_ELEMENTS(limits); i++)
		if (strcmp(limits[i], file) == 0)
			return true;
	return false;
}

/* Lines "GROUP FILE VALUE…". */
static void restore_limits(const char *base, const char *kept)
{
	g_autofree char *text = kept ? read_text(NULL, kept) : NULL;
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", 0);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) words = g_strsplit(*line, " ", 3);
		if (g_strv_length(words) != 3 || !g_str_has_prefix(words[0], JOB_PREFIX) || strchr(words[0], '/') ||
		        !is_limit(words[1]))
			continue;
		g_autofree char *folder = g_build_filename(base, words[0], NULL);
		write_text(folder, words[1], words[2]); /* its job may have ended since */
	}
}

/* An empty file says that way must be made at the end: the manager did not put the agent into its leaf. */
static void note_move(const char *kept, bool moved)
{
	if (kept && moved)
		fd_replace_file(kept, "", 0, MODE_OF_KEPT, false, NULL);
	else if (kept)
		unlink(kept);
}

char *groups_enter(const char *own, pid_t pid, const char *kept, const char **out_why)
{
	g_autofree char *name = g_path_get_basename(own);
	bool in_leaf = strcmp(name, GROUPS_LEAF) == 0;
	g_autofree char *base = in_leaf ? g_path_get_dirname(own) : g_strdup(own);
	*out_why = "the service manager has not delegated the agent's group: Delegate=cpu memory pids io in the unit";
	if (!is_delegated(base) || (!in_leaf && !move(base, pid, out_why)))
		return NULL;
	*out_why = "the agent's group has no controllers to hand down: Delegate=cpu memory pids io in the unit";
	char *done = hand_down(base);
	restore_limits(base, kept);
	note_move(kept, !in_leaf);
	return done;
}

static void keep_limits(const char *base, GString *out)
{
	g_autoptr(GDir) folder = g_dir_open(base, 0, NULL);
	for (const char *name; folder && (name = g_dir_read_name(folder));) {
		if (!g_str_has_prefix(name, JOB_PREFIX))
			continue;
		g_autofree char *group = g_build_filename(base, name, NULL);
		for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
			g_autofree char *value = read_text(group, limits[i]);
			if (value && value[0] && !g_str_has_prefix(value, "max"))
				g_string_append_printf(out, "%s %s %s\n", name, limits[i], value);
		}
	}
}

bool groups_make_way(const char *own, const char *kept)
{
	g_autofree char *base = g_path_get_dirname(own);
	bool needed = g_file_test(kept, G_FILE_TEST_EXISTS) && is_delegated(base);
	g_autofree char *down = needed ? read_text(base, "cgroup.subtree_control") : NULL;
	if (!down || !down[0])
		return true; /* nobody is kept out */
	g_autoptr(GString) text = g_string_new(NULL);
	keep_limits(base, text);
	if (!fd_replace_file(kept, text->str, text->len, MODE_OF_KEPT, false, NULL))
		return false;
	bool good = true;
	for (size_t i = 0; i < G_N_ELEMENTS(controllers); i++) {
		g_autofree char *order = g_strconcat("-", controllers[i], NULL);
		if (has_word(down, controllers[i]))
			good = write_text(base, "cgroup.subtree_control", order) && good;
	}
	return good;
}
