/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table read from a file that a job wrote: CSV (RFC 4180, first record is the header; tabs for .tsv) or JSON lines,
 * as named columns of text and numbers. Everything is bounded, and every error names its line.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COLUMNS_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define COLUMNS_ROWS_MAX 10000000
#define COLUMNS_WIDTH_MAX 4096
#define COLUMNS_CELLS_MAX 100000000

typedef struct Columns Columns;

typedef enum ColumnType {
	COLUMN_TEXT,   /* at least one cell is not a number */
	COLUMN_NUMBER, /* every cell that is not empty is a finite number, or "nan" */
} ColumnType;

typedef enum ColumnsFormat { COLUMNS_CSV, COLUMNS_TSV, COLUMNS_JSON_LINES } ColumnsFormat;

/**
 * The format by a file's name: .csv, .tsv, .jsonl or .ndjson.
 *
 * Returns   false with USER for others; Parquet is refused by name
 */
bool columns_format(const char *name, ColumnsFormat *out, GError **error);

/**
 * Reads a table. Empty lines are skipped; a line with more or fewer fields than the header is an error. In JSON lines
 * each line is an object; a key that a line lacks is an empty cell, nested values become their JSON text.
 *
 * @name     of the file, for messages
 * Returns   NULL with USER: "predictions.csv: line 7: …"
 */
Columns *columns_parse(const char *text, size_t len, ColumnsFormat format, const char *name, GError **error);
void columns_free(Columns *columns);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Columns, columns_free)

size_t columns_rows(const Columns *columns);
size_t columns_width(const Columns *columns);
const char *columns_name(const Columns *columns, size_t column);
/** The number of a column; -1 when there is none of this name. */
int columns_find(const Columns *columns, const char *name);
ColumnType columns_type(const Columns *columns, size_t column);
/** A cell's text, never NULL; empty when the cell is. Borrowed. */
const char *columns_text(const Columns *columns, size_t column, size_t row);
/** A cell as number; NAN when it is empty or text. */
double columns_number(const Columns *columns, size_t column, size_t row);
/** The line of the file, from 1, at which a row began. */
size_t columns_line(const Columns *columns, size_t row);
/** Names of all columns with ", " between, for messages; the caller's. */
char *columns_names(const Columns *columns);
