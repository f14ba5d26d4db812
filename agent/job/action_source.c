/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a repository comes from: the agent's mirrors of those that it serves, else the admin's addresses in their order
 * (action_fetch.c asks one). And what is done with its commit: blobs are read, files are written, nothing is run.
 */
#include "agent/job/action_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/action_fetch.h"
#include "agent/job/git.h"
#include "agent/job/mirror.h"

#define FILES_MAX 200000
#define FILES_BYTES_MAX (4LL * 1024 * 1024 * 1024)
#define DEPTH_MAX 128

struct ActionSource {
	Task *task;
	git_repository *repo;
	git_tree *tree;
	char sha[GIT_OID_HEXSZ + 1];
	char *name;
	char *notice;
};

/* One address after the other, until one has the repository. */
static git_repository *ask_sources(ActionFetch *fetch, const json_t *sources, git_oid *out_commit, char **out_notice,
        GError **error)
{
	g_autoptr(GString) reasons = g_string_new(NULL);
	g_autoptr(git_repository) repo = NULL;
	size_t i;
	json_t *pattern;
	json_array_foreach((json_t *)(uintptr_t)sources, i, pattern) {
		g_autoptr(GError) why = NULL;
		action_fetch_address(fetch, json_string_value(pattern));
		if (action_fetch_look(fetch, false, &repo, out_commit))
			return g_steal_pointer(&repo);
		ActionAnswer answer = action_fetch_ask(fetch, &repo, out_commit, out_notice, &why);
		if (answer == ANSWER_FOUND)
			return g_steal_pointer(&repo);
		if (answer == ANSWER_UNREACHABLE && action_fetch_look(fetch, true, &repo, out_commit)) {
			*out_notice = g_strdup_printf("%s; '%s' stands for the commit that it meant when it was last fetched",
			        why->message, fetch->ref);
			return g_steal_pointer(&repo);
		}
		if (answer != ANSWER_NO_REPO) {
			g_propagate_error(error, g_steal_pointer(&why));
			return NULL;
		}
		g_string_append_printf(reasons, "%s%s", reasons->len ? "; " : "", why->message);
	}
	fail(error, ASSAY_ERROR_ABSENT, "no source has the repository %s: %s; see actions.sources in assay.yml", fetch->name,
	        reasons->str);
	return NULL;
}

/* Is the commit in a branch or tag? A mirror also has the requests of strangers. */
static bool in_branch_or_tag(git_repository *repo, const git_oid *commit)
{
	g_autoptr(GArray) tips = g_array_new(FALSE, FALSE, sizeof(git_oid));
	git_reference_iterator *refs = NULL;
	git_reference *next = NULL;
	if (git_reference_iterator_new(&refs, repo) < 0)
		return false;
	bool found = false;
	while (!found && git_reference_next(&next, refs) == 0) {
		g_autoptr(git_reference) ref = next;
		git_oid tip;
		const char *name = git_reference_name(ref);
		if ((!g_str_has_prefix(name, "refs/heads/") && !g_str_has_prefix(name, "refs/tags/")) ||
		        git_reference_name_to_id(&tip, repo, name) < 0 || !action_fetch_peel(repo, &tip, &tip))
			continue;
		found = git_oid_equal(&tip, commit);
		g_array_append_val(tips, tip);
	}
	git_reference_iterator_free(refs);
	return found || (tips->len > 0 && git_graph_reachable_from_any(repo, commit, (const git_oid *)(void *)tips->data, tips->len) == 1);
}

/* A repo that the agent knows, from its mirror. */
static git_repository *ask_mirror(ActionFetch *fetch, const char *known, const char *url, git_oid *out_commit,
        char **out_notice, GError **error)
{
	g_autoptr(git_repository) repo = NULL;
	const MirrorWish wish = {.sha = fetch->is_commit ? fetch->ref : NULL, .ref = fetch->is_commit ? NULL : fetch->ref};
	if (g_ascii_strcasecmp(fetch->name, task_repo_name(fetch->task)) == 0)
		repo = mirror_open(fetch->task, wish, out_commit, NULL, error);
	else
		repo = mirror_open_other(fetch->task, known, url, wish, out_commit, out_notice, error);
	if (repo && fetch->is_commit && !in_branch_or_tag(repo, out_commit)) {
		fail(error, ASSAY_ERROR_ABSENT, "no branch or tag of %s has '%s'", known, fetch->ref);
		return NULL;
	}
	return g_steal_pointer(&repo);
}

