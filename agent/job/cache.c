/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caches. Paths are as steps see them: relative ones begin at the workspace, `~` is the steps' home. Both lie in the
 * task's folder, so a cache is one tree with at most two branches, `work/` and `home/`; what a job stored comes back to
 * the same places in another. The agent knows which key stands for which tree, and which branches may see it.
 */
#include "agent/job/cache.h"

#include <fcntl.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/archive.h"
#include "agent/job/ask.h"
#include "agent/job/files.h"

#define STAGE "cache"
#define STAGE_BLOB "cache-archive"
#define UNPACKED_FILES_MAX 1000000
#define UNPACKED_BYTES_MAX G_GINT64_CONSTANT(53687091200)

static const char *const branches[] = {"work", "home"};

/* A pattern with its branch: "work/digits/digits/.venv". The caller's; NULL when it lies elsewhere. */
static char *place_path(const Job *job, const char *path, GError **error)
{
	size_t work = strlen(job->place->work_inside);
	size_t home = strlen(job->place->home_inside);
	if (path[0] == '~' && (path[1] == '/' || !path[1]))
		return g_strconcat("home/", path[1] ? path + 2 : "", NULL);
	/* The work folder lies in the home of some executors: it is asked first. */
	if (strncmp(path, job->place->work_inside, work) == 0 && path[work] == '/')
		return g_strconcat("work", path + work, NULL);
	if (strncmp(path, job->place->home_inside, home) == 0 && path[home] == '/')
		return g_strconcat("home", path + home, NULL);
	if (path[0] != '/')
		return g_strconcat("work/", job->workspace, "/", path, NULL);
	fail(error, ASSAY_ERROR_USER, "cache: '%s' is outside of the workspace and the home of the steps", path);
	return NULL;
}

static GPtrArray *read_paths(const Job *job, const char *text, GError **error)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		const char *at = g_strstrip(*line);
		bool out = at[0] == '!';
		if (!at[out])
			continue;
		g_autofree char *path = place_path(job, at + out, error);
		if (!path)
			return NULL;
		g_ptr_array_add(paths, g_strconcat(out ? "!" : "", path, NULL));
	}
	if (paths->len == 0) {
		fail(error, ASSAY_ERROR_USER, "cache: input 'path' is required");
		return NULL;
	}
	return g_steal_pointer(&paths);
}

/* Links what the patterns of one branch name into the stage. */
static bool gather(Job *job, const char *branch, const GPtrArray *paths, int stage, int64_t *files, GError **error)
{
	g_autoptr(GPtrArray) mine = g_ptr_array_new_with_free_func(g_free);
	size_t len = strlen(branch);
	for (guint i = 0; i < paths->len; i++) {
		const char *path = paths->pdata[i];
		bool out = path[0] == '!';
		if (strncmp(path + out, branch, len) == 0 && path[out + len] == '/')
			g_ptr_array_add(mine, g_strconcat(out ? "!" : "", path + out + len + 1, NULL));
	}
	if (mine->len == 0)
		return true;
	autofd int root = fd_open_beneath(job->task->folder_fd, branch, O_RDONLY | O_DIRECTORY, 0, false, error);
	if (root < 0)
		return false;
	g_autoptr(GPtrArray) found = files_find(root, (const char *const *)mine->pdata, mine->len,
	        (FilesRules){.hidden = true, .folders_whole = true}, error);
	if (!found)
		return false;
	for (guint i = 0; i < found->len; i++) {
		g_autofree char *as = g_strconcat(branch, "/", (const char *)found->pdata[i], NULL);
		if (!tree_link(root, found->pdata[i], stage, as, error))
			return false;
	}
	*files += found->len;
	return true;
}

char *cache_version(const char *paths, const char *compression)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_auto(GStrv) lines = g_strsplit(paths, "\n", -1);
	for (char **line = lines; *line; line++)
		if (g_strstrip(*line)[0])
			g_string_append_printf(text, "%s|", *line);
	g_string_append_printf(text, "%s|1.0", compression);
	return hash_bytes_hex(text->str, text->len);
}

