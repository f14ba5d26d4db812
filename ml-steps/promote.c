/* SPDX-License-Identifier: Apache-2.0 */
/* assay/promote: an alias moves to a version. Who may move `production` is decided by the agent, not here. */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "ml-steps/workspace.h"

static bool promote_run(MlContext *context, GError **error)
{
	const char *name = step_required(context, "name", error);
	const char *given = name ? step_required(context, "version", error) : NULL;
	const char *alias = step_input(context, "alias");
	int64_t version = 0;
	if (!given)
		return false;
	if (!g_ascii_string_to_signed(given, 10, 1, G_MAXINT64, &version, NULL))
		return fail(error, ASSAY_ERROR_USER, "version: '%.100s' is not a version's number", given);
	alias = alias ? alias : "production";
	json_t *with = json_object();
	json_set_string(with, "name", name);
	json_set_int(with, "version", version);
	json_set_string(with, "alias", alias);
	g_autoptr(json_t) answer = NULL;
	if (!step_ask(context, "model.promote", with, &answer, error))
		return false;
	int64_t previous = json_get_int(answer, "previous", 0);
	g_autofree char *before = previous > 0 ? g_strdup_printf("before: %" G_GINT64_FORMAT, previous) : g_strdup("the first");
	g_autofree char *sentence =
	        g_strdup_printf("%s %" G_GINT64_FORMAT " is %s now (%s).", name, version, alias, before);
	context->log(context, "%s", sentence);
	if (previous > 0)
		step_output_int(context, "previous", previous);
	else
		step_output(context, "previous", "");
	g_autoptr(json_t) report = step_report("promote", "none", sentence);
	json_set_string(report, "name", name);
	json_set_int(report, "version", version);
	json_set_string(report, "alias", alias);
	json_set(report, "previous", previous > 0 ? json_integer(previous) : NULL);
	context->report(context, report);
	return true;
}

static const MlInput inputs[] = {
        {"name", true, NULL, "the model"},
        {"version", true, NULL, "the number of the version that gets the alias"},
        {"alias", false, "production", "the alias; whoever carries 'production' is the release"},
        {0},
};
static const MlOutput outputs[] = {
        {"previous", "the version that carried the alias before; empty when none did"},
        {0},
};
extern const MlStep ml_step_promote;
const MlStep ml_step_promote = {
        .name = "promote",
        .summary = "moves an alias of a model to a version",
        .inputs = inputs,
        .outputs = outputs,
        .run = promote_run,
};
