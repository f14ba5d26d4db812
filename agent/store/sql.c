/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements by number, kept prepared; values in, rows as JSON out; and what SQLite's codes mean to a person. The
 * other files of this folder say which statement and what it means, and never touch sqlite3_* themselves.
 */
#include "agent/store/sql.h"

#include <string.h>

#include "agent/base/clock.h"

#define PAGE_DEFAULT 50
#define PAGE_MAX 500
#define NAME_BYTES_MAX 200

static const char *const texts[] = {
#define Q(name, text) [QUERY_##name] = (text),
#include "agent/store/queries.def"
#undef Q
};

const char *sql_text(Query query)
{
	return texts[query];
}

bool sql_fail(Store *store, int code, GError **error)
{
	const char *said = store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
	switch (code & 0xff) {
	case SQLITE_FULL:
		return fail(error, ASSAY_ERROR_SYSTEM, "cannot write %s: the disk is full; free some space and try again",
		        store->path);
	case SQLITE_IOERR:
		return fail(error, ASSAY_ERROR_SYSTEM,
		        "cannot read or write %s: %s (%s); check the disk and the kernel's log", store->path,
		        sqlite3_errstr(code), g_strerror(store->db ? sqlite3_system_errno(store->db) : 0));
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fail(error, ASSAY_ERROR_BUSY, "%s is in use by another process; stop it, or try again", store->path);
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return fail(error, ASSAY_ERROR_SYSTEM,
		        "cannot write %s: it is read-only; check its owner and how its disk is mounted", store->path);
	case SQLITE_CANTOPEN:
		return fail(error, ASSAY_ERROR_SYSTEM, "cannot open %s: %s; check that its folder can be written to",
		        store->path, g_strerror(store->db ? sqlite3_system_errno(store->db) : 0));
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return fail(error, ASSAY_ERROR_SYSTEM,
		        "cannot read %s: %s; stop the agent and restore the last backup ('assay restore')", store->path,
		        said);
	case SQLITE_CONSTRAINT:
		return fail(error, ASSAY_ERROR_USER, "it does not fit what is there: %s", said);
	case SQLITE_TOOBIG:
		return fail(error, ASSAY_ERROR_USER, "a value is too large to be kept");
	default:
		return fail(error, ASSAY_ERROR_SYSTEM, "cannot use %s: %s", store->path, said);
	}
}

sqlite3_stmt *sql_prepare(Store *store, Query query, GError **error)
{
	sqlite3_stmt **kept = &store->statements[query];
	if (*kept)
		return *kept;
	int code = sqlite3_prepare_v3(store->db, texts[query], -1, SQLITE_PREPARE_PERSISTENT, kept, NULL);
	if (code != SQLITE_OK)
		sql_fail(store, code, error);
	return *kept;
}

static int bind(sqlite3_stmt *statement, int index, const SqlValue *value)
{
	switch (value->kind) {
	case SQL_INT:
		return sqlite3_bind_int64(statement, index, value->number);
	case SQL_REAL:
		return sqlite3_bind_double(statement, index, value->real);
	case SQL_TEXT:
		return sqlite3_bind_text(statement, index, value->bytes, -1, SQLITE_STATIC);
	case SQL_BYTES:
		return value->bytes || value->len ? sqlite3_bind_blob64(statement, index, value->bytes, value->len,
		                                            SQLITE_STATIC)
		                                  : sqlite3_bind_null(statement, index);
	case SQL_JSON:
		if (!value->json || json_is_null(value->json))
			return sqlite3_bind_null(statement, index);
		return sqlite3_bind_text(statement, index, json_text_unsorted(value->json), -1, g_free);
	case SQL_NULL:
	default:
		return sqlite3_bind_null(statement, index);
	}
}

void rows_clear(Rows *rows)
{
	if (!rows->statement)
		return;
	sqlite3_reset(rows->statement);
	sqlite3_clear_bindings(rows->statement); /* keeps no pointer into what the caller is about to free */
	rows->statement = NULL;
}

Rows sql_query(Store *store, Query query, const SqlValue *values, size_t count, GError **error)
{
	Rows rows = {.store = store};
	/* After an error such as a full disk SQLite itself undoes the transaction: nothing may then run outside it. */
	if (store->depth > 0 && (store->doomed || sqlite3_get_autocommit(store->db))) {
		fail(error, ASSAY_ERROR_SYSTEM, "the transaction was undone: a part of it failed");
		return rows;
	}
	sqlite3_stmt *statement = sql_prepare(store, query, error);
	if (!statement)
		return rows;
	g_assert(!sqlite3_stmt_busy(statement));
	for (size_t i = 0; i < count; i++) {
		int code = bind(statement, (int)i + 1, &values[i]);
		if (code != SQLITE_OK) {
			sql_fail(store, code, error);
			sqlite3_clear_bindings(statement);
			return rows;
		}
	}
	rows.statement = statement;
	return rows;
}

