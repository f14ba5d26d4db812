/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML 1.2 core on libyaml's events, as a tree that keeps line and column of every node. `on` and `yes` are strings,
 * 0o17 is a number; anchors and aliases expand within a limit; merge keys and tags are errors; so are duplicate keys.
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
	char *text; /* a scalar as it was written */
	size_t len;
	bool plain; /* a scalar without quotes */
	bool truth;
	double number;
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
	void *arena;
} YamlDocument;

#define YAML_BYTES_MAX (10 * 1024 * 1024)
#define YAML_NODES_MAX 1000000
#define YAML_DEPTH_MAX 100

/** NULL with USER; the message is "name:line:column: why" and below it the line and a caret. */
YamlDocument *yaml_parse(const char *text, size_t len, const char *name, GError **error);
void yaml_free(YamlDocument *document);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YamlDocument, yaml_free)

/** The value of a key of a mapping, or NULL. */
YamlNode *yaml_get(const YamlNode *mapping, const char *key);
/** A tree of JSON values of its own: whole numbers become integers. */
json_t *yaml_to_json(const YamlNode *node);
/** "name:line:column: message", the line itself, and a caret below the column; the caller's. */
char *yaml_caret(const YamlDocument *document, int line, int column, const char *message);
