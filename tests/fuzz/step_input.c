/* SPDX-License-Identifier: Apache-2.0 */
/* What a workflow gives a step as inputs, and files of numbers that the job wrote: read or refused; texts come out trimmed. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "ml-steps/numbers.h"
#include "ml-steps/workspace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_numbers(MlContext *context, const char *name, const uint8_t *data, size_t size)
{
	autofd int fd = openat(context->workspace_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	g_assert_true(fd >= 0 && fd_write_all(fd, data, size, name, NULL));
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) numbers = numbers_read(context, name, &error);
	g_assert_true((numbers != NULL) == (error == NULL));
	if (numbers) {
		g_autoptr(json_t) last = numbers_last(numbers);
		g_autofree char *sentence = numbers_sentence(last, 3);
		g_autofree char *text = numbers_json(last);
		g_autoptr(json_t) again = json_parse(text, strlen(text), "numbers", NULL);
		g_assert_true(json_object_size(again) == json_object_size(last) && sentence[0]);
	}
	g_autoptr(GError) why = NULL;
	g_autoptr(json_t) params = numbers_params(context, name, &why);
	g_assert_true((params != NULL) == (why == NULL));
	unlinkat(context->workspace_fd, name, 0);
}

static char *folder_path;

static void remove_folder(void)
{
	rmdir(folder_path);
	g_free(folder_path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int folder = -1;
	if (folder < 0) {
		folder_path = g_dir_make_tmp("fuzz-step-XXXXXX", NULL);
		folder = open(folder_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		g_assert_true(folder >= 0 && atexit(remove_folder) == 0);
	}
	g_autofree char *text = g_utf8_make_valid((const char *)data, (gssize)size);
	g_autoptr(json_t) inputs = json_pack("{s:s}", "a", text);
	MlContext context = {.inputs = inputs, .workspace_fd = folder};
	const char *input = step_input(&context, "a");
	g_assert_true(!input || (input[0] && !g_ascii_isspace(input[0]) && !g_ascii_isspace(input[strlen(input) - 1])));
	g_auto(GStrv) list = step_list(&context, "a");
	for (char **item = list; *item; item++)
		g_assert_true(**item);
	g_autoptr(json_t) pairs = step_pairs(&context, "a", NULL);
	(void)pairs;
	check_numbers(&context, "n.json", data, size);
	check_numbers(&context, "n.jsonl", data, size);
	return 0;
}
