/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workflow file in three passes: YAML, then the tables of schema.c, then what tables cannot say — ids, needs and
 * their circles, filters that exclude each other, matrices without values. Only a file without any mistake becomes a
 * Workflow; a valid job that this agent cannot run carries its refusal, which the planner reports.
 */
#include "agent/job/reader.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/job/check.h"
#include "agent/job/check_on.h"
#include "agent/job/schema.h"
#include "agent/model/expr.h"

#define ID_CHARACTERS_MAX 100
#define CONCURRENCY_CHARACTERS_MAX 400
#define JOBS_MAX 256

typedef struct Reader {
	const YamlDocument *document;
	json_t *errors;
} Reader;

#define MISTAKE(reader, node, ...) check_mistake((reader)->errors, (reader)->document, (node), __VA_ARGS__)

static bool holds_expression(const YamlNode *node)
{
	if (node->text)
		return node->kind == YAML_STRING && expr_is_template(node->text);
	for (size_t i = 0; i < node->items_len; i++)
		if (holds_expression(node->items[i]))
			return true;
	return false;
}

static bool is_mapping(const YamlNode *node)
{
	return node && node->kind == YAML_MAPPING;
}

static const YamlNode *find_key(const YamlNode *mapping, const char *name)
{
	for (size_t i = 0; is_mapping(mapping) && i + 1 < mapping->items_len; i += 2)
		if (*mapping->items[i]->text == *name && strcmp(mapping->items[i]->text, name) == 0)
			return mapping->items[i];
	return NULL;
}

/* Ids */

static bool is_id(const char *text)
{
	if (!g_ascii_isalpha(*text) && *text != '_')
		return false;
	for (const char *p = text; *p; p++)
		if (!g_ascii_isalnum(*p) && *p != '_' && *p != '-')
			return false;
	return strlen(text) < ID_CHARACTERS_MAX;
}

static void check_id(Reader *reader, const YamlNode *id, GHashTable *seen)
{
	if (id->len == 0)
		return;
	g_autofree char *lower = g_ascii_strdown(id->text, -1);
	if (!is_id(id->text))
		MISTAKE(reader, id,
		        "The identifier '%s' is invalid. IDs may only contain alphanumeric characters, '_', and '-', "
		        "start with a letter or '_', and are shorter than %d characters",
		        id->text, ID_CHARACTERS_MAX);
	else if (g_str_has_prefix(id->text, "__"))
		MISTAKE(reader, id, "The identifier '%s' is invalid. IDs starting with '__' are reserved", id->text);
	else if (seen && !g_hash_table_add(seen, g_steal_pointer(&lower)))
		MISTAKE(reader, id, "The identifier '%s' may not be used more than once within the same scope", id->text);
}

/* Steps */

static void check_uses(Reader *reader, const YamlNode *uses)
{
	if (!uses || g_str_has_prefix(uses->text, "./") || g_str_has_prefix(uses->text, "$/") ||
	        g_str_has_prefix(uses->text, "docker://"))
		return;
	const char *at = strchr(uses->text, '@');
	const char *slash = strchr(uses->text, '/');
	if (!at || !at[1] || !slash || slash == uses->text || slash > at || slash + 1 == at)
		MISTAKE(reader, uses, "Expected format {org}/{repo}[/path]@ref. Actual '%s'", uses->text);
}

static void check_steps(Reader *reader, const YamlNode *steps, GHashTable *ids)
{
	for (size_t i = 0; steps && steps->kind == YAML_SEQUENCE && i < steps->items_len; i++) {
		const YamlNode *step = steps->items[i];
		const YamlNode *id = yaml_get(step, "id");
		if (id && id->text)
			check_id(reader, id, ids);
		const YamlNode *uses = yaml_get(step, "uses");
		if (uses && uses->text && uses->len > 0)
			check_uses(reader, uses);
		check_steps(reader, yaml_get(step, "parallel"), ids);
	}
}

/* Jobs */

