/* SPDX-License-Identifier: Apache-2.0 */
/* Does an event start a workflow? The filters of `on`. */
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/planner.h"
#include "agent/model/expr.h"
#include "agent/model/glob.h"
#include "agent/model/inputs.h"

#define HEADS "refs/heads/"
#define TAGS "refs/tags/"

/** A filter's patterns, whether one or many, NULL-terminated; NULL when there is no such filter. Borrows. */
static GPtrArray *patterns_of(const json_t *filters, const char *key)
{
	const json_t *value = json_object_get(filters, key);
	if (!value || json_is_null(value))
		return NULL;
	GPtrArray *patterns = g_ptr_array_new_with_free_func(g_free);
	size_t i = 0;
	json_t *item = NULL;
	if (!json_is_array(value))
		g_ptr_array_add(patterns, expr_to_string(value));
	json_array_foreach((json_t *)value, i, item)
		g_ptr_array_add(patterns, expr_to_string(item));
	g_ptr_array_add(patterns, NULL);
	return patterns;
}

/** One name against `key` and `key-ignore`. */
static bool name_matches(const json_t *filters, const char *key, const char *name)
{
	g_autofree char *ignore_key = g_strconcat(key, "-ignore", NULL);
	g_autoptr(GPtrArray) patterns = patterns_of(filters, key);
	g_autoptr(GPtrArray) ignored = patterns_of(filters, ignore_key);
	if (patterns && !glob_list_matches((const char *const *)patterns->pdata, name))
		return false;
	return !ignored || !glob_list_matches((const char *const *)ignored->pdata, name);
}

static bool has_filter(const json_t *filters, const char *key)
{
	g_autofree char *ignore_key = g_strconcat(key, "-ignore", NULL);
	return json_object_get(filters, key) || json_object_get(filters, ignore_key);
}

/** One changed file that is wanted is enough; when none is known, the filter holds. */
static bool paths_match(const json_t *filters, const json_t *changed_files)
{
	size_t i = 0;
	json_t *file = NULL;
	if (!has_filter(filters, "paths") || !json_is_array(changed_files))
		return true;
	json_array_foreach((json_t *)changed_files, i, file)
		if (json_is_string(file) && name_matches(filters, "paths", json_string_value(file)))
			return true;
	return false;
}

/** A filter of branches alone leaves tags out, and the other way round. */
static bool push_matches(const json_t *filters, const char *ref, const json_t *changed_files)
{
	bool branches = has_filter(filters, "branches");
	bool tags = has_filter(filters, "tags");
	if (g_str_has_prefix(ref, TAGS))
		return tags ? name_matches(filters, "tags", ref + strlen(TAGS)) : !branches;
	if (!g_str_has_prefix(ref, HEADS))
		return !branches && !tags;
	if (branches ? !name_matches(filters, "branches", ref + strlen(HEADS)) : tags)
		return false;
	return paths_match(filters, changed_files);
}

static bool types_match(const char *name, const json_t *filters, const char *action)
{
	static const char *const pull_request[] = {"opened", "synchronize", "reopened", NULL};
	if (!action)
		return true;
	g_autoptr(GPtrArray) types = patterns_of(filters, "types");
	if (types) {
		for (guint i = 0; i + 1 < types->len; i++)
			if (strcmp(g_ptr_array_index(types, i), action) == 0)
				return true;
		return false;
	}
	bool request = strcmp(name, "pull_request") == 0 || strcmp(name, "pull_request_target") == 0;
	return !request || g_strv_contains(pull_request, action);
}

static const char *string_at(const json_t *tree, const char *first, const char *second, const char *third)
{
	const json_t *value = json_object_get(json_object_get(tree, first), second);
	return json_string_value(third ? json_object_get(value, third) : value);
}

/** The branch that `branches` of an event other than push speaks of, or NULL. */
static const char *branch_of(const char *name, const json_t *payload)
{
	const char *branch = NULL;
	if (g_str_has_prefix(name, "pull_request"))
		branch = string_at(payload, "pull_request", "base", "ref");
	else if (strcmp(name, "workflow_run") == 0)
		branch = string_at(payload, "workflow_run", "head_branch", NULL);
	else if (strcmp(name, "merge_group") == 0)
		branch = string_at(payload, "merge_group", "base_ref", NULL);
	return branch && g_str_has_prefix(branch, HEADS) ? branch + strlen(HEADS) : branch;
}

static bool schedule_matches(const json_t *entries, const char *cron)
{
	size_t i = 0;
	json_t *entry = NULL;
	if (!cron)
		return true;
	json_array_foreach((json_t *)entries, i, entry)
		if (g_strcmp0(json_get_string(entry, "cron", NULL), cron) == 0)
			return true;
	return false;
}

static bool workflow_named(const json_t *filters, const json_t *payload)
{
	g_autoptr(GPtrArray) names = patterns_of(filters, "workflows");
	const char *name = string_at(payload, "workflow_run", "name", NULL);
	for (guint i = 0; names && name && i + 1 < names->len; i++)
		if (strcmp(g_ptr_array_index(names, i), name) == 0)
			return true;
	return !names || !name;
}

bool planner_matches(const Workflow *workflow, const json_t *event, const json_t *changed_files)
{
	const char *name = json_get_string(event, "event", "");
	const json_t *filters = json_object_get(workflow->on, name);
	const json_t *payload = json_object_get(event, "payload");
	if (!filters)
		return false;
	if (strcmp(name, "schedule") == 0)
		return schedule_matches(filters, json_get_string(payload, "schedule", NULL));
	if (!types_match(name, filters, json_get_string(event, "action", NULL)))
		return false;
	if (!json_is_object(filters))
		return true;
	if (strcmp(name, "push") == 0)
		return push_matches(filters, json_get_string(event, "ref", ""), changed_files);
	if (strcmp(name, "workflow_run") == 0 && !workflow_named(filters, payload))
		return false;
	const char *branch = branch_of(name, payload);
	return (!branch || name_matches(filters, "branches", branch)) && paths_match(filters, changed_files);
}

json_t *planner_inputs(const Workflow *workflow, const json_t *given, GError **error)
{
	return inputs_complete(json_object_get(json_object_get(workflow->on, "workflow_dispatch"), "inputs"), given, workflow->path,
	        error);
}
