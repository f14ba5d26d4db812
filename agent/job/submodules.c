/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .gitmodules is written by whoever can push. It is read here and not by libgit2, whose reader would follow
 * `include.path` to any file; what it names is checked before anything is made of it: a name becomes a folder in .git,
 * a path one in the workspace, and a url is asked with what the job has.
 */
#include "agent/job/submodules.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/job/git.h"
#include "agent/job/mirror.h"

#define SUBMODULES_MAX 500
#define URL_BYTES_MAX 4096

static void submodule_free(gpointer data)
{
	Submodule *module = data;
	g_free(module->name);
	g_free(module->path);
	g_free(module->url);
	g_free(module);
}

static bool is_safe_path(const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	for (char **part = parts; *part; part++)
		if (!git_name_is_safe(*part))
			return false;
	return path[0] && path[0] != '-';
}

/* The text of a value: quotes and backslashes as git has them, comments left out. */
static char *read_value(const char *text)
{
	g_autoptr(GString) out = g_string_new(NULL);
	bool quoted = false;
	for (; *text; text++) {
		if (*text == '"') {
			quoted = !quoted;
		} else if (*text == '\\' && text[1]) {
			text++;
			g_string_append_c(out, *text == 'n' ? '\n' : *text == 't' ? '\t' : *text);
		} else if (!quoted && (*text == '#' || *text == ';')) {
			break;
		} else {
			g_string_append_c(out, *text);
		}
	}
	return g_strstrip(g_string_free(g_steal_pointer(&out), FALSE));
}

/* [submodule "NAME"]: the name; NULL for other sections. */
static char *read_section(const char *line)
{
	static const char begin[] = "[submodule";
	if (g_ascii_strncasecmp(line, begin, strlen(begin)) != 0)
		return NULL;
	const char *open = strchr(line, '"');
	const char *close = open ? strrchr(line, '"') : NULL;
	if (!open || close == open || close[1] != ']')
		return NULL;
	g_autofree char *quoted = g_strndup(open + 1, (size_t)(close - open - 1));
	return strchr(quoted, '"') ? NULL : g_strdup(quoted);
}

GPtrArray *submodules_read(const char *text, size_t len)
{
	GPtrArray *modules = g_ptr_array_new_with_free_func(submodule_free);
	g_autofree char *copy = g_strndup(text ? text : "", len);
	g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
	Submodule *module = NULL;
	for (char **line = lines; *line; line++) {
		const char *at = g_strstrip(*line);
		if (at[0] == '[') {
			g_autofree char *name = read_section(at);
			module = NULL;
			if (!name || !is_safe_path(name) || modules->len >= SUBMODULES_MAX)
				continue;
			module = g_new0(Submodule, 1);
			module->name = g_steal_pointer(&name);
			g_ptr_array_add(modules, module);
			continue;
		}
		const char *equals = strchr(at, '=');
		if (!module || !equals)
			continue;
		g_autofree char *key = g_strstrip(g_strndup(at, (size_t)(equals - at)));
		char **field = g_ascii_strcasecmp(key, "path") == 0 ? &module->path : g_ascii_strcasecmp(key, "url") == 0 ? &module->url : NULL;
		if (field) {
			g_free(*field);
			*field = read_value(equals + 1);
		}
	}
	for (guint i = modules->len; i > 0; i--) {
		const Submodule *one = modules->pdata[i - 1];
		if (!one->url || !one->url[0] || !one->path || !is_safe_path(one->path))
			g_ptr_array_remove_index(modules, i - 1);
	}
	return modules;
}

/* "../x.git" of "https://host/a/b.git" is "https://host/a/x.git". */
static char *join(const char *base, const char *relative)
{
	g_autofree char *out = g_strdup(base);
	while (g_str_has_suffix(out, "/"))
		out[strlen(out) - 1] = '\0';
	for (;;) {
		if (g_str_has_prefix(relative, "./")) {
			relative += 2;
			continue;
		}
		if (!g_str_has_prefix(relative, "../"))
			break;
		relative += 3;
		char *slash = strrchr(out, '/');
		char *colon = strrchr(out, ':');
		const char *scheme = strstr(out, "://");
		if (slash && (!scheme || slash > scheme + 2))
			*slash = '\0';
		else if (!scheme && colon && colon > slash)
			colon[1] = '\0'; /* git@host:name: what is above it is the host */
		else
			return NULL;
	}
	return g_strconcat(out, g_str_has_suffix(out, ":") ? "" : "/", relative, NULL);
}

char *submodules_address(const char *super_url, const char *url, GError **error)
{
	bool relative = g_str_has_prefix(url, "./") || g_str_has_prefix(url, "../");
	g_autofree char *whole = relative ? join(super_url, url) : g_strdup(url);
	g_autofree char *local = whole ? mirror_local_path(whole) : NULL;
	g_autofree char *host = whole ? mirror_host(whole) : NULL;
	g_autofree char *super_local = mirror_local_path(super_url);
	bool good = whole && strlen(whole) <= URL_BYTES_MAX && whole[0] != '-' && !strstr(whole, "::");
	for (const char *at = whole; good && *at; at++)
		good = (unsigned char)*at > ' ' && *at != 0x7f;
	if (good && local) { /* beside the superproject, and nowhere else of this machine */
		g_autofree char *folder = super_local ? g_path_get_dirname(super_local) : NULL;
		g_autofree char *beside = folder ? g_strconcat(folder, "/", NULL) : NULL;
		good = beside && g_str_has_prefix(local, beside) && !strstr(local, "/../") && !g_str_has_suffix(local, "/..");
	} else if (good) {
		good = host && host[0] != '-' && (g_str_has_prefix(whole, "https://") || g_str_has_prefix(whole, "ssh://") ||
		        (g_str_has_prefix(whole, "http://") && g_str_has_prefix(super_url, "http://")) || !strstr(whole, "://"));
	}
	if (good)
		return g_steal_pointer(&whole);
	fail(error, ASSAY_ERROR_DENIED, "a submodule comes from '%.200s': https and ssh are allowed, and what is beside a "
	     "superproject that is a local repository", url);
	return NULL;
}