static void check_group(Reader *reader, const YamlNode *group)
{
	if (!group || !group->text || holds_expression(group))
		return;
	const char *slash = strchr(group->text, '/');
	if (!slash)
		return;
	g_autofree char *prefix = g_strndup(group->text, (size_t)(slash - group->text));
	static const char *const prefixes[] = {"org", "organization", "ent", "enterprise", NULL};
	if (!slash[1])
		MISTAKE(reader, group, "Invalid runs-on group name '%s'", group->text);
	else if (strchr(slash + 1, '/') || !g_strv_contains(prefixes, prefix))
		MISTAKE(reader, group,
		        "Invalid runs-on group name '%s'. Please use 'organization/' or 'enterprise/' prefix to target a "
		        "single runner group",
		        group->text);
}

static void check_concurrency(Reader *reader, const YamlNode *concurrency)
{
	const YamlNode *group = is_mapping(concurrency) ? yaml_get(concurrency, "group") : concurrency;
	if (group && group->text && g_utf8_strlen(group->text, -1) > CONCURRENCY_CHARACTERS_MAX)
		MISTAKE(reader, group, "Concurrency group name must be less than %d characters",
		        CONCURRENCY_CHARACTERS_MAX);
}

static void check_exclude(Reader *reader, const YamlNode *matrix, const YamlNode *exclude)
{
	for (size_t i = 0; exclude->kind == YAML_SEQUENCE && i < exclude->items_len; i++) {
		const YamlNode *item = exclude->items[i];
		if (is_mapping(item) && item->items_len == 0)
			MISTAKE(reader, item, "Matrix exclude filter must not be empty");
		for (size_t j = 0; is_mapping(item) && j + 1 < item->items_len; j += 2)
			if (!yaml_get(matrix, item->items[j]->text))
				MISTAKE(reader, item->items[j],
				        "Matrix exclude key '%s' does not match any key within the matrix",
				        item->items[j]->text);
	}
}

static void check_matrix(Reader *reader, const YamlNode *matrix)
{
	if (!is_mapping(matrix))
		return;
	bool has_values = false;
	for (size_t i = 0; i + 1 < matrix->items_len; i += 2) {
		const YamlNode *key = matrix->items[i];
		const YamlNode *value = matrix->items[i + 1];
		bool listed = value->kind == YAML_SEQUENCE;
		if (strcmp(key->text, "exclude") == 0) {
			/* Keys are known only when nothing is left to evaluate. */
			if (!holds_expression(matrix))
				check_exclude(reader, matrix, value);
		} else if (strcmp(key->text, "include") == 0) {
			has_values = has_values || !listed || value->items_len > 0;
		} else {
			has_values = true;
			if (listed && value->items_len == 0)
				MISTAKE(reader, value, "Matrix vector '%s' does not contain any values", key->text);
		}
	}
	if (!has_values)
		MISTAKE(reader, matrix, "Matrix must define at least one vector");
}

static void check_job(Reader *reader, const YamlNode *id, const YamlNode *job)
{
	check_id(reader, id, NULL);
	if (!is_mapping(job))
		return;
	g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	check_steps(reader, yaml_get(job, "steps"), ids);
	const YamlNode *runs_on = yaml_get(job, "runs-on");
	check_group(reader, is_mapping(runs_on) ? yaml_get(runs_on, "group") : NULL);
	check_concurrency(reader, yaml_get(job, "concurrency"));
	const YamlNode *strategy = yaml_get(job, "strategy");
	check_matrix(reader, is_mapping(strategy) ? yaml_get(strategy, "matrix") : NULL);
	const YamlNode *uses = yaml_get(job, "uses");
	if (uses && uses->text && uses->len > 0 && !g_str_has_prefix(uses->text, "./") &&
	        !g_str_has_prefix(uses->text, "$/") && !strchr(uses->text, '@'))
		MISTAKE(reader, uses, "Expected format {org}/{repo}/{path}@ref or ./{path}. Actual '%s'", uses->text);
}

/* Needs */

/** The items of `needs`, whether one or many. */
static size_t needs_of(const YamlNode *job, YamlNode *const **out)
{
	static YamlNode *const none[1];
	const YamlNode *key = find_key(job, "needs");
	YamlNode *const *at = none;
	size_t count = 0;
	for (size_t i = 0; key && i + 1 < job->items_len; i += 2)
		if (job->items[i] == key) {
			const YamlNode *needs = job->items[i + 1];
			at = needs->kind == YAML_SEQUENCE ? needs->items : &job->items[i + 1];
			count = needs->kind == YAML_SEQUENCE ? needs->items_len : 1;
		}
	*out = at;
	return count;
}

