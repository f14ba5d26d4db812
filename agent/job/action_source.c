/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache is one bare repository for each owner/repo. Objects in it are named by their content, so whoever fetched a
 * commit, a stranger's run too, cannot change what it is; what a tag meant is kept apart for each address
 * (refs/sources/<address>/…), written only with what that address answered, and used only when it does not answer.
 * Only branches and tags are fetched: a commit that is in nobody's branch, as the fork network of a forge has them, is
 * not found.
 */
#include "agent/job/action_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/git.h"
#include "agent/job/mirror.h"

#define FETCH_BYTES_MAX (1024LL * 1024 * 1024)
#define FILES_MAX 200000
#define FILES_BYTES_MAX (4LL * 1024 * 1024 * 1024)
#define DEPTH_MAX 128
#define NAME_BYTES_MAX 100
#define REF_BYTES_MAX 250
#define SPACE_HEX 16
#define REFS_SHOWN 6

struct ActionSource {
	Task *task;
	git_repository *repo;
	git_tree *tree;
	char sha[GIT_OID_HEXSZ + 1];
	char *name;
	char *notice;
};

/* One address being asked. */
typedef struct Search {
	Task *task;
	const char *name;  /* owner/repo */
	const char *ref;
	bool is_commit;    /* ref is 40 hex digits */
	git_oid commit;    /* then */
	char *url;
	char *path;        /* of the cache */
	char *space;       /* "refs/sources/<address>/" */
	bool too_large;
} Search;

/* What an address answered. */
typedef enum Answer { ANSWER_FOUND, ANSWER_NO_REPO, ANSWER_NO_REF, ANSWER_UNREACHABLE, ANSWER_FAILED } Answer;

/* Names */

