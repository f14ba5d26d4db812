/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over tree and tables together. A mistake does not end the walk, so that a person sees all of them at once;
 * below a value of the wrong kind nothing more is looked at.
 */
#include "agent/job/check.h"

#include <string.h>

#include "agent/model/expr.h"

#define KEYS_COMPARED 12 /* keys of one mapping that are compared each with each */

/** Where the walk is: what expressions may name there. */
typedef struct Check {
	const YamlDocument *document;
	json_t *errors;
} Check;

typedef struct Scope {
	const char *const *contexts; /* NULL: no expressions */
	bool hash_files;
} Scope;

void check_mistake(json_t *errors, const YamlDocument *document, const YamlNode *at, const char *format, ...)
{
	if (json_array_size(errors) >= CHECK_MISTAKES_MAX)
		return;
	va_list args;
	va_start(args, format);
	g_autofree char *message = g_strdup_vprintf(format, args);
	va_end(args);
	g_autofree char *caret = yaml_caret(document, at->line, at->column, message);
	json_array_append_new(errors, json_pack("{s:i,s:i,s:s,s:s}", "line", at->line, "column", at->column, "message",
	                                      message, "caret", caret));
}

/* Suggestions */

/** Damerau's distance, as far as it matters: 3 is far. */
static size_t distance(const char *a, const char *b)
{
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);
	if (a_len > 40 || b_len > 40)
		return 3;
	size_t rows[3][42];
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *now = rows[i % 3];
		const size_t *before = rows[(i + 2) % 3];
		const size_t *earlier = rows[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t cost = a[i - 1] != b[j - 1];
			now[j] = MIN(MIN(before[j] + 1, now[j - 1] + 1), before[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = MIN(now[j], earlier[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

/** "; did you mean 'run'?", or the list of what there is; the caller's. */
static char *suggest(const char *text, const char *const *known)
{
	size_t best = 3;
	const char *found = NULL;
	size_t count = 0;
	for (; known[count]; count++) {
		size_t away = distance(text, known[count]);
		if (away < best && away < strlen(known[count])) {
			best = away;
			found = known[count];
		}
	}
	if (found)
		return g_strdup_printf("; did you mean '%s'?", found);
	if (count > 12)
		return g_strdup("");
	g_autofree char *all = g_strjoinv(", ", (char **)known);
	return g_strdup_printf("; known here: %s", all);
}

static char *suggest_field(const char *text, const Field *fields)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	for (const Field *field = fields; field && field->name; field++)
		g_ptr_array_add(names, (void *)field->name);
	g_ptr_array_add(names, NULL);
	return suggest(text, (const char *const *)names->pdata);
}

/* Scalars */

static void check_expressions(Check *check, const YamlNode *node, const Shape *shape, const Scope *scope)
{
	static const char *const none[] = {NULL};
	g_autoptr(GError) error = NULL;
	if (!scope->contexts && expr_is_template(node->text)) {
		check_mistake(check->errors, check->document, node, "An expression cannot be used here");
		return;
	}
	ExprRules rules = {.allowed = scope->contexts ? scope->contexts : none,
	        .status_functions = shape->status,
	        .status_arguments = shape->status_arguments,
	        .hash_files = scope->hash_files};
	bool bare = shape->condition && !expr_is_template(node->text);
	bool good = bare ? expr_check(node->text, &rules, &error) : expr_check_template(node->text, &rules, &error);
	if (!good)
		check_mistake(check->errors, check->document, node, "%s", error->message);
}

static bool is_word(const char *text, const char *const *words)
{
	for (size_t i = 0; words[i]; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

static bool scalar_fits(const YamlNode *node, const Shape *shape)
{
	unsigned scalars = shape->scalars;
	if ((scalars & SCALAR_STRING) || ((scalars & SCALAR_GIVEN) && node->kind != YAML_NULL))
		return true;
	if ((scalars & SCALAR_FILLED) && node->len > 0 && node->kind != YAML_NULL)
		return true;
	if ((scalars & SCALAR_WORD) && node->kind == YAML_STRING && is_word(node->text, shape->words))
		return true;
	return ((scalars & SCALAR_NULL) && node->kind == YAML_NULL) ||
	       ((scalars & SCALAR_BOOLEAN) && node->kind == YAML_BOOLEAN) ||
	       ((scalars & SCALAR_NUMBER) && node->kind == YAML_NUMBER);
}

/** "a number or a sequence": what would have been right. The caller's. */
static char *wanted(const Shape *shape)
{
	g_autoptr(GPtrArray) kinds = g_ptr_array_new();
	if (shape->scalars & (SCALAR_STRING | SCALAR_GIVEN | SCALAR_WORD))
		g_ptr_array_add(kinds, (void *)"a string");
	if (shape->scalars & SCALAR_FILLED)
		g_ptr_array_add(kinds, (void *)"a string that is not empty");
	if (shape->scalars & SCALAR_BOOLEAN)
		g_ptr_array_add(kinds, (void *)"true or false");
	if (shape->scalars & SCALAR_NUMBER)
		g_ptr_array_add(kinds, (void *)"a number");
	if (shape->item)
		g_ptr_array_add(kinds, (void *)"a sequence");
	if (shape->mapping)
		g_ptr_array_add(kinds, (void *)"a mapping");
	if (kinds->len == 0)
		g_ptr_array_add(kinds, (void *)"nothing");
	g_ptr_array_add(kinds, NULL);
	return g_strjoinv(" or ", (char **)kinds->pdata);
}

static void check_scalar(Check *check, const YamlNode *node, const Shape *shape, const Scope *scope)
{
	bool expression = node->kind == YAML_STRING && expr_is_template(node->text);
	/* `if: 1` and `if: true` are what they are; only text is an expression. */
	if (expression || (shape->condition && node->len > 0 && node->kind == YAML_STRING))
		check_expressions(check, node, shape, scope);
	/* One expression alone may give any kind of value; what it gives is known when it runs. */
	if (shape->anything || (expression && scope->contexts && expr_is_single(node->text)))
		return;
	bool becomes_text = expression && (shape->scalars & (SCALAR_STRING | SCALAR_GIVEN | SCALAR_FILLED));
	if (becomes_text || (expression && !scope->contexts) || scalar_fits(node, shape))
		return;
	g_autofree char *kinds = wanted(shape);
	g_autofree char *hint = (shape->scalars & SCALAR_WORD) && node->kind == YAML_STRING && node->len > 0
	                                ? suggest(node->text, shape->words)
	                                : g_strdup_printf("; %s is expected%s", kinds,
	                                          node->kind == YAML_STRING && !node->plain ? ", without quotes" : "");
	check_mistake(check->errors, check->document, node, "Unexpected value '%s'%s", node->text, hint);
}

/* Collections */

static void check_node(Check *check, const YamlNode *node, const Shape *shape, const Scope *around);

static const Field *find_field(const Field *fields, const char *name)
{
	for (const Field *field = fields; field && field->name; field++)
		if (*field->name == *name && strcmp(field->name, name) == 0)
			return field;
	return NULL;
}

static void check_pair(Check *check, const YamlNode *key, const YamlNode *value, const Shape *shape, const Scope *scope)
{
	static const Shape any_string = {.scalars = SCALAR_STRING};
	static const Shape any_value = {.anything = true};
	const Field *field = find_field(shape->fields, key->text);
	if (field && key->kind == YAML_STRING) {
		check_node(check, value, field->shape, scope);
	} else if (key->kind == YAML_STRING && expr_is_template(key->text)) {
		bool insert = expr_is_insert(key->text);
		if (!shape->value)
			check_mistake(check->errors, check->document, key,
			        "An expression cannot be a key here: the keys of this mapping are fixed");
		else if (!insert || !scope->contexts)
			check_scalar(check, key, &any_string, scope);
		check_node(check, value, insert || !shape->value ? &any_value : shape->value, scope);
	} else if (key->len == 0 || key->kind == YAML_NULL) {
		check_mistake(check->errors, check->document, key, "Unexpected value '': a key is expected");
	} else if (shape->value) {
		check_node(check, value, shape->value, scope);
	} else {
		g_autofree char *hint = suggest_field(key->text, shape->fields);
		check_mistake(check->errors, check->document, key, "Unexpected value '%s': no such %s%s", key->text,
		        shape->what ? shape->what : "key", hint);
	}
}

/** The keys before the item at `at`, without regard to case; a table is made only where there are many. */
static bool key_is_new(const YamlNode *node, size_t at, GHashTable **seen)
{
	const char *text = node->items[at]->text;
	bool table = node->items_len / 2 > KEYS_COMPARED;
	for (size_t i = 0; !table && i < at; i += 2) {
		const YamlNode *other = node->items[i];
		if (other->len == node->items[at]->len && g_ascii_strcasecmp(other->text, text) == 0)
			return false;
		table = !g_str_is_ascii(text) && !g_str_is_ascii(other->text);
	}
	if (!table && !*seen)
		return true;
	if (!*seen) {
		*seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		for (size_t i = 0; i < at; i += 2)
			g_hash_table_add(*seen, g_utf8_casefold(node->items[i]->text, -1));
	}
	return g_hash_table_add(*seen, g_utf8_casefold(text, -1));
}

static void check_mapping(Check *check, const YamlNode *node, const Shape *shape, const Scope *scope)
{
	g_autoptr(GHashTable) seen = NULL;
	for (size_t i = 0; i + 1 < node->items_len; i += 2) {
		const YamlNode *key = node->items[i];
		if (!key_is_new(node, i, &seen))
			check_mistake(check->errors, check->document, key, "'%s' is already defined", key->text);
		else
			check_pair(check, key, node->items[i + 1], shape, scope);
	}
	for (const Field *field = shape->fields; field && field->name; field++)
		if (field->required && !yaml_get(node, field->name))
			check_mistake(check->errors, check->document, node, "Required property is missing: %s",
			        field->name);
}

static void check_anything(Check *check, const YamlNode *node, const Shape *shape, const Scope *scope)
{
	bool mapping = node->kind == YAML_MAPPING;
	for (size_t i = 0; i < node->items_len; i++) {
		const YamlNode *item = node->items[i];
		bool key = mapping && i % 2 == 0;
		if (!key || !expr_is_insert(item->text))
			check_node(check, item, shape, scope);
	}
}

static void check_node(Check *check, const YamlNode *node, const Shape *outer, const Scope *around)
{
	const Shape *shape = outer->pick && node->kind == YAML_MAPPING ? outer->pick(node) : outer;
	Scope scope = *around;
	if (shape->contexts)
		scope = (Scope){.contexts = shape->contexts, .hash_files = shape->hash_files};
	if (node->kind != YAML_SEQUENCE && node->kind != YAML_MAPPING) {
		check_scalar(check, node, shape, &scope);
	} else if (shape->anything) {
		check_anything(check, node, shape, &scope);
	} else if (node->kind == YAML_SEQUENCE && shape->item) {
		for (size_t i = 0; i < node->items_len; i++)
			check_node(check, node->items[i], shape->item, &scope);
	} else if (node->kind == YAML_MAPPING && shape->mapping) {
		check_mapping(check, node, shape, &scope);
	} else {
		g_autofree char *kinds = wanted(shape);
		check_mistake(check->errors, check->document, node, "Unexpected %s; %s is expected",
		        yaml_kind_name(node->kind) + strlen("a "), kinds);
	}
}

void check_document(const YamlDocument *document, const Shape *shape, json_t *errors)
{
	static const YamlNode start = {.kind = YAML_NULL, .line = 1, .column = 1};
	Check check = {.document = document, .errors = errors};
	Scope scope = {0};
	if (!document->root || document->root->kind == YAML_NULL)
		check_mistake(errors, document, &start, "The file is empty; a workflow needs 'on' and 'jobs'");
	else
		check_node(&check, document->root, shape, &scope);
}
