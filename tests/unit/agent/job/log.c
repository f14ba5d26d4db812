/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/log.h"

#include <glib/gstdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/fd.h"

typedef struct Fixture {
	char *folder;
	char *path;
	Mask *mask;
	JobLog *log;
	GString *commands; /* what on_command was told, "|" behind each */
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	const int64_t *limit = data;
	fixture->folder = g_dir_make_tmp("assay-log-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "4", "5.log", NULL);
	fixture->mask = mask_new();
	fixture->commands = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	clock_set_test(G_GINT64_CONSTANT(1714730640123000));
	fixture->log = joblog_open(fixture->path, fixture->mask, limit ? *limit : 0, &error);
	g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	joblog_close(fixture->log);
	mask_free(fixture->mask);
	fd_remove_tree(fixture->folder, NULL);
	g_string_free(fixture->commands, TRUE);
	g_free(fixture->path);
	g_free(fixture->folder);
	clock_set_test(0);
}

static void feed(Fixture *fixture, const char *text)
{
	joblog_feed(fixture->log, text, strlen(text));
}

/* The file without its times, which are checked on the way. */
static char *contents(Fixture *fixture)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(joblog_flush(fixture->log, &error));
	g_autofree char *text = NULL;
	gsize len = 0;
	g_assert_true(g_file_get_contents(fixture->path, &text, &len, NULL));
	g_assert_cmpint((int64_t)len, ==, joblog_offset(fixture->log));
	g_assert_true(g_utf8_validate(text, (gssize)len, NULL));
	g_autoptr(GString) out = g_string_new(NULL);
	for (char *line = text; *line;) {
		char *end = strchr(line, '\n');
		g_assert_nonnull(end);
		g_assert_true(g_str_has_prefix(line, "2024-05-03T10:04:00.123Z "));
		g_string_append_len(out, line + 25, end - line - 25);
		g_string_append_c(out, '\n');
		line = end + 1;
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

#define ASSERT_LOG(fixture, expected)                                                              \
	do {                                                                                       \
		g_autofree char *got = contents(fixture);                                          \
		g_assert_cmpstr(got, ==, expected);                                                \
	} while (0)

static void lines_are_whole_and_stamped(Fixture *fixture, gconstpointer data)
{
	(void)data;
	feed(fixture, "one\ntw");
	ASSERT_LOG(fixture, "one\n");
	feed(fixture, "o\r\n\nlast");
	ASSERT_LOG(fixture, "one\ntwo\n\n");
	joblog_feed_end(fixture->log);
	ASSERT_LOG(fixture, "one\ntwo\n\nlast\n");
	joblog_say(fixture->log, "##[error]", "a\nb\n");
	joblog_say(fixture->log, "##[endgroup]", "");
	ASSERT_LOG(fixture, "one\ntwo\n\nlast\n##[error]a\n##[error]b\n##[endgroup]\n");
}

static void secrets_are_masked_across_reads_and_lines(Fixture *fixture, gconstpointer data)
{
	(void)data;
	mask_add(fixture->mask, "pa\nss-word", 10);
	mask_add(fixture->mask, "hunter2", 7);
	feed(fixture, "see hun");
	feed(fixture, "ter2 and pa\n");
	feed(fixture, "ss-word\n");
	joblog_feed_end(fixture->log);
	ASSERT_LOG(fixture, "see *** and ***\n");
	joblog_say(fixture->log, "", "hunter2");
	ASSERT_LOG(fixture, "see *** and ***\n***\n");
}

static void strange_bytes_become_valid(Fixture *fixture, gconstpointer data)
{
	(void)data;
	joblog_feed(fixture->log, "a\0b\n", 4);
	feed(fixture, "\xff\xfe gr\xc3\xbc\xc3\x9f\n");
	ASSERT_LOG(fixture, "a\xEF\xBF\xBD" "b\n\xEF\xBF\xBD\xEF\xBF\xBD gr\xc3\xbc\xc3\x9f\n");
}

static void long_lines_are_split_between_characters(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GString) text = g_string_new("x");
	while (text->len < 3 * JOBLOG_LINE_BYTES_MAX)
		g_string_append(text, "\xc3\xbc");
	joblog_feed(fixture->log, text->str, text->len);
	joblog_feed_end(fixture->log);
	g_autofree char *got = contents(fixture);
	g_assert_null(strstr(got, "\xEF\xBF\xBD"));
	g_autoptr(GString) joined = g_string_new(NULL);
	g_auto(GStrv) lines = g_strsplit(got, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_assert_cmpuint(strlen(*line), <=, JOBLOG_LINE_BYTES_MAX);
		g_string_append(joined, *line);
	}
	g_assert_cmpstr(joined->str, ==, text->str);
}

static void limit_keeps_the_head_and_says_so(Fixture *fixture, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 100; i++)
		feed(fixture, "0123456789\n");
	joblog_say(fixture->log, "##[error]", "still told");
	g_autofree char *got = contents(fixture);
	g_assert_true(g_str_has_prefix(got, "0123456789\n0123456789\n"));
	g_assert_nonnull(strstr(got, "##[warning]The log has reached its limit of 200 bytes"));
	g_assert_true(g_str_has_suffix(got, "##[error]still told\n"));
	g_assert_true(joblog_is_cut(fixture->log));
	g_assert_cmpuint(strlen(got), <, 400);
}

