/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linter. Every rule has a pair in tests/golden/lint: RULE.hit.yml is warned of on exactly the lines that end with
 * "# hit", RULE.miss.yml on none. Other rules may speak of the same file.
 */
#include "agent/job/lint.h"

#include <string.h>

#include <glib/gstdio.h>

#include "agent/base/autoptr.h"
#include "agent/base/json.h"
#include "agent/job/reader.h"

static json_t *lint_text_of(const char *text, size_t len, const char *name, const char *folder)
{
	g_autoptr(json_t) errors = NULL;
	g_autoptr(YamlDocument) document = reader_check(text, len, name, &errors);
	if (!document)
		g_test_message("%s", json_get_string(json_array_get(errors, 0), "caret", ""));
	g_assert_nonnull(document);
	return lint_document(document, folder);
}

/** Is there a warning of a rule on a line? */
static bool warns(const json_t *warnings, const char *rule, int line)
{
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach((json_t *)warnings, i, one)
		if (strcmp(json_get_string(one, "rule", ""), rule) == 0 && json_get_int(one, "line", 0) == line)
			return true;
	return false;
}

static void check_golden(const char *rule, const char *kind)
{
	g_autofree char *name = g_strdup_printf("%s.%s.yml", rule, kind);
	g_autofree char *path = g_build_filename(TEST_SOURCE_DIR, "tests", "golden", "lint", name, NULL);
	g_autofree char *text = NULL;
	gsize len = 0;
	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	g_autoptr(json_t) warnings = lint_text_of(text, len, name, NULL);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	size_t hits = 0;
	for (int i = 0; lines[i]; i++) {
		bool hit = g_str_has_suffix(lines[i], "# hit");
		hits += hit;
		if (warns(warnings, rule, i + 1) != hit)
			g_test_message("%s:%d: %s", name, i + 1, hit ? "no warning" : "a warning that is wrong");
		g_assert_true(warns(warnings, rule, i + 1) == hit);
	}
	g_assert_true((hits > 0) == (strcmp(kind, "hit") == 0));
}

static void every_rule_has_a_pair_that_holds(void)
{
	for (const LintRule *rule = lint_rules; rule->name; rule++) {
		check_golden(rule->name, "hit");
		check_golden(rule->name, "miss");
		g_assert_true(!rule[1].name || strcmp(rule->name, rule[1].name) < 0);
	}
}

#define HEAD "on: push\npermissions: {}\njobs:\n  a:\n    runs-on: x\n    steps:\n"

static json_t *lint(const char *text)
{
	return lint_text_of(text, strlen(text), "w.yml", NULL);
}

static void every_warning_is_of_a_known_rule_and_says_where(void)
{
	g_autoptr(json_t) warnings = lint(HEAD "      - run: |\n          a\n          b ${{ github.head_ref }}\n");
	g_assert_cmpuint(json_array_size(warnings), ==, 1);
	const json_t *one = json_array_get(warnings, 0);
	g_assert_cmpstr(json_get_string(one, "rule", ""), ==, "template-injection");
	g_assert_cmpint(json_get_int(one, "line", 0), ==, 9);
	g_assert_cmpint(json_get_int(one, "column", 0), ==, 13);
	g_assert_nonnull(strstr(json_get_string(one, "caret", ""), "w.yml:9:13: whoever writes 'github.head_ref'"));
	g_assert_nonnull(strstr(json_get_string(one, "caret", ""), "[template-injection]\n          b ${{ github.head_ref }}\n"
	                                                           "            ^"));
}

