/* SPDX-License-Identifier: Apache-2.0 */
/* Actions that are images. */
#include "agent/base/error.h"
#include "agent/job/action_run.h"
#include "agent/job/actions.h"

void action_docker(Job *job, const ActionUse *use, ActionStage stage, const json_t *inputs, const json_t *saved,
        StepResult *out)
{
	g_autoptr(GError) error = NULL;
	(void)stage, (void)inputs, (void)saved;
	if (!actions_check_image(job, use->uses, &error))
		step_result_fail(out, CAUSE_INVALID, g_strdup(error->message));
}
