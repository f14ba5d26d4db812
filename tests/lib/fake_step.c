/* SPDX-License-Identifier: Apache-2.0 */
/* The double of the workplace for tests of ml-steps/. */
#include "tests/lib/fake_step.h"

#include <fcntl.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"

static void fake_log(MlContext *context, const char *format, ...)
{
	FakeStep *fake = context->data;
	va_list args;
	va_start(args, format);
	g_string_append_vprintf(fake->log, format, args);
	va_end(args);
	g_string_append_c(fake->log, '\n');
}

static bool fake_ask(MlContext *context, const char *what, json_t *with, json_t **answer, GError **error)
{
	FakeStep *fake = context->data;
	g_assert_true(json_is_object(with));
	json_t *entry = json_object();
	json_set_string(entry, "what", what);
	json_set(entry, "with", json_deep_copy(with));
	json_array_append_new(fake->asked, entry);
	json_t *result = json_object_get(fake->answers, what);
	if (!result)
		return fail(error, ASSAY_ERROR_ABSENT, "nobody answers %s", what);
	const char *type = json_get_string(result, "error", NULL);
	if (type)
		return fail(error, error_code_from_type(type), "%s", json_get_string(result, "message", "refused"));
	*answer = json_deep_copy(result);
	return true;
}

static void fake_report(MlContext *context, const json_t *report)
{
	FakeStep *fake = context->data;
	g_assert_cmpint(json_get_int(report, "version", 0), >=, 1);
	g_assert_nonnull(json_get_string(report, "kind", NULL));
	g_assert_nonnull(json_get_string(report, "verdict", NULL));
	const char *sentence = json_get_string(report, "sentence", NULL);
	g_assert_true(sentence && g_str_has_suffix(sentence, "."));
	json_array_append_new(fake->reports, json_deep_copy(report));
}

static bool fake_command(MlContext *context, const char *script, const char *const *extra_env, int64_t time_us,
        int64_t memory_bytes, MlEnd *out, GError **error)
{
	(void)error;
	FakeStep *fake = context->data;
	size_t number = json_array_size(fake->commands);
	json_t *entry = json_object();
	json_t *env = json_array();
	for (size_t i = 0; extra_env && extra_env[i]; i++)
		json_array_append_new(env, json_string(extra_env[i]));
	json_set_string(entry, "script", script);
	json_set(entry, "env", env);
	json_set_int(entry, "time_us", time_us);
	json_set_int(entry, "memory_bytes", memory_bytes);
	json_array_append_new(fake->commands, entry);
	*out = number < fake->ends_len ? fake->ends[number] : (MlEnd){.cause = "exit"};
	if (fake->on_command)
		fake->on_command(fake, number);
	return true;
}

FakeStep *fake_step_new(void)
{
	FakeStep *fake = g_new0(FakeStep, 1);
	fake->folder = g_dir_make_tmp("assay-step-XXXXXX", NULL);
	g_assert_nonnull(fake->folder);
	fake->workspace = g_build_filename(fake->folder, "work", NULL);
	fake->store = g_build_filename(fake->folder, "objects", NULL);
	g_assert_true(fd_make_folder(fake->workspace, 0755, NULL));
	fake->answers = json_object();
	fake->asked = json_array();
	fake->reports = json_array();
	fake->commands = json_array();
	fake->log = g_string_new(NULL);
	fake->context = (MlContext){
	        .inputs = json_object(),
	        .workspace_fd = open(fake->workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	        .workspace = fake->workspace,
	        .workspace_inside = "/home/runner/work/digits/digits",
	        .store_folder = fake->store,
	        .github = json_pack("{s:s,s:s,s:s,s:s,s:s}", "repository", "acme/digits", "sha",
	                "3f2c1ab9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f", "workflow", "train", "job", "train", "run_id", "4"),
	        .outputs = json_object(),
	        .log = fake_log,
	        .ask = fake_ask,
	        .report = fake_report,
	        .command = fake_command,
	        .data = fake,
	};
	g_assert_cmpint(fake->context.workspace_fd, >=, 0);
	return fake;
}

void fake_step_free(FakeStep *fake)
{
	if (!fake)
		return;
	close(fake->context.workspace_fd);
	fd_remove_tree(fake->folder, NULL);
	json_decref(fake->context.inputs);
	json_decref(fake->context.github);
	json_decref(fake->context.outputs);
	json_decref(fake->answers);
	json_decref(fake->asked);
	json_decref(fake->reports);
	json_decref(fake->commands);
	g_string_free(fake->log, TRUE);
	g_free(fake->folder);
	g_free(fake->workspace);
	g_free(fake->store);
	g_free(fake);
}

void fake_step_input(FakeStep *fake, const char *name, const char *value)
{
	json_set_string(fake->context.inputs, name, value);
}

void fake_step_write(FakeStep *fake, const char *path, const char *text)
{
	g_autofree char *full = g_build_filename(fake->workspace, path, NULL);
	g_autofree char *folder = g_path_get_dirname(full);
	g_assert_true(fd_make_folder(folder, 0755, NULL));
	g_assert_true(fd_replace_file(full, text, strlen(text), 0644, false, NULL));
}

char *fake_step_read(FakeStep *fake, const char *path)
{
	g_autofree char *full = g_build_filename(fake->workspace, path, NULL);
	char *text = NULL;
	return g_file_get_contents(full, &text, NULL, NULL) ? text : NULL;
}

void fake_step_answer(FakeStep *fake, const char *what, const char *json)
{
	json_set(fake->answers, what, json_parse(json, strlen(json), what, NULL));
}

json_t *fake_step_asked(FakeStep *fake, const char *what)
{
	for (size_t i = json_array_size(fake->asked); i > 0; i--) {
		json_t *entry = json_array_get(fake->asked, i - 1);
		if (g_strcmp0(json_get_string(entry, "what", NULL), what) == 0)
			return json_object_get(entry, "with");
	}
	return NULL;
}

bool fake_step_run(FakeStep *fake, const MlStep *step, GError **error)
{
	json_object_clear(fake->context.outputs);
	for (const MlInput *input = step->inputs; input->name; input++)
		if (input->fallback && !json_object_get(fake->context.inputs, input->name))
			json_set_string(fake->context.inputs, input->name, input->fallback);
	return step->run(&fake->context, error);
}

const char *fake_step_output(FakeStep *fake, const char *name)
{
	return json_get_string(fake->context.outputs, name, NULL);
}