static size_t find_job(const YamlNode *jobs, const char *id)
{
	for (size_t i = 0; i + 1 < jobs->items_len; i += 2)
		if (g_ascii_strcasecmp(jobs->items[i]->text, id) == 0)
			return i;
	return jobs->items_len;
}

/** Marks jobs whose needs can all be met, until no more can. */
static void mark_reachable(const YamlNode *jobs, bool *reachable)
{
	for (bool moved = true; moved;) {
		moved = false;
		for (size_t i = 0; i + 1 < jobs->items_len; i += 2) {
			YamlNode *const *needs = NULL;
			size_t count = needs_of(jobs->items[i + 1], &needs);
			bool met = true;
			for (size_t j = 0; j < count; j++) {
				size_t at = find_job(jobs, needs[j]->text);
				met = met && at < jobs->items_len && reachable[at / 2];
			}
			if (met && !reachable[i / 2]) {
				reachable[i / 2] = true;
				moved = true;
			}
		}
	}
}

static bool has_start(const YamlNode *jobs)
{
	YamlNode *const *needs = NULL;
	for (size_t i = 1; i < jobs->items_len; i += 2)
		if (needs_of(jobs->items[i], &needs) == 0)
			return true;
	return false;
}

/* Where no job can start every one is part of a circle or behind it: that one thing is told, not each of them. */
static void check_needs(Reader *reader, const YamlNode *jobs)
{
	g_autofree bool *reachable = g_new0(bool, jobs->items_len / 2 + 1);
	mark_reachable(jobs, reachable);
	bool start = has_start(jobs);
	for (size_t i = 0; i + 1 < jobs->items_len; i += 2) {
		YamlNode *const *needs = NULL;
		size_t count = needs_of(jobs->items[i + 1], &needs);
		for (size_t j = 0; j < count && !reachable[i / 2]; j++) {
			size_t at = find_job(jobs, needs[j]->text);
			if (at >= jobs->items_len)
				MISTAKE(reader, needs[j], "Job '%s' depends on unknown job '%s'", jobs->items[i]->text,
				        needs[j]->text);
			else if (!reachable[at / 2] && start)
				MISTAKE(reader, needs[j],
				        "Job '%s' depends on job '%s' which creates a cycle in the dependency graph",
				        jobs->items[i]->text, needs[j]->text);
		}
	}
	if (!start)
		MISTAKE(reader, jobs, "The workflow must contain at least one job with no dependencies");
}

static void check_jobs(Reader *reader, const YamlNode *jobs)
{
	if (!is_mapping(jobs))
		return;
	if (jobs->items_len == 0)
		MISTAKE(reader, jobs, "The workflow must contain at least one job with no dependencies");
	if (jobs->items_len / 2 > JOBS_MAX) {
		MISTAKE(reader, jobs, "A workflow can have %d jobs; this one has %zu", JOBS_MAX, jobs->items_len / 2);
		return;
	}
	for (size_t i = 0; i + 1 < jobs->items_len; i += 2)
		check_job(reader, jobs->items[i], jobs->items[i + 1]);
	/* A graph is drawn of what is otherwise right. */
	if (json_array_size(reader->errors) == 0 && jobs->items_len > 0)
		check_needs(reader, jobs);
}

/* Refusals: valid, but not to be run here */

static const YamlNode *refused_step_key(const YamlNode *steps)
{
	static const char *const keys[] = {"background", "wait", "wait-all", "cancel", "parallel"};
	for (size_t i = 0; steps && i < steps->items_len; i++)
		for (size_t j = 0; j < G_N_ELEMENTS(keys); j++) {
			const YamlNode *key = find_key(steps->items[i], keys[j]);
			if (key)
				return key;
		}
	return NULL;
}

