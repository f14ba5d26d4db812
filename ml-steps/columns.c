/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables from files that a job wrote, so from a stranger: sizes are checked before memory is asked for, bytes must be
 * UTF-8 without NUL. Cells lie one after the other in one buffer; a table keeps their offsets, row by row.
 */
#include "ml-steps/columns.h"

#include <errno.h>
#include <math.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

struct Columns {
	GPtrArray *names;     /* char * */
	GHashTable *by_name;  /* char * (of names) → column + 1 */
	GArray *types;        /* ColumnType */
	GArray *cells;        /* size_t offsets into text; width of them a row */
	GArray *lines;        /* size_t, one a row */
	GString *text;        /* cells with a NUL behind each; offset 0 is the empty cell */
	size_t rows;
};

/* Where the reader stands. */
typedef struct Reader {
	const char *name;
	const char *at;
	const char *end;
	size_t line;
	char delimiter;
} Reader;

static bool fail_at(GError **error, const Reader *reader, size_t line, const char *why)
{
	return fail(error, ASSAY_ERROR_USER, "%s: line %zu: %s", reader->name, line, why);
}

bool columns_format(const char *name, ColumnsFormat *out, GError **error)
{
	g_autofree char *lower = g_ascii_strdown(name, -1);
	if (g_str_has_suffix(lower, ".csv"))
		*out = COLUMNS_CSV;
	else if (g_str_has_suffix(lower, ".tsv"))
		*out = COLUMNS_TSV;
	else if (g_str_has_suffix(lower, ".jsonl") || g_str_has_suffix(lower, ".ndjson"))
		*out = COLUMNS_JSON_LINES;
	else if (g_str_has_suffix(lower, ".parquet"))
		return fail(error, ASSAY_ERROR_USER,
		        "%s: Parquet files cannot be read; write the table as .csv or .jsonl", name);
	else
		return fail(error, ASSAY_ERROR_USER,
		        "%s: not a table by its name; .csv, .tsv, .jsonl and .ndjson are read", name);
	return true;
}

static Columns *columns_new(void)
{
	Columns *columns = g_new0(Columns, 1);
	columns->names = g_ptr_array_new_with_free_func(g_free);
	columns->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	columns->types = g_array_new(FALSE, TRUE, sizeof(ColumnType));
	columns->cells = g_array_new(FALSE, TRUE, sizeof(size_t));
	columns->lines = g_array_new(FALSE, FALSE, sizeof(size_t));
	columns->text = g_string_new(NULL);
	g_string_append_c(columns->text, '\0');
	return columns;
}

void columns_free(Columns *columns)
{
	if (!columns)
		return;
	g_hash_table_unref(columns->by_name);
	g_ptr_array_unref(columns->names);
	g_array_unref(columns->types);
	g_array_unref(columns->cells);
	g_array_unref(columns->lines);
	g_string_free(columns->text, TRUE);
	g_free(columns);
}

static bool add_column(Columns *columns, const Reader *reader, size_t line, const char *name, GError **error)
{
	if (name[0] == '\0')
		return fail_at(error, reader, line, "a column without a name");
	if (columns->names->len >= COLUMNS_WIDTH_MAX)
		return fail_at(error, reader, line, "more than " G_STRINGIFY(COLUMNS_WIDTH_MAX) " columns");
	if (g_hash_table_contains(columns->by_name, name)) {
		g_autofree char *why = g_strdup_printf("the column '%.200s' stands there twice", name);
		return fail_at(error, reader, line, why);
	}
	char *own = g_strdup(name);
	g_ptr_array_add(columns->names, own);
	g_hash_table_insert(columns->by_name, own, GUINT_TO_POINTER(columns->names->len));
	ColumnType type = COLUMN_NUMBER; /* until a cell says otherwise */
	g_array_append_val(columns->types, type);
	return true;
}

static bool number_of(const char *text, double *out)
{
	if (g_ascii_isspace(text[0]) || text[0] == '\0')
		return false;
	if (g_ascii_strcasecmp(text, "nan") == 0) {
		*out = NAN;
		return true;
	}
	for (const char *at = text; *at; at++) /* strtod also reads hexadecimal and "infinity" */
		if (!g_ascii_isdigit(*at) && !strchr("+-.eE", *at))
			return false;
	char *end = NULL;
	*out = g_ascii_strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*out);
}

/* Appends a cell's text and notes what it says about its column. */
static size_t add_cell(Columns *columns, size_t column, const char *text, size_t len)
{
	if (len == 0)
		return 0;
	size_t offset = columns->text->len;
	g_string_append_len(columns->text, text, (gssize)len);
	g_string_append_c(columns->text, '\0');
	double number;
	ColumnType *type = &g_array_index(columns->types, ColumnType, column);
	if (*type == COLUMN_NUMBER && !number_of(columns->text->str + offset, &number))
		*type = COLUMN_TEXT;
	return offset;
}

