/* SPDX-License-Identifier: Apache-2.0 */
#include "web/log_window.h"

#include <string.h>

#include "agent/base/fd.h"
#include "agent/base/json.h"

#define STAMP "2026-05-03T10:04:00.123Z "

static json_t *window_of(const GString *text, LogWish wish)
{
	autofd int fd = fd_sealed("log", text->str, text->len, NULL);
	g_assert_cmpint(fd, >=, 0);
	if (!wish.lines_max)
		wish.lines_max = 100;
	json_t *log = log_window(fd, &wish, NULL);
	g_assert_nonnull(log);
	return log;
}

static int64_t first_number(const json_t *log)
{
	return json_get_int(json_array_get(json_object_get(log, "lines"), 0), "number", 0);
}

static GString *numbered(int lines, int error_at)
{
	GString *text = g_string_new(NULL);
	for (int i = 1; i <= lines; i++)
		g_string_append_printf(text, STAMP "%s%d\n", i == error_at ? "##[error]" : "line ", i);
	return text;
}

static void test_short(void)
{
	g_autoptr(GString) text = g_string_new(STAMP "one\nplain\n" STAMP "rest");
	g_autoptr(json_t) open = window_of(text, (LogWish){.at = -1});
	g_assert_cmpint(json_get_int(open, "total_lines", 0), ==, 2);
	const json_t *lines = json_object_get(open, "lines");
	g_assert_cmpstr(json_get_string(json_array_get(lines, 0), "time", NULL), ==, "2026-05-03T10:04:00.123Z");
	g_assert_cmpstr(json_get_string(json_array_get(lines, 0), "text", NULL), ==, "one");
	g_assert_cmpstr(json_get_string(json_array_get(lines, 1), "text", NULL), ==, "plain");
	g_assert_cmpint(json_get_int(json_array_get(lines, 1), "offset", 0), ==, 29);
	g_assert_cmpint(json_get_int(open, "end_offset", 0), ==, 35);
	g_autoptr(json_t) ended = window_of(text, (LogWish){.at = -1, .has_ended = true});
	g_assert_cmpint(json_get_int(ended, "total_lines", 0), ==, 3);
	g_assert_cmpint(json_get_int(ended, "end_offset", 0), ==, (int64_t)text->len);
}

static void test_absent(void)
{
	g_autoptr(json_t) log = log_window(-1, &(LogWish){.at = -1, .lines_max = 10}, NULL);
	g_assert_cmpint(json_get_int(log, "total_lines", -1), ==, 0);
	g_assert_cmpint(json_get_int(log, "from", -1), ==, 1);
}

static void test_choice(void)
{
	g_autoptr(GString) text = numbered(30000, 0), failed = numbered(30000, 15000);
	g_autoptr(json_t) last = window_of(text, (LogWish){.at = -1});
	g_assert_cmpint(first_number(last), ==, 29901);
	g_assert_cmpuint(json_array_size(json_object_get(last, "lines")), ==, 100);
	g_assert_cmpint(json_get_int(last, "end_offset", 0), ==, (int64_t)text->len);
	g_autoptr(json_t) error = window_of(failed, (LogWish){.at = -1});
	g_assert_cmpint(first_number(error), ==, 14950);
	g_autoptr(json_t) from = window_of(failed, (LogWish){.from = 2001, .at = -1});
	g_assert_cmpint(first_number(from), ==, 2001);
	g_assert_cmpstr(json_get_string(json_array_get(json_object_get(from, "lines"), 0), "text", ""), ==, "line 2001");
	int64_t offset = json_get_int(json_array_get(json_object_get(from, "lines"), 0), "offset", 0);
	g_autoptr(json_t) at = window_of(failed, (LogWish){.at = offset});
	g_assert_cmpint(first_number(at), ==, 1951);
	g_autoptr(json_t) beyond = window_of(failed, (LogWish){.from = 99999, .at = -1});
	g_assert_cmpint(first_number(beyond), ==, 30000);
}

static void test_search(void)
{
	g_autoptr(GString) text = numbered(5000, 0);
	g_autoptr(json_t) log = window_of(text, (LogWish){.at = -1, .search = "line 499"});
	const json_t *search = json_object_get(log, "search");
	g_assert_cmpint(json_get_int(search, "count", 0), ==, 11);
	g_assert_cmpint(json_get_int(json_array_get(json_object_get(search, "lines"), 0), "number", 0), ==, 499);
}

static void test_long_line(void)
{
	g_autofree char *wide = g_strnfill(1000 * 1000, 'w');
	g_autoptr(GString) text = g_string_new("first\n");
	g_string_append_printf(text, "%s\nthird\n", wide);
	g_autoptr(json_t) log = window_of(text, (LogWish){.at = -1});
	g_assert_cmpint(json_get_int(log, "total_lines", 0), ==, 3);
	const json_t *third = json_array_get(json_object_get(log, "lines"), 2);
	g_assert_cmpstr(json_get_string(third, "text", NULL), ==, "third");
	g_assert_cmpint(json_get_int(third, "offset", 0), ==, 1000 * 1000 + 7);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/log_window/cuts_times_and_waits_for_whole_lines", test_short);
	g_test_add_func("/log_window/is_empty_before_the_log_is_there", test_absent);
	g_test_add_func("/log_window/shows_the_first_error_or_the_end", test_choice);
	g_test_add_func("/log_window/counts_what_it_finds", test_search);
	g_test_add_func("/log_window/cuts_long_lines_and_keeps_numbers", test_long_line);
	return g_test_run();
}
