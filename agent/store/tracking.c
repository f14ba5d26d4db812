/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Experiments and tracking runs, by MLflow's rules: a param is said once, a tag may change, a metric is a series whose
 * newest point is the one with the highest step, then time.
 */
#include "agent/store/tracking.h"

#include <math.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/store/sql.h"

#define HISTORY_MAX 100000

/* Scalars as text, as MLflow keeps params and tags. A number gets the fewest digits that mean it: 0.1, not 0.1000…01. */
static char *text_of(const json_t *value)
{
	if (json_is_real(value)) {
		static const char *const formats[] = {"%.15g", "%.16g", "%.17g"};
		char text[G_ASCII_DTOSTR_BUF_SIZE];
		for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
			g_ascii_formatd(text, sizeof text, formats[i], json_real_value(value));
			if (g_ascii_strtod(text, NULL) == json_real_value(value))
				break;
		}
		return g_strdup(text);
	}
	return json_is_string(value) ? g_strdup(json_string_value(value)) : json_text(value);
}

static bool put_param(Store *store, int64_t id, const char *name, const char *value, GError **error)
{
	GError *inner = NULL;
	g_autoptr(json_t) old = sql_object(store, QUERY_TRACKING_TEXT_GET, VALUES(INT(id), TEXT("param"), TEXT(name)), &inner);
	if (inner) {
		g_propagate_error(error, inner);
		return false;
	}
	const char *said = json_get_string(old, "value", NULL);
	if (said && strcmp(said, value) != 0)
		return fail(error, ASSAY_ERROR_USER,
		        "param '%.200s' is '%.200s' already and cannot become '%.200s'; log what changes as a metric or a tag",
		        name, said, value);
	return said || sql_run(store, QUERY_TRACKING_TEXT_PUT, VALUES(INT(id), TEXT("param"), TEXT(name), TEXT(value)), error);
}

static bool put_texts(Store *store, int64_t id, const json_t *fields, GError **error)
{
	const char *name;
	json_t *value;
	json_object_foreach(json_object_get(fields, "params"), name, value) {
		g_autofree char *text = text_of(value);
		if (!put_param(store, id, name, text, error))
			return false;
	}
	json_object_foreach(json_object_get(fields, "tags"), name, value) {
		g_autofree char *text = text_of(value);
		if (!sql_run(store, QUERY_TRACKING_TEXT_PUT, VALUES(INT(id), TEXT("tag"), TEXT(name), TEXT(text)), error))
			return false;
	}
	return true;
}

static bool put_metric(Store *store, int64_t id, const json_t *metric, GError **error)
{
	const char *name = json_get_string(metric, "name", NULL);
	const json_t *said = json_object_get(metric, "value");
	double value = json_get_real(metric, "value", 0);
	if (!name || !*name || !(json_is_number(said) || isnan(value) || isinf(value)))
		return fail(error, ASSAY_ERROR_USER, "metric '%.200s' has no name or is not a number", name ? name : "");
	int64_t step = json_get_int(metric, "step", 0);
	int64_t at = json_get_int(metric, "time", 0);
	const char *time_text = json_get_string(metric, "time", NULL);
	if ((time_text && !clock_parse(time_text, &at)) || at == 0)
		at = now_us();
	SqlValue nan = INT(isnan(value) ? 1 : 0);
	SqlValue number = REAL(isnan(value) ? 0 : value);
	int64_t series = 0;
	bool found = false;
	if (!sql_int(store, QUERY_METRIC_ID, VALUES(INT(id), TEXT(name)), &series, &found, error))
		return false;
	if (!found && !sql_int(store, QUERY_METRIC_ADD, VALUES(INT(id), TEXT(name), INT(step), INT(at), number, nan), &series,
	                      NULL, error))
		return false;
	return sql_run(store, QUERY_METRIC_POINT_ADD, VALUES(INT(series), INT(step), INT(at), number, nan), error) &&
	        (!found || sql_run(store, QUERY_METRIC_NEWEST, VALUES(INT(series), INT(step), INT(at), number, nan), error));
}

static bool put_all(Store *store, int64_t id, const json_t *fields, GError **error)
{
	size_t i;
	const json_t *metric;
	json_array_foreach(json_object_get(fields, "metrics"), i, metric)
		if (!put_metric(store, id, metric, error))
			return false;
	return put_texts(store, id, fields, error);
}