/* Ours can be served in both compressions, theirs fit if they were made from the same paths. */
static json_t *versions_of(const json_t *with)
{
	const char *paths = json_get_string(with, "path", "");
	g_autofree char *zstd = cache_version(paths, "zstd-without-long");
	g_autofree char *gzip = cache_version(paths, "gzip");
	return json_pack("[s,s]", zstd, gzip);
}

char *cache_name_for_tar(void *data, const char *path, GError **error)
{
	const Job *job = data;
	(void)error;
	size_t len = strlen(job->workspace);
	if (g_str_has_prefix(path, "work/") && strncmp(path + 5, job->workspace, len) == 0 && path[5 + len] == '/')
		return g_strdup(path + 5 + len + 1);
	/* The folders above it are no entries: they would change modes of what is there. */
	g_autofree char *above = g_strconcat("work/", job->workspace, "/", NULL);
	if (g_str_has_prefix(above, path) && above[strlen(path)] == '/')
		return NULL;
	if (g_str_has_prefix(path, "work/"))
		return g_build_filename(job->place->work_inside, path + 5, NULL);
	if (g_str_has_prefix(path, "home/"))
		return g_build_filename(job->place->home_inside, path + 5, NULL);
	return NULL;
}

static bool store_stage(Job *job, const char *key, const json_t *paths, GError **error)
{
	g_autoptr(Objects) objects = job_open_store(job, error);
	ObjectsTree tree;
	if (!objects || !objects_snapshot(objects, job->task->folder_fd, STAGE, &tree, error))
		return false;
	g_autoptr(json_t) with = json_pack("{s:s,s:s,s:s,s:I,s:o}", "key", key, "digest", tree.digest, "form", "tree", "bytes",
	        (json_int_t)tree.bytes, "versions", versions_of(paths));
	g_autoptr(json_t) answer = NULL;
	joblog_flush(job->log, NULL);
	if (!ask_agent(job, "cache.put", with, &answer, error))
		return false;
	if (json_get_int(answer, "id", 0) == 0) {
		joblog_sayf(job->log, "", "Cache not saved: there is one with key %s already, and caches never change.", key);
		return true;
	}
	joblog_sayf(job->log, "", "Cache saved with key: %s (%" G_GINT64_FORMAT " files, %" G_GINT64_FORMAT " new bytes)", key,
	        tree.files, tree.new_bytes);
	return true;
}

bool cache_save(Job *job, const json_t *with, GError **error)
{
	const char *key = json_get_string(with, "key", "");
	g_autoptr(GPtrArray) paths = read_paths(job, json_get_string(with, "path", ""), error);
	if (!paths)
		return false;
	if (!key[0])
		return fail(error, ASSAY_ERROR_USER, "cache: input 'key' is required");
	if (!tree_remove(job->task->folder_fd, STAGE, error))
		return false;
	autofd int stage = tree_make_folder(job->task->folder_fd, STAGE, (TreeOwner){0}, error);
	int64_t files = 0;
	bool good = stage >= 0;
	for (size_t i = 0; good && i < G_N_ELEMENTS(branches); i++)
		good = gather(job, branches[i], paths, stage, &files, error);
	if (good && files == 0)
		joblog_say(job->log, "##[warning]", "Cache not saved: its paths name no files.");
	else
		good = good && store_stage(job, key, with, error);
	tree_remove(job->task->folder_fd, STAGE, NULL);
	return good;
}

/* Where an entry of a client's tar goes: names are as in the workspace, with "..", or absolute. */
static char *place_entry(void *data, const char *name, GError **error)
{
	const Job *job = data;
	g_autofree char *joined = name[0] == '/' ? g_strdup(name) : g_build_filename(job->workspace_inside, name, NULL);
	g_autofree char *inside = g_canonicalize_filename(joined, "/");
	return place_path(job, inside, error);
}

