/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding and parsing of nodes. The bytes are drawn in README.md. */
#include "agent/objects/manifest.h"

#include "agent/base/error.h"
#include "agent/objects/bytes.h"
#include "agent/objects/chunk.h"

#define NODE_HEADER_BYTES 12
#define NODE_VERSION 1

int manifest_name_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, MIN(a_len, b_len));
	return order ? order : (a_len > b_len) - (a_len < b_len);
}

bool manifest_name_fits(const char *name, size_t len)
{
	if (len == 0 || len > MANIFEST_NAME_BYTES_MAX || memchr(name, '/', len) || memchr(name, '\0', len))
		return false;
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

static void append_text(GByteArray *out, const char *text, uint16_t len)
{
	uint8_t number[2];
	put16(number, len);
	g_byte_array_append(out, number, 2);
	g_byte_array_append(out, (const uint8_t *)text, len);
	g_byte_array_append(out, (const uint8_t *)"", 1);
}

static void append64(GByteArray *out, uint64_t value)
{
	uint8_t number[8];
	put64(number, value);
	g_byte_array_append(out, number, 8);
}

static void append_entry(GByteArray *out, ManifestKind kind, const ManifestEntry *entry)
{
	uint8_t type = (uint8_t)entry->type;
	g_byte_array_append(out, &type, 1);
	if (kind != MANIFEST_LIST)
		append_text(out, entry->name, entry->name_len);
	if (entry->type == MANIFEST_LINK) {
		append_text(out, entry->link, entry->link_len);
		return;
	}
	append64(out, entry->bytes);
	if (kind != MANIFEST_LIST && (entry->type == MANIFEST_SUBFOLDER || entry->type == MANIFEST_INNER))
		append64(out, entry->files);
	g_byte_array_append(out, entry->id, HASH_BYTES);
}

void manifest_encode(ManifestKind kind, uint8_t level, const ManifestEntry *entries, size_t count, GByteArray *out)
{
	uint8_t header[NODE_HEADER_BYTES] = {'A', 'N', NODE_VERSION, PACK_SHA256, (uint8_t)kind, level, 0, 0};
	put32(header + 8, (uint32_t)count);
	g_byte_array_append(out, header, sizeof header);
	for (size_t i = 0; i < count; i++)
		append_entry(out, kind, &entries[i]);
}

/* A place in bytes that may end anywhere. */
typedef struct Cursor {
	const uint8_t *at;
	size_t left;
} Cursor;

static const uint8_t *take(Cursor *cursor, size_t len)
{
	if (cursor->left < len)
		return NULL;
	const uint8_t *taken = cursor->at;
	cursor->at += len;
	cursor->left -= len;
	return taken;
}

static const char *take_text(Cursor *cursor, uint16_t *out_len)
{
	const uint8_t *number = take(cursor, 2);
	if (!number)
		return NULL;
	uint16_t len = get16(number);
	const char *text = (const char *)take(cursor, (size_t)len + 1);
	if (!text || text[len] != '\0' || memchr(text, '\0', len))
		return NULL;
	*out_len = len;
	return text;
}

static bool take64(Cursor *cursor, uint64_t *out)
{
	const uint8_t *number = take(cursor, 8);
	if (number)
		*out = get64(number);
	return number && *out <= G_MAXINT64;
}

/* Which types may stand in such a node. */
static bool type_fits(ManifestKind kind, uint8_t level, uint8_t type)
{
	if (level > 0)
		return type == MANIFEST_INNER;
	if (kind == MANIFEST_LIST)
		return type == MANIFEST_CHUNK;
	return type >= MANIFEST_FILE && (type < MANIFEST_SUBFOLDER || (type == MANIFEST_SUBFOLDER && kind == MANIFEST_FOLDER));
}

static bool take_entry(Cursor *cursor, ManifestKind kind, uint8_t level, ManifestEntry *out)
{
	const uint8_t *type = take(cursor, 1);
	if (!type || !type_fits(kind, level, *type))
		return false;
	out->type = (ManifestType)*type;
	if (kind != MANIFEST_LIST) {
		out->name = take_text(cursor, &out->name_len);
		if (!out->name || !manifest_name_fits(out->name, out->name_len))
			return false;
	}
	out->files = 1;
	if (out->type == MANIFEST_LINK) {
		out->link = take_text(cursor, &out->link_len);
		return out->link && out->link_len > 0 && out->link_len <= MANIFEST_LINK_BYTES_MAX;
	}
	if (!take64(cursor, &out->bytes))
		return false;
	if (out->type == MANIFEST_CHUNK && (out->bytes == 0 || out->bytes > CHUNK_BYTES_MAX))
		return false;
	if (kind != MANIFEST_LIST && (out->type == MANIFEST_SUBFOLDER || out->type == MANIFEST_INNER) &&
	        !take64(cursor, &out->files))
		return false;
	const uint8_t *id = take(cursor, HASH_BYTES);
	if (!id)
		return false;
	memcpy(out->id, id, HASH_BYTES);
	return true;
}

/* Names rise, so each is there once and there is one order. */
static bool names_rise(const ManifestNode *node, uint32_t i)
{
	if (node->kind == MANIFEST_LIST || i == 0)
		return true;
	const ManifestEntry *before = &node->entries[i - 1];
	const ManifestEntry *entry = &node->entries[i];
	return manifest_name_compare(before->name, before->name_len, entry->name, entry->name_len) < 0;
}

static bool parse_header(Cursor *cursor, ManifestNode *node)
{
	const uint8_t *header = take(cursor, NODE_HEADER_BYTES);
	if (!header || header[0] != 'A' || header[1] != 'N' || header[2] != NODE_VERSION || header[3] != PACK_SHA256 ||
	        header[6] || header[7])
		return false;
	uint8_t kind = header[4];
	uint32_t count = get32(header + 8);
	node->level = header[5];
	node->count = count;
	if (kind < MANIFEST_FOLDER || kind > MANIFEST_ROOT || node->level >= MANIFEST_LEVELS_MAX ||
	        count > MANIFEST_ENTRIES_MAX)
		return false;
	node->kind = (ManifestKind)kind;
	/* Only an empty folder is empty; only a root has one entry by its nature and no levels. */
	if (count == 0)
		return node->kind == MANIFEST_FOLDER && node->level == 0;
	return node->kind != MANIFEST_ROOT || (count == 1 && node->level == 0);
}

ManifestNode *manifest_parse(const uint8_t *bytes, size_t len, GError **error)
{
	g_autoptr(ManifestNode) node = g_new0(ManifestNode, 1);
	node->bytes = g_memdup2(bytes, len);
	Cursor cursor = {node->bytes, len};
	if (!parse_header(&cursor, node)) {
		fail(error, ASSAY_ERROR_SYSTEM, "an object is not a tree that this program knows");
		return NULL;
	}
	node->entries = g_new0(ManifestEntry, MAX(node->count, 1));
	bool good = true;
	for (uint32_t i = 0; good && i < node->count; i++)
		good = take_entry(&cursor, node->kind, node->level, &node->entries[i]) && names_rise(node, i);
	if (!good || cursor.left > 0) {
		fail(error, ASSAY_ERROR_SYSTEM, "a tree's node is damaged near its byte %zu", len - cursor.left);
		return NULL;
	}
	return g_steal_pointer(&node);
}

void manifest_node_free(ManifestNode *node)
{
	if (!node)
		return;
	g_free(node->entries);
	g_free(node->bytes);
	g_free(node);
}
