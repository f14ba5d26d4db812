/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Called files are read once each, however often they are called; the walk below goes from caller to called, so a circle
 * is seen when a file comes again below itself. What depends on the way that led to a file (permissions) is looked at
 * in a second walk.
 */
#include "agent/job/calls.h"

#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/check.h"
#include "agent/job/reader.h"
#include "agent/model/expr.h"
#include "agent/model/permission.h"

/** A file of the walk: the first one, or a called one. */
typedef struct File {
	char *label; /* as people read it: the path, with repo and ref where it stands elsewhere */
	char *repo;  /* NULL: the run's own */
	char *ref;
	char *sha;
	Workflow *workflow; /* NULL: it could not be read, and that has been said */
	bool owned;
	json_t *called;
	int height;  /* levels of calls below it */
	size_t jobs; /* of it and everything below, as often as it is called */
	size_t bytes;
} File;

typedef struct Loader {
	const CallSource *source;
	json_t *errors;
	GHashTable *files; /* label → File */
	GPtrArray *chain;  /* File: from the first one down to where we are */
	const YamlNode *call; /* the `uses` of the first file that led here */
} Loader;

static void file_free(void *data)
{
	File *file = data;
	if (file->owned)
		workflow_free(file->workflow);
	json_decref(file->called);
	g_free(file->label);
	g_free(file->repo);
	g_free(file->ref);
	g_free(file->sha);
	g_free(file);
}

static const File *first(const Loader *loader)
{
	return g_ptr_array_index(loader->chain, 0);
}

/** A mistake of a called file says so, and which call of the first file led there. */
static void place(const Loader *loader, const File *file, json_t *error)
{
	json_set_string(error, "path", file->label);
	json_set(error, "call", json_pack("[i,i]", loader->call->line, loader->call->column));
}

static void G_GNUC_PRINTF(4, 5) mistake(Loader *loader, const File *file, const YamlNode *at, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *message = g_strdup_vprintf(format, args);
	va_end(args);
	size_t before = json_array_size(loader->errors);
	check_mistake(loader->errors, file->workflow->document, at, "%s", message);
	if (file != first(loader) && json_array_size(loader->errors) > before)
		place(loader, file, json_array_get(loader->errors, before));
}

static const YamlNode *uses_of(const WorkflowJob *job)
{
	return yaml_get(job->node, "uses");
}

/* References */

static bool is_workflow_path(const char *path)
{
	static const char *const folders[] = {".github/workflows/", ".assay/workflows/"};
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++)
		if (g_str_has_prefix(path, folders[i])) {
			const char *name = path + strlen(folders[i]);
			return *name && !strchr(name, '/') && (g_str_has_suffix(name, ".yml") || g_str_has_suffix(name, ".yaml"));
		}
	return false;
}

/** "owner/repo/path@ref" or "./path": a new File without a workflow; NULL, and said, when it is neither. */
static File *parse_reference(Loader *loader, const File *caller, const YamlNode *uses)
{
	const char *text = uses->text;
	File *file = g_new0(File, 1);
	file->owned = true;
	g_autofree char *path = NULL;
	if (g_str_has_prefix(text, "./")) {
		path = g_strdup(text + strlen("./"));
		file->repo = g_strdup(caller->repo);
		file->ref = g_strdup(caller->sha ? caller->sha : caller->ref);
	} else {
		const char *at = strrchr(text, '@');
		g_auto(GStrv) parts = g_strsplit(text, "/", 3);
		if (at && at[1] && g_strv_length(parts) == 3 && *parts[0] && *parts[1]) {
			file->repo = g_strdup_printf("%s/%s", parts[0], parts[1]);
			file->ref = g_strdup(at + 1);
			path = g_strndup(parts[2], strlen(parts[2]) - strlen(at));
		}
	}
	if (!path || !is_workflow_path(path)) {
		mistake(loader, caller, uses,
		        "'%s' names no reusable workflow: './.github/workflows/FILE.yml' or "
		        "'OWNER/REPO/.github/workflows/FILE.yml@REF' is expected; files in deeper folders cannot be called",
		        text);
		file_free(file);
		return NULL;
	}
	file->label = file->repo ? g_strdup_printf("%s/%s@%s", file->repo, path, file->ref) : g_steal_pointer(&path);
	return file;
}

