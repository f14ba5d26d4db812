/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First the plan, then, where its result is not kept, one layer after the other; each is kept by itself, so that a build
 * that failed goes on where it ended. All that it needs of the disk lies in the task's folder, and goes with that at the
 * latest.
 */
#include "agent/job/build.h"

#include <fcntl.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/build_private.h"

bool build_check(const char *uses, const char *image, GError **error)
{
	g_autofree char *base = g_path_get_basename(image && image[0] ? image : "-");
	g_autofree char *lower = g_ascii_strdown(base, -1);
	g_auto(GStrv) parts = g_strsplit(image ? image : "", "/", -1);
	if (!strstr(lower, "dockerfile"))
		return fail(error, ASSAY_ERROR_USER, "%s: its image '%s' is neither docker://… nor the path of a Dockerfile", uses,
		        image ? image : "");
	bool leaves = image[0] == '/';
	for (char **part = parts; *part; part++)
		leaves = leaves || strcmp(*part, "..") == 0;
	return !leaves || fail(error, ASSAY_ERROR_USER, "%s: its image '%s' lies outside of the action's folder", uses, image);
}

bool build_is_kept(const Job *job, const char *key)
{
	g_autofree char *store = g_build_filename(json_get_string(job->spec, "data", "."), "images", NULL);
	const PlaceImage image = {.store = store, .settings = json_object_get(job->spec, "images"), .made = key};
	return executor_find("container")->maker->find(&image, job->owner.uid, job->owner.gid);
}

bool build_finds(Build *build, const char *key)
{
	const PlaceImage image = {.store = build->store, .settings = build->settings, .made = key};
	return build->maker->find(&image, build->job->owner.uid, build->job->owner.gid);
}

static void op_free(gpointer data)
{
	BuildOp *op = data;
	g_free(op->shown);
	g_free(op->from);
	g_free(op->key);
	g_strfreev(op->argv);
	g_strfreev(op->env);
	g_free(op->user);
	g_free(op->folder);
	g_free(op->stage);
	g_free(op->take_from);
	g_strfreev(op->take);
	g_free(op->dest);
	g_free(op->mode);
	g_free(op->owner);
	g_free(op);
}

static void build_clear(Build *build)
{
	tree_remove(build->job->task->folder_fd, "build", NULL);
	build_context_clear(&build->context);
	autofd_close(&build->context.folder_fd);
	dockerfile_free(build->file);
	g_ptr_array_unref(build->ops);
	json_decref(build->settings);
	json_decref(build->config);
	g_free(build->name);
	g_free(build->store);
	g_free(build->folder);
	g_free(build->conditions);
	g_free(build->last);
	g_free(build->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Build, build_clear)

/* What a command could find otherwise in another job: such jobs do not share what they build. */
static char *conditions_of(const Job *job)
{
	static const char *const kept[] = {"memory_bytes", "processes", "file_bytes", "open_files"};
	g_autofree const char **allow = job_allow(job);
	g_autoptr(json_t) all = json_pack("{s:i,s:b,s:i}", "version", 1, "untrusted", json_get_bool(job->spec, "untrusted", false),
	        "network", (int)job_network(job));
	g_autoptr(json_t) reach = json_array();
	for (const char **one = allow; one && *one; one++)
		json_array_append_new(reach, json_string(*one));
	if (allow)
		json_object_set(all, "allow", reach);
	for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
		json_set_int(all, kept[i], json_get_int(json_object_get(job->spec, "limits"), kept[i], 0));
	return json_text(all);
}

/* ---- carrying it out ---- */

/* What a command has changed becomes a layer. */
static bool keep(Build *build, const BuildOp *op, const char *scratch, int64_t *sum, GError **error)
{
	const ImageAddition addition = {.store = build->store, .settings = build->settings, .uid = build->job->owner.uid,
	        .gid = build->job->owner.gid, .from = op->from, .key = op->key, .scratch = scratch, .config = build->config};
	int64_t bytes = 0;
	int64_t most = json_get_int(json_object_get(build->job->spec, "limits"), "disk_bytes", 0);
	if (!build->maker->add(&addition, &bytes, error))
		return false;
	*sum += bytes;
	return most <= 0 || *sum <= most ||
	       fail(error, ASSAY_ERROR_USER, "the image's layers have more bytes than a job may write, %" G_GINT64_FORMAT, most);
}

static bool take_files(Build *build, const BuildOp *op, GError **error)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_ptr_array_add(argv, (char *)(uintptr_t)BUILD_COPIER);
	g_ptr_array_add(argv, (char *)(uintptr_t)"take");
	for (char **path = op->take; *path; path++)
		g_ptr_array_add(argv, *path);
	g_ptr_array_add(argv, NULL);
	g_autofree char *scratch = g_build_filename(build->folder, "root", NULL);
	const BuildCommand command = {.name = "COPY", .made = op->take_from, .argv = (const char *const *)argv->pdata, .user = "0",
	        .folder = "/", .stage = op->stage, .stage_is_writable = true, .scratch = scratch};
	bool good = build_command(build, &command, error);
	return fd_remove_tree(scratch, good ? error : NULL) && good;
}

