/* SPDX-License-Identifier: Apache-2.0 */
/* objects_walk(): a tree as a stream, one file after the other, without writing it anywhere. */
#include <string.h>

#include "agent/base/error.h"
#include "agent/objects/objects_private.h"
#include "agent/objects/tree.h"

static bool give_piece(const uint8_t *bytes, size_t len, void *data, GError **error)
{
	const ObjectsWalk *walk = data;
	return walk->piece(bytes, len, walk->data, error);
}

static bool walk_folder(ShelfReader *reader, const uint8_t *id, const char *path, const ObjectsWalk *walk, GError **error);

static bool walk_entry(ShelfReader *reader, const ManifestEntry *entry, const char *path, const ObjectsWalk *walk,
        GError **error)
{
	bool is_folder = entry->type == MANIFEST_SUBFOLDER, is_link = entry->type == MANIFEST_LINK;
	const ObjectsEntry told = {.path = path, .link = is_link ? entry->link : NULL, .is_folder = is_folder,
	        .is_executable = entry->type == MANIFEST_EXECUTABLE, .bytes = is_folder || is_link ? 0 : (int64_t)entry->bytes};
	if (!walk->entry(&told, walk->data, error))
		return false;
	if (is_folder)
		return walk_folder(reader, entry->id, path, walk, error);
	return is_link || tree_file_read(reader, entry, give_piece, (void *)(uintptr_t)walk, error);
}

static bool walk_folder(ShelfReader *reader, const uint8_t *id, const char *path, const ObjectsWalk *walk, GError **error)
{
	g_autoptr(TreeFolder) folder = tree_folder_read(reader, id, error);
	if (!folder)
		return false;
	if (strlen(path) > MANIFEST_PATH_BYTES_MAX)
		return fail(error, ASSAY_ERROR_SYSTEM, "the tree is deeper than paths can be: it is damaged");
	for (guint i = 0; i < folder->entries->len; i++) {
		const ManifestEntry *entry = &g_array_index(folder->entries, ManifestEntry, i);
		g_autofree char *below = objects_join(path, entry->name);
		if (!walk_entry(reader, entry, below, walk, error))
			return false;
	}
	return true;
}

bool objects_walk(Objects *objects, const char *digest, const ObjectsWalk *walk, GError **error)
{
	uint8_t id[HASH_BYTES];
	if (!objects_read_digest(digest, id, error) || !shelf_refresh(objects->shelf, error))
		return false;
	g_autoptr(ShelfReader) reader = shelf_reader_new(objects->shelf);
	if (walk_folder(reader, id, "", walk, error))
		return true;
	g_prefix_error(error, "cannot read the tree %.12s: ", digest);
	return false;
}
