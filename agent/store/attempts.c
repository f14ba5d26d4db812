/* SPDX-License-Identifier: Apache-2.0 */
/* What a re-run writes: one row for the attempt that was the newest, one for the new one. */
#include "agent/store/attempts.h"

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/store/sql.h"

bool attempts_begin(Store *store, int64_t run, const char *actor, const char *jobs, bool debug, int64_t *out_attempt,
        GError **error)
{
	bool found = false;
	if (!sql_run(store, QUERY_ATTEMPT_KEEP, VALUES(INT(run)), error) ||
	        !sql_int(store, QUERY_ATTEMPT_NEXT, VALUES(INT(run)), out_attempt, &found, error))
		return false;
	if (!found)
		return fail(error, ASSAY_ERROR_ABSENT, "no run with id %" G_GINT64_FORMAT "; see 'assay runs list'", run);
	return sql_run(store, QUERY_ATTEMPT_ADD,
	        VALUES(INT(run), INT(*out_attempt), TEXT(actor), TEXT(jobs), INT(debug), INT(now_us())), error);
}

static bool change(Store *store, Query query, const SqlValue *values, size_t count, int64_t job, const char *otherwise,
        GError **error)
{
	int64_t changed = 0;
	if (!sql_run_counted(store, query, values, count, &changed, error))
		return false;
	return changed > 0 || fail(error, ASSAY_ERROR_BUSY, "job %" G_GINT64_FORMAT " %s", job, otherwise);
}

bool attempts_replace(Store *store, int64_t job, int64_t attempt, GError **error)
{
	return change(store, QUERY_JOB_REPLACE, VALUES(INT(job), INT(attempt)), job, "was run again already", error);
}

bool attempts_take_over(Store *store, int64_t job, int64_t attempt, bool debug, GError **error)
{
	return change(store, QUERY_JOB_TO_ATTEMPT, VALUES(INT(job), INT(attempt), INT(debug)), job, "has begun already", error);
}
