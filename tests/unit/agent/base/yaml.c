/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: the core schema, positions, limits, and what a person sees of a mistake. */
#include "agent/base/yaml.h"

#include <math.h>
#include <string.h>

#include "agent/base/json.h"

static YamlDocument *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	YamlDocument *document = yaml_parse(text, strlen(text), "t.yml", &error);
	g_assert_no_error(error);
	return document;
}

static void assert_json(const char *yaml, const char *json)
{
	g_autoptr(YamlDocument) document = parse(yaml);
	g_autoptr(json_t) value = yaml_to_json(document->root);
	g_autofree char *text = json_text(value);
	g_assert_cmpstr(text, ==, json);
}

static void assert_refused(const char *yaml, size_t len, const char *message)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(YamlDocument) document = yaml_parse(yaml, len, "t.yml", &error);
	g_assert_null(document);
	g_assert_nonnull(error);
	if (!strstr(error->message, message))
		g_test_message("got: %s", error->message);
	g_assert_nonnull(strstr(error->message, message));
}

static void refused(const char *yaml, const char *message)
{
	assert_refused(yaml, strlen(yaml), message);
}

static void scalars_follow_the_core_schema(void)
{
	assert_json("[on, yes, No, y, true, False, ~, null, '', \"1\"]",
	        "[\"on\",\"yes\",\"No\",\"y\",true,false,null,null,\"\",\"1\"]");
	assert_json("[0o17, 0x1F, 017, -0, +5, 0b1, 1_000, 1:30]", "[15,31,17,0,5,\"0b1\",\"1_000\",\"1:30\"]");
	assert_json("[1.5, .5, 1e2, 1.2E-2, -.inf, .NaN, 1., 1.2.3, .e1, 2024-01-02]",
	        "[1.5,0.5,100,0.012,\"-Infinity\",\"NaN\",1,\"1.2.3\",\".e1\",\"2024-01-02\"]");
	assert_json("a: >-\n  3.10\n", "{\"a\":\"3.10\"}");
	assert_json("", "null");
	assert_json("# nothing\n", "null");
}

static void core_tags_decide_the_kind(void)
{
	assert_json("[!!str 1, !!float 1, !!int 0xff, !!null '', !!bool True, ! 5]",
	        "[\"1\",1,255,null,true,\"5\"]");
	refused("a: !!int test", "does not fit its tag");
	refused("a: !mine test", "the tag '!mine' is not supported");
	refused("a: !!python/object {}", "not supported");
}

static void nodes_know_their_place(void)
{
	g_autoptr(YamlDocument) document = parse("on: push\njobs:\n  é: {a: [x, 'y']}\n");
	const YamlNode *jobs = yaml_get(document->root, "jobs");
	g_assert_cmpint(jobs->line, ==, 3);
	g_assert_cmpint(jobs->column, ==, 3);
	const YamlNode *a = yaml_get(yaml_get(jobs, "é"), "a");
	g_assert_cmpint(a->items[1]->line, ==, 3);
	g_assert_cmpint(a->items[1]->column, ==, 14);
	g_assert_false(a->items[1]->plain);
	g_assert_true(a->items[0]->plain);
	g_assert_null(yaml_get(jobs, "absent"));
	g_assert_null(yaml_get(a, "x"));
}

static void mistakes_show_line_and_caret(void)
{
	refused("a: 1\nb: 2\na: 3\n", "t.yml:3:1: 'a' is already defined\na: 3\n^");
	refused("a:\n\t- b\n", "t.yml:2:1: ");
	refused("a: {<<: {b: 1}}\n", "t.yml:1:5: merge keys are not supported");
	refused("a: [1\n", "t.yml:2:1: ");
	refused("a: *b\n", "the alias '*b' has no anchor");
	refused("a: &a [*a]\n", "the alias '*a' has no anchor");
	refused("? [a]\n: b\n", "a key cannot be a sequence");
	refused("a: 1\n---\nb: 2\n", "t.yml:2:1: a second document");
	refused("a: \"\\0\"\n", "a NUL character");
}

