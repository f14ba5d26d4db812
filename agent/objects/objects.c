/* SPDX-License-Identifier: Apache-2.0 */
/* The store's handle, small objects, and questions to trees: what is in one, what differs between two. */
#include "agent/objects/objects.h"

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/objects/objects_private.h"
#include "agent/objects/tree.h"

Objects *objects_open(const char *folder, GError **error)
{
	Shelf *shelf = shelf_open(folder, error);
	if (!shelf)
		return NULL;
	Objects *objects = g_new0(Objects, 1);
	objects->shelf = shelf;
	return objects;
}

void objects_close(Objects *objects)
{
	if (!objects)
		return;
	shelf_close(objects->shelf);
	g_free(objects);
}

const char *objects_shown(const char *path, char out[OBJECTS_SHOWN_BYTES])
{
	g_autofree char *valid = g_utf8_make_valid(path, -1);
	g_strlcpy(out, valid, OBJECTS_SHOWN_BYTES);
	char *end = (char *)out + strlen(out);
	const char *bad;
	if (!g_utf8_validate(out, -1, &bad)) /* cut in the middle of a character */
		end = out + (bad - out);
	*end = '\0';
	return out;
}

char *objects_join(const char *folder, const char *name)
{
	return folder[0] ? g_strconcat(folder, "/", name, NULL) : g_strdup(name);
}

bool objects_read_digest(const char *digest, uint8_t out[HASH_BYTES], GError **error)
{
	return hex_read(digest, out, HASH_BYTES) ||
	       fail(error, ASSAY_ERROR_USER, "'%s' is not a digest: 64 hexadecimal characters are", SHOWN(digest ? digest : ""));
}

bool objects_put(Objects *objects, const void *bytes, size_t len, char out_digest[65], GError **error)
{
	if (len > PACK_CHUNK_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "%zu bytes are too many for one object (limit %u); snapshot a file", len,
		        PACK_CHUNK_BYTES_MAX);
	if (!shelf_refresh(objects->shelf, error))
		return false;
	g_autoptr(ShelfWriter) writer = shelf_writer_new(objects->shelf);
	uint8_t id[HASH_BYTES];
	if (!shelf_add(writer, PACK_DATA, bytes, len, id, error) ||
	        !shelf_commit(objects->shelf, &writer, 1, error)) {
		shelf_abandon(objects->shelf);
		g_prefix_error(error, "cannot store an object: ");
		return false;
	}
	hex_write(id, HASH_BYTES, out_digest);
	return true;
}

GBytes *objects_get(Objects *objects, const char *digest, size_t limit_bytes, GError **error)
{
	uint8_t id[HASH_BYTES];
	if (!objects_read_digest(digest, id, error))
		return NULL;
	g_autoptr(ShelfReader) reader = shelf_reader_new(objects->shelf);
	uint32_t size;
	if (shelf_size(objects->shelf, id, &size) && size > limit_bytes) {
		fail(error, ASSAY_ERROR_USER, "object %s has %u bytes, more than the limit of %zu", digest, size, limit_bytes);
		return NULL;
	}
	size_t len;
	const uint8_t *bytes = shelf_read(reader, id, &len, error);
	if (bytes && len > limit_bytes) {
		fail(error, ASSAY_ERROR_USER, "object %s has %zu bytes, more than the limit of %zu", digest, len, limit_bytes);
		return NULL;
	}
	return bytes ? g_bytes_new(bytes, len) : NULL;
}

/* The entry at a path of a tree. Out: the folder that owns it. A single file answers to its name and to "". */
static const ManifestEntry *find(ShelfReader *reader, const char *tree, const char *path, TreeFolder **out,
        GError **error)
{
	uint8_t id[HASH_BYTES];
	if (!objects_read_digest(tree, id, error))
		return NULL;
	const ManifestEntry *entry = NULL;
	for (const char *at = path;;) {
		g_autoptr(TreeFolder) folder = tree_folder_read(reader, id, error);
		if (!folder)
			return NULL;
		while (*at == '/')
			at++;
		size_t len = strcspn(at, "/");
		if (len == 0 && folder->single)
			entry = &g_array_index(folder->entries, ManifestEntry, 0);
		else
			entry = tree_folder_find(folder, at, len);
		at += len;
		while (*at == '/')
			at++;
		if (!entry || (*at && entry->type != MANIFEST_SUBFOLDER)) {
			fail(error, ASSAY_ERROR_ABSENT, "there is no '%s' in the tree %.12s", SHOWN(path), tree);
			return NULL;
		}
		memcpy(id, entry->id, HASH_BYTES);
		if (!*at) {
			*out = g_steal_pointer(&folder);
			return entry;
		}
	}
}

static const ManifestEntry *find_file(ShelfReader *reader, const char *tree, const char *path, TreeFolder **out,
        GError **error)
{
	const ManifestEntry *entry = find(reader, tree, path, out, error);
	if (!entry || entry->type == MANIFEST_FILE || entry->type == MANIFEST_EXECUTABLE)
		return entry;
	fail(error, ASSAY_ERROR_USER, "'%s' in the tree %.12s is a %s, not a file", SHOWN(path), tree,
	        entry->type == MANIFEST_LINK ? "link" : "folder");
	return NULL;
}

static bool append_piece(const uint8_t *bytes, size_t len, void *data, G_GNUC_UNUSED GError **error)
{
	g_byte_array_append(data, bytes, (guint)len);
	return true;
}

GBytes *objects_get_file(Objects *objects, const char *tree, const char *path, size_t limit_bytes, GError **error)
{
	g_autoptr(ShelfReader) reader = shelf_reader_new(objects->shelf);
	g_autoptr(TreeFolder) folder = NULL;
	const ManifestEntry *file = find_file(reader, tree, path, &folder, error);
	if (!file)
		return NULL;
	if (file->bytes > limit_bytes || file->bytes >= G_MAXUINT) {
		fail(error, ASSAY_ERROR_USER, "'%s' has %" G_GUINT64_FORMAT " bytes, more than the limit of %zu", SHOWN(path),
		        file->bytes, limit_bytes);
		return NULL;
	}
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	if (!tree_file_read(reader, file, append_piece, bytes, error))
		return NULL;
	return g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
}

bool objects_verify(Objects *objects, bool full, json_t **out, GError **error)
{
	return shelf_verify(objects->shelf, full, out, error);
}
