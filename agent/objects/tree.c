/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes above nodes, as in a B-tree, but cut by what they hold: the same entries give the same nodes. */
#include "agent/objects/tree.h"

#include "agent/base/error.h"
#include "agent/objects/bytes.h"
#include "agent/objects/chunk.h"

#define CUT_BITS 7 /* 128 entries on the average … */
#define CUT_MIN 32 /* … and never fewer than this, or more than MANIFEST_ENTRIES_MAX */

typedef struct Level {
	GArray *entries; /* of the node that is being filled */
	GStringChunk *texts;
	uint64_t nodes; /* finished on this level */
	ManifestEntry last;
} Level;

struct TreeBuilder {
	ManifestKind kind;
	ShelfWriter *writer;
	Level levels[MANIFEST_LEVELS_MAX];
	GByteArray *bytes;
};

static void level_clear(Level *level)
{
	g_array_set_size(level->entries, 0);
	g_string_chunk_clear(level->texts);
}

TreeBuilder *tree_builder_new(ManifestKind kind, ShelfWriter *writer)
{
	TreeBuilder *builder = g_new0(TreeBuilder, 1);
	builder->kind = kind;
	builder->writer = writer;
	builder->bytes = g_byte_array_new();
	for (int i = 0; i < MANIFEST_LEVELS_MAX; i++) {
		builder->levels[i].entries = g_array_new(FALSE, FALSE, sizeof(ManifestEntry));
		builder->levels[i].texts = g_string_chunk_new(1024);
	}
	return builder;
}

void tree_builder_free(TreeBuilder *builder)
{
	if (!builder)
		return;
	for (int i = 0; i < MANIFEST_LEVELS_MAX; i++) {
		g_array_unref(builder->levels[i].entries);
		g_string_chunk_free(builder->levels[i].texts);
	}
	g_byte_array_unref(builder->bytes);
	g_free(builder);
}

/* FNV-1a (Fowler, Noll, Vo) with the finish of SplitMix64, which spreads it over all bits. Part of the format. */
static uint64_t name_hash(const char *name, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
	return hash ^ (hash >> 31);
}

static bool cuts_behind(const TreeBuilder *builder, int level, const ManifestEntry *entry)
{
	guint count = builder->levels[level].entries->len;
	if (count >= MANIFEST_ENTRIES_MAX)
		return true;
	if (count < CUT_MIN)
		return false;
	uint64_t hash = builder->kind == MANIFEST_LIST ? get64(entry->id) : name_hash(entry->name, entry->name_len);
	return ((hash >> (CUT_BITS * level)) & ((1U << CUT_BITS) - 1)) == 0;
}

static bool add_at(TreeBuilder *builder, int level, const ManifestEntry *entry, GError **error);

/* Stores the node that a level has filled. Its entry for the level above is kept as `last` and, with `up`, added. */
static bool flush(TreeBuilder *builder, int at, bool up, GError **error)
{
	Level *level = &builder->levels[at];
	ManifestEntry inner = {.type = MANIFEST_INNER};
	const ManifestEntry *entries = (const ManifestEntry *)(const void *)level->entries->data;
	for (guint i = 0; i < level->entries->len; i++) {
		inner.bytes += entries[i].bytes;
		inner.files += entries[i].files;
	}
	if (level->entries->len > 0) {
		inner.name = entries[0].name;
		inner.name_len = entries[0].name_len;
	}
	g_byte_array_set_size(builder->bytes, 0);
	manifest_encode(builder->kind, (uint8_t)at, entries, level->entries->len, builder->bytes);
	if (!shelf_add(builder->writer, PACK_NODE, builder->bytes->data, builder->bytes->len, inner.id, error))
		return false;
	level->nodes++;
	level->last = inner;
	if (up && !add_at(builder, at + 1, &inner, error))
		return false;
	level->last.name = NULL;
	level_clear(level);
	return true;
}

