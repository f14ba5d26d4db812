/* SPDX-License-Identifier: Apache-2.0 */
/* Environments. What an admin sets is checked whole here, since a rule that is misread protects nothing. */
#include "agent/store/environments.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/sql.h"

static bool is_texts(const json_t *value)
{
	size_t i;
	const json_t *item;
	if (!json_is_array(value))
		return false;
	json_array_foreach(value, i, item)
		if (!json_is_string(item) || json_string_length(item) == 0)
			return false;
	return true;
}

static bool check_rule(const char *key, const json_t *value, GError **error)
{
	if (strcmp(key, "reviewers") == 0 || strcmp(key, "branches") == 0)
		return is_texts(value) || fail(error, ASSAY_ERROR_USER, "'%s' is not a list of names", key);
	if (strcmp(key, "approvals") == 0)
		return (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= 100) ||
		        fail(error, ASSAY_ERROR_USER, "'approvals' is not a number from 0 to 100");
	if (strcmp(key, "expires_s") == 0)
		return json_is_null(value) || (json_is_integer(value) && json_integer_value(value) > 0) ||
		        fail(error, ASSAY_ERROR_USER, "'expires_s' is not a number of seconds above 0");
	if (strcmp(key, "self_review") == 0)
		return json_is_boolean(value) || fail(error, ASSAY_ERROR_USER, "'self_review' is not true or false");
	return fail(error, ASSAY_ERROR_USER,
	        "an environment has no rule '%.60s'; it has reviewers, approvals, self_review, expires_s and branches", key);
}

/* The rules with every default filled in; NULL when one cannot be. */
static json_t *complete(const json_t *given, GError **error)
{
	g_autoptr(json_t) rules = json_pack("{s:[],s:[],s:i,s:b}", "reviewers", "branches", "approvals", 1, "self_review", 0);
	const char *key;
	json_t *value;
	if (!json_is_object(given)) {
		fail(error, ASSAY_ERROR_USER, "its rules are not an object");
		return NULL;
	}
	json_object_foreach((json_t *)given, key, value) {
		if (!check_rule(key, value, error))
			return NULL;
		json_object_set(rules, key, value);
	}
	size_t reviewers = json_array_size(json_object_get(rules, "reviewers"));
	int64_t approvals = json_get_int(rules, "approvals", 1);
	if (reviewers > 0 && approvals > (int64_t)reviewers) {
		fail(error, ASSAY_ERROR_USER,
		        "%d approvals of %d reviewers can never be reached; name more reviewers or ask for fewer",
		        (int)approvals, (int)reviewers);
		return NULL;
	}
	return g_steal_pointer(&rules);
}

bool environments_set(Store *store, const char *repo, const char *name, const json_t *rules, GError **error)
{
	int64_t id = 0;
	if (!sql_name_check("an environment", name, error) || !sql_repo_id(store, repo, false, &id, error))
		return false;
	g_autoptr(json_t) whole = complete(rules, error);
	if (!whole) {
		g_prefix_error(error, "environment '%s': ", name);
		return false;
	}
	return sql_run(store, QUERY_ENVIRONMENT_PUT, VALUES(INT(id), TEXT(name), JSON(whole), INT(now_us())), error);
}

/* The rules stand beside the name, not in an object of their own. */
static void flatten(json_t *environment)
{
	g_autoptr(json_t) rules = json_incref(json_object_get(environment, "rules"));
	json_object_del(environment, "rules");
	json_object_update_missing(environment, rules);
}

json_t *environments_get(Store *store, const char *repo, const char *name, GError **error)
{
	int64_t id = 0;
	if (!sql_repo_id(store, repo, true, &id, error))
		return NULL;
	json_t *environment = sql_object(store, QUERY_ENVIRONMENT_GET, VALUES(INT(id), TEXT(name)), error);
	if (environment)
		flatten(environment);
	return environment;
}

json_t *environments_list(Store *store, const char *repo, GError **error)
{
	int64_t id = 0;
	if (!sql_repo_id(store, repo, true, &id, error))
		return NULL;
	json_t *list = sql_array(store, QUERY_ENVIRONMENT_LIST, VALUES(INT(id)), error);
	size_t i;
	json_t *environment;
	json_array_foreach(list, i, environment)
		flatten(environment);
	return list;
}
