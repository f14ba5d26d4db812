/* SPDX-License-Identifier: Apache-2.0 */
/* What a step of several commands used. */
#include "agent/job/steps.h"

#include <glib.h>

static void parts_are_added_and_peaks_compared(void)
{
	StepResult sum = {.message = NULL};
	step_result_clear(&sum);
	const StepResult unknown = {.cpu_us = -1, .memory_peak_bytes = -1, .read_bytes = -1, .write_bytes = -1, .energy_uj = -1};
	const StepResult first = {.cpu_us = 5, .memory_peak_bytes = 900, .read_bytes = 0, .write_bytes = 7, .energy_uj = -1};
	const StepResult second = {.cpu_us = 6, .memory_peak_bytes = 400, .read_bytes = 3, .write_bytes = -1, .energy_uj = -1};
	steps_add_usage(&sum, &unknown);
	g_assert_cmpint(sum.cpu_us, ==, -1);
	steps_add_usage(&sum, &first);
	steps_add_usage(&sum, &unknown);
	steps_add_usage(&sum, &second);
	g_assert_cmpint(sum.cpu_us, ==, 11);
	g_assert_cmpint(sum.memory_peak_bytes, ==, 900);
	g_assert_cmpint(sum.read_bytes, ==, 3);
	g_assert_cmpint(sum.write_bytes, ==, 7);
	g_assert_cmpint(sum.energy_uj, ==, -1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/steps/parts_are_added_and_peaks_compared", parts_are_added_and_peaks_compared);
	return g_test_run();
}
