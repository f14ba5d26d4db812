/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/commands.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

static Command *parse(const char *line)
{
	return command_parse(line, strlen(line));
}

static void command_has_name_properties_and_text(void)
{
	g_autoptr(Command) command = parse("::error file=a%2Cb.c,Line=3,title=x%3Ay::went%0Awrong 100%25");
	g_assert_nonnull(command);
	g_assert_cmpstr(command->name, ==, "error");
	g_assert_cmpstr(command->data, ==, "went\nwrong 100%");
	g_assert_cmpstr(json_get_string(command->properties, "file", ""), ==, "a,b.c");
	g_assert_cmpstr(json_get_string(command->properties, "line", ""), ==, "3");
	g_assert_cmpstr(json_get_string(command->properties, "title", ""), ==, "x:y");
	g_autoptr(Command) bare = parse("  ::endgroup::");
	g_assert_cmpstr(bare->name, ==, "endgroup");
	g_assert_cmpstr(bare->data, ==, "");
	g_autoptr(Command) colons = parse("::add-mask::a::b");
	g_assert_cmpstr(colons->data, ==, "a::b");
}

static void other_lines_are_no_commands(void)
{
	static const char *const lines[] = {"", ":", "::", "::::", ":: ::", "a::b::c", "::x", ": :x::", "::x:"};
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_autoptr(Command) command = parse(lines[i]);
		g_assert_null(command);
	}
}

static json_t *pairs(const char *text, GError **error)
{
	return commands_read_pairs(text, strlen(text), "GITHUB_OUTPUT", error);
}

static void pairs_and_blocks_are_read(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) got =
	        pairs("a=1\r\n\nb=x=y\nc<<END\nline 1\n\nline = 2\nEND\nd<<E\nE\na=2\ne=\nf=<<no\n", &error);
	g_assert_no_error(error);
	g_autofree char *text = json_text(got);
	g_assert_cmpstr(text, ==, "{\"a\":\"2\",\"b\":\"x=y\",\"c\":\"line 1\\n\\nline = 2\",\"d\":\"\",\"e\":\"\",\"f\":\"<<no\"}");
}

static void broken_files_are_refused(void)
{
	static const char *const texts[] = {"a\n", "=1\n", "a<<END\nno end\n", "a<<\nx\n", "a<<END\nEND x\n"};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(json_t) got = pairs(texts[i], &error);
		g_assert_null(got);
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
		g_assert_true(g_str_has_prefix(error->message, "GITHUB_OUTPUT: "));
	}
}

static void paths_are_lines(void)
{
	g_auto(GStrv) lines = commands_read_lines("/a\r\n\n/b c\n", 10);
	g_assert_cmpuint(g_strv_length(lines), ==, 2);
	g_assert_cmpstr(lines[0], ==, "/a");
	g_assert_cmpstr(lines[1], ==, "/b c");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/commands/command_has_name_properties_and_text", command_has_name_properties_and_text);
	g_test_add_func("/commands/other_lines_are_no_commands", other_lines_are_no_commands);
	g_test_add_func("/commands/pairs_and_blocks_are_read", pairs_and_blocks_are_read);
	g_test_add_func("/commands/broken_files_are_refused", broken_files_are_refused);
	g_test_add_func("/commands/paths_are_lines", paths_are_lines);
	return g_test_run();
}