/* An archive as a client stored it becomes a tree like ours. */
static int unpack(Job *job, const char *digest, GError **error)
{
	g_autoptr(Objects) objects = job_open_store(job, error);
	autofd int stage = -1;
	bool good = objects && tree_remove(job->task->folder_fd, STAGE_BLOB, error) &&
	            objects_restore(objects, digest, job->task->folder_fd, STAGE_BLOB, false, error) &&
	            tree_remove(job->task->folder_fd, STAGE, error);
	autofd int blob = good ? openat(job->task->folder_fd, STAGE_BLOB, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (blob >= 0)
		stage = tree_make_folder(job->task->folder_fd, STAGE, (TreeOwner){0}, error);
	const ArchiveLimits limits = {.files = UNPACKED_FILES_MAX, .bytes = UNPACKED_BYTES_MAX};
	good = stage >= 0 && archive_unpack(blob, ARCHIVE_TAR, limits, stage, place_entry, job, error);
	tree_remove(job->task->folder_fd, STAGE_BLOB, NULL);
	return good ? fd_steal(&stage) : -1;
}

static bool bring_back(Job *job, const char *digest, bool packed, GError **error)
{
	autofd int stage = packed ? unpack(job, digest, error) : job_restore(job, digest, STAGE, error);
	bool good = stage >= 0;
	for (size_t i = 0; good && i < G_N_ELEMENTS(branches); i++) {
		autofd int from = fd_open_beneath(stage, branches[i], O_RDONLY | O_DIRECTORY, 0, false, NULL);
		autofd int to = from < 0 ? -1
		                         : fd_open_beneath(job->task->folder_fd, branches[i], O_RDONLY | O_DIRECTORY, 0, false, error);
		good = from < 0 || (to >= 0 && tree_copy(from, to, NULL, job->owner, error));
	}
	tree_remove(job->task->folder_fd, STAGE, NULL);
	return good;
}

bool cache_restore(Job *job, const json_t *with, bool *out_hit, GError **error)
{
	const char *key = json_get_string(with, "key", "");
	g_autoptr(GPtrArray) paths = read_paths(job, json_get_string(with, "path", ""), error);
	if (!paths)
		return false;
	if (!key[0])
		return fail(error, ASSAY_ERROR_USER, "cache: input 'key' is required");
	json_t *prefixes = json_array();
	g_auto(GStrv) lines = g_strsplit(json_get_string(with, "restore-keys", ""), "\n", -1);
	for (char **line = lines; *line; line++)
		if (g_strstrip(*line)[0])
			json_array_append_new(prefixes, json_string_any(*line, strlen(*line)));
	g_autoptr(json_t) question = json_object();
	g_autoptr(json_t) answer = NULL;
	json_set_string(question, "key", key);
	json_set(question, "restore_keys", prefixes);
	json_set(question, "versions", versions_of(with));
	joblog_flush(job->log, NULL);
	if (!ask_agent(job, "cache.get", question, &answer, error))
		return false;
	const char *digest = json_get_string(answer, "digest", NULL);
	const char *matched = json_get_string(answer, "key", "");
	bool hit = json_get_bool(answer, "hit", false);
	bool only_look = strcmp(json_get_string(with, "lookup-only", "false"), "true") == 0;
	json_set_string(job->step_outputs, "cache-primary-key", key);
	json_set_string(job->step_outputs, "cache-hit", digest ? hit ? "true" : "false" : "");
	json_set_string(job->step_outputs, "cache-matched-key", digest ? matched : "");
	if (out_hit)
		*out_hit = hit;
	if (!digest && strcmp(json_get_string(with, "fail-on-cache-miss", "false"), "true") == 0)
		return fail(error, ASSAY_ERROR_ABSENT, "cache: nothing is kept for key '%s'", key);
	bool packed = strcmp(json_get_string(answer, "form", "tree"), "blob") == 0;
	if (digest && !only_look && !bring_back(job, digest, packed, error))
		return false;
	if (digest)
		joblog_sayf(job->log, "", "Cache restored from key: %s", matched);
	else
		joblog_sayf(job->log, "", "Cache not found for key: %s", key);
	return true;
}

static void save_now(Job *job, JobPost *post, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	if (job->state != RUN_RUNNING) {
		joblog_say(job->log, "", "Cache not saved: the job did not succeed.");
		return;
	}
	if (!cache_save(job, post->with, &error))
		step_result_fail(out, task_cause_of(job->task, error, CAUSE_STEP), g_strdup(error->message));
}

void cache_save_later(Job *job, const json_t *with)
{
	JobPost *post = g_new0(JobPost, 1);
	post->name = g_strdup("Run actions/cache");
	post->with = json_deep_copy(with);
	post->run = save_now;
	g_ptr_array_add(job->posts, post);
}
