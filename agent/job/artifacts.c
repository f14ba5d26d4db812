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
#define NAME_BYTES_MAX 255
#define BRACES_MAX 4

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

bool artifacts_check_name(const char *name, GError **error)
{
	if (!name || !name[0] || strlen(name) > NAME_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "an artifact's name has 1 to %d bytes", NAME_BYTES_MAX);
	if (strpbrk(name, "\":<>|*?\r\n\\/") || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return fail(error, ASSAY_ERROR_USER, "artifact '%s': its name has a character that some file systems do not "
		            "allow: one of \" : < > | * ? \\ / or a line's end", name);
	return true;
}

bool artifacts_put(Job *job, const ArtifactSpec *spec, ArtifactPut *out, GError **error)
{
	if (!artifacts_check_name(spec->name, error))
		return false;
	autofd int workspace = job_open_workspace(job, error);
	g_autoptr(GPtrArray) patterns = read_patterns(job, spec->patterns);
	if (workspace < 0)
		return false;
	g_autoptr(GPtrArray) found = files_find(workspace, (const char *const *)patterns->pdata, patterns->len,
	        (FilesRules){.hidden = spec->hidden, .folders_whole = true}, error);
	if (!found)
		return false;
	*out = (ArtifactPut){.files = found->len};
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
	json_set_int(with, "retention_days", spec->days);
	json_set_bool(with, "overwrite", spec->overwrite);
	joblog_flush(job->log, NULL);
	if (!ask_agent(job, "artifact.put", with, &answer, error))
		return false;
	out->id = json_get_int(answer, "id", 0);
	g_strlcpy(out->digest, tree.digest, sizeof out->digest);
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

/* Does the name fit? "{a,b}*" is "a*" or "b*", as in the action's own patterns. */
static bool name_fits(const char *pattern, const char *name, int depth)
{
	const char *open = strchr(pattern, '{');
	const char *close = open ? strchr(open, '}') : NULL;
	if (!close || depth > BRACES_MAX || !memchr(open, ',', (size_t)(close - open)))
		return files_match(pattern, name);
	g_autofree char *words = g_strndup(open + 1, (size_t)(close - open - 1));
	g_auto(GStrv) choices = g_strsplit(words, ",", -1);
	for (char **choice = choices; *choice; choice++) {
		g_autofree char *one = g_strdup_printf("%.*s%s%s", (int)(open - pattern), pattern, *choice, close + 1);
		if (name_fits(one, name, depth + 1))
			return true;
	}
	return false;
}

/* Is the number one of the list? */
static bool is_listed(const char *ids, int64_t id)
{
	g_auto(GStrv) words = g_strsplit_set(ids, ", \n", -1);
	for (char **word = words; *word; word++)
		if ((*word)[0] && g_ascii_strtoll(*word, NULL, 10) == id)
			return true;
	return false;
}

bool artifacts_get(Job *job, const ArtifactWish *wish, GError **error)
{
	g_autoptr(json_t) with = json_object();
	g_autoptr(json_t) answer = NULL;
	if (wish->name)
		json_set_string(with, "name", wish->name);
	if (wish->run)
		json_set_int(with, "run", wish->run);
	joblog_flush(job->log, NULL);
	if (!ask_agent(job, "artifact.get", with, &answer, error))
		return false;
	const json_t *found = json_object_get(answer, "artifacts");
	if (wish->name && json_array_size(found) == 0)
		return fail(error, ASSAY_ERROR_ABSENT, "the run has no artifact '%s'", wish->name);
	autofd int workspace = job_open_workspace(job, error);
	if (workspace < 0)
		return false;
	int count = 0;
	size_t i;
	json_t *artifact;
	json_array_foreach(found, i, artifact) {
		const char *its_name = json_get_string(artifact, "name", "");
		if ((wish->pattern && !name_fits(wish->pattern, its_name, 0)) ||
		        (wish->ids && !is_listed(wish->ids, json_get_int(artifact, "id", 0))))
			continue;
		bool flat = wish->name || wish->merge;
		g_autofree char *into = flat ? g_strdup(wish->path) : g_strconcat(wish->path, "/", its_name, NULL);
		if (!restore(job, artifact, workspace, into, error))
			return false;
		count++;
	}
	joblog_sayf(job->log, "", "Total of %d artifact(s) downloaded", count);
	return true;
}
