/* SPDX-License-Identifier: Apache-2.0 */
/* What the files lint*.c share: the workflow being looked at, and how a warning is told. */
#pragma once

#include "agent/job/lint.h"
#include "agent/model/expr_lint.h"

typedef struct Lint {
	const YamlDocument *document;
	const char *folder; /* of the repository, or NULL */
	json_t *warnings;
	GHashTable *told; /* "line:column:rule" */
	const YamlNode *root;
	const YamlNode *on;
	const YamlNode *jobs;
	bool dangerous; /* an event that runs with the repository's rights on a stranger's word */
	bool releases;  /* an event that publishes: a release, a tag */
} Lint;

/** Where a value stands. */
typedef struct LintPlace {
	const YamlNode *job; /* NULL outside of jobs */
	const YamlNode *job_id;
	const YamlNode *step; /* NULL outside of steps */
	const char *key;      /* the key of the value */
	bool script;          /* a shell, or another interpreter, reads the value */
} LintPlace;

/** Tells of a node. */
void lint_warn(Lint *lint, const YamlNode *at, const char *rule, const char *format, ...) G_GNUC_PRINTF(4, 5);
/** Tells of the `number`th `${{` of a scalar, from 0. */
void lint_warn_expression(Lint *lint, const YamlNode *at, size_t number, const char *rule, const char *format, ...)
        G_GNUC_PRINTF(5, 6);
/** Tells of the place where a text stands within a scalar; of the scalar when it is not found. */
void lint_warn_text(Lint *lint, const YamlNode *at, const char *text, const char *rule, const char *format, ...)
        G_GNUC_PRINTF(5, 6);

/** Is the event among those that start the workflow? */
bool lint_has_event(const Lint *lint, const char *event);
/** The filters of an event, or NULL. */
const YamlNode *lint_event(const Lint *lint, const char *event);
/** The text of a key's scalar, or NULL. */
const char *lint_text(const YamlNode *mapping, const char *key);
/** The items of a value that may be one, or a list of them; node may be NULL. */
size_t lint_count(const YamlNode *node);
const YamlNode *lint_item(const YamlNode *node, size_t number);
/** Is a name of `parts` the workflow's stranger's to choose? */
bool lint_is_untrusted(const ExprReference *reference);
bool lint_is_true(const YamlNode *node);
/** The action without its version: "actions/checkout" of "actions/checkout@v4"; the caller's. */
char *lint_action(const YamlNode *step);

/* The rules, by what they look at. */
void lint_names(Lint *lint, const LintPlace *place, const YamlNode *at, size_t number, const ExprReference *reference);
void lint_workflow_security(Lint *lint);
void lint_job_security(Lint *lint, const YamlNode *id, const YamlNode *job);
void lint_step_security(Lint *lint, const YamlNode *job, const YamlNode *step);
void lint_events(Lint *lint);
void lint_job_values(Lint *lint, const YamlNode *id, const YamlNode *job);
void lint_step_values(Lint *lint, const YamlNode *job, const YamlNode *step);
