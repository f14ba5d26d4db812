/* SPDX-License-Identifier: Apache-2.0 */
/* Whole workflow files of strangers: read, and when valid also linted, matched and planned. What one calls is itself again. */
#include "agent/job/reader.h"

#include <stdint.h>

#include "agent/base/autoptr.h"
#include "agent/job/calls.h"
#include "agent/job/lint.h"
#include "agent/job/planner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static GBytes *read_again(void *data, const CallPlace *place, char **out_sha, GError **error)
{
	(void)place;
	(void)error;
	*out_sha = g_strdup("0123456789012345678901234567890123456789");
	return g_bytes_ref(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) workflow = reader_read((const char *)data, size, "fuzz.yml", &errors);
	g_assert_true((workflow != NULL) == (json_array_size(errors) == 0));
	g_autoptr(json_t) same = NULL;
	g_autoptr(YamlDocument) document = reader_check((const char *)data, size, "fuzz.yml", &same);
	g_assert_true((document != NULL) == (workflow != NULL));
	if (!workflow)
		return 0;
	g_autoptr(json_t) warnings = lint_document(document, NULL);
	g_autoptr(json_t) refusals = reader_refusals(document);
	g_assert_true(json_is_array(warnings) && json_is_array(refusals));
	g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
	const CallSource source = {.read = read_again, .data = bytes};
	if (!calls_load(workflow, &source, errors)) {
		g_assert_cmpuint(json_array_size(errors), >, 0);
		calls_tell(errors);
		return 0;
	}
	g_autoptr(json_t) event = json_pack("{s:s,s:s,s:s}", "event", "push", "ref", "refs/heads/main", "action", "opened");
	g_autoptr(json_t) files = json_pack("[s,s]", "src/a.c", "README.md");
	(void)planner_matches(workflow, event, files);
	g_autoptr(json_t) contexts = json_pack("{s:{s:s,s:s},s:{s:s},s:{}}", "github", "event_name", "workflow_dispatch", "ref",
	        "refs/heads/main", "vars", "A", "[1,2]", "inputs");
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) jobs = planner_jobs(workflow, contexts, NULL, &error);
	g_assert_true((jobs != NULL) == (error == NULL));
	g_autofree char *name = planner_run_name(workflow, contexts, NULL);
	g_autoptr(json_t) concurrency = planner_concurrency(workflow, contexts, NULL);
	g_autoptr(json_t) needs = json_pack("{s:{s:{s:s,s:{s:s}}}}", "needs", "a", "result", "success", "outputs", "o", "[1]");
	for (guint i = 0; i < workflow->jobs->len; i++) {
		const WorkflowJob *job = g_ptr_array_index(workflow->jobs, i);
		g_autoptr(json_t) resolved = planner_resolve(job->id, job->definition, needs, NULL, NULL);
		g_assert_true(!resolved || json_array_size(resolved) > 0);
	}
	return 0;
}