static char *path_of(const File *file)
{
	if (!file->repo)
		return g_strdup(file->label);
	const char *path = file->label + strlen(file->repo) + 1;
	return g_strndup(path, strlen(path) - strlen(file->ref) - 1);
}

/** "a.yml → b.yml → a.yml" */
static char *chain_text(const Loader *loader, const File *again)
{
	g_autoptr(GString) text = g_string_new(NULL);
	bool inside = false;
	for (guint i = 0; i < loader->chain->len; i++) {
		const File *file = g_ptr_array_index(loader->chain, i);
		inside = inside || strcmp(file->label, again->label) == 0;
		if (inside)
			g_string_append_printf(text, "%s → ", file->label);
	}
	g_string_append(text, again->label);
	return g_strdup(text->str);
}

static bool is_in_chain(const Loader *loader, const File *file)
{
	for (guint i = 0; i < loader->chain->len; i++)
		if (strcmp(((const File *)g_ptr_array_index(loader->chain, i))->label, file->label) == 0)
			return true;
	return false;
}

/* What the caller gives, against what is declared */

static const YamlNode *find(const YamlNode *mapping, const char *name)
{
	for (size_t i = 0; mapping && mapping->kind == YAML_MAPPING && i + 1 < mapping->items_len; i += 2)
		if (g_ascii_strcasecmp(mapping->items[i]->text, name) == 0)
			return mapping->items[i + 1];
	return NULL;
}

static const json_t *find_declared(const json_t *declared, const char *name, const char **out_name)
{
	const char *key = NULL;
	json_t *value = NULL;
	json_object_foreach((json_t *)(uintptr_t)declared, key, value)
		if (g_ascii_strcasecmp(key, name) == 0) {
			if (out_name)
				*out_name = key;
			return value;
		}
	return NULL;
}

static const json_t *declared(const Workflow *workflow, const char *what)
{
	return json_object_get(json_object_get(workflow->on, "workflow_call"), what);
}

static bool literal_fits(const YamlNode *value, const char *type)
{
	if (value->kind == YAML_STRING && expr_is_template(value->text))
		return true;
	if (strcmp(type, "boolean") == 0)
		return value->kind == YAML_BOOLEAN;
	if (strcmp(type, "number") == 0)
		return value->kind == YAML_NUMBER;
	return value->text != NULL;
}

static void check_inputs(Loader *loader, const File *caller, const WorkflowJob *job, const Workflow *called)
{
	const json_t *inputs = declared(called, "inputs");
	const YamlNode *with = yaml_get(job->node, "with");
	const char *name = NULL;
	json_t *one = NULL;
	json_object_foreach((json_t *)(uintptr_t)inputs, name, one)
		if (json_get_bool(one, "required", false) && !find(with, name))
			mistake(loader, caller, uses_of(job), "Input %s is required, but not provided while calling.", name);
	for (size_t i = 0; with && with->kind == YAML_MAPPING && i + 1 < with->items_len; i += 2) {
		const YamlNode *value = with->items[i + 1];
		const json_t *input = find_declared(inputs, with->items[i]->text, NULL);
		const char *type = json_get_string(input, "type", "string");
		if (!input)
			mistake(loader, caller, value, "Invalid input, %s is not defined in the referenced workflow.",
			        with->items[i]->text);
		else if (!literal_fits(value, type))
			mistake(loader, caller, value, "Unexpected value '%s': the input '%s' is a %s", value->text,
			        with->items[i]->text, type);
	}
}

static void check_secrets(Loader *loader, const File *caller, const WorkflowJob *job, const Workflow *called)
{
	const json_t *secrets = declared(called, "secrets");
	const YamlNode *given = yaml_get(job->node, "secrets");
	const char *name = NULL;
	json_t *one = NULL;
	if (given && given->text && strcmp(given->text, "inherit") == 0)
		return;
	json_object_foreach((json_t *)(uintptr_t)secrets, name, one)
		if (json_get_bool(one, "required", false) && !find(given, name))
			mistake(loader, caller, uses_of(job), "Secret %s is required, but not provided while calling.", name);
	for (size_t i = 0; given && given->kind == YAML_MAPPING && i + 1 < given->items_len; i += 2)
		if (!find_declared(secrets, given->items[i]->text, NULL))
			mistake(loader, caller, given->items[i + 1],
			        "Invalid secret, %s is not defined in the referenced workflow.", given->items[i]->text);
}

