/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function a kind of token, as the cases number them: 0 text, 1 sequence, 2 mapping, 3 expression, 4 insert, 5 truth,
 * 6 number, 7 null. Without places a literal stands for itself.
 */
#include "tests/lib/read_form.h"

#include <string.h>

#include "agent/base/json.h"
#include "agent/model/expr.h"

#define ID_CHARACTERS_MAX 100

enum { TOKEN_TEXT, TOKEN_SEQUENCE, TOKEN_MAPPING, TOKEN_EXPRESSION, TOKEN_INSERT, TOKEN_TRUTH, TOKEN_NUMBER, TOKEN_NULL };

/** How scalars are read: as they are, or as the text that they make. */
typedef enum Reading { AS_IS, AS_TEXT, CALL_VALUE } Reading;

static int file_number(ReadForm *form, const char *label)
{
	for (guint i = 0; i < form->files->len; i++)
		if (strcmp(g_ptr_array_index(form->files, i), label) == 0)
			return (int)i + 1;
	g_ptr_array_add(form->files, g_strdup(label));
	return (int)form->files->len;
}

/* A token of the case's form; where it stands when that is wanted and known. Takes value. */
static json_t *token(const ReadForm *form, int file, const YamlNode *node, int type, const char *key, json_t *value)
{
	json_t *out = json_object();
	json_set_int(out, "type", type);
	if (form->places && node) {
		/* a collection in blocks stands where its first item does */
		json_set_int(out, "file", file);
		json_set_int(out, "line", node->line);
		json_set_int(out, "col", node->column);
	}
	if (key)
		json_object_set_new(out, key, value);
	return out;
}

static json_t *literal(const ReadForm *form, int file, const YamlNode *node, json_t *value)
{
	if (!form->places || !node)
		return value;
	if (json_is_boolean(value))
		return token(form, file, node, TOKEN_TRUTH, "bool", value);
	if (json_is_number(value))
		return token(form, file, node, TOKEN_NUMBER, "num", value);
	if (json_is_null(value))
		return token(form, file, node, TOKEN_NULL, NULL, value);
	return token(form, file, node, TOKEN_TEXT, "lit", value);
}

/* Expressions */

static void append_literal(GString *format, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (strchr("{}'", text[i]))
			g_string_append_c(format, text[i]);
		g_string_append_c(format, text[i]);
	}
}

static const char *end_of_expression(const char *text)
{
	bool quoted = false;
	for (; *text; text++) {
		if (*text == '\'')
			quoted = !quoted;
		else if (!quoted && g_str_has_prefix(text, "}}"))
			return text;
	}
	return text;
}

/** "a ${{ b }}" → format('a {0}', b); the caller's. */
static char *expression_of(const char *text)
{
	g_autoptr(GString) format = g_string_new("format('");
	g_autoptr(GString) arguments = g_string_new(NULL);
	g_autofree char *only = NULL;
	int count = 0;
	bool whole = expr_is_single(text);
	while (*text) {
		const char *open = strstr(text, "${{");
		append_literal(format, text, open ? (size_t)(open - text) : strlen(text));
		if (!open)
			break;
		const char *close = end_of_expression(open + 3);
		g_autofree char *expression = g_strstrip(g_strndup(open + 3, (size_t)(close - open - 3)));
		g_string_append_printf(format, "{%d}", count++);
		g_string_append_printf(arguments, ", %s", expression);
		g_free(only);
		only = g_steal_pointer(&expression);
		text = close + 2;
	}
	return whole ? g_steal_pointer(&only) : g_strdup_printf("%s'%s)", format->str, arguments->str);
}

static json_t *scalar(const ReadForm *form, int file, const YamlNode *node, const json_t *value, Reading reading)
{
	const char *text = json_string_value(value);
	if (text && expr_is_template(text)) {
		g_autofree char *expression = expression_of(text);
		return token(form, file, node, TOKEN_EXPRESSION, "expr", json_string(expression));
	}
	if (reading == AS_TEXT || (reading == CALL_VALUE && json_is_null(value))) {
		g_autofree char *as_text = expr_to_string(value);
		return literal(form, file, node, json_string(as_text));
	}
	return literal(form, file, node, json_incref((json_t *)(uintptr_t)value));
}

/* Trees */

static json_t *tree(const ReadForm *form, int file, const YamlNode *node, const json_t *value, Reading reading);

static json_t *key_of(const ReadForm *form, int file, const YamlNode *node, const char *key)
{
	g_autoptr(json_t) text = json_string(key);
	if (expr_is_insert(key))
		return token(form, file, node, TOKEN_INSERT, "directive", json_string("insert"));
	return scalar(form, file, node, text, AS_TEXT);
}

