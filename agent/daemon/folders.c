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
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/spawn.h"
#include "agent/daemon/state.h"

#define SPARES_MAX 72
#define ENDED_MAX 64      /* folders that wait for the disk: one sync is for all of them, and the agent stands still for it */
#define ENDED_WAIT_MS 100
#define SPARE_PREFIX ".spare-"
#define HOLLOW_MAX 8 /* empty folders in a spare one */
#define ENTRIES_BYTES 1024

static void close_folder(DIR *folder)
{
	if (folder)
		closedir(folder);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DIR, close_folder)

/* Are there only folders below it, and few? What they are is the next worker's to look at. */
static bool is_hollow(int parent_fd, const char *name, int *left)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	g_autoptr(DIR) folder = fd >= 0 && --*left >= 0 ? fdopendir(fd) : NULL;
	if (!folder) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (struct dirent *entry; (entry = readdir(folder));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		        (entry->d_type != DT_DIR || !is_hollow(fd, entry->d_name, left)))
			return false;
	return true;
}

/* One entry of a task's folder: what each of them has, as it should be? */
static bool is_known(int fd, const struct dirent64 *entry, bool emptied, int *left)
{
	const char *name = entry->d_name;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return true;
	if (strcmp(name, "work") == 0 || strcmp(name, "home") == 0)
		return entry->d_type == DT_DIR && (emptied || is_hollow(fd, name, left));
	return entry->d_type == DT_REG && (strcmp(name, "job.json") == 0 || strcmp(name, "events.jsonl") == 0);
}

/*
 * May the next task have it? A worker that says it has emptied work/ and home/ is believed: the next one strips both again before
 * it uses them (job_strip_folders), so a lie costs it time and no more. What else is there is looked at here, and only here.
 */
static bool is_clean(const char *path, bool emptied)
{
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_Alignas(struct dirent64) char entries[ENTRIES_BYTES];
	ssize_t len = -1;
	int left = HOLLOW_MAX;
	while (fd >= 0 && (len = getdents64(fd, entries, sizeof entries)) > 0)
		for (ssize_t at = 0; at < len;) {
			const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
			at += entry->d_reclen;
			if (!is_known(fd, entry, emptied, &left))
				return false;
		}
	return len == 0;
}

static char *spare_path(const Daemon *daemon, guint number)
{
	return g_strdup_printf("%s/jobs/" SPARE_PREFIX "%u", daemon->config->data, number);
}

/*
 * Makes a file, or writes over the one that is there and cuts what is longer. Not by O_TRUNC: a file that was emptied and
 * written again is brought to the disk at once by some file systems, and this one need not ever get there.
 */
static bool write_file(const char *folder, const char *name, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	size_t len = strlen(text);
	struct stat info;
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &info) < 0)
		return fail_errno(error, errno, "cannot make %s", path);
	if (!fd_write_all(fd, text, len, path, error))
		return false;
	if (info.st_size > (off_t)len && ftruncate(fd, (off_t)len) < 0)
		return fail_errno(error, errno, "cannot shorten %s", path);
	return true;
}

bool folders_make(Daemon *daemon, const char *folder, const char *description, GError **error)
{
	bool used = false;
	if (daemon->spares > 0) {
		g_autofree char *spare = spare_path(daemon, --daemon->spares);
		used = rename(spare, folder) == 0;
	}
	if (!used && (!fd_remove_tree(folder, error) || !fd_make_folder(folder, 0711, error)))
		return false;
	/* The worker is asked for when both are whole. */
	return write_file(folder, "job.json", description, error) && write_file(folder, "events.jsonl", "", error);
}

static char *remover; /* assay-worker */

/* What users of an image have left, when their worker was killed: the files are not ours, and a worker may be who they were. */
static bool remove_by_worker(const char *path, GError **error)
{
	const char *const argv[] = {remover, "remove", path, NULL};
	const int fds[] = {-1, -1, STDERR_FILENO};
	const SpawnSpec spec = {.argv = argv, .fds = fds, .fds_len = G_N_ELEMENTS(fds)};
	SpawnEnd end = {.exit_code = -1};
	int pidfd = spawn(&spec, NULL, error);
	if (pidfd < 0)
		return false;
	bool waited = spawn_wait(pidfd, &end, error);
	close(pidfd);
	return waited && (end.exit_code == 0 || fail(error, ASSAY_ERROR_DENIED, "%s cannot be removed", path));
}

void folders_begin(const char *worker)
{
	if (geteuid() == 0)
		return; /* who may remove all files */
	g_free(remover);
	remover = g_strdup(worker);
	fd_set_remover(remove_by_worker);
}

typedef struct Ended {
	char *folder;
	bool emptied;
} Ended;

static void ended_free(void *data)
{
	Ended *ended = data;
	g_free(ended->folder);
	g_free(ended);
}

static void release(Daemon *daemon, const char *folder, bool emptied)
{
	g_autofree char *answers = g_build_filename(folder, "answers.jsonl", NULL);
	unlink(answers);
	if (daemon->spares < SPARES_MAX && is_clean(folder, emptied)) {
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

static void release_all(Daemon *daemon)
{
	g_clear_handle_id(&daemon->ended_source, g_source_remove);
	g_autoptr(GError) error = NULL;
	/* Without a sync they stay: what is in them may be all that is left after a loss of power. */
	if (daemon->ended->len > 0 && !store_sync(daemon->store, &error))
		log_warning("folders of ended jobs stay behind, continuing", KV("why", error->message));
	for (guint i = 0; !error && i < daemon->ended->len; i++) {
		const Ended *ended = g_ptr_array_index(daemon->ended, i);
		release(daemon, ended->folder, ended->emptied);
	}
	g_ptr_array_set_size(daemon->ended, 0);
}

static gboolean on_ended(gpointer data)
{
	Daemon *daemon = data;
	daemon->ended_source = 0;
	release_all(daemon);
	return G_SOURCE_REMOVE;
}

void folders_open(Daemon *daemon)
{
	daemon->ended = g_ptr_array_new_with_free_func(ended_free);
}

void folders_release(Daemon *daemon, const char *folder, bool emptied)
{
	Ended *ended = g_new(Ended, 1);
	*ended = (Ended){.folder = g_strdup(folder), .emptied = emptied};
	g_ptr_array_add(daemon->ended, ended);
	if (daemon->ended->len >= ENDED_MAX)
		release_all(daemon);
	else if (!daemon->ended_source)
		daemon->ended_source = g_timeout_add(ENDED_WAIT_MS, on_ended, daemon);
}

void folders_sweep(Daemon *daemon)
{
	g_autofree char *path = g_build_filename(daemon->config->data, "jobs", NULL);
	g_autoptr(GDir) jobs = g_dir_open(path, 0, NULL);
	for (const char *name; jobs && (name = g_dir_read_name(jobs));) {
		gint64 task = 0;
		if (!g_ascii_string_to_signed(name, 10, 1, G_MAXINT64, &task, NULL) || g_hash_table_contains(daemon->active, &task))
			continue;
		g_autofree char *folder = g_build_filename(path, name, NULL);
		g_autoptr(GError) error = NULL;
		log_info("folder of an ended task removed", KV("task", task));
		if (!fd_remove_tree(folder, &error))
			log_warning("a job's folder stays behind, continuing", KV("folder", folder), KV("why", error->message));
	}
}

void folders_forget(Daemon *daemon)
{
	release_all(daemon);
	for (guint i = 0; i < SPARES_MAX; i++) {
		g_autofree char *spare = spare_path(daemon, i);
		fd_remove_tree(spare, NULL);
	}
	daemon->spares = 0;
}
