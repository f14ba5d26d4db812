/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkout. The .git folder is made in the task's own folder, where no step can reach, and moved into the workspace in
 * one rename; files are written by tree.c's rules, so that no link that an earlier step left leads a root worker
 * astray. Objects come as one pack: the mirror is outside of what steps see, so the clone cannot borrow from it.
 *
 * .gitattributes' conversions are applied as git would; submodules and LFS contents are not fetched.
 */
#include "agent/job/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/git.h"
#include "agent/job/mirror.h"

#define DEPTH_MAX 256
#define STAGE "checkout"

typedef struct Checkout {
	Job *job;
	git_repository *mirror;
	git_repository *repo;  /* the new one */
	git_index *index;
	git_oid commit;
	char *ref;             /* full name of what was asked for, or NULL for a commit */
	bool attributes;       /* there are .gitattributes somewhere */
	int64_t files;
} Checkout;

/* Puts one commit after the other into the pack, as many generations as asked for; notes where history is cut. */
static int pack_history(Checkout *checkout, git_packbuilder *pack, int depth, GString *shallow)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) generation = g_ptr_array_new_with_free_func((GDestroyNotify)git_commit_free);
	git_commit *first = NULL;
	int code = git_commit_lookup(&first, checkout->mirror, &checkout->commit);
	if (code < 0)
		return code;
	g_ptr_array_add(generation, first);
	for (int level = 1; generation->len > 0; level++) {
		g_autoptr(GPtrArray) next = g_ptr_array_new_with_free_func((GDestroyNotify)git_commit_free);
		for (guint i = 0; i < generation->len; i++) {
			git_commit *commit = generation->pdata[i];
			const git_oid *id = git_commit_id(commit);
			if (!g_hash_table_add(seen, g_strdup(git_oid_tostr_s(id))))
				continue;
			if ((code = git_packbuilder_insert_commit(pack, id)) < 0)
				return code;
			unsigned parents = git_commit_parentcount(commit);
			if (level == depth && parents > 0)
				g_string_append_printf(shallow, "%s\n", git_oid_tostr_s(id));
			for (unsigned parent = 0; level < depth && parent < parents; parent++) {
				git_commit *above = NULL;
				if ((code = git_commit_parent(&above, commit, parent)) < 0)
					return code;
				g_ptr_array_add(next, above);
			}
		}
		g_clear_pointer(&generation, g_ptr_array_unref);
		generation = g_steal_pointer(&next);
	}
	return 0;
}

typedef struct RefCopy {
	git_repository *to;
	git_packbuilder *pack; /* NULL: refs are made */
	int code;
} RefCopy;

static int copy_ref(git_reference *ref, void *data)
{
	g_autoptr(git_reference) owned = ref;
	RefCopy *copy = data;
	const char *name = git_reference_name(owned);
	const git_oid *id = git_reference_target(owned);
	bool branch = g_str_has_prefix(name, "refs/heads/");
	if (!id || (!branch && !g_str_has_prefix(name, "refs/tags/")))
		return 0;
	if (copy->pack)
		return git_packbuilder_insert_recur(copy->pack, id, NULL);
	g_autofree char *target = branch ? g_strconcat("refs/remotes/origin/", name + 11, NULL) : g_strdup(name);
	g_autoptr(git_reference) made = NULL;
	return git_reference_create(&made, copy->to, target, id, 1, NULL);
}

static int each_ref(git_repository *mirror, RefCopy *copy)
{
	return git_reference_foreach(mirror, copy_ref, copy);
}