static void a_comment_silences_one_rule(void)
{
	static const char *const silent[] = {HEAD "      - uses: a/b@v1 # assay: ignore[unpinned-uses]\n",
	        HEAD "      - uses: a/b@v1 # zizmor: ignore[unpinned-uses] known\n", HEAD "      - uses: a/b@v1 # assay: ignore\n",
	        HEAD "      # assay: ignore[glob, unpinned-uses]\n      - uses: a/b@v1\n",
	        HEAD "      - name: x\n        # zizmor: ignore[unpinned-uses]\n        uses: a/b@v1\n"};
	for (size_t i = 0; i < G_N_ELEMENTS(silent); i++) {
		g_autoptr(json_t) warnings = lint(silent[i]);
		g_assert_cmpuint(json_array_size(warnings), ==, 0);
	}
	static const char *const loud[] = {HEAD "      - uses: a/b@v1 # assay: ignore[glob]\n",
	        HEAD "      - name: x # assay: ignore[unpinned-uses]\n        uses: a/b@v1\n",
	        HEAD "      - uses: a/b@v1 # ignore\n"};
	for (size_t i = 0; i < G_N_ELEMENTS(loud); i++) {
		g_autoptr(json_t) warnings = lint(loud[i]);
		g_assert_cmpuint(json_array_size(warnings), ==, 1);
	}
}

static void a_local_action_is_asked_for_its_inputs(void)
{
	g_autofree char *folder = g_dir_make_tmp("lint-XXXXXX", NULL);
	g_autofree char *action = g_build_filename(folder, "act", NULL);
	g_autofree char *file = g_build_filename(action, "action.yml", NULL);
	g_assert_cmpint(g_mkdir(action, 0700), ==, 0);
	g_assert_true(g_file_set_contents(file, "name: x\ninputs:\n  who: {required: true}\n  how: {required: true, default: x}\n"
	                                        "runs: {using: composite, steps: []}\n", -1, NULL));
	const char *text = HEAD "      - uses: ./act\n        with: {wo: x}\n      - uses: ./act\n        with: {WHO: x}\n"
	                        "      - uses: ./absent\n        with: {x: y}\n";
	g_autoptr(json_t) warnings = lint_text_of(text, strlen(text), "w.yml", folder);
	g_assert_cmpuint(json_array_size(warnings), ==, 2);
	g_assert_true(warns(warnings, "action-inputs", 7));
	g_assert_true(warns(warnings, "action-inputs", 8));
	g_unlink(file);
	g_rmdir(action);
	g_rmdir(folder);
}

static void warnings_come_in_file_order_and_once(void)
{
	g_autoptr(json_t) warnings = lint("on: push\njobs:\n  a: &a\n    runs-on: ubuntu-oldest\n    steps: [{uses: x/y@v1}]\n  b: *a\n");
	int line = 0;
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(warnings, i, one) {
		g_assert_cmpint(json_get_int(one, "line", 0), >=, line);
		line = (int)json_get_int(one, "line", 0);
	}
	g_assert_cmpuint(json_array_size(warnings), ==, 3);
}

static void a_file_full_of_warnings_ends(void)
{
	g_autoptr(GString) text = g_string_new(HEAD);
	for (int i = 0; i < 3000; i++)
		g_string_append_printf(text, "      - run: echo ${{ github.head_ref }} ${{ steps.x%d.outputs.y }}\n", i);
	g_autoptr(json_t) warnings = lint(text->str);
	g_assert_cmpuint(json_array_size(warnings), ==, 200);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lint/every_rule_has_a_pair_that_holds", every_rule_has_a_pair_that_holds);
	g_test_add_func("/lint/every_warning_is_of_a_known_rule_and_says_where", every_warning_is_of_a_known_rule_and_says_where);
	g_test_add_func("/lint/a_comment_silences_one_rule", a_comment_silences_one_rule);
	g_test_add_func("/lint/a_local_action_is_asked_for_its_inputs", a_local_action_is_asked_for_its_inputs);
	g_test_add_func("/lint/warnings_come_in_file_order_and_once", warnings_come_in_file_order_and_once);
	g_test_add_func("/lint/a_file_full_of_warnings_ends", a_file_full_of_warnings_ends);
	return g_test_run();
}
