/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the steps share. Everything in the workspace was written by the job: paths are opened below workspace_fd, where
 * the kernel refuses to leave it, sizes are bounded, and what is not a regular file is not read.
 */
#include "ml-steps/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"

#define WRITE_FOLDER ".assay"

const char *step_input(MlContext *context, const char *name)
{
	json_t *value = json_object_get(context->inputs, name);
	const char *text = json_string_value(value);
	if (!text)
		return NULL;
	size_t len = strlen(text);
	size_t first = 0;
	while (g_ascii_isspace(text[first]))
		first++;
	if (first == len)
		return NULL;
	size_t last = len;
	while (g_ascii_isspace(text[last - 1]))
		last--;
	if (first > 0 || last < len) { /* kept trimmed, so that what is returned can be borrowed */
		g_autofree char *trimmed = g_strndup(text + first, last - first);
		json_object_set_new(context->inputs, name, json_string(trimmed));
		text = json_string_value(json_object_get(context->inputs, name));
	}
	return text;
}

const char *step_required(MlContext *context, const char *name, GError **error)
{
	const char *text = step_input(context, name);
	if (!text)
		fail(error, ASSAY_ERROR_USER, "the input '%s' is required; give it below `with:`", name);
	return text;
}

char **step_list(MlContext *context, const char *name)
{
	const char *text = step_input(context, name);
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) parts = g_strsplit_set(text ? text : "", ",\n", WORKSPACE_ITEMS_MAX);
	for (size_t i = 0; parts[i]; i++)
		if (g_strstrip(parts[i])[0] != '\0')
			g_ptr_array_add(items, g_strdup(parts[i]));
	g_ptr_array_add(items, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&items), FALSE);
}

json_t *step_pairs(MlContext *context, const char *name, GError **error)
{
	const char *text = step_input(context, name);
	g_autoptr(json_t) pairs = json_object();
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", WORKSPACE_ITEMS_MAX);
	for (size_t i = 0; lines[i]; i++) {
		char *line = g_strstrip(lines[i]);
		if (line[0] == '\0')
			continue;
		char *equals = strchr(line, '=');
		if (!equals || equals == line) {
			fail(error, ASSAY_ERROR_USER, "the input '%s': line %zu: '%.200s' is not name=value", name,
			        i + 1, line);
			return NULL;
		}
		*equals = '\0';
		json_set_string(pairs, g_strstrip(line), g_strstrip(equals + 1));
	}
	return g_steal_pointer(&pairs);
}

void step_output(MlContext *context, const char *name, const char *value)
{
	json_object_set_new(context->outputs, name, json_string_any(value ? value : "", value ? strlen(value) : 0));
}

void step_output_int(MlContext *context, const char *name, int64_t value)
{
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
	step_output(context, name, text);
}

bool step_ask(MlContext *context, const char *what, json_t *with, json_t **answer, GError **error)
{
	g_autoptr(json_t) taken = with;
	g_autoptr(json_t) got = NULL;
	if (!context->ask(context, what, taken, &got, error)) {
		g_prefix_error(error, "%s: ", what);
		return false;
	}
	if (!json_is_object(got))
		return fail(error, ASSAY_ERROR_SYSTEM, "%s: the answer is not an object", what);
	*answer = g_steal_pointer(&got);
	return true;
}

char *workspace_path(MlContext *context, const char *path, GError **error)
{
	const char *at = path;
	const char *inside = context->workspace_inside;
	size_t len = inside ? strlen(inside) : 0;
	if (len > 0 && strncmp(path, inside, len) == 0 && (path[len] == '/' || path[len] == '\0'))
		at = path + len;
	else if (path[0] == '/') {
		fail(error, ASSAY_ERROR_DENIED, "%s: not in the workspace; give a path relative to it", path);
		return NULL;
	}
	g_autoptr(GString) clean = g_string_new(NULL);
	g_auto(GStrv) parts = g_strsplit(at, "/", -1);
	for (size_t i = 0; parts[i]; i++) {
		if (parts[i][0] == '\0' || strcmp(parts[i], ".") == 0)
			continue;
		if (strcmp(parts[i], "..") == 0) {
			fail(error, ASSAY_ERROR_DENIED, "%s: '..' leads out of its folder; give a path without it", path);
			return NULL;
		}
		g_string_append_printf(clean, "%s%s", clean->len ? "/" : "", parts[i]);
	}
	if (clean->len == 0)
		g_string_append_c(clean, '.');
	return g_string_free(g_steal_pointer(&clean), FALSE);
}

bool workspace_has(MlContext *context, const char *path)
{
	autofd int fd = fd_open_beneath(context->workspace_fd, path, O_PATH, 0, true, NULL);
	return fd >= 0;
}

GBytes *workspace_read(MlContext *context, const char *path, size_t limit, GError **error)
{
	g_autofree char *relative = workspace_path(context, path, error);
	if (!relative)
		return NULL;
	autofd int fd = fd_open_beneath(context->workspace_fd, relative, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, true, error);
	if (fd < 0)
		return NULL;
	struct stat info;
	if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
		fail(error, ASSAY_ERROR_USER, "%s: not a regular file; name a file", relative);
		return NULL;
	}
	return fd_read_all(fd, limit, relative, error);
}

json_t *workspace_json(MlContext *context, const char *path, GError **error)
{
	g_autoptr(GBytes) bytes = workspace_read(context, path, WORKSPACE_TEXT_BYTES_MAX, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	return json_parse(text ? text : "", len, path, error);
}

char *workspace_write(MlContext *context, const char *name, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(WRITE_FOLDER, name, NULL);
	if (mkdirat(context->workspace_fd, WRITE_FOLDER, 0755) < 0 && errno != EEXIST) {
		fail_errno(error, errno, "cannot make the folder " WRITE_FOLDER " in the workspace");
		return NULL;
	}
	autofd int folder = fd_open_beneath(context->workspace_fd, WRITE_FOLDER, O_RDONLY | O_DIRECTORY, 0, false, error);
	if (folder < 0)
		return NULL;
	if (unlinkat(folder, name, 0) < 0 && errno != ENOENT) {
		fail_errno(error, errno, "cannot replace %s", path);
		return NULL;
	}
	autofd int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0) {
		fail_errno(error, errno, "cannot create %s", path);
		return NULL;
	}
	return fd_write_all(fd, text, strlen(text), path, error) ? g_steal_pointer(&path) : NULL;
}

json_t *step_report(const char *kind, const char *verdict, const char *sentence)
{
	json_t *report = json_object();
	json_set_int(report, "version", 1);
	json_set_string(report, "kind", kind);
	json_set_string(report, "verdict", verdict);
	json_set_string(report, "sentence", sentence);
	return report;
}

char *bytes_text(int64_t bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= 1000 && unit + 1 < G_N_ELEMENTS(units)) {
		value /= 1000;
		unit++;
	}
	return g_strdup_printf(unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

bool digest_valid(const char *text)
{
	size_t len = strspn(text, "0123456789abcdef");
	return len == 64 && text[len] == '\0';
}