static bool is_name(const char *text, size_t len)
{
	if (len == 0 || len > NAME_BYTES_MAX || text[0] == '.' || text[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isalnum(text[i]) && !strchr("._-", text[i]))
			return false;
	return true;
}

static bool is_folder(const char *folder)
{
	g_auto(GStrv) parts = g_strsplit(folder, "/", -1);
	for (char **part = parts; *part; part++)
		if (!git_name_is_safe(*part))
			return false;
	return true;
}

/* What git takes for the name of a branch or tag. libgit2 says so too, but only after its start. */
static bool is_ref(const char *ref)
{
	size_t len = strlen(ref);
	if (len == 0 || len > REF_BYTES_MAX || ref[0] == '-' || strcmp(ref, "@") == 0 || strstr(ref, "..") || strstr(ref, "@{") ||
	        strpbrk(ref, " ~^:?*[\\\177") || ref[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)ref[i] < ' ')
			return false;
	g_auto(GStrv) parts = g_strsplit(ref, "/", -1);
	for (char **part = parts; *part; part++)
		if (!(*part)[0] || (*part)[0] == '.' || g_str_has_suffix(*part, ".lock"))
			return false;
	return true;
}

bool action_name_parse(const char *uses, ActionName *out, GError **error)
{
	const char *at = strrchr(uses, '@');
	const char *slash = strchr(uses, '/');
	if (!at || !slash || slash > at)
		return fail(error, ASSAY_ERROR_USER, "%s: expected owner/repo@ref, owner/repo/path@ref or ./path", uses);
	const char *end = memchr(slash + 1, '/', (size_t)(at - slash - 1));
	const char *repo_end = end ? end : at;
	g_autofree char *repo = g_strndup(uses, (size_t)(repo_end - uses));
	g_autofree char *folder = end ? g_strndup(end + 1, (size_t)(at - end - 1)) : g_strdup("");
	while (g_str_has_suffix(folder, "/"))
		folder[strlen(folder) - 1] = '\0';
	if (!is_name(uses, (size_t)(slash - uses)) || !is_name(slash + 1, (size_t)(repo_end - slash - 1)))
		return fail(error, ASSAY_ERROR_USER, "%s: '%s' is no owner/repo", uses, repo);
	if (folder[0] && !is_folder(folder))
		return fail(error, ASSAY_ERROR_USER, "%s: '%s' is no folder of a repository", uses, folder);
	if (!at[1] || !is_ref(at + 1))
		return fail(error, ASSAY_ERROR_USER, "%s: '%s' is no name of a branch, tag or commit", uses, at + 1);
	*out = (ActionName){.repo = g_steal_pointer(&repo), .folder = g_steal_pointer(&folder), .ref = g_strdup(at + 1)};
	return true;
}

void action_name_clear(ActionName *name)
{
	g_free(name->repo);
	g_free(name->folder);
	g_free(name->ref);
	*name = (ActionName){.repo = NULL};
}

/* Asking an address */

static int no_credential(git_credential **out, const char *url, const char *user, unsigned int allowed, void *data)
{
	(void)out, (void)url, (void)user, (void)allowed, (void)data;
	return GIT_EAUTH; /* the token of one forge is not shown to another address */
}

static int watch_transfer(const git_indexer_progress *progress, void *data)
{
	Search *search = data;
	search->too_large = progress->received_bytes > FETCH_BYTES_MAX;
	return search->too_large || task_is_cancelled(search->task) ? GIT_EUSER : 0;
}

static git_fetch_options fetch_options(Search *search)
{
	git_fetch_options options;
	git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
	options.callbacks.credentials = no_credential;
	options.callbacks.transfer_progress = watch_transfer;
	options.callbacks.payload = search;
	options.update_fetchhead = 0;
	options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	options.proxy_opts.type = GIT_PROXY_AUTO;
	return options;
}

/* "It has no such repository" is another thing than "it cannot be reached": only then the next address is asked. */
static Answer answer_of(int code)
{
	static const char *const absent[] = {"404", "not found", "does not exist", "resolve path", "not appear to be a git"};
	const git_error *last = git_error_last();
	if (code == GIT_ENOTFOUND || code == GIT_EAUTH)
		return ANSWER_NO_REPO;
	for (size_t i = 0; last && last->message && i < G_N_ELEMENTS(absent); i++) {
		g_autofree char *message = g_ascii_strdown(last->message, -1);
		if (strstr(message, absent[i]))
			return ANSWER_NO_REPO;
	}
	return ANSWER_UNREACHABLE;
}

/* The refs that a name may mean, in git's order. */
static char **candidates(const char *ref)
{
	if (g_str_has_prefix(ref, "refs/tags/") || g_str_has_prefix(ref, "refs/heads/"))
		return g_strsplit(ref, "\n", 1);
	char **names = g_new0(char *, 3);
	names[0] = g_strconcat("refs/tags/", ref, NULL);
	names[1] = g_strconcat("refs/heads/", ref, NULL);
	return names;
}

/* A ref of the address as it is kept: "refs/sources/<address>/tags/v1". */
static char *kept_name(const Search *search, const char *full)
{
	return g_strconcat(search->space, full + strlen("refs/"), NULL);
}

static bool peel(git_repository *repo, const git_oid *id, git_oid *out)
{
	g_autoptr(git_object) object = NULL;
	g_autoptr(git_object) commit = NULL;
	if (git_object_lookup(&object, repo, id, GIT_OBJECT_ANY) < 0 ||
	        git_object_peel(&commit, object, GIT_OBJECT_COMMIT) < 0)
		return false;
	*out = *git_object_id(commit);
	return true;
}

static int lock(const char *cache, GError **error)
{
	g_autofree char *path = g_strconcat(cache, ".lock", NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	if (!fd_make_folder(folder, 0700, error))
		return -1;
	autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		fail_errno(error, errno, "cannot open %s", path);
		return -1;
	}
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			fail_errno(error, errno, "cannot lock %s", path);
			return -1;
		}
	return fd_steal(&fd);
}

static bool open_cache(const Search *search, git_repository **out, GError **error)
{
	int code = git_repository_open_bare(out, search->path);
	if (code < 0)
		code = git_repository_init(out, search->path, 1);
	return code >= 0 || git_fail(error, code, "cannot make %s", search->path);
}

/* What is wanted of what the address has: the refs to fetch, and which of them decides. */
typedef struct Wish {
	char *full;        /* the ref that decides; NULL for a commit */
	git_oid tip;
	bool ambiguous;    /* a tag and a branch of this name, and they differ */
	GPtrArray *specs;
	GString *there;    /* some names, for a person */
	char *longer;      /* the commit that a short one may mean */
} Wish;