bool rows_next(Rows *rows, GError **error)
{
	if (!rows->statement)
		return false;
	int code = sqlite3_step(rows->statement);
	if (code == SQLITE_ROW)
		return true;
	if (code != SQLITE_DONE)
		sql_fail(rows->store, code, error);
	return false;
}

int64_t rows_int(const Rows *rows, int column)
{
	return sqlite3_column_int64(rows->statement, column);
}

const char *rows_text(const Rows *rows, int column)
{
	return (const char *)sqlite3_column_text(rows->statement, column);
}

const void *rows_bytes(const Rows *rows, int column, size_t *out_len)
{
	const void *bytes = sqlite3_column_blob(rows->statement, column);
	*out_len = (size_t)sqlite3_column_bytes(rows->statement, column);
	return bytes;
}

static json_t *column_text(sqlite3_stmt *statement, int column, const char *kind)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);
	size_t len = (size_t)sqlite3_column_bytes(statement, column);
	if (g_strcmp0(kind, "json") != 0)
		return json_string_any(text ? text : "", len);
	json_t *value = json_parse(text ? text : "null", text ? len : 4, "a stored value", NULL);
	return value ? value : json_null();
}

static json_t *column_value(sqlite3_stmt *statement, int column, const char *kind)
{
	switch (sqlite3_column_type(statement, column)) {
	case SQLITE_INTEGER: {
		int64_t number = sqlite3_column_int64(statement, column);
		if (g_strcmp0(kind, "bool") == 0)
			return json_boolean(number != 0);
		if (g_strcmp0(kind, "time") != 0)
			return json_integer(number);
		char text[CLOCK_TEXT_BYTES];
		return json_string(clock_text(number, text));
	}
	case SQLITE_FLOAT: {
		g_autoptr(json_t) holder = json_object();
		json_set_real(holder, "", sqlite3_column_double(statement, column));
		return json_incref(json_object_get(holder, ""));
	}
	case SQLITE_TEXT:
		return column_text(statement, column, kind);
	case SQLITE_BLOB: {
		const char *bytes = sqlite3_column_blob(statement, column);
		return json_string_any(bytes ? bytes : "", (size_t)sqlite3_column_bytes(statement, column));
	}
	default:
		return json_null();
	}
}

json_t *rows_object(const Rows *rows)
{
	json_t *object = json_object();
	int columns = sqlite3_column_count(rows->statement);
	for (int i = 0; i < columns; i++) {
		const char *alias = sqlite3_column_name(rows->statement, i);
		const char *colon = strchr(alias, ':');
		json_t *value = column_value(rows->statement, i, colon ? colon + 1 : NULL);
		json_object_setn_new(object, alias, colon ? (size_t)(colon - alias) : strlen(alias), value);
	}
	return object;
}

bool sql_run_counted(Store *store, Query query, const SqlValue *values, size_t count, int64_t *out_changed,
        GError **error)
{
	GError *inner = NULL;
	g_auto(Rows) rows = sql_query(store, query, values, count, &inner);
	int64_t before = sqlite3_total_changes64(store->db);
	while (rows_next(&rows, &inner))
		;
	if (inner) {
		g_propagate_error(error, inner);
		return false;
	}
	if (out_changed)
		*out_changed = sqlite3_total_changes64(store->db) - before;
	return true;
}

bool sql_run(Store *store, Query query, const SqlValue *values, size_t count, GError **error)
{
	return sql_run_counted(store, query, values, count, NULL, error);
}

bool sql_insert(Store *store, Query query, const SqlValue *values, size_t count, int64_t *out_id, GError **error)
{
	if (!sql_run(store, query, values, count, error))
		return false;
	if (out_id)
		*out_id = sqlite3_last_insert_rowid(store->db);
	return true;
}

bool sql_insert_fresh(Store *store, Query query, const SqlValue *values, size_t count, int64_t *out_id, bool *out_fresh,
        GError **error)
{
	int64_t changed = 0;
	if (!sql_run_counted(store, query, values, count, &changed, error))
		return false;
	*out_fresh = changed > 0;
	if (changed > 0)
		*out_id = sqlite3_last_insert_rowid(store->db);
	return true;
}

int sql_control(Store *store, Query query)
{
	sqlite3_stmt *statement = sql_prepare(store, query, NULL);
	if (!statement)
		return sqlite3_extended_errcode(store->db);
	sqlite3_step(statement);
	return sqlite3_reset(statement); /* what the step came to, and SQLite's words for it stay */
}

bool sql_int(Store *store, Query query, const SqlValue *values, size_t count, int64_t *out, bool *out_found,
        GError **error)
{
	GError *inner = NULL;
	g_auto(Rows) rows = sql_query(store, query, values, count, &inner);
	bool found = rows_next(&rows, &inner);
	int64_t number = found ? rows_int(&rows, 0) : 0;
	/* A statement that writes and returns is not done before its end is seen. */
	while (!inner && found && rows_next(&rows, &inner))
		;
	if (inner) {
		g_propagate_error(error, inner);
		return false;
	}
	if (found && out)
		*out = number;
	if (out_found)
		*out_found = found;
	return true;
}

