/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/table.h"

#include "agent/base/autoptr.h"

static void values_are_told_as_people_read_them(void)
{
	static const struct {
		const char *value, *text;
	} cases[] = {
	        {"\"a\\u0007b\"", "a\xEF\xBF\xBD" "b"}, {"null", "-"}, {"[]", "-"}, {"{}", "-"}, {"\"\"", ""}, {"true", "true"},
	        {"9007199254740993", "9007199254740993"}, {"0.98997772", "0.989978"}, {"541.0", "541"}, {"1e-9", "1e-09"},
	        {"[\"production\", \"best\"]", "production, best"}, {"{\"b\": 1.5, \"a\\n\": null}", "b 1.5, a\xEF\xBF\xBD -"},
	        {"{\"k\": 2}", "k 2"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(json_t) value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
		g_assert_nonnull(value);
		g_autoptr(json_t) row = json_pack("{s:{s:O}}", "deep", "key", value);
		g_autofree char *text = table_text(row, "deep.key");
		g_assert_cmpstr(text, ==, cases[i].text);
	}
	g_autofree char *nothing = table_text(NULL, "deep.key");
	g_assert_cmpstr(nothing, ==, "-");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/table/values_are_told_as_people_read_them", values_are_told_as_people_read_them);
	return g_test_run();
}