static bool make_objects(Checkout *checkout, const char *git_folder, const CheckoutSpec *spec, GError **error)
{
	g_autoptr(git_packbuilder) pack = NULL;
	g_autoptr(GString) shallow = g_string_new(NULL);
	RefCopy copy = {.to = checkout->repo};
	int code = git_packbuilder_new(&pack, checkout->mirror);
	if (code == 0)
		git_packbuilder_set_threads(pack, 1);
	if (code == 0 && spec->depth > 0)
		code = pack_history(checkout, pack, spec->depth, shallow);
	if (code == 0 && spec->depth == 0) {
		git_revwalk *walk = NULL;
		code = git_revwalk_new(&walk, checkout->mirror);
		if (code == 0)
			code = git_revwalk_push(walk, &checkout->commit);
		if (code == 0)
			code = git_revwalk_push_glob(walk, "refs/heads/*");
		if (code == 0)
			code = git_revwalk_push_glob(walk, "refs/tags/*");
		if (code == 0)
			code = git_packbuilder_insert_walk(pack, walk);
		git_revwalk_free(walk);
	}
	if (code == 0 && spec->depth > 0 && spec->tags) {
		copy.pack = pack;
		code = each_ref(checkout->mirror, &copy);
		copy.pack = NULL;
	}
	g_autofree char *folder = g_build_filename(git_folder, "objects", "pack", NULL);
	if (code == 0)
		code = git_packbuilder_write(pack, folder, 0644, NULL, NULL);
	if (code < 0)
		return git_fail(error, code, "cannot copy the commit's objects");
	if (shallow->len > 0) {
		g_autofree char *path = g_build_filename(git_folder, "shallow", NULL);
		if (!fd_replace_file(path, shallow->str, shallow->len, 0644, false, error))
			return false;
	}
	git_odb *odb = NULL; /* it has not seen the pack yet */
	if (git_repository_odb(&odb, checkout->repo) == 0)
		git_odb_refresh(odb);
	git_odb_free(odb);
	if (spec->depth == 0 || spec->tags)
		code = each_ref(checkout->mirror, &copy);
	return code >= 0 || git_fail(error, code, "cannot copy the refs");
}

/* origin, its branch, and HEAD: on a branch for a branch, on the commit otherwise. */
static bool make_refs(Checkout *checkout, GError **error)
{
	const char *url = json_get_string(task_repo(checkout->job->task), "url", "");
	g_autoptr(git_remote) origin = NULL;
	g_autoptr(git_reference) ref = NULL;
	int code = git_remote_create(&origin, checkout->repo, "origin", url);
	const char *full = checkout->ref;
	if (code == 0 && full && g_str_has_prefix(full, "refs/heads/")) {
		const char *branch = full + strlen("refs/heads/");
		g_autofree char *remote = g_strconcat("refs/remotes/origin/", branch, NULL);
		code = git_reference_create(&ref, checkout->repo, remote, &checkout->commit, 1, NULL);
		g_clear_pointer(&ref, git_reference_free);
		if (code == 0)
			code = git_reference_create(&ref, checkout->repo, full, &checkout->commit, 1, NULL);
		if (code == 0)
			code = git_repository_set_head(checkout->repo, full);
		g_autoptr(git_config) config = NULL;
		if (code == 0 && git_repository_config(&config, checkout->repo) == 0) {
			g_autofree char *key_remote = g_strdup_printf("branch.%s.remote", branch);
			g_autofree char *key_merge = g_strdup_printf("branch.%s.merge", branch);
			git_config_set_string(config, key_remote, "origin");
			git_config_set_string(config, key_merge, full);
		}
	} else if (code == 0) {
		if (full && g_str_has_prefix(full, "refs/tags/"))
			code = git_reference_create(&ref, checkout->repo, full, &checkout->commit, 1, NULL);
		if (code == 0)
			code = git_repository_set_head_detached(checkout->repo, &checkout->commit);
	}
	return code >= 0 || git_fail(error, code, "cannot set up .git");
}

static void add_to_index(Checkout *checkout, const char *path, const git_tree_entry *entry, int folder_fd)
{
	struct stat info = {0};
	fstatat(folder_fd, git_tree_entry_name(entry), &info, AT_SYMLINK_NOFOLLOW);
	git_index_entry row = {.ctime = {(int32_t)info.st_ctim.tv_sec, (uint32_t)info.st_ctim.tv_nsec},
	        .mtime = {(int32_t)info.st_mtim.tv_sec, (uint32_t)info.st_mtim.tv_nsec},
	        .dev = (uint32_t)info.st_dev,
	        .ino = (uint32_t)info.st_ino,
	        .mode = (uint32_t)git_tree_entry_filemode(entry),
	        .uid = info.st_uid,
	        .gid = info.st_gid,
	        .file_size = (uint32_t)info.st_size,
	        .id = *git_tree_entry_id(entry),
	        .path = path};
	git_index_add(checkout->index, &row);
}

