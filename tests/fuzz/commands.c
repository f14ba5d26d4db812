/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and environment files: any bytes are read or refused, and what is read is valid text. */
#include <glib.h>
#include <stdint.h>

#include "agent/base/autoptr.h"
#include "agent/job/commands.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	g_autoptr(Command) command = command_parse(text, size);
	if (command) {
		g_assert_true(g_utf8_validate(command->name, -1, NULL));
		g_assert_true(g_utf8_validate(command->data, -1, NULL));
	}
	g_autoptr(json_t) pairs = commands_read_pairs(text, size, "GITHUB_ENV", NULL);
	const char *name;
	json_t *value;
	json_object_foreach(pairs, name, value)
		g_assert_true(name[0] && json_is_string(value));
	g_auto(GStrv) lines = commands_read_lines(text, size);
	for (char **line = lines; *line; line++)
		g_assert_true(g_utf8_validate(*line, -1, NULL));
	return 0;
}
