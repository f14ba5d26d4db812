/* SPDX-License-Identifier: Apache-2.0 */
/* A workflow as data: who owns what. Everything else about it is in agent/job/reader.c and planner.c. */
#include "agent/model/workflow.h"

void workflow_job_free(WorkflowJob *job)
{
	if (!job)
		return;
	g_free(job->id);
	g_strfreev(job->needs);
	json_decref(job->definition);
	g_free(job->refusal);
	g_free(job);
}

void workflow_free(Workflow *workflow)
{
	if (!workflow)
		return;
	g_free(workflow->path);
	g_free(workflow->name);
	g_free(workflow->run_name);
	g_free(workflow->digest);
	json_decref(workflow->on);
	json_decref(workflow->concurrency);
	json_decref(workflow->permissions);
	json_decref(workflow->env);
	json_decref(workflow->defaults);
	g_clear_pointer(&workflow->jobs, g_ptr_array_unref);
	yaml_document_free(workflow->document);
	g_free(workflow);
}

const WorkflowJob *workflow_find(const Workflow *workflow, const char *id)
{
	for (guint i = 0; i < workflow->jobs->len; i++) {
		const WorkflowJob *job = g_ptr_array_index(workflow->jobs, i);
		if (g_ascii_strcasecmp(job->id, id) == 0)
			return job;
	}
	return NULL;
}
