/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of schema_action.c say most; what they cannot say (a known `using`, ids, names in `uses`) is here. */
#include "agent/job/action_file.h"

#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/yaml.h"
#include "agent/job/action_name.h"
#include "agent/job/check.h"
#include "agent/model/expr.h"

#define MISTAKES_SHOWN 5

static const int node_majors[] = {12, 16, 20, 24};

static bool is_mapping(const YamlNode *node)
{
	return node && node->kind == YAML_MAPPING;
}

static void check_using(const YamlDocument *document, const YamlNode *using, json_t *errors)
{
	if (!using || !using->text || !using->text[0])
		return;
	gint64 major = 0;
	bool known = g_ascii_strcasecmp(using->text, "composite") == 0 || g_ascii_strcasecmp(using->text, "docker") == 0;
	if (g_ascii_strncasecmp(using->text, "node", 4) == 0 &&
	        g_ascii_string_to_signed(using->text + 4, 10, 1, 99, &major, NULL))
		for (size_t i = 0; i < G_N_ELEMENTS(node_majors); i++)
			known = known || major == node_majors[i];
	if (!known)
		check_mistake(errors, document, using,
		        "'%s' is no way to run an action; there are composite, docker, node12, node16, node20 and node24",
		        using->text);
}

static void check_steps(const YamlDocument *document, const YamlNode *steps, json_t *errors)
{
	g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (!steps || steps->kind != YAML_SEQUENCE)
		return;
	if (steps->items_len > ACTION_STEPS_MAX)
		check_mistake(errors, document, steps, "A composite action has at most %d steps", ACTION_STEPS_MAX);
	for (size_t i = 0; i < steps->items_len; i++) {
		const YamlNode *step = steps->items[i];
		const YamlNode *id = is_mapping(step) ? yaml_get(step, "id") : NULL;
		const YamlNode *uses = is_mapping(step) ? yaml_get(step, "uses") : NULL;
		if (id && id->text && !g_hash_table_add(ids, g_utf8_casefold(id->text, -1)))
			check_mistake(errors, document, id, "The identifier '%s' may not be used more than once in one action", id->text);
		if (!uses || !uses->text || g_str_has_prefix(uses->text, "./") || g_str_has_prefix(uses->text, "docker://") ||
		        g_str_has_prefix(uses->text, "assay/"))
			continue;
		ActionName name = {.repo = NULL};
		g_autoptr(GError) why = NULL;
		if (!action_name_parse(uses->text, &name, &why))
			check_mistake(errors, document, uses, "%s", why->message);
		action_name_clear(&name);
	}
}

/* The first mistakes as one message; each has its place and caret. */
static bool say_mistakes(const json_t *errors, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	size_t i;
	json_t *one;
	json_array_foreach((json_t *)(uintptr_t)errors, i, one) {
		if (i == MISTAKES_SHOWN) {
			g_string_append_printf(text, "\nand %zu more", json_array_size(errors) - i);
			break;
		}
		g_string_append_printf(text, "%s%s", text->len ? "\n" : "", json_get_string(one, "caret", ""));
	}
	return text->len == 0 || fail(error, ASSAY_ERROR_USER, "%s", text->str);
}

/* Building */

static void input_free(gpointer data)
{
	ActionFileInput *input = data;
	g_free(input->name);
	g_free(input->fallback);
	g_free(input->deprecation);
	g_free(input);
}

static char *text_of(const YamlNode *mapping, const char *key)
{
	const YamlNode *node = is_mapping(mapping) ? yaml_get(mapping, key) : NULL;
	if (!node || node->kind == YAML_NULL)
		return NULL;
	g_autoptr(json_t) value = yaml_to_json(node);
	return expr_to_string(value);
}

static GPtrArray *build_inputs(const YamlNode *inputs)
{
	GPtrArray *out = g_ptr_array_new_with_free_func(input_free);
	for (size_t i = 0; is_mapping(inputs) && i + 1 < inputs->items_len; i += 2) {
		const YamlNode *value = inputs->items[i + 1];
		ActionFileInput *input = g_new0(ActionFileInput, 1);
		input->name = g_strdup(inputs->items[i]->text);
		input->fallback = text_of(value, "default");
		input->deprecation = text_of(value, "deprecationMessage");
		g_autofree char *required = text_of(value, "required");
		input->required = required && g_ascii_strcasecmp(required, "true") == 0;
		g_ptr_array_add(out, input);
	}
	return out;
}

static json_t *build_steps(const YamlNode *steps, GArray *lines)
{
	static const char *const texts[] = {"id", "name", "if", "run", "uses", "shell", "working-directory"};
	json_t *out = yaml_to_json(steps);
	size_t i;
	json_t *step;
	json_array_foreach(out, i, step) {
		g_array_append_val(lines, steps->items[i]->line);
		for (size_t k = 0; k < G_N_ELEMENTS(texts); k++) {
			const json_t *value = json_object_get(step, texts[k]);
			g_autofree char *text = value && !json_is_string(value) ? expr_to_string(value) : NULL;
			if (text)
				json_set_string(step, texts[k], text);
		}
	}
	return out;
}