static void wish_clear(Wish *wish)
{
	g_free(wish->full);
	g_free(wish->longer);
	g_ptr_array_unref(wish->specs);
	g_string_free(wish->there, TRUE);
}

static void add_spec(const Search *search, Wish *wish, const char *full)
{
	g_autofree char *kept = kept_name(search, full);
	g_ptr_array_add(wish->specs, g_strdup_printf("+%s:%s", full, kept));
}

static void note_name(Wish *wish, const char *full, int *shown)
{
	if (g_str_has_suffix(full, "^{}") || (*shown)++ >= REFS_SHOWN)
		return;
	const char *name = full + (g_str_has_prefix(full, "refs/tags/") ? strlen("refs/tags/") : strlen("refs/heads/"));
	g_string_append_printf(wish->there, "%s%s", wish->there->len ? ", " : "", name);
}

static void read_refs(const Search *search, git_remote *remote, Wish *wish)
{
	const git_remote_head **heads = NULL;
	size_t count = 0;
	int shown = 0;
	wish->specs = g_ptr_array_new_with_free_func(g_free);
	wish->there = g_string_new(NULL);
	if (git_remote_ls(&heads, &count, remote) < 0)
		return;
	g_auto(GStrv) names = candidates(search->ref);
	for (char **name = names; *name; name++)
		for (size_t i = 0; i < count; i++) {
			if (strcmp(heads[i]->name, *name) != 0)
				continue;
			if (wish->full) {
				wish->ambiguous = !git_oid_equal(&wish->tip, &heads[i]->oid);
				continue;
			}
			wish->full = g_strdup(*name);
			wish->tip = heads[i]->oid;
			add_spec(search, wish, *name);
		}
	for (size_t i = count; i > 0; i--) { /* the newest tags come last */
		const git_remote_head *head = heads[i - 1];
		if (!g_str_has_prefix(head->name, "refs/tags/") && !g_str_has_prefix(head->name, "refs/heads/"))
			continue;
		note_name(wish, head->name, &shown);
		const char *hex = git_oid_tostr_s(&head->oid);
		if (strlen(search->ref) >= 7 && g_str_has_prefix(hex, search->ref) && !wish->longer)
			wish->longer = g_strdup(hex);
		if (search->is_commit && git_oid_equal(&head->oid, &search->commit) && wish->specs->len == 0 &&
		        !g_str_has_suffix(head->name, "^{}"))
			add_spec(search, wish, head->name);
	}
	if (search->is_commit && wish->specs->len == 0) {
		g_ptr_array_add(wish->specs, g_strdup_printf("+refs/heads/*:%sheads/*", search->space));
		g_ptr_array_add(wish->specs, g_strdup_printf("+refs/tags/*:%stags/*", search->space));
	}
}

static Answer say_failure(const Search *search, int code, GError **error)
{
	if (search->too_large) {
		fail(error, ASSAY_ERROR_USER, "%s has more than %lld MiB to fetch", search->url, FETCH_BYTES_MAX / 1048576);
		return ANSWER_FAILED;
	}
	if (code == GIT_EUSER) {
		fail(error, ASSAY_ERROR_BUSY, "cancelled while fetching %s", search->url);
		return ANSWER_FAILED;
	}
	Answer answer = answer_of(code);
	const git_error *last = git_error_last();
	fail(error, answer == ANSWER_NO_REPO ? ASSAY_ERROR_ABSENT : ASSAY_ERROR_REMOTE, "%s: %s", search->url,
	        last && last->message ? last->message : "git failed");
	return answer;
}

