/* SPDX-License-Identifier: Apache-2.0 */
/* A called workflow may narrow what its caller has, never widen it. */
#include "agent/model/permission.h"

#include <string.h>

/* What "read-all" and "write-all" stand for. */
static const char *const scopes[] = {"actions", "artifact-metadata", "attestations", "checks", "contents", "deployments",
        "discussions", "id-token", "issues", "models", "packages", "pages", "pull-requests", "repository-projects",
        "security-events", "statuses", "vulnerability-alerts"};

static const char *const levels[] = {"none", "read", "write"};

static size_t level_of(const json_t *permissions, const char *scope)
{
	const char *word = json_string_value(permissions);
	if (!permissions)
		return G_N_ELEMENTS(levels) - 1;
	if (word)
		return strcmp(word, "write-all") == 0 ? 2 : 1;
	word = json_string_value(json_object_get(permissions, scope));
	for (size_t i = 0; word && i < G_N_ELEMENTS(levels); i++)
		if (strcmp(levels[i], word) == 0)
			return i;
	return 0;
}

static void add(GString *list, const char *scope, size_t level)
{
	g_string_append_printf(list, "%s%s: %s", list->len > 0 ? ", " : "", scope, levels[level]);
}

char *permission_excess(const json_t *wanted, const json_t *allowed, char **out_allowed)
{
	g_autoptr(GString) more = g_string_new(NULL);
	g_autoptr(GString) less = g_string_new(NULL);
	for (size_t i = 0; wanted && i < G_N_ELEMENTS(scopes); i++) {
		size_t want = level_of(wanted, scopes[i]);
		size_t may = level_of(allowed, scopes[i]);
		if (want <= may)
			continue;
		add(more, scopes[i], want);
		add(less, scopes[i], may);
	}
	if (more->len == 0)
		return NULL;
	*out_allowed = g_strdup(less->str);
	return g_strdup(more->str);
}
