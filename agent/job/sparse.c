/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With `cone`, git's file holds patterns of a fixed form, and what is wanted is: files of the root, files of the folders
 * on the way to a named one, and all below that. Without, the patterns are those of .gitignore, to keep and not to leave out.
 */
#include "agent/job/sparse.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/job/files.h"

#define LINES_MAX 10000

struct Sparse {
	bool cone;
	GPtrArray *lines; /* char *: folders without slashes around, or patterns */
	GString *text;
};

/* git's way to write folders: parents first, each with what is not below it. */
static void write_cone(Sparse *sparse)
{
	g_autoptr(GHashTable) written = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_string_append(sparse->text, "/*\n!/*/\n");
	for (guint i = 0; i < sparse->lines->len; i++) {
		const char *folder = sparse->lines->pdata[i];
		for (const char *slash = strchr(folder, '/'); slash; slash = strchr(slash + 1, '/')) {
			g_autofree char *parent = g_strndup(folder, (size_t)(slash - folder));
			if (!g_hash_table_contains(written, parent))
				g_string_append_printf(sparse->text, "/%s/\n!/%s/*/\n", parent, parent);
			g_hash_table_add(written, g_steal_pointer(&parent));
		}
		if (g_hash_table_add(written, g_strdup(folder)))
			g_string_append_printf(sparse->text, "/%s/\n", folder);
	}
}

Sparse *sparse_new(const char *patterns, bool cone, GError **error)
{
	g_autoptr(Sparse) sparse = g_new0(Sparse, 1);
	sparse->cone = cone;
	sparse->lines = g_ptr_array_new_with_free_func(g_free);
	sparse->text = g_string_new(NULL);
	g_auto(GStrv) lines = g_strsplit(patterns, "\n", LINES_MAX);
	for (char **line = lines; *line; line++) {
		char *at = g_strstrip(*line);
		if (!at[0] || (!cone && at[0] == '#'))
			continue;
		if (cone) {
			while (*at == '/')
				at++;
			while (g_str_has_suffix(at, "/"))
				at[strlen(at) - 1] = '\0';
			if (strpbrk(at, "*?[\\!") || strstr(at, "..")) {
				fail(error, ASSAY_ERROR_USER, "sparse-checkout: '%s' is no folder; for patterns set "
				     "'sparse-checkout-cone-mode: false'", at);
				return NULL;
			}
			if (!at[0] || strcmp(at, ".") == 0)
				continue;
		} else {
			g_string_append_printf(sparse->text, "%s\n", at);
		}
		g_ptr_array_add(sparse->lines, g_strdup(at));
	}
	if (cone)
		write_cone(sparse);
	return g_steal_pointer(&sparse);
}

void sparse_free(Sparse *sparse)
{
	if (!sparse)
		return;
	g_ptr_array_unref(sparse->lines);
	g_string_free(sparse->text, TRUE);
	g_free(sparse);
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);
	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static bool cone_wants(const Sparse *sparse, const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return true;
	g_autofree char *parent = g_strndup(path, (size_t)(slash - path));
	for (guint i = 0; i < sparse->lines->len; i++) {
		const char *folder = sparse->lines->pdata[i];
		if (is_below(path, folder) || is_below(folder, parent))
			return true;
	}
	return false;
}

/* Does one pattern fit this file or folder? */
static bool fits(const char *pattern, const char *path, bool is_folder)
{
	g_autofree char *own = g_strdup(pattern);
	size_t len = strlen(own);
	if (len > 0 && own[len - 1] == '/') {
		if (!is_folder)
			return false;
		own[len - 1] = '\0';
	}
	bool anchored = strchr(own, '/') != NULL;
	const char *at = own[0] == '/' ? own + 1 : own;
	if (anchored)
		return files_match(at, path);
	const char *slash = strrchr(path, '/');
	return files_match(at, slash ? slash + 1 : path);
}

/* The last pattern that fits the file, or else the nearest of its folders for which one does. */
static bool pattern_wants(const Sparse *sparse, const char *path)
{
	g_autofree char *part = g_strdup(path);
	bool is_folder = false;
	for (;;) {
		for (guint i = sparse->lines->len; i > 0; i--) {
			const char *pattern = sparse->lines->pdata[i - 1];
			bool out = pattern[0] == '!';
			if (fits(pattern + out, part, is_folder))
				return !out;
		}
		char *slash = strrchr(part, '/');
		if (!slash)
			return false;
		*slash = '\0';
		is_folder = true;
	}
}

bool sparse_wants(const Sparse *sparse, const char *path)
{
	return sparse->cone ? cone_wants(sparse, path) : pattern_wants(sparse, path);
}

const char *sparse_text(const Sparse *sparse)
{
	return sparse->text->str;
}
