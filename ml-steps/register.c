/* SPDX-License-Identifier: Apache-2.0 */
/* assay/register: a model's files become a version in the registry, with metrics, card and signature. */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/objects/objects.h"
#include "ml-steps/numbers.h"
#include "ml-steps/workspace.h"

#define CARD_BYTES_MAX ((size_t)256 * 1024)

/* The card is Markdown of the workspace. */
static bool read_card(MlContext *context, json_t *with, GError **error)
{
	const char *path = step_input(context, "card");
	if (!path) {
		json_set_string(with, "card", NULL);
		return true;
	}
	g_autoptr(GBytes) bytes = workspace_read(context, path, CARD_BYTES_MAX, error);
	if (!bytes) {
		g_prefix_error(error, "card: ");
		return false;
	}
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	json_set(with, "card", json_string_any(text ? text : "", len));
	return true;
}

/* The signature (what goes in, what comes out) is a JSON object, written into the workflow or named as a file. */
static bool read_signature(MlContext *context, json_t *with, GError **error)
{
	const char *text = step_input(context, "signature");
	g_autoptr(json_t) signature = NULL;
	if (!text)
		signature = json_object();
	else if (text[0] == '{')
		signature = json_parse(text, strlen(text), "signature", error);
	else
		signature = workspace_json(context, text, error);
	if (!signature)
		return false;
	if (!json_is_object(signature))
		return fail(error, ASSAY_ERROR_USER, "signature: not a JSON object");
	json_set(with, "signature", g_steal_pointer(&signature));
	return true;
}

static bool read_metrics(MlContext *context, json_t *with, GError **error)
{
	const char *path = step_input(context, "metrics");
	json_t *last = json_object();
	if (path) {
		g_autoptr(json_t) metrics = numbers_read(context, path, error);
		json_decref(last);
		if (!metrics) {
			g_prefix_error(error, "metrics: ");
			return false;
		}
		last = numbers_last(metrics);
	}
	json_set(with, "metrics", last);
	return true;
}

static void publish(MlContext *context, const char *name, const ObjectsTree *tree, int64_t version,
        const json_t *metrics)
{
	g_autofree char *size = bytes_text(tree->bytes);
	g_autofree char *numbers = numbers_sentence(metrics, 4);
	g_autofree char *sentence = g_strdup_printf("%s %" G_GINT64_FORMAT " is registered: %" G_GINT64_FORMAT " file%s, %s%s%s.",
	        name, version, tree->files, tree->files == 1 ? "" : "s", size, numbers[0] ? "; " : "", numbers);
	context->log(context, "%s", sentence);
	step_output_int(context, "version", version);
	step_output(context, "digest", tree->digest);
	g_autoptr(json_t) report = step_report("register", "none", sentence);
	json_set_string(report, "name", name);
	json_set_int(report, "version", version);
	json_set_string(report, "digest", tree->digest);
	json_set(report, "metrics", json_deep_copy(metrics));
	context->report(context, report);
}

static bool register_run(MlContext *context, GError **error)
{
	const char *name = step_required(context, "name", error);
	const char *given = name ? step_required(context, "path", error) : NULL;
	g_autofree char *path = given ? workspace_path(context, given, error) : NULL;
	if (!path)
		return false;
	g_autoptr(json_t) with = json_object();
	if (!read_metrics(context, with, error) || !read_card(context, with, error) ||
	        !read_signature(context, with, error))
		return false;
	g_autoptr(Objects) objects = objects_open(context->store_folder, error);
	ObjectsTree tree = {0};
	if (!objects || !objects_snapshot(objects, context->workspace_fd, path, &tree, error))
		return false;
	json_set_string(with, "name", name);
	json_set_string(with, "digest", tree.digest);
	json_set_int(with, "files", tree.files);
	json_set_int(with, "bytes", tree.bytes);
	json_set_string(with, "tracking_run", step_input(context, "tracking-run"));
	g_autoptr(json_t) metrics = json_incref(json_object_get(with, "metrics"));
	g_autoptr(json_t) answer = NULL;
	if (!step_ask(context, "model.register", g_steal_pointer(&with), &answer, error))
		return false;
	publish(context, name, &tree, json_get_int(answer, "version", 0), metrics);
	return true;
}

static const MlInput inputs[] = {
        {"name", true, NULL, "the model"},
        {"path", true, NULL, "its file or folder in the workspace"},
        {"metrics", false, NULL, "a JSON file of numbers to keep with the version"},
        {"card", false, NULL, "the model card, a Markdown file"},
        {"signature", false, NULL, "inputs and outputs: a JSON object, or a file with one"},
        {"tracking-run", false, NULL, "that made it"},
        {0},
};
static const MlOutput outputs[] = {
        {"version", "number of the new version"},
        {"digest", "of the model's files"},
        {0},
};
extern const MlStep ml_step_register;
const MlStep ml_step_register = {
        .name = "register",
        .summary = "keeps a model as a version in the registry",
        .inputs = inputs,
        .outputs = outputs,
        .run = register_run,
};