static bool add_at(TreeBuilder *builder, int level, const ManifestEntry *entry, GError **error)
{
	if (level >= MANIFEST_LEVELS_MAX)
		return fail(error, ASSAY_ERROR_USER, "a folder or file is too large for the content store");
	Level *here = &builder->levels[level];
	ManifestEntry copy = *entry;
	if (copy.name)
		copy.name = g_string_chunk_insert_len(here->texts, copy.name, copy.name_len);
	if (copy.link)
		copy.link = g_string_chunk_insert_len(here->texts, copy.link, copy.link_len);
	g_array_append_val(here->entries, copy);
	return !cuts_behind(builder, level, &copy) || flush(builder, level, true, error);
}

bool tree_builder_add(TreeBuilder *builder, const ManifestEntry *entry, GError **error)
{
	return add_at(builder, 0, entry, error);
}

bool tree_builder_end(TreeBuilder *builder, uint8_t out_id[HASH_BYTES], uint64_t *out_files, uint64_t *out_bytes,
        GError **error)
{
	bool done = false;
	for (int at = 0; !done && at < MANIFEST_LEVELS_MAX; at++) {
		Level *level = &builder->levels[at];
		if ((level->entries->len > 0 || level->nodes == 0) && !flush(builder, at, level->nodes > 0, error))
			return false;
		if (level->nodes == 1) { /* the first level with one node is the top */
			memcpy(out_id, level->last.id, HASH_BYTES);
			*out_files = level->last.files;
			*out_bytes = level->last.bytes;
			done = true;
		}
	}
	for (int at = 0; at < MANIFEST_LEVELS_MAX; at++) {
		level_clear(&builder->levels[at]);
		builder->levels[at].nodes = 0;
	}
	return done || fail(error, ASSAY_ERROR_USER, "a folder or file is too large for the content store");
}

/* Reads a node and checks that it is what its reference says; a level of -1 is any. */
static ManifestNode *read_node(ShelfReader *reader, const uint8_t *id, ManifestKind kind, int level, GError **error)
{
	size_t len;
	const uint8_t *bytes = shelf_read(reader, id, &len, error);
	if (!bytes)
		return NULL;
	g_autoptr(ManifestNode) node = manifest_parse(bytes, len, error);
	bool root = node && kind == MANIFEST_FOLDER && level < 0 && node->kind == MANIFEST_ROOT;
	if (node && ((node->kind != kind && !root) || (level >= 0 && node->level != level))) {
		fail(error, ASSAY_ERROR_SYSTEM, "a tree's node is not of the kind that its reference says");
		return NULL;
	}
	return g_steal_pointer(&node);
}

static bool collect(ShelfReader *reader, const uint8_t *id, int level, TreeFolder *folder, GError **error)
{
	ManifestNode *node = read_node(reader, id, MANIFEST_FOLDER, level, error);
	if (!node)
		return false;
	g_ptr_array_add(folder->nodes, node);
	folder->single |= node->kind == MANIFEST_ROOT;
	if (node->level == 0) {
		g_array_append_vals(folder->entries, node->entries, node->count);
		return true;
	}
	for (uint32_t i = 0; i < node->count; i++)
		if (!collect(reader, node->entries[i].id, node->level - 1, folder, error))
			return false;
	return true;
}

TreeFolder *tree_folder_read(ShelfReader *reader, const uint8_t id[HASH_BYTES], GError **error)
{
	g_autoptr(TreeFolder) folder = g_new0(TreeFolder, 1);
	folder->entries = g_array_new(FALSE, FALSE, sizeof(ManifestEntry));
	folder->nodes = g_ptr_array_new_with_free_func((GDestroyNotify)manifest_node_free);
	if (!collect(reader, id, -1, folder, error))
		return NULL;
	for (guint i = 1; i < folder->entries->len; i++) {
		const ManifestEntry *before = &g_array_index(folder->entries, ManifestEntry, i - 1);
		const ManifestEntry *entry = before + 1;
		if (manifest_name_compare(before->name, before->name_len, entry->name, entry->name_len) >= 0) {
			fail(error, ASSAY_ERROR_SYSTEM, "a folder's nodes are not in order: the tree is damaged");
			return NULL;
		}
	}
	return g_steal_pointer(&folder);
}

