/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: operators, coercions, functions, templates, conditions, checks and limits. */
#include "agent/model/expr.h"

#include <math.h>
#include <string.h>

#include "agent/base/json.h"

static const char contexts_text[] =
        "{\"github\":{\"ref\":\"refs/heads/main\",\"event_name\":\"push\",\"event\":{\"commits\":[{\"id\":\"a\"},"
        "{\"id\":\"b\",\"x\":[1,2]},3]}},\"matrix\":{\"os\":[\"linux\",\"mac\"],\"n\":3.5},\"needs\":{\"a\":{\"result\":"
        "\"success\"},\"b\":{\"result\":\"failure\"}},\"empty\":null,\"yes\":true}";

static char *hash_files(void *data, const char *const *patterns, size_t count, GError **error)
{
	(void)error;
	g_string_append_printf(data, "%zu:%s", count, patterns[count - 1]);
	return g_strdup("abc");
}

static json_t *evaluate(const char *expression, ExprStatus status, GError **error)
{
	g_autoptr(json_t) contexts = json_parse(contexts_text, strlen(contexts_text), "contexts", NULL);
	ExprScope scope = {.contexts = contexts, .status = status};
	return expr_evaluate(expression, &scope, error);
}

static void gives(const char *expression, const char *json)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) value = evaluate(expression, EXPR_STATUS_SUCCESS, &error);
	g_assert_no_error(error);
	g_autofree char *text = json_text(value);
	g_assert_cmpstr(text, ==, json);
}

static void fails(const char *expression, const char *message)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) value = evaluate(expression, EXPR_STATUS_SUCCESS, &error);
	g_assert_null(value);
	g_assert_nonnull(error);
	if (!strstr(error->message, message))
		g_test_message("got: %s", error->message);
	g_assert_nonnull(strstr(error->message, message));
}

static void operators_bind_as_they_should(void)
{
	gives("", "null");
	gives("!true == false", "true");
	gives("1 < 2 == true && 'a' != 'b' || false", "true");
	gives("true && 'x' || 'y'", "\"x\"");
	gives("false && 'x' || 'y'", "\"y\"");
	gives("!(1 > 2) && !!yes", "true");
	gives("'A' == 'a' && 'Ü' == 'ü'", "true");
	gives("'\xF0\x90\x80\x80' < '\xEF\xBF\xBD'", "true");
	gives("1 == '0x1' && null == '' && true == '1'", "true");
	gives("'it''s'", "\"it's\"");
	gives("''''", "\"'\"");
	gives("0xffffffff", "-1");
	gives("+infinity", "\"Infinity\"");
}

static void indexes_walk_trees(void)
{
	gives("GitHub.REF", "\"refs/heads/main\"");
	gives("github['event_name']", "\"push\"");
	gives("github.event.commits[1].x[0]", "1");
	gives("github.event.commits.*.id", "[\"a\",\"b\"]");
	gives("github.event.commits.*.x[1]", "[2]");
	gives("github.event.commits.*.x.*", "[1,2]");
	gives("github.absent.more[3]", "null");
	gives("matrix.os[5]", "null");
	gives("matrix.os[null]", "\"linux\"");
	gives("empty.*", "[]");
	gives("empty == null", "true");
}

static void functions_do_what_they_say(void)
{
	gives("contains(matrix.os, 'MAC')", "true");
	gives("startsWith(github.ref, 'REFS/heads/')", "true");
	gives("endsWith(github.ref, 'main')", "true");
	gives("endsWith('a', 'ba')", "false");
	gives("format('{1}-{0}-{{}}', matrix.n, true)", "\"true-3.5-{}\"");
	gives("join(matrix.os, '+')", "\"linux+mac\"");
	gives("toJSON(matrix.os)", "\"[\\n  \\\"linux\\\",\\n  \\\"mac\\\"\\n]\"");
	gives("toJSON(fromJSON('{\"a\":{},\"b\":[[]]}'))",
	        "\"{\\n  \\\"a\\\": {},\\n  \\\"b\\\": [\\n    []\\n  ]\\n}\"");
	gives("fromJSON('[1, 2.5, \"x\"]')[1]", "2.5");
	gives("fromJSON('123456789012345678901234567890') > 1e29", "true");
	gives("fromJSON('1e400')", "\"Infinity\"");
	gives("fromJSON('-1e400') < 0", "true");
	fails("fromJSON('[1e400]')", "Error parsing fromJson");
	/* Keys without regard to case: the first spelling, the last value. */
	gives("toJSON(fromJSON('{\"a\":1,\"A\":2}'))", "\"{\\n  \\\"a\\\": 2\\n}\"");
	gives("fromJSON('[{\"k\":{\"x\":1,\"X\":2,\"y\":3}}]')[0].K.x", "2");
	/* Nothing has items, so its index is not even evaluated. */
	gives("fromJSON('null')[fromJSON('{')]", "null");
	gives("format('text')[0]", "null");
	gives("case(false, 1, yes, 2, 3)", "2");
	gives("success() && !failure() && !cancelled() && always()", "true");
	gives("success('a') && failure('A', 'b')", "true");
}

