/* SPDX-License-Identifier: Apache-2.0 */
/* What a workflow file says, checked and in order. Made by agent/job/reader.c. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "agent/base/yaml.h"

typedef struct WorkflowJob {
	char *id;
	char **needs;       /* NULL-terminated */
	json_t *definition; /* docs/formats.md, "definition" */
	char *refusal;      /* why this job is valid but cannot be run here: "path:line:col: reason"; NULL when it can */
	int line;
	int column;
	const YamlNode *id_node; /* of the workflow's document */
	const YamlNode *node;    /* the job's mapping */
} WorkflowJob;

typedef struct Workflow {
	char *path;      /* as in the repo */
	char *name;      /* `name:`, or the path */
	char *run_name;  /* may hold expressions; NULL */
	char *digest;    /* SHA-256 of the file, hex */
	json_t *on;      /* object: event → filters object, or null; schedule: array of {"cron"} */
	json_t *concurrency; /* as written, or NULL */
	json_t *permissions;
	json_t *env;
	json_t *defaults;
	GPtrArray *jobs; /* WorkflowJob */
	YamlDocument *document; /* what was read: mistakes that show later are told with line and caret */
} Workflow;

/** Accepts NULL. */
void workflow_job_free(WorkflowJob *job);
/** The job with an id, without regard to case, or NULL. Borrowed. */
const WorkflowJob *workflow_find(const Workflow *workflow, const char *id);
/** Accepts NULL. */
void workflow_free(Workflow *workflow);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Workflow, workflow_free)