/* The blob's bytes into the file, through the filters that .gitattributes ask for. */
static bool write_blob(Checkout *checkout, git_blob *blob, const char *path, int fd, GError **error)
{
	git_filter_list *filters = NULL;
	if (checkout->attributes) {
		git_filter_options options = {.version = GIT_FILTER_OPTIONS_VERSION,
		        .flags = GIT_FILTER_ATTRIBUTES_FROM_COMMIT,
		        .attr_commit_id = checkout->commit};
		if (git_filter_list_load_ext(&filters, checkout->repo, blob, path, GIT_FILTER_TO_WORKTREE, &options) < 0)
			filters = NULL;
	}
	if (!filters)
		return fd_write_all(fd, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob), path, error);
	git_buf out = {0};
	int code = git_filter_list_apply_to_blob(&out, filters, blob);
	bool good = code == 0 ? fd_write_all(fd, out.ptr, out.size, path, error)
	                      : git_fail(error, code, "%s: cannot be converted", path);
	git_buf_dispose(&out);
	git_filter_list_free(filters);
	return good;
}

static bool write_file(Checkout *checkout, const git_tree_entry *entry, int folder_fd, const char *path, GError **error)
{
	const char *name = git_tree_entry_name(entry);
	TreeOwner owner = checkout->job->owner;
	git_filemode_t mode = git_tree_entry_filemode(entry);
	g_autoptr(git_blob) blob = NULL;
	int code = git_blob_lookup(&blob, checkout->mirror, git_tree_entry_id(entry));
	if (code < 0)
		return git_fail(error, code, "cannot read %s", path);
	checkout->files++;
	if (mode == GIT_FILEMODE_LINK) {
		g_autofree char *target = g_strndup(git_blob_rawcontent(blob), (gsize)git_blob_rawsize(blob));
		if (!tree_remove(folder_fd, name, error))
			return false;
		if (symlinkat(target, folder_fd, name) < 0 ||
		        (owner.change && fchownat(folder_fd, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0))
			return fail_errno(error, errno, "cannot make the link %s", path);
		return true;
	}
	autofd int fd = tree_create_file(folder_fd, name, mode == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644, owner,
	        error);
	return fd >= 0 && write_blob(checkout, blob, path, fd, error);
}

static bool write_tree(Checkout *checkout, const git_tree *tree, int folder_fd, const char *prefix, int depth,
        GError **error)
{
	if (depth > DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s: folders nested deeper than %d", prefix, DEPTH_MAX);
	if (task_is_cancelled(checkout->job->task) && checkout->job->state != RUN_CANCELLED)
		return fail(error, ASSAY_ERROR_BUSY, "it was cancelled");
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
		const char *name = git_tree_entry_name(entry);
		g_autofree char *path = g_strconcat(prefix, name, NULL);
		if (!git_name_is_safe(name))
			return fail(error, ASSAY_ERROR_USER, "%s: the commit has a name that git does not allow", path);
		git_object_t type = git_tree_entry_type(entry);
		if (type == GIT_OBJECT_BLOB) {
			if (!write_file(checkout, entry, folder_fd, path, error))
				return false;
			add_to_index(checkout, path, entry, folder_fd);
			continue;
		}
		autofd int inner_fd = tree_make_folder(folder_fd, name, checkout->job->owner, error);
		if (inner_fd < 0)
			return false;
		if (type == GIT_OBJECT_COMMIT) { /* a submodule: its folder, empty */
			add_to_index(checkout, path, entry, folder_fd);
			continue;
		}
		g_autoptr(git_tree) inner = NULL;
		int code = git_tree_lookup(&inner, checkout->mirror, git_tree_entry_id(entry));
		if (code < 0)
			return git_fail(error, code, "cannot read %s", path);
		g_autofree char *below = g_strconcat(path, "/", NULL);
		if (!write_tree(checkout, inner, inner_fd, below, depth + 1, error))
			return false;
	}
	return true;
}

static int find_attributes(const char *root, const git_tree_entry *entry, void *data)
{
	(void)root;
	if (strcmp(git_tree_entry_name(entry), ".gitattributes") != 0)
		return 0;
	*(bool *)data = true;
	return -1; /* enough */
}

/* What the step wants as a commit of the mirror. */
static bool find_commit(Checkout *checkout, const CheckoutSpec *spec, GError **error)
{
	Task *task = checkout->job->task;
	const json_t *github = json_object_get(checkout->job->contexts, "github");
	const char *sha = json_get_string(github, "sha", NULL);
	const char *ref = json_get_string(github, "ref", NULL);
	MirrorWish wish = {.sha = sha, .ref = ref};
	git_oid id;
	if (spec->ref) {
		bool is_sha = strlen(spec->ref) == GIT_OID_HEXSZ && git_oid_fromstr(&id, spec->ref) == 0;
		wish = is_sha ? (MirrorWish){.sha = spec->ref} : (MirrorWish){.ref = spec->ref};
	}
	checkout->mirror = mirror_open(task, wish, &checkout->commit, &checkout->ref, error);
	if (checkout->mirror && !spec->ref && ref && g_str_has_prefix(ref, "refs/"))
		checkout->ref = g_strdup(ref);
	return checkout->mirror != NULL;
}

static bool fill(Checkout *checkout, const CheckoutSpec *spec, const char *git_folder, int target_fd, GError **error)
{
	int code = git_repository_init(&checkout->repo, git_folder, 1);
	g_autoptr(git_config) config = NULL;
	if (code == 0)
		code = git_repository_config(&config, checkout->repo);
	if (code == 0)
		code = git_config_set_bool(config, "core.bare", 0);
	if (code < 0)
		return git_fail(error, code, "cannot make .git");
	if (!make_objects(checkout, git_folder, spec, error) || !make_refs(checkout, error))
		return false;
	g_autofree char *index = g_build_filename(git_folder, "index", NULL);
	g_autoptr(git_commit) commit = NULL;
	g_autoptr(git_tree) tree = NULL;
	code = git_index_open(&checkout->index, index);
	if (code == 0)
		code = git_commit_lookup(&commit, checkout->mirror, &checkout->commit);
	if (code == 0)
		code = git_commit_tree(&tree, commit);
	if (code < 0)
		return git_fail(error, code, "cannot read the commit");
	git_tree_walk(tree, GIT_TREEWALK_PRE, find_attributes, &checkout->attributes);
	if (!write_tree(checkout, tree, target_fd, "", 0, error))
		return false;
	code = git_index_write(checkout->index);
	return code >= 0 || git_fail(error, code, "cannot write the index");
}

static void free_checkout(Checkout *checkout)
{
	git_index_free(checkout->index);
	git_repository_free(checkout->repo);
	git_repository_free(checkout->mirror);
	g_free(checkout->ref);
}

static bool checkout_local(Job *job, const CheckoutSpec *spec, int target_fd, GError **error)
{
	if (!spec->path) {
		joblog_say(job->log, "", "The workspace already holds the working tree.");
		return true;
	}
	const char *local = json_get_string(job->spec, "local", "");
	autofd int from = open(local, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return fail_errno(error, errno, "cannot open %s", local);
	return tree_copy(from, target_fd, json_get_string(job->spec, "data", NULL), job->owner, error);
}

bool checkout_run(Job *job, const CheckoutSpec *spec, GError **error)
{
	g_autofree char *target = spec->path ? g_strconcat(job->workspace, "/", spec->path, NULL) : g_strdup(job->workspace);
	autofd int target_fd = tree_make_folder(job->work_fd, target, job->owner, error);
	if (target_fd < 0)
		return false;
	if (json_get_string(job->spec, "local", NULL))
		return checkout_local(job, spec, target_fd, error);
	Checkout checkout = {.job = job};
	bool good = find_commit(&checkout, spec, error);
	if (good && spec->clean)
		good = tree_empty(target_fd, NULL, error);
	g_autofree char *stage = g_build_filename(job->task->folder, STAGE, NULL);
	good = good && tree_remove(job->task->folder_fd, STAGE, error) && fill(&checkout, spec, stage, target_fd, error);
	/* The mode and the owner are set where no step can be in between. */
	if (good && chmod(stage, 0755) < 0)
		good = fail_errno(error, errno, "cannot open up .git");
	good = good && tree_give(job->task->folder_fd, STAGE, job->owner, error) && tree_remove(target_fd, ".git", error);
	if (good && renameat(job->task->folder_fd, STAGE, target_fd, ".git") < 0)
		good = fail_errno(error, errno, "cannot move .git into the workspace");
	if (good) {
		const char *sha = git_oid_tostr_s(&checkout.commit);
		json_set_string(job->step_outputs, "commit", sha);
		json_set_string(job->step_outputs, "ref", checkout.ref ? checkout.ref : sha);
		joblog_sayf(job->log, "", "Checked out %s%s%s: %" G_GINT64_FORMAT " files", sha,
		        checkout.ref ? " of " : "", checkout.ref ? checkout.ref : "", checkout.files);
	}
	free_checkout(&checkout);
	if (!good)
		tree_remove(job->task->folder_fd, STAGE, NULL);
	return good;
}