/* Reading */

static void add_errors(Loader *loader, const File *file, const json_t *errors)
{
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach((json_t *)(uintptr_t)errors, i, one) {
		if (json_array_size(loader->errors) >= CHECK_MISTAKES_MAX)
			return;
		place(loader, file, one);
		json_array_append(loader->errors, one);
	}
}

static bool read_file(Loader *loader, const File *caller, File *file, const YamlNode *uses)
{
	g_autofree char *path = path_of(file);
	const CallPlace place = {.repo = file->repo, .ref = file->ref, .path = path};
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = loader->source->read(loader->source->data, &place, &file->sha, &error);
	if (!bytes) {
		if (!loader->source->lenient)
			mistake(loader, caller, uses, "The called workflow '%s' cannot be read: %s", uses->text, error->message);
		return false;
	}
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autoptr(json_t) errors = NULL;
	file->workflow = reader_read(text ? text : "", len, file->label, &errors);
	if (!file->workflow)
		add_errors(loader, file, errors);
	return file->workflow != NULL;
}

static void load_calls(Loader *loader, File *file);

/** The file that a job calls, read and looked into; NULL when there is none to go on with. Borrowed. */
static File *load_file(Loader *loader, const File *caller, const YamlNode *uses)
{
	File *file = parse_reference(loader, caller, uses);
	if (!file)
		return NULL;
	if (is_in_chain(loader, file)) {
		g_autofree char *chain = chain_text(loader, file);
		mistake(loader, caller, uses, "The workflow calls itself: %s", chain);
		file_free(file);
		return NULL;
	}
	File *known = g_hash_table_lookup(loader->files, file->label);
	if (known) {
		file_free(file);
		return known->workflow ? known : NULL;
	}
	if (loader->chain->len >= CALLS_DEPTH_MAX) {
		mistake(loader, caller, uses, "Workflows can call each other %d levels deep, the first one counted", CALLS_DEPTH_MAX);
		file_free(file);
		return NULL;
	}
	if (g_hash_table_size(loader->files) >= CALLS_FILES_MAX) {
		mistake(loader, caller, uses, "A workflow can call %d different workflows, directly or not", CALLS_FILES_MAX);
		file_free(file);
		return NULL;
	}
	g_hash_table_insert(loader->files, file->label, file);
	if (!read_file(loader, caller, file, uses))
		return NULL;
	g_ptr_array_add(loader->chain, file);
	load_calls(loader, file);
	g_ptr_array_set_size(loader->chain, (gint)loader->chain->len - 1);
	return file;
}

/* The tree that definitions carry */

static json_t *describe_jobs(const Workflow *workflow)
{
	json_t *jobs = json_array();
	for (guint i = 0; i < workflow->jobs->len; i++) {
		const WorkflowJob *job = g_ptr_array_index(workflow->jobs, i);
		json_t *needs = json_array();
		for (char **need = job->needs; *need; need++)
			json_array_append_new(needs, json_string(*need));
		json_array_append_new(jobs, json_pack("{s:s,s:o,s:O,s:s*}", "id", job->id, "needs", needs, "definition",
		                                    job->definition, "refusal", job->refusal));
	}
	return jobs;
}

static json_t *describe(const File *file)
{
	static const char *const keys[] = {"inputs", "secrets", "outputs"};
	const Workflow *workflow = file->workflow;
	g_autofree char *path = path_of(file);
	json_t *out = json_pack("{s:s,s:s,s:s*,s:s*,s:s*,s:s,s:o}", "name", workflow->name, "path", path, "repository",
	        file->repo, "ref", file->ref, "sha", file->sha, "digest", workflow->digest, "jobs", describe_jobs(workflow));
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		const json_t *value = declared(workflow, keys[i]);
		if (json_is_object(value))
			json_object_set(out, keys[i], (json_t *)(uintptr_t)value);
	}
	if (workflow->concurrency)
		json_object_set(out, "concurrency", workflow->concurrency);
	if (workflow->permissions)
		json_object_set(out, "permissions", workflow->permissions);
	return out;
}

