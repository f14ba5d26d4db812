/* SPDX-License-Identifier: Apache-2.0 */
/* The live tree: what it shows, how it is cut, and that nothing in it moves the cursor. */
#include "agent/daemon/terminal.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"

#define NOW "2026-05-03T10:05:04.000Z"

static json_t *runs_of(const char *text)
{
	g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
	json_t *runs = json_parse(json, strlen(json), "runs", NULL);
	g_assert_nonnull(runs);
	return runs;
}

static const char two_jobs[] =
        "[{'workflow':'train','status':'running','started_at':'2026-05-03T10:04:00.000Z','finished_at':null,'jobs':["
        "{'id':1,'name':'data','status':'success','started_at':'2026-05-03T10:04:00.000Z','finished_at':'2026-05-03T10:04:02.500Z'},"
        "{'id':2,'name':'test','status':'running','started_at':'2026-05-03T10:04:03.000Z','steps':["
        "{'number':1,'name':'Run make','status':'success','started_at':'2026-05-03T10:04:03.000Z','finished_at':'2026-05-03T10:04:04.000Z'},"
        "{'number':2,'name':'Run pytest','status':'running','started_at':'2026-05-03T10:04:04.000Z'}]},"
        "{'id':3,'name':'release','status':'queued','message':'waits for test'}]}]";

static int64_t now(void)
{
	int64_t at = 0;
	g_assert_true(clock_parse(NOW, &at));
	return at;
}

static void a_tree_of_jobs_and_steps(void)
{
	Terminal *terminal = terminal_new(-1, false, false);
	g_autoptr(json_t) runs = runs_of(two_jobs);
	terminal_line(terminal, 2, "tests/a.py \x1b[32m....\x1b[0m", strlen("tests/a.py \x1b[32m....\x1b[0m"));
	g_autofree char *text = terminal_text(terminal, runs, NULL, now(), 80, 0);
	g_assert_cmpstr(text, ==,
	        "◐ train  running  1m 04s\n"
	        "  ✓ data  2.5s\n"
	        "  ◐ test  1m 01s\n"
	        "    ✓ Run make  1.0s\n"
	        "    ◐ Run pytest  1m 00s\n"
	        "        tests/a.py ....\n"
	        "  ○ release  waits for test\n");
	terminal_free(terminal);
}

static void without_utf_8_signs_are_ascii(void)
{
	Terminal *terminal = terminal_new(-1, false, true);
	g_autoptr(json_t) runs = runs_of(two_jobs);
	g_autofree char *text = terminal_text(terminal, runs, NULL, now(), 80, 0);
	g_assert_true(g_str_is_ascii(text));
	g_assert_nonnull(strstr(text, "  + data"));
	terminal_free(terminal);
}

static void colours_only_when_wanted(void)
{
	g_autoptr(json_t) runs = runs_of(two_jobs);
	Terminal *with = terminal_new(-1, true, false), *without = terminal_new(-1, false, false);
	g_autofree char *coloured = terminal_text(with, runs, NULL, now(), 80, 0);
	g_autofree char *plain = terminal_text(without, runs, NULL, now(), 80, 0);
	g_assert_nonnull(strstr(coloured, "\x1b[32m  ✓\x1b[0m data"));
	g_assert_null(strchr(plain, '\x1b'));
	terminal_free(with);
	terminal_free(without);
}

static void lines_are_cut_by_columns(void)
{
	Terminal *terminal = terminal_new(-1, false, false);
	g_autoptr(json_t) runs = runs_of("[{'workflow':'日本語の長い名前','status':'queued','jobs':[]}]");
	g_autofree char *text = terminal_text(terminal, runs, NULL, now(), 7, 0);
	g_assert_cmpstr(text, ==, "○ 日本\n"); /* the third would need an eighth column */
	terminal_free(terminal);
}

static void a_low_terminal_keeps_what_matters(void)
{
	Terminal *terminal = terminal_new(-1, false, false);
	g_autoptr(json_t) runs = runs_of(two_jobs);
	g_autofree char *text = terminal_text(terminal, runs, "note", now(), 80, 5);
	g_assert_nonnull(strstr(text, "train"));
	g_assert_nonnull(strstr(text, "test  1m 01s"));
	g_assert_nonnull(strstr(text, "more lines"));
	size_t lines = 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	g_assert_cmpuint(lines, <=, 5);
	terminal_free(terminal);
}

static void no_line_moves_the_cursor(void)
{
	static const char bad[] = "a\x1b[2J\x1b[10;10Hb\x07\x1b]0;t\x07" "c\rprogress\b\t\xff!";
	g_autofree char *safe = terminal_harmless(bad, sizeof bad - 1);
	for (const char *at = safe; *at; at++)
		g_assert_false(g_ascii_iscntrl(*at));
	g_assert_true(g_str_has_prefix(safe, "progress"));
	g_assert_true(g_utf8_validate(safe, -1, NULL));
}

static void a_tail_has_three_lines(void)
{
	Terminal *terminal = terminal_new(-1, false, false);
	g_autoptr(json_t) runs = runs_of(two_jobs);
	static const char *const said[] = {"one", "two", "##[warning]three", "", "four"};
	for (size_t i = 0; i < G_N_ELEMENTS(said); i++)
		terminal_line(terminal, 2, said[i], strlen(said[i]));
	g_autofree char *text = terminal_text(terminal, runs, NULL, now(), 80, 0);
	g_assert_nonnull(strstr(text, "        two\n        three\n        four\n"));
	g_assert_null(strstr(text, "one"));
	terminal_free(terminal);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(test) g_test_add_func("/terminal/" #test, test)
	ADD(a_tree_of_jobs_and_steps);
	ADD(without_utf_8_signs_are_ascii);
	ADD(colours_only_when_wanted);
	ADD(lines_are_cut_by_columns);
	ADD(a_low_terminal_keeps_what_matters);
	ADD(no_line_moves_the_cursor);
	ADD(a_tail_has_three_lines);
	return g_test_run();
}