/* Fetches what the wish names, unless the cache has it, and keeps what the ref means. */
static Answer bring(Search *search, Wish *wish, git_repository **out, git_oid *out_commit, GError **error)
{
	autofd int held = lock(search->path, error);
	g_autoptr(git_repository) repo = NULL;
	if (held < 0 || !open_cache(search, &repo, error))
		return ANSWER_FAILED;
	git_oid want = search->is_commit && !wish->full ? search->commit : wish->tip;
	bool there = peel(repo, &want, out_commit);
	if (!there) {
		g_autoptr(git_remote) remote = NULL;
		git_fetch_options options = fetch_options(search);
		const git_strarray specs = {(char **)wish->specs->pdata, wish->specs->len};
		int code = git_remote_create_anonymous(&remote, repo, search->url);
		if (code == 0)
			code = git_remote_fetch(remote, &specs, &options, NULL);
		if (code < 0) { /* it has told its refs: whatever is missing now, it is not the repository */
			Answer answer = say_failure(search, code, error);
			return answer == ANSWER_NO_REPO ? ANSWER_UNREACHABLE : answer;
		}
		there = peel(repo, &want, out_commit);
	} else if (wish->full) {
		g_autofree char *kept = kept_name(search, wish->full);
		g_autoptr(git_reference) ref = NULL;
		git_reference_create(&ref, repo, kept, &want, 1, NULL);
	}
	if (!there) {
		fail(error, ASSAY_ERROR_ABSENT, "no branch or tag of %s has '%s'", search->url, search->ref);
		return ANSWER_NO_REF;
	}
	*out = g_steal_pointer(&repo);
	return ANSWER_FOUND;
}

static Answer ask(Search *search, git_repository **out, git_oid *out_commit, char **out_notice, GError **error)
{
	g_autoptr(git_remote) remote = NULL;
	git_fetch_options options = fetch_options(search);
	int code = git_remote_create_detached(&remote, search->url);
	if (code == 0)
		code = git_remote_connect(remote, GIT_DIRECTION_FETCH, &options.callbacks, &options.proxy_opts, NULL);
	if (code < 0)
		return say_failure(search, code, error);
	Wish wish = {.full = NULL};
	read_refs(search, remote, &wish);
	git_remote_disconnect(remote);
	Answer answer = ANSWER_NO_REF;
	if (wish.specs->len > 0)
		answer = bring(search, &wish, out, out_commit, error);
	else if (wish.longer)
		fail(error, ASSAY_ERROR_ABSENT, "'%s' is a short form of a commit, which may come to mean another; write all of "
		                                "it: %s", search->ref, wish.longer);
	else
		fail(error, ASSAY_ERROR_ABSENT, "%s has no tag or branch '%s'%s%s", search->url, search->ref,
		        wish.there->len ? "; among those it has are " : "; it has none", wish.there->str);
	if (answer == ANSWER_FOUND && wish.ambiguous)
		*out_notice = g_strdup_printf("%s has a tag and a branch named '%s', and they differ; the tag is used", search->name,
		        search->ref);
	wish_clear(&wish);
	return answer;
}

/* What the cache knows without asking: a whole commit, or what a ref of this address meant last. */
static bool look(const Search *search, bool also_refs, git_repository **out, git_oid *out_commit)
{
	g_autoptr(git_repository) repo = NULL;
	if (git_repository_open_bare(&repo, search->path) < 0)
		return false;
	bool found = search->is_commit && peel(repo, &search->commit, out_commit);
	g_auto(GStrv) names = candidates(search->ref);
	for (char **name = names; also_refs && !found && *name; name++) {
		g_autofree char *kept = kept_name(search, *name);
		git_oid id;
		found = git_reference_name_to_id(&id, repo, kept) == 0 && peel(repo, &id, out_commit);
	}
	if (found)
		*out = g_steal_pointer(&repo);
	return found;
}

static char *cache_path(const Task *task, const char *name)
{
	g_autofree char *lower = g_ascii_strdown(name, -1);
	return g_strdup_printf("%s/actions/%s.git", json_get_string(task->spec, "data", "."), lower);
}

static void search_clear(Search *search)
{
	g_free(search->url);
	g_free(search->path);
	g_free(search->space);
}

static void set_address(Search *search, const char *pattern)
{
	g_auto(GStrv) parts = g_strsplit(pattern, "{repo}", -1);
	g_free(search->url);
	g_free(search->space);
	search->url = g_strjoinv(search->name, parts);
	g_autofree char *hex = hash_bytes_hex(search->url, strlen(search->url));
	search->space = g_strdup_printf("refs/sources/%.*s/", SPACE_HEX, hex);
}

