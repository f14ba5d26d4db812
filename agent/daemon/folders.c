/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folders of tasks. A folder whose worker has emptied it is kept aside with its files, and becomes the next task's by a
 * rename: making and deleting a handful of inodes for each job costs more than the job on a file system without a
 * journal, and is never free. Only the agent's own files are used again, and only when nothing else is in the folder.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"

#define SPARES_MAX 8
#define SPARE_PREFIX ".spare-"

static void close_folder(DIR *folder)
{
	if (folder)
		closedir(folder);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DIR, close_folder)

/* Is there nothing in the folder but what is named? Absent is true. */
static bool holds_only(int folder_fd, const char *name, const char *const *known)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	g_autoptr(DIR) folder = fdopendir(fd);
	if (!folder) {
		close(fd);
		return false;
	}
	for (struct dirent *entry; (entry = readdir(folder));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		        !g_strv_contains(known, entry->d_name))
			return false;
	return true;
}

static bool is_clean(const char *path)
{
	static const char *const files[] = {"job.json", "events.jsonl", "work", "home", NULL};
	static const char *const home[] = {"work", NULL};
	static const char *const none[] = {NULL};
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && holds_only(fd, ".", files) && holds_only(fd, "work", none) && holds_only(fd, "home", home) &&
	       holds_only(fd, "home/work", none);
}

static char *spare_path(const Daemon *daemon, guint number)
{
	return g_strdup_printf("%s/jobs/" SPARE_PREFIX "%u", daemon->config->data, number);
}

/* Empties a file that is there, or makes it. */
static bool write_file(const char *folder, const char *name, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(error, errno, "cannot make %s", path);
	return fd_write_all(fd, text, strlen(text), path, error);
}

bool folders_make(Daemon *daemon, const char *folder, const json_t *description, GError **error)
{
	char *text = json_dumps(description, JSON_COMPACT);
	bool used = false;
	if (daemon->spares > 0) {
		g_autofree char *spare = spare_path(daemon, --daemon->spares);
		used = rename(spare, folder) == 0;
	}
	if (!used && (!fd_remove_tree(folder, error) || !fd_make_folder(folder, 0711, error))) {
		free(text);
		return false;
	}
	/* The worker is asked for when both are whole. */
	bool made = write_file(folder, "job.json", text, error) && write_file(folder, "events.jsonl", "", error);
	free(text);
	return made;
}

void folders_release(Daemon *daemon, const char *folder)
{
	g_autofree char *answers = g_build_filename(folder, "answers.jsonl", NULL);
	unlink(answers);
	if (daemon->spares < SPARES_MAX && is_clean(folder)) {
		g_autofree char *spare = spare_path(daemon, daemon->spares);
		if (rename(folder, spare) == 0) {
			daemon->spares++;
			return;
		}
	}
	g_autoptr(GError) error = NULL;
	if (!fd_remove_tree(folder, &error))
		log_warning("a job's folder stays behind, continuing", KV("folder", folder), KV("why", error->message));
}

void folders_forget(Daemon *daemon)
{
	for (guint i = 0; i < SPARES_MAX; i++) {
		g_autofree char *spare = spare_path(daemon, i);
		fd_remove_tree(spare, NULL);
	}
	daemon->spares = 0;
}