static void mistakes_name_the_place(void)
{
	fails("github.ref ==", "Unexpected end of expression: '=='. Located at position 12");
	fails("nope.ref", "Unrecognized named-value: 'nope'. Located at position 1");
	fails("nope()", "Unrecognized function: 'nope'");
	fails("contains('a')", "Too few parameters");
	fails("toJSON(1, 2)", "Too many parameters");
	fails("1 + 2", "Unexpected symbol: '+'");
	fails("'é' && \"x\"", "Unexpected symbol: '\"x\"'. Located at position 8");
	fails("(1", "Unexpected end");
	fails("1)", "Unexpected symbol: ')'");
	fails("a.b.*.1", "Unexpected symbol");
	fails("hashFiles('x')", "hashFiles() cannot be used here");
	fails("fromJSON('{')", "Error parsing fromJson");
	fails("format('{9}', 1)", "more arguments than were supplied");
	fails("format('{0:x}', 1)", "specifiers");
	fails("success('zzz')", "not a job that this one needs");
	fails("\xff", "not UTF-8");
}

static void status_functions_need_a_status(void)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(evaluate("always()", EXPR_STATUS_NONE, &error));
	g_assert_nonnull(strstr(error->message, "always() cannot be used here"));
	g_autoptr(json_t) skipped =
	        evaluate("success() || failure() || cancelled()", EXPR_STATUS_SKIPPED, NULL);
	g_assert_true(json_is_false(skipped));
	g_autoptr(json_t) cancelled = evaluate("cancelled()", EXPR_STATUS_CANCELLED, NULL);
	g_assert_true(json_is_true(cancelled));
}

static void hash_files_gets_its_patterns(void)
{
	g_autoptr(json_t) contexts = json_object();
	g_autoptr(GString) seen = g_string_new(NULL);
	ExprScope scope = {.contexts = contexts, .hash_files = hash_files, .data = seen};
	g_autoptr(json_t) value = expr_evaluate("format('k-{0}', hashFiles('a', 'b*'))", &scope, NULL);
	g_assert_cmpstr(json_string_value(value), ==, "k-abc");
	g_assert_cmpstr(seen->str, ==, "2:b*");
}

static void depth_and_length_are_bounded(void)
{
	GString *text = g_string_new(NULL);
	for (int i = 0; i < 10000; i++)
		g_string_append_c(text, '(');
	g_string_append_c(text, '1');
	for (int i = 0; i < 10000; i++)
		g_string_append_c(text, ')');
	gives(text->str, "1");
	g_string_assign(text, "");
	for (int i = 0; i < 60; i++)
		g_string_append_c(text, '!');
	g_string_append_c(text, '1');
	fails(text->str, "max expression depth");
	g_string_assign(text, "1");
	for (int i = 0; i < 4000; i++)
		g_string_append(text, " && 1");
	gives(text->str, "1");
	for (int i = 0; i < 4000; i++)
		g_string_append(text, " && 1");
	fails(text->str, "max expression length");
	g_string_free(text, TRUE);
}

static void memory_is_bounded(void)
{
	GString *text = g_string_new("'0123456789'");
	for (int i = 0; i < 30; i++) {
		g_autofree char *inner = g_strdup(text->str);
		g_string_printf(text, "format('{0}{0}{0}{0}{0}{0}{0}{0}', %s)", inner);
	}
	fails(text->str, "maximum allowed memory");
	g_string_free(text, TRUE);
	fails("fromJSON(format('[{0}', 'x'))", "Error parsing");
}

