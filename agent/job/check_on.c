/* SPDX-License-Identifier: Apache-2.0 */
/* The events of a workflow, beyond their keys and kinds. A filter that could never hold is a mistake, not a silence. */
#include "agent/job/check_on.h"

#include <string.h>

#include "agent/model/cron.h"

#define DISPATCH_INPUTS_MAX 25
#define ZONES "/usr/share/zoneinfo/UTC"

typedef struct Reader {
	const YamlDocument *document;
	json_t *errors;
} Reader;

#define MISTAKE(reader, node, ...) check_mistake((reader)->errors, (reader)->document, (node), __VA_ARGS__)

static bool is_mapping(const YamlNode *node)
{
	return node && node->kind == YAML_MAPPING;
}

static const YamlNode *find_key(const YamlNode *mapping, const char *name)
{
	for (size_t i = 0; is_mapping(mapping) && i + 1 < mapping->items_len; i += 2)
		if (strcmp(mapping->items[i]->text, name) == 0)
			return mapping->items[i];
	return NULL;
}

static void check_filters(Reader *reader, const YamlNode *filters)
{
	static const char *const pairs[][2] = {
	        {"branches", "branches-ignore"}, {"tags", "tags-ignore"}, {"paths", "paths-ignore"}};
	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		const YamlNode *second = find_key(filters, pairs[i][1]);
		if (second && find_key(filters, pairs[i][0]))
			MISTAKE(reader, second, "'%s' and '%s' cannot be used for the same event; use '!' in '%s'",
			        pairs[i][0], pairs[i][1], pairs[i][0]);
	}
}

static void check_schedule(Reader *reader, const YamlNode *schedule)
{
	for (size_t i = 0; schedule->kind == YAML_SEQUENCE && i < schedule->items_len; i++) {
		const YamlNode *cron = yaml_get(schedule->items[i], "cron");
		const YamlNode *zone = yaml_get(schedule->items[i], "timezone");
		g_autoptr(GError) error = NULL;
		Cron read;
		if (cron && cron->len > 0 && !cron_parse(cron->text, &read, &error))
			MISTAKE(reader, cron, "%s", error->message);
		if (!zone || zone->len == 0)
			continue;
		g_autoptr(GTimeZone) known = g_time_zone_new_identifier(zone->text);
		/* A machine without the zones' files knows none of them; then the name is believed. */
		if (!known && g_file_test(ZONES, G_FILE_TEST_EXISTS))
			MISTAKE(reader, zone, "'%s' is not a time zone; write a name like 'Europe/Berlin'", zone->text);
	}
}

static void check_dispatch_input(Reader *reader, const YamlNode *input)
{
	const YamlNode *type = yaml_get(input, "type");
	const YamlNode *value = yaml_get(input, "default");
	const YamlNode *options = yaml_get(input, "options");
	const char *name = type && type->text ? type->text : "string";
	if (options && strcmp(name, "choice") != 0)
		MISTAKE(reader, options, "'options' are for inputs of type 'choice'; this one is a %s", name);
	if (strcmp(name, "choice") == 0) {
		if (!options || options->kind != YAML_SEQUENCE || options->items_len == 0) {
			MISTAKE(reader, type, "An input of type 'choice' needs 'options'");
			return;
		}
		bool listed = !value || !value->text;
		for (size_t i = 0; i < options->items_len && !listed; i++)
			listed = g_strcmp0(options->items[i]->text, value->text) == 0;
		if (!listed)
			MISTAKE(reader, value, "The default '%s' is not among the options", value->text);
	} else if (strcmp(name, "boolean") == 0 && value && value->text && strcmp(value->text, "true") != 0 &&
	           strcmp(value->text, "false") != 0) {
		MISTAKE(reader, value, "The default of a boolean input is true or false, not '%s'", value->text);
	} else if (strcmp(name, "number") == 0 && value && value->kind != YAML_NUMBER) {
		MISTAKE(reader, value, "The default of a number input is a number, not '%s'", value->text ? value->text : "");
	}
}

void check_on(const YamlDocument *document, const YamlNode *on, json_t *errors)
{
	Reader reader = {.document = document, .errors = errors};
	for (size_t i = 0; is_mapping(on) && i + 1 < on->items_len; i += 2) {
		const char *event = on->items[i]->text;
		const YamlNode *filters = on->items[i + 1];
		if (strcmp(event, "schedule") == 0)
			check_schedule(&reader, filters);
		check_filters(&reader, filters);
		const YamlNode *inputs = strcmp(event, "workflow_dispatch") == 0 ? yaml_get(filters, "inputs") : NULL;
		if (is_mapping(inputs) && inputs->items_len / 2 > DISPATCH_INPUTS_MAX)
			MISTAKE(&reader, inputs->items[2 * DISPATCH_INPUTS_MAX],
			        "A dispatch can have %d inputs; this one has %zu", DISPATCH_INPUTS_MAX,
			        inputs->items_len / 2);
		for (size_t j = 0; is_mapping(inputs) && j + 1 < inputs->items_len; j += 2)
			if (is_mapping(inputs->items[j + 1]))
				check_dispatch_input(&reader, inputs->items[j + 1]);
	}
	if (is_mapping(on) && on->items_len == 0)
		MISTAKE(&reader, on, "'on' names no event");
	if (on && on->kind == YAML_SEQUENCE && on->items_len == 0)
		MISTAKE(&reader, on, "'on' names no event");
}
