/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML for workflows, config and rules. libyaml scans (its grammar is that of 1.1, which differs from 1.2 in nothing
 * that a file of ours can hold); what a scalar means is decided here by the YAML 1.2 core schema.
 *
 * Text may come from a stranger: size, nodes, depth and what aliases stand for are bounded, and a caret message never
 * passes on control characters to a terminal.
 */
#include "agent/base/yaml.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/error.h"
#include "agent/base/yaml_scalar.h"

#define WHOLE_MAX 9007199254740992.0
#define KEYS_COMPARED 12 /* a mapping with more keys finds doubles by a table */
/* Nodes, items and texts of an ordinary file take about seven times its bytes. */
#define BLOCK_BYTES_MIN 1024
#define BLOCK_BYTES_MAX ((size_t)64 * 1024)
#define BLOCK_FOR_SOURCE 8
/* Under AddressSanitizer each piece is an allocation of its own, so that a read beyond one is seen. */
#define PIECES_ALONE 0
#ifdef __SANITIZE_ADDRESS__
#undef PIECES_ALONE
#define PIECES_ALONE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef PIECES_ALONE
#define PIECES_ALONE 1
#endif
#endif

/** What a node stands for once its aliases are written out. */
typedef struct Measure {
	size_t nodes;
	size_t bytes;
	int height;
} Measure;

typedef struct Anchor {
	YamlNode *node;
	Measure measure;
} Anchor;

typedef struct Reader {
	yaml_parser_t parser;
	YamlDocument *document;
	GHashTable *anchors; /* name → Anchor */
	GPtrArray *open;     /* items of the collections that are not finished */
	char *block;         /* the one with room, `block_left` bytes at its end */
	size_t block_left;
	size_t block_bytes;
	size_t alias_nodes;
	size_t alias_bytes;
	/* the mistake, when there is one */
	char *message;
	int line;
	int column;
} Reader;

const char *yaml_kind_name(YamlKind kind)
{
	static const char *const names[] = {"nothing", "a boolean", "a number", "a string", "a sequence",
	        "a mapping"};
	return names[kind];
}

static bool mistake(Reader *reader, int line, int column, const char *format, ...) G_GNUC_PRINTF(4, 5);
static bool mistake(Reader *reader, int line, int column, const char *format, ...)
{
	if (reader->message)
		return false;
	va_list args;
	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	reader->message = g_utf8_make_valid(text, -1);
	reader->line = line;
	reader->column = column;
	return false;
}