static void caret_stands_below_the_column(void)
{
	g_autoptr(YamlDocument) document = parse("a: 1\r\nkey:\tvälue\r\n");
	g_autofree char *text = yaml_caret(document, 2, 7, "why");
	g_assert_cmpstr(text, ==, "t.yml:2:7: why\nkey:\tvälue\n    \t ^");
	g_autofree char *beyond = yaml_caret(document, 9, 3, "why");
	g_assert_cmpstr(beyond, ==, "t.yml:9:3: why\n\n  ^");
}

static void long_lines_are_cut_around_the_column(void)
{
	g_autofree char *many = g_strnfill(5000, 'x');
	g_autofree char *yaml = g_strdup_printf("a: '%s'\n", many);
	g_autoptr(YamlDocument) document = parse(yaml);
	g_autofree char *text = yaml_caret(document, 1, 1000, "why");
	g_assert_cmpuint(strlen(text), <, 400);
	g_assert_nonnull(strstr(text, "…"));
}

static void control_characters_never_reach_a_terminal(void)
{
	g_autoptr(GError) error = NULL;
	const char *text = "a: \x1b[31mred\n";
	g_assert_null(yaml_parse(text, strlen(text), "t.yml", &error));
	g_assert_nonnull(strstr(error->message, "t.yml:1:4: control characters"));
	g_assert_null(strchr(error->message, '\x1b'));
}

static void broken_text_is_refused(void)
{
	refused("a: b\nc: \xff\xfe\n", "t.yml:2:4: not UTF-8");
	assert_refused("a: b\0c", 6, "t.yml:1:5: a NUL byte");
	assert_refused("\xff\xfe" "a\0", 4, "not UTF-8");
	assert_json("\xEF\xBB\xBF" "a: 1", "{\"a\":1}");
}

/* Bytes are looked at by eights until one is not plain; wherever it stands, it is found. */
static void bad_bytes_are_found_at_every_place(void)
{
	for (size_t before = 0; before < 20; before++) {
		g_autofree char *good = g_strnfill(before, 'a');
		g_autofree char *umlaut = g_strdup_printf("%s\xC3\xBC: 1\n", good);
		g_autoptr(YamlDocument) document = parse(umlaut);
		g_assert_cmpuint(document->root->items[0]->len, ==, before + 2);
		char text[32];
		g_autofree char *place = g_strdup_printf("t.yml:1:%zu: ", before + 1);
		int len = g_snprintf(text, sizeof text, "%s_: 1\n", good);
		text[before] = '\xff';
		assert_refused(text, (size_t)len, place);
		text[before] = '\0';
		assert_refused(text, (size_t)len, place);
	}
}

/* The tree is cut from blocks: texts shorter and longer than one stay whole beside one another. */
static void texts_of_all_lengths_stay_whole(void)
{
	GString *text = g_string_new(NULL);
	const size_t lengths[] = {0, 1, 7, 8, 255, 256, 1023, 1024, 4096, 16383, 16384, 65535, 65536, 200000};
	for (size_t i = 0; i < 400; i++) {
		g_autofree char *value = g_strnfill(lengths[i % G_N_ELEMENTS(lengths)], (char)('a' + i % 26));
		g_string_append_printf(text, "k%zu: ['%s', %zu]\n", i, value, i);
	}
	g_autoptr(YamlDocument) document = parse(text->str);
	g_assert_cmpuint(document->root->items_len, ==, 800);
	for (size_t i = 0; i < 400; i++) {
		const YamlNode *pair = document->root->items[2 * i + 1];
		const YamlNode *value = pair->items[0];
		size_t len = lengths[i % G_N_ELEMENTS(lengths)];
		g_assert_cmpuint(value->len, ==, len);
		g_assert_cmpuint(strlen(value->text), ==, len);
		g_assert_true(len == 0 || (value->text[0] == (char)('a' + i % 26) && value->text[len - 1] == value->text[0]));
		g_assert_cmpfloat(pair->items[1]->number, ==, (double)i);
	}
	g_string_free(text, TRUE);
}

static void a_byte_order_mark_is_no_column(void)
{
	assert_json("\xEF\xBB\xBF" "a: 1\nb: 2\n", "{\"a\":1,\"b\":2}");
	refused("\xEF\xBB\xBF" "a: \xff\n", "t.yml:1:4: not UTF-8");
	refused("\xEF\xBB\xBF" "a: \x1b\n", "t.yml:1:4: control characters");
	refused("\xEF\xBB\xBF" "a: [\nb: }\n", "t.yml:2:4:");
}