static void load_call(Loader *loader, File *file, WorkflowJob *job)
{
	const YamlNode *uses = uses_of(job);
	File *called = load_file(loader, file, uses);
	if (!called)
		return;
	if (!json_object_get(called->workflow->on, "workflow_call")) {
		mistake(loader, file, uses, "'%s' cannot be called: it has no 'workflow_call' in its 'on'", uses->text);
		return;
	}
	if (loader->chain->len + (guint)called->height >= CALLS_DEPTH_MAX) {
		mistake(loader, file, uses, "Workflows can call each other %d levels deep, the first one counted", CALLS_DEPTH_MAX);
		return;
	}
	check_inputs(loader, file, job, called->workflow);
	check_secrets(loader, file, job, called->workflow);
	file->height = MAX(file->height, called->height + 1);
	file->jobs += called->jobs;
	file->bytes += called->bytes;
	if (file->jobs > CALLS_JOBS_MAX) {
		mistake(loader, file, uses, "The called workflows have more than %d jobs together", CALLS_JOBS_MAX);
		return;
	}
	if (file->bytes > CALLS_BYTES_MAX) {
		mistake(loader, file, uses, "The called workflows are larger than %d MiB together", CALLS_BYTES_MAX >> 20);
		return;
	}
	if (!called->called)
		called->called = describe(called);
	json_object_set(job->definition, "called", called->called);
}

static void load_calls(Loader *loader, File *file)
{
	file->jobs = file->workflow->jobs->len;
	file->bytes = file->workflow->document->source_len;
	for (guint i = 0; i < file->workflow->jobs->len; i++) {
		WorkflowJob *job = g_ptr_array_index(file->workflow->jobs, i);
		if (!uses_of(job))
			continue;
		if (file == first(loader))
			loader->call = uses_of(job);
		load_call(loader, file, job);
	}
}

/* Permissions, from caller to called */

static const json_t *permissions_of(const WorkflowJob *job, const json_t *allowed)
{
	const json_t *own = json_object_get(job->definition, "permissions"); /* the workflow's where it has none */
	return own ? own : allowed;
}

static void check_permissions(Loader *loader, const File *file, const json_t *allowed)
{
	for (guint i = 0; i < file->workflow->jobs->len; i++) {
		const WorkflowJob *caller = g_ptr_array_index(file->workflow->jobs, i);
		g_autofree char *may = NULL;
		File *called = NULL;
		if (json_object_get(caller->definition, "called")) {
			File *reference = parse_reference(loader, file, uses_of(caller));
			called = reference ? g_hash_table_lookup(loader->files, reference->label) : NULL;
			if (reference)
				file_free(reference);
		}
		if (!called)
			continue;
		if (file == first(loader))
			loader->call = uses_of(caller);
		const json_t *given = permissions_of(caller, allowed);
		g_autofree char *more = permission_excess(called->workflow->permissions, given, &may);
		if (more)
			mistake(loader, file, caller->id_node,
			        "Error calling workflow '%s'. The workflow '%s' is requesting '%s', but is only allowed '%s'.",
			        uses_of(caller)->text, called->label, more, may);
		for (guint k = 0; !more && k < called->workflow->jobs->len; k++) {
			const WorkflowJob *job = g_ptr_array_index(called->workflow->jobs, k);
			g_autofree char *job_may = NULL;
			g_autofree char *job_more =
			        permission_excess(json_object_get(job->definition, "permissions"), given, &job_may);
			if (job_more)
				mistake(loader, file, caller->id_node,
				        "Error calling workflow '%s'. The nested job '%s' is requesting '%s', but is only allowed '%s'.",
				        uses_of(caller)->text, json_get_string(job->definition, "name", job->id), job_more, job_may);
		}
		check_permissions(loader, called, given);
	}
}

bool calls_load(Workflow *workflow, const CallSource *source, json_t *errors)
{
	File top = {.label = workflow->path, .workflow = workflow};
	g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, file_free);
	g_autoptr(GPtrArray) chain = g_ptr_array_new();
	Loader loader = {.source = source, .errors = errors, .files = files, .chain = chain};
	size_t before = json_array_size(errors);
	g_ptr_array_add(chain, &top);
	load_calls(&loader, &top);
	if (json_array_size(errors) == before)
		check_permissions(&loader, &top, NULL);
	return json_array_size(errors) == before;
}

