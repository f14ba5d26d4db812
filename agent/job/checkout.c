/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkout. The .git folder is made in the task's own folder, where no step can reach, and moved into the workspace in
 * one rename; files are written by tree.c's rules, so that no link that an earlier step left leads a root worker
 * astray. Objects come as one pack: the mirror is outside of what steps see, so the clone cannot borrow from it.
 *
 * .gitattributes' conversions are applied as git would. Submodules are checked out in the same way, each from a mirror of
 * its own, with their .git folders in the superproject's; what .gitmodules says is not believed (submodules.c).
 */
#include "agent/job/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/git.h"
#include "agent/job/lfs.h"
#include "agent/job/mirror.h"
#include "agent/job/sparse.h"
#include "agent/job/submodules.h"

#define DEPTH_MAX 256
#define STAGE "checkout"
#define SUBMODULE_LEVELS_MAX 20
#define MODULES_BYTES_MAX (1024 * 1024)
#define LFS_BUFFER_BYTES (256 * 1024)
#define LFS_AGE_S 10

typedef struct Checkout {
	Job *job;
	git_repository *mirror;
	git_repository *repo;  /* the new one */
	git_index *index;
	git_oid commit;
	char *ref;             /* full name of what was asked for, or NULL for a commit */
	bool attributes;       /* there are .gitattributes somewhere */
	int64_t files;
	const CheckoutSpec *spec;
	const char *url;       /* of the remote */
	const char *git_folder;
	const Sparse *sparse;  /* NULL: everything is written */
	int level;             /* of submodules */
	char *inside;          /* of one: its path from the outermost workspace, and its .git's from there */
	char *git_inside;
	GPtrArray *modules;    /* Submodule *: of .gitmodules */
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
	g_autoptr(git_remote) origin = NULL;
	g_autoptr(git_reference) ref = NULL;
	int code = git_remote_create(&origin, checkout->repo, "origin", checkout->url);
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
	if (folder_fd >= 0)
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
	if (folder_fd < 0) /* a sparse checkout leaves it out */
		row.flags_extended = GIT_INDEX_ENTRY_SKIP_WORKTREE;
	git_index_add(checkout->index, &row);
}

/* Only what .gitattributes gives to LFS is a pointer; the same text elsewhere is a text. */
static bool is_for_lfs(Checkout *checkout, const char *path)
{
	git_attr_options options = {.version = GIT_ATTR_OPTIONS_VERSION, .flags = GIT_ATTR_CHECK_INCLUDE_COMMIT,
	        .attr_commit_id = checkout->commit};
	const char *filter = NULL;
	return checkout->attributes && git_attr_get_ext(&filter, checkout->repo, &options, path, "filter") == 0 &&
	       git_attr_value(filter) == GIT_ATTR_VALUE_STRING && strcmp(filter, "lfs") == 0;
}

/* Where an object's bytes go: into the file, and to where git-lfs keeps it. */
typedef struct LfsSink {
	const char *path;
	int fd, kept;
	Hash *hash;
} LfsSink;

static bool sink_piece(const void *bytes, size_t len, void *data, GError **error)
{
	const LfsSink *sink = data;
	hash_update(sink->hash, bytes, len);
	return fd_write_all(sink->fd, bytes, len, sink->path, error) && fd_write_all(sink->kept, bytes, len, sink->path, error);
}

