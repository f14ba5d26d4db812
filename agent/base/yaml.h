/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML 1.2 core on libyaml's events, as a tree that keeps line and column of every node. `on` and `yes` are strings,
 * 0o17 is a number; the core schema's tags (!!str, !!int, …) are honoured, all others are errors; so are merge keys,
 * duplicate keys and a second document. An alias shares the node of its anchor, within a limit of what it stands for.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum YamlKind { YAML_NULL, YAML_BOOLEAN, YAML_NUMBER, YAML_STRING, YAML_SEQUENCE, YAML_MAPPING } YamlKind;

typedef struct YamlNode YamlNode;
struct YamlNode {
	YamlKind kind;
	int line;   /* from 1 */
	int column; /* from 1 */
	char *text; /* a scalar as it was written, without its quotes; never holds a NUL */
	size_t len;
	bool plain; /* a scalar without quotes */
	bool truth;
	double number; /* may be NaN or infinite */
	/* a sequence's items, or a mapping's keys and values in turn */
	YamlNode **items;
	size_t items_len;
};

/** A parsed file: owns its nodes and a copy of its text. */
typedef struct YamlDocument {
	YamlNode *root; /* NULL for an empty file */
	char *name;
	char *source;
	size_t source_len;
	GPtrArray *blocks; /* what nodes, items and texts are pieces of */
	size_t nodes_len;
} YamlDocument;

#define YAML_BYTES_MAX (10 * 1024 * 1024)
#define YAML_NODES_MAX 1000000
#define YAML_DEPTH_MAX 100
/** What all aliases of a file may stand for together: nodes, and bytes of text. */
#define YAML_ALIAS_NODES_MAX 100000
#define YAML_ALIAS_BYTES_MAX YAML_BYTES_MAX

/** NULL with USER; the message is "name:line:column: why" and below it the line and a caret. */
YamlDocument *yaml_parse(const char *text, size_t len, const char *name, GError **error);
/**
 * The same for a caller that wants the mistake in parts.
 *
 * @out_message   the reason alone, the caller's; line and column are 0 when the whole file is at fault
 */
YamlDocument *yaml_parse_parts(const char *text, size_t len, const char *name, int *out_line, int *out_column,
        char **out_message, char **out_caret);
/** Accepts NULL. (libyaml exports a yaml_free of its own.) */
void yaml_document_free(YamlDocument *document);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YamlDocument, yaml_document_free)

/** The value of a key of a mapping, or NULL. */
YamlNode *yaml_get(const YamlNode *mapping, const char *key);
/** "a string", "a mapping", …, for messages. Static. */
const char *yaml_kind_name(YamlKind kind);
/**
 * A tree of JSON values of its own: whole numbers become integers, NaN and infinities strings. Keys are the text of
 * the scalar.
 */
json_t *yaml_to_json(const YamlNode *node);
/** "name:line:column: message", the line itself, and a caret below the column; the caller's. */
char *yaml_caret(const YamlDocument *document, int line, int column, const char *message);
/** Line and column of a byte of the source, both from 1. */
void yaml_position(const YamlDocument *document, size_t offset, int *out_line, int *out_column);
