/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assay/dataset: writes a version of a dataset into the workspace, or, as `models/NAME`, a version of a registered
 * model (by number or alias; default: the release). With `if-missing: skip` a first run goes on without one.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/objects/objects.h"
#include "ml-steps/workspace.h"

#define MODELS "models/"

/* What to ask for: a number is a version, anything else is an alias, which only models have. */
static json_t *get_request(MlContext *context, const char *name, bool model, GError **error)
{
	const char *version = step_input(context, "version");
	const char *digest = step_input(context, "digest");
	g_autoptr(json_t) with = json_object();
	json_set_string(with, "name", model ? name + strlen(MODELS) : name);
	int64_t number = 0;
	if (digest && (version || model)) {
		fail(error, ASSAY_ERROR_USER, "digest: %s; leave it out",
		        model ? "a model is named by version or alias" : "version and digest name the same thing twice");
		return NULL;
	}
	if (digest && !digest_valid(digest)) {
		fail(error, ASSAY_ERROR_USER, "digest: '%.100s' is not 64 lower-case hex characters", digest);
		return NULL;
	}
	if (digest)
		json_set_string(with, "digest", digest);
	if (version && g_ascii_string_to_signed(version, 10, 1, G_MAXINT64, &number, NULL))
		json_set_int(with, "version", number);
	else if (version && model)
		json_set_string(with, "alias", version);
	else if (version && strcmp(version, "latest") != 0) {
		fail(error, ASSAY_ERROR_USER, "version: '%.100s' is not a number; leave it out for the newest", version);
		return NULL;
	}
	return g_steal_pointer(&with);
}

/* Takes the write permission from the files of a tree that was written to `path`. */
static bool make_readonly(MlContext *context, Objects *objects, const char *digest, const char *path, GError **error)
{
	g_autoptr(json_t) entries = objects_list(objects, digest, error);
	if (!entries)
		return false;
	for (size_t i = 0; i < json_array_size(entries); i++) {
		const json_t *entry = json_array_get(entries, i);
		const char *inside = json_get_string(entry, "path", "");
		if (json_object_get(entry, "link"))
			continue;
		g_autofree char *file = g_build_filename(path, inside, NULL);
		autofd int fd = fd_open_beneath(context->workspace_fd, file, O_RDONLY | O_NONBLOCK, 0, false, NULL);
		if (fd < 0) /* a tree of one file lies at the path itself */
			fd = fd_open_beneath(context->workspace_fd, path, O_RDONLY | O_NONBLOCK, 0, false, error);
		struct stat info;
		if (fd < 0)
			return false;
		if (fstat(fd, &info) < 0 || (S_ISREG(info.st_mode) && fchmod(fd, info.st_mode & 0555) < 0))
			return fail_errno(error, errno, "cannot make %s read-only", file);
	}
	return true;
}

static bool read_modes(MlContext *context, bool *out_readonly, bool *out_skip, GError **error)
{
	const char *mode = step_input(context, "mode");
	const char *missing = step_input(context, "if-missing");
	*out_readonly = g_strcmp0(mode, "readonly") == 0;
	*out_skip = g_strcmp0(missing, "skip") == 0;
	if (mode && !*out_readonly && strcmp(mode, "copy") != 0)
		return fail(error, ASSAY_ERROR_USER, "mode: '%s' is neither 'copy' nor 'readonly'", mode);
	if (missing && !*out_skip && strcmp(missing, "error") != 0)
		return fail(error, ASSAY_ERROR_USER, "if-missing: '%s' is neither 'error' nor 'skip'", missing);
	return true;
}

static bool restore(MlContext *context, const json_t *found, const char *path, bool readonly, GError **error)
{
	const char *digest = json_get_string(found, "digest", "");
	g_autoptr(Objects) objects = objects_open(context->store_folder, error);
	if (!objects || !objects_restore(objects, digest, context->workspace_fd, path, false, error))
		return false;
	return !readonly || make_readonly(context, objects, digest, path, error);
}

static bool dataset_run(MlContext *context, GError **error)
{
	const char *name = step_required(context, "name", error);
	bool readonly = false;
	bool skip = false;
	if (!name || !read_modes(context, &readonly, &skip, error))
		return false;
	bool model = g_str_has_prefix(name, MODELS);
	const char *given = step_input(context, "path");
	g_autofree char *path = workspace_path(context, given ? given : name, error);
	if (path && given && g_str_has_suffix(given, "/")) { /* a single file goes into the folder, not in its place */
		g_autofree char *bare = g_steal_pointer(&path);
		path = g_strconcat(bare, "/", NULL);
	}
	json_t *with = path ? get_request(context, name, model, error) : NULL;
	if (!with)
		return false;
	g_autoptr(json_t) found = NULL;
	g_autoptr(GError) why = NULL;
	if (!step_ask(context, model ? "model.get" : "dataset.get", with, &found, &why)) {
		if (!skip || !g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_ABSENT)) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		context->log(context, "There is no %s yet; going on without it.", name);
		step_output(context, "digest", "");
		step_output(context, "version", "");
		step_output(context, "path", "");
		return true;
	}
	if (!restore(context, found, path, readonly, error)) {
		g_prefix_error(error, "%s %" G_GINT64_FORMAT ": ", name, json_get_int(found, "version", 0));
		return false;
	}
	const char *digest = json_get_string(found, "digest", "");
	context->log(context, "%s %" G_GINT64_FORMAT " (%.12s) is in %s.", name, json_get_int(found, "version", 0), digest,
	        path);
	step_output(context, "digest", digest);
	step_output_int(context, "version", json_get_int(found, "version", 0));
	step_output(context, "path", path);
	return true;
}

static const MlInput inputs[] = {
        {"name", true, NULL, "a dataset, or 'models/NAME' for a registered model"},
        {"version", false, NULL, "its number; for a model also an alias; default: the newest, or the release"},
        {"digest", false, NULL, "of a dataset's version, in place of its number"},
        {"path", false, NULL, "where it goes in the workspace; 'folder/' puts a single file into it; default: the name"},
        {"mode", false, "copy", "'copy', or 'readonly': its files cannot be written"},
        {"if-missing", false, "error", "'error', or 'skip': go on with empty outputs"},
        {0},
};
static const MlOutput outputs[] = {
        {"digest", "of the tree; empty when it was skipped"},
        {"version", "its number"},
        {"path", "where it is"},
        {0},
};
extern const MlStep ml_step_dataset;
const MlStep ml_step_dataset = {
        .name = "dataset",
        .summary = "writes a version of a dataset or a registered model into the workspace",
        .inputs = inputs,
        .outputs = outputs,
        .run = dataset_run,
};