/** The bytes of a byte order mark at the start: libyaml would count it as a column. */
static size_t mark_length(const YamlDocument *document)
{
	return document->source_len >= 3 && memcmp(document->source, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

/** For mistakes that libyaml knows by offset. */
static bool mistake_at_offset(Reader *reader, size_t offset, const char *why)
{
	int line = 0;
	int column = 0;
	yaml_position(reader->document, offset, &line, &column);
	return mistake(reader, line, column, "%s", why);
}

static bool is_tab(const YamlDocument *document, int line, int column)
{
	const char *p = document->source + mark_length(document);
	const char *end = document->source + document->source_len;
	for (int at = 1; at < line && p; at++) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	return p && strspn(p, " \t") >= (size_t)column && p[column - 1] == '\t';
}

static bool parser_mistake(Reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	const char *why = parser->problem ? parser->problem : "not YAML";
	if (parser->error == YAML_MEMORY_ERROR)
		return mistake(reader, 0, 0, "not enough memory");
	if (parser->error == YAML_READER_ERROR)
		return mistake_at_offset(reader, parser->problem_offset + mark_length(reader->document), why);
	int line = (int)parser->problem_mark.line + 1;
	int column = (int)parser->problem_mark.column + 1;
	if (strstr(why, "cannot start any token") && is_tab(reader->document, line, column))
		return mistake(reader, line, column, "a tab cannot indent; write spaces");
	if (parser->context)
		return mistake(reader, line, column, "%s, %s (line %d)", why, parser->context,
		        (int)parser->context_mark.line + 1);
	return mistake(reader, line, column, "%s", why);
}

/* Scalars */

/** A tag of the core schema decides the kind; the text must fit it. */
static bool set_tagged(Reader *reader, YamlNode *node, const char *tag)
{
	bool fits = false;
	if (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0) {
		node->kind = YAML_STRING;
		fits = true;
	} else if (strcmp(tag, YAML_NULL_TAG) == 0) {
		node->kind = YAML_NULL;
		fits = yaml_is_null(node->text);
	} else if (strcmp(tag, YAML_BOOL_TAG) == 0) {
		node->kind = YAML_BOOLEAN;
		fits = yaml_is_boolean(node->text, &node->truth);
	} else if (strcmp(tag, YAML_INT_TAG) == 0) {
		node->kind = YAML_NUMBER;
		fits = yaml_is_integer(node->text, &node->number);
	} else if (strcmp(tag, YAML_FLOAT_TAG) == 0) {
		node->kind = YAML_NUMBER;
		fits = yaml_is_integer(node->text, &node->number) || yaml_is_float(node->text, &node->number);
	} else {
		return mistake(reader, node->line, node->column, "the tag '%s' is not supported; remove it", tag);
	}
	return fits || mistake(reader, node->line, node->column, "'%s' does not fit its tag '%s'", node->text, tag);
}

/* Nodes */

static bool next_event(Reader *reader, yaml_event_t *out)
{
	return yaml_parser_parse(&reader->parser, out) || parser_mistake(reader);
}

/**
 * Bytes of the document, freed with it: what the tree is made of is cut from a few blocks, one piece behind the other.
 *
 * @align   a power of two
 */
static void *take_bytes(Reader *reader, size_t len, size_t align)
{
	if (PIECES_ALONE || len > reader->block_bytes / 4) {
		void *own = g_malloc(len);
		g_ptr_array_add(reader->document->blocks, own);
		return own;
	}
	size_t skip = -(uintptr_t)reader->block & (align - 1);
	if (reader->block_left < skip + len) {
		reader->block = g_malloc(reader->block_bytes);
		reader->block_left = reader->block_bytes;
		skip = 0;
		g_ptr_array_add(reader->document->blocks, reader->block);
	}
	void *piece = reader->block + skip;
	reader->block += skip + len;
	reader->block_left -= skip + len;
	return piece;
}

static YamlNode *node_new(Reader *reader, const yaml_event_t *event, YamlKind kind)
{
	int line = (int)event->start_mark.line + 1;
	int column = (int)event->start_mark.column + 1;
	if (reader->document->nodes_len >= YAML_NODES_MAX) {
		mistake(reader, line, column, "more than %d values in one file", YAML_NODES_MAX);
		return NULL;
	}
	YamlNode *node = take_bytes(reader, sizeof *node, _Alignof(YamlNode));
	*node = (YamlNode){.kind = kind, .line = line, .column = column};
	reader->document->nodes_len++;
	return node;
}

/** Copies the event's text: what libyaml frees at once it is given again for the next one, and stays in the CPU's cache. */
static YamlNode *read_scalar(Reader *reader, const yaml_event_t *event)
{
	YamlNode *node = node_new(reader, event, YAML_STRING);
	if (!node)
		return NULL;
	node->len = event->data.scalar.length;
	node->text = take_bytes(reader, node->len + 1, 1);
	memcpy(node->text, event->data.scalar.value, node->len);
	node->text[node->len] = '\0';
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (memchr(node->text, '\0', node->len)) {
		mistake(reader, node->line, node->column, "a NUL character cannot be used");
		return NULL;
	}
	if (event->data.scalar.tag)
		return set_tagged(reader, node, (const char *)event->data.scalar.tag) ? node : NULL;
	if (node->plain)
		yaml_set_plain(node);
	return node;
}

static YamlNode *read_alias(Reader *reader, const yaml_event_t *event, int depth, Measure *measure)
{
	int line = (int)event->start_mark.line + 1;
	int column = (int)event->start_mark.column + 1;
	const char *name = (const char *)event->data.alias.anchor;
	const Anchor *anchor = g_hash_table_lookup(reader->anchors, name);
	if (!anchor) {
		mistake(reader, line, column, "the alias '*%s' has no anchor '&%s' before it", name, name);
		return NULL;
	}
	reader->alias_nodes += anchor->measure.nodes;
	reader->alias_bytes += anchor->measure.bytes;
	if (reader->alias_nodes > YAML_ALIAS_NODES_MAX || reader->alias_bytes > YAML_ALIAS_BYTES_MAX) {
		mistake(reader, line, column, "the aliases of this file stand for too much: more than %d values or %d MiB",
		        YAML_ALIAS_NODES_MAX, YAML_ALIAS_BYTES_MAX >> 20);
		return NULL;
	}
	if (depth + anchor->measure.height > YAML_DEPTH_MAX) {
		mistake(reader, line, column, "nested deeper than %d", YAML_DEPTH_MAX);
		return NULL;
	}
	*measure = anchor->measure;
	return anchor->node;
}

static YamlNode *read_node(Reader *reader, const yaml_event_t *event, int depth, Measure *measure);

/** Is a key among those of the mapping being read, whose items begin at `first`? */
static bool key_is_new(Reader *reader, GHashTable **seen, guint first, const YamlNode *key)
{
	YamlNode *const *items = (YamlNode *const *)reader->open->pdata;
	guint count = (reader->open->len - first) / 2;
	if (!*seen && count < KEYS_COMPARED) {
		for (guint i = first; i < reader->open->len; i += 2)
			if (items[i]->len == key->len && memcmp(items[i]->text, key->text, key->len) == 0)
				return false;
		return true;
	}
	if (!*seen) {
		*seen = g_hash_table_new(g_str_hash, g_str_equal);
		for (guint i = first; i < reader->open->len; i += 2)
			g_hash_table_add(*seen, items[i]->text);
	}
	return g_hash_table_add(*seen, key->text);
}

static bool check_key(Reader *reader, GHashTable **seen, guint first, const YamlNode *key)
{
	if (key->kind == YAML_SEQUENCE || key->kind == YAML_MAPPING)
		return mistake(reader, key->line, key->column, "a key cannot be %s", yaml_kind_name(key->kind));
	if (key->plain && strcmp(key->text, "<<") == 0)
		return mistake(reader, key->line, key->column,
		        "merge keys are not supported; write the keys out, or use an alias as a whole value");
	if (!key_is_new(reader, seen, first, key))
		return mistake(reader, key->line, key->column, "'%s' is already defined", key->text);
	return true;
}

/** Reads until the end of a sequence or mapping whose start event was seen. */
static YamlNode *read_container(Reader *reader, YamlNode *node, int depth, Measure *measure)
{
	if (depth > YAML_DEPTH_MAX) {
		mistake(reader, node->line, node->column, "nested deeper than %d", YAML_DEPTH_MAX);
		return NULL;
	}
	guint first = reader->open->len;
	g_autoptr(GHashTable) seen = NULL;
	for (;;) {
		yaml_event_t event;
		if (!next_event(reader, &event))
			return NULL;
		if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			break;
		}
		Measure inner = {0};
		YamlNode *item = read_node(reader, &event, depth + 1, &inner);
		yaml_event_delete(&event);
		bool key = node->kind == YAML_MAPPING && (reader->open->len - first) % 2 == 0;
		if (!item || (key && !check_key(reader, &seen, first, item)))
			return NULL;
		measure->nodes += inner.nodes;
		measure->bytes += inner.bytes;
		measure->height = MAX(measure->height, inner.height + 1);
		g_ptr_array_add(reader->open, item);
	}
	node->items_len = reader->open->len - first;
	if (node->items_len > 0) {
		node->items = take_bytes(reader, node->items_len * sizeof *node->items, _Alignof(YamlNode *));
		memcpy(node->items, &reader->open->pdata[first], node->items_len * sizeof *node->items);
	}
	g_ptr_array_set_size(reader->open, (gint)first);
	return node;
}

static YamlNode *read_collection(Reader *reader, const yaml_event_t *event, int depth, Measure *measure)
{
	bool mapping = event->type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *tag = mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	YamlNode *node = node_new(reader, event, mapping ? YAML_MAPPING : YAML_SEQUENCE);
	if (!node)
		return NULL;
	if (tag && strcmp((const char *)tag, mapping ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0) {
		mistake(reader, node->line, node->column, "the tag '%s' is not supported; remove it",
		        (const char *)tag);
		return NULL;
	}
	return read_container(reader, node, depth, measure);
}

static const char *anchor_of(const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL;
	if (event->type == YAML_SCALAR_EVENT)
		anchor = event->data.scalar.anchor;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		anchor = event->data.sequence_start.anchor;
	else if (event->type == YAML_MAPPING_START_EVENT)
		anchor = event->data.mapping_start.anchor;
	return (const char *)anchor;
}

static YamlNode *read_node(Reader *reader, const yaml_event_t *event, int depth, Measure *measure)
{
	if (event->type == YAML_ALIAS_EVENT)
		return read_alias(reader, event, depth, measure);
	*measure = (Measure){.nodes = 1, .bytes = 0, .height = 0};
	YamlNode *node = NULL;
	if (event->type == YAML_SCALAR_EVENT) {
		node = read_scalar(reader, event);
		measure->bytes = event->data.scalar.length;
	} else {
		node = read_collection(reader, event, depth, measure);
	}
	const char *name = anchor_of(event);
	/* Only a finished node can be named, so an alias cannot stand inside what it stands for. */
	if (node && name) {
		Anchor *anchor = g_new(Anchor, 1);
		*anchor = (Anchor){.node = node, .measure = *measure};
		g_hash_table_replace(reader->anchors, g_strdup(name), anchor);
	}
	return node;
}

static bool read_stream(Reader *reader)
{
	bool seen = false;
	for (;;) {
		yaml_event_t event;
		if (!next_event(reader, &event))
			return false;
		yaml_event_type_t type = event.type;
		bool good = true;
		if (type == YAML_DOCUMENT_START_EVENT) {
			good = !seen || mistake(reader, (int)event.start_mark.line + 1,
			                        (int)event.start_mark.column + 1, "a second document in one file");
			seen = true;
		} else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_END_EVENT &&
		           type != YAML_STREAM_END_EVENT) {
			Measure measure;
			reader->document->root = read_node(reader, &event, 1, &measure);
			good = reader->document->root != NULL;
		}
		yaml_event_delete(&event);
		if (!good || type == YAML_STREAM_END_EVENT)
			return good;
	}
}

/** How many bytes from the start are surely ASCII and not NUL: most files have no others, and eight are seen at once. */
static size_t ascii_len(const char *text, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t at = 0;
	for (; at + sizeof(uint64_t) <= len; at += sizeof(uint64_t)) {
		uint64_t eight;
		memcpy(&eight, text + at, sizeof eight);
		if ((eight | (eight - ones)) & ones << 7)
			break;
	}
	return at;
}

static bool read_document(Reader *reader)
{
	const YamlDocument *document = reader->document;
	if (document->source_len > YAML_BYTES_MAX)
		return mistake(reader, 0, 0, "larger than %d MiB", YAML_BYTES_MAX >> 20);
	const char *bad = NULL;
	size_t plain = ascii_len(document->source, document->source_len);
	if (!g_utf8_validate_len(document->source + plain, document->source_len - plain, &bad))
		return mistake_at_offset(reader, (size_t)(bad - document->source),
		        *bad ? "not UTF-8: save the file as UTF-8" : "a NUL byte cannot be used");
	if (!yaml_parser_initialize(&reader->parser))
		return mistake(reader, 0, 0, "not enough memory");
	yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
	size_t mark = mark_length(document);
	yaml_parser_set_input_string(&reader->parser, (const unsigned char *)document->source + mark,
	        document->source_len - mark);
	bool good = read_stream(reader);
	yaml_parser_delete(&reader->parser);
	return good;
}

YamlDocument *yaml_parse_parts(const char *text, size_t len, const char *name, int *out_line, int *out_column,
        char **out_message, char **out_caret)
{
	g_autoptr(YamlDocument) document = g_new0(YamlDocument, 1);
	document->name = g_utf8_make_valid(name, -1);
	document->blocks = g_ptr_array_new_with_free_func(g_free);
	document->source_len = len;
	document->source = len <= YAML_BYTES_MAX ? g_malloc(len + 1) : g_strdup("");
	if (len <= YAML_BYTES_MAX) {
		memcpy(document->source, text, len);
		document->source[len] = '\0';
	}
	g_autoptr(GHashTable) anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GPtrArray) open = g_ptr_array_new();
	Reader reader = {.document = document, .anchors = anchors, .open = open,
	        .block_bytes = CLAMP(len * BLOCK_FOR_SOURCE, BLOCK_BYTES_MIN, BLOCK_BYTES_MAX)};
	if (read_document(&reader))
		return g_steal_pointer(&document);

	*out_line = reader.line;
	*out_column = reader.column;
	if (out_caret)
		*out_caret = yaml_caret(document, reader.line, reader.column, reader.message);
	*out_message = reader.message;
	return NULL;
}