static bool copy_lfs(Checkout *checkout, const char *local, const char *oid, int64_t size, LfsSink *sink, GError **error)
{
	static const char *const folders[] = {"lfs/objects", ".git/lfs/objects"};
	autofd int from = -1;
	for (size_t i = 0; from < 0 && i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *object = g_strdup_printf("%s/%s/%.2s/%.2s/%s", local, folders[i], oid, oid + 2, oid);
		from = open(object, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	struct stat info;
	if (from < 0 || fstat(from, &info) < 0 || !S_ISREG(info.st_mode) || info.st_size != size)
		return fail(error, ASSAY_ERROR_ABSENT, "%s: the remote %s has no Git LFS object %s of %" G_GINT64_FORMAT " bytes", sink->path,
		            checkout->url, oid, size);
	g_autofree char *buffer = g_malloc(LFS_BUFFER_BYTES);
	for (ssize_t got; (got = read(from, buffer, LFS_BUFFER_BYTES)) != 0;)
		if (got < 0)
			return fail_errno(error, errno, "cannot read an object of Git LFS");
		else if (!sink_piece(buffer, (size_t)got, sink, error))
			return false;
	return true;
}

static bool is_cancelled(void *data)
{
	return task_is_cancelled(data);
}

/* The repo's own credentials for its own remote; the step's for a repository beside it; none for submodules. */
static bool fetch_lfs(Checkout *checkout, const char *oid, int64_t size, LfsSink *sink, GError **error)
{
	Task *task = checkout->job->task;
	const json_t *repo = task_repo(task);
	LfsRemote remote = {.url = checkout->url, .user = "x-access-token", .stopped = is_cancelled, .stopped_data = task};
	if (strcmp(checkout->url, json_get_string(repo, "url", "")) == 0) {
		remote.user = json_get_string(repo, "user", remote.user);
		remote.token = task->token;
	} else if (checkout->level == 0 && checkout->spec->repository) {
		g_autofree char *host = mirror_host(checkout->url);
		g_autofree char *own_host = mirror_host(json_get_string(repo, "url", ""));
		remote.token = g_strcmp0(host, own_host) == 0 ? checkout->spec->with.token : NULL;
	}
	if (lfs_fetch(&remote, oid, size, sink_piece, sink, error))
		return true;
	g_prefix_error(error, "%s: Git LFS object %s of %" G_GINT64_FORMAT " bytes: ", sink->path, oid, size);
	return false;
}

/* An object of LFS: of a local remote from where git-lfs keeps it there. Its digest is its name, and is checked. */
static bool write_lfs(Checkout *checkout, const char *oid, int64_t size, const char *path, int fd, GError **error)
{
	g_autofree char *local = mirror_local_path(checkout->url);
	if (!local && !lfs_is_http(checkout->url))
		return fail(error, ASSAY_ERROR_REMOTE, "%s: an object of Git LFS on %s; those of local remotes and of remotes over HTTP can "
		            "be had here, for others do it with 'git lfs pull' in a 'run' step", path, checkout->url);
	g_autofree char *keep_folder = g_strdup_printf("%s/lfs/objects/%.2s/%.2s", checkout->git_folder, oid, oid + 2);
	g_autofree char *keep = g_build_filename(keep_folder, oid, NULL);
	if (!fd_make_folder(keep_folder, 0755, error))
		return false;
	autofd int kept = open(keep, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (kept < 0)
		return fail_errno(error, errno, "cannot keep an object of Git LFS");
	g_autoptr(Hash) hash = hash_new();
	LfsSink sink = {.path = path, .fd = fd, .kept = kept, .hash = hash};
	if (!(local ? copy_lfs(checkout, local, oid, size, &sink, error) : fetch_lfs(checkout, oid, size, &sink, error)))
		return false;
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_final(hash, digest);
	hex_write(digest, sizeof digest, hex);
	/* Older than the index, or git would read it again and find that it is no pointer. */
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - LFS_AGE_S}};
	futimens(fd, times);
	return strcmp(hex, oid) == 0 ||
	       fail(error, ASSAY_ERROR_REMOTE, "%s: the bytes of Git LFS object %s have another digest", path, oid);
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
	char oid[HASH_HEX_BYTES];
	int64_t size = 0;
	if (fd >= 0 && checkout->spec->lfs &&
	        lfs_read_pointer(git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob), oid, &size) &&
	        is_for_lfs(checkout, path))
		return write_lfs(checkout, oid, size, path, fd, error);
	return fd >= 0 && write_blob(checkout, blob, path, fd, error);
}

