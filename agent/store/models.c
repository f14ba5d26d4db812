/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry. A version never changes; what moves are aliases, and each move is a line of the ledger, so "which
 * model was the release on that day, and who let it" has an answer.
 */
#include "agent/store/models.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/sql.h"

#define RELEASE_ALIAS "production"
#define NEWEST_ALIAS "latest" /* read only: it means the newest version */

static bool add_version(Store *store, int64_t model, int64_t number, int64_t run, int64_t job, const json_t *version,
        GError **error)
{
	const json_t *metrics = json_object_get(version, "metrics");
	const json_t *lineage = json_object_get(version, "lineage");
	const SqlValue values[] = {INT(model), INT(number), TEXT(json_get_string(version, "digest", NULL)),
	        INT(json_get_int(version, "files", 0)), INT(json_get_int(version, "bytes", 0)), ID(run), ID(job),
	        TEXT(json_get_string(version, "tracking_run", NULL)), INT(now_us()), JSON(metrics), JSON(lineage),
	        JSON(json_object_get(version, "signature")), TEXT(json_get_string(version, "card", NULL))};
	return sql_run(store, QUERY_MODEL_VERSION_ADD, values, G_N_ELEMENTS(values), error);
}

static bool register_version(Store *store, int64_t repo, int64_t run, int64_t job, const char *name,
        const json_t *version, int64_t *out_number, GError **error)
{
	int64_t model = 0;
	return sql_run(store, QUERY_MODEL_ADD, VALUES(INT(repo), TEXT(name), INT(now_us())), error) &&
	        sql_int(store, QUERY_MODEL_ID, VALUES(INT(repo), TEXT(name)), &model, NULL, error) &&
	        sql_int(store, QUERY_MODEL_NEXT, VALUES(INT(model)), out_number, NULL, error) &&
	        add_version(store, model, *out_number, run, job, version, error);
}

json_t *models_register(Store *store, int64_t repo, int64_t run, int64_t job, const char *name, const json_t *version,
        GError **error)
{
	const char *digest = json_get_string(version, "digest", NULL);
	if (!sql_name_check("a model", name, error))
		return NULL;
	if (!digest || strlen(digest) != 64) {
		fail(error, ASSAY_ERROR_USER, "a version of model '%s' has no digest", name);
		return NULL;
	}
	int64_t number = 0;
	if (!sql_atomic_begin(store, error) ||
	        !sql_atomic_end(store, register_version(store, repo, run, job, name, version, &number, error), error))
		return NULL;
	json_t *answer = json_object();
	json_set_int(answer, "version", number);
	json_set_string(answer, "digest", digest);
	return answer;
}

static bool model_id(Store *store, int64_t repo, const char *name, int64_t *out, GError **error)
{
	bool found = false;
	if (!sql_int(store, QUERY_MODEL_ID, VALUES(INT(repo), TEXT(name)), out, &found, error))
		return false;
	return found || fail(error, ASSAY_ERROR_ABSENT, "no model '%s'; see 'assay model list'", name ? name : "");
}

json_t *models_get(Store *store, int64_t repo, const char *name, int64_t version, const char *alias, GError **error)
{
	int64_t model = 0;
	if (!model_id(store, repo, name, &model, error))
		return NULL;
	if (version == 0 && g_strcmp0(alias, NEWEST_ALIAS) == 0)
		return sql_one(store, QUERY_MODEL_GET_NEWEST, VALUES(INT(repo), TEXT(name)), error,
		        "model '%s' has no version", name);
	if (version == 0) {
		bool found = false;
		const char *wanted = alias ? alias : RELEASE_ALIAS;
		if (!sql_int(store, QUERY_ALIAS_GET, VALUES(INT(model), TEXT(wanted)), &version, &found, error))
			return NULL;
		if (!found) {
			fail(error, ASSAY_ERROR_ABSENT, "no version of model '%s' has the alias '%s'; see 'assay model show %s'",
			        name, wanted, name);
			return NULL;
		}
	}
	return sql_one(store, QUERY_MODEL_GET_VERSION, VALUES(INT(repo), TEXT(name), INT(version)), error,
	        "model '%s' has no version %" G_GINT64_FORMAT "; see 'assay model show %s'", name, version, name);
}