/* One address after the other, until one has the repository. */
static git_repository *ask_sources(Search *search, const json_t *sources, git_oid *out_commit, char **out_notice,
        GError **error)
{
	g_autoptr(GString) reasons = g_string_new(NULL);
	g_autoptr(git_repository) repo = NULL;
	size_t i;
	json_t *pattern;
	json_array_foreach((json_t *)(uintptr_t)sources, i, pattern) {
		g_autoptr(GError) why = NULL;
		set_address(search, json_string_value(pattern));
		if (look(search, false, &repo, out_commit))
			return g_steal_pointer(&repo);
		Answer answer = ask(search, &repo, out_commit, out_notice, &why);
		if (answer == ANSWER_FOUND)
			return g_steal_pointer(&repo);
		if (answer == ANSWER_UNREACHABLE && look(search, true, &repo, out_commit)) {
			*out_notice = g_strdup_printf("%s; '%s' stands for the commit that it meant when it was last fetched",
			        why->message, search->ref);
			return g_steal_pointer(&repo);
		}
		if (answer != ANSWER_NO_REPO) {
			g_propagate_error(error, g_steal_pointer(&why));
			return NULL;
		}
		g_string_append_printf(reasons, "%s%s", reasons->len ? "; " : "", why->message);
	}
	fail(error, ASSAY_ERROR_ABSENT, "no source has the repository %s: %s; see actions.sources in assay.yml", search->name,
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
		        git_reference_name_to_id(&tip, repo, name) < 0 || !peel(repo, &tip, &tip))
			continue;
		found = git_oid_equal(&tip, commit);
		g_array_append_val(tips, tip);
	}
	git_reference_iterator_free(refs);
	return found || (tips->len > 0 && git_graph_reachable_from_any(repo, commit, (const git_oid *)(void *)tips->data, tips->len) == 1);
}

/* A repo that the agent knows, from its mirror. */
static git_repository *ask_mirror(Search *search, const char *known, const char *url, git_oid *out_commit,
        char **out_notice, GError **error)
{
	g_autoptr(git_repository) repo = NULL;
	const MirrorWish wish = {.sha = search->is_commit ? search->ref : NULL, .ref = search->is_commit ? NULL : search->ref};
	if (g_ascii_strcasecmp(search->name, task_repo_name(search->task)) == 0)
		repo = mirror_open(search->task, wish, out_commit, NULL, error);
	else
		repo = mirror_open_other(search->task, known, url, wish, out_commit, out_notice, error);
	if (repo && search->is_commit && !in_branch_or_tag(repo, out_commit)) {
		fail(error, ASSAY_ERROR_ABSENT, "no branch or tag of %s has '%s'", known, search->ref);
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

static bool find(Search *search, ActionSource *source, git_oid *out_commit, GError **error)
{
	const json_t *actions = json_object_get(search->task->spec, "actions");
	const json_t *sources = json_object_get(actions, "sources");
	const char *known = NULL;
	const char *url = find_known(search->task, actions, search->name, &known);
	if (url)
		source->repo = ask_mirror(search, known, url, out_commit, &source->notice, error);
	else if (json_array_size(sources) == 0)
		return fail(error, ASSAY_ERROR_DENIED,
		        "actions of other repositories are not allowed here: actions.sources in assay.yml is empty");
	else
		source->repo = ask_sources(search, sources, out_commit, &source->notice, error);
	return source->repo != NULL;
}

ActionSource *action_source_open(Task *task, const char *repo, const char *ref, GError **error)
{
	const char *slash = strchr(repo, '/');
	if (!slash || !is_name(repo, (size_t)(slash - repo)) || !is_name(slash + 1, strlen(slash + 1)) || !is_ref(ref)) {
		fail(error, ASSAY_ERROR_USER, "'%s' at '%s' cannot be the name of a repository and its ref", repo, ref);
		return NULL;
	}
	git_begin();
	Search search = {.task = task, .name = repo, .ref = ref, .path = cache_path(task, repo)};
	search.is_commit = strlen(ref) == GIT_OID_HEXSZ && git_oid_fromstr(&search.commit, ref) == 0;
	g_autoptr(ActionSource) source = g_new0(ActionSource, 1);
	source->task = task;
	source->name = g_strdup(repo);
	git_oid id;
	bool found = find(&search, source, &id, error);
	search_clear(&search);
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
	git_tree_free(source->tree);
	git_repository_free(source->repo);
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
