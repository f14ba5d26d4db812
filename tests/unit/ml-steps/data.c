/* SPDX-License-Identifier: Apache-2.0 */
/* Data and models through a real content store: what goes in comes out; the agent's answers come from a table. */
#include <sys/stat.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "tests/lib/fake_step.h"

extern const MlStep ml_step_dataset;
extern const MlStep ml_step_promote;
extern const MlStep ml_step_register;
extern const MlStep ml_step_snapshot;

static void run_well(FakeStep *fake, const MlStep *step)
{
	g_autoptr(GError) error = NULL;
	fake_step_run(fake, step, &error);
	g_assert_no_error(error);
}

static void run_badly(FakeStep *fake, const MlStep *step, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_assert_false(fake_step_run(fake, step, &error));
	g_assert_nonnull(error);
	if (!strstr(error->message, expected))
		g_error("'%s' does not say '%s'", error->message, expected);
}

/* Keeps data/ as digits 13 and gives its digest, the caller's. */
static char *snapshot(FakeStep *fake)
{
	fake_step_write(fake, "data/train.csv", "id,label\n1,a\n");
	fake_step_write(fake, "data/deep/heldout.csv", "id,label\n2,b\n");
	fake_step_input(fake, "name", "digits");
	fake_step_input(fake, "path", "./data/");
	fake_step_input(fake, "message", "fixed split");
	fake_step_input(fake, "tags", "split=fixed\n\nsource = scikit-learn");
	fake_step_answer(fake, "dataset.put", "{\"version\":13,\"changed\":true}");
	run_well(fake, &ml_step_snapshot);
	return g_strdup(fake_step_output(fake, "digest"));
}

static void reset_inputs(FakeStep *fake)
{
	json_object_clear(fake->context.inputs);
}

static void test_snapshot(void)
{
	g_autoptr(FakeStep) fake = fake_step_new();
	g_autofree char *digest = snapshot(fake);
	g_assert_cmpuint(strlen(digest), ==, 64);
	g_assert_cmpstr(fake_step_output(fake, "version"), ==, "13");
	g_assert_cmpstr(fake_step_output(fake, "files"), ==, "2");
	g_assert_cmpstr(fake_step_output(fake, "bytes"), ==, "26");
	g_assert_cmpstr(fake_step_output(fake, "changed"), ==, "true");
	const json_t *put = fake_step_asked(fake, "dataset.put");
	g_assert_cmpstr(json_get_string(put, "digest", ""), ==, digest);
	g_assert_cmpstr(json_get_string(put, "message", ""), ==, "fixed split");
	g_assert_cmpstr(json_get_string(json_object_get(put, "tags"), "source", ""), ==, "scikit-learn");
	const json_t *report = json_array_get(fake->reports, 0);
	g_assert_cmpint(json_get_int(report, "version", 0), ==, 13);

	fake_step_answer(fake, "dataset.put", "{\"version\":13,\"changed\":false}");
	run_well(fake, &ml_step_snapshot);
	g_assert_cmpstr(fake_step_output(fake, "digest"), ==, digest); /* the same content, the same name */
	g_assert_cmpstr(fake_step_output(fake, "changed"), ==, "false");
}

