/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's log: the first line is a secret, the byte behind it says who listens and where reads end, the rest is what a
 * step prints. However it is cut into reads, the file is the same, every line of it is stamped and valid, and the secret
 * is not in it. A byte of 2 stands for many letters, so that short inputs reach the longest line.
 */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/fd.h"
#include "agent/job/log.h"

#define LETTERS 40000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *folder;

static void remove_folder(void)
{
	fd_remove_tree(folder, NULL);
	g_free(folder);
}

typedef struct Listener {
	JobLog *log;
	Mask *mask;
	GString *told;
} Listener;

static bool on_command(void *data, const char *line, size_t len)
{
	Listener *listener = data;
	g_string_append_len(listener->told, line, (gssize)len);
	g_string_append_c(listener->told, '\n');
	if (len > 12 && memcmp(line, "::add-mask::", 12) == 0)
		mask_add(listener->mask, line + 12, len - 12);
	return memchr(line, '?', len) == NULL;
}

static const char *on_line(void *data, const char *line, size_t len)
{
	(void)data;
	return len > 0 && line[0] == '!' ? "##[error]" : NULL;
}

/* What the file holds after the text came in reads of `step` bytes; what commands were told goes to `told`. */
static char *written(const GString *text, const char *secret, size_t secret_len, uint8_t how, size_t step, GString *told)
{
	g_autofree char *path = g_build_filename(folder, "5.log", NULL);
	g_autofree char *index = g_build_filename(folder, "5.idx", NULL);
	g_unlink(path);
	g_unlink(index);
	g_autoptr(Mask) mask = mask_new();
	if (secret_len > 0)
		mask_add(mask, secret, secret_len);
	JobLog *log = joblog_open(path, mask, how & 4 ? 700 : 0, NULL);
	g_assert_nonnull(log);
	Listener listener = {log, mask, told};
	if (how & 1)
		joblog_on_command(log, on_command, &listener);
	if (how & 2)
		joblog_on_line(log, on_line, NULL);
	for (size_t at = 0; at < text->len; at += step) {
		g_autofree char *read = g_memdup2(text->str + at, MIN(step, text->len - at)); /* of its own: what is read behind it shows */
		joblog_feed(log, read, MIN(step, text->len - at));
	}
	joblog_feed_end(log);
	g_assert_true(joblog_flush(log, NULL));
	joblog_close(log);
	char *bytes = NULL;
	gsize len = 0;
	g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
	g_assert_true(g_utf8_validate(bytes, (gssize)len, NULL));
	for (const char *line = bytes; *line;) {
		const char *end = strchr(line, '\n');
		g_assert_true(end && g_str_has_prefix(line, "2024-05-03T10:04:00.123Z "));
		line = end + 1;
	}
	return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t secret_len = newline ? (size_t)(newline - data) : 0;
	if (!newline || secret_len + 2 > size || secret_len > 200)
		return 0;
	if (!folder) {
		folder = g_dir_make_tmp("assay-fuzz-XXXXXX", NULL);
		clock_set_test(G_GINT64_CONSTANT(1714730640123000));
		atexit(remove_folder);
	}
	const uint8_t how = newline[1];
	g_autoptr(GString) text = g_string_new(NULL);
	for (const uint8_t *at = newline + 2; at < data + size && text->len < 5 * LETTERS; at++)
		if (*at == 2)
			for (int i = 0; i < LETTERS; i++)
				g_string_append_c(text, 'y');
		else
			g_string_append_c(text, (char)*at);
	const char *secret = (const char *)data;
	g_autoptr(GString) told = g_string_new(NULL);
	g_autoptr(GString) told_again = g_string_new(NULL);
	size_t step = text->len > LETTERS ? 3001 : (size_t)(how >> 3) + 1;
	g_autofree char *whole = written(text, secret, secret_len, how, MAX(text->len, 1), told);
	g_autofree char *pieces = written(text, secret, secret_len, how, step, told_again);
	g_assert_true(g_str_equal(whole, pieces)); /* too long to be printed */
	g_assert_cmpstr(told->str, ==, told_again->str);
	return 0;
}