void calls_tell(json_t *errors)
{
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(errors, i, one) {
		const char *path = json_get_string(one, "path", NULL);
		const json_t *call = json_object_get(one, "call");
		if (!path)
			continue;
		g_autofree char *message = g_strdup_printf("in the called workflow %s:%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT ": %s",
		        path, json_get_int(one, "line", 0), json_get_int(one, "column", 0), json_get_string(one, "message", ""));
		json_set_string(one, "message", message);
		json_object_set(one, "line", json_array_get(call, 0));
		json_object_set(one, "column", json_array_get(call, 1));
		json_object_del(one, "path");
		json_object_del(one, "call");
	}
}

/* Values of a call */

static json_t *fit(const char *name, const char *type, json_t *value, GError **error)
{
	g_autoptr(json_t) owned = value;
	if (strcmp(type, "boolean") == 0 ? json_is_boolean(value) : strcmp(type, "number") == 0 && json_is_number(value))
		return json_incref(value);
	if (strcmp(type, "string") == 0 && !json_is_object(value) && !json_is_array(value)) {
		g_autofree char *text = expr_to_string(value);
		return json_string(text);
	}
	g_autofree char *text = expr_to_string(value);
	fail(error, ASSAY_ERROR_USER, "the input '%s' is a %s, and '%.80s' is none%s", name, type, text,
	        json_is_string(value) ? "; make it one by fromJSON()" : "");
	return NULL;
}

static json_t *default_of(const char *name, const json_t *input, const json_t *contexts, GError **error)
{
	const char *type = json_get_string(input, "type", "string");
	const json_t *written = json_object_get(input, "default");
	if (!written || json_is_null(written))
		return strcmp(type, "boolean") == 0 ? json_false() : strcmp(type, "number") == 0 ? json_integer(0) : json_string("");
	ExprScope scope = {.contexts = contexts};
	json_t *value = expr_template_tree(written, &scope, error);
	return value ? fit(name, type, value, error) : NULL;
}

json_t *calls_inputs(const json_t *called, const json_t *given, const json_t *contexts, GError **error)
{
	g_autoptr(json_t) out = json_object();
	const char *name = NULL;
	json_t *input = NULL;
	json_object_foreach(json_object_get(called, "inputs"), name, input) {
		const json_t *value = find_declared(given, name, NULL);
		json_t *made = value ? fit(name, json_get_string(input, "type", "string"),
		                               json_incref((json_t *)(uintptr_t)value), error)
		                     : default_of(name, input, contexts, error);
		if (!made)
			return NULL;
		json_object_set_new(out, name, made);
	}
	return g_steal_pointer(&out);
}

static json_t *pass_secrets(const json_t *link, const json_t *secrets, const json_t *contexts, GError **error)
{
	const json_t *given = json_object_get(link, "given");
	if (json_is_string(given))
		return json_deep_copy(secrets);
	g_autoptr(json_t) scope_contexts = json_copy((json_t *)(uintptr_t)contexts);
	json_object_update(scope_contexts, json_object_get(link, "contexts"));
	json_object_set(scope_contexts, "secrets", (json_t *)(uintptr_t)secrets);
	ExprScope scope = {.contexts = scope_contexts};
	g_autoptr(json_t) out = json_object();
	const char *name = NULL;
	json_t *value = NULL;
	json_object_foreach((json_t *)(uintptr_t)given, name, value) {
		g_autofree char *text =
		        json_is_string(value) ? expr_template_string(json_string_value(value), &scope, error) : expr_to_string(value);
		if (!text) {
			g_prefix_error(error, "secret '%s' of the call: ", name);
			return NULL;
		}
		json_object_set_new(out, name, json_string(text));
	}
	return g_steal_pointer(&out);
}

json_t *calls_secrets(const json_t *chain, const json_t *secrets, const json_t *contexts, GError **error)
{
	json_t *now = json_deep_copy(secrets);
	size_t i = 0;
	json_t *link = NULL;
	json_array_foreach((json_t *)(uintptr_t)chain, i, link) {
		json_t *next = now ? pass_secrets(link, now, contexts, error) : NULL;
		json_decref(now);
		now = next;
	}
	return now;
}
