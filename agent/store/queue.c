/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks. Taking one grows its fence and nothing else can: a worker of an older lease carries a smaller number, and
 * what it says is refused with BUSY. A lease has no time limit; it ends when its worker does (daemon/follow.c).
 */
#include "agent/store/queue.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/sql.h"

void task_free(Task *task)
{
	if (!task)
		return;
	g_free(task->kind);
	json_decref(task->input);
	g_free(task);
}

/* Columns as in TASK_COLUMNS of queries.def. */
static Task *task_of_row(const Rows *rows)
{
	Task *task = g_new0(Task, 1);
	const char *input = rows_text(rows, 6);
	*task = (Task){
	        .id = rows_int(rows, 0),
	        .fence = rows_int(rows, 1),
	        .kind = g_strdup(rows_text(rows, 2)),
	        .repo = rows_int(rows, 3),
	        .run = rows_int(rows, 4),
	        .job = rows_int(rows, 5),
	        .input = input ? json_parse(input, strlen(input), "a task's input", NULL) : NULL,
	        .pid = rows_int(rows, 7),
	        .pid_start = rows_int(rows, 8),
	        .offset = rows_int(rows, 9),
	        .deadline_us = rows_int(rows, 10),
	        .cancelling = rows_int(rows, 11) != 0,
	};
	return task;
}

bool queue_put(Store *store, const char *kind, int64_t repo, int64_t run, int64_t job, const json_t *input,
        int64_t priority, int64_t *out_id, GError **error)
{
	return sql_insert(store, QUERY_TASK_PUT,
	        VALUES(TEXT(kind), INT(repo), ID(run), ID(job), JSON(input), INT(priority), INT(now_us())), out_id, error);
}

static bool next_task(Store *store, bool with_jobs, Task **out, GError **error)
{
	GError *inner = NULL;
	g_auto(Rows) rows = sql_query(store, QUERY_TASK_NEXT, VALUES(INT(with_jobs)), &inner);
	*out = rows_next(&rows, &inner) ? task_of_row(&rows) : NULL;
	if (inner)
		g_propagate_error(error, inner);
	return inner == NULL;
}

static bool fenced(Store *store, Query query, const SqlValue *values, size_t count, int64_t id, GError **error)
{
	int64_t changed = 0;
	if (!sql_run_counted(store, query, values, count, &changed, error))
		return false;
	return changed > 0 ||
	        fail(error, ASSAY_ERROR_BUSY, "task %" G_GINT64_FORMAT " has ended, or was given to another worker", id);
}

bool queue_has_ready(Store *store, bool with_jobs)
{
	bool found = false;
	GError *error = NULL;
	bool told = sql_int(store, QUERY_TASK_READY, VALUES(INT(with_jobs)), NULL, &found, &error);
	g_clear_error(&error);
	return found || !told; /* who asks will hear why */
}

/* Nobody comes between the two statements: the store has one writer. */
bool queue_take(Store *store, bool with_jobs, int64_t at_us, Task **out, GError **error)
{
	g_autoptr(Task) task = NULL;
	if (!next_task(store, with_jobs, &task, error) ||
	        (task && !fenced(store, QUERY_TASK_TAKE, VALUES(INT(task->id), INT(at_us)), task->id, error)))
		return false;
	if (task)
		task->fence++;
	*out = g_steal_pointer(&task);
	return true;
}

bool queue_started(Store *store, int64_t id, int64_t fence, int64_t pid, int64_t pid_start, int64_t deadline_us,
        GError **error)
{
	return fenced(store, QUERY_TASK_STARTED,
	        VALUES(INT(id), INT(fence), INT(pid), INT(pid_start), INT(deadline_us)), id, error);
}

bool queue_advance(Store *store, int64_t id, int64_t fence, int64_t offset, GError **error)
{
	return fenced(store, QUERY_TASK_ADVANCE, VALUES(INT(id), INT(fence), INT(offset)), id, error);
}

bool queue_set_cancelling(Store *store, int64_t id, int64_t deadline_us, GError **error)
{
	return fenced(store, QUERY_TASK_CANCELLING, VALUES(INT(id), INT(deadline_us)), id, error);
}

bool queue_give_back(Store *store, int64_t id, int64_t fence, GError **error)
{
	return fenced(store, QUERY_TASK_GIVE_BACK, VALUES(INT(id), INT(fence)), id, error);
}

bool queue_finish(Store *store, int64_t id, GError **error)
{
	return sql_run(store, QUERY_TASK_FINISH, VALUES(INT(id)), error);
}

static void free_task(void *task)
{
	task_free(task);
}

GPtrArray *queue_leased(Store *store, GError **error)
{
	GError *inner = NULL;
	g_autoptr(GPtrArray) tasks = g_ptr_array_new_with_free_func(free_task);
	g_auto(Rows) rows = sql_query(store, QUERY_TASK_LEASED, NO_VALUES, &inner);
	while (rows_next(&rows, &inner))
		g_ptr_array_add(tasks, task_of_row(&rows));
	if (inner) {
		g_propagate_error(error, inner);
		return NULL;
	}
	return g_steal_pointer(&tasks);
}

Task *queue_of_job(Store *store, int64_t job, GError **error)
{
	g_auto(Rows) rows = sql_query(store, QUERY_TASK_OF_JOB, VALUES(INT(job)), error);
	return rows_next(&rows, error) ? task_of_row(&rows) : NULL;
}

bool queue_has_survey(Store *store, int64_t repo)
{
	int64_t count = 0;
	return sql_int(store, QUERY_TASK_SURVEYS, VALUES(INT(repo)), &count, NULL, NULL) && count > 0;
}

int64_t queue_count(Store *store, const char *kind)
{
	int64_t count = 0;
	if (kind)
		sql_int(store, QUERY_TASK_COUNT, VALUES(TEXT(kind)), &count, NULL, NULL);
	else
		sql_int(store, QUERY_TASK_COUNT_ALL, NO_VALUES, &count, NULL, NULL);
	return count;
}

bool queue_answer(Store *store, int64_t task, int64_t ask, const json_t *answer, GError **error)
{
	return sql_run(store, QUERY_ANSWER_PUT, VALUES(INT(task), INT(ask), JSON(answer)), error);
}

json_t *queue_answers(Store *store, int64_t task, GError **error)
{
	g_autoptr(json_t) rows = sql_array(store, QUERY_ANSWER_LIST, VALUES(INT(task)), error);
	if (!rows)
		return NULL;
	json_t *answers = json_array();
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row) {
		json_t *answer = json_object_get(row, "answer");
		json_set_int(answer, "ask", json_get_int(row, "ask", 0));
		json_array_append(answers, answer);
	}
	return answers;
}
