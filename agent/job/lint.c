/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linter's walk: every scalar of the file with the place where it stands, its expressions one after the other. It
 * runs only on what reader.c has found valid, so that shapes need not be checked again. A warning never makes a file
 * invalid.
 */
#include "agent/job/lint.h"

#include <string.h>

#include "agent/job/lint_rules.h"
#include "agent/model/expr.h"

#define WARNINGS_MAX 200

const LintRule lint_rules[] = {
        {"action-inputs", "an action is given an input that it does not know, or lacks one that it needs"},
        {"artipacked", "the checkout's credentials lie in a workspace that is uploaded"},
        {"bot-conditions", "a condition takes github.actor for the author of the code"},
        {"cache-poisoning", "a release is built from a cache that other runs can write"},
        {"concurrency-limits", "new pushes to a pull request do not stop the runs of older ones"},
        {"constant-condition", "a condition is always the same"},
        {"dangerous-triggers", "an event runs with the repository's rights on what a stranger sends"},
        {"deprecated-commands", "a step prints a workflow command that is not obeyed any more"},
        {"excessive-permissions", "the token may do more than the jobs need"},
        {"format-arguments", "format() has more or fewer places than values"},
        {"github-env", "a stranger's text is written to GITHUB_ENV or GITHUB_PATH"},
        {"glob", "a filter's pattern cannot match what it seems to"},
        {"hardcoded-container-credentials", "a registry's password stands in the file"},
        {"insecure-commands", "ACTIONS_ALLOW_UNSECURE_COMMANDS is on"},
        {"matrix", "an exclude fits no combination"},
        {"obfuscation", "what a value or an action's path is, is hidden"},
        {"overprovisioned-secrets", "all secrets are handed over where one is needed"},
        {"ref-confusion", "a condition cannot tell a branch from a tag of the same name"},
        {"runner-label", "a runner's label does not exist, or contradicts another"},
        {"schedule", "a schedule is due more often than it is started"},
        {"secrets-inherit", "a called workflow gets every secret"},
        {"self-hosted-runner", "strangers' pull requests run on the project's own machines"},
        {"shell-name", "a shell is not known, or not on this system"},
        {"superfluous", "an input is required and has a default, or 'needs' names a job twice"},
        {"template-injection", "a stranger's text becomes part of a script"},
        {"type-mismatch", "a comparison or a value can only be wrong because of its kind"},
        {"unknown-name", "an expression names what is not there"},
        {"unpinned-images", "an image's content can change under the same name"},
        {"unpinned-uses", "an action's content can change under the same name"},
        {"unredacted-secrets", "a part of a secret is not masked in logs"},
        {"unsound-condition", "a condition is always true, because of text around its expression"},
        {"unsound-contains", "contains() looks for a part of a string where a list is meant"},
        {"unsound-ternary", "a && b || c with a b that is false"},
        {"untrusted-checkout", "a stranger's code is checked out beside the repository's rights"},
        {NULL, NULL},
};

/* Positions */

/** Where a line of the source begins, from 1; NULL when it has fewer. */
static const char *line_start(const YamlDocument *document, int line)
{
	const char *p = document->source;
	const char *end = p + document->source_len;
	for (int at = 1; at < line && p; at++) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	return p;
}

static const char *line_end(const YamlDocument *document, const char *p)
{
	const char *end = document->source + document->source_len;
	const char *found = memchr(p, '\n', (size_t)(end - p));
	return found ? found : end;
}

/** The byte of the source where a node begins. */
static const char *source_of(const YamlDocument *document, const YamlNode *node)
{
	const char *p = line_start(document, node->line);
	for (int column = 1; p && column < node->column && *p; column++)
		p = g_utf8_next_char(p);
	return p;
}

/** Does a comment on this line, or alone on the line above it, ask for silence? */
static bool line_is_silenced(const char *line, const char *end, const char *rule, bool alone)
{
	static const char *const forms[] = {"assay: ignore", "zizmor: ignore"};
	const char *hash = memchr(line, '#', (size_t)(end - line));
	if (alone && (!hash || strspn(line, " \t") != (size_t)(hash - line)))
		return false;
	for (size_t i = 0; hash && i < G_N_ELEMENTS(forms); i++) {
		const char *at = memmem(hash, (size_t)(end - hash), forms[i], strlen(forms[i]));
		if (!at)
			continue;
		at += strlen(forms[i]);
		const char *close = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
		if (!close)
			return *at != '[';
		g_autofree char *names = g_strndup(at + 1, (size_t)(close - at - 1));
		g_auto(GStrv) words = g_strsplit_set(names, ", ", -1);
		if (g_strv_contains((const char *const *)words, rule))
			return true;
	}
	return false;
}