static void numbers_become_text_like_dotnet(void)
{
	gives("format('{0} {1} {2} {3}', 1e15, 1e14, 0.0001, 0.00001)", "\"1E+15 100000000000000 0.0001 1E-05\"");
	gives("format('{0} {1}', 0.1, 1.23456789012345678)", "\"0.1 1.23456789012346\"");
	g_assert_cmpfloat(expr_to_number(NULL), ==, 0);
	g_autoptr(json_t) blank = json_string("  0x1F ");
	g_assert_cmpfloat(expr_to_number(blank), ==, 31);
	g_autoptr(json_t) list = json_array();
	g_assert_true(isnan(expr_to_number(list)));
	g_autofree char *text = expr_to_string(list);
	g_assert_cmpstr(text, ==, "Array");
	g_assert_true(expr_truthy(list));
	g_assert_false(expr_truthy(NULL));
}

static void assert_template(const char *text, const char *json)
{
	g_autoptr(json_t) contexts = json_parse(contexts_text, strlen(contexts_text), "contexts", NULL);
	ExprScope scope = {.contexts = contexts};
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) value = expr_template(text, &scope, &error);
	g_assert_no_error(error);
	g_autofree char *got = json_text(value);
	g_assert_cmpstr(got, ==, json);
}

static void templates_keep_kinds_when_alone(void)
{
	assert_template("plain", "\"plain\"");
	assert_template("${{ matrix.n }}", "3.5");
	assert_template("${{matrix.os}}", "[\"linux\",\"mac\"]");
	assert_template("n=${{ matrix.n }}, ${{ empty }}${{ yes }}", "\"n=3.5, true\"");
	assert_template("${{ '}}' }}", "\"}}\"");
	assert_template(" ${{ matrix.n }}", "\" 3.5\"");
	assert_template("a ${{ matrix.os }}", "\"a Array\"");
	assert_template("$${{ 1 }}}", "\"$1}\"");
}

static void broken_templates_are_errors(void)
{
	g_autoptr(json_t) none = json_object();
	ExprScope scope = {.contexts = none};
	const char *const broken[] = {"${{", "${{ 1", "${{ }}", "a ${{ 'x }}", "${{ 1 2 }}", "x ${{ 1 }} ${{",
	        "x ${{\xC2\x85\n}}", "${{ \xFF }}"};
	for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(expr_template(broken[i], &scope, &error));
		g_assert_nonnull(error);
	}
}

static void trees_are_evaluated_whole(void)
{
	g_autoptr(json_t) contexts = json_parse(contexts_text, strlen(contexts_text), "contexts", NULL);
	ExprScope scope = {.contexts = contexts};
	const char *text = "{\"a\":[\"${{ matrix.n }}\",1],\"k${{ 1 }}\":\"v\",\"${{ insert }}\":\"${{ matrix }}\",\"n\":0}";
	g_autoptr(json_t) tree = json_parse(text, strlen(text), "tree", NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) value = expr_template_tree(tree, &scope, &error);
	g_assert_no_error(error);
	g_autofree char *got = json_text(value);
	g_assert_cmpstr(got, ==, "{\"a\":[3.5,1],\"k1\":\"v\",\"n\":0,\"os\":[\"linux\",\"mac\"]}");
	g_assert_true(expr_is_insert("${{insert}}"));
	g_assert_false(expr_is_insert("${{ insert }} "));
}

static void assert_condition(const char *text, ExprStatus status, bool wanted)
{
	g_autoptr(json_t) contexts = json_parse(contexts_text, strlen(contexts_text), "contexts", NULL);
	ExprScope scope = {.contexts = contexts, .status = status};
	g_autoptr(GError) error = NULL;
	bool truth = !wanted;
	g_assert_true(expr_condition(text, &scope, &truth, &error));
	g_assert_no_error(error);
	if (truth != wanted)
		g_test_message("if: %s", text);
	g_assert_true(truth == wanted);
}

