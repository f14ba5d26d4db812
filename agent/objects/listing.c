/* SPDX-License-Identifier: Apache-2.0 */
/* Trees as JSON: every file of one, and what differs between two. Equal folders are skipped by their ids. */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/objects/objects_private.h"
#include "agent/objects/tree.h"

/* One row, until all are sorted. */
typedef struct Row {
	char *path;
	json_t *value;
} Row;

typedef enum Change {
	ADDED,
	REMOVED,
	CHANGED,
} Change;

static void row_clear(void *data)
{
	Row *row = data;
	g_free(row->path);
	json_decref(row->value);
}

static GArray *rows_new(void)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(Row));
	g_array_set_clear_func(rows, row_clear);
	return rows;
}

static int compare_rows(const void *a, const void *b)
{
	return strcmp(((const Row *)a)->path, ((const Row *)b)->path);
}

static json_t *rows_json(GArray *rows)
{
	g_array_sort(rows, compare_rows);
	json_t *all = json_array();
	for (guint i = 0; i < rows->len; i++)
		json_array_append(all, g_array_index(rows, Row, i).value);
	return all;
}

static json_t *add_row(GArray *rows, char *path)
{
	Row row = {path, json_object()};
	json_set(row.value, "path", json_string_any(path, strlen(path)));
	g_array_append_val(rows, row);
	return row.value;
}

static bool too_deep(const char *path, GError **error)
{
	return strlen(path) > MANIFEST_PATH_BYTES_MAX &&
	       !fail(error, ASSAY_ERROR_SYSTEM, "the tree is deeper than paths can be: it is damaged");
}

static void list_entry(GArray *rows, char *path, const ManifestEntry *entry)
{
	json_t *row = add_row(rows, path);
	const char *modes[] = {
	        [MANIFEST_FILE] = "100644", [MANIFEST_EXECUTABLE] = "100755", [MANIFEST_LINK] = "120000"};
	json_set_string(row, "mode", modes[entry->type]);
	if (entry->type == MANIFEST_LINK) {
		json_set_int(row, "bytes", 0);
		json_set(row, "link", json_string_any(entry->link, entry->link_len));
	} else {
		char hex[HASH_HEX_BYTES];
		hex_write(entry->id, HASH_BYTES, hex);
		json_set_int(row, "bytes", (int64_t)entry->bytes);
		json_set_string(row, "digest", hex);
	}
}

static bool list(ShelfReader *reader, const uint8_t *id, const char *path, GArray *rows, GError **error)
{
	g_autoptr(TreeFolder) folder = tree_folder_read(reader, id, error);
	if (!folder || too_deep(path, error))
		return false;
	for (guint i = 0; i < folder->entries->len; i++) {
		const ManifestEntry *entry = &g_array_index(folder->entries, ManifestEntry, i);
		char *below = objects_join(path, entry->name);
		if (entry->type != MANIFEST_SUBFOLDER) {
			list_entry(rows, below, entry);
			continue;
		}
		bool done = list(reader, entry->id, below, rows, error);
		g_free(below);
		if (!done)
			return false;
	}
	return true;
}

json_t *objects_list(Objects *objects, const char *digest, GError **error)
{
	uint8_t id[HASH_BYTES];
	if (!objects_read_digest(digest, id, error))
		return NULL;
	g_autoptr(ShelfReader) reader = shelf_reader_new(objects->shelf);
	g_autoptr(GArray) rows = rows_new();
	if (!list(reader, id, "", rows, error)) {
		g_prefix_error(error, "cannot list the tree %.12s: ", digest);
		return NULL;
	}
	return rows_json(rows);
}

typedef struct Diff {
	ShelfReader *reader;
	GArray *rows[3]; /* by Change */
} Diff;

static bool whole(Diff *diff, const ManifestEntry *entry, const char *path, Change change, GError **error);

static bool whole_folder(Diff *diff, const uint8_t *id, const char *path, Change change, GError **error)
{
	g_autoptr(TreeFolder) folder = tree_folder_read(diff->reader, id, error);
	if (!folder || too_deep(path, error))
		return false;
	for (guint i = 0; i < folder->entries->len; i++) {
		const ManifestEntry *entry = &g_array_index(folder->entries, ManifestEntry, i);
		g_autofree char *below = objects_join(path, entry->name);
		if (!whole(diff, entry, below, change, error))
			return false;
	}
	return true;
}

