/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repos. Removing one keeps its row, since runs, models and the audit log speak of it; its secrets go at once, its
 * environments' rules stay, so that removing and adding it again protects no less than before.
 */
#include "agent/store/repos.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/seal.h"

#define CREDENTIAL "credential" /* likewise */
#define CREDENTIAL_BYTES_MAX (64 * 1024)
#define WEBHOOK "webhook" /* what the secret is sealed as: not a name that secrets_set() takes */
#define HOOK_SECRETS_MAX 64

bool sql_repo_id(Store *store, const char *name, bool removed, int64_t *out_id, GError **error)
{
	bool found = false;
	if (!sql_int(store, QUERY_REPO_ID, VALUES(TEXT(name), INT(removed)), out_id, &found, error))
		return false;
	return found || fail(error, ASSAY_ERROR_ABSENT, "no repo '%.200s'; see 'assay repo list'", name ? name : "");
}

static bool check(const char *name, const char *url, const json_t *settings, GError **error)
{
	const char *slash = name ? strchr(name, '/') : NULL;
	if (!slash || slash == name || !slash[1] || strlen(name) > 400 || strpbrk(name, " \t\r\n\\?#") ||
	        strstr(name, "..") || g_str_has_suffix(name, "/") || !g_utf8_validate(name, -1, NULL))
		return fail(error, ASSAY_ERROR_USER, "'%.60s' cannot be the name of a repo; write it as OWNER/NAME",
		        name ? name : "");
	if (!url || !*url)
		return fail(error, ASSAY_ERROR_USER, "repo '%s' has no address; give the URL that git fetches from", name);
	const char *network = json_get_string(settings, "network", NULL);
	if (network && strcmp(network, "none") != 0 && strcmp(network, "loopback") != 0 && strcmp(network, "full") != 0)
		return fail(error, ASSAY_ERROR_USER, "'%.60s' is not a network; use none, loopback or full", network);
	return true;
}

/* Whoever writes a repo's row calls it, before. */
static void forget_hook_secrets(Store *store)
{
	g_clear_pointer(&store->hook_secrets, g_hash_table_unref);
}

bool repos_put(Store *store, const char *name, const char *url, const void *webhook_secret, size_t secret_len,
        const json_t *settings, int64_t *out_id, GError **error)
{
	if (!check(name, url, settings, error))
		return false;
	g_autoptr(GBytes) sealed = NULL;
	gsize len = 0;
	if (webhook_secret)
		sealed = seal(store, 0, name, WEBHOOK, webhook_secret, secret_len);
	const void *bytes = sealed ? g_bytes_get_data(sealed, &len) : NULL;
	forget_hook_secrets(store);
	return sql_int(store, QUERY_REPO_PUT,
	        VALUES(TEXT(name), TEXT(url), TEXT(json_get_string(settings, "network", NULL)),
	                TEXT(json_get_string(settings, "default_branch", NULL)),
	                TEXT(json_get_string(settings, "forge", NULL)), TEXT(json_get_string(settings, "api", NULL)),
	                BYTES(bytes, len), INT(now_us())),
	        out_id, NULL, error);
}

bool repos_remove(Store *store, const char *name, GError **error)
{
	int64_t id = 0;
	if (!sql_repo_id(store, name, false, &id, error))
		return false;
	if (id == 0)
		return fail(error, ASSAY_ERROR_USER, "'%s' is not a repo and cannot be removed", name);
	if (!sql_atomic_begin(store, error))
		return false;
	forget_hook_secrets(store);
	bool ok = sql_run(store, QUERY_REPO_REMOVE, VALUES(INT(id), INT(now_us())), error) &&
	        sql_run(store, QUERY_REPO_SECRETS_REMOVE, VALUES(INT(id)), error) &&
	        sql_run(store, QUERY_SCHEDULE_FORGET, VALUES(INT(id)), error) &&
	        sql_run(store, QUERY_WORKFLOW_FORGET, VALUES(INT(id)), error) &&
	        sql_run(store, QUERY_SURVEY_FORGET, VALUES(INT(id)), error) &&
	        sql_run(store, QUERY_REPO_CREDENTIALS_REMOVE, VALUES(INT(id)), error);
	return sql_atomic_end(store, ok, error);
}

