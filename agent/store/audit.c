/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log. Each row's hash covers the row and the hash before it, so a row that was changed or taken out of the
 * middle shows. It does not show that the newest rows were cut off: keep a copy of the last hash elsewhere for that.
 */
#include "agent/store/audit.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/sql.h"

uint64_t audit_count(const Store *store)
{
	return store->audited;
}

#define FIRST_HASH "0000000000000000000000000000000000000000000000000000000000000000"

typedef struct Entry {
	int64_t id;
	int64_t at;
	const char *actor;
	const char *action;
	const char *subject;
	const char *detail; /* as it is kept: text */
} Entry;

static char *chain(const char *before, const Entry *entry)
{
	g_autoptr(json_t) row = json_object();
	json_set_string(row, "before", before);
	json_set_int(row, "id", entry->id);
	json_set_int(row, "at", entry->at);
	json_set_string(row, "actor", entry->actor);
	json_set_string(row, "action", entry->action);
	json_set_string(row, "subject", entry->subject);
	json_set_string(row, "detail", entry->detail);
	return json_digest(row);
}

static bool add(Store *store, Entry *entry, GError **error)
{
	GError *inner = NULL;
	g_autoptr(json_t) last = sql_object(store, QUERY_AUDIT_LAST, NO_VALUES, &inner);
	if (inner) {
		g_propagate_error(error, inner);
		return false;
	}
	entry->id = json_get_int(last, "id", 0) + 1;
	g_autofree char *hash = chain(json_get_string(last, "hash", FIRST_HASH), entry);
	return sql_run(store, QUERY_AUDIT_ADD,
	        VALUES(INT(entry->id), INT(entry->at), TEXT(entry->actor), TEXT(entry->action), TEXT(entry->subject),
	                TEXT(entry->detail), TEXT(hash)),
	        error);
}

bool audit_add(Store *store, const char *actor, const char *action, const char *subject, const json_t *detail,
        GError **error)
{
	g_autofree char *text = detail ? json_text(detail) : NULL;
	Entry entry = {.at = now_us(), .actor = actor, .action = action, .subject = subject, .detail = text};
	store->audited++;
	return sql_atomic_begin(store, error) && sql_atomic_end(store, add(store, &entry, error), error);
}

json_t *audit_list(Store *store, const char *after, int64_t limit, GError **error)
{
	Page page;
	if (!page_parse(after, limit, &page, error))
		return NULL;
	return sql_page(store, QUERY_AUDIT_LIST, VALUES(INT(page.at), INT(page.rows)), "entries", &page, error);
}

bool audit_verify(Store *store, GError **error)
{
	GError *inner = NULL;
	g_autofree char *before = g_strdup(FIRST_HASH);
	g_auto(Rows) rows = sql_query(store, QUERY_AUDIT_WALK, NO_VALUES, &inner);
	while (rows_next(&rows, &inner)) {
		const Entry entry = {
		        .id = rows_int(&rows, 0),
		        .at = rows_int(&rows, 1),
		        .actor = rows_text(&rows, 2),
		        .action = rows_text(&rows, 3),
		        .subject = rows_text(&rows, 4),
		        .detail = rows_text(&rows, 5),
		};
		g_autofree char *hash = chain(before, &entry);
		if (g_strcmp0(hash, rows_text(&rows, 6)) != 0)
			return fail(error, ASSAY_ERROR_USER,
			        "the audit log does not fit together at entry %" G_GINT64_FORMAT
			        ": it, or one before it, was changed or removed; compare with a backup",
			        entry.id);
		g_free(before);
		before = g_steal_pointer(&hash);
	}
	if (inner)
		g_propagate_error(error, inner);
	return inner == NULL;
}