static bool is_silenced(const Lint *lint, int line, const char *rule)
{
	const char *p = line_start(lint->document, line);
	const char *before = p && line > 1 ? line_start(lint->document, line - 1) : NULL;
	if (!p)
		return false;
	return line_is_silenced(p, line_end(lint->document, p), rule, false) ||
	       (before && line_is_silenced(before, p - 1, rule, true));
}

static void tell(Lint *lint, int line, int column, const char *rule, const char *format, va_list args)
{
	g_autofree char *key = g_strdup_printf("%d:%d:%s", line, column, rule);
	if (g_hash_table_contains(lint->told, key) ||
	        is_silenced(lint, line, rule))
		return;
	g_hash_table_add(lint->told, g_steal_pointer(&key));
	g_autofree char *message = g_strdup_vprintf(format, args);
	g_autofree char *shown = g_strdup_printf("%s [%s]", message, rule);
	g_autofree char *caret = yaml_caret(lint->document, line, column, shown);
	json_array_append_new(lint->warnings, json_pack("{s:i,s:i,s:s,s:s,s:s}", "line", line, "column", column, "rule",
	                                              rule, "message", message, "caret", caret));
}

static bool is_full(const Lint *lint)
{
	return json_array_size(lint->warnings) >= WARNINGS_MAX;
}

void lint_warn(Lint *lint, const YamlNode *at, const char *rule, const char *format, ...)
{
	if (is_full(lint))
		return;
	va_list args;
	va_start(args, format);
	tell(lint, at->line, at->column, rule, format, args);
	va_end(args);
}

/** The place of the `number`th time that a text stands in the source from a node on; the node's when there is none. */
static void place_of(const Lint *lint, const YamlNode *node, const char *text, size_t number, int *line, int *column)
{
	const char *start = source_of(lint->document, node);
	const char *end = lint->document->source + lint->document->source_len;
	const char *found = start ? memmem(start, (size_t)(end - start), text, strlen(text)) : NULL;
	for (size_t i = 0; i < number && found; i++)
		found = memmem(found + 1, (size_t)(end - found - 1), text, strlen(text));
	*line = node->line;
	*column = node->column;
	if (found)
		yaml_position(lint->document, (size_t)(found - lint->document->source), line, column);
}

void lint_warn_expression(Lint *lint, const YamlNode *at, size_t number, const char *rule, const char *format, ...)
{
	int line = at->line;
	int column = at->column;
	if (is_full(lint))
		return;
	if (expr_is_template(at->text))
		place_of(lint, at, "${{", number, &line, &column);
	va_list args;
	va_start(args, format);
	tell(lint, line, column, rule, format, args);
	va_end(args);
}

void lint_warn_text(Lint *lint, const YamlNode *at, const char *text, const char *rule, const char *format, ...)
{
	int line = 0;
	int column = 0;
	if (is_full(lint))
		return;
	place_of(lint, at, text, 0, &line, &column);
	va_list args;
	va_start(args, format);
	tell(lint, line, column, rule, format, args);
	va_end(args);
}

/* Reading the tree */

const char *lint_text(const YamlNode *mapping, const char *key)
{
	const YamlNode *node = yaml_get(mapping, key);
	return node && node->kind != YAML_NULL ? node->text : NULL;
}

bool lint_is_true(const YamlNode *node)
{
	return node && node->text && g_ascii_strcasecmp(node->text, "true") == 0;
}

size_t lint_count(const YamlNode *node)
{
	if (!node || node->kind == YAML_NULL)
		return 0;
	return node->kind == YAML_SEQUENCE ? node->items_len : 1;
}

const YamlNode *lint_item(const YamlNode *node, size_t number)
{
	return node->kind == YAML_SEQUENCE ? node->items[number] : node;
}

const YamlNode *lint_event(const Lint *lint, const char *event)
{
	return yaml_get(lint->on, event);
}

bool lint_has_event(const Lint *lint, const char *event)
{
	if (lint->on->kind == YAML_MAPPING)
		return lint_event(lint, event) != NULL;
	for (size_t i = 0; lint->on->kind == YAML_SEQUENCE && i < lint->on->items_len; i++)
		if (g_strcmp0(lint->on->items[i]->text, event) == 0)
			return true;
	return g_strcmp0(lint->on->text, event) == 0;
}

char *lint_action(const YamlNode *step)
{
	const char *uses = lint_text(step, "uses");
	return uses ? g_strndup(uses, strcspn(uses, "@")) : NULL;
}

