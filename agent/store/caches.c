/* SPDX-License-Identifier: Apache-2.0 */
/* Caches: which tree a key stands for. The bytes are in the content store. */
#include "agent/store/caches.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/sql.h"

#define KEY_BYTES_MAX 512
/* Sorts behind every text that begins with what stands before it. */
#define LAST_CHARACTER "\xf4\x8f\xbf\xbf"

bool caches_put(Store *store, int64_t repo, const char *scope, const char *key, const char *digest, GError **error)
{
	if (!key || !*key || strlen(key) > KEY_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "a cache's key has 1 to %d bytes", KEY_BYTES_MAX);
	if (!digest || strlen(digest) != 64)
		return fail(error, ASSAY_ERROR_USER, "cache '%s' has no digest", key);
	return sql_run(store, QUERY_CACHE_PUT, VALUES(INT(repo), TEXT(scope), TEXT(key), TEXT(digest), INT(now_us())), error);
}

/* The row for one key or prefix in the first scope that has it; *out NULL when none has. */
static bool look(Store *store, int64_t repo, const json_t *scopes, const char *key, bool prefix, json_t **out,
        GError **error)
{
	g_autofree char *end = g_strconcat(key, LAST_CHARACTER, NULL);
	size_t i;
	const json_t *scope;
	json_array_foreach(scopes, i, scope) {
		const char *name = json_string_value(scope);
		GError *inner = NULL;
		if (prefix)
			*out = sql_object(store, QUERY_CACHE_PREFIX, VALUES(INT(repo), TEXT(name), TEXT(key), TEXT(end)), &inner);
		else
			*out = sql_object(store, QUERY_CACHE_GET, VALUES(INT(repo), TEXT(name), TEXT(key)), &inner);
		if (inner) {
			g_propagate_error(error, inner);
			return false;
		}
		if (*out)
			return true;
	}
	return true;
}

json_t *caches_get(Store *store, int64_t repo, const json_t *scopes, const char *key, const json_t *restore_keys,
        GError **error)
{
	g_autoptr(json_t) row = NULL;
	if (!look(store, repo, scopes, key, false, &row, error))
		return NULL;
	bool hit = row != NULL;
	size_t i;
	const json_t *prefix;
	json_array_foreach(restore_keys, i, prefix)
		if (!row && json_is_string(prefix) &&
		        !look(store, repo, scopes, json_string_value(prefix), true, &row, error))
			return NULL;
	if (row && !sql_run(store, QUERY_CACHE_USED, VALUES(INT(json_get_int(row, "id", 0)), INT(now_us())), error))
		return NULL;
	json_t *answer = json_object();
	json_set_bool(answer, "hit", hit);
	json_set_string(answer, "key", json_get_string(row, "key", NULL));
	json_set_string(answer, "digest", json_get_string(row, "digest", NULL));
	return answer;
}
