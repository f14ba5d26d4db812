/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache is one bare repository for each owner/repo. Objects in it are named by their content, so whoever fetched a
 * commit, a stranger's run too, cannot change what it is; what a tag meant is kept apart for each address
 * (refs/sources/<address>/…), written only with what that address answered, and used only when it does not answer.
 * Only branches and tags are fetched: a commit that is in nobody's branch, as the fork network of a forge has them, is
 * not found. Refs are asked for without a lock; who fetches holds one.
 */
#include "agent/job/action_fetch.h"

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

#define FETCH_BYTES_MAX (1024LL * 1024 * 1024)
#define SPACE_HEX 16
#define REFS_SHOWN 6

static int no_credential(git_credential **out, const char *url, const char *user, unsigned int allowed, void *data)
{
	(void)out, (void)url, (void)user, (void)allowed, (void)data;
	return GIT_EAUTH; /* the token of one forge is not shown to another address */
}

static int watch_transfer(const git_indexer_progress *progress, void *data)
{
	ActionFetch *fetch = data;
	fetch->too_large = progress->received_bytes > FETCH_BYTES_MAX;
	return fetch->too_large || task_is_cancelled(fetch->task) ? GIT_EUSER : 0;
}

static git_fetch_options fetch_options(ActionFetch *fetch)
{
	git_fetch_options options;
	git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
	options.callbacks.credentials = no_credential;
	options.callbacks.transfer_progress = watch_transfer;
	options.callbacks.payload = fetch;
	options.update_fetchhead = 0;
	options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	options.proxy_opts.type = GIT_PROXY_AUTO;
	return options;
}

/* "It has no such repository" is another thing than "it cannot be reached": only then the next address is asked. */
static ActionAnswer answer_of(int code)
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
static char *kept_name(const ActionFetch *fetch, const char *full)
{
	return g_strconcat(fetch->space, full + strlen("refs/"), NULL);
}

bool action_fetch_peel(git_repository *repo, const git_oid *id, git_oid *out)
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

static bool open_cache(const ActionFetch *fetch, git_repository **out, GError **error)
{
	int code = git_repository_open_bare(out, fetch->path);
	if (code < 0)
		code = git_repository_init(out, fetch->path, 1);
	return code >= 0 || git_fail(error, code, "cannot make %s", fetch->path);
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

static void add_spec(const ActionFetch *fetch, Wish *wish, const char *full)
{
	g_autofree char *kept = kept_name(fetch, full);
	g_ptr_array_add(wish->specs, g_strdup_printf("+%s:%s", full, kept));
}

static void note_name(Wish *wish, const char *full, int *shown)
{
	if (g_str_has_suffix(full, "^{}") || (*shown)++ >= REFS_SHOWN)
		return;
	const char *name = full + (g_str_has_prefix(full, "refs/tags/") ? strlen("refs/tags/") : strlen("refs/heads/"));
	g_string_append_printf(wish->there, "%s%s", wish->there->len ? ", " : "", name);
}

static void read_refs(const ActionFetch *fetch, git_remote *remote, Wish *wish)
{
	const git_remote_head **heads = NULL;
	size_t count = 0;
	int shown = 0;
	wish->specs = g_ptr_array_new_with_free_func(g_free);
	wish->there = g_string_new(NULL);
	if (git_remote_ls(&heads, &count, remote) < 0)
		return;
	g_auto(GStrv) names = candidates(fetch->ref);
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
			add_spec(fetch, wish, *name);
		}
	for (size_t i = count; i > 0; i--) { /* the newest tags come last */
		const git_remote_head *head = heads[i - 1];
		if (!g_str_has_prefix(head->name, "refs/tags/") && !g_str_has_prefix(head->name, "refs/heads/"))
			continue;
		note_name(wish, head->name, &shown);
		const char *hex = git_oid_tostr_s(&head->oid);
		if (strlen(fetch->ref) >= 7 && g_str_has_prefix(hex, fetch->ref) && !wish->longer)
			wish->longer = g_strdup(hex);
		if (fetch->is_commit && git_oid_equal(&head->oid, &fetch->commit) && wish->specs->len == 0 &&
		        !g_str_has_suffix(head->name, "^{}"))
			add_spec(fetch, wish, head->name);
	}
	if (fetch->is_commit && wish->specs->len == 0) {
		g_ptr_array_add(wish->specs, g_strdup_printf("+refs/heads/*:%sheads/*", fetch->space));
		g_ptr_array_add(wish->specs, g_strdup_printf("+refs/tags/*:%stags/*", fetch->space));
	}
}

static ActionAnswer say_failure(const ActionFetch *fetch, int code, GError **error)
{
	if (fetch->too_large) {
		fail(error, ASSAY_ERROR_USER, "%s has more than %lld MiB to fetch", fetch->url, FETCH_BYTES_MAX / 1048576);
		return ANSWER_FAILED;
	}
	if (code == GIT_EUSER) {
		fail(error, ASSAY_ERROR_BUSY, "cancelled while fetching %s", fetch->url);
		return ANSWER_FAILED;
	}
	ActionAnswer answer = answer_of(code);
	const git_error *last = git_error_last();
	fail(error, answer == ANSWER_NO_REPO ? ASSAY_ERROR_ABSENT : ASSAY_ERROR_REMOTE, "%s: %s", fetch->url,
	        last && last->message ? last->message : "git failed");
	return answer;
}

