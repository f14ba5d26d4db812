/* SPDX-License-Identifier: Apache-2.0 */
/* Reading /etc/subuid and its like: lines as useradd writes them, and whatever else stands in such a file. */
#include <string.h>

#include "executors/ids.h"

static uint32_t find(const char *text, const char *name, uid_t id, bool *out_small)
{
	return ids_find(text, strlen(text), name, id, out_small);
}

static void an_entry_is_found_by_name_or_number(void)
{
	static const struct {
		const char *text;
		uint32_t first;
		bool small;
	} cases[] = {
	        {"", 0, false},
	        {"alice:100000:65536\n", 100000, false},
	        {"alice:100000:65536", 100000, false},
	        {"bob:1:65536\nalice:100000:65535\n", 100000, false},
	        {"1000:231072:65536\n", 231072, false},
	        {"alice:100000:1000\nalice:200000:65536\n", 200000, false},
	        {"alice:100000:1000\n", 0, true},
	        {"alice:100000:65534\n", 0, true},
	        {"alicex:100000:65536\n", 0, false},
	        {"alic:100000:65536\n", 0, false},
	        {"10000:100000:65536\n", 0, false},
	        {"alice:0:65536\n", 0, true},
	        {"alice:2147483000:65536\n", 0, true},
	        {"alice:4294967295:65536\n", 0, true},
	        {"alice:4294967296:65536\n", 0, false},
	        {"alice:99999999999999999999:65536\n", 0, false},
	        {"alice:100000:99999999999999999999\n", 0, false},
	        {"alice:-1:65536\nalice: 100000:65536\nalice:100000: 65536\n", 0, false},
	        {"alice:100000:65536 \nalice:100000:65536:1\nalice::65536\nalice:100000:\nalice\n:\n::\n", 0, false},
	        {"# alice:100000:65536\n\n\nalice:300000:65536", 300000, false},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		bool small = false;
		uint32_t first = find(cases[i].text, "alice", 1000, &small);
		if (first != cases[i].first || (first == 0 && small != cases[i].small))
			g_error("case %zu: %u %d", i, first, small);
	}
	bool small;
	g_assert_cmpuint(find("alice:100000:65536\n1000:200000:65536\n", NULL, 1000, &small), ==, 200000);
	static const char with_null[] = "al\0ice:1:65536\nalice:100000:65536\n";
	g_assert_cmpuint(ids_find(with_null, sizeof with_null - 1, "alice", 1000, &small), ==, 100000);
}

static bool taken(const char *text, bool is_range, uint32_t first)
{
	return ids_taken(text, strlen(text), is_range, first);
}

static void what_others_have_is_not_taken(void)
{
	g_assert_false(taken("", true, 100000));
	g_assert_true(taken("bob:100000:65536\n", true, 100000));
	g_assert_true(taken("bob:165534:1\n", true, 100000));
	g_assert_false(taken("bob:165535:1\n", true, 100000));
	g_assert_true(taken("x\nbob:34465:65536\n", true, 100000));
	g_assert_false(taken("bob:34464:65536\n", true, 100000));
	g_assert_false(taken("bob:100000:0\n", true, 100000));
	g_assert_true(taken("bob:1:4294967295", true, 100000));
	g_assert_false(taken("root:x:0:0:root:/root:/bin/sh\nsync\n", false, 100000));
	g_assert_true(taken("root:x:0:0::\nbob:x:100001:5::\n", false, 100000));
	g_assert_true(taken("staff:x:165534:", false, 100000));
	g_assert_false(taken("staff:x:165535:\n", false, 100000));
}

static bool mapped(const char *text, uint32_t first)
{
	return ids_mapped(text, strlen(text), first);
}

static void a_user_namespace_may_have_too_few(void)
{
	g_assert_true(mapped("         0          0 4294967295\n", 1900000000));
	g_assert_false(mapped("         0     100000      65536\n", 1900000000));
	g_assert_false(mapped("         0     100000      65536\n", 2));
	g_assert_true(mapped("         0     100000      65536\n", 1));
	g_assert_true(mapped("0 1000 1\n1 100000 65536\n", 2));
	g_assert_false(mapped("", 1));
	g_assert_false(mapped("x y z\n", 1));
}

static void root_is_told_why_there_are_none(void)
{
	Ids ids;
	ids_of_root("none", 64001, 64001, &ids);
	g_assert_cmpuint(ids.first_uid, ==, 0);
	g_assert_nonnull(strstr(ids.why_not, "sandbox.ids"));
	ids_clear(&ids);
	ids_of_root("auto", 0, 0, &ids);
	g_assert_cmpuint(ids.first_uid, ==, 0);
	g_assert_nonnull(strstr(ids.why_not, "root"));
	ids_clear(&ids);
	ids_of_root("64000", 64001, 64001, &ids);
	g_assert_cmpuint(ids.first_uid, ==, 0);
	g_assert_nonnull(ids.why_not);
	ids_clear(&ids);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ids/an_entry_is_found_by_name_or_number", an_entry_is_found_by_name_or_number);
	g_test_add_func("/ids/what_others_have_is_not_taken", what_others_have_is_not_taken);
	g_test_add_func("/ids/a_user_namespace_may_have_too_few", a_user_namespace_may_have_too_few);
	g_test_add_func("/ids/root_is_told_why_there_are_none", root_is_told_why_there_are_none);
	return g_test_run();
}
