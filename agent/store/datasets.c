/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets: the same bytes twice in a row are one version, so a snapshot in every run costs nothing. */
#include "agent/store/datasets.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/sql.h"

static bool add_version(Store *store, int64_t dataset, int64_t number, int64_t run, const json_t *version,
        GError **error)
{
	const json_t *tags = json_object_get(version, "tags");
	const SqlValue values[] = {INT(dataset), INT(number), TEXT(json_get_string(version, "digest", NULL)),
	        INT(json_get_int(version, "files", 0)), INT(json_get_int(version, "bytes", 0)),
	        INT(json_get_int(version, "new_bytes", 0)), TEXT(json_get_string(version, "message", NULL)),
	        JSON(json_is_object(tags) ? tags : NULL), ID(run), INT(now_us())};
	return sql_run(store, QUERY_DATASET_VERSION_ADD, values, G_N_ELEMENTS(values), error);
}

static bool put(Store *store, int64_t repo, int64_t run, const char *name, const json_t *version, int64_t *out_version,
        bool *out_changed, GError **error)
{
	int64_t dataset = 0;
	if (!sql_run(store, QUERY_DATASET_ADD, VALUES(INT(repo), TEXT(name), INT(now_us())), error) ||
	        !sql_int(store, QUERY_DATASET_ID, VALUES(INT(repo), TEXT(name)), &dataset, NULL, error))
		return false;
	GError *inner = NULL;
	g_autoptr(json_t) newest = sql_object(store, QUERY_DATASET_NEWEST, VALUES(INT(dataset)), &inner);
	if (inner) {
		g_propagate_error(error, inner);
		return false;
	}
	*out_version = json_get_int(newest, "version", 0);
	*out_changed = g_strcmp0(json_get_string(newest, "digest", NULL), json_get_string(version, "digest", "")) != 0;
	if (!*out_changed)
		return true;
	return add_version(store, dataset, ++*out_version, run, version, error);
}

json_t *datasets_put(Store *store, int64_t repo, int64_t run, const char *name, const json_t *version, GError **error)
{
	const char *digest = json_get_string(version, "digest", NULL);
	if (!sql_name_check("a dataset", name, error))
		return NULL;
	if (!digest || strlen(digest) != 64) {
		fail(error, ASSAY_ERROR_USER, "a version of dataset '%s' has no digest", name);
		return NULL;
	}
	int64_t number = 0;
	bool changed = false;
	if (!sql_atomic_begin(store, error) ||
	        !sql_atomic_end(store, put(store, repo, run, name, version, &number, &changed, error), error))
		return NULL;
	json_t *answer = json_object();
	json_set_int(answer, "version", number);
	json_set_bool(answer, "changed", changed);
	return answer;
}

json_t *datasets_get(Store *store, int64_t repo, const char *name, int64_t version, const char *digest, GError **error)
{
	if (version)
		return sql_one(store, QUERY_DATASET_GET_VERSION, VALUES(INT(repo), TEXT(name), INT(version)), error,
		        "no version %" G_GINT64_FORMAT " of dataset '%s'; see 'assay data list'", version, name);
	if (digest)
		return sql_one(store, QUERY_DATASET_GET_DIGEST, VALUES(INT(repo), TEXT(name), TEXT(digest)), error,
		        "no version of dataset '%s' has the digest %.64s; see 'assay data list'", name, digest);
	return sql_one(store, QUERY_DATASET_GET_NEWEST, VALUES(INT(repo), TEXT(name)), error,
	        "no dataset '%s'; see 'assay data list'", name);
}

json_t *datasets_list(Store *store, const char *repo, const char *after, int64_t limit, GError **error)
{
	Page page;
	int64_t repo_id = 0;
	if (!page_parse(after, limit, &page, error) || (repo && !sql_repo_id(store, repo, true, &repo_id, error)))
		return NULL;
	g_autoptr(json_t) answer = repo
	        ? sql_page(store, QUERY_DATASET_LIST_REPO, VALUES(INT(page.at), INT(page.rows), INT(repo_id)), "datasets",
	                  &page, error)
	        : sql_page(store, QUERY_DATASET_LIST, VALUES(INT(page.at), INT(page.rows)), "datasets", &page, error);
	size_t i;
	json_t *dataset;
	json_array_foreach(json_object_get(answer, "datasets"), i, dataset) {
		json_t *newest = sql_one(store, QUERY_DATASET_NEWEST, VALUES(INT(json_get_int(dataset, "id", 0))), error,
		        "it has no version");
		if (!newest)
			return NULL;
		json_set(dataset, "newest", newest);
	}
	return g_steal_pointer(&answer);
}

json_t *datasets_show(Store *store, const char *repo, const char *name, GError **error)
{
	int64_t repo_id = 0;
	int64_t id = 0;
	bool found = false;
	if (!sql_repo_id(store, repo, true, &repo_id, error) ||
	        !sql_int(store, QUERY_DATASET_ID, VALUES(INT(repo_id), TEXT(name)), &id, &found, error))
		return NULL;
	if (!found) {
		fail(error, ASSAY_ERROR_ABSENT, "%s has no dataset '%s'; see 'assay data list'", repo, name ? name : "");
		return NULL;
	}
	json_t *versions = sql_array(store, QUERY_DATASET_VERSIONS, VALUES(INT(id)), error);
	if (!versions)
		return NULL;
	json_t *answer = json_object();
	json_set_string(answer, "repo", repo);
	json_set_string(answer, "name", name);
	json_set(answer, "versions", versions);
	return answer;
}

bool datasets_use(Store *store, int64_t run, int64_t job, const char *digest, const char *name, int64_t version,
        GError **error)
{
	return sql_run(store, QUERY_DATASET_USE, VALUES(INT(run), TEXT(digest), INT(job), TEXT(name), INT(version)), error);
}

json_t *datasets_of_run(Store *store, int64_t run, GError **error)
{
	return sql_array(store, QUERY_DATASET_OF_RUN, VALUES(INT(run)), error);
}

int64_t datasets_judged(Store *store, const char *digest, int64_t run, GError **error)
{
	int64_t count = -1;
	if (!sql_run(store, QUERY_DATASET_JUDGE, VALUES(TEXT(digest), INT(run)), error) ||
	        !sql_int(store, QUERY_DATASET_JUDGED, VALUES(TEXT(digest)), &count, NULL, error))
		return -1;
	return count;
}