json_t *repos_get(Store *store, const char *name, GError **error)
{
	return sql_one(store, QUERY_REPO_GET, VALUES(TEXT(name)), error, "no repo '%.200s'; see 'assay repo list'",
	        name ? name : "");
}

json_t *repos_get_id(Store *store, int64_t id, GError **error)
{
	return sql_one(store, QUERY_REPO_GET_ID, VALUES(INT(id)), error,
	        "no repo with id %" G_GINT64_FORMAT "; see 'assay repo list'", id);
}

json_t *repos_list(Store *store, const char *after, int64_t limit, GError **error)
{
	Page page;
	if (!page_parse(after, limit, &page, error))
		return NULL;
	return sql_page(store, QUERY_REPO_LIST, VALUES(INT(page.at), INT(page.rows)), "repos", &page, error);
}

/* *out_sure: what is returned is so, and not for want of memory or of a disk that reads. */
static GBytes *read_hook_secret(Store *store, const char *name, bool *out_sure)
{
	g_autoptr(GError) error = NULL;
	g_auto(Rows) rows = sql_query(store, QUERY_REPO_SECRET, VALUES(TEXT(name)), &error);
	bool found = rows_next(&rows, &error);
	*out_sure = !found && !error;
	if (!found)
		return NULL;
	size_t len = 0;
	const void *bytes = rows_bytes(&rows, 0, &len);
	GBytes *secret = seal_open(store, 0, name, WEBHOOK, bytes, len);
	*out_sure = secret != NULL;
	return secret;
}

static gboolean is_without(void *name, void *secret, void *data)
{
	(void)name, (void)data;
	return secret == NULL;
}

static void release_secret(void *secret)
{
	if (secret)
		g_bytes_unref(secret);
}

/*
 * Each delivery asks for the secret of one of a few repos: to find, open and guard it anew was a fifth of a delivery's cost.
 * So what was opened is kept as it is, in guarded and locked memory like the key; and that there is none is kept as well, so that
 * the time tells nothing. The table is for a few: when it is full, names without a secret go first, for anybody may ask for
 * those. Inside a transaction, which may yet be undone, it is neither read nor filled.
 */
GBytes *repos_webhook_secret(Store *store, const char *name)
{
	bool is_sure = false;
	if (store->depth > 0)
		return read_hook_secret(store, name, &is_sure);
	if (!store->hook_secrets)
		store->hook_secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, release_secret);
	void *kept = NULL;
	if (g_hash_table_lookup_extended(store->hook_secrets, name, NULL, &kept))
		return kept ? g_bytes_ref(kept) : NULL;
	GBytes *secret = read_hook_secret(store, name, &is_sure);
	if (g_hash_table_size(store->hook_secrets) >= HOOK_SECRETS_MAX &&
	        g_hash_table_foreach_remove(store->hook_secrets, is_without, NULL) == 0)
		g_hash_table_remove_all(store->hook_secrets);
	if (is_sure)
		g_hash_table_insert(store->hook_secrets, g_strdup(name), secret ? g_bytes_ref(secret) : NULL);
	return secret;
}

bool repos_set_credential(Store *store, int64_t repo, const char *kind, const char *text, GError **error)
{
	if (!text || !*text || strlen(text) > CREDENTIAL_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "the repo's %s has 1 to %d bytes", kind, CREDENTIAL_BYTES_MAX);
	g_autoptr(GBytes) sealed = seal(store, repo, CREDENTIAL, kind, text, strlen(text));
	gsize len = 0;
	const void *bytes = g_bytes_get_data(sealed, &len);
	return sql_run(store, QUERY_REPO_CREDENTIAL_PUT, VALUES(INT(repo), TEXT(kind), BYTES(bytes, len), INT(now_us())), error);
}

char *repos_credential(Store *store, int64_t repo, const char *kind)
{
	g_auto(Rows) rows = sql_query(store, QUERY_REPO_CREDENTIAL, VALUES(INT(repo), TEXT(kind)), NULL);
	if (!rows_next(&rows, NULL))
		return NULL;
	size_t len = 0;
	const void *bytes = rows_bytes(&rows, 0, &len);
	g_autoptr(GBytes) open = seal_open(store, repo, CREDENTIAL, kind, bytes, len);
	gsize text_len = 0;
	const char *text = open ? g_bytes_get_data(open, &text_len) : NULL;
	return text ? g_strndup(text, text_len) : NULL;
}
