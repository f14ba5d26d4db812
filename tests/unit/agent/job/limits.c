/* SPDX-License-Identifier: Apache-2.0 */
/* Each limit's sentence names the limit, what it allows, and the key that raises it. */
#include "agent/job/limits.h"

#include <glib.h>
#include <signal.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"

static json_t *spec_of(int64_t memory, int64_t processes, int64_t file)
{
	return json_pack("{s:{s:I,s:I,s:I,s:I}}", "limits", "memory_bytes", (json_int_t)memory, "processes", (json_int_t)processes,
	        "file_bytes", (json_int_t)file, "timeout_us", (json_int_t)90000000);
}

static void assert_says(char *sentence, const char *what, const char *key)
{
	if (!strstr(sentence, what) || !strstr(sentence, key))
		g_error("'%s' does not say '%s' and '%s'", sentence, what, key);
	g_free(sentence);
}

static void sentences_name_limit_and_key(void)
{
	g_autoptr(json_t) spec = spec_of(INT64_C(512) << 20, 50, INT64_C(1) << 30);
	Job job = {.spec = spec};
	assert_says(limits_memory(&job), "512.0\302\240MiB", "limits.job_memory");
	assert_says(limits_processes(&job), "50 processes", "limits.job_processes");
	assert_says(limits_file_size(&job), "1.0\302\240GiB", "limits.job_file");
	assert_says(limits_job_time(&job), "1.5 minutes", "limits.job_time");
}

static void a_step_is_told_whose_time_was_up(void)
{
	g_autoptr(json_t) spec = spec_of(0, 0, 0);
	Job job = {.spec = spec, .deadline_us = 500, .step_deadline_us = 400, .step_limit_us = 60000000};
	assert_says(limits_step_time(&job), "1 minute;", "timeout-minutes of the step");
	job.step_deadline_us = 600;
	g_autofree char *of_job = limits_step_time(&job);
	g_assert_null(strstr(of_job, "of the step"));
	assert_says(limits_memory(&job), "than the machine had", "(jobs)");
}

static void a_shell_passes_the_signal_on(void)
{
	g_autoptr(json_t) limited = spec_of(0, 0, 1000), free_of_it = spec_of(0, 0, 0);
	Job job = {.spec = limited};
	const ChildEnd by_signal = {.exit_code = -1, .signal = SIGXFSZ}, by_shell = {.exit_code = 128 + SIGXFSZ},
	               otherwise = {.exit_code = 1};
	g_assert_true(limits_is_file_size(&job, &by_signal));
	g_assert_true(limits_is_file_size(&job, &by_shell));
	g_assert_false(limits_is_file_size(&job, &otherwise));
	job.spec = free_of_it; /* then 153 is just a number that the program chose */
	g_assert_false(limits_is_file_size(&job, &by_shell));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/limits/sentences_name_limit_and_key", sentences_name_limit_and_key);
	g_test_add_func("/limits/a_step_is_told_whose_time_was_up", a_step_is_told_whose_time_was_up);
	g_test_add_func("/limits/a_shell_passes_the_signal_on", a_shell_passes_the_signal_on);
	return g_test_run();
}