static json_t *build_value(const YamlNode *mapping, const char *key)
{
	const YamlNode *node = yaml_get(mapping, key);
	return node && node->kind != YAML_NULL ? yaml_to_json(node) : NULL;
}

static ActionFile *build(const YamlDocument *document)
{
	const YamlNode *root = document->root;
	const YamlNode *runs = yaml_get(root, "runs");
	ActionFile *file = g_new0(ActionFile, 1);
	g_autofree char *using = text_of(runs, "using");
	file->path = g_strdup(document->name);
	file->name = text_of(root, "name");
	if (!file->name)
		file->name = g_strdup("");
	file->inputs = build_inputs(yaml_get(root, "inputs"));
	file->outputs = build_value(root, "outputs");
	file->lines = g_array_new(FALSE, FALSE, sizeof(int));
	file->pre_if = text_of(runs, "pre-if");
	file->post_if = text_of(runs, "post-if");
	if (g_ascii_strcasecmp(using, "composite") == 0) {
		file->using = ACTION_USING_COMPOSITE;
		file->steps = build_steps(yaml_get(runs, "steps"), file->lines);
	} else if (g_ascii_strcasecmp(using, "docker") == 0) {
		file->using = ACTION_USING_DOCKER;
		file->image = text_of(runs, "image");
		file->main = text_of(runs, "entrypoint");
		file->pre = text_of(runs, "pre-entrypoint");
		file->post = text_of(runs, "post-entrypoint");
		file->args = build_value(runs, "args");
		file->env = build_value(runs, "env");
	} else {
		file->using = ACTION_USING_NODE;
		file->node_major = (int)g_ascii_strtoll(using + strlen("node"), NULL, 10);
		file->main = text_of(runs, "main");
		file->pre = text_of(runs, "pre");
		file->post = text_of(runs, "post");
	}
	return file;
}

static YamlDocument *check(const char *text, size_t len, const char *path, json_t *errors)
{
	static const YamlNode start = {.kind = YAML_NULL, .line = 1, .column = 1};
	int line = 0;
	int column = 0;
	g_autofree char *message = NULL;
	g_autofree char *caret = NULL;
	g_autoptr(YamlDocument) document = yaml_parse_parts(text, len, path, &line, &column, &message, &caret);
	if (!document) {
		json_array_append_new(errors, json_pack("{s:i,s:i,s:s,s:s}", "line", line, "column", column, "message", message,
		                                      "caret", caret));
		return NULL;
	}
	if (!document->root || document->root->kind == YAML_NULL) {
		check_mistake(errors, document, &start, "The file is empty; an action needs 'runs'");
		return NULL;
	}
	check_document(document, &schema_action, errors);
	const YamlNode *runs = is_mapping(document->root) ? yaml_get(document->root, "runs") : NULL;
	if (is_mapping(runs)) {
		check_using(document, yaml_get(runs, "using"), errors);
		check_steps(document, yaml_get(runs, "steps"), errors);
	}
	return g_steal_pointer(&document);
}

json_t *action_file_check(const char *text, size_t len, const char *path)
{
	json_t *errors = json_array();
	yaml_document_free(check(text, len, path, errors));
	return errors;
}

ActionFile *action_file_read(const char *text, size_t len, const char *path, GError **error)
{
	g_autoptr(json_t) errors = json_array();
	g_autoptr(YamlDocument) document = check(text, len, path, errors);
	return say_mistakes(errors, error) ? build(document) : NULL;
}

bool action_file_names_image(const ActionFile *file)
{
	return file->image && g_str_has_prefix(file->image, "docker://");
}

ActionFile *action_file_dockerfile(const char *path, const char *name)
{
	ActionFile *file = g_new0(ActionFile, 1);
	file->path = g_strdup(path);
	file->name = g_strdup("");
	file->using = ACTION_USING_DOCKER;
	file->image = g_strdup(name);
	file->inputs = g_ptr_array_new_with_free_func(input_free);
	file->lines = g_array_new(FALSE, FALSE, sizeof(int));
	return file;
}

void action_file_free(ActionFile *file)
{
	if (!file)
		return;
	g_free(file->path);
	g_free(file->name);
	g_ptr_array_unref(file->inputs);
	g_array_unref(file->lines);
	json_decref(file->outputs);
	json_decref(file->args);
	json_decref(file->env);
	json_decref(file->steps);
	g_free(file->main);
	g_free(file->pre);
	g_free(file->pre_if);
	g_free(file->post);
	g_free(file->post_if);
	g_free(file->image);
	g_free(file);
}

const ActionFileInput *action_file_input(const ActionFile *file, const char *name)
{
	for (guint i = 0; i < file->inputs->len; i++) {
		const ActionFileInput *input = file->inputs->pdata[i];
		if (g_ascii_strcasecmp(input->name, name) == 0)
			return input;
	}
	return NULL;
}