static bool begin_row(Columns *columns, const Reader *reader, size_t line, GError **error)
{
	size_t width = columns->names->len;
	if (columns->rows >= COLUMNS_ROWS_MAX || (columns->rows + 1) * width > COLUMNS_CELLS_MAX)
		return fail_at(error, reader, line, "more rows than can be compared; take a sample");
	g_array_append_val(columns->lines, line);
	columns->rows++;
	return true;
}

/*
 * Reads one field into `field` and says what ended it: the delimiter, '\n' for the end of the record, or '\0' for an
 * error. A quoted field may hold delimiters, line ends and doubled quotes (RFC 4180, section 2, rules 5 to 7).
 */
static char read_field(Reader *reader, GString *field, GError **error)
{
	g_string_truncate(field, 0);
	bool quoted = reader->at < reader->end && *reader->at == '"';
	if (quoted) {
		size_t began = reader->line;
		for (reader->at++;; reader->at++) {
			if (reader->at >= reader->end) {
				fail_at(error, reader, began, "a quote is opened here and never closed");
				return '\0';
			}
			if (*reader->at == '"') {
				reader->at++;
				if (reader->at >= reader->end || *reader->at != '"')
					break;
			}
			reader->line += *reader->at == '\n';
			g_string_append_c(field, *reader->at);
		}
	} else {
		const char *from = reader->at;
		while (reader->at < reader->end && *reader->at != reader->delimiter && *reader->at != '\n' &&
		        *reader->at != '\r' && *reader->at != '"')
			reader->at++;
		g_string_append_len(field, from, reader->at - from);
	}
	if (reader->at >= reader->end)
		return '\n';
	char ended = *reader->at;
	if (ended == '\r' && (reader->at + 1 >= reader->end || reader->at[1] == '\n')) {
		reader->at++;
		ended = '\n';
	}
	if (ended == reader->delimiter || ended == '\n') {
		reader->at += reader->at < reader->end;
		reader->line += ended == '\n';
		return ended;
	}
	fail_at(error, reader, reader->line,
	        quoted ? "text behind a closing quote; double the quote inside a quoted field"
	               : "a quote or carriage return inside a field; put the whole field in quotes");
	return '\0';
}

static bool at_empty_line(const Reader *reader)
{
	size_t left = (size_t)(reader->end - reader->at);
	return (left >= 1 && reader->at[0] == '\n') || (left >= 2 && reader->at[0] == '\r' && reader->at[1] == '\n');
}

static bool skip_empty_lines(Reader *reader)
{
	while (at_empty_line(reader)) {
		reader->at += reader->at[0] == '\r' ? 2 : 1;
		reader->line++;
	}
	return reader->at < reader->end;
}

static bool read_header(Columns *columns, Reader *reader, GString *field, GError **error)
{
	if (!skip_empty_lines(reader))
		return fail_at(error, reader, 1, "the file is empty; its first line names the columns");
	size_t line = reader->line;
	for (;;) {
		char ended = read_field(reader, field, error);
		if (ended == '\0' || !add_column(columns, reader, line, field->str, error))
			return false;
		if (ended == '\n')
			return true;
	}
}

static bool parse_csv(Columns *columns, Reader *reader, GError **error)
{
	g_autoptr(GString) field = g_string_new(NULL);
	if (!read_header(columns, reader, field, error))
		return false;
	size_t width = columns->names->len;
	while (skip_empty_lines(reader)) {
		size_t line = reader->line;
		if (!begin_row(columns, reader, line, error))
			return false;
		size_t fields = 0;
		for (char ended = reader->delimiter; ended == reader->delimiter; fields++) {
			ended = read_field(reader, field, error);
			if (ended == '\0')
				return false;
			if (fields >= width)
				continue;
			size_t cell = add_cell(columns, fields, field->str, field->len);
			g_array_append_val(columns->cells, cell);
		}
		if (fields != width) {
			g_autofree char *why =
			        g_strdup_printf("%zu fields where the header has %zu", fields, width);
			return fail_at(error, reader, line, why);
		}
	}
	return true;
}

/* The text of a JSON value as a cell: what a CSV file would say. */
static char *cell_of_json(const json_t *value)
{
	if (json_is_string(value))
		return g_strdup(json_string_value(value));
	if (json_is_null(value))
		return g_strdup("");
	if (json_is_real(value)) {
		char text[G_ASCII_DTOSTR_BUF_SIZE];
		return g_strdup(g_ascii_dtostr(text, sizeof text, json_real_value(value)));
	}
	return json_text(value); /* integers, true and false; nested values as JSON */
}