static bool write_submodule(Checkout *checkout, const char *path, const git_oid *id, int folder_fd, GError **error);
static bool write_subtree(Checkout *checkout, const git_tree_entry *entry, int folder_fd, const char *below, int depth,
        GError **error);

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
		if (type != GIT_OBJECT_TREE && checkout->sparse && !sparse_wants(checkout->sparse, path)) {
			add_to_index(checkout, path, entry, -1);
			continue;
		}
		if (type == GIT_OBJECT_TREE && checkout->sparse) { /* its folder appears with the first file in it */
			g_autofree char *below = g_strconcat(path, "/", NULL);
			if (!write_subtree(checkout, entry, folder_fd, below, depth, error))
				return false;
			continue;
		}
		if (type == GIT_OBJECT_BLOB) {
			if (!write_file(checkout, entry, folder_fd, path, error))
				return false;
			add_to_index(checkout, path, entry, folder_fd);
			continue;
		}
		autofd int inner_fd = tree_make_folder(folder_fd, name, checkout->job->owner, error);
		if (inner_fd < 0)
			return false;
		if (type == GIT_OBJECT_COMMIT) { /* a submodule: its folder, empty unless it is wanted */
			if (checkout->spec->submodules > checkout->level &&
			        !write_submodule(checkout, path, git_tree_entry_id(entry), inner_fd, error))
				return false;
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

/* Does a sparse checkout want a file of this tree, at any depth? */
static bool has_wanted(Checkout *checkout, const git_tree *tree, const char *prefix, int depth)
{
	for (size_t i = 0; depth <= DEPTH_MAX && i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
		g_autofree char *path = g_strconcat(prefix, git_tree_entry_name(entry), NULL);
		if (git_tree_entry_type(entry) != GIT_OBJECT_TREE) {
			if (sparse_wants(checkout->sparse, path))
				return true;
			continue;
		}
		g_autofree char *below = g_strconcat(path, "/", NULL);
		g_autoptr(git_tree) inner = NULL;
		if (git_tree_lookup(&inner, checkout->mirror, git_tree_entry_id(entry)) == 0 &&
		        has_wanted(checkout, inner, below, depth + 1))
			return true;
	}
	return false;
}

/* A folder of a sparse checkout: made only when a file in it is wanted; the index knows all of them. */
static bool write_subtree(Checkout *checkout, const git_tree_entry *entry, int folder_fd, const char *below, int depth,
        GError **error)
{
	g_autoptr(git_tree) inner = NULL;
	int code = git_tree_lookup(&inner, checkout->mirror, git_tree_entry_id(entry));
	if (code < 0)
		return git_fail(error, code, "cannot read %s", below);
	if (!has_wanted(checkout, inner, below, depth))
		return write_tree(checkout, inner, -1, below, depth + 1, error);
	autofd int inner_fd = tree_make_folder(folder_fd, git_tree_entry_name(entry), checkout->job->owner, error);
	return inner_fd >= 0 && write_tree(checkout, inner, inner_fd, below, depth + 1, error);
}

static int find_attributes(const char *root, const git_tree_entry *entry, void *data)
{
	(void)root;
	if (strcmp(git_tree_entry_name(entry), ".gitattributes") != 0)
		return 0;
	*(bool *)data = true;
	return -1; /* enough */
}

/* Another repository: one that the agent serves, or one beside the job's own on the same server. */
static git_repository *open_other(Checkout *checkout, MirrorWish wish, char **out_url, GError **error)
{
	Task *task = checkout->job->task;
	const char *name = checkout->spec->repository;
	const json_t *known = json_object_get(json_object_get(task->spec, "actions"), "repos");
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)known, key, value) {
		if (g_ascii_strcasecmp(key, name) != 0 || !json_is_string(value))
			continue;
		g_autofree char *notice = NULL;
		*out_url = g_strdup(json_string_value(value));
		git_repository *repo = mirror_open_other(task, key, *out_url, wish, &checkout->commit, &notice, error);
		if (notice)
			joblog_say(checkout->job->log, "##[notice]", notice);
		return repo;
	}
	const char *own = json_get_string(task_repo(task), "url", "");
	g_autofree char *host = mirror_host(own);
	const char *scheme = strstr(own, "://");
	const char *slash = strchr(name, '/');
	if (!host || !slash || !slash[1] || !git_name_is_safe(slash + 1) || strchr(slash + 1, '/') || strpbrk(name, " ?#%:@\\")) {
		fail(error, ASSAY_ERROR_ABSENT, "actions/checkout: this agent knows no repo '%s' that this job may have, and %s is on no "
		     "server where it could be; 'assay repo add' makes it known", name, task_repo_name(task));
		return NULL;
	}
	const char *rest = scheme ? strchr(scheme + 3, '/') : strchr(own, ':');
	*out_url = g_strdup_printf("%.*s%s.git", (int)(rest ? rest - own + 1 : 0), own, name);
	MirrorSource source = checkout->spec->with;
	source.url = *out_url;
	return mirror_open_source(task, &source, wish, &checkout->commit, &checkout->ref, error);
}