static bool start(Store *store, int64_t repo, int64_t run, int64_t job, const json_t *fields, const char *hex,
        GError **error)
{
	const char *experiment = json_get_string(fields, "experiment", "Default");
	int64_t experiment_id = 0;
	int64_t id = 0;
	return sql_run(store, QUERY_EXPERIMENT_ADD, VALUES(INT(repo), TEXT(experiment), INT(now_us())), error) &&
	        sql_int(store, QUERY_EXPERIMENT_ID, VALUES(INT(repo), TEXT(experiment)), &experiment_id, NULL, error) &&
	        sql_int(store, QUERY_TRACKING_ADD,
	                VALUES(TEXT(hex), INT(experiment_id), ID(run), ID(job), TEXT(json_get_string(fields, "name", hex)),
	                        INT(now_us())),
	                &id, NULL, error) &&
	        put_all(store, id, fields, error);
}

json_t *tracking_start(Store *store, int64_t repo, int64_t run, int64_t job, const json_t *fields, GError **error)
{
	uint8_t bytes[16];
	char hex[2 * sizeof bytes + 1];
	random_bytes(bytes, sizeof bytes);
	hex_write(bytes, sizeof bytes, hex);
	if (!sql_atomic_begin(store, error) ||
	        !sql_atomic_end(store, start(store, repo, run, job, fields, hex, error), error))
		return NULL;
	json_t *answer = json_object();
	json_set_string(answer, "tracking_run", hex);
	return answer;
}

static bool find(Store *store, const char *tracking_run, int64_t *out_id, GError **error)
{
	bool found = false;
	if (!sql_int(store, QUERY_TRACKING_ID, VALUES(TEXT(tracking_run)), out_id, &found, error))
		return false;
	return found || fail(error, ASSAY_ERROR_ABSENT, "no tracking run '%.40s'", tracking_run ? tracking_run : "");
}

bool tracking_log(Store *store, const char *tracking_run, const json_t *fields, GError **error)
{
	int64_t id = 0;
	return find(store, tracking_run, &id, error) && sql_atomic_begin(store, error) &&
	        sql_atomic_end(store, put_all(store, id, fields, error), error);
}

bool tracking_end(Store *store, const char *tracking_run, const char *status, GError **error)
{
	int64_t id = 0;
	static const char *const ends[] = {"FINISHED", "FAILED", "KILLED", NULL};
	if (!status || !g_strv_contains(ends, status))
		return fail(error, ASSAY_ERROR_USER, "a tracking run does not end as '%.40s'; use FINISHED, FAILED or KILLED",
		        status ? status : "");
	return find(store, tracking_run, &id, error) &&
	        sql_run(store, QUERY_TRACKING_END, VALUES(TEXT(tracking_run), TEXT(status), INT(now_us())), error);
}

/* Rows with a "name" as {name: value}, or {name: the rest of the row}. */
static bool attach_named(Store *store, json_t *object, const char *key, Query query, const SqlValue *values, size_t count,
        bool value_only, GError **error)
{
	g_autoptr(json_t) rows = sql_array(store, query, values, count, error);
	if (!rows)
		return false;
	json_t *named = json_object();
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row) {
		g_autofree char *name = g_strdup(json_get_string(row, "name", ""));
		json_object_del(row, "name");
		json_object_set(named, name, value_only ? json_object_get(row, "value") : row);
	}
	json_set(object, key, named);
	return true;
}

static bool fill(Store *store, json_t *run, GError **error)
{
	int64_t id = json_get_int(run, "id", 0);
	json_object_del(run, "id");
	return attach_named(store, run, "params", QUERY_TRACKING_TEXTS, VALUES(INT(id), TEXT("param")), true, error) &&
	        attach_named(store, run, "tags", QUERY_TRACKING_TEXTS, VALUES(INT(id), TEXT("tag")), true, error) &&
	        attach_named(store, run, "metrics", QUERY_METRIC_LIST, VALUES(INT(id)), false, error);
}

json_t *tracking_get(Store *store, const char *tracking_run, GError **error)
{
	g_autoptr(json_t) run = sql_one(store, QUERY_TRACKING_GET, VALUES(TEXT(tracking_run)), error,
	        "no tracking run '%.40s'", tracking_run ? tracking_run : "");
	if (!run || !fill(store, run, error))
		return NULL;
	return g_steal_pointer(&run);
}

json_t *tracking_history(Store *store, const char *tracking_run, const char *metric, int64_t limit, GError **error)
{
	if (limit <= 0 || limit > HISTORY_MAX)
		limit = HISTORY_MAX;
	return sql_array(store, QUERY_METRIC_HISTORY, VALUES(TEXT(tracking_run), TEXT(metric), INT(limit)), error);
}

json_t *tracking_of_run(Store *store, int64_t run, GError **error)
{
	g_autoptr(json_t) runs = sql_array(store, QUERY_TRACKING_OF_RUN, VALUES(INT(run)), error);
	size_t i;
	json_t *one;
	json_array_foreach(runs, i, one)
		if (!fill(store, one, error))
			return NULL;
	return g_steal_pointer(&runs);
}