/* Expressions */

static void lint_condition(Lint *lint, const YamlNode *at, const ExprFacts *facts)
{
	if (expr_is_template(at->text) && !expr_is_single(at->text)) {
		/* A bare newline behind it is not seen by whoever wrote it. */
		lint_warn(lint, at, "unsound-condition",
		        "text around '${{ }}', a line's end included, makes this a string, and a string is true: write the "
		        "whole condition without '${{ }}'");
		return;
	}
	if (facts->constant)
		lint_warn(lint, at, "constant-condition", "this condition is always the same; remove it, or what it guards");
	bool name = false;
	bool kind = false;
	for (guint i = 0; i < facts->references->len; i++) {
		const ExprReference *reference = g_ptr_array_index(facts->references, i);
		const char *property = strcmp(reference->parts[0], "github") == 0 ? reference->parts[1] : NULL;
		name = name || g_strcmp0(property, "ref_name") == 0;
		kind = kind || g_strcmp0(property, "ref_type") == 0 || g_strcmp0(property, "ref") == 0 ||
		       g_strcmp0(property, "event_name") == 0;
	}
	const YamlNode *push = lint_event(lint, "push");
	bool both = lint_has_event(lint, "push") &&
	            (!push || push->kind == YAML_NULL || (!yaml_get(push, "branches") && !yaml_get(push, "tags") &&
	                                                         !yaml_get(push, "branches-ignore")) ||
	                    (yaml_get(push, "branches") && yaml_get(push, "tags")));
	if (name && !kind && both)
		lint_warn(lint, at, "ref-confusion",
		        "a tag can have the name of a branch: github.ref_name is the same for both; compare github.ref with "
		        "'refs/heads/…', or look at github.ref_type");
}

static void lint_expression(Lint *lint, const LintPlace *place, const YamlNode *at, size_t number, const char *text,
        size_t len, bool alone)
{
	ExprFacts facts;
	expr_facts(text, len, &facts);
	for (guint i = 0; i < facts.findings->len; i++) {
		const ExprFinding *finding = g_ptr_array_index(facts.findings, i);
		lint_warn_expression(lint, at, number, finding->rule, "%s", finding->message);
	}
	for (guint i = 0; i < facts.references->len; i++) {
		const ExprReference *reference = g_ptr_array_index(facts.references, i);
		lint_names(lint, place, at, number, reference);
		g_autofree char *name = g_strjoinv(".", (char **)reference->parts);
		if (place->script && reference->shown && lint_is_untrusted(reference))
			lint_warn_expression(lint, at, number, "template-injection",
			        "whoever writes '%s' can write commands into this script; hand it over by 'env' and let the "
			        "script read the variable",
			        name);
	}
	bool condition = g_strcmp0(place->key, "if") == 0;
	if (condition)
		lint_condition(lint, at, &facts);
	else if (facts.constant && facts.computes)
		lint_warn_expression(lint, at, number, "obfuscation", "this expression is always the same; write its value");
	bool unshowable = facts.guess == EXPR_GUESS_OBJECT || facts.guess == EXPR_GUESS_ARRAY || facts.guess == EXPR_GUESS_NULL;
	if (!condition && !alone && unshowable)
		lint_warn_expression(lint, at, number, "type-mismatch", "%s in a text is shown as '%s'; use toJSON()",
		        facts.guess == EXPR_GUESS_NULL ? "null" : "a collection",
		        facts.guess == EXPR_GUESS_NULL ? "" : facts.guess == EXPR_GUESS_ARRAY ? "Array" : "Object");
	expr_facts_clear(&facts);
}

static void lint_scalar(Lint *lint, const LintPlace *place, const YamlNode *at)
{
	if (is_full(lint))
		return;
	bool condition = g_strcmp0(place->key, "if") == 0;
	if (condition && (at->kind == YAML_BOOLEAN || at->kind == YAML_NUMBER))
		lint_warn(lint, at, "constant-condition", "this condition is always the same; remove it, or what it guards");
	if (at->kind != YAML_STRING)
		return;
	if (expr_is_template(at->text)) {
		bool alone = expr_is_single(at->text);
		const char *p = at->text;
		const char *expression = NULL;
		size_t len = 0;
		for (size_t i = 0; expr_next(&p, at->text + at->len, &expression, &len); i++)
			lint_expression(lint, place, at, i, expression, len, alone && !place->script);
	} else if (condition && at->len > 0) {
		lint_expression(lint, place, at, 0, at->text, at->len, true);
	}
}

/* The walk */

