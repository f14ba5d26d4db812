/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expression language against the public conformance cases (tests/conformance/README.md says where they come
 * from). A folder with `expressions/NAME.json` is looked for in $ASSAY_CONFORMANCE, then beside the repository in
 * shared/conformance.
 */
#include "agent/model/expr.h"

#include <math.h>
#include <string.h>

#include "agent/base/json.h"

static char *find_folder(void)
{
	const char *named = g_getenv("ASSAY_CONFORMANCE");
	if (named)
		return g_build_filename(named, "expressions", NULL);
	const char *const beside[] = {"../shared/conformance", "../../shared/conformance"};
	for (size_t i = 0; i < G_N_ELEMENTS(beside); i++) {
		char *path = g_build_filename(TEST_SOURCE_DIR, beside[i], "expressions", NULL);
		if (g_file_test(path, G_FILE_TEST_IS_DIR))
			return path;
		g_free(path);
	}
	return NULL;
}

static bool equal(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b);
	if (json_typeof(a) != json_typeof(b))
		return false;
	if (json_is_array(a)) {
		bool same = json_array_size(a) == json_array_size(b);
		for (size_t i = 0; same && i < json_array_size(a); i++)
			same = equal(json_array_get(a, i), json_array_get(b, i));
		return same;
	}
	if (json_is_object(a)) {
		bool same = json_object_size(a) == json_object_size(b);
		const char *key = NULL;
		json_t *value = NULL;
		json_object_foreach((json_t *)a, key, value) {
			const json_t *other = json_object_get(b, key);
			same = same && other && equal(value, other);
		}
		return same;
	}
	return json_equal(a, b);
}

static bool agrees(const json_t *one)
{
	g_autoptr(json_t) none = json_object();
	const json_t *contexts = json_object_get(one, "contexts");
	const json_t *expected = json_object_get(one, "result");
	ExprScope scope = {.contexts = contexts ? contexts : none};
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) result = expr_evaluate(json_get_string(one, "expr", ""), &scope, &error);
	g_assert((result == NULL) == (error != NULL));
	bool good = expected ? result && equal(result, json_object_get(expected, "value")) : !result;
	if (!good) {
		g_autofree char *wanted = json_text(expected ? expected : json_object_get(one, "err"));
		g_autofree char *got = result ? json_text(result) : g_strdup(error->message);
		g_test_message("%s: wanted %s, got %s", json_get_string(one, "expr", ""), wanted, got);
	}
	return good;
}

static void run_file(const char *path, unsigned *cases, unsigned *agreed)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) groups = json_parse_file(path, 1 << 24, &error);
	g_assert_no_error(error);
	const char *name = NULL;
	json_t *group = NULL;
	json_object_foreach(groups, name, group) {
		size_t i = 0;
		json_t *one = NULL;
		json_array_foreach(group, i, one) {
			*cases += 1;
			*agreed += agrees(one);
		}
	}
}

static void all_cases_agree(void)
{
	g_autofree char *folder = find_folder();
	g_autoptr(GDir) dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
	if (!dir) {
		g_assert_cmpstr(g_getenv("ASSAY_CONFORMANCE_REQUIRED"), !=, "1");
		g_test_skip("no conformance data found; set ASSAY_CONFORMANCE to its folder");
		return;
	}
	unsigned cases = 0;
	unsigned agreed = 0;
	for (const char *name; (name = g_dir_read_name(dir));) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		if (g_str_has_suffix(name, ".json"))
			run_file(path, &cases, &agreed);
	}
	g_test_message("conformance data in %s: %u of %u expressions agree", folder, agreed, cases);
	g_assert_cmpuint(cases, >, 0);
	g_assert_cmpuint(agreed, ==, cases);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/conformance/expressions/all_cases_agree", all_cases_agree);
	return g_test_run();
}