/* The address of a known repo, without regard to case. */
static const char *find_known(const Task *task, const json_t *actions, const char *name, const char **out_name)
{
	const char *key;
	json_t *url;
	if (json_get_string(task_repo(task), "mirror", NULL) && g_ascii_strcasecmp(name, task_repo_name(task)) == 0) {
		*out_name = task_repo_name(task);
		return json_get_string(task_repo(task), "url", "");
	}
	json_object_foreach(json_object_get(actions, "repos"), key, url)
		if (g_ascii_strcasecmp(key, name) == 0) {
			*out_name = key;
			return json_string_value(url);
		}
	return NULL;
}

static bool find(ActionFetch *fetch, ActionSource *source, git_oid *out_commit, GError **error)
{
	const json_t *actions = json_object_get(fetch->task->spec, "actions");
	const json_t *sources = json_object_get(actions, "sources");
	const char *known = NULL;
	const char *url = find_known(fetch->task, actions, fetch->name, &known);
	if (url)
		source->repo = ask_mirror(fetch, known, url, out_commit, &source->notice, error);
	else if (json_array_size(sources) == 0)
		return fail(error, ASSAY_ERROR_DENIED,
		        "actions of other repositories are not allowed here: actions.sources in assay.yml is empty");
	else
		source->repo = ask_sources(fetch, sources, out_commit, &source->notice, error);
	return source->repo != NULL;
}

ActionSource *action_source_open(Task *task, const char *repo, const char *ref, GError **error)
{
	if (!action_name_is_repo(repo) || !action_name_is_ref(ref)) {
		fail(error, ASSAY_ERROR_USER, "'%s' at '%s' cannot be the name of a repository and its ref", repo, ref);
		return NULL;
	}
	ActionFetch fetch;
	if (!git_begin(error))
		return NULL;
	action_fetch_init(&fetch, task, repo, ref);
	g_autoptr(ActionSource) source = g_new0(ActionSource, 1);
	source->task = task;
	source->name = g_strdup(repo);
	git_oid id;
	bool found = find(&fetch, source, &id, error);
	action_fetch_clear(&fetch);
	if (!found)
		return NULL;
	g_autoptr(git_commit) commit = NULL;
	int code = git_commit_lookup(&commit, source->repo, &id);
	if (code == 0)
		code = git_commit_tree(&source->tree, commit);
	if (code < 0) {
		git_fail(error, code, "cannot read %s at %s", repo, ref);
		return NULL;
	}
	git_oid_tostr(source->sha, sizeof source->sha, &id);
	return g_steal_pointer(&source);
}

void action_source_free(ActionSource *source)
{
	if (!source)
		return;
	g_clear_pointer(&source->tree, git_tree_free);
	g_clear_pointer(&source->repo, git_repository_free);
	g_free(source->name);
	g_free(source->notice);
	g_free(source);
}

const char *action_source_sha(const ActionSource *source)
{
	return source->sha;
}

const char *action_source_notice(const ActionSource *source)
{
	return source->notice;
}

/* Reading */

