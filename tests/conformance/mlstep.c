/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of ml-steps/table.c keeps the contract of agent/mlstep.h. */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "tests/lib/fake_step.h"

/* Inputs with which a row comes as far as its first ask. A new row adds what it requires. */
static const char *const wanted[][3] = {
        {"compare", "candidate", "predictions.csv"},
        {"compare", "model", "digits"},
        {"dataset", "name", "digits"},
        {"metrics", "values", "accuracy=0.97"},
        {"promote", "name", "digits"},
        {"promote", "version", "7"},
        {"register", "name", "digits"},
        {"register", "path", "model"},
        {"snapshot", "name", "digits"},
        {"snapshot", "path", "model"},
        {"train", "run", "true"},
};

static FakeStep *prepared(const MlStep *step)
{
	FakeStep *fake = fake_step_new();
	fake_step_write(fake, "predictions.csv", "id,label,prediction\n1,a,a\n2,b,a\n");
	fake_step_write(fake, "model/model.bin", "weights");
	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
		if (strcmp(wanted[i][0], step->name) == 0)
			fake_step_input(fake, wanted[i][1], wanted[i][2]);
	return fake;
}

static bool is_kebab(const char *name)
{
	return g_regex_match_simple("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", name, G_REGEX_DOLLAR_ENDONLY, 0);
}

static void assert_summary(const char *summary)
{
	g_assert_nonnull(summary);
	size_t len = strlen(summary);
	g_assert_cmpuint(len, >, 3);
	g_assert_cmpuint(len, <, 120);
	g_assert_cmpint(summary[len - 1], !=, '.');
	g_assert_null(strchr(summary, '\n'));
}

static void test_is_described(const void *data)
{
	const MlStep *step = data;
	g_assert_true(is_kebab(step->name));
	assert_summary(step->summary);
	g_assert_nonnull(step->run);
	g_assert_nonnull(step->inputs);
	g_assert_nonnull(step->outputs);
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
	for (const MlInput *input = step->inputs; input->name; input++) {
		g_assert_true(is_kebab(input->name));
		assert_summary(input->summary);
		g_assert_false(input->required && input->fallback);
		g_assert_true(g_hash_table_add(names, (void *)input->name));
	}
	g_hash_table_remove_all(names);
	for (const MlOutput *output = step->outputs; output->name; output++) {
		g_assert_true(is_kebab(output->name));
		assert_summary(output->summary);
		g_assert_true(g_hash_table_add(names, (void *)output->name));
	}
}

static void test_names_what_is_missing(const void *data)
{
	const MlStep *step = data;
	for (const MlInput *input = step->inputs; input->name; input++) {
		if (!input->required)
			continue;
		for (int empty = 0; empty < 2; empty++) { /* an expression that gave nothing is as absent */
			g_autoptr(FakeStep) fake = prepared(step);
			json_object_del(fake->context.inputs, input->name);
			if (empty)
				fake_step_input(fake, input->name, " \n");
			g_autoptr(GError) error = NULL;
			g_assert_false(fake_step_run(fake, step, &error));
			g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
			g_assert_nonnull(strstr(error->message, input->name));
			g_assert_cmpuint(json_array_size(fake->asked), ==, 0);
			g_assert_cmpuint(json_array_size(fake->commands), ==, 0);
			g_assert_cmpuint(json_object_size(fake->context.outputs), ==, 0);
		}
	}
}

/* A refusal of the agent ends the step with the agent's reason, or the step says in the log what it does not know. */
static void test_refused_ask(const void *data)
{
	static const char *const asks[] = {"dataset.put", "dataset.get", "dataset.judged", "tracking.start",
	        "tracking.log", "tracking.end", "model.get", "model.register", "model.promote"};
	const MlStep *step = data;
	g_autoptr(FakeStep) fake = prepared(step);
	for (size_t i = 0; i < G_N_ELEMENTS(asks); i++)
		fake_step_answer(fake, asks[i], "{\"error\":\"denied\",\"message\":\"not for you; ask an admin\"}");
	g_autoptr(GError) error = NULL;
	bool done = fake_step_run(fake, step, &error);
	if (json_array_size(fake->asked) == 0) {
		g_assert_true(done);
		return;
	}
	if (done) { /* a count or a tracking run that is not kept */
		g_assert_nonnull(strstr(fake->log->str, "not for you"));
		return;
	}
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_DENIED);
	g_assert_nonnull(strstr(error->message, "not for you; ask an admin"));
	g_assert_cmpuint(json_array_size(fake->commands), ==, 0);
	g_assert_cmpuint(json_array_size(fake->reports), ==, 0);
}

/* Outputs are texts, and only those that the row declares. */
static void test_declares_its_outputs(const void *data)
{
	const MlStep *step = data;
	g_autoptr(FakeStep) fake = prepared(step);
	static const char *const answers[][2] = {{"dataset.put", "{\"version\":1,\"changed\":true}"},
	        {"dataset.judged", "{\"candidates\":1}"}, {"tracking.start", "{\"tracking_run\":\"ab\"}"},
	        {"tracking.log", "{}"}, {"tracking.end", "{}"}, {"model.register", "{\"version\":8,\"digest\":\"ab\"}"},
	        {"model.promote", "{\"previous\":null}"}};
	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++)
		fake_step_answer(fake, answers[i][0], answers[i][1]);
	fake_step_input(fake, "if-missing", "skip");
	fake_step_input(fake, "no-such-input", "is the workplace's to refuse");
	g_autoptr(GError) error = NULL;
	fake_step_run(fake, step, &error);
	g_assert_no_error(error);
	const char *name;
	json_t *value;
	json_object_foreach(fake->context.outputs, name, value)
	{
		g_assert_true(json_is_string(value));
		bool declared = false;
		for (const MlOutput *output = step->outputs; output->name; output++)
			declared = declared || strcmp(output->name, name) == 0;
		if (!declared)
			g_error("%s sets the output '%s', which its row does not declare", step->name, name);
	}
	for (const MlOutput *output = step->outputs; output->name; output++)
		if (strcmp(step->name, "null") != 0 && !json_object_get(fake->context.outputs, output->name))
			g_error("%s declares the output '%s' and does not set it", step->name, output->name);
}

static void test_table(void)
{
	for (size_t i = 0; ml_steps[i]; i++) {
		g_assert_true(ml_step_find(ml_steps[i]->name) == ml_steps[i]);
		if (i > 0)
			g_assert_cmpstr(ml_steps[i - 1]->name, <, ml_steps[i]->name);
	}
	g_assert_null(ml_step_find("no-such-step"));
	g_assert_null(ml_step_find(NULL));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *claim;
		GTestDataFunc test;
	} cases[] = {
	        {"is_described", test_is_described},
	        {"names_what_is_missing", test_names_what_is_missing},
	        {"refused_ask_is_said", test_refused_ask},
	        {"declares_its_outputs", test_declares_its_outputs},
	};
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mlstep/table_is_alphabetical_and_found", test_table);
	for (size_t i = 0; ml_steps[i]; i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(cases); j++) {
			g_autofree char *path = g_strdup_printf("/mlstep/%s/%s", ml_steps[i]->name, cases[j].claim);
			g_test_add_data_func(path, ml_steps[i], cases[j].test);
		}
	}
	return g_test_run();
}
