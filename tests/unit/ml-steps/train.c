/* SPDX-License-Identifier: Apache-2.0 */
/* Training and numbers: the command's limits, retries and end, and what reaches the tracking run. */
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "ml-steps/numbers.h"
#include "tests/lib/fake_step.h"

extern const MlStep ml_step_train;
extern const MlStep ml_step_metrics;

static void write_results(FakeStep *fake, size_t number)
{
	(void)number;
	fake_step_write(fake, "out/model/model.bin", "x");
	fake_step_write(fake, "out/metrics.json", "{\"accuracy\":0.97,\"by\":{\"thin\":0.9},\"ok\":true,\"note\":\"x\"}");
}

static FakeStep *training(void)
{
	FakeStep *fake = fake_step_new();
	fake_step_answer(fake, "tracking.start", "{\"tracking_run\":\"0123456789abcdef0123456789abcdef\"}");
	fake_step_answer(fake, "tracking.log", "{}");
	fake_step_answer(fake, "tracking.end", "{}");
	fake_step_input(fake, "run", "python3 train.py");
	fake_step_input(fake, "outputs", "out/model\nout/metrics.json");
	fake_step_input(fake, "metrics", "out/metrics.json");
	fake->on_command = write_results;
	return fake;
}

static void test_trains(void)
{
	g_autoptr(FakeStep) fake = training();
	fake_step_write(fake, "params.json", "{\"C\":10.0,\"kernel\":\"rbf\",\"split\":{\"seed\":3}}");
	fake_step_input(fake, "params", "params.json");
	fake_step_input(fake, "data", "abc123");
	fake_step_input(fake, "env", "OMP_NUM_THREADS=1\nA=b=c");
	fake_step_input(fake, "time-limit", "1h30m");
	fake_step_input(fake, "memory", "512MiB");
	fake_step_input(fake, "checkpoint", "ckpt");
	g_autoptr(GError) error = NULL;
	fake_step_run(fake, &ml_step_train, &error);
	g_assert_no_error(error);
	const json_t *command = json_array_get(fake->commands, 0);
	g_autofree char *env = json_text(json_object_get(command, "env"));
	g_assert_cmpstr(env, ==,
	        "[\"OMP_NUM_THREADS=1\",\"A=b=c\",\"ASSAY_DATA_DIGEST=abc123\","
	        "\"ASSAY_CHECKPOINT=/home/runner/work/digits/digits/ckpt\","
	        "\"ASSAY_TRACKING_RUN=0123456789abcdef0123456789abcdef\"]");
	g_assert_cmpint(json_get_int(command, "time_us", 0), ==, 5400LL * 1000000);
	g_assert_cmpint(json_get_int(command, "memory_bytes", 0), ==, 512LL << 20);
	const json_t *start = fake_step_asked(fake, "tracking.start");
	g_assert_cmpstr(json_get_string(json_object_get(start, "params"), "split/seed", ""), ==, "3");
	g_assert_cmpstr(json_get_string(start, "experiment", ""), ==, "train");
	const json_t *logged = json_object_get(fake_step_asked(fake, "tracking.log"), "metrics");
	g_assert_cmpuint(json_array_size(logged), ==, 3);
	g_assert_cmpstr(json_get_string(fake_step_asked(fake, "tracking.end"), "status", ""), ==, "FINISHED");
	g_assert_cmpstr(fake_step_output(fake, "state"), ==, "success");
	g_assert_cmpstr(fake_step_output(fake, "metrics"), ==, "{\"accuracy\":0.97,\"by/thin\":0.9,\"ok\":1.0}");
}

static void test_retries(void)
{
	g_autoptr(FakeStep) fake = training();
	fake_step_input(fake, "retries", "2");
	fake->ends[0] = (MlEnd){.exit_code = 1, .cause = "exit"};
	fake->ends[1] = (MlEnd){.exit_code = -1, .signal = 9, .cause = "oom"};
	fake->ends_len = 2;
	g_autoptr(GError) error = NULL;
	g_assert_true(fake_step_run(fake, &ml_step_train, &error));
	g_assert_cmpuint(json_array_size(fake->commands), ==, 3);
}