static char *refusal_of(const YamlDocument *document, const YamlNode *job)
{
	static const struct {
		const char *key;
		const char *why;
	} refused[] = {
	        {"snapshot", "'snapshot' cannot be run: there are no images to make here"},
	};
	const YamlNode *at = NULL;
	const char *why = NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(refused) && !at; i++) {
		at = find_key(job, refused[i].key);
		why = refused[i].why;
	}
	if (!at && (at = refused_step_key(yaml_get(job, "steps"))))
		why = "steps in the background or in parallel cannot be run; write them one after the other";
	return at ? g_strdup_printf("%s:%d:%d: %s", document->name, at->line, at->column, why) : NULL;
}

/* Building */

static char *text_of(const YamlNode *node)
{
	json_t *value = yaml_to_json(node);
	char *text = expr_to_string(value);
	json_decref(value);
	return text;
}

/** Keys that are text whatever they look like: `name: 3.10` is "3.1", as in GitHub's reading. */
static void make_text(json_t *object, const char *const *keys)
{
	for (size_t i = 0; keys[i]; i++) {
		const json_t *value = json_object_get(object, keys[i]);
		if (!value || json_is_string(value) || json_is_array(value) || json_is_object(value))
			continue;
		g_autofree char *text = expr_to_string(value);
		json_object_set_new(object, keys[i], json_string(text));
	}
}

/* Where each step stands, for what is found wrong with one when it runs. */
static json_t *build_lines(const YamlNode *steps)
{
	json_t *lines = json_array();
	for (size_t i = 0; steps && i < steps->items_len; i++)
		json_array_append_new(lines, json_integer(steps->items[i]->line));
	return lines;
}

static json_t *build_definition(const Workflow *workflow, const YamlNode *job)
{
	static const char *const job_texts[] = {"name", "if", NULL};
	static const char *const step_texts[] = {
	        "id", "name", "if", "run", "uses", "shell", "working-directory", NULL};
	json_t *definition = yaml_to_json(job);
	make_text(definition, job_texts);
	size_t i = 0;
	json_t *step = NULL;
	json_array_foreach(json_object_get(definition, "steps"), i, step)
		make_text(step, step_texts);
	if (!json_object_get(definition, "permissions") && workflow->permissions)
		json_object_set(definition, "permissions", workflow->permissions);
	if (workflow->env)
		json_object_set(definition, "workflow-env", workflow->env);
	if (workflow->defaults)
		json_object_set(definition, "workflow-defaults", workflow->defaults);
	json_object_set_new(definition, "workflow-name", json_string(workflow->name));
	json_object_set_new(definition, "workflow-path", json_string(workflow->path));
	json_object_set_new(definition, "step-lines", build_lines(yaml_get(job, "steps")));
	return definition;
}

static WorkflowJob *build_job(const Workflow *workflow, const YamlDocument *document, const YamlNode *id,
        const YamlNode *job)
{
	WorkflowJob *out = g_new0(WorkflowJob, 1);
	out->id = g_strdup(id->text);
	out->line = id->line;
	out->column = id->column;
	out->id_node = id;
	out->node = job;
	YamlNode *const *needs = NULL;
	size_t count = needs_of(job, &needs);
	out->needs = g_new0(char *, count + 1);
	for (size_t i = 0; i < count; i++)
		out->needs[i] = g_strdup(needs[i]->text);
	out->definition = build_definition(workflow, job);
	out->refusal = refusal_of(document, job);
	return out;
}

static json_t *build_on(const YamlNode *on)
{
	json_t *out = json_object();
	if (is_mapping(on)) {
		json_decref(out);
		return yaml_to_json(on);
	}
	if (on->kind == YAML_SEQUENCE)
		for (size_t i = 0; i < on->items_len; i++)
			json_object_set_new(out, on->items[i]->text, json_null());
	else
		json_object_set_new(out, on->text, json_null());
	return out;
}

static json_t *build_value(const YamlNode *root, const char *key)
{
	const YamlNode *node = yaml_get(root, key);
	return node && node->kind != YAML_NULL ? yaml_to_json(node) : NULL;
}

/** The ids of needs as the jobs write them: a `needs` may differ in case. */
static void settle_needs(Workflow *workflow)
{
	for (guint i = 0; i < workflow->jobs->len; i++) {
		const WorkflowJob *job = g_ptr_array_index(workflow->jobs, i);
		for (char **need = job->needs; *need; need++) {
			const WorkflowJob *needed = workflow_find(workflow, *need);
			g_free(*need);
			*need = g_strdup(needed->id);
		}
	}
}

