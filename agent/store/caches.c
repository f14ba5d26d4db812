/* SPDX-License-Identifier: Apache-2.0 */
/* Caches: which tree a key stands for. The bytes are in the content store. */
#include "agent/store/caches.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/sql.h"

#define KEY_BYTES_MAX 512
#define VERSION_BYTES_MAX 128
#define RESTORE_KEYS_MAX 100
/* Sorts behind every text that begins with what stands before it. */
#define LAST_CHARACTER "\xf4\x8f\xbf\xbf"

static bool check(const char *key, const char *version, GError **error)
{
	if (!key || !*key || strlen(key) > KEY_BYTES_MAX || strchr(key, ','))
		return fail(error, ASSAY_ERROR_USER, "a cache's key has 1 to %d bytes and no comma", KEY_BYTES_MAX);
	if (!version || !*version || strlen(version) > VERSION_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "cache '%s': its version has 1 to %d bytes", key, VERSION_BYTES_MAX);
	return true;
}

static bool make_room(Store *store, int64_t repo, CacheLimits limits, int64_t keep, GError **error)
{
	if (limits.age_us > 0 && !sql_run(store, QUERY_CACHE_OLD, VALUES(INT(repo), INT(now_us() - limits.age_us)), error))
		return false;
	int64_t bytes = 0;
	bool found = limits.bytes > 0;
	if (found && !sql_int(store, QUERY_CACHE_BYTES, VALUES(INT(repo)), &bytes, &found, error))
		return false;
	while (found && bytes > limits.bytes) {
		int64_t freed = 0;
		if (!sql_int(store, QUERY_CACHE_DROP_OLDEST, VALUES(INT(repo), INT(keep)), &freed, &found, error))
			return false;
		bytes -= freed;
	}
	return true;
}

bool caches_put(Store *store, int64_t repo, const CacheEntry *entry, CacheLimits limits, int64_t *out_id, GError **error)
{
	if (!check(entry->key, entry->version, error))
		return false;
	if (!entry->digest || strlen(entry->digest) != 64)
		return fail(error, ASSAY_ERROR_USER, "cache '%s' has no digest", entry->key);
	if (limits.bytes > 0 && entry->bytes > limits.bytes)
		return fail(error, ASSAY_ERROR_USER, "cache '%s' has %" G_GINT64_FORMAT " bytes; the repo's caches may have %"
		            G_GINT64_FORMAT " (caches.size)", entry->key, entry->bytes, limits.bytes);
	int64_t id = 0;
	bool made = false;
	if (!sql_int(store, QUERY_CACHE_PUT,
	            VALUES(INT(repo), TEXT(entry->scope), TEXT(entry->key), TEXT(entry->version),
	                    TEXT(entry->other_version ? entry->other_version : entry->version), TEXT(entry->form),
	                    TEXT(entry->digest), INT(entry->bytes), INT(now_us())),
	            &id, &made, error))
		return false;
	if (out_id)
		*out_id = made ? id : 0;
	return !made || make_room(store, repo, limits, id, error);
}

typedef struct Looking {
	Store *store;
	int64_t repo;
	const char *scope;
	const char *version, *other_version;
} Looking;

/* The row for one key or prefix; *out NULL when there is none. */
static bool look(const Looking *looking, const char *key, bool prefix, json_t **out, GError **error)
{
	GError *inner = NULL;
	g_autofree char *end = prefix ? g_strconcat(key, LAST_CHARACTER, NULL) : NULL;
	if (prefix)
		*out = sql_object(looking->store, QUERY_CACHE_PREFIX, VALUES(INT(looking->repo), TEXT(looking->scope), TEXT(key),
		        TEXT(looking->version), TEXT(looking->other_version), TEXT(end)), &inner);
	else
		*out = sql_object(looking->store, QUERY_CACHE_GET, VALUES(INT(looking->repo), TEXT(looking->scope), TEXT(key),
		        TEXT(looking->version), TEXT(looking->other_version)), &inner);
	if (!inner)
		return true;
	g_propagate_error(error, inner);
	return false;
}

static bool look_in_scope(const Looking *looking, const char *key, const json_t *restore_keys, json_t **out, GError **error)
{
	if (!look(looking, key, false, out, error) || (!*out && !look(looking, key, true, out, error)))
		return false;
	size_t i;
	const json_t *one;
	json_array_foreach(restore_keys, i, one) {
		const char *prefix = json_string_value(one);
		if (*out || !prefix || i >= RESTORE_KEYS_MAX)
			break;
		if (!look(looking, prefix, false, out, error) || (!*out && !look(looking, prefix, true, out, error)))
			return false;
	}
	return true;
}

json_t *caches_get(Store *store, int64_t repo, const json_t *scopes, const char *key, const json_t *versions,
        const json_t *restore_keys, GError **error)
{
	Looking looking = {.store = store, .repo = repo, .version = json_string_value(json_array_get(versions, 0)),
	        .other_version = json_string_value(json_array_get(versions, 1))};
	if (!check(key, looking.version, error))
		return NULL;
	if (!looking.other_version)
		looking.other_version = looking.version;
	g_autoptr(json_t) row = NULL;
	size_t i;
	const json_t *scope;
	json_array_foreach(scopes, i, scope) {
		looking.scope = json_string_value(scope);
		if (!row && !look_in_scope(&looking, key, restore_keys, &row, error))
			return NULL;
	}
	if (row && !sql_run(store, QUERY_CACHE_USED, VALUES(INT(json_get_int(row, "id", 0)), INT(now_us())), error))
		return NULL;
	json_t *answer = json_object();
	json_set_bool(answer, "hit", row && strcmp(json_get_string(row, "key", ""), key) == 0);
	static const char *const texts[] = {"key", "digest", "form", "version", "other_version"};
	for (size_t text = 0; text < G_N_ELEMENTS(texts); text++)
		json_set_string(answer, texts[text], json_get_string(row, texts[text], NULL));
	json_set_int(answer, "bytes", json_get_int(row, "bytes", 0));
	return answer;
}

bool caches_check(Store *store, int64_t repo, const char *scope, const char *key, const char *version, GError **error)
{
	if (!check(key, version, error))
		return false;
	const Looking looking = {.store = store, .repo = repo, .scope = scope, .version = version, .other_version = version};
	g_autoptr(json_t) row = NULL;
	if (!look(&looking, key, false, &row, error))
		return false;
	return !row || fail(error, ASSAY_ERROR_BUSY, "cache '%s' is there already, and caches never change", key);
}