/* MLflow reads "v7" as a version and "latest" as the newest: as aliases they would mean two things. */
static bool check_alias(const char *alias, GError **error)
{
	if (!sql_name_check("an alias", alias, error))
		return false;
	if (g_ascii_strcasecmp(alias, NEWEST_ALIAS) == 0)
		return fail(error, ASSAY_ERROR_USER, "'%s' always means the newest version and cannot be set", alias);
	bool version = (alias[0] == 'v' || alias[0] == 'V') && alias[1] && strspn(alias + 1, "0123456789") == strlen(alias + 1);
	return !version || fail(error, ASSAY_ERROR_USER, "'%s' reads as a version and cannot be an alias", alias);
}

typedef struct Move {
	int64_t model;
	const char *alias;
	int64_t version;
	int64_t previous; /* 0: none */
	int64_t gate;
	const char *actor;
} Move;

static bool move_alias(Store *store, const Move *move, GError **error)
{
	int64_t at = now_us();
	return sql_run(store, QUERY_ALIAS_PUT, VALUES(INT(move->model), TEXT(move->alias), INT(move->version), INT(at)),
	               error) &&
	        sql_run(store, QUERY_LEDGER_ADD,
	                VALUES(INT(move->model), TEXT(move->alias), INT(move->version), ID(move->previous), ID(move->gate),
	                        TEXT(move->actor), INT(at)),
	                error);
}

json_t *models_alias(Store *store, int64_t repo, const char *name, int64_t version, const char *alias, int64_t gate,
        const char *actor, GError **error)
{
	Move move = {.alias = alias, .version = version, .gate = gate, .actor = actor ? actor : ""};
	if (!check_alias(alias, error) || !model_id(store, repo, name, &move.model, error))
		return NULL;
	g_autoptr(json_t) there = sql_one(store, QUERY_MODEL_GET_VERSION, VALUES(INT(repo), TEXT(name), INT(version)), error,
	        "model '%s' has no version %" G_GINT64_FORMAT "; see 'assay model show %s'", name, version, name);
	if (!there || !sql_int(store, QUERY_ALIAS_GET, VALUES(INT(move.model), TEXT(alias)), &move.previous, NULL, error))
		return NULL;
	/* Where it is already there is no move, and so no line of the ledger. */
	if (move.previous != version &&
	        (!sql_atomic_begin(store, error) || !sql_atomic_end(store, move_alias(store, &move, error), error)))
		return NULL;
	json_t *answer = json_object();
	json_set(answer, "previous", move.previous ? json_integer(move.previous) : NULL);
	return answer;
}

/* Sets model[key] to the row of a query about it, or null. */
static bool attach_row(Store *store, json_t *model, const char *key, Query query, GError **error)
{
	GError *inner = NULL;
	json_t *row = sql_object(store, query, VALUES(INT(json_get_int(model, "id", 0))), &inner);
	if (inner) {
		g_propagate_error(error, inner);
		return false;
	}
	json_set(model, key, row);
	return true;
}

json_t *models_list(Store *store, const char *repo, const char *after, int64_t limit, GError **error)
{
	Page page;
	int64_t repo_id = 0;
	if (!page_parse(after, limit, &page, error) || (repo && !sql_repo_id(store, repo, true, &repo_id, error)))
		return NULL;
	g_autoptr(json_t) answer = repo
	        ? sql_page(store, QUERY_MODEL_LIST_REPO, VALUES(INT(page.at), INT(page.rows), INT(repo_id)), "models", &page,
	                  error)
	        : sql_page(store, QUERY_MODEL_LIST, VALUES(INT(page.at), INT(page.rows)), "models", &page, error);
	size_t i;
	json_t *model;
	json_array_foreach(json_object_get(answer, "models"), i, model)
		if (!attach_row(store, model, "release", QUERY_MODEL_RELEASE, error) ||
		        !attach_row(store, model, "newest", QUERY_MODEL_NEWEST, error))
			return NULL;
	return g_steal_pointer(&answer);
}

json_t *models_show(Store *store, const char *repo, const char *name, GError **error)
{
	int64_t repo_id = 0;
	int64_t id = 0;
	if (!sql_repo_id(store, repo, true, &repo_id, error) || !model_id(store, repo_id, name, &id, error))
		return NULL;
	g_autoptr(json_t) versions = sql_array(store, QUERY_MODEL_VERSIONS, VALUES(INT(id)), error);
	g_autoptr(json_t) ledger = versions ? sql_array(store, QUERY_LEDGER_LIST, VALUES(INT(id)), error) : NULL;
	if (!ledger)
		return NULL;
	json_t *answer = json_object();
	json_set_string(answer, "repo", repo);
	json_set_string(answer, "name", name);
	json_set(answer, "versions", g_steal_pointer(&versions));
	json_set(answer, "ledger", g_steal_pointer(&ledger));
	return answer;
}
