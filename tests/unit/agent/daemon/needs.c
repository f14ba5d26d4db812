/* SPDX-License-Identifier: Apache-2.0 */
/* What a job may know of those it needs. */
#include <string.h>

#include "agent/base/json.h"
#include "agent/daemon/state.h"

#define JOB(group, status, needs) "{\"group\":\"" group "\",\"status\":\"" status "\",\"needs\":[" needs "],\"outputs\":{\"from\":\"" group "\"}}"

static void assert_status(const char *jobs_text, const char *wanted)
{
	g_autoptr(json_t) jobs = json_parse(jobs_text, strlen(jobs_text), "test", NULL);
	g_autoptr(json_t) needs = json_pack("[s]", "b");
	g_assert_cmpstr(needs_status(jobs, needs), ==, wanted);
}

static void the_whole_chain_counts(void)
{
	assert_status("[" JOB("a", "success", "") "," JOB("b", "success", "\"a\"") "]", "success");
	assert_status("[" JOB("a", "failure", "") "," JOB("b", "success", "\"a\"") "]", "failure");
	assert_status("[" JOB("a", "failure", "") "," JOB("b", "skipped", "\"a\"") "]", "failure");
	assert_status("[" JOB("a", "skipped", "") "," JOB("b", "success", "\"a\"") "]", "skipped");
	assert_status("[" JOB("a", "cancelled", "") "," JOB("b", "skipped", "\"a\"") "]", "cancelled");
	/* what nobody in the chain needs */
	assert_status("[" JOB("z", "failure", "") "," JOB("b", "success", "") "]", "success");
	/* one of a matrix; a failure that is forgiven */
	assert_status("[" JOB("b", "success", "") "," JOB("b", "failure", "") "]", "failure");
	assert_status("[{\"group\":\"b\",\"status\":\"failure\",\"continue_on_error\":true,\"needs\":[]}]", "success");
}

static void results_go_by_the_ids_of_the_file(void)
{
	g_autoptr(json_t) needs = json_pack("[s,s]", "c (eu) / b", "c (eu) / none");
	const char *text = "[" JOB("c (eu) / b", "skipped", "") "," JOB("c (eu) / b", "success", "") "," JOB("c (us) / b", "failure", "") "]";
	g_autoptr(json_t) jobs = json_parse(text, strlen(text), "test", NULL);
	g_autoptr(json_t) object = needs_object(jobs, needs);
	g_autofree char *got = json_text(object);
	g_assert_cmpstr(got, ==, "{\"b\":{\"outputs\":{\"from\":\"c (eu) / b\"},\"result\":\"success\"},\"none\":{\"outputs\":{},\"result\":\"skipped\"}}");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/needs/the_whole_chain_counts", the_whole_chain_counts);
	g_test_add_func("/needs/results_go_by_the_ids_of_the_file", results_go_by_the_ids_of_the_file);
	return g_test_run();
}