static bool carry_out(Build *build, const BuildOp *op, int64_t *sum, GError **error)
{
	g_autofree char *scratch = g_build_filename(build->folder, "root", NULL);
	const char *const put[] = {BUILD_COPIER, "put", op->dest, op->dest_is_folder ? "/" : "-", op->mode, op->owner, NULL};
	const BuildCommand command = {.name = op->argv ? "RUN" : "COPY",
	        .made = op->from,
	        .argv = op->argv ? (const char *const *)op->argv : put,
	        .env = (const char *const *)op->env,
	        .user = op->user,
	        .folder = op->folder,
	        .stage = op->stage,
	        .scratch = scratch};
	if (op->take_from && !take_files(build, op, error))
		return false;
	bool good = build_command(build, &command, error) && keep(build, op, scratch, sum, error);
	return fd_remove_tree(scratch, good ? error : NULL) && good;
}

static bool make_layers(Build *build, GError **error)
{
	Job *job = build->job;
	int64_t sum = 0;
	for (guint i = 0; i < build->ops->len; i++) {
		const BuildOp *op = build->ops->pdata[i];
		bool kept = build_finds(build, op->key);
		joblog_sayf(job->log, "", "[%u/%u] %s%s", i + 1, build->ops->len, op->shown, kept ? " (kept)" : "");
		joblog_flush(job->log, NULL);
		if (!kept && !carry_out(build, op, &sum, error)) {
			g_prefix_error(error, "%s:%d: %s: ", build->name, op->line, op->shown);
			return false;
		}
	}
	const BuildOp last = {.from = build->last, .key = build->key};
	return keep(build, &last, NULL, &sum, error);
}

/* ---- the whole ---- */

static bool open_file(Build *build, const BuildSource *source, GError **error)
{
	Job *job = build->job;
	g_autofree char *path = g_build_filename(source->work, source->image, NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	g_autofree char *base = g_path_get_basename(path);
	g_autoptr(GError) why = NULL;
	build->context.folder_fd = fd_open_beneath(job->work_fd, folder, O_RDONLY | O_DIRECTORY, 0, false, &why);
	g_autoptr(GBytes) bytes = build->context.folder_fd < 0 ? NULL
	                                                       : tree_read_file(build->context.folder_fd, base, DOCKERFILE_BYTES_MAX, &why);
	if (!bytes)
		return fail(error, why->code == ASSAY_ERROR_ABSENT ? ASSAY_ERROR_USER : (AssayError)why->code, "%s cannot be read: %s",
		        build->name, why->message);
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	build->file = dockerfile_parse(text ? text : "", len, build->name, error);
	return build->file && build_context_open(&build->context, base, error);
}

static bool make_folders(Build *build, GError **error)
{
	Job *job = build->job;
	if (!tree_remove(job->task->folder_fd, "build", error))
		return false;
	autofd int folder = tree_make_folder(job->task->folder_fd, "build", job->owner, error);
	autofd int empty = folder < 0 ? -1 : tree_make_folder(folder, "empty", job->owner, error);
	g_autofree char *copier = g_build_filename(build->folder, "copy", NULL);
	static const char apt[] = "APT::Sandbox::User \"root\";\n";
	return empty >= 0 && build->maker->write_copier(copier, error) &&
	       tree_write_file(folder, "apt.conf", apt, strlen(apt), 0644, job->owner, error);
}

static bool make_image(Build *build, const BuildSource *source, GError **error)
{
	Job *job = build->job;
	int64_t start = monotonic_us();
	joblog_sayf(job->log, "##[group]", "Build container for action use: '%s/%s'.", source->inside, source->image);
	joblog_flush(job->log, NULL);
	bool good = make_folders(build, error) && open_file(build, source, error) && build_plan(build, error);
	bool kept = good && build_finds(build, build->key);
	good = good && (kept || make_layers(build, error));
	if (good)
		joblog_sayf(job->log, "", "Image sha256:%s, %u layers, %s after %.1f s", build->key, build->ops->len,
		        kept ? "kept, ready" : "built", (double)(monotonic_us() - start) / 1e6);
	joblog_say(job->log, "##[endgroup]", "");
	joblog_flush(job->log, NULL);
	return good;
}

bool build_image(Job *job, const BuildSource *source, char **out_key, GError **error)
{
	const Executor *executor = executor_find("container");
	if (!build_check(source->uses, source->image, error))
		return false;
	if (!executor || !executor->maker)
		return fail(error, ASSAY_ERROR_SYSTEM, "this worker cannot make images");
	g_auto(Build) build = {.job = job,
	        .maker = executor->maker,
	        .name = g_strdup_printf("%s/%s", source->uses, source->image),
	        .store = g_build_filename(json_get_string(job->spec, "data", "."), "images", NULL),
	        .folder = g_build_filename(job->task->folder, "build", NULL),
	        .settings = json_copy(json_object_get(job->spec, "images")),
	        .conditions = conditions_of(job),
	        .ops = g_ptr_array_new_with_free_func(op_free)};
	if (!build.settings)
		build.settings = json_object();
	json_set_bool(build.settings, "untrusted", json_get_bool(job->spec, "untrusted", false));
	build.context = (BuildContext){.folder_fd = -1, .owner = job->owner, .stopped = job_is_stopped, .data = job,
	        .bytes_max = json_get_int(json_object_get(job->spec, "limits"), "disk_bytes", 0)};
	job->build_cause = NULL;
	joblog_pause_commands(job->log, true); /* what is printed here is nobody's command */
	bool good = make_image(&build, source, error);
	joblog_pause_commands(job->log, false);
	if (good)
		*out_key = g_strdup(build.key);
	return good;
}
