/* SPDX-License-Identifier: Apache-2.0 */
/* assay/null: echoes its input. The smallest step: the first to read, and what tests of the workplace use. */
#include "ml-steps/workspace.h"

static bool null_run(MlContext *context, GError **error)
{
	(void)error;
	const char *text = step_input(context, "text");
	context->log(context, "%s", text ? text : "");
	step_output(context, "text", text);
	return true;
}

static const MlInput inputs[] = {
        {"text", false, NULL, "what comes back as output"},
        {0},
};
static const MlOutput outputs[] = {
        {"text", "the input"},
        {0},
};
extern const MlStep ml_step_null;
const MlStep ml_step_null = {
        .name = "null",
        .summary = "echoes its input",
        .inputs = inputs,
        .outputs = outputs,
        .run = null_run,
};