static void test_failure_is_kept(void)
{
	static const struct {
		MlEnd end;
		const char *expected;
		const char *status;
		size_t commands;
	} rows[] = {
	        {{.exit_code = 3, .cause = "exit"}, "exit code 3", "FAILED", 2},
	        {{.exit_code = -1, .signal = 9, .cause = "timeout"}, "ran longer than 60 s; raise 'time-limit'", "FAILED", 2},
	        {{.exit_code = -1, .signal = 9, .cause = "oom"}, "needed more than 1.0 GB of memory", "FAILED", 2},
	        {{.exit_code = -1, .signal = 11, .cause = "signal"}, "ended by signal 11", "FAILED", 2},
	        {{.exit_code = -1, .signal = 15, .cause = "cancelled"}, "was cancelled", "KILLED", 1},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(FakeStep) fake = training();
		fake_step_input(fake, "retries", "1");
		fake_step_input(fake, "time-limit", "60s");
		fake_step_input(fake, "memory", "1GB");
		fake->ends[0] = fake->ends[1] = rows[i].end;
		fake->ends_len = 2;
		g_autoptr(GError) error = NULL;
		g_assert_false(fake_step_run(fake, &ml_step_train, &error));
		if (!strstr(error->message, rows[i].expected))
			g_error("row %zu: '%s' does not say '%s'", i, error->message, rows[i].expected);
		g_assert_cmpuint(json_array_size(fake->commands), ==, rows[i].commands);
		g_assert_cmpstr(json_get_string(fake_step_asked(fake, "tracking.end"), "status", ""), ==, rows[i].status);
		g_assert_cmpstr(fake_step_output(fake, "state"), ==, "failure");
		g_assert_cmpuint(json_array_size(fake->reports), ==, 1);
	}
}

static void test_missing_output_is_failure(void)
{
	g_autoptr(FakeStep) fake = training();
	fake_step_input(fake, "outputs", "out/model, out/absent");
	g_autoptr(GError) error = NULL;
	g_assert_false(fake_step_run(fake, &ml_step_train, &error));
	g_assert_nonnull(strstr(error->message, "did not make 'out/absent'"));
}

