/* SPDX-License-Identifier: Apache-2.0 */
/* Versions in the files that projects have. */
#include "agent/job/setup_wish.h"

#include <string.h>

#include "agent/base/error.h"

typedef char *Reader(const char *name, const char *text, GError **error);

static void assert_wish(Reader *read, const char *name, const char *text, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *got = read(name, text, &error);
	g_assert_cmpstr(got, ==, expected);
	g_assert_cmpint(error != NULL, ==, expected == NULL);
}

static void files_of_python(void)
{
	assert_wish(setup_wish_python, ".python-version", "# mine\n3.11.2 # here\r\n\n3.12\n", "3.11.2\n3.12");
	assert_wish(setup_wish_python, ".python-version", "\n#\n", NULL);
	assert_wish(setup_wish_python, "pyproject.toml", "[tool.x]\nrequires-python = \"no\"\n[project]\nrequires-python-x = 'a'\n"
	                                                 "requires-python = \">=3.10,<3.13\" # c\n", ">=3.10,<3.13");
	assert_wish(setup_wish_python, "pyproject.toml", "[ tool.poetry.dependencies ]\npython='^3.9'\n", "^3.9");
	assert_wish(setup_wish_python, "pyproject.toml", "[project]\nname = \"x\"\n", NULL);
	assert_wish(setup_wish_python, "Pipfile", "[requires]\npython_version = \"3.10\"\n", "3.10");
	assert_wish(setup_wish_python, ".tool-versions", "nodejs 20\npython  3.11.4 3.12 # x\n", "3.11.4");
	assert_wish(setup_wish_python, ".tool-versions", "pythonic 3\n", NULL);
}

static void files_of_node(void)
{
	assert_wish(setup_wish_node, ".nvmrc", "\n# c\nlts/iron\n18\n", "lts/iron");
	assert_wish(setup_wish_node, "package.json", "{\"engines\":{\"node\":\">=18\"},\"volta\":{\"node\":\"20.1.0\"}}", "20.1.0");
	assert_wish(setup_wish_node, "package.json", "{\"engines\":{\"node\":\">=18\"}}", ">=18");
	assert_wish(setup_wish_node, "package.json", "{\"devEngines\":{\"runtime\":[{\"name\":\"node\",\"version\":\"^22\"}]}}", "^22");
	assert_wish(setup_wish_node, "package.json", "{}", NULL);
	assert_wish(setup_wish_node, "package.json", "{", NULL);
	assert_wish(setup_wish_node, ".tool-versions", "python 3\nnode 20.1\n", "20.1");
}

static void wishes_become_ranges(void)
{
	static const struct {
		bool node;
		const char *wish, *range; /* NULL: refused */
	} rows[] = {{false, "3.x", "3.x"}, {false, "3.14-dev", "~3.14.0-0"}, {false, "pypy3.10", NULL}, {false, "graalpy-24", NULL},
	        {false, "3.13t", NULL}, {false, "three", NULL}, {false, "", ""}, {true, "lts/*", "4 || 6 || 8 || 10 || 12 || 14 || 16 || "
	        "18 || 20 || 22 || 24 || 26 || 28 || 30"}, {true, "LTS/Iron", "20"}, {true, "latest", "*"}, {true, "lts/none", NULL},
	        {true, "^20 || >=22", "^20 || >=22"}, {true, "iojs", NULL}};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *range = rows[i].node ? setup_range_node(rows[i].wish, &error) : setup_range_python(rows[i].wish, &error);
		g_assert_cmpstr(range, ==, rows[i].range);
		g_assert_cmpint(error != NULL, ==, range == NULL);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/setup_wish/files_of_python", files_of_python);
	g_test_add_func("/setup_wish/files_of_node", files_of_node);
	g_test_add_func("/setup_wish/wishes_become_ranges", wishes_become_ranges);
	return g_test_run();
}