static bool on_command(void *data, const char *line, size_t len)
{
	Fixture *fixture = data;
	g_string_append_len(fixture->commands, line, (gssize)len);
	g_string_append_c(fixture->commands, '|');
	if (len > 12 && memcmp(line, "::add-mask::", 12) == 0)
		mask_add(fixture->mask, line + 12, len - 12);
	return memchr(line, '?', len) == NULL;
}

static void commands_are_taken_out_before_masking(Fixture *fixture, gconstpointer data)
{
	(void)data;
	joblog_on_command(fixture->log, on_command, fixture);
	feed(fixture, "a\n::add-mask::zebra\nzebra\n  ::notice::x");
	feed(fixture, "y\n:");
	feed(fixture, ":group::z\r\n: no\n::?::text\nlast ::x::\n::end");
	joblog_feed_end(fixture->log);
	g_assert_cmpstr(fixture->commands->str, ==, "::add-mask::zebra|  ::notice::xy|::group::z|::?::text|::end|");
	ASSERT_LOG(fixture, "a\n***\n: no\n::?::text\nlast ::x::\n");
}

/* A line that was held because it might become a command, and did not. */
static void nobody_is_told_of_what_only_began_like_a_command(Fixture *fixture, gconstpointer data)
{
	(void)data;
	joblog_on_command(fixture->log, on_command, fixture);
	feed(fixture, ":\n  \n");
	for (const char *at = ":\n  \n"; *at; at++)
		joblog_feed(fixture->log, at, 1);
	feed(fixture, "  ");
	joblog_feed_end(fixture->log);
	g_assert_cmpstr(fixture->commands->str, ==, "");
	ASSERT_LOG(fixture, ":\n  \n:\n  \n  \n");
}

static void index_names_every_thousandth_line(Fixture *fixture, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 2500; i++)
		joblog_sayf(fixture->log, "", "%d", i);
	g_assert_true(joblog_flush(fixture->log, NULL));
	joblog_close(fixture->log);
	g_autoptr(GError) error = NULL;
	fixture->log = joblog_open(fixture->path, fixture->mask, 0, &error);
	g_assert_no_error(error);
	for (int i = 2500; i < 3500; i++)
		joblog_sayf(fixture->log, "", "%d", i);
	g_assert_true(joblog_flush(fixture->log, NULL));
	g_autofree char *text = NULL;
	g_autofree char *index = NULL;
	gsize len = 0;
	g_autofree char *index_path = g_build_filename(fixture->folder, "4", "5.idx", NULL);
	g_assert_true(g_file_get_contents(fixture->path, &text, NULL, NULL));
	g_assert_true(g_file_get_contents(index_path, &index, &len, NULL));
	g_assert_cmpuint(len, ==, 4 * 8);
	for (size_t i = 0; i < 4; i++) {
		guint64 offset;
		memcpy(&offset, index + i * 8, 8);
		g_assert_cmpint(g_ascii_strtoll(text + GUINT64_FROM_LE(offset) + 25, NULL, 10), ==, (gint64)i * 1000);
	}
}

int main(int argc, char **argv)
{
	static const int64_t small = 200;
	g_test_init(&argc, &argv, NULL);
#define ADD(name, data) g_test_add("/log/" #name, Fixture, data, set_up, name, tear_down)
	ADD(lines_are_whole_and_stamped, NULL);
	ADD(secrets_are_masked_across_reads_and_lines, NULL);
	ADD(strange_bytes_become_valid, NULL);
	ADD(long_lines_are_split_between_characters, NULL);
	ADD(limit_keeps_the_head_and_says_so, &small);
	ADD(commands_are_taken_out_before_masking, NULL);
	ADD(nobody_is_told_of_what_only_began_like_a_command, NULL);
	ADD(index_names_every_thousandth_line, NULL);
	return g_test_run();
}
