/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a repo at a commit, blob by blob; nothing is written anywhere. */
#include "agent/job/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/git.h"
#include "agent/job/mirror.h"
#include "agent/job/tree.h"

struct Source {
	git_repository *repo; /* NULL: a working tree that is no repo */
	git_tree *tree;
	int local_fd;         /* the working tree, or -1 */
	char sha[GIT_OID_HEXSZ + 1];
	char *ref;
	char *title;
	char *author;
};

static const char *const folders[] = {".assay/workflows", ".github/workflows"};

void source_free(Source *source)
{
	if (!source)
		return;
	g_clear_pointer(&source->tree, git_tree_free);
	g_clear_pointer(&source->repo, git_repository_free);
	autofd_close(&source->local_fd);
	g_free(source->ref);
	g_free(source->title);
	g_free(source->author);
	g_free(source);
}

static bool read_commit(Source *source, const git_oid *id, GError **error)
{
	g_autoptr(git_commit) commit = NULL;
	int code = git_commit_lookup(&commit, source->repo, id);
	if (code == 0)
		code = git_commit_tree(&source->tree, commit);
	git_oid_tostr(source->sha, sizeof source->sha, id);
	if (code < 0)
		return git_fail(error, code, "cannot read the commit %s", source->sha);
	const char *title = git_commit_summary(commit);
	const git_signature *author = git_commit_author(commit);
	source->title = title ? g_utf8_make_valid(title, -1) : NULL;
	source->author = author && author->name ? g_utf8_make_valid(author->name, -1) : NULL;
	return true;
}

static bool open_local(Source *source, const char *folder, GError **error)
{
	source->local_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (source->local_fd < 0)
		return fail_errno(error, errno, "cannot open %s", folder);
	memset(source->sha, '0', GIT_OID_HEXSZ);
	if (!git_begin(error))
		return false;
	g_autoptr(git_reference) head = NULL;
	git_oid id;
	if (git_repository_open(&source->repo, folder) < 0 || git_repository_head(&head, source->repo) < 0 ||
	        git_reference_name_to_id(&id, source->repo, git_reference_name(head)) < 0)
		return true; /* not a repo, or one without a commit */
	if (g_str_has_prefix(git_reference_name(head), "refs/"))
		source->ref = g_strdup(git_reference_name(head));
	return read_commit(source, &id, error);
}

Source *source_open(Task *task, const json_t *event, GError **error)
{
	g_autoptr(Source) source = g_new0(Source, 1);
	source->local_fd = -1;
	const char *local = json_get_string(task->spec, "local", NULL);
	if (local)
		return open_local(source, local, error) ? g_steal_pointer(&source) : NULL;
	const MirrorWish wish = {.sha = json_get_string(event, "sha", NULL), .ref = json_get_string(event, "ref", NULL)};
	git_oid id;
	source->repo = mirror_open(task, wish, &id, &source->ref, error);
	if (!source->repo || !read_commit(source, &id, error))
		return NULL;
	return g_steal_pointer(&source);
}

const char *source_sha(const Source *source)
{
	return source->sha;
}

const char *source_ref(const Source *source)
{
	return source->ref;
}

const char *source_title(const Source *source)
{
	return source->title;
}

const char *source_author(const Source *source)
{
	return source->author;
}

static bool is_workflow(const char *name)
{
	return name[0] != '.' && (g_str_has_suffix(name, ".yml") || g_str_has_suffix(name, ".yaml"));
}

static void list_tree(Source *source, const char *folder, GPtrArray *paths)
{
	g_autoptr(git_tree_entry) entry = NULL;
	g_autoptr(git_tree) tree = NULL;
	if (!source->tree || git_tree_entry_bypath(&entry, source->tree, folder) < 0 ||
	        git_tree_lookup(&tree, source->repo, git_tree_entry_id(entry)) < 0)
		return;
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *file = git_tree_entry_byindex(tree, i);
		if (git_tree_entry_type(file) == GIT_OBJECT_BLOB && is_workflow(git_tree_entry_name(file)) &&
		        g_utf8_validate(git_tree_entry_name(file), -1, NULL))
			g_ptr_array_add(paths, g_strconcat(folder, "/", git_tree_entry_name(file), NULL));
	}
}

