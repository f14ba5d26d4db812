/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are read as a whole: a pipe, as a shell's <(command) is one, is read to its end however slow its writer is. */
#include "agent/base/fd.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/error.h"

static void a_pipe_is_waited_for(void)
{
	int ends[2];
	g_assert_cmpint(pipe(ends), ==, 0);
	pid_t writer = fork();
	if (writer == 0) {
		close(ends[0]);
		for (int i = 0; i < 3; i++) {
			g_usleep(30000);
			if (write(ends[1], "word", 4) != 4)
				_exit(1);
		}
		_exit(0);
	}
	close(ends[1]);
	g_autofree char *path = g_strdup_printf("/dev/fd/%d", ends[0]);
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = fd_read_file(path, 100, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "wordwordword", 12);
	int status = 0;
	g_assert_cmpint(waitpid(writer, &status, 0), ==, writer);
	g_assert_cmpint(status, ==, 0);
	close(ends[0]);
}

/* Or whoever puts such a file into a repo stops all that look into it. */
static void a_pipe_without_a_writer_is_empty(void)
{
	g_autofree char *folder = g_dir_make_tmp("assay-fd.XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "pipe", NULL);
	g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = fd_read_file(path, 100, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(g_bytes_get_size(bytes), ==, 0);
	unlink(path);
	rmdir(folder);
}

static void the_limit_holds(void)
{
	g_autofree char *folder = g_dir_make_tmp("assay-fd.XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "file", NULL);
	g_assert_true(g_file_set_contents(path, "0123456789", 10, NULL));
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) all = fd_read_file(path, 10, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(g_bytes_get_size(all), ==, 10);
	g_assert_null(fd_read_file(path, 9, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	unlink(path);
	rmdir(folder);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fd/a_pipe_is_waited_for", a_pipe_is_waited_for);
	g_test_add_func("/fd/a_pipe_without_a_writer_is_empty", a_pipe_without_a_writer_is_empty);
	g_test_add_func("/fd/the_limit_holds", the_limit_holds);
	return g_test_run();
}
