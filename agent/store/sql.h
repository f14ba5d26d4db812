/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the files of this folder speak to SQLite: statements of queries.def by number, values bound by type, rows as
 * JSON. Not for other folders.
 *
 * A query names the keys of the answer by its column aliases; an ending says what a column holds:
 * [created_at:time] RFC 3339 or null, [needs:json] JSON text as a value, [untrusted:bool] 0 or 1, [digest:hex] bytes.
 */
#pragma once

#include <sqlite3.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/store/db.h"

typedef enum Query {
#define Q(name, text) QUERY_##name,
#include "agent/store/queries.def"
#undef Q
	QUERY_COUNT
} Query;

struct Store {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *statements[QUERY_COUNT];
	int depth;          /* store_begin() that no store_commit() has answered */
	bool relaxed;       /* synchronous is NORMAL: the transaction under way may be lost with the power */
	bool doomed;        /* one inside was rolled back: the outermost will be */
	uint64_t committed; /* store_changes() as it was before the open transaction */
	int wal_fd;         /* the write-ahead log, for store_sync(); -1 until then */
	uint8_t *key;       /* 32 bytes in guarded, locked memory */
	uint64_t audited;   /* audit_count() */
	GHashTable *hook_secrets; /* repos.c: opened webhook secrets by repo's name; NULL until one was asked for */
};

typedef struct SqlValue {
	enum { SQL_NULL, SQL_INT, SQL_REAL, SQL_TEXT, SQL_BYTES, SQL_JSON } kind;
	int64_t number;
	double real;
	const void *bytes; /* NULL is NULL, whatever the kind */
	size_t len;
	const json_t *json;
} SqlValue;

#define INT(x) ((SqlValue){.kind = SQL_INT, .number = (x)})
/** An id where 0 stands for "none": NULL. */
#define ID(x) sql_id(x)
#define REAL(x) ((SqlValue){.kind = SQL_REAL, .real = (x)})
#define TEXT(x) ((SqlValue){.kind = SQL_TEXT, .bytes = (x)})
#define BYTES(x, n) ((SqlValue){.kind = SQL_BYTES, .bytes = (x), .len = (n)})
#define JSON(x) ((SqlValue){.kind = SQL_JSON, .json = (x)})
/** Values for ?1, ?2, …: sql_run(store, QUERY_X, VALUES(INT(id), TEXT(name)), error). */
#define VALUES(...) (const SqlValue[]){__VA_ARGS__}, sizeof((const SqlValue[]){__VA_ARGS__}) / sizeof(SqlValue)
#define NO_VALUES NULL, 0

static inline SqlValue sql_id(int64_t id)
{
	return id ? INT(id) : (SqlValue){.kind = SQL_NULL};
}

/** Rows under way: `g_auto(Rows) rows = …` ends the statement at the end of the scope. */
typedef struct Rows {
	Store *store;
	sqlite3_stmt *statement; /* NULL: it could not begin */
} Rows;
void rows_clear(Rows *rows);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rows, rows_clear)

/** Binds and begins. On failure the first rows_next() fails too, so the error may be looked at there alone. */
Rows sql_query(Store *store, Query query, const SqlValue *values, size_t count, GError **error);
/** The next row; false at the end, and on an error (which *error tells apart). */
bool rows_next(Rows *rows, GError **error);
int64_t rows_int(const Rows *rows, int column);
/** Borrowed until the next row; NULL for NULL. */
const char *rows_text(const Rows *rows, int column);
const void *rows_bytes(const Rows *rows, int column, size_t *out_len);
/** The row as an object, by the aliases. */
json_t *rows_object(const Rows *rows);

/** Runs a statement for its effect. out_changed (may be NULL): how many rows it touched. */
bool sql_run(Store *store, Query query, const SqlValue *values, size_t count, GError **error);
bool sql_run_counted(Store *store, Query query, const SqlValue *values, size_t count, int64_t *out_changed,
        GError **error);
/** Runs an INSERT of one row; *out_id (may be NULL): its key. Cheaper than RETURNING, which makes a table of its own. */
bool sql_insert(Store *store, Query query, const SqlValue *values, size_t count, int64_t *out_id, GError **error);
/** The same where a conflict does nothing: *out_fresh tells whether there is a new row; *out_id is written if so. */
bool sql_insert_fresh(Store *store, Query query, const SqlValue *values, size_t count, int64_t *out_id, bool *out_fresh,
        GError **error);
/** Runs one of the statements that begin and end transactions: no values, and no look at the transaction's state. */
int sql_control(Store *store, Query query);
/** The first column of the first row; *out_found false and *out untouched when there is none. Both may be NULL. */
bool sql_int(Store *store, Query query, const SqlValue *values, size_t count, int64_t *out, bool *out_found,
        GError **error);
/** The first row as an object; NULL without an error when there is none. */
json_t *sql_object(Store *store, Query query, const SqlValue *values, size_t count, GError **error);
/** The same, but ABSENT with this message when there is none. */
json_t *sql_one(Store *store, Query query, const SqlValue *values, size_t count, GError **error, const char *format,
        ...) G_GNUC_PRINTF(6, 7);
/** Every row as an object, or (one column) as its value. */
json_t *sql_array(Store *store, Query query, const SqlValue *values, size_t count, GError **error);
json_t *sql_list(Store *store, Query query, const SqlValue *values, size_t count, GError **error);

/** Where a page begins and how long it is; a query takes `at` as ?1 and `limit` as ?2. */
typedef struct Page {
	int64_t at;    /* ids below it */
	int64_t rows;  /* asked of SQLite: one more than are shown */
} Page;
bool page_parse(const char *after, int64_t limit, Page *out, GError **error);
/** Rows as {noun:[…],"next":"<id>"|null}; each row has an "id". */
json_t *sql_page(Store *store, Query query, const SqlValue *values, size_t count, const char *noun,
        const Page *page, GError **error);

/**
 * Several statements that all happen or none, inside a transaction or alone: unlike store_rollback(), a failure
 * leaves the caller's transaction usable, so that "no" can be answered in it.
 */
bool sql_atomic_begin(Store *store, GError **error);
/** Keeps (ok) or undoes what was done since sql_atomic_begin(); returns ok, or false when keeping failed. */
bool sql_atomic_end(Store *store, bool ok, GError **error);

/** A repo's id; ABSENT with what to do. Removed repos are found only with `removed`. */
bool sql_repo_id(Store *store, const char *name, bool removed, int64_t *out_id, GError **error);
/** Fails with what SQLite said last, in words for who can act. */
bool sql_fail(Store *store, int code, GError **error);
/** A name of a model, dataset, alias …: 1 to 200 bytes of UTF-8, no '/', ':', control character or space at an end. */
bool sql_name_check(const char *what, const char *name, GError **error);
/** The text of a statement, and its name: for the test that prepares them all. */
const char *sql_text(Query query);
sqlite3_stmt *sql_prepare(Store *store, Query query, GError **error);
