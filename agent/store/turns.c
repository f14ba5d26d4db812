/* SPDX-License-Identifier: Apache-2.0 */
/* Turns: a row for each that holds a lock or waits for one. Nothing else knows who is next. */
#include "agent/store/turns.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/store/sql.h"

static json_t *find(Store *store, const char *lock, int64_t run, int64_t job, GError **error)
{
	return job ? sql_object(store, QUERY_TURN_OF_JOB, VALUES(INT(job), TEXT(lock)), error)
	           : sql_object(store, QUERY_TURN_OF_RUN, VALUES(INT(run)), error);
}

bool turns_take(Store *store, int64_t repo, const char *lock, int64_t places, int64_t run, int64_t job, TurnState *out,
        GError **error)
{
	GError *inner = NULL;
	g_autoptr(json_t) mine = find(store, lock, run, job, &inner);
	if (inner) {
		g_propagate_error(error, inner);
		return false;
	}
	if (mine) {
		*out = strcmp(json_get_string(mine, "state", ""), "waits") == 0 ? TURN_WAITS : TURN_HOLDS;
		return true;
	}
	int64_t holds = 0;
	if (!sql_int(store, QUERY_TURN_ADD, VALUES(INT(repo), TEXT(lock), INT(run), ID(job), INT(places)), &holds, NULL,
	            error))
		return false;
	*out = holds ? TURN_HOLDS : TURN_WAITS_NEWLY;
	return true;
}

bool turns_hold(Store *store, int64_t turn, GError **error)
{
	return sql_run(store, QUERY_TURN_HOLD, VALUES(INT(turn)), error);
}

bool turns_leave(Store *store, int64_t run, int64_t job, GError **error)
{
	const SqlValue whose = INT(job ? job : run);
	g_autoptr(json_t) left = sql_array(store, job ? QUERY_TURNS_OF_JOB : QUERY_TURNS_OF_RUN, &whose, 1, error);
	if (!left)
		return false;
	if (json_array_size(left) == 0) /* most never stood in a line */
		return true;
	if (!sql_run(store, job ? QUERY_TURN_LEAVE_JOB : QUERY_TURN_LEAVE_RUN, &whose, 1, error))
		return false;
	size_t i;
	json_t *turn;
	json_array_foreach(left, i, turn) {
		if (strcmp(json_get_string(turn, "state", ""), "waits") == 0)
			continue;
		if (!sql_run(store, QUERY_TURN_CALL,
		            VALUES(INT(json_get_int(turn, "repo", 0)), TEXT(json_get_string(turn, "lock", ""))), error))
			return false;
	}
	return true;
}

json_t *turns_next(Store *store, GError **error)
{
	return sql_object(store, QUERY_TURN_NEXT, NO_VALUES, error);
}

json_t *turns_holder(Store *store, int64_t repo, const char *lock, GError **error)
{
	return sql_object(store, QUERY_TURN_HOLDER, VALUES(INT(repo), TEXT(lock)), error);
}

json_t *turns_waiting(Store *store, int64_t repo, const char *lock, GError **error)
{
	return sql_array(store, QUERY_TURN_WAITING, VALUES(INT(repo), TEXT(lock)), error);
}

json_t *turns_first(Store *store, int64_t repo, const char *lock, GError **error)
{
	return sql_object(store, QUERY_TURN_FIRST, VALUES(INT(repo), TEXT(lock)), error);
}

bool turns_say(Store *store, int64_t run, const char *message, GError **error)
{
	return sql_run(store, QUERY_TURN_SAY, VALUES(INT(run), TEXT(message)), error);
}