/* All that is in an entry was added, or was removed. */
static bool whole(Diff *diff, const ManifestEntry *entry, const char *path, Change change, GError **error)
{
	if (entry->type == MANIFEST_SUBFOLDER)
		return whole_folder(diff, entry->id, path, change, error);
	json_set_int(add_row(diff->rows[change], g_strdup(path)), "bytes", (int64_t)entry->bytes);
	return true;
}

static bool entries_equal(const ManifestEntry *a, const ManifestEntry *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == MANIFEST_LINK)
		return a->link_len == b->link_len && memcmp(a->link, b->link, a->link_len) == 0;
	return memcmp(a->id, b->id, HASH_BYTES) == 0;
}

static bool compare_folders(Diff *diff, const uint8_t *from, const uint8_t *to, const char *path, GError **error);

static bool compare_entries(Diff *diff, const ManifestEntry *from, const ManifestEntry *to, const char *path,
        GError **error)
{
	if (!from || !to)
		return whole(diff, from ? from : to, path, from ? REMOVED : ADDED, error);
	if (entries_equal(from, to))
		return true;
	if (from->type == MANIFEST_SUBFOLDER && to->type == MANIFEST_SUBFOLDER)
		return compare_folders(diff, from->id, to->id, path, error);
	if (from->type == MANIFEST_SUBFOLDER || to->type == MANIFEST_SUBFOLDER)
		return whole(diff, from, path, REMOVED, error) && whole(diff, to, path, ADDED, error);
	json_t *row = add_row(diff->rows[CHANGED], g_strdup(path));
	json_set_int(row, "bytes", (int64_t)to->bytes);
	json_set_int(row, "bytes_before", (int64_t)from->bytes);
	return true;
}

static bool compare_folders(Diff *diff, const uint8_t *from, const uint8_t *to, const char *path, GError **error)
{
	if (memcmp(from, to, HASH_BYTES) == 0)
		return true;
	g_autoptr(TreeFolder) left = tree_folder_read(diff->reader, from, error);
	g_autoptr(TreeFolder) right = left ? tree_folder_read(diff->reader, to, error) : NULL;
	if (!right || too_deep(path, error))
		return false;
	for (guint i = 0, j = 0; i < left->entries->len || j < right->entries->len;) {
		const ManifestEntry *a = i < left->entries->len ? &g_array_index(left->entries, ManifestEntry, i) : NULL;
		const ManifestEntry *b = j < right->entries->len ? &g_array_index(right->entries, ManifestEntry, j) : NULL;
		int order = !a ? 1 : !b ? -1 : manifest_name_compare(a->name, a->name_len, b->name, b->name_len);
		g_autofree char *below = objects_join(path, order <= 0 ? a->name : b->name);
		if (!compare_entries(diff, order <= 0 ? a : NULL, order >= 0 ? b : NULL, below, error))
			return false;
		i += order <= 0;
		j += order >= 0;
	}
	return true;
}

json_t *objects_diff(Objects *objects, const char *from, const char *to, GError **error)
{
	uint8_t left[HASH_BYTES];
	uint8_t right[HASH_BYTES];
	if (!objects_read_digest(from, left, error) || !objects_read_digest(to, right, error))
		return NULL;
	g_autoptr(ShelfReader) reader = shelf_reader_new(objects->shelf);
	g_autoptr(GArray) added = rows_new();
	g_autoptr(GArray) removed = rows_new();
	g_autoptr(GArray) changed = rows_new();
	Diff diff = {reader, {[ADDED] = added, [REMOVED] = removed, [CHANGED] = changed}};
	if (!compare_folders(&diff, left, right, "", error)) {
		g_prefix_error(error, "cannot compare the trees %.12s and %.12s: ", from, to);
		return NULL;
	}
	json_t *out = json_object();
	json_set(out, "added", rows_json(added));
	json_set(out, "removed", rows_json(removed));
	json_set(out, "changed", rows_json(changed));
	return out;
}