json_t *sql_object(Store *store, Query query, const SqlValue *values, size_t count, GError **error)
{
	g_auto(Rows) rows = sql_query(store, query, values, count, error);
	return rows_next(&rows, error) ? rows_object(&rows) : NULL;
}

json_t *sql_one(Store *store, Query query, const SqlValue *values, size_t count, GError **error, const char *format,
        ...)
{
	GError *inner = NULL;
	json_t *object = sql_object(store, query, values, count, &inner);
	if (inner) {
		g_propagate_error(error, inner);
	} else if (!object) {
		va_list args;
		va_start(args, format);
		g_autofree char *text = g_strdup_vprintf(format, args);
		va_end(args);
		fail(error, ASSAY_ERROR_ABSENT, "%s", text);
	}
	return object;
}

static json_t *collect(Store *store, Query query, const SqlValue *values, size_t count, bool first_only,
        GError **error)
{
	GError *inner = NULL;
	g_autoptr(json_t) array = json_array();
	g_auto(Rows) rows = sql_query(store, query, values, count, &inner);
	while (rows_next(&rows, &inner)) {
		const char *alias = sqlite3_column_name(rows.statement, 0);
		const char *colon = strchr(alias, ':');
		json_array_append_new(array,
		        first_only ? column_value(rows.statement, 0, colon ? colon + 1 : NULL) : rows_object(&rows));
	}
	if (inner) {
		g_propagate_error(error, inner);
		return NULL;
	}
	return g_steal_pointer(&array);
}

json_t *sql_array(Store *store, Query query, const SqlValue *values, size_t count, GError **error)
{
	return collect(store, query, values, count, false, error);
}

json_t *sql_list(Store *store, Query query, const SqlValue *values, size_t count, GError **error)
{
	return collect(store, query, values, count, true, error);
}

bool page_parse(const char *after, int64_t limit, Page *out, GError **error)
{
	gint64 at = INT64_MAX;
	if (after && *after && !g_ascii_string_to_signed(after, 10, 1, INT64_MAX, &at, NULL))
		return fail(error, ASSAY_ERROR_USER, "no page begins after '%.40s'; use the \"next\" of the page before", after);
	if (limit <= 0)
		limit = PAGE_DEFAULT;
	*out = (Page){.at = at, .rows = MIN(limit, PAGE_MAX) + 1};
	return true;
}

json_t *sql_page(Store *store, Query query, const SqlValue *values, size_t count, const char *noun,
        const Page *page, GError **error)
{
	g_autoptr(json_t) array = sql_array(store, query, values, count, error);
	if (!array)
		return NULL;
	json_t *answer = json_object();
	json_set(answer, "next", NULL);
	size_t shown = (size_t)page->rows - 1;
	if (json_array_size(array) > shown) {
		json_array_remove(array, shown);
		g_autofree char *key = g_strdup_printf("%" G_GINT64_FORMAT,
		        json_get_int(json_array_get(array, shown - 1), "id", 0));
		json_set_string(answer, "next", key);
	}
	json_set(answer, noun, g_steal_pointer(&array));
	return answer;
}

static bool savepoint(Store *store, Query query, GError **error)
{
	int code = sql_control(store, query);
	return code == SQLITE_OK || sql_fail(store, code, error);
}

bool sql_atomic_begin(Store *store, GError **error)
{
	if (store->depth == 0)
		return store_begin(store, error);
	if (store->doomed || sqlite3_get_autocommit(store->db))
		return fail(error, ASSAY_ERROR_SYSTEM, "the transaction was undone: a part of it failed");
	if (!savepoint(store, QUERY_PART_BEGIN, error))
		return false;
	store->depth++;
	return true;
}

bool sql_atomic_end(Store *store, bool ok, GError **error)
{
	if (store->depth == 1) {
		if (ok)
			return store_commit(store, error);
		store_rollback(store);
		return false;
	}
	store->depth--;
	if (sqlite3_get_autocommit(store->db)) /* SQLite has undone all of it: the outermost commit will say so */
		return ok && fail(error, ASSAY_ERROR_SYSTEM, "the transaction was undone: a part of it failed");
	if (ok)
		return savepoint(store, QUERY_PART_KEEP, error);
	sqlite3_exec(store->db, "ROLLBACK TO part; RELEASE part", NULL, NULL, NULL);
	return false;
}

bool sql_name_check(const char *what, const char *name, GError **error)
{
	size_t len = name ? strlen(name) : 0;
	bool fits = len > 0 && len <= NAME_BYTES_MAX && g_utf8_validate(name, (gssize)len, NULL) && name[0] != ' ' &&
	        name[len - 1] != ' ';
	for (size_t i = 0; fits && i < len; i++)
		fits = (unsigned char)name[i] >= ' ' && name[i] != 0x7f && name[i] != '/' && name[i] != ':';
	return fits || fail(error, ASSAY_ERROR_USER,
	                       "'%.60s' cannot be the name of %s; use 1 to %d letters, digits, '-', '_' and '.'",
	                       name ? name : "", what, NAME_BYTES_MAX);
}
