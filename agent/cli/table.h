/* SPDX-License-Identifier: Apache-2.0 */
/* Lists on a terminal: columns as wide as they must be. */
#pragma once

#include <glib.h>
#include <jansson.h>

/** A column: its heading and the key of the row's object ("run.number" goes into objects). */
typedef struct TableColumn {
	const char *heading;
	const char *key;
} TableColumn;

/** Prints rows of an array; says `empty` on stderr when there are none. Control characters are shown, not sent. */
void table_print(const json_t *rows, const TableColumn *columns, size_t count, const char *empty);
/** Prints an object, a line for each of the fields: the heading, and what is there. */
void table_print_fields(const json_t *object, const TableColumn *fields, size_t count);
/** Prints a value as indented JSON. */
void table_print_json(const json_t *value);
/**
 * The value of a dotted key as people read it, the caller's; never NULL: "-" for nothing, six digits of a number that is
 * not whole, lists with commas, objects as "name value, name value". Control characters become U+FFFD.
 */
char *table_text(const json_t *row, const char *key);
