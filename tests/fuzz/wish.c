/* SPDX-License-Identifier: Apache-2.0 */
/* Files that say which version is wanted, and wishes as steps write them: a range that can be read comes out, or an error. */
#include "agent/job/setup_wish.h"

#include <stdint.h>
#include <string.h>

#include "agent/model/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef char *(*Read)(const char *name, const char *text, GError **error);
typedef char *(*Range)(const char *wish, GError **error);

static void check_range(const char *wish, Range range)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *one = range(wish, &error);
	g_assert_true((one != NULL) == (error == NULL));
	if (!one)
		return;
	g_assert_true(version_is_range(one));
	static const char *const versions[] = {"3.11.2", "20.0.0", "3.14.0-rc.2", "0.0.0"};
	for (size_t i = 0; i < G_N_ELEMENTS(versions); i++)
		(void)version_fits(versions[i], one, i % 2);
}

static void check_file(const char *name, const char *text, Read read, Range range)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *wishes = read(name, text, &error);
	g_assert_true((wishes != NULL) == (error == NULL));
	g_auto(GStrv) lines = wishes ? g_strsplit(wishes, "\n", 20) : NULL;
	for (char **line = lines; line && *line; line++)
		check_range(*line, range);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const python[] = {".python-version", "pyproject.toml", "Pipfile", ".tool-versions"};
	static const char *const node[] = {".nvmrc", "package.json", ".node-version", ".tool-versions"};
	g_autofree char *text = g_strndup((const char *)data, size);
	for (size_t i = 0; i < G_N_ELEMENTS(python); i++)
		check_file(python[i], text, setup_wish_python, setup_range_python);
	for (size_t i = 0; i < G_N_ELEMENTS(node); i++)
		check_file(node[i], text, setup_wish_node, setup_range_node);
	check_range(text, setup_range_python);
	check_range(text, setup_range_node);
	const char *newline = strchr(text, '\n');
	const char *other = newline ? newline + 1 : "1.2.3";
	int order = version_compare(text, other);
	int back = version_compare(other, text);
	g_assert_true((order < 0) == (back > 0) && (order == 0) == (back == 0));
	(void)version_fits(text, other, true);
	return 0;
}
