/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: what is read, and that every mistake names its line. */
#include "ml-steps/columns.h"

#include <math.h>

#include "agent/base/error.h"

static Columns *read_as(ColumnsFormat format, const char *text)
{
	g_autoptr(GError) error = NULL;
	Columns *columns = columns_parse(text, strlen(text), format, "t.csv", &error);
	g_assert_no_error(error);
	g_assert_nonnull(columns);
	return columns;
}

static void test_csv(void)
{
	g_autoptr(Columns) columns =
	        read_as(COLUMNS_CSV, "\xEF\xBB\xBFid,label,score\r\n1,\"a \"\"x\"\", y\",0.5\r\n\r\n2,\"two\nlines\",\n3,,-1e3");
	g_assert_cmpuint(columns_rows(columns), ==, 3);
	g_assert_cmpuint(columns_width(columns), ==, 3);
	g_assert_cmpstr(columns_text(columns, 1, 0), ==, "a \"x\", y");
	g_assert_cmpstr(columns_text(columns, 1, 1), ==, "two\nlines");
	g_assert_cmpstr(columns_text(columns, 1, 2), ==, "");
	g_assert_cmpfloat(columns_number(columns, 2, 0), ==, 0.5);
	g_assert_true(isnan(columns_number(columns, 2, 1)));
	g_assert_cmpfloat(columns_number(columns, 2, 2), ==, -1000);
	g_assert_cmpint(columns_type(columns, 0), ==, COLUMN_NUMBER);
	g_assert_cmpint(columns_type(columns, 1), ==, COLUMN_TEXT);
	g_assert_cmpuint(columns_line(columns, 1), ==, 4);
	g_assert_cmpuint(columns_line(columns, 2), ==, 6);
	g_assert_cmpint(columns_find(columns, "score"), ==, 2);
	g_assert_cmpint(columns_find(columns, "absent"), ==, -1);
	g_autofree char *names = columns_names(columns);
	g_assert_cmpstr(names, ==, "id, label, score");
}

static void test_numbers_are_decimal(void)
{
	g_autoptr(Columns) columns = read_as(COLUMNS_CSV, "a,b,c,d\n0x10,inf, 1,nan\n");
	for (size_t column = 0; column < 3; column++)
		g_assert_cmpint(columns_type(columns, column), ==, COLUMN_TEXT);
	g_assert_cmpint(columns_type(columns, 3), ==, COLUMN_NUMBER);
}

static void test_json_lines(void)
{
	g_autoptr(Columns) columns = read_as(COLUMNS_JSON_LINES,
	        "{\"id\":1,\"label\":true,\"score\":0.1,\"tags\":[1]}\n\n{\"score\":2,\"id\":\"x\",\"label\":null}");
	g_assert_cmpuint(columns_rows(columns), ==, 2);
	g_assert_cmpstr(columns_text(columns, 1, 0), ==, "true");
	g_assert_cmpstr(columns_text(columns, 3, 0), ==, "[1]");
	g_assert_cmpstr(columns_text(columns, 3, 1), ==, "");
	g_assert_cmpfloat(columns_number(columns, 2, 0), ==, 0.1);
	g_assert_cmpfloat(columns_number(columns, 2, 1), ==, 2);
	g_assert_cmpint(columns_type(columns, 0), ==, COLUMN_TEXT);
	g_assert_cmpuint(columns_line(columns, 1), ==, 3);
}

static void test_mistakes_name_their_line(void)
{
	static const struct {
		ColumnsFormat format;
		const char *text;
		const char *expected;
	} rows[] = {
	        {COLUMNS_CSV, "", "t.csv: line 1: the file is empty"},
	        {COLUMNS_CSV, "id,label\n1,a\n2\n", "line 3: 1 fields where the header has 2"},
	        {COLUMNS_CSV, "id,label\n1,a,b\n", "line 2: 3 fields where the header has 2"},
	        {COLUMNS_CSV, "id,label\n1,a\n2,\"open\n\n", "line 3: a quote is opened here"},
	        {COLUMNS_CSV, "id,label\n1,\"a\"b\n", "line 2: text behind a closing quote"},
	        {COLUMNS_CSV, "id,label\n1,a\"b\n", "line 2: a quote or carriage return inside"},
	        {COLUMNS_CSV, "id,id\n", "the column 'id' stands there twice"},
	        {COLUMNS_CSV, "id,\n", "a column without a name"},
	        {COLUMNS_CSV, "id\na\n\xFF\n", "line 3: not UTF-8"},
	        {COLUMNS_CSV, "PAR1\x15", "Parquet"},
	        {COLUMNS_JSON_LINES, "{\"id\":1}\n[1]\n", "line 2: not a JSON object"},
	        {COLUMNS_JSON_LINES, "{\"id\":1}\n{\n", "line 2: not JSON"},
	        {COLUMNS_JSON_LINES, "{\"id\":1}\n{\"other\":1}\n", "line 2: the key 'other' is not on the first"},
	        {COLUMNS_JSON_LINES, "\n", "the file is empty"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(columns_parse(rows[i].text, strlen(rows[i].text), rows[i].format, "t.csv", &error));
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
		if (!strstr(error->message, rows[i].expected))
			g_error("row %zu: '%s' does not say '%s'", i, error->message, rows[i].expected);
	}
	g_autoptr(GError) error = NULL;
	g_assert_null(columns_parse("id\na\0b\n", 7, COLUMNS_CSV, "t.csv", &error));
	g_assert_nonnull(strstr(error->message, "line 2"));
}

static void test_format_by_name(void)
{
	ColumnsFormat format;
	g_assert_true(columns_format("a/B.CSV", &format, NULL) && format == COLUMNS_CSV);
	g_assert_true(columns_format("x.ndjson", &format, NULL) && format == COLUMNS_JSON_LINES);
	g_autoptr(GError) error = NULL;
	g_assert_false(columns_format("x.parquet", &format, &error));
	g_assert_nonnull(strstr(error->message, "Parquet"));
	g_assert_false(columns_format("x.xlsx", &format, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/columns/csv_is_rfc_4180", test_csv);
	g_test_add_func("/columns/numbers_are_decimal", test_numbers_are_decimal);
	g_test_add_func("/columns/json_lines_are_columns", test_json_lines);
	g_test_add_func("/columns/mistakes_name_their_line", test_mistakes_name_their_line);
	g_test_add_func("/columns/format_is_by_name", test_format_by_name);
	return g_test_run();
}
