/* SPDX-License-Identifier: Apache-2.0 */
/* assay/snapshot: a file or folder of the workspace becomes a version of a dataset, named by its content. */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/objects/objects.h"
#include "ml-steps/workspace.h"

static json_t *put_request(MlContext *context, const char *name, const ObjectsTree *tree, GError **error)
{
	json_t *tags = step_pairs(context, "tags", error);
	if (!tags)
		return NULL;
	json_t *with = json_object();
	json_set_string(with, "name", name);
	json_set_string(with, "digest", tree->digest);
	json_set_int(with, "files", tree->files);
	json_set_int(with, "bytes", tree->bytes);
	json_set_int(with, "new_bytes", tree->new_bytes);
	json_set_string(with, "message", step_input(context, "message"));
	json_set(with, "tags", tags);
	return with;
}

static void publish(MlContext *context, const char *name, const ObjectsTree *tree, int64_t version, bool changed)
{
	g_autofree char *size = bytes_text(tree->bytes);
	g_autofree char *new_size = bytes_text(tree->new_bytes);
	g_autofree char *sentence = g_strdup_printf("%s %" G_GINT64_FORMAT "%s: %" G_GINT64_FORMAT " file%s, %s, %s new.",
	        name, version, changed ? "" : ", unchanged", tree->files, tree->files == 1 ? "" : "s", size, new_size);
	context->log(context, "%s", sentence);
	step_output(context, "digest", tree->digest);
	step_output_int(context, "version", version);
	step_output_int(context, "files", tree->files);
	step_output_int(context, "bytes", tree->bytes);
	step_output_int(context, "new-bytes", tree->new_bytes);
	step_output(context, "changed", changed ? "true" : "false");

	g_autoptr(json_t) report = step_report("snapshot", "none", sentence);
	json_set_string(report, "name", name);
	json_set_int(report, "version", version);
	json_set_string(report, "digest", tree->digest);
	json_set_int(report, "files", tree->files);
	json_set_int(report, "bytes", tree->bytes);
	json_set_int(report, "new_bytes", tree->new_bytes);
	json_set_bool(report, "changed", changed);
	context->report(context, report);
}

static bool snapshot_run(MlContext *context, GError **error)
{
	const char *name = step_required(context, "name", error);
	const char *given = name ? step_required(context, "path", error) : NULL;
	if (!given)
		return false;
	if (step_input(context, "remote"))
		return fail(error, ASSAY_ERROR_USER,
		        "remote: a snapshot is kept in this agent's own store; leave the input out");
	if (g_str_has_prefix(name, "models/"))
		return fail(error, ASSAY_ERROR_USER, "name: 'models/' is the registry's; use assay/register for a model");
	g_autofree char *path = workspace_path(context, given, error);
	g_autoptr(Objects) objects = path ? objects_open(context->store_folder, error) : NULL;
	ObjectsTree tree = {0};
	if (!objects || !objects_snapshot(objects, context->workspace_fd, path, &tree, error))
		return false;
	json_t *with = put_request(context, name, &tree, error);
	g_autoptr(json_t) answer = NULL;
	if (!with || !step_ask(context, "dataset.put", with, &answer, error))
		return false;
	publish(context, name, &tree, json_get_int(answer, "version", 0), json_get_bool(answer, "changed", true));
	return true;
}

static const MlInput inputs[] = {
        {"name", true, NULL, "the dataset"},
        {"path", true, NULL, "a file or folder of the workspace"},
        {"message", false, NULL, "one line on what this version is"},
        {"tags", false, NULL, "name=value, one a line"},
        {"remote", false, NULL, "refused: snapshots are kept in the agent's own store"},
        {0},
};
static const MlOutput outputs[] = {
        {"digest", "of the tree: the same content has the same digest"},
        {"version", "number of the version; the newest one's when nothing changed"},
        {"files", "how many files"},
        {"bytes", "their size"},
        {"new-bytes", "how much was not in the store before"},
        {"changed", "'true' when the newest version was another"},
        {0},
};
extern const MlStep ml_step_snapshot;
const MlStep ml_step_snapshot = {
        .name = "snapshot",
        .summary = "keeps a file or folder as a version of a dataset",
        .inputs = inputs,
        .outputs = outputs,
        .run = snapshot_run,
};