static void line_ends_of_windows_and_tabs(void)
{
	assert_json("a: |\r\n  x\r\n  y\r\nb: z\r\n", "{\"a\":\"x\\ny\\n\",\"b\":\"z\"}");
	refused("a:\n\tb: 1\n", "t.yml:2:1: a tab cannot indent; write spaces");
	refused("a:\n  \tb: 1\n  \tc: 1\n", "a tab");
	assert_json("a: 'x\ty'\nb: 1\t\n", "{\"a\":\"x\\ty\",\"b\":1}");
}

static void alias_shares_its_anchor(void)
{
	assert_json("a: &x {b: [1]}\nc: *x\nd: &x 2\ne: *x\n", "{\"a\":{\"b\":[1]},\"c\":{\"b\":[1]},\"d\":2,\"e\":2}");
}

static void alias_bombs_are_refused(void)
{
	GString *bomb = g_string_new("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 20; i++) {
		g_string_append_printf(bomb, "a%d: &a%d [", i, i);
		for (int j = 0; j < 9; j++)
			g_string_append_printf(bomb, "*a%d,", i - 1);
		g_string_append(bomb, "]\n");
	}
	refused(bomb->str, "stand for too much");
	g_string_assign(bomb, "a: &a '");
	for (int i = 0; i < 1000000; i++)
		g_string_append_c(bomb, 'x');
	g_string_append(bomb, "'\nb: [");
	for (int i = 0; i < 100; i++)
		g_string_append(bomb, "*a,");
	g_string_append(bomb, "]\n");
	refused(bomb->str, "stand for too much");
	/* A chain makes depth without nesting. */
	g_string_assign(bomb, "- &a0 [x]\n");
	for (int i = 1; i < 300; i++)
		g_string_append_printf(bomb, "- &a%d [*a%d]\n", i, i - 1);
	refused(bomb->str, "nested deeper");
	g_string_free(bomb, TRUE);
}

static void depth_and_size_are_bounded(void)
{
	g_autofree char *deep = g_strnfill(5000, '[');
	refused(deep, "nested deeper than 100");
	g_autofree char *large = g_strnfill(YAML_BYTES_MAX + 1, ' ');
	refused(large, "larger than 10 MiB");
	GString *many = g_string_new("[");
	for (int i = 0; i < YAML_NODES_MAX + 10; i++)
		g_string_append(many, "1,");
	g_string_append(many, "]");
	refused(many->str, "more than 1000000 values");
	g_string_free(many, TRUE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/yaml/scalars_follow_the_core_schema", scalars_follow_the_core_schema);
	g_test_add_func("/yaml/core_tags_decide_the_kind", core_tags_decide_the_kind);
	g_test_add_func("/yaml/nodes_know_their_place", nodes_know_their_place);
	g_test_add_func("/yaml/mistakes_show_line_and_caret", mistakes_show_line_and_caret);
	g_test_add_func("/yaml/caret_stands_below_the_column", caret_stands_below_the_column);
	g_test_add_func("/yaml/long_lines_are_cut_around_the_column", long_lines_are_cut_around_the_column);
	g_test_add_func("/yaml/control_characters_never_reach_a_terminal",
	        control_characters_never_reach_a_terminal);
	g_test_add_func("/yaml/broken_text_is_refused", broken_text_is_refused);
	g_test_add_func("/yaml/bad_bytes_are_found_at_every_place", bad_bytes_are_found_at_every_place);
	g_test_add_func("/yaml/texts_of_all_lengths_stay_whole", texts_of_all_lengths_stay_whole);
	g_test_add_func("/yaml/a_byte_order_mark_is_no_column", a_byte_order_mark_is_no_column);
	g_test_add_func("/yaml/line_ends_of_windows_and_tabs", line_ends_of_windows_and_tabs);
	g_test_add_func("/yaml/alias_shares_its_anchor", alias_shares_its_anchor);
	g_test_add_func("/yaml/alias_bombs_are_refused", alias_bombs_are_refused);
	g_test_add_func("/yaml/depth_and_size_are_bounded", depth_and_size_are_bounded);
	return g_test_run();
}