static json_t *mapping(const ReadForm *form, int file, const YamlNode *node, const json_t *value, Reading reading)
{
	json_t *map = json_array();
	const char *key = NULL;
	json_t *inner = NULL;
	size_t at = 0;
	json_object_foreach((json_t *)(uintptr_t)value, key, inner) {
		bool known = node && node->kind == YAML_MAPPING && at + 1 < node->items_len;
		const YamlNode *key_node = known ? node->items[at] : NULL;
		const YamlNode *value_node = known ? node->items[at + 1] : NULL;
		json_array_append_new(map, json_pack("{s:o,s:o}", "Key", key_of(form, file, key_node, key), "Value",
		                                   tree(form, file, value_node, inner, reading)));
		at += 2;
	}
	return token(form, file, node, TOKEN_MAPPING, "map", map);
}

static json_t *tree(const ReadForm *form, int file, const YamlNode *node, const json_t *value, Reading reading)
{
	if (json_is_object(value))
		return mapping(form, file, node, value, reading);
	if (!json_is_array(value))
		return scalar(form, file, node, value, reading);
	json_t *sequence = json_array();
	size_t i = 0;
	json_t *item = NULL;
	json_array_foreach((json_t *)(uintptr_t)value, i, item) {
		const YamlNode *item_node = node && node->kind == YAML_SEQUENCE && i < node->items_len ? node->items[i] : NULL;
		json_array_append_new(sequence, tree(form, file, item_node, item, reading));
	}
	return token(form, file, node, TOKEN_SEQUENCE, "seq", sequence);
}

/* Keys with a form of their own */

/** `if`: success() is implied where no status function is called. */
static json_t *condition(const ReadForm *form, int file, const YamlNode *node, const char *text)
{
	static const ExprRules no_status = {.allowed = NULL, .hash_files = true};
	if (!text || !*text)
		return token(form, file, NULL, TOKEN_EXPRESSION, "expr", json_string("success()"));
	g_autofree char *expression = expr_is_template(text) ? expression_of(text) : g_strdup(text);
	bool plain = expr_check(expression, &no_status, NULL);
	g_autofree char *whole = plain ? g_strdup_printf("success() && (%s)", expression) : g_strdup(expression);
	return token(form, file, node, TOKEN_EXPRESSION, "expr", json_string(whole));
}

static json_t *permissions(const json_t *written)
{
	static const char *const scopes[] = {"actions", "checks", "contents", "deployments", "discussions", "id-token", "issues",
	        "packages", "pages", "pull-requests", "repository-projects", "security-events", "statuses"};
	const char *word = json_string_value(written);
	json_t *out = json_object();
	const char *scope = NULL;
	json_t *level = NULL;
	for (size_t i = 0; word && i < G_N_ELEMENTS(scopes); i++)
		json_set_string(out, scopes[i], strcmp(word, "write-all") == 0 ? "write" : "read");
	json_object_foreach((json_t *)(uintptr_t)written, scope, level)
		if (g_strcmp0(json_string_value(level), "none") != 0)
			json_object_set(out, scope, level);
	return out;
}

/* Steps */

static void clean_id(char *id)
{
	for (char *p = id; *p; p++)
		if (!g_ascii_isalnum(*p) && *p != '-' && *p != '_')
			*p = '_';
}

