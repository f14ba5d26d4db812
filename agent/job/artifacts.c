/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifacts. The files are first gathered in a folder of the task's own, as links to the same inodes where the disk
 * allows it, so that the store sees one tree with the names that the artifact will have. As actions/upload-artifact
 * does, that tree begins at the deepest folder that holds everything the patterns could name.
 */
#include "agent/job/artifacts.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/ask.h"
#include "agent/job/files.h"

#define STAGE "artifact"

/* Patterns as the workspace's own: what begins with its path, as steps see it, loses that. */
static GPtrArray *read_patterns(const Job *job, const char *text)
{
	GPtrArray *patterns = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		const char *at = g_strstrip(*line);
		bool out = at[0] == '!';
		at += out;
		size_t len = strlen(job->workspace_inside);
		if (strncmp(at, job->workspace_inside, len) == 0 && (at[len] == '/' || !at[len]))
			at += len + (at[len] == '/');
		if (at[0] == '~' && at[1] == '/')
			at += 2; /* fails below as not found, rather than as a strange folder */
		if (at[0])
			g_ptr_array_add(patterns, g_strconcat(out ? "!" : "", at, NULL));
		else if (!out && (*line)[0])
			g_ptr_array_add(patterns, g_strdup("**"));
	}
	return patterns;
}

/* The folder that all patterns share before their first wildcards. */
static char *shared_root(int workspace_fd, const GPtrArray *patterns)
{
	g_autofree char *root = NULL;
	for (guint i = 0; i < patterns->len; i++) {
		const char *pattern = patterns->pdata[i];
		if (pattern[0] == '!')
			continue;
		g_autofree char *fixed = files_fixed_part(pattern);
		while (g_str_has_suffix(fixed, "/"))
			fixed[strlen(fixed) - 1] = '\0';
		struct stat info;
		autofd int fd = fixed[0] ? fd_open_beneath(workspace_fd, fixed, O_PATH, 0, false, NULL) : -1;
		if (fd >= 0 && fstat(fd, &info) == 0 && !S_ISDIR(info.st_mode)) {
			char *slash = strrchr(fixed, '/');
			*(slash ? slash : fixed) = '\0';
		}
		if (!root) {
			root = g_strdup(fixed);
			continue;
		}
		size_t same = 0, cut = 0;
		for (;; same++) {
			bool root_stops = !root[same] || root[same] == '/';
			bool fixed_stops = !fixed[same] || fixed[same] == '/';
			if (root_stops && fixed_stops)
				cut = same;
			if (root[same] != fixed[same] || !root[same])
				break;
		}
		root[cut] = '\0';
	}
	return root ? g_steal_pointer(&root) : g_strdup("");
}

bool artifacts_put(Job *job, const ArtifactSpec *spec, int64_t *out_files, char **out_digest, GError **error)
{
	autofd int workspace = job_open_workspace(job, error);
	g_autoptr(GPtrArray) patterns = read_patterns(job, spec->patterns);
	if (workspace < 0)
		return false;
	g_autoptr(GPtrArray) found = files_find(workspace, (const char *const *)patterns->pdata, patterns->len,
	        (FilesRules){.hidden = spec->hidden, .folders_whole = true}, error);
	if (!found)
		return false;
	*out_files = found->len;
	if (found->len == 0)
		return true;
	g_autofree char *root = shared_root(workspace, patterns);
	size_t skip = root[0] ? strlen(root) + 1 : 0;
	if (!tree_remove(job->task->folder_fd, STAGE, error))
		return false;
	autofd int stage = tree_make_folder(job->task->folder_fd, STAGE, (TreeOwner){0}, error);
	if (stage < 0)
		return false;
	for (guint i = 0; i < found->len; i++)
		if (!tree_link(workspace, found->pdata[i], stage, (const char *)found->pdata[i] + skip, error))
			return false;
	g_autoptr(Objects) objects = job_open_store(job, error);
	ObjectsTree tree;
	bool good = objects && objects_snapshot(objects, job->task->folder_fd, STAGE, &tree, error);
	tree_remove(job->task->folder_fd, STAGE, NULL);
	if (!good)
		return false;
	g_autoptr(json_t) with = json_object();
	g_autoptr(json_t) answer = NULL;
	json_set_string(with, "name", spec->name);
	json_set_string(with, "digest", tree.digest);
	json_set_int(with, "bytes", tree.bytes);
	json_set_int(with, "files", tree.files);
	joblog_flush(job->log, NULL);
	if (!ask_agent(job, "artifact.put", with, &answer, error))
		return false;
	*out_digest = g_strdup(tree.digest);
	joblog_sayf(job->log, "", "Artifact %s: %" G_GINT64_FORMAT " files, %" G_GINT64_FORMAT " bytes, %s", spec->name,
	        tree.files, tree.bytes, tree.digest);
	return true;
}

static bool restore(Job *job, const json_t *artifact, int workspace, const char *path, GError **error)
{
	const char *name = json_get_string(artifact, "name", "");
	/* Copied in from there, so that the store's writer never meets the links of steps. */
	autofd int stage = job_restore(job, json_get_string(artifact, "digest", ""), STAGE, error);
	if (stage < 0) {
		g_prefix_error(error, "artifact '%s': ", name);
		return false;
	}
	autofd int target = tree_make_folder(workspace, path, job->owner, error);
	bool good = target >= 0 && tree_copy(stage, target, NULL, job->owner, error);
	tree_remove(job->task->folder_fd, STAGE, NULL);
	if (good)
		joblog_sayf(job->log, "", "Artifact %s: %" G_GINT64_FORMAT " files into %s", name,
		        json_get_int(artifact, "files", 0), path);
	return good;
}

bool artifacts_get(Job *job, const char *name, const char *pattern, const char *path, bool merge, GError **error)
{
	g_autoptr(json_t) with = json_object();
	g_autoptr(json_t) answer = NULL;
	if (name)
		json_set_string(with, "name", name);
	joblog_flush(job->log, NULL);
	if (!ask_agent(job, "artifact.get", with, &answer, error))
		return false;
	const json_t *found = json_object_get(answer, "artifacts");
	if (name && json_array_size(found) == 0)
		return fail(error, ASSAY_ERROR_ABSENT, "the run has no artifact '%s'", name);
	autofd int workspace = job_open_workspace(job, error);
	if (workspace < 0)
		return false;
	size_t i;
	json_t *artifact;
	json_array_foreach(found, i, artifact) {
		const char *its_name = json_get_string(artifact, "name", "");
		if (pattern && !files_match(pattern, its_name))
			continue;
		g_autofree char *into = name || merge ? g_strdup(path) : g_strconcat(path, "/", its_name, NULL);
		if (!restore(job, artifact, workspace, into, error))
			return false;
	}
	return true;
}