static bool read_object(Columns *columns, const Reader *reader, json_t *object, GError **error)
{
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value)
	{
		int column = columns_find(columns, key);
		if (column < 0) {
			/* Rows before this one are as wide as the header was then; widening them is cheap only once. */
			if (columns->rows > 1) {
				g_autofree char *why = g_strdup_printf(
				        "the key '%.200s' is not on the first line; give every key there", key);
				return fail_at(error, reader, reader->line, why);
			}
			if (!add_column(columns, reader, reader->line, key, error))
				return false;
			column = (int)columns->names->len - 1;
			g_array_set_size(columns->cells, (guint)columns->names->len);
		}
		g_autofree char *text = cell_of_json(value);
		size_t cell = add_cell(columns, (size_t)column, text, strlen(text));
		g_array_index(columns->cells, size_t, (columns->rows - 1) * columns->names->len + (size_t)column) =
		        cell;
	}
	return true;
}

static bool parse_json_lines(Columns *columns, Reader *reader, GError **error)
{
	while (skip_empty_lines(reader)) {
		const char *stop = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
		size_t len = (size_t)((stop ? stop : reader->end) - reader->at);
		g_autofree char *what = g_strdup_printf("%s: line %zu", reader->name, reader->line);
		g_autoptr(json_t) object = json_parse(reader->at, len, what, error);
		if (!object)
			return false;
		if (!json_is_object(object))
			return fail_at(error, reader, reader->line, "not a JSON object");
		if (!begin_row(columns, reader, reader->line, error))
			return false;
		g_array_set_size(columns->cells, (guint)(columns->rows * columns->names->len));
		if (!read_object(columns, reader, object, error))
			return false;
		reader->at += len + (stop != NULL);
		reader->line++;
	}
	if (columns->rows == 0)
		return fail_at(error, reader, 1, "the file is empty; each line is a JSON object");
	return true;
}

static size_t line_of(const char *text, const char *at)
{
	size_t line = 1;
	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

Columns *columns_parse(const char *text, size_t len, ColumnsFormat format, const char *name, GError **error)
{
	if (len > COLUMNS_BYTES_MAX) {
		fail(error, ASSAY_ERROR_USER, "%s: larger than the limit of %zu MiB", name, COLUMNS_BYTES_MAX >> 20);
		return NULL;
	}
	if (len >= 4 && memcmp(text, "PAR1", 4) == 0) {
		fail(error, ASSAY_ERROR_USER, "%s: Parquet files cannot be read; write the table as .csv or .jsonl",
		        name);
		return NULL;
	}
	const char *stop = NULL;
	if (!g_utf8_validate_len(text, len, &stop)) {
		fail(error, ASSAY_ERROR_USER, "%s: line %zu: not UTF-8; save the file as UTF-8", name,
		        line_of(text, stop));
		return NULL;
	}
	Reader reader = {name, text, text + len, 1, format == COLUMNS_TSV ? '\t' : ','};
	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		reader.at += 3; /* a byte order mark, which spreadsheets write */
	g_autoptr(Columns) columns = columns_new();
	bool done = format == COLUMNS_JSON_LINES ? parse_json_lines(columns, &reader, error)
	                                         : parse_csv(columns, &reader, error);
	return done ? g_steal_pointer(&columns) : NULL;
}

size_t columns_rows(const Columns *columns)
{
	return columns->rows;
}

size_t columns_width(const Columns *columns)
{
	return columns->names->len;
}

const char *columns_name(const Columns *columns, size_t column)
{
	return g_ptr_array_index(columns->names, column);
}

int columns_find(const Columns *columns, const char *name)
{
	return GPOINTER_TO_INT(g_hash_table_lookup(columns->by_name, name)) - 1;
}

ColumnType columns_type(const Columns *columns, size_t column)
{
	return g_array_index(columns->types, ColumnType, column);
}

const char *columns_text(const Columns *columns, size_t column, size_t row)
{
	return columns->text->str + g_array_index(columns->cells, size_t, row * columns->names->len + column);
}

double columns_number(const Columns *columns, size_t column, size_t row)
{
	double number;
	return number_of(columns_text(columns, column, row), &number) ? number : NAN;
}

size_t columns_line(const Columns *columns, size_t row)
{
	return g_array_index(columns->lines, size_t, row);
}

char *columns_names(const Columns *columns)
{
	GString *all = g_string_new(NULL);
	for (size_t i = 0; i < columns->names->len; i++)
		g_string_append_printf(all, "%s%s", i ? ", " : "", columns_name(columns, i));
	return g_string_free(all, FALSE);
}