/** Is the value of this key of a step a script for somebody? */
static bool is_script(const YamlNode *step, const char *key, bool with)
{
	g_autofree char *action = lint_action(step);
	if (!with)
		return strcmp(key, "run") == 0;
	return (g_strcmp0(action, "actions/github-script") == 0 && strcmp(key, "script") == 0) ||
	       (g_strcmp0(action, "assay/train") == 0 && strcmp(key, "run") == 0) ||
	       (g_strcmp0(action, "azure/powershell") == 0 && strcmp(key, "inlineScript") == 0);
}

static void walk(Lint *lint, const LintPlace *place, const YamlNode *node, bool with)
{
	if (node->text) {
		lint_scalar(lint, place, node);
		return;
	}
	for (size_t i = 0; node->kind == YAML_SEQUENCE && i < node->items_len; i++)
		walk(lint, place, node->items[i], false);
	for (size_t i = 0; node->kind == YAML_MAPPING && i + 1 < node->items_len; i += 2) {
		LintPlace inner = *place;
		inner.key = node->items[i]->text;
		inner.script = place->step && (node == place->step || with) && is_script(place->step, inner.key, with);
		lint_scalar(lint, place, node->items[i]);
		walk(lint, &inner, node->items[i + 1], node == place->step && strcmp(inner.key, "with") == 0);
	}
}

static void lint_steps(Lint *lint, const LintPlace *place, const YamlNode *steps)
{
	for (size_t i = 0; i < steps->items_len; i++) {
		LintPlace inner = *place;
		inner.step = steps->items[i];
		const YamlNode *parallel = yaml_get(inner.step, "parallel");
		if (parallel) {
			lint_steps(lint, place, parallel);
			continue;
		}
		walk(lint, &inner, inner.step, false);
		lint_step_security(lint, place->job, inner.step);
		lint_step_values(lint, place->job, inner.step);
	}
}

static void lint_job(Lint *lint, const YamlNode *id, const YamlNode *job)
{
	LintPlace place = {.job = job, .job_id = id};
	for (size_t i = 0; i + 1 < job->items_len; i += 2) {
		place.key = job->items[i]->text;
		if (strcmp(place.key, "steps") == 0)
			lint_steps(lint, &place, job->items[i + 1]);
		else
			walk(lint, &place, job->items[i + 1], false);
	}
	lint_job_security(lint, id, job);
	lint_job_values(lint, id, job);
}

static int compare_warnings(const void *a, const void *b)
{
	const json_t *left = *(json_t *const *)a;
	const json_t *right = *(json_t *const *)b;
	json_int_t lines = json_integer_value(json_object_get(left, "line")) -
	                   json_integer_value(json_object_get(right, "line"));
	json_int_t columns = json_integer_value(json_object_get(left, "column")) -
	                     json_integer_value(json_object_get(right, "column"));
	if (lines != 0 || columns != 0)
		return (lines != 0 ? lines : columns) < 0 ? -1 : 1;
	return strcmp(json_string_value(json_object_get(left, "rule")), json_string_value(json_object_get(right, "rule")));
}

static json_t *sorted(json_t *warnings)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(warnings, i, one)
		g_ptr_array_add(all, json_incref(one));
	g_ptr_array_sort(all, compare_warnings);
	json_array_clear(warnings);
	for (guint j = 0; j < all->len; j++)
		json_array_append_new(warnings, g_ptr_array_index(all, j));
	return warnings;
}

json_t *lint_document(const YamlDocument *document, const char *folder)
{
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Lint lint = {.document = document,
	        .folder = folder,
	        .warnings = json_array(),
	        .told = told,
	        .root = document->root,
	        .on = yaml_get(document->root, "on"),
	        .jobs = yaml_get(document->root, "jobs")};
	const YamlNode *push = lint_event(&lint, "push");
	lint.dangerous = lint_has_event(&lint, "pull_request_target") || lint_has_event(&lint, "workflow_run") ||
	                 lint_has_event(&lint, "issue_comment");
	lint.releases = lint_has_event(&lint, "release") || (push && yaml_get(push, "tags"));
	lint_events(&lint);
	lint_workflow_security(&lint);
	for (size_t i = 0; i + 1 < lint.root->items_len; i += 2) {
		LintPlace place = {.key = lint.root->items[i]->text};
		if (strcmp(place.key, "jobs") != 0)
			walk(&lint, &place, lint.root->items[i + 1], false);
	}
	for (size_t i = 0; i + 1 < lint.jobs->items_len; i += 2)
		lint_job(&lint, lint.jobs->items[i], lint.jobs->items[i + 1]);
	return sorted(lint.warnings);
}