YamlDocument *yaml_parse(const char *text, size_t len, const char *name, GError **error)
{
	int line = 0;
	int column = 0;
	g_autofree char *message = NULL;
	g_autofree char *caret = NULL;
	YamlDocument *document = yaml_parse_parts(text, len, name, &line, &column, &message, &caret);
	if (!document)
		fail(error, ASSAY_ERROR_USER, "%s", caret);
	return document;
}

void yaml_document_free(YamlDocument *document)
{
	if (!document)
		return;
	g_clear_pointer(&document->blocks, g_ptr_array_unref);
	g_free(document->name);
	g_free(document->source);
	g_free(document);
}

/* Reading the tree */

YamlNode *yaml_get(const YamlNode *mapping, const char *key)
{
	if (!mapping || mapping->kind != YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i + 1 < mapping->items_len; i += 2)
		if (*mapping->items[i]->text == *key && strcmp(mapping->items[i]->text, key) == 0)
			return mapping->items[i + 1];
	return NULL;
}

static json_t *number_to_json(double number)
{
	if (isnan(number))
		return json_string("NaN");
	if (isinf(number))
		return json_string(number > 0 ? "Infinity" : "-Infinity");
	if (number == floor(number) && fabs(number) <= WHOLE_MAX)
		return json_integer((json_int_t)number);
	return json_real(number);
}

json_t *yaml_to_json(const YamlNode *node)
{
	if (!node)
		return json_null();
	json_t *value = NULL;
	switch (node->kind) {
	case YAML_NULL:
		return json_null();
	case YAML_BOOLEAN:
		return json_boolean(node->truth);
	case YAML_NUMBER:
		return number_to_json(node->number);
	case YAML_STRING:
		return json_stringn(node->text, node->len);
	case YAML_SEQUENCE:
		value = json_array();
		for (size_t i = 0; i < node->items_len; i++)
			json_array_append_new(value, yaml_to_json(node->items[i]));
		return value;
	case YAML_MAPPING:
		value = json_object();
		for (size_t i = 0; i + 1 < node->items_len; i += 2)
			json_object_set_new(value, node->items[i]->text, yaml_to_json(node->items[i + 1]));
		return value;
	}
	return json_null();
}