static void conditions_imply_success(void)
{
	assert_condition(NULL, EXPR_STATUS_SUCCESS, true);
	assert_condition(NULL, EXPR_STATUS_FAILURE, false);
	assert_condition("", EXPR_STATUS_SKIPPED, false);
	assert_condition("yes", EXPR_STATUS_FAILURE, false);
	assert_condition("yes", EXPR_STATUS_SUCCESS, true);
	assert_condition("always()", EXPR_STATUS_FAILURE, true);
	assert_condition("${{ failure() && yes }}", EXPR_STATUS_FAILURE, true);
	assert_condition("!cancelled()", EXPR_STATUS_FAILURE, true);
	assert_condition("github.event_name == 'push'", EXPR_STATUS_SUCCESS, true);
	assert_condition("${{ github.event_name }} == 'nothing'", EXPR_STATUS_SUCCESS, true);
	assert_condition("${{ false }}", EXPR_STATUS_SUCCESS, false);
	/* Whatever stands around it makes a text of it, which is true: GitHub's reading; the linter warns. */
	assert_condition("  ${{ false }}", EXPR_STATUS_SUCCESS, true);
	assert_condition("${{ false }}\n", EXPR_STATUS_SUCCESS, true);
	assert_condition("  false\n", EXPR_STATUS_SUCCESS, false);
	/* The name of a status function inside a string is not a call. */
	assert_condition("'always()' != ''", EXPR_STATUS_FAILURE, false);
}

static void checks_know_contexts_and_functions(void)
{
	const char *const allowed[] = {"github", "needs", NULL};
	ExprRules rules = {.allowed = allowed};
	ExprRules step = {.allowed = allowed, .status_functions = true};
	ExprRules job = {.allowed = allowed, .status_functions = true, .status_arguments = true};
	g_assert_true(expr_check("success() || failure()", &step, NULL));
	g_assert_false(expr_check("success('a')", &step, NULL));
	g_assert_true(expr_check("success('a') || failure('b', 'c')", &job, NULL));
	g_autoptr(GError) error = NULL;
	g_assert_true(expr_check("GITHUB.ref == needs.a", &rules, &error));
	g_assert_false(expr_check("secrets.X", &rules, &error));
	g_assert_nonnull(strstr(error->message, "available here: github, needs"));
	g_clear_error(&error);
	g_assert_false(expr_check("always()", &rules, NULL));
	g_assert_false(expr_check("hashFiles('x')", &rules, NULL));
	rules = (ExprRules){.allowed = allowed, .status_functions = true, .hash_files = true};
	g_assert_true(expr_check("always() && hashFiles('x')", &rules, NULL));
	g_assert_true(expr_check_template("a ${{ github.x }} ${{ needs }}", &rules, NULL));
	g_assert_false(expr_check_template("a ${{ github.x }} ${{ env }}", &rules, NULL));
	g_assert_false(expr_check_template("a ${{ github.x", &rules, NULL));
}

static void parsed_form_runs_often(void)
{
	g_autoptr(Expr) expr = expr_parse("n > 2 && 'it''s'", NULL);
	for (int i = 0; i < 5; i++) {
		g_autoptr(json_t) contexts = json_pack("{s:i}", "n", i);
		ExprScope scope = {.contexts = contexts};
		g_autoptr(json_t) value = expr_run(expr, &scope, NULL);
		g_assert_true(expr_truthy(value) == (i > 2));
	}
	g_assert_null(expr_parse("1 2", NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/expr/operators_bind_as_they_should", operators_bind_as_they_should);
	g_test_add_func("/expr/indexes_walk_trees", indexes_walk_trees);
	g_test_add_func("/expr/functions_do_what_they_say", functions_do_what_they_say);
	g_test_add_func("/expr/mistakes_name_the_place", mistakes_name_the_place);
	g_test_add_func("/expr/status_functions_need_a_status", status_functions_need_a_status);
	g_test_add_func("/expr/hash_files_gets_its_patterns", hash_files_gets_its_patterns);
	g_test_add_func("/expr/depth_and_length_are_bounded", depth_and_length_are_bounded);
	g_test_add_func("/expr/memory_is_bounded", memory_is_bounded);
	g_test_add_func("/expr/numbers_become_text_like_dotnet", numbers_become_text_like_dotnet);
	g_test_add_func("/expr/templates_keep_kinds_when_alone", templates_keep_kinds_when_alone);
	g_test_add_func("/expr/broken_templates_are_errors", broken_templates_are_errors);
	g_test_add_func("/expr/trees_are_evaluated_whole", trees_are_evaluated_whole);
	g_test_add_func("/expr/conditions_imply_success", conditions_imply_success);
	g_test_add_func("/expr/checks_know_contexts_and_functions", checks_know_contexts_and_functions);
	g_test_add_func("/expr/parsed_form_runs_often", parsed_form_runs_often);
	return g_test_run();
}
