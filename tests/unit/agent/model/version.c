/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/model/version.h"

#include <glib.h>

static void ranges_hold_what_npm_and_pip_say(void)
{
	static const struct {
		const char *range, *fits, *not;
	} rows[] = {{"", "3.11.2", NULL}, {"*", "1.0.0", NULL}, {"x", "1.0.0", NULL}, {"3", "3.11.2", "2.7.18"},
	        {"3.x", "3.11.2", "2.7.18"}, {"3.11", "3.11.2", "3.12.0"}, {"3.11.x", "3.11.9", "3.10.9"},
	        {"3.11.2", "3.11.2", "3.11.3"}, {"v20.1.0", "20.1.0", "20.1.1"}, {"=3.11", "3.11.2", "3.1.0"},
	        {"3.1", "3.1.5", "3.11.2"}, {"3.10", "3.10.0", "3.1.0"}, {">=3.10", "3.11.2", "3.9.1"}, {">= 3.10", "3.10.0", "3.9.99"},
	        {">3.10", "3.11.0", "3.10.9"}, {"<3.11", "3.10.9", "3.11.0"}, {"<=3.11", "3.11.9", "3.12.0"},
	        {">=3.10 <3.12", "3.11.2", "3.12.0"}, {">=3.10,<3.12", "3.10.0", "3.12.1"}, {">=3.10, <4", "3.13.0", "4.0.0"},
	        {"3.10 - 3.12", "3.12.7", "3.13.0"}, {"3.10 - 3.12", "3.10.0", "3.9.9"}, {"18.2.0 - 18.4.1", "18.4.1", "18.4.2"},
	        {"^20", "20.9.0", "21.0.0"}, {"^1.2.3", "1.9.0", "1.2.2"}, {"^0.2.3", "0.2.9", "0.3.0"}, {"^0.0.3", "0.0.3", "0.0.4"},
	        {"~1.2.3", "1.2.9", "1.3.0"}, {"~1.2", "1.2.0", "1.3.0"}, {"~1", "1.9.0", "2.0.0"}, {"~> 3.10", "3.10.4", "3.11.0"},
	        {"~=3.10", "3.12.0", "4.0.0"}, {"~=3.10.2", "3.10.9", "3.11.0"}, {"!=3.12.*", "3.11.2", "3.12.1"},
	        {">=3.9,!=3.10.*", "3.9.1", "3.10.1"}, {"16 || 18 || >=20", "18.1.0", "17.0.0"}, {"16||>=20", "22.0.0", "18.0.0"},
	        {"==3.11.*", "3.11.8", "3.12.0"}, {"3.13.0-rc.1", NULL, "3.13.0"}, {">=3.13.0-rc.1", "3.13.0", "3.12.9"},
	        {"~3.13.0-0", "3.13.1", "3.14.0"}};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (!version_is_range(rows[i].range))
			g_error("'%s' is no range", rows[i].range);
		if (rows[i].fits && !version_fits(rows[i].fits, rows[i].range, false))
			g_error("%s does not fit '%s'", rows[i].fits, rows[i].range);
		if (rows[i].not && version_fits(rows[i].not, rows[i].range, false))
			g_error("%s fits '%s'", rows[i].not, rows[i].range);
	}
}

static void what_is_no_range_fits_nothing(void)
{
	static const char *const bad[] = {"latest", "pypy3.10", "3.", ".3", "=>3", "3..1", ">", "3.10 3.x y", "|", "3.10;3", "<=>3",
	        "99999999999999999999", ">=3.10 || pypy", "- 3", "3.10 -3.11x ?"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		if (version_is_range(bad[i]))
			g_error("'%s' is a range", bad[i]);
		g_assert_false(version_fits("3.11.2", bad[i], true));
	}
}

static void release_candidates_are_asked_for(void)
{
	g_assert_false(version_fits("3.14.0-rc.2", ">=3.10", false));
	g_assert_true(version_fits("3.14.0-rc.2", ">=3.10", true));
	g_assert_cmpint(version_compare("3.14.0-rc.2", "3.14.0"), <, 0);
	g_assert_cmpint(version_compare("3.9.1", "3.10.0"), <, 0);
	g_assert_cmpint(version_compare("v20.1.0", "20.1"), ==, 0);
	g_assert_cmpint(version_compare("nonsense", "1"), <, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/version/ranges_hold_what_npm_and_pip_say", ranges_hold_what_npm_and_pip_say);
	g_test_add_func("/version/what_is_no_range_fits_nothing", what_is_no_range_fits_nothing);
	g_test_add_func("/version/release_candidates_are_asked_for", release_candidates_are_asked_for);
	return g_test_run();
}