void tree_folder_free(TreeFolder *folder)
{
	if (!folder)
		return;
	g_array_unref(folder->entries);
	g_ptr_array_unref(folder->nodes);
	g_free(folder);
}

const ManifestEntry *tree_folder_find(const TreeFolder *folder, const char *name, size_t len)
{
	guint low = 0;
	guint high = folder->entries->len;
	while (low < high) {
		guint middle = low + (high - low) / 2;
		const ManifestEntry *entry = &g_array_index(folder->entries, ManifestEntry, middle);
		int order = manifest_name_compare(entry->name, entry->name_len, name, len);
		if (order == 0)
			return entry;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool longer_or_shorter(GError **error)
{
	return fail(error, ASSAY_ERROR_SYSTEM, "a file's chunks are not as long as the file: the tree is damaged");
}

static bool each_chunk(ShelfReader *reader, const uint8_t *id, int level, uint64_t *left, TreeChunk chunk, void *data,
        GError **error)
{
	g_autoptr(ManifestNode) node = read_node(reader, id, MANIFEST_LIST, level, error);
	if (!node)
		return false;
	for (uint32_t i = 0; i < node->count; i++) {
		const ManifestEntry *entry = &node->entries[i];
		if (node->level > 0) {
			if (!each_chunk(reader, entry->id, node->level - 1, left, chunk, data, error))
				return false;
			continue;
		}
		if (entry->bytes > *left)
			return longer_or_shorter(error);
		*left -= entry->bytes;
		if (!chunk(entry->id, entry->bytes, data, error))
			return false;
	}
	return true;
}

bool tree_file_chunks(ShelfReader *reader, const ManifestEntry *file, TreeChunk chunk, void *data, GError **error)
{
	if (file->bytes == 0)
		return true;
	if (file->bytes <= CHUNK_WHOLE_BYTES)
		return chunk(file->id, file->bytes, data, error);
	uint64_t left = file->bytes;
	return each_chunk(reader, file->id, -1, &left, chunk, data, error) &&
	       (left == 0 || longer_or_shorter(error));
}

typedef struct Pour {
	ShelfReader *reader;
	TreePiece piece;
	void *data;
} Pour;

static bool pour(const uint8_t id[HASH_BYTES], uint64_t bytes, void *data, GError **error)
{
	const Pour *to = data;
	size_t len;
	const uint8_t *chunk = shelf_read(to->reader, id, &len, error);
	if (!chunk)
		return false;
	if (len != bytes)
		return fail(error, ASSAY_ERROR_SYSTEM, "a chunk is not as long as its list says: the tree is damaged");
	return to->piece(chunk, len, to->data, error);
}

bool tree_file_read(ShelfReader *reader, const ManifestEntry *file, TreePiece piece, void *data, GError **error)
{
	Pour to = {reader, piece, data};
	return tree_file_chunks(reader, file, pour, &to, error);
}

static bool list_stays(Shelf *shelf, ShelfReader *reader, const uint8_t *id, int level)
{
	if (!shelf_has(shelf, id))
		return false;
	g_autoptr(ManifestNode) node = read_node(reader, id, MANIFEST_LIST, level, NULL);
	for (uint32_t i = 0; node && i < node->count; i++)
		if (node->level > 0 ? !list_stays(shelf, reader, node->entries[i].id, node->level - 1)
		                    : !shelf_has(shelf, node->entries[i].id))
			return false;
	return node != NULL;
}

bool tree_list_stays(Shelf *shelf, ShelfReader *reader, const uint8_t id[HASH_BYTES])
{
	return list_stays(shelf, reader, id, -1);
}