/** Takes the document. */
static Workflow *build(YamlDocument *document)
{
	const YamlNode *root = document->root;
	Workflow *workflow = g_new0(Workflow, 1);
	workflow->document = document;
	const YamlNode *name = yaml_get(root, "name");
	const YamlNode *run_name = yaml_get(root, "run-name");
	workflow->path = g_strdup(document->name);
	workflow->name = name && name->len > 0 ? text_of(name) : g_strdup(document->name);
	workflow->run_name = run_name && run_name->len > 0 ? text_of(run_name) : NULL;
	/* GLib's: for one small file it is quick enough, and validate need not load libcrypto. */
	workflow->digest =
	        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)document->source, document->source_len);
	workflow->on = build_on(yaml_get(root, "on"));
	workflow->concurrency = build_value(root, "concurrency");
	workflow->permissions = build_value(root, "permissions");
	workflow->env = build_value(root, "env");
	workflow->defaults = build_value(root, "defaults");
	workflow->jobs = g_ptr_array_new_with_free_func((GDestroyNotify)workflow_job_free);
	const YamlNode *jobs = yaml_get(root, "jobs");
	for (size_t i = 0; i + 1 < jobs->items_len; i += 2)
		g_ptr_array_add(workflow->jobs, build_job(workflow, document, jobs->items[i], jobs->items[i + 1]));
	settle_needs(workflow);
	return workflow;
}

/* Errors in file order */

static int compare_errors(const void *a, const void *b)
{
	const json_t *left = *(json_t *const *)a;
	const json_t *right = *(json_t *const *)b;
	json_int_t lines = json_integer_value(json_object_get(left, "line")) -
	                   json_integer_value(json_object_get(right, "line"));
	json_int_t columns = json_integer_value(json_object_get(left, "column")) -
	                     json_integer_value(json_object_get(right, "column"));
	return lines != 0 ? (lines < 0 ? -1 : 1) : columns != 0 ? (columns < 0 ? -1 : 1) : 0;
}

static json_t *sorted(json_t *errors)
{
	if (json_array_size(errors) < 2)
		return errors;
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(errors, i, one)
		g_ptr_array_add(all, json_incref(one));
	g_ptr_array_sort(all, compare_errors);
	json_t *out = json_array();
	for (guint j = 0; j < all->len; j++)
		json_array_append_new(out, g_ptr_array_index(all, j));
	json_decref(errors);
	return out;
}

YamlDocument *reader_check(const char *text, size_t len, const char *path, json_t **out_errors)
{
	json_t *errors = json_array();
	int line = 0;
	int column = 0;
	g_autofree char *message = NULL;
	g_autofree char *caret = NULL;
	g_autoptr(YamlDocument) document = yaml_parse_parts(text, len, path, &line, &column, &message, &caret);
	if (!document) {
		json_array_append_new(errors, json_pack("{s:i,s:i,s:s,s:s}", "line", line, "column", column, "message",
		                                      message, "caret", caret));
	} else {
		check_document(document, &schema_workflow, errors);
		if (is_mapping(document->root)) {
			Reader reader = {.document = document, .errors = errors};
			check_on(document, yaml_get(document->root, "on"), errors);
			check_concurrency(&reader, yaml_get(document->root, "concurrency"));
			check_jobs(&reader, yaml_get(document->root, "jobs"));
		}
	}
	*out_errors = sorted(errors);
	return json_array_size(*out_errors) == 0 ? g_steal_pointer(&document) : NULL;
}

json_t *reader_refusals(const YamlDocument *document)
{
	json_t *refusals = json_array();
	const YamlNode *jobs = yaml_get(document->root, "jobs");
	for (size_t i = 0; i + 1 < jobs->items_len; i += 2) {
		g_autofree char *refusal = refusal_of(document, jobs->items[i + 1]);
		if (refusal)
			json_array_append_new(refusals, json_string(refusal));
	}
	return refusals;
}

Workflow *reader_read(const char *text, size_t len, const char *path, json_t **out_errors)
{
	g_autoptr(YamlDocument) document = reader_check(text, len, path, out_errors);
	return document ? build(g_steal_pointer(&document)) : NULL;
}