static void test_snapshot_mistakes(void)
{
	static const char *const rows[][3] = {
	        {"path", "absent", "absent"},
	        {"path", "../work", "'..' leads out"},
	        {"path", "/etc", "not in the workspace"},
	        {"name", "models/digits", "use assay/register"},
	        {"remote", "s3://bucket", "remote: "},
	        {"tags", "words", "tags"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(FakeStep) fake = fake_step_new();
		g_autofree char *digest = snapshot(fake);
		fake_step_input(fake, rows[i][0], rows[i][1]);
		run_badly(fake, &ml_step_snapshot, rows[i][2]);
	}
}

static void answer_with(FakeStep *fake, const char *what, const char *digest, int version)
{
	g_autofree char *answer = g_strdup_printf("{\"name\":\"digits\",\"version\":%d,\"digest\":\"%s\"}", version, digest);
	fake_step_answer(fake, what, answer);
}

static void test_dataset_comes_back(void)
{
	g_autoptr(FakeStep) fake = fake_step_new();
	g_autofree char *digest = snapshot(fake);
	reset_inputs(fake);
	answer_with(fake, "dataset.get", digest, 13);
	fake_step_input(fake, "name", "digits");
	fake_step_input(fake, "version", "13");
	fake_step_input(fake, "path", "copy/here");
	fake_step_input(fake, "mode", "readonly");
	run_well(fake, &ml_step_dataset);
	g_assert_cmpint(json_get_int(fake_step_asked(fake, "dataset.get"), "version", 0), ==, 13);
	g_assert_cmpstr(fake_step_output(fake, "digest"), ==, digest);
	g_assert_cmpstr(fake_step_output(fake, "version"), ==, "13");
	g_assert_cmpstr(fake_step_output(fake, "path"), ==, "copy/here");
	g_autofree char *text = fake_step_read(fake, "copy/here/deep/heldout.csv");
	g_assert_cmpstr(text, ==, "id,label\n2,b\n");
	g_autofree char *path = g_build_filename(fake->workspace, "copy/here/deep/heldout.csv", NULL);
	struct stat info;
	g_assert_cmpint(stat(path, &info), ==, 0);
	g_assert_cmpint(info.st_mode & 0222, ==, 0);
}

static void test_single_file(void)
{
	g_autoptr(FakeStep) fake = fake_step_new();
	fake_step_write(fake, "table.csv", "id\n1\n");
	fake_step_input(fake, "name", "table");
	fake_step_input(fake, "path", "table.csv");
	fake_step_answer(fake, "dataset.put", "{\"version\":1,\"changed\":true}");
	run_well(fake, &ml_step_snapshot);
	answer_with(fake, "dataset.get", fake_step_output(fake, "digest"), 1);
	fake_step_input(fake, "mode", "readonly");
	static const char *const places[][2] = {{"as.csv", "as.csv"}, {"into/", "into/table.csv"}, {"./a//b/", "a/b/table.csv"}};
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		fake_step_input(fake, "path", places[i][0]);
		run_well(fake, &ml_step_dataset);
		g_autofree char *text = fake_step_read(fake, places[i][1]);
		g_assert_cmpstr(text, ==, "id\n1\n");
	}
}

static void test_missing_is_error_or_skipped(void)
{
	g_autoptr(FakeStep) fake = fake_step_new();
	fake_step_input(fake, "name", "models/digits");
	fake_step_input(fake, "version", "production");
	fake_step_answer(fake, "model.get", "{\"error\":\"absent\",\"message\":\"digits: there is no version yet\"}");
	run_badly(fake, &ml_step_dataset, "there is no version yet");
	g_assert_cmpstr(json_get_string(fake_step_asked(fake, "model.get"), "alias", ""), ==, "production");
	g_assert_cmpstr(json_get_string(fake_step_asked(fake, "model.get"), "name", ""), ==, "digits");
	fake_step_input(fake, "if-missing", "skip");
	run_well(fake, &ml_step_dataset);
	g_assert_cmpstr(fake_step_output(fake, "digest"), ==, "");
	fake_step_answer(fake, "model.get", "{\"error\":\"denied\",\"message\":\"not yours\"}");
	run_badly(fake, &ml_step_dataset, "not yours"); /* only what is not there is skipped */
}

