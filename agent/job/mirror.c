/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mirrors. Many workers may want the same one: who fetches holds a lock beside it, and looks again once it has the
 * lock. Readers need none, since git's packs and refs are replaced by rename. A mirror is a cache: what is broken in it
 * can be thrown away.
 */
#include "agent/job/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"

#define CREDENTIAL_TRIES 3
#define SILENCE_S 60

/* One mirror and whence it comes. */
typedef struct MirrorPlace {
	const char *path;
	const char *url;
	const char *default_branch;
	bool own; /* the task's repo, whose credentials the task has */
	const MirrorSource *source; /* of others: theirs; NULL: none */
} MirrorPlace;

typedef struct Fetch {
	Task *task;
	bool own;
	const MirrorSource *source;
	int tries;
	size_t bytes;       /* that have come */
	char *host_problem; /* why the server's key was not taken */
} Fetch;

/*
 * A server that says nothing more would hold the mirror's lock for ever: libgit2 has no time limit of its own before
 * 1.7. An alarm interrupts the call that waits, again and again, until the fetch has given up; each byte puts it off.
 */
static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

static void set_alarm(int seconds)
{
	const struct itimerval timer = {.it_value = {.tv_sec = seconds}, .it_interval = {.tv_sec = seconds ? 1 : 0}};
	const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
	if (seconds)
		sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static int give_theirs(git_credential **out, const MirrorSource *source, const char *user, unsigned int allowed)
{
	const char *name = source->ssh_user ? source->ssh_user : user ? user : "git";
	if ((allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) && source->token)
		return git_credential_userpass_plaintext_new(out, "x-access-token", source->token);
	if ((allowed & GIT_CREDENTIAL_SSH_KEY) && source->ssh_key)
		return git_credential_ssh_key_memory_new(out, name, NULL, source->ssh_key, "");
	if ((allowed & GIT_CREDENTIAL_USERNAME) && source->ssh_key)
		return git_credential_username_new(out, name);
	return GIT_EAUTH;
}

static int give_credential(git_credential **out, const char *url, const char *user, unsigned int allowed, void *data)
{
	Fetch *fetch = data;
	const json_t *repo = task_repo(fetch->task);
	(void)url;
	if (fetch->tries++ >= CREDENTIAL_TRIES)
		return GIT_EAUTH;
	if (fetch->source)
		return give_theirs(out, fetch->source, user, allowed);
	if (!fetch->own)
		return GIT_EAUTH;
	const char *name = json_get_string(repo, "user", user ? user : "git");
	if ((allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) && fetch->task->token)
		return git_credential_userpass_plaintext_new(out, json_get_string(repo, "user", "x-access-token"),
		        fetch->task->token);
	if (allowed & GIT_CREDENTIAL_SSH_KEY) {
		if (fetch->task->ssh_key)
			return git_credential_ssh_key_memory_new(out, name, NULL, fetch->task->ssh_key, "");
		return git_credential_ssh_key_from_agent(out, name);
	}
	if (allowed & GIT_CREDENTIAL_USERNAME)
		return git_credential_username_new(out, name);
	return GIT_EAUTH;
}

/* Is the key among the lines for this host? "[host]:port" and lists with commas are names, too; hashed ones are not. */
static bool is_known_host(const char *lines, const char *host, const char *key_base64)
{
	g_auto(GStrv) all = g_strsplit(lines ? lines : "", "\n", -1);
	for (char **line = all; *line; line++) {
		g_auto(GStrv) words = g_strsplit_set(g_strstrip(*line), " \t", -1);
		if (g_strv_length(words) < 3 || words[0][0] == '#' || words[0][0] == '@' || strcmp(words[2], key_base64) != 0)
			continue;
		g_auto(GStrv) names = g_strsplit(words[0], ",", -1);
		for (char **name = names; *name; name++) {
			const char *at = (*name)[0] == '[' ? *name + 1 : *name;
			size_t len = strcspn(at, "]");
			if (strlen(host) == len && g_ascii_strncasecmp(at, host, len) == 0)
				return true;
		}
	}
	return false;
}

/* TLS is libgit2's to check. A key of ssh must be known: the first one that answers is nobody. */
static int check_host(git_cert *cert, int valid, const char *host, void *data)
{
	Fetch *fetch = data;
	if (cert->cert_type != GIT_CERT_HOSTKEY_LIBSSH2)
		return valid ? 0 : GIT_ECERTIFICATE;
	const git_cert_hostkey *key = (const git_cert_hostkey *)cert;
	const char *lines = fetch->source ? fetch->source->known_hosts
	                                  : fetch->task->known_hosts;
	if (fetch->source && fetch->source->any_host)
		return 0;
	if (key->type & GIT_CERT_SSH_RAW) {
		g_autofree char *text = g_base64_encode((const guchar *)key->hostkey, key->hostkey_len);
		if (is_known_host(lines, host, text))
			return 0;
	}
	g_autofree char *print = key->type & GIT_CERT_SSH_SHA256 ? g_base64_encode(key->hash_sha256, 32) : g_strdup("?");
	print[strcspn(print, "=")] = '\0';
	g_free(fetch->host_problem);
	fetch->host_problem = g_strdup_printf("the key of host %s (SHA256:%s) is not known; if it is right, give it to "
	                                      "'assay repo add --ssh-known-hosts-file', or as 'ssh-known-hosts'", host, print);
	return GIT_ECERTIFICATE;
}

static int watch_transfer(const git_indexer_progress *progress, void *data)
{
	Fetch *fetch = data;
	if (progress->received_bytes != fetch->bytes && alarms == 0)
		set_alarm(SILENCE_S);
	fetch->bytes = progress->received_bytes;
	return alarms > 0 || task_is_cancelled(fetch->task) ? GIT_EUSER : 0;
}

static void add_spec(GPtrArray *specs, const char *name)
{
	g_ptr_array_add(specs, g_strdup_printf("+%s:%s", name, name));
}

static bool fetch_all(Task *task, const MirrorPlace *place, git_repository *repo, const char *ref, GError **error)
{
	const char *url = place->url;
	if (!url)
		return fail(error, ASSAY_ERROR_USER, "job.json: the repo has no url");
	g_autoptr(git_remote) remote = NULL;
	int code = git_remote_create_anonymous(&remote, repo, url);
	if (code < 0)
		return git_fail(error, code, "cannot use %s", url);
	Fetch fetch = {.task = task, .own = place->own, .source = place->source};
	git_fetch_options options;
	git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
	options.callbacks.credentials = give_credential;
	options.callbacks.transfer_progress = watch_transfer;
	options.callbacks.certificate_check = check_host;
	options.callbacks.payload = &fetch;
	options.prune = GIT_FETCH_PRUNE;
	options.update_fetchhead = 0;
	options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE; /* the refspec names them */
	options.proxy_opts.type = GIT_PROXY_AUTO;
	g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func(g_free);
	add_spec(specs, "refs/heads/*");
	add_spec(specs, "refs/tags/*");
	if (ref && g_str_has_prefix(ref, "refs/") && !g_str_has_prefix(ref, "refs/heads/") &&
	        !g_str_has_prefix(ref, "refs/tags/") && git_reference_is_valid_name(ref)) {
		g_autofree char *folder = g_path_get_dirname(ref); /* refs/pull/7: head and merge */
		g_autofree char *all = g_strconcat(folder, "/*", NULL);
		add_spec(specs, strcmp(folder, "refs") == 0 ? ref : all);
	}
	const git_strarray names = {(char **)specs->pdata, specs->len};
	alarms = 0;
	set_alarm(SILENCE_S);
	code = git_remote_connect(remote, GIT_DIRECTION_FETCH, &options.callbacks, &options.proxy_opts, NULL);
	if (code == 0) {
		git_buf branch = {0};
		if (git_remote_default_branch(&branch, remote) == 0)
			git_repository_set_head(repo, branch.ptr);
		git_buf_dispose(&branch);
		code = git_remote_fetch(remote, &names, &options, NULL);
	}
	set_alarm(0);
	g_autofree char *problem = fetch.host_problem;
	if (code < 0 && alarms > 0)
		return fail(error, ASSAY_ERROR_REMOTE, "cannot fetch %s: it sent nothing for %d seconds", url, SILENCE_S);
	if (problem)
		return fail(error, ASSAY_ERROR_DENIED, "cannot fetch %s: %s", url, problem);
	if (code == GIT_EUSER)
		return fail(error, ASSAY_ERROR_BUSY, "cancelled while fetching %s", url);
	if (code == GIT_EAUTH)
		return fail(error, ASSAY_ERROR_DENIED, "cannot fetch %s: %s", url,
		        fetch.tries > 1 ? "its credentials were refused" : "it asks for credentials; give a token or a key");
	return code >= 0 || git_fail(error, code, "cannot fetch %s", url);
}

/* The commit that an object is or points at. */
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

/* Looks for the commit in what the mirror has. */
static bool find(const MirrorPlace *place, git_repository *repo, MirrorWish wish, git_oid *out_id, char **out_ref)
{
	git_oid id;
	if (wish.sha)
		return git_oid_fromstr(&id, wish.sha) == 0 && peel(repo, &id, out_id);
	const char *name = wish.ref ? wish.ref : place->default_branch;
	g_autoptr(git_reference) ref = NULL;
	int code = name ? git_reference_dwim(&ref, repo, name) : git_repository_head(&ref, repo);
	if (code < 0 || git_reference_name_to_id(&id, repo, git_reference_name(ref)) < 0 || !peel(repo, &id, out_id))
		return false;
	if (out_ref)
		*out_ref = g_strdup(git_reference_name(ref));
	return true;
}

static int lock(const char *mirror, GError **error)
{
	g_autofree char *path = g_strconcat(mirror, ".lock", NULL);
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

static git_repository *open_place(Task *task, const MirrorPlace *place, MirrorWish wish, git_oid *out_id, char **out_ref,
        char **out_notice, GError **error)
{
	g_autoptr(git_repository) repo = NULL;
	if (!git_begin(error))
		return NULL;
	/* A commit that is there needs no look at the remote; a tip may have moved. */
	if (wish.sha && git_repository_open_bare(&repo, place->path) == 0 && find(place, repo, wish, out_id, out_ref))
		return g_steal_pointer(&repo);
	autofd int held = lock(place->path, error);
	if (held < 0)
		return NULL;
	int code = repo ? 0 : git_repository_open_bare(&repo, place->path);
	if (code < 0)
		code = git_repository_init(&repo, place->path, 1);
	if (code < 0) {
		git_fail(error, code, "cannot make the mirror %s", place->path);
		return NULL;
	}
	if (wish.sha && find(place, repo, wish, out_id, out_ref))
		return g_steal_pointer(&repo);
	g_autoptr(GError) why = NULL;
	bool fetched = fetch_all(task, place, repo, wish.ref, &why);
	if ((fetched || out_notice) && find(place, repo, wish, out_id, out_ref)) {
		if (!fetched)
			*out_notice = g_strdup_printf("%s; the agent's mirror is used as it is", why->message);
		return g_steal_pointer(&repo);
	}
	if (!fetched)
		g_propagate_error(error, g_steal_pointer(&why));
	else if (wish.sha)
		fail(error, ASSAY_ERROR_ABSENT, "%s has no commit %s; was it replaced by a forced push?", place->url, wish.sha);
	else
		fail(error, ASSAY_ERROR_ABSENT, "%s has no ref %s", place->url, wish.ref ? wish.ref : "for its default branch");
	return NULL;
}

git_repository *mirror_open(Task *task, MirrorWish wish, git_oid *out_id, char **out_ref, GError **error)
{
	const json_t *repo = task_repo(task);
	const MirrorPlace place = {.path = json_get_string(repo, "mirror", NULL),
	        .url = json_get_string(repo, "url", NULL),
	        .default_branch = json_get_string(repo, "default_branch", NULL),
	        .own = true};
	if (place.path)
		return open_place(task, &place, wish, out_id, out_ref, NULL, error);
	fail(error, ASSAY_ERROR_USER, "job.json: the repo has no mirror");
	return NULL;
}

git_repository *mirror_open_other(Task *task, const char *name, const char *url, MirrorWish wish, git_oid *out_id,
        char **out_notice, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/repos/%s.git", json_get_string(task->spec, "data", "."), name);
	const MirrorPlace place = {.path = path, .url = url};
	return open_place(task, &place, wish, out_id, NULL, out_notice, error);
}

char *mirror_local_path(const char *url)
{
	if (g_str_has_prefix(url, "file:///"))
		return g_strdup(url + strlen("file://"));
	return url[0] == '/' ? g_strdup(url) : NULL;
}

char *mirror_host(const char *url)
{
	const char *scheme = strstr(url, "://");
	const char *at = scheme ? scheme + 3 : url;
	size_t len = strcspn(at, "/");
	if (!scheme && !memchr(at, ':', len))
		return NULL;
	g_autofree char *authority = g_strndup(at, len);
	const char *user = strrchr(authority, '@');
	const char *host = user ? user + 1 : authority;
	g_autofree char *lower = g_ascii_strdown(host, (gssize)strcspn(host, ":"));
	return lower[0] ? g_steal_pointer(&lower) : NULL;
}

git_repository *mirror_open_source(Task *task, const MirrorSource *source, MirrorWish wish, git_oid *out_id,
        char **out_ref, GError **error)
{
	bool untrusted = json_get_bool(task->spec, "untrusted", false);
	g_autofree char *words = g_strconcat(untrusted ? "fork " : "", source->url, NULL);
	g_autofree char *name = hash_bytes_hex(words, strlen(words));
	g_autofree char *path = g_strdup_printf("%s/repos/%s.others/%.32s.git", json_get_string(task->spec, "data", "."),
	        task_repo_name(task), name);
	const MirrorPlace place = {.path = path, .url = source->url, .source = source};
	return open_place(task, &place, wish, out_id, out_ref, NULL, error);
}
