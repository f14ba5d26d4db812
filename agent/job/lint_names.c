/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in expressions that nothing in the workflow gives: they are null when the job runs, without a word. Where a
 * name may come from outside the file (a matrix from an output, a called workflow, an event's payload), nothing is said.
 */
#include <string.h>

#include "agent/job/lint_rules.h"
#include "agent/model/expr.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Properties of contexts that every run has. */
static const struct {
	const char *context;
	const char *const *properties;
} fixed[] = {
        {"github",
                LIST("action", "action_path", "action_ref", "action_repository", "action_status", "actor", "actor_id",
                        "api_url", "artifact_cache_size_limit", "base_ref", "env", "event", "event_name", "event_path",
                        "graphql_url", "head_ref", "job", "job_workflow_sha", "output", "path", "ref", "ref_name",
                        "ref_protected", "ref_type", "repository", "repository_id", "repository_owner",
                        "repository_owner_id", "repository_visibility", "repositoryUrl", "retention_days", "run_attempt",
                        "run_id", "run_number", "secret_source", "server_url", "sha", "state", "step_summary", "token",
                        "triggering_actor", "workflow", "workflow_ref", "workflow_sha", "workspace")},
        {"job", LIST("check_run_id", "container", "services", "status", "workflow_file_path", "workflow_ref",
                        "workflow_repository", "workflow_sha")},
        {"runner", LIST("arch", "debug", "environment", "name", "os", "temp", "tool_cache", "workspace")},
        {"strategy", LIST("fail-fast", "job-index", "job-total", "max-parallel")},
};

static bool is_one_of(const char *const *names, const char *name)
{
	for (size_t i = 0; names[i]; i++)
		if (g_ascii_strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

static const YamlNode *get_ignoring_case(const YamlNode *mapping, const char *name)
{
	for (size_t i = 0; mapping && mapping->kind == YAML_MAPPING && i + 1 < mapping->items_len; i += 2)
		if (g_ascii_strcasecmp(mapping->items[i]->text, name) == 0)
			return mapping->items[i + 1];
	return NULL;
}

/** A mapping whose keys are not all written here. */
static bool is_open(const YamlNode *mapping)
{
	if (!mapping || mapping->kind != YAML_MAPPING)
		return mapping && mapping->kind != YAML_NULL;
	for (size_t i = 0; i + 1 < mapping->items_len; i += 2)
		if (expr_is_template(mapping->items[i]->text))
			return true;
	return false;
}

typedef struct Asked {
	Lint *lint;
	const LintPlace *place;
	const YamlNode *at;
	size_t number; /* of the expression within the value */
	const ExprReference *reference;
} Asked;

#define UNKNOWN(asked, ...) lint_warn_expression((asked)->lint, (asked)->at, (asked)->number, "unknown-name", __VA_ARGS__)

/* steps */

/** Finds a step by its id; counts them in *at up to it. */
static const YamlNode *find_step(const YamlNode *steps, const char *id, const YamlNode *until, bool *before)
{
	for (size_t i = 0; steps && i < steps->items_len; i++) {
		const YamlNode *step = steps->items[i];
		if (step == until)
			*before = false;
		const YamlNode *inner = yaml_get(step, "parallel");
		const YamlNode *found = inner ? find_step(inner, id, until, before) : NULL;
		if (found)
			return found;
		const char *own = lint_text(step, "id");
		if (own && g_ascii_strcasecmp(own, id) == 0)
			return step;
	}
	return NULL;
}

static void ask_step(const Asked *asked)
{
	const char *id = asked->reference->parts[1];
	const char *property = asked->reference->parts[2];
	bool before = true;
	const YamlNode *step = find_step(yaml_get(asked->place->job, "steps"), id, asked->place->step, &before);
	if (!step)
		UNKNOWN(asked, "no step of this job has the id '%s'", id);
	else if (!before && asked->place->step)
		UNKNOWN(asked, "step '%s' comes %s", id, step == asked->place->step ? "to an end only after this" : "later");
	else if (property && !is_one_of(LIST("outputs", "outcome", "conclusion", "*"), property))
		UNKNOWN(asked, "a step has 'outputs', 'outcome' and 'conclusion', but no '%s'", property);
}

/* needs, jobs */

static bool is_needed(const YamlNode *job, const char *id)
{
	const YamlNode *needs = yaml_get(job, "needs");
	for (size_t i = 0; i < lint_count(needs); i++)
		if (g_ascii_strcasecmp(lint_item(needs, i)->text, id) == 0)
			return true;
	return false;
}

static void ask_output_of_job(const Asked *asked, const YamlNode *job)
{
	const char *id = asked->reference->parts[1];
	const char *property = asked->reference->parts[2];
	if (!property)
		return;
	if (!is_one_of(LIST("outputs", "result", "*"), property)) {
		UNKNOWN(asked, "a job has 'outputs' and 'result', but no '%s'", property);
		return;
	}
	const char *output = asked->reference->parts[3];
	const YamlNode *outputs = yaml_get(job, "outputs");
	if (!output || strcmp(output, "*") == 0 || g_ascii_strcasecmp(property, "outputs") != 0 || yaml_get(job, "uses") || is_open(outputs))
		return;
	if (!get_ignoring_case(outputs, output))
		UNKNOWN(asked, "job '%s' has no output '%s'; declare it in its 'outputs'", id, output);
}

static void ask_need(const Asked *asked)
{
	const char *id = asked->reference->parts[1];
	const YamlNode *job = get_ignoring_case(asked->lint->jobs, id);
	if (!is_needed(asked->place->job, id))
		UNKNOWN(asked, "%s '%s'%s", job ? "this job does not need" : "there is no job", id,
		        job ? "; add it to 'needs'" : "");
	else
		ask_output_of_job(asked, job);
}

static void ask_job(const Asked *asked)
{
	const YamlNode *job = get_ignoring_case(asked->lint->jobs, asked->reference->parts[1]);
	if (!job)
		UNKNOWN(asked, "there is no job '%s'", asked->reference->parts[1]);
	else
		ask_output_of_job(asked, job);
}

/* matrix */

static bool matrix_has(const YamlNode *matrix, const char *name)
{
	const YamlNode *include = yaml_get(matrix, "include");
	if (is_open(matrix) || (include && include->kind != YAML_SEQUENCE))
		return true;
	for (size_t i = 0; include && i < include->items_len; i++)
		if (is_open(include->items[i]) || get_ignoring_case(include->items[i], name))
			return true;
	return get_ignoring_case(matrix, name) && !is_one_of(LIST("include", "exclude"), name);
}

static void ask_matrix(const Asked *asked)
{
	const YamlNode *strategy = yaml_get(asked->place->job, "strategy");
	const char *name = asked->reference->parts[1];
	if (strategy && strategy->kind != YAML_MAPPING)
		return;
	const YamlNode *matrix = yaml_get(strategy, "matrix");
	if (!matrix)
		UNKNOWN(asked, "this job has no matrix, so 'matrix.%s' is always null", name);
	else if (!matrix_has(matrix, name))
		UNKNOWN(asked, "the matrix has no '%s'", name);
}

/* inputs, secrets */

static const YamlNode *declared(const Lint *lint, const char *event, const char *what, const char *name)
{
	return get_ignoring_case(yaml_get(lint_event(lint, event), what), name);
}

static void ask_input(const Asked *asked)
{
	const char *name = asked->reference->parts[1];
	const Lint *lint = asked->lint;
	if (declared(lint, "workflow_dispatch", "inputs", name) || declared(lint, "workflow_call", "inputs", name))
		return;
	if (lint_has_event(lint, "workflow_dispatch") || lint_has_event(lint, "workflow_call"))
		UNKNOWN(asked, "no event of this workflow declares the input '%s'", name);
	else
		UNKNOWN(asked, "no event of this workflow has inputs; 'inputs.%s' is always null", name);
}

/** A workflow that is only called knows the secrets that it declares. */
static void ask_secret(const Asked *asked)
{
	const Lint *lint = asked->lint;
	const char *name = asked->reference->parts[1];
	const YamlNode *secrets = yaml_get(lint_event(lint, "workflow_call"), "secrets");
	bool called_only = lint->on->kind == YAML_MAPPING && lint->on->items_len == 2;
	if (secrets && called_only && g_ascii_strcasecmp(name, "github_token") != 0 && !get_ignoring_case(secrets, name))
		UNKNOWN(asked, "'workflow_call' declares no secret '%s'", name);
}

static void ask_fixed(const Asked *asked)
{
	const char *context = asked->reference->parts[0];
	for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
		if (strcmp(fixed[i].context, context) == 0 && !is_one_of(fixed[i].properties, asked->reference->parts[1]))
			UNKNOWN(asked, "the context '%s' has no '%s'", context, asked->reference->parts[1]);
}

void lint_names(Lint *lint, const LintPlace *place, const YamlNode *at, size_t number, const ExprReference *reference)
{
	static const struct {
		const char *context;
		void (*ask)(const Asked *asked);
		bool in_job;
	} rows[] = {{"steps", ask_step, true}, {"needs", ask_need, true}, {"matrix", ask_matrix, true},
	        {"jobs", ask_job, false}, {"inputs", ask_input, false}, {"secrets", ask_secret, false},
	        {"github", ask_fixed, false}, {"job", ask_fixed, false}, {"runner", ask_fixed, false},
	        {"strategy", ask_fixed, false}};
	if (!reference->parts[1] || strcmp(reference->parts[1], "*") == 0)
		return;
	Asked asked = {.lint = lint, .place = place, .at = at, .number = number, .reference = reference};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (strcmp(rows[i].context, reference->parts[0]) == 0 && (place->job || !rows[i].in_job))
			rows[i].ask(&asked);
}