static void test_dataset_mistakes(void)
{
	static const char *const rows[][3] = {
	        {"version", "newest", "'newest' is not a number"},
	        {"digest", "abc", "is not 64"},
	        {"mode", "link", "mode: "},
	        {"if-missing", "ignore", "if-missing: "},
	        {"path", "a/../../b", "'..' leads out"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(FakeStep) fake = fake_step_new();
		fake_step_input(fake, "name", "digits");
		fake_step_input(fake, rows[i][0], rows[i][1]);
		run_badly(fake, &ml_step_dataset, rows[i][2]);
	}
}

static void test_model_goes_round(void)
{
	g_autoptr(FakeStep) fake = fake_step_new();
	fake_step_write(fake, "out/model/model.bin", "weights");
	fake_step_write(fake, "out/metrics.json", "{\"accuracy\":0.99}");
	fake_step_write(fake, "CARD.md", "# digits\n");
	fake_step_input(fake, "name", "digits");
	fake_step_input(fake, "path", "out/model");
	fake_step_input(fake, "metrics", "out/metrics.json");
	fake_step_input(fake, "card", "CARD.md");
	fake_step_input(fake, "signature", "{\"inputs\":[\"pixels\"]}");
	fake_step_input(fake, "tracking-run", "feed");
	fake_step_answer(fake, "model.register", "{\"version\":8,\"digest\":\"\"}");
	run_well(fake, &ml_step_register);
	g_assert_cmpstr(fake_step_output(fake, "version"), ==, "8");
	g_autofree char *digest = g_strdup(fake_step_output(fake, "digest"));
	const json_t *with = fake_step_asked(fake, "model.register");
	g_assert_cmpstr(json_get_string(with, "card", ""), ==, "# digits\n");
	g_assert_cmpstr(json_get_string(with, "tracking_run", ""), ==, "feed");
	g_assert_cmpfloat(json_get_real(json_object_get(with, "metrics"), "accuracy", 0), ==, 0.99);
	g_assert_true(json_is_object(json_object_get(with, "signature")));

	reset_inputs(fake);
	answer_with(fake, "model.get", digest, 8);
	fake_step_input(fake, "name", "models/digits");
	fake_step_input(fake, "version", "8");
	fake_step_input(fake, "path", "release");
	run_well(fake, &ml_step_dataset);
	g_assert_cmpint(json_get_int(fake_step_asked(fake, "model.get"), "version", 0), ==, 8);
	g_autofree char *text = fake_step_read(fake, "release/model.bin");
	g_assert_cmpstr(text, ==, "weights");
}

static void test_register_mistakes(void)
{
	static const char *const rows[][3] = {
	        {"path", "absent", "absent"},
	        {"metrics", "absent.json", "metrics: "},
	        {"card", "absent.md", "card: "},
	        {"signature", "{", "signature"},
	        {"signature", "absent.json", "absent.json"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(FakeStep) fake = fake_step_new();
		fake_step_write(fake, "model/model.bin", "weights");
		fake_step_input(fake, "name", "digits");
		fake_step_input(fake, "path", "model");
		fake_step_input(fake, rows[i][0], rows[i][1]);
		run_badly(fake, &ml_step_register, rows[i][2]);
		g_assert_cmpuint(json_array_size(fake->asked), ==, 0);
	}
}

static void test_promote(void)
{
	g_autoptr(FakeStep) fake = fake_step_new();
	fake_step_input(fake, "name", "digits");
	fake_step_input(fake, "version", "8");
	fake_step_answer(fake, "model.promote", "{\"previous\":7}");
	run_well(fake, &ml_step_promote);
	g_assert_cmpstr(fake_step_output(fake, "previous"), ==, "7");
	g_assert_cmpstr(json_get_string(fake_step_asked(fake, "model.promote"), "alias", ""), ==, "production");
	g_assert_cmpstr(json_get_string(json_array_get(fake->reports, 0), "sentence", ""), ==,
	        "digits 8 is production now (before: 7).");
	fake_step_answer(fake, "model.promote", "{\"previous\":null}");
	run_well(fake, &ml_step_promote);
	g_assert_cmpstr(fake_step_output(fake, "previous"), ==, "");
	fake_step_answer(fake, "model.promote", "{\"error\":\"denied\",\"message\":\"production needs an approved gate\"}");
	run_badly(fake, &ml_step_promote, "production needs an approved gate");
	fake_step_input(fake, "version", "newest");
	run_badly(fake, &ml_step_promote, "'newest' is not a version's number");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/snapshot/same_content_same_digest", test_snapshot);
	g_test_add_func("/snapshot/mistakes_are_named", test_snapshot_mistakes);
	g_test_add_func("/dataset/comes_back_readonly", test_dataset_comes_back);
	g_test_add_func("/dataset/single_file_goes_as_or_into", test_single_file);
	g_test_add_func("/dataset/missing_is_error_or_skipped", test_missing_is_error_or_skipped);
	g_test_add_func("/dataset/mistakes_are_named", test_dataset_mistakes);
	g_test_add_func("/register/model_goes_round", test_model_goes_round);
	g_test_add_func("/register/mistakes_are_named", test_register_mistakes);
	g_test_add_func("/promote/moves_the_alias", test_promote);
	return g_test_run();
}