GBytes *action_source_read(const ActionSource *source, const char *path, size_t limit_bytes, GError **error)
{
	g_autoptr(git_tree_entry) entry = NULL;
	g_autoptr(git_blob) blob = NULL;
	int code = git_tree_entry_bypath(&entry, source->tree, path);
	if (code == GIT_ENOTFOUND) {
		fail(error, ASSAY_ERROR_ABSENT, "%s has no %s at %s", source->name, path, source->sha);
		return NULL;
	}
	if (code == 0 && git_tree_entry_filemode(entry) == GIT_FILEMODE_LINK) {
		fail(error, ASSAY_ERROR_DENIED, "%s of %s is a link, which is not followed", path, source->name);
		return NULL;
	}
	if (code == 0 && git_tree_entry_type(entry) != GIT_OBJECT_BLOB) {
		fail(error, ASSAY_ERROR_ABSENT, "%s of %s is no file", path, source->name);
		return NULL;
	}
	if (code == 0)
		code = git_blob_lookup(&blob, source->repo, git_tree_entry_id(entry));
	if (code < 0) {
		git_fail(error, code, "cannot read %s of %s", path, source->name);
		return NULL;
	}
	if ((guint64)git_blob_rawsize(blob) > limit_bytes) {
		fail(error, ASSAY_ERROR_USER, "%s of %s has more than %zu bytes", path, source->name, limit_bytes);
		return NULL;
	}
	return g_bytes_new(git_blob_rawcontent(blob), (gsize)git_blob_rawsize(blob));
}

/* Writing */

typedef struct Writing {
	const ActionSource *source;
	TreeOwner owner;
	int64_t files;
	int64_t bytes;
} Writing;

static bool write_file(Writing *writing, const git_tree_entry *entry, int folder_fd, GError **error)
{
	const char *name = git_tree_entry_name(entry);
	git_filemode_t mode = git_tree_entry_filemode(entry);
	g_autoptr(git_blob) blob = NULL;
	int code = git_blob_lookup(&blob, writing->source->repo, git_tree_entry_id(entry));
	if (code < 0)
		return git_fail(error, code, "cannot read %s", name);
	writing->bytes += git_blob_rawsize(blob);
	if (++writing->files > FILES_MAX || writing->bytes > FILES_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s has more than %d files or %lld MiB", writing->source->name, FILES_MAX,
		        FILES_BYTES_MAX / 1048576);
	if (mode != GIT_FILEMODE_LINK)
		return tree_write_file(folder_fd, name, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob),
		        mode == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644, writing->owner, error);
	g_autofree char *target = g_strndup(git_blob_rawcontent(blob), (gsize)git_blob_rawsize(blob));
	if (symlinkat(target, folder_fd, name) < 0 ||
	        (writing->owner.change &&
	                fchownat(folder_fd, name, writing->owner.uid, writing->owner.gid, AT_SYMLINK_NOFOLLOW) < 0))
		return fail_errno(error, errno, "cannot make the link %s", name);
	return true;
}

static bool write_tree(Writing *writing, const git_tree *tree, int folder_fd, int depth, GError **error)
{
	if (depth > DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s has folders nested deeper than %d", writing->source->name, DEPTH_MAX);
	if (task_is_cancelled(writing->source->task))
		return fail(error, ASSAY_ERROR_BUSY, "it was cancelled");
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
		const char *name = git_tree_entry_name(entry);
		if (!git_name_is_safe(name))
			return fail(error, ASSAY_ERROR_USER, "%s has a name that git does not allow: '%s'", writing->source->name, name);
		if (git_tree_entry_type(entry) == GIT_OBJECT_BLOB) {
			if (!write_file(writing, entry, folder_fd, error))
				return false;
			continue;
		}
		autofd int inner_fd = tree_make_folder(folder_fd, name, writing->owner, error);
		if (inner_fd < 0)
			return false;
		if (git_tree_entry_type(entry) != GIT_OBJECT_TREE)
			continue; /* a submodule: its folder, empty, as in a forge's archive */
		g_autoptr(git_tree) inner = NULL;
		int code = git_tree_lookup(&inner, writing->source->repo, git_tree_entry_id(entry));
		if (code < 0)
			return git_fail(error, code, "cannot read %s", name);
		if (!write_tree(writing, inner, inner_fd, depth + 1, error))
			return false;
	}
	return true;
}

bool action_source_write(const ActionSource *source, int folder_fd, TreeOwner owner, GError **error)
{
	Writing writing = {.source = source, .owner = owner};
	return write_tree(&writing, source->tree, folder_fd, 0, error);
}
