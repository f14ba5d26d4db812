/* SPDX-License-Identifier: Apache-2.0 */
/* The example workflows are valid, every job can be run, and each built-in step is used as its row says. */
#include <glib.h>

#include "agent/base/autoptr.h"
#include "agent/base/json.h"
#include "agent/job/reader.h"
#include "agent/mlstep.h"

#define EXAMPLES TEST_SOURCE_DIR "/examples/"

static Workflow *read_example(const char *name)
{
	g_autofree char *path = g_strconcat(EXAMPLES, name, NULL);
	g_autofree char *text = NULL;
	gsize len = 0;
	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	g_autoptr(json_t) errors = NULL;
	Workflow *workflow = reader_read(text, len, name, &errors);
	g_autofree char *said = json_text(errors);
	g_assert_cmpstr(said, ==, "[]");
	g_assert_nonnull(workflow);
	return workflow;
}

static void test_valid(const void *data)
{
	g_autoptr(Workflow) workflow = read_example(data);
	g_assert_cmpuint(workflow->jobs->len, >, 0);
	for (guint i = 0; i < workflow->jobs->len; i++) {
		const WorkflowJob *job = g_ptr_array_index(workflow->jobs, i);
		g_assert_cmpstr(job->refusal, ==, NULL);
	}
}

/* The step's inputs are inputs of the row, and what the row requires is there. */
static void check_step(const json_t *step)
{
	static const char prefix[] = "assay/";
	const char *uses = json_get_string(step, "uses", "");
	if (!g_str_has_prefix(uses, prefix))
		return;
	g_autofree char *name = g_strdup(uses + strlen(prefix));
	name[strcspn(name, "@")] = '\0';
	const MlStep *row = ml_step_find(name);
	if (!row)
		g_error("%s: there is no such step", uses);
	const json_t *with = json_object_get(step, "with");
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)with, key, value)
	{
		bool known = false;
		for (const MlInput *input = row->inputs; input->name; input++)
			known = known || strcmp(input->name, key) == 0;
		if (!known)
			g_error("%s: there is no input '%s'", uses, key);
	}
	for (const MlInput *input = row->inputs; input->name; input++)
		if (input->required && !json_object_get(with, input->name))
			g_error("%s: the input '%s' is missing", uses, input->name);
}

static void test_steps_are_used_as_described(void)
{
	g_autoptr(Workflow) workflow = read_example("digits/.github/workflows/train.yml");
	size_t steps = 0;
	for (guint i = 0; i < workflow->jobs->len; i++) {
		const WorkflowJob *job = g_ptr_array_index(workflow->jobs, i);
		const json_t *all = json_object_get(job->definition, "steps");
		for (size_t j = 0; j < json_array_size(all); j++, steps++)
			check_step(json_array_get(all, j));
	}
	g_assert_cmpuint(steps, >, 15);
	const WorkflowJob *release = workflow_find(workflow, "release");
	g_assert_cmpstr(json_get_string(release->definition, "environment", ""), ==, "production");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/examples/hello_is_valid", "hello.yml", test_valid);
	g_test_add_data_func("/examples/matrix_is_valid", "matrix.yml", test_valid);
	g_test_add_data_func("/examples/digits_is_valid", "digits/.github/workflows/train.yml", test_valid);
	g_test_add_func("/examples/steps_are_used_as_described", test_steps_are_used_as_described);
	return g_test_run();
}
