/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that a job wrote: the first byte chooses the format, the rest is the file. */
#include "ml-steps/columns.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	ColumnsFormat format = data[0] == '{' ? COLUMNS_JSON_LINES : data[0] == '\t' ? COLUMNS_TSV : COLUMNS_CSV;
	size_t skip = data[0] == '\t';
	g_autoptr(GError) error = NULL;
	g_autoptr(Columns) columns =
	        columns_parse((const char *)data + skip, size - skip, format, "table", &error);
	if (!columns) {
		g_assert_nonnull(error);
		return 0;
	}
	g_autofree char *names = columns_names(columns);
	double sum = (double)strlen(names);
	for (size_t row = 0; row < columns_rows(columns); row++) {
		g_assert_cmpuint(columns_line(columns, row), >, 0);
		for (size_t column = 0; column < columns_width(columns); column++) {
			double number = columns_number(columns, column, row);
			sum += (double)strlen(columns_text(columns, column, row)) + (isnan(number) ? 0 : 1);
		}
	}
	for (size_t column = 0; column < columns_width(columns); column++)
		g_assert_cmpint(columns_find(columns, columns_name(columns, column)), ==, (int)column);
	return isnan(sum);
}
