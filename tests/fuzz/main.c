/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files and folders given as arguments: a build without libFuzzer. */
#include <dirent.h>
#include <glib.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count;

static void run(const char *path)
{
	g_autofree char *text = NULL;
	gsize len = 0;
	if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
		g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
		for (const char *name; folder && (name = g_dir_read_name(folder));) {
			g_autofree char *inside = g_build_filename(path, name, NULL);
			run(inside);
		}
	} else if (g_file_get_contents(path, &text, &len, NULL)) {
		LLVMFuzzerTestOneInput((const uint8_t *)text, len);
		count++;
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run(argv[i]);
	printf("%d inputs\n", count);
	return count > 0 ? 0 : 1;
}
