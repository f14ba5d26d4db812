/* SPDX-License-Identifier: Apache-2.0 */
/* These files are a stranger's; of TOML only the lines that matter are looked for, no more is understood of it. */
#include "agent/job/setup_wish.h"

#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/model/version.h"

/* The value of `key = "value"` below a [section]; NULL when it is not there. The caller's. */
static char *toml_value(char **lines, const char *section, const char *key)
{
	bool within = false;
	size_t len = strlen(key);
	for (char **line = lines; *line; line++) {
		const char *at = *line + strspn(*line, " \t");
		if (*at == '[') {
			g_autofree char *name = g_strndup(at + 1, strcspn(at + 1, "]"));
			within = strcmp(g_strstrip(name), section) == 0;
			continue;
		}
		if (!within || strncmp(at, key, len) != 0)
			continue;
		at += len;
		at += strspn(at, " \t");
		if (*at != '=')
			continue;
		at += 1 + strspn(at + 1, " \t");
		if (*at == '"' || *at == '\'')
			return g_strndup(at + 1, strcspn(at + 1, *at == '"' ? "\"" : "'"));
	}
	return NULL;
}

/* "python 3.11.2" of .tool-versions, for one of the names. */
static char *tool_value(char **lines, const char *const *names)
{
	for (char **line = lines; *line; line++)
		for (const char *const *name = names; *name; name++) {
			size_t len = strlen(*name);
			if (strncmp(*line, *name, len) == 0 && ((*line)[len] == ' ' || (*line)[len] == '\t')) {
				const char *at = *line + len + strspn(*line + len, " \t");
				return g_strndup(at, strcspn(at, " \t#"));
			}
		}
	return NULL;
}

/* Lines without blanks and comments; NULL when nothing is left. */
static char *plain_lines(char **lines, bool all)
{
	g_autoptr(GString) text = g_string_new(NULL);
	for (char **line = lines; *line && (all || text->len == 0); line++) {
		g_autofree char *one = g_strndup(*line, strcspn(*line, "#"));
		if (g_strstrip(one)[0])
			g_string_append_printf(text, "%s%s", text->len ? "\n" : "", one);
	}
	return text->len > 0 ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

static char *found_or_fail(char *found, const char *name, GError **error)
{
	if (!found)
		fail(error, ASSAY_ERROR_USER, "%s says no version", name);
	return found;
}

char *setup_wish_python(const char *name, const char *text, GError **error)
{
	static const char *const tools[] = {"python", NULL};
	g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);
	char *found = NULL;
	if (g_str_has_suffix(name, ".toml")) {
		found = toml_value(lines, "project", "requires-python");
		if (!found)
			found = toml_value(lines, "tool.poetry.dependencies", "python");
	} else if (strcmp(name, "Pipfile") == 0) {
		found = toml_value(lines, "requires", "python_full_version");
		if (!found)
			found = toml_value(lines, "requires", "python_version");
	} else if (strcmp(name, ".tool-versions") == 0) {
		found = tool_value(lines, tools);
	} else {
		found = plain_lines(lines, true);
	}
	return found_or_fail(found, name, error);
}

static char *package_value(const char *text, GError **error)
{
	g_autoptr(json_t) package = json_parse(text, strlen(text), "package.json", error);
	if (!package)
		return NULL;
	const char *volta = json_get_string(json_object_get(package, "volta"), "node", NULL);
	const json_t *runtime = json_object_get(json_object_get(package, "devEngines"), "runtime");
	if (json_is_array(runtime))
		runtime = json_array_get(runtime, 0);
	const char *engine = json_get_string(json_object_get(package, "engines"), "node", NULL);
	if (volta)
		return g_strdup(volta);
	if (g_strcmp0(json_get_string(runtime, "name", NULL), "node") == 0 && json_get_string(runtime, "version", NULL))
		return g_strdup(json_get_string(runtime, "version", NULL));
	return engine ? g_strdup(engine) : NULL;
}

char *setup_wish_node(const char *name, const char *text, GError **error)
{
	static const char *const tools[] = {"nodejs", "node", NULL};
	g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);
	g_autoptr(GError) why = NULL;
	char *found = NULL;
	if (g_str_has_suffix(name, ".json"))
		found = package_value(text, &why);
	else if (strcmp(name, ".tool-versions") == 0)
		found = tool_value(lines, tools);
	else
		found = plain_lines(lines, false);
	if (why) {
		g_propagate_error(error, g_steal_pointer(&why));
		return NULL;
	}
	return found_or_fail(found, name, error);
}

/* Ranges */

static char *checked(const char *range, const char *wish, GError **error)
{
	if (version_is_range(range))
		return g_strdup(range);
	fail(error, ASSAY_ERROR_USER, "'%s' is no version, and no range of versions", wish);
	return NULL;
}

char *setup_range_python(const char *wish, GError **error)
{
	static const char *const others[] = {"pypy", "graalpy"};
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (g_str_has_prefix(wish, others[i])) {
			fail(error, ASSAY_ERROR_USER, "'%s' cannot be had here, only CPython; use a job container that has it", wish);
			return NULL;
		}
	size_t len = strlen(wish);
	if (len > 1 && wish[len - 1] == 't' && g_ascii_isdigit(wish[len - 2])) {
		fail(error, ASSAY_ERROR_USER, "'%s' (without the global lock) cannot be had here; use a job container that has it", wish);
		return NULL;
	}
	if (g_str_has_suffix(wish, "-dev")) {
		g_autofree char *base = g_strndup(wish, len - strlen("-dev"));
		g_autofree char *range = g_strdup_printf("~%s.0-0", base);
		return checked(range, wish, error);
	}
	return checked(wish, wish, error);
}

char *setup_range_node(const char *wish, GError **error)
{
	static const struct {
		const char *name;
		const char *range;
	} lines[] = {{"argon", "4"}, {"boron", "6"}, {"carbon", "8"}, {"dubnium", "10"}, {"erbium", "12"}, {"fermium", "14"},
	        {"gallium", "16"}, {"hydrogen", "18"}, {"iron", "20"}, {"jod", "22"}, {"krypton", "24"},
	        /* every even line becomes one of long support */
	        {"*", "4 || 6 || 8 || 10 || 12 || 14 || 16 || 18 || 20 || 22 || 24 || 26 || 28 || 30"}};
	if (strcmp(wish, "latest") == 0 || strcmp(wish, "current") == 0 || strcmp(wish, "node") == 0)
		return g_strdup("*");
	if (g_ascii_strncasecmp(wish, "lts/", 4) != 0)
		return checked(wish, wish, error);
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
		if (g_ascii_strcasecmp(wish + 4, lines[i].name) == 0)
			return g_strdup(lines[i].range);
	fail(error, ASSAY_ERROR_USER, "'%s' is no line of long support that is known here; write its number", wish);
	return NULL;
}