static void test_refusals_name_themselves(void)
{
	static const char *const rows[][3] = {
	        {"target", "slurm", "target: 'slurm' cannot be reached"},
	        {"gpus", "1", "gpus: "},
	        {"cpus", "4", "cpus: "},
	        {"sweep", "C: [1, 10]", "sweep: "},
	        {"retries", "-1", "retries: "},
	        {"retries", "11", "retries: "},
	        {"time-limit", "30", "time-limit: '30' is not a time"},
	        {"memory", "lots", "memory: 'lots' is not a size"},
	        {"env", "1A=b", "'1A' is not a variable's name"},
	        {"env", "just words", "not name=value"},
	        {"checkpoint", "../x", "'..' leads out"},
	        {"params", "absent.json", "absent.json"},
	        {"run", " ", "the input 'run' is required"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(FakeStep) fake = training();
		fake_step_input(fake, rows[i][0], rows[i][1]);
		g_autoptr(GError) error = NULL;
		g_assert_false(fake_step_run(fake, &ml_step_train, &error));
		if (!strstr(error->message, rows[i][2]))
			g_error("row %zu: '%s' does not say '%s'", i, error->message, rows[i][2]);
		g_assert_cmpuint(json_array_size(fake->commands), ==, 0);
		g_assert_cmpuint(json_array_size(fake->asked), ==, 0); /* no tracking run is left open */
	}
}

static void test_strangers_leave_no_tracking(void)
{
	g_autoptr(FakeStep) fake = training();
	fake_step_answer(fake, "tracking.start", "{\"error\":\"denied\",\"message\":\"not for runs of forks\"}");
	g_autoptr(GError) error = NULL;
	fake_step_run(fake, &ml_step_train, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(fake_step_output(fake, "tracking-run"), ==, "");
	g_assert_cmpstr(fake_step_output(fake, "metrics"), ==, "{\"accuracy\":0.97,\"by/thin\":0.9,\"ok\":1.0}");
	g_assert_null(fake_step_asked(fake, "tracking.log"));
	g_assert_nonnull(strstr(fake->log->str, "not for runs of forks"));
	fake_step_answer(fake, "tracking.start", "{\"error\":\"system\",\"message\":\"disk full\"}");
	g_assert_false(fake_step_run(fake, &ml_step_train, &error));
	g_assert_nonnull(strstr(error->message, "disk full"));
}

static void test_metrics_step(void)
{
	g_autoptr(FakeStep) fake = training();
	fake_step_input(fake, "file", "curve.jsonl");
	fake_step_input(fake, "values", "rows = 900");
	fake_step_write(fake, "curve.jsonl", "{\"step\":10,\"loss\":0.5}\n\n{\"step\":20,\"loss\":0.25}\n");
	g_autoptr(GError) error = NULL;
	fake_step_run(fake, &ml_step_metrics, &error);
	g_assert_no_error(error);
	const json_t *logged = json_object_get(fake_step_asked(fake, "tracking.log"), "metrics");
	g_assert_cmpuint(json_array_size(logged), ==, 3);
	g_assert_cmpint(json_get_int(json_array_get(logged, 1), "step", 0), ==, 20);
	g_assert_nonnull(fake_step_asked(fake, "tracking.end"));
	g_assert_cmpstr(fake_step_output(fake, "tracking-run"), ==, "0123456789abcdef0123456789abcdef");

	fake_step_input(fake, "values", "rows = many");
	g_assert_false(fake_step_run(fake, &ml_step_metrics, &error));
	g_assert_nonnull(strstr(error->message, "'many' of 'rows' is not a number"));
}

static void test_metrics_of_a_given_run(void)
{
	g_autoptr(FakeStep) fake = training();
	fake_step_input(fake, "values", "a=1");
	fake_step_input(fake, "tracking-run", "feed");
	g_assert_true(fake_step_run(fake, &ml_step_metrics, NULL));
	g_assert_null(fake_step_asked(fake, "tracking.start"));
	g_assert_null(fake_step_asked(fake, "tracking.end"));
	g_assert_cmpstr(json_get_string(fake_step_asked(fake, "tracking.log"), "tracking_run", ""), ==, "feed");
}

static void test_bad_files_are_named(void)
{
	static const char *const rows[][2] = {
	        {"{\"accuracy\":NaN}", "m.json: not JSON"},
	        {"[1]", "m.json: not a JSON object"},
	        {"{\"note\":\"x\"}", "m.json: there is no number"},
	        {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}}", "nested deeper"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(FakeStep) fake = training();
		fake_step_write(fake, "m.json", rows[i][0]);
		g_autoptr(GError) error = NULL;
		g_autoptr(json_t) metrics = numbers_read(&fake->context, "m.json", &error);
		g_assert_null(metrics);
		if (!strstr(error->message, rows[i][1]))
			g_error("row %zu: '%s' does not say '%s'", i, error->message, rows[i][1]);
	}
}

static void test_times_and_sizes(void)
{
	int64_t number = 0;
	g_assert_true(duration_parse("90s", &number, NULL));
	g_assert_cmpint(number, ==, 90000000);
	g_assert_true(duration_parse("1d2h", &number, NULL));
	g_assert_cmpint(number, ==, 93600LL * 1000000);
	static const char *const times[] = {"", "5", "m", "-1m", "1m ", "0s", "9999999h", "1h1"};
	for (size_t i = 0; i < G_N_ELEMENTS(times); i++)
		g_assert_false(duration_parse(times[i], &number, NULL));
	g_assert_true(size_parse("1.5 GB", &number, NULL));
	g_assert_cmpint(number, ==, 1500000000);
	g_assert_true(size_parse("2G", &number, NULL));
	g_assert_cmpint(number, ==, 2LL << 30);
	static const char *const sizes[] = {"", "GB", "-1G", "1 XB", "0", "1e30G", "nan"};
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
		g_assert_false(size_parse(sizes[i], &number, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/train/runs_and_tracks", test_trains);
	g_test_add_func("/train/retries_until_it_ends_well", test_retries);
	g_test_add_func("/train/failure_is_kept_and_said", test_failure_is_kept);
	g_test_add_func("/train/missing_output_is_failure", test_missing_output_is_failure);
	g_test_add_func("/train/refusals_name_themselves", test_refusals_name_themselves);
	g_test_add_func("/train/strangers_leave_no_tracking", test_strangers_leave_no_tracking);
	g_test_add_func("/metrics/file_and_values_are_logged", test_metrics_step);
	g_test_add_func("/metrics/given_run_stays_open", test_metrics_of_a_given_run);
	g_test_add_func("/numbers/bad_files_are_named", test_bad_files_are_named);
	g_test_add_func("/numbers/times_and_sizes", test_times_and_sizes);
	return g_test_run();
}
