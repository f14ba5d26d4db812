/* SPDX-License-Identifier: Apache-2.0 */
/* What was read of a repo's workflows replaces what was known; only the times of schedules that stay are kept. */
#include "agent/store/workflows.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/model/cron.h"
#include "agent/store/sql.h"

/* 0: never again, or it cannot be read. */
static int64_t next_time(const char *cron, const char *timezone, int64_t after_us)
{
	Cron read;
	if (!cron_parse(cron, &read, NULL))
		return 0;
	g_autoptr(GTimeZone) zone = timezone[0] ? g_time_zone_new_identifier(timezone) : NULL;
	return MAX(cron_next(&read, after_us, zone), 0);
}

static bool add_schedule(Store *store, int64_t repo, const char *path, const json_t *entry, int64_t at_us, GError **error)
{
	const char *cron = json_get_string(entry, "cron", NULL), *timezone = json_get_string(entry, "timezone", "");
	int64_t next = cron ? next_time(cron, timezone, at_us) : 0;
	return next == 0 || sql_run(store, QUERY_SCHEDULE_ADD, VALUES(INT(repo), TEXT(path), TEXT(cron), TEXT(timezone), INT(next)), error);
}

static bool is_listed(const json_t *list, const json_t *row)
{
	size_t i, k;
	json_t *workflow, *entry;
	json_array_foreach(list, i, workflow)
		if (g_strcmp0(json_get_string(workflow, "path", NULL), json_get_string(row, "path", "")) == 0)
			json_array_foreach(json_object_get(workflow, "schedule"), k, entry)
				if (strcmp(json_get_string(entry, "cron", ""), json_get_string(row, "cron", "")) == 0 &&
				        strcmp(json_get_string(entry, "timezone", ""), json_get_string(row, "timezone", "")) == 0)
					return true;
	return false;
}

static bool set(Store *store, int64_t repo, const char *ref, const char *sha, const json_t *list, int64_t at_us, GError **error)
{
	g_autoptr(json_t) old = sql_array(store, QUERY_SCHEDULE_OF_REPO, VALUES(INT(repo)), error);
	if (!old || !sql_run(store, QUERY_SURVEY_PUT, VALUES(INT(repo), TEXT(ref), TEXT(sha), INT(at_us)), error) ||
	        !sql_run(store, QUERY_WORKFLOW_FORGET, VALUES(INT(repo)), error))
		return false;
	size_t i, k;
	json_t *row, *entry;
	json_array_foreach(old, i, row)
		if (!is_listed(list, row) &&
		        !sql_run(store, QUERY_SCHEDULE_REMOVE,
		                VALUES(INT(repo), TEXT(json_get_string(row, "path", "")), TEXT(json_get_string(row, "cron", "")),
		                        TEXT(json_get_string(row, "timezone", ""))), error))
			return false;
	json_array_foreach(list, i, row) {
		const char *path = json_get_string(row, "path", NULL);
		const json_t *inputs = json_object_get(row, "inputs");
		if (!path)
			continue;
		if (!sql_run(store, QUERY_WORKFLOW_PUT,
		            VALUES(INT(repo), TEXT(path), TEXT(json_get_string(row, "name", path)), JSON(json_is_array(inputs) ? inputs : NULL)),
		            error))
			return false;
		json_array_foreach(json_object_get(row, "schedule"), k, entry)
			if (!add_schedule(store, repo, path, entry, at_us, error))
				return false;
	}
	return true;
}

bool workflows_set(Store *store, int64_t repo, const char *ref, const char *sha, const json_t *list, int64_t at_us, GError **error)
{
	return sql_atomic_begin(store, error) && sql_atomic_end(store, set(store, repo, ref, sha, list, at_us, error), error);
}

json_t *workflows_list(Store *store, int64_t repo, GError **error)
{
	GError *inner = NULL;
	json_t *survey = sql_object(store, QUERY_SURVEY_GET, VALUES(INT(repo)), &inner);
	if (inner) {
		g_propagate_error(error, inner);
		return NULL;
	}
	g_autoptr(json_t) answer = survey ? survey : json_pack("{s:n,s:n,s:n}", "ref", "sha", "at");
	g_autoptr(json_t) schedules = sql_array(store, QUERY_SCHEDULE_OF_REPO, VALUES(INT(repo)), error);
	json_t *list = schedules ? sql_array(store, QUERY_WORKFLOW_LIST, VALUES(INT(repo)), error) : NULL;
	if (!list)
		return NULL;
	json_set(answer, "workflows", list);
	size_t i, k;
	json_t *workflow, *row;
	json_array_foreach(list, i, workflow) {
		json_t *own = json_array();
		json_array_foreach(schedules, k, row) {
			if (strcmp(json_get_string(row, "path", ""), json_get_string(workflow, "path", "")) != 0)
				continue;
			json_t *copy = json_copy(row);
			json_object_del(copy, "path");
			json_array_append_new(own, copy);
		}
		json_set(workflow, "schedule", own);
	}
	return g_steal_pointer(&answer);
}

char *workflows_ref(Store *store, int64_t repo)
{
	g_autoptr(json_t) survey = sql_object(store, QUERY_SURVEY_GET, VALUES(INT(repo)), NULL);
	return g_strdup(json_get_string(survey, "ref", NULL));
}

int64_t schedules_next(Store *store)
{
	int64_t at = 0;
	sql_int(store, QUERY_SCHEDULE_NEXT, NO_VALUES, &at, NULL, NULL);
	return at;
}

json_t *schedules_due(Store *store, int64_t at_us, GError **error)
{
	return sql_array(store, QUERY_SCHEDULE_DUE, VALUES(INT(at_us)), error);
}

bool schedules_started(Store *store, const json_t *due, int64_t at_us, GError **error)
{
	const char *cron = json_get_string(due, "cron", ""), *timezone = json_get_string(due, "timezone", "");
	return sql_run(store, QUERY_SCHEDULE_STARTED,
	        VALUES(INT(json_get_int(due, "repo", 0)), TEXT(json_get_string(due, "path", "")), TEXT(cron), TEXT(timezone),
	                ID(next_time(cron, timezone, at_us)), INT(at_us)), error);
}

json_t *schedules_list(Store *store, const char *repo, int64_t limit, GError **error)
{
	int64_t id = 0;
	if (repo && !sql_repo_id(store, repo, false, &id, error))
		return NULL;
	return sql_array(store, QUERY_SCHEDULE_LIST, VALUES(ID(id), INT(limit)), error);
}