/* What the step wants as a commit of the mirror. */
static bool find_commit(Checkout *checkout, const CheckoutSpec *spec, char **out_url, GError **error)
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
	} else if (spec->repository) {
		wish = (MirrorWish){.sha = NULL};
	}
	if (spec->repository) {
		checkout->mirror = open_other(checkout, wish, out_url, error);
		return checkout->mirror != NULL;
	}
	*out_url = g_strdup(json_get_string(task_repo(task), "url", ""));
	checkout->mirror = mirror_open(task, wish, &checkout->commit, &checkout->ref, error);
	if (checkout->mirror && !spec->ref && ref && g_str_has_prefix(ref, "refs/"))
		checkout->ref = g_strdup(ref);
	return checkout->mirror != NULL;
}

static bool read_modules(Checkout *checkout, const git_tree *tree, GError **error)
{
	const git_tree_entry *entry = git_tree_entry_byname(tree, ".gitmodules");
	g_autoptr(git_blob) blob = NULL;
	if (entry && git_tree_entry_type(entry) == GIT_OBJECT_BLOB && git_tree_entry_filemode(entry) != GIT_FILEMODE_LINK &&
	        git_blob_lookup(&blob, checkout->mirror, git_tree_entry_id(entry)) == 0) {
		if (git_blob_rawsize(blob) > MODULES_BYTES_MAX)
			return fail(error, ASSAY_ERROR_USER, ".gitmodules has more than %d bytes", MODULES_BYTES_MAX);
		checkout->modules = submodules_read(git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
	}
	return true;
}

static bool fill(Checkout *checkout, const CheckoutSpec *spec, const char *git_folder, int target_fd, GError **error);
static void free_checkout(Checkout *checkout);

static char *upwards(const char *path, int more)
{
	GString *up = g_string_new(NULL);
	for (const char *at = path; at; at = strchr(at + 1, '/'))
		more++;
	while (more-- > 0)
		g_string_append(up, "../");
	return g_string_free(up, FALSE);
}

/* The file .git of a submodule, and the way back: both relative, so that the job may move it all. */
static bool link_module(const Checkout *inner, int folder_fd, GError **error)
{
	g_autofree char *up = upwards(inner->inside, 0);
	g_autofree char *text = g_strdup_printf("gitdir: %s.git/%s\n", up, inner->git_inside);
	g_autofree char *back = upwards(inner->git_inside, 1);
	g_autofree char *worktree = g_strconcat(back, inner->inside, NULL);
	g_autoptr(git_config) config = NULL;
	int code = git_repository_config(&config, inner->repo);
	if (code == 0)
		code = git_config_set_string(config, "core.worktree", worktree);
	if (code < 0)
		return git_fail(error, code, "cannot set up its .git");
	return tree_write_file(folder_fd, ".git", text, strlen(text), 0644, inner->job->owner, error);
}

static bool write_submodule(Checkout *checkout, const char *path, const git_oid *id, int folder_fd, GError **error)
{
	const Submodule *module = NULL;
	Job *job = checkout->job;
	for (guint i = 0; checkout->modules && i < checkout->modules->len; i++)
		if (strcmp(((const Submodule *)checkout->modules->pdata[i])->path, path) == 0)
			module = checkout->modules->pdata[i];
	if (!module)
		return fail(error, ASSAY_ERROR_USER, "submodule %s: .gitmodules says nothing of it, or nothing that can be used", path);
	if (checkout->level >= SUBMODULE_LEVELS_MAX)
		return fail(error, ASSAY_ERROR_USER, "submodule %s: submodules nested deeper than %d", path, SUBMODULE_LEVELS_MAX);
	g_autofree char *url = submodules_address(checkout->url, module->url, error);
	g_autofree char *local = url ? mirror_local_path(url) : NULL;
	if (local && json_get_bool(job->spec, "untrusted", false))
		return fail(error, ASSAY_ERROR_DENIED, "submodule %s: local repositories are not for runs of forks", path);
	g_autofree char *host = url ? mirror_host(url) : NULL;
	g_autofree char *own_host = mirror_host(checkout->url);
	MirrorSource source = g_strcmp0(host, own_host) == 0 ? checkout->spec->with : (MirrorSource){.url = NULL};
	source.url = url;
	Checkout inner = {.job = job, .spec = checkout->spec, .url = url, .level = checkout->level + 1};
	MirrorWish wish = {.sha = git_oid_tostr_s(id)};
	g_autofree char *sha = g_strdup(wish.sha);
	wish.sha = sha;
	if (url)
		inner.mirror = mirror_open_source(job->task, &source, wish, &inner.commit, NULL, error);
	g_autofree char *git_folder = g_build_filename(checkout->git_folder, "modules", module->name, NULL);
	CheckoutSpec spec = *checkout->spec;
	spec.sparse = NULL;
	if (spec.submodules == 1)
		spec.submodules = 0;
	inner.spec = &spec;
	inner.inside = checkout->inside ? g_strconcat(checkout->inside, "/", path, NULL) : g_strdup(path);
	inner.git_inside = g_strconcat(checkout->git_inside ? checkout->git_inside : "", checkout->git_inside ? "/" : "", "modules/",
	        module->name, NULL);
	bool good = inner.mirror && fd_make_folder(git_folder, 0755, error) && fill(&inner, &spec, git_folder, folder_fd, error) &&
	            link_module(&inner, folder_fd, error);
	checkout->files += inner.files;
	free_checkout(&inner);
	if (!good) {
		g_prefix_error(error, "submodule %s: ", path);
		return false;
	}
	g_autoptr(git_config) config = NULL;
	if (git_repository_config(&config, checkout->repo) == 0) {
		g_autofree char *key = g_strdup_printf("submodule.%s.url", module->name);
		g_autofree char *active = g_strdup_printf("submodule.%s.active", module->name);
		git_config_set_string(config, key, url);
		git_config_set_bool(config, active, 1);
	}
	joblog_sayf(job->log, "", "Submodule %s: %s", path, sha);
	return true;
}

static bool fill(Checkout *checkout, const CheckoutSpec *spec, const char *git_folder, int target_fd, GError **error)
{
	int code = git_repository_init(&checkout->repo, git_folder, 1);
	g_autoptr(git_config) config = NULL;
	if (code == 0)
		code = git_repository_config(&config, checkout->repo);
	if (code == 0)
		code = git_config_set_bool(config, "core.bare", 0);
	/* The index has the user's number of this side; inside it is another, and git would read every file again. */
	if (code == 0)
		code = git_config_set_string(config, "core.checkStat", "minimal");
	if (code == 0 && checkout->sparse) {
		git_config_set_bool(config, "core.sparseCheckout", 1);
		git_config_set_bool(config, "core.sparseCheckoutCone", spec->cone);
		g_autofree char *file = g_build_filename(git_folder, "info", "sparse-checkout", NULL);
		g_autofree char *folder = g_path_get_dirname(file);
		const char *text = sparse_text(checkout->sparse);
		if (!fd_make_folder(folder, 0755, error) || !fd_replace_file(file, text, strlen(text), 0644, false, error))
			return false;
	}
	if (code < 0)
		return git_fail(error, code, "cannot make .git");
	checkout->git_folder = git_folder;
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
	if (spec->submodules > checkout->level && !read_modules(checkout, tree, error))
		return false;
	if (!write_tree(checkout, tree, target_fd, "", 0, error))
		return false;
	code = git_index_write(checkout->index);
	return code >= 0 || git_fail(error, code, "cannot write the index");
}

static void free_checkout(Checkout *checkout)
{
	if (checkout->modules)
		g_ptr_array_unref(checkout->modules);
	g_free(checkout->inside);
	g_free(checkout->git_inside);
	g_clear_pointer(&checkout->index, git_index_free);
	g_clear_pointer(&checkout->repo, git_repository_free);
	g_clear_pointer(&checkout->mirror, git_repository_free);
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

/* For the job's own git, as the original does it: a header for this server and no other. */
static void keep_token(const Checkout *checkout, const char *token)
{
	g_autofree char *host = mirror_host(checkout->url);
	const char *scheme = strstr(checkout->url, "://");
	const char *slash = scheme ? strchr(scheme + 3, '/') : NULL;
	if (!token || !host || !slash || !g_str_has_prefix(checkout->url, "http"))
		return;
	g_autofree char *key = g_strdup_printf("http.%.*s.extraheader", (int)(slash - checkout->url + 1), checkout->url);
	g_autofree char *pair = g_strconcat("x-access-token:", token, NULL);
	g_autofree char *coded = g_base64_encode((const guchar *)pair, strlen(pair));
	g_autofree char *header = g_strconcat("AUTHORIZATION: basic ", coded, NULL);
	mask_add(checkout->job->task->mask, coded, strlen(coded));
	g_autoptr(git_config) config = NULL;
	if (git_repository_config(&config, checkout->repo) == 0)
		git_config_set_string(config, key, header);
}

bool checkout_run(Job *job, const CheckoutSpec *spec, GError **error)
{
	g_autofree char *target = spec->path ? g_strconcat(job->workspace, "/", spec->path, NULL) : g_strdup(job->workspace);
	autofd int target_fd = tree_make_folder(job->work_fd, target, job->owner, error);
	if (target_fd < 0)
		return false;
	if (json_get_string(job->spec, "local", NULL))
		return checkout_local(job, spec, target_fd, error);
	g_autofree char *url = NULL;
	g_autoptr(Sparse) sparse = spec->sparse ? sparse_new(spec->sparse, spec->cone, error) : NULL;
	if (spec->sparse && !sparse)
		return false;
	Checkout checkout = {.job = job, .spec = spec, .sparse = sparse};
	bool good = find_commit(&checkout, spec, &url, error);
	checkout.url = url;
	if (good && spec->clean)
		good = tree_empty(target_fd, NULL, error);
	g_autofree char *stage = g_build_filename(job->task->folder, STAGE, NULL);
	good = good && tree_remove(job->task->folder_fd, STAGE, error) && fill(&checkout, spec, stage, target_fd, error);
	if (good && spec->persist)
		keep_token(&checkout, spec->with.token);
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