static void list_local(Source *source, const char *folder, GPtrArray *paths)
{
	int fd = fd_open_beneath(source->local_fd, folder, O_RDONLY | O_DIRECTORY, 0, true, NULL);
	DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
	if (!entries) {
		autofd_close(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(entries));)
		if (is_workflow(entry->d_name) && g_utf8_validate(entry->d_name, -1, NULL))
			g_ptr_array_add(paths, g_strconcat(folder, "/", entry->d_name, NULL));
	closedir(entries);
}

static gint by_bytes(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *source_workflows(Source *source, GError **error)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	for (size_t i = 0; i < G_N_ELEMENTS(folders) && paths->len == 0; i++) {
		if (source->local_fd >= 0)
			list_local(source, folders[i], paths);
		else
			list_tree(source, folders[i], paths);
	}
	if (paths->len > SOURCE_WORKFLOWS_MAX) {
		fail(error, ASSAY_ERROR_USER, "more than %d workflow files", SOURCE_WORKFLOWS_MAX);
		return NULL;
	}
	g_ptr_array_sort(paths, by_bytes);
	return g_steal_pointer(&paths);
}

GBytes *source_read(Source *source, const char *path, size_t limit_bytes, GError **error)
{
	if (source->local_fd >= 0) {
		autofd int fd = fd_open_beneath(source->local_fd, path, O_RDONLY | O_NONBLOCK, 0, true, error);
		return fd < 0 ? NULL : fd_read_all(fd, limit_bytes, path, error);
	}
	g_autoptr(git_tree_entry) entry = NULL;
	g_autoptr(git_blob) blob = NULL;
	int code = git_tree_entry_bypath(&entry, source->tree, path);
	if (code == 0)
		code = git_blob_lookup(&blob, source->repo, git_tree_entry_id(entry));
	if (code < 0) {
		git_fail(error, code, "cannot read %s", path);
		return NULL;
	}
	if ((guint64)git_blob_rawsize(blob) > limit_bytes) {
		fail(error, ASSAY_ERROR_USER, "%s: larger than the limit of %zu bytes", path, limit_bytes);
		return NULL;
	}
	return g_bytes_new(git_blob_rawcontent(blob), (gsize)git_blob_rawsize(blob));
}

static git_tree *tree_of(git_repository *repo, const char *sha, git_oid *out)
{
	g_autoptr(git_commit) commit = NULL;
	git_tree *tree = NULL;
	if (!sha || git_oid_fromstr(out, sha) < 0 || git_oid_is_zero(out) || git_commit_lookup(&commit, repo, out) < 0 ||
	        git_commit_tree(&tree, commit) < 0)
		return NULL;
	return tree;
}

json_t *source_changed(Source *source, const json_t *event)
{
	if (!source->repo || !source->tree || source->local_fd >= 0)
		return NULL;
	git_oid before, after;
	const char *from = json_get_string(event, "before", NULL);
	const json_t *pull = json_object_get(json_object_get(event, "payload"), "pull_request");
	if (pull) { /* what the branch did since it left its base */
		git_oid base;
		const char *base_sha = json_get_string(json_object_get(pull, "base"), "sha", "");
		if (git_oid_fromstr(&base, base_sha) < 0 || git_oid_fromstr(&after, source->sha) < 0 ||
		        git_merge_base(&before, source->repo, &base, &after) < 0)
			return NULL;
		from = git_oid_tostr_s(&before);
	}
	g_autoptr(git_tree) old = tree_of(source->repo, from, &before);
	g_autoptr(git_diff) diff = NULL;
	git_diff_options options;
	git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
	options.flags = GIT_DIFF_SKIP_BINARY_CHECK;
	if (!old || git_diff_tree_to_tree(&diff, source->repo, old, source->tree, &options) < 0 ||
	        git_diff_num_deltas(diff) > SOURCE_CHANGED_MAX)
		return NULL;
	json_t *paths = json_array();
	for (size_t i = 0; i < git_diff_num_deltas(diff); i++) {
		const git_diff_delta *delta = git_diff_get_delta(diff, i);
		const char *path = delta->new_file.path ? delta->new_file.path : delta->old_file.path;
		json_array_append_new(paths, json_string_any(path, strlen(path)));
	}
	return paths;
}
