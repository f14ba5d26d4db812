/* SPDX-License-Identifier: Apache-2.0 */
/* action.yml and names in `uses`: any bytes are read or refused with a reason, and what is read is whole. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/job/action_file.h"
#include "agent/job/action_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_name(const uint8_t *data, size_t size)
{
	g_autofree char *uses = g_strndup((const char *)data, MIN(size, (size_t)1000));
	ActionName name = {.repo = NULL};
	if (!action_name_parse(uses, &name, NULL))
		return;
	g_assert_true(strchr(name.repo, '/') && name.ref[0]);
	g_auto(GStrv) parts = g_strsplit(name.folder, "/", -1);
	for (char **part = parts; *part; part++)
		g_assert_false(g_str_equal(*part, "..") || g_str_equal(*part, "."));
	action_name_clear(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_name(data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(ActionFile) file = action_file_read((const char *)data, size, "action.yml", &error);
	g_assert_true(!file == (error != NULL));
	if (!file)
		return 0;
	g_assert_true(file->using != ACTION_USING_NODE || file->main);
	g_assert_true(file->using != ACTION_USING_DOCKER || file->image);
	if (file->using == ACTION_USING_COMPOSITE)
		g_assert_cmpuint(json_array_size(file->steps), ==, file->lines->len);
	size_t i;
	json_t *step;
	json_array_foreach(file->steps, i, step)
		g_assert_true(json_get_string(step, "run", NULL) || json_get_string(step, "uses", NULL));
	for (guint k = 0; k < file->inputs->len; k++) {
		const ActionFileInput *input = file->inputs->pdata[k];
		g_assert_true(action_file_input(file, input->name) != NULL);
	}
	return 0;
}