/* Fetches what the wish names, unless the cache has it, and keeps what the ref means. */
static ActionAnswer bring(ActionFetch *fetch, Wish *wish, git_repository **out, git_oid *out_commit, GError **error)
{
	autofd int held = lock(fetch->path, error);
	g_autoptr(git_repository) repo = NULL;
	if (held < 0 || !open_cache(fetch, &repo, error))
		return ANSWER_FAILED;
	git_oid want = fetch->is_commit && !wish->full ? fetch->commit : wish->tip;
	bool there = action_fetch_peel(repo, &want, out_commit);
	if (!there) {
		g_autoptr(git_remote) remote = NULL;
		git_fetch_options options = fetch_options(fetch);
		const git_strarray specs = {(char **)wish->specs->pdata, wish->specs->len};
		int code = git_remote_create_anonymous(&remote, repo, fetch->url);
		if (code == 0)
			code = git_remote_fetch(remote, &specs, &options, NULL);
		if (code < 0) { /* it has told its refs: whatever is missing now, it is not the repository */
			ActionAnswer answer = say_failure(fetch, code, error);
			return answer == ANSWER_NO_REPO ? ANSWER_UNREACHABLE : answer;
		}
		there = action_fetch_peel(repo, &want, out_commit);
	} else if (wish->full) {
		g_autofree char *kept = kept_name(fetch, wish->full);
		g_autoptr(git_reference) ref = NULL;
		git_reference_create(&ref, repo, kept, &want, 1, NULL);
	}
	if (!there) {
		fail(error, ASSAY_ERROR_ABSENT, "no branch or tag of %s has '%s'", fetch->url, fetch->ref);
		return ANSWER_NO_REF;
	}
	*out = g_steal_pointer(&repo);
	return ANSWER_FOUND;
}

ActionAnswer action_fetch_ask(ActionFetch *fetch, git_repository **out, git_oid *out_commit, char **out_notice, GError **error)
{
	g_autoptr(git_remote) remote = NULL;
	git_fetch_options options = fetch_options(fetch);
	int code = git_remote_create_detached(&remote, fetch->url);
	if (code == 0)
		code = git_remote_connect(remote, GIT_DIRECTION_FETCH, &options.callbacks, &options.proxy_opts, NULL);
	if (code < 0)
		return say_failure(fetch, code, error);
	Wish wish = {.full = NULL};
	read_refs(fetch, remote, &wish);
	git_remote_disconnect(remote);
	ActionAnswer answer = ANSWER_NO_REF;
	if (wish.specs->len > 0)
		answer = bring(fetch, &wish, out, out_commit, error);
	else if (wish.longer)
		fail(error, ASSAY_ERROR_ABSENT, "'%s' is a short form of a commit, which may come to mean another; write all of "
		                                "it: %s", fetch->ref, wish.longer);
	else
		fail(error, ASSAY_ERROR_ABSENT, "%s has no tag or branch '%s'%s%s", fetch->url, fetch->ref,
		        wish.there->len ? "; among those it has are " : "; it has none", wish.there->str);
	if (answer == ANSWER_FOUND && wish.ambiguous)
		*out_notice = g_strdup_printf("%s has a tag and a branch named '%s', and they differ; the tag is used", fetch->name,
		        fetch->ref);
	wish_clear(&wish);
	return answer;
}

bool action_fetch_look(const ActionFetch *fetch, bool also_refs, git_repository **out, git_oid *out_commit)
{
	g_autoptr(git_repository) repo = NULL;
	if (git_repository_open_bare(&repo, fetch->path) < 0)
		return false;
	bool found = fetch->is_commit && action_fetch_peel(repo, &fetch->commit, out_commit);
	g_auto(GStrv) names = candidates(fetch->ref);
	for (char **name = names; also_refs && !found && *name; name++) {
		g_autofree char *kept = kept_name(fetch, *name);
		git_oid id;
		found = git_reference_name_to_id(&id, repo, kept) == 0 && action_fetch_peel(repo, &id, out_commit);
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

void action_fetch_init(ActionFetch *fetch, Task *task, const char *repo, const char *ref)
{
	*fetch = (ActionFetch){.task = task, .name = repo, .ref = ref, .path = cache_path(task, repo)};
	fetch->is_commit = strlen(ref) == GIT_OID_HEXSZ && git_oid_fromstr(&fetch->commit, ref) == 0;
}

void action_fetch_clear(ActionFetch *fetch)
{
	g_free(fetch->url);
	g_free(fetch->path);
	g_free(fetch->space);
}

void action_fetch_address(ActionFetch *fetch, const char *pattern)
{
	g_auto(GStrv) parts = g_strsplit(pattern, "{repo}", -1);
	g_free(fetch->url);
	g_free(fetch->space);
	fetch->url = g_strjoinv(fetch->name, parts);
	g_autofree char *hex = hash_bytes_hex(fetch->url, strlen(fetch->url));
	fetch->space = g_strdup_printf("refs/sources/%.*s/", SPACE_HEX, hex);
}