/** The id that a step without one gets: by what it does. The caller's. */
static char *generated_id(const json_t *step)
{
	static const char *const others[] = {"wait", "wait-all", "cancel", "parallel"};
	const char *uses = json_get_string(step, "uses", NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (json_object_get(step, others[i]))
			return g_strconcat("__", others[i], NULL);
	if (!uses)
		return g_strdup("__run");
	bool docker = g_str_has_prefix(uses, "docker://");
	g_autofree char *name = docker ? g_strdup(uses + strlen("docker://")) : g_strdup(g_str_has_prefix(uses, "./") ? "self" : uses);
	char *at = docker ? NULL : strchr(name, '@');
	if (at)
		*at = '\0';
	clean_id(name);
	return g_strconcat("__", name, NULL);
}

static char *unique_id(const json_t *step, GHashTable *seen)
{
	g_autofree char *wanted = generated_id(step);
	if (strlen(wanted) > ID_CHARACTERS_MAX)
		wanted[ID_CHARACTERS_MAX] = '\0';
	char *id = g_strdup(wanted);
	for (int number = 2; !g_hash_table_add(seen, g_strdup(id)); number++) {
		g_free(id);
		id = g_strdup_printf("%s_%d", wanted, number);
	}
	return id;
}

static json_t *step_form(const ReadForm *form, int file, const YamlNode *node, const json_t *step, GHashTable *seen)
{
	static const struct {
		const char *key;
		const char *name;
	} others[] = {{"wait", "Wait"}, {"wait-all", "Wait for all"}, {"cancel", "Cancel"}};
	json_t *out = json_object();
	const char *key = NULL;
	json_t *value = NULL;
	bool other = false;
	if (!json_object_get(step, "id")) {
		g_autofree char *id = unique_id(step, seen);
		json_set_string(out, "id", id);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (json_object_get(step, others[i].key)) {
			other = true;
			if (!json_object_get(step, "name"))
				json_set_string(out, "name", others[i].name);
		}
	if (!other)
		json_set(out, "if", condition(form, file, yaml_get(node, "if"), json_get_string(step, "if", NULL)));
	json_object_foreach((json_t *)(uintptr_t)step, key, value) {
		const YamlNode *value_node = yaml_get(node, key);
		if (strcmp(key, "if") == 0)
			continue;
		if (strcmp(key, "wait-all") == 0)
			json_set_bool(out, key, true);
		else if (strcmp(key, "wait") == 0)
			json_set(out, key, json_incref(value));
		else
			json_set(out, key, tree(form, file, value_node, value,
			                           strcmp(key, "env") == 0 || strcmp(key, "with") == 0 ? AS_TEXT : AS_IS));
	}
	return out;
}

static json_t *steps_form(const ReadForm *form, int file, const YamlNode *node, const json_t *steps)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	json_t *out = json_array();
	size_t i = 0;
	json_t *step = NULL;
	json_array_foreach((json_t *)(uintptr_t)steps, i, step) {
		const YamlNode *step_node = node && i < node->items_len ? node->items[i] : NULL;
		json_array_append_new(out, step_form(form, file, step_node, step, seen));
	}
	return out;
}

/* Jobs */

/** A job of the form, wherever it comes from. */
typedef struct JobForm {
	const char *id;
	const json_t *definition;
	const YamlNode *id_node;
	const YamlNode *node;
	const json_t *allowed; /* permissions of its caller, for a job without its own; may be NULL */
	int file;
} JobForm;

static json_t *job_form(ReadForm *form, const JobForm *job);

static json_t *needs_form(const ReadForm *form, const JobForm *job)
{
	const json_t *needs = json_object_get(job->definition, "needs");
	const YamlNode *node = yaml_get(job->node, "needs");
	json_t *out = json_array();
	size_t i = 0;
	json_t *need = NULL;
	if (json_is_string(needs))
		json_array_append_new(out, scalar(form, job->file, node, needs, AS_TEXT));
	json_array_foreach((json_t *)(uintptr_t)needs, i, need)
		json_array_append_new(out, scalar(form, job->file, node ? node->items[i] : NULL, need, AS_TEXT));
	return out;
}

/* The called workflow: its interface, what is given to it, its jobs. */
static void add_call(ReadForm *form, const JobForm *job, json_t *out)
{
	const json_t *definition = job->definition;
	const json_t *called = json_object_get(definition, "called");
	const char *uses = json_get_string(definition, "uses", "");
	const json_t *secrets = json_object_get(definition, "secrets");
	json_set(out, "ref", scalar(form, job->file, yaml_get(job->node, "uses"), json_object_get(definition, "uses"), AS_TEXT));
	if (json_object_get(called, "inputs"))
		json_set(out, "input-definitions", tree(form, 0, NULL, json_object_get(called, "inputs"), AS_IS));
	if (json_object_get(called, "secrets"))
		json_set(out, "secret-definitions", tree(form, 0, NULL, json_object_get(called, "secrets"), AS_IS));
	if (json_object_get(definition, "with"))
		json_set(out, "input-values", tree(form, job->file, yaml_get(job->node, "with"), json_object_get(definition, "with"), CALL_VALUE));
	if (json_is_string(secrets))
		json_set_bool(out, "inherit-secrets", true);
	else if (secrets)
		json_set(out, "secret-values", tree(form, job->file, yaml_get(job->node, "secrets"), secrets, CALL_VALUE));
	const json_t *own = json_object_get(definition, "permissions");
	const json_t *theirs = json_object_get(called, "permissions");
	const json_t *allowed = theirs ? theirs : own ? own : job->allowed;
	if (allowed)
		json_set(out, "permissions", permissions(allowed));
	const Workflow *file = form->called ? g_hash_table_lookup(form->called, uses) : NULL;
	int number = form->places ? file_number(form, uses) : 0;
	json_t *jobs = json_array();
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(json_object_get(called, "jobs"), i, one) {
		const WorkflowJob *there = file ? workflow_find(file, json_get_string(one, "id", "")) : NULL;
		const JobForm inner = {.id = json_get_string(one, "id", ""),
		        .definition = json_object_get(one, "definition"),
		        .id_node = there ? there->id_node : NULL,
		        .node = there ? there->node : NULL,
		        .allowed = allowed,
		        .file = number};
		json_array_append_new(jobs, job_form(form, &inner));
	}
	json_set(out, "jobs", jobs);
}

static void add_plain(const ReadForm *form, const JobForm *job, json_t *out)
{
	static const char *const texts[] = {"env", "container", "services", "outputs", "runs-on", "environment", "snapshot", NULL};
	static const char *const as_is[] = {"strategy", "continue-on-error", "timeout-minutes", "cancel-timeout-minutes",
	        "concurrency", "defaults", NULL};
	const char *key = NULL;
	json_t *value = NULL;
	json_object_foreach((json_t *)(uintptr_t)job->definition, key, value) {
		bool text = g_strv_contains(texts, key);
		if (text || g_strv_contains(as_is, key))
			json_set(out, key, tree(form, job->file, yaml_get(job->node, key), value, text ? AS_TEXT : AS_IS));
	}
}

static json_t *job_form(ReadForm *form, const JobForm *job)
{
	bool call = json_object_get(job->definition, "uses") != NULL;
	const json_t *own = json_object_get(job->definition, "permissions");
	json_t *name = json_object_get(job->definition, "name");
	g_autoptr(json_t) id = json_string(job->id);
	json_t *out = json_object();
	json_set_string(out, "type", call ? "reusableWorkflowJob" : "job");
	json_set(out, "id", scalar(form, job->file, job->id_node, id, AS_TEXT));
	json_set(out, "name", name ? scalar(form, job->file, yaml_get(job->node, "name"), name, AS_TEXT)
	                           : scalar(form, job->file, job->id_node, id, AS_TEXT));
	if (call || json_object_get(job->definition, "needs"))
		json_set(out, "needs", needs_form(form, job));
	json_set(out, "if", condition(form, job->file, yaml_get(job->node, "if"), json_get_string(job->definition, "if", NULL)));
	if (!own)
		own = job->allowed;
	if (own && !call)
		json_set(out, "permissions", permissions(own));
	add_plain(form, job, out);
	if (call)
		add_call(form, job, out);
	else
		json_set(out, "steps", steps_form(form, job->file, yaml_get(job->node, "steps"), json_object_get(job->definition, "steps")));
	return out;
}

/* The whole */

static json_t *events_form(const Workflow *workflow)
{
	json_t *out = json_object();
	const char *event = NULL;
	json_t *filters = NULL;
	json_object_foreach(workflow->on, event, filters) {
		json_t *shown = json_is_object(filters) ? json_deep_copy(filters) : json_object();
		json_t *types = json_object_get(shown, "types");
		if (json_is_string(types))
			json_set(shown, "types", json_pack("[O]", types));
		json_set(out, event, shown);
	}
	return out;
}

static void add_root(const ReadForm *form, const Workflow *workflow, json_t *out)
{
	const YamlNode *root = workflow->document->root;
	if (workflow->env)
		json_set(out, "env", tree(form, 1, yaml_get(root, "env"), workflow->env, AS_TEXT));
	if (workflow->defaults)
		json_set(out, "defaults", tree(form, 1, yaml_get(root, "defaults"), workflow->defaults, AS_TEXT));
	if (workflow->concurrency)
		json_set(out, "concurrency", tree(form, 1, yaml_get(root, "concurrency"), workflow->concurrency, AS_IS));
	if (workflow->permissions)
		json_set(out, "permissions", permissions(workflow->permissions));
	if (form->events)
		json_set(out, "events", events_form(workflow));
}

static gint compare_labels(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *file_table(ReadForm *form)
{
	json_t *table = json_array();
	if (form->sorted_files)
		g_ptr_array_sort(form->files, compare_labels);
	for (guint i = 0; i < form->files->len; i++)
		json_array_append_new(table, json_string(g_ptr_array_index(form->files, i)));
	return table;
}

json_t *read_form(ReadForm *form, const Workflow *workflow)
{
	form->files = g_ptr_array_new_with_free_func(g_free);
	int file = file_number(form, workflow->path);
	json_t *out = json_object();
	add_root(form, workflow, out);
	json_t *jobs = json_array();
	for (guint i = 0; i < workflow->jobs->len; i++) {
		const WorkflowJob *job = g_ptr_array_index(workflow->jobs, i);
		const JobForm one = {.id = job->id, .definition = job->definition, .id_node = job->id_node, .node = job->node, .file = file};
		json_array_append_new(jobs, job_form(form, &one));
	}
	json_set(out, "jobs", jobs);
	if (form->places)
		json_set(out, "file-table", file_table(form));
	g_clear_pointer(&form->files, g_ptr_array_unref);
	return out;
}
