/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job from job.json to its last event: the log, the place, the contexts, the steps, the outputs. When it ends, nothing
 * of it runs any more, whatever went wrong on the way.
 */
#include "agent/job/job.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/action_run.h"
#include "agent/job/action_use.h"
#include "agent/job/calls.h"
#include "agent/job/confine.h"
#include "agent/job/containers.h"
#include "agent/job/contexts.h"
#include "agent/job/energy.h"
#include "agent/job/limits.h"
#include "agent/job/matcher.h"
#include "agent/job/service.h"
#include "agent/job/steps.h"

#define OUTPUT_BYTES_MAX (512 * 1024)

int64_t job_deadline(const Job *job)
{
	if (job->deadline_us && job->step_deadline_us)
		return MIN(job->deadline_us, job->step_deadline_us);
	return MAX(job->deadline_us, job->step_deadline_us);
}

int job_open_workspace(Job *job, GError **error)
{
	return tree_make_folder(job->work_fd, job->workspace, job->owner, error);
}

Objects *job_open_store(Job *job, GError **error)
{
	g_autofree char *folder = g_build_filename(json_get_string(job->spec, "data", "."), "objects", NULL);
	return objects_open(folder, error);
}

int job_restore(Job *job, const char *digest, const char *stage, GError **error)
{
	g_autoptr(Objects) objects = job_open_store(job, error);
	if (!objects || !tree_remove(job->task->folder_fd, stage, error))
		return -1;
	autofd int fd = tree_make_folder(job->task->folder_fd, stage, (TreeOwner){0}, error);
	mode_t ours = umask(022); /* what is copied on from there keeps its modes */
	bool good = fd >= 0 && objects_restore(objects, digest, fd, ".", false, error);
	umask(ours);
	if (good)
		return fd_steal(&fd);
	tree_remove(job->task->folder_fd, stage, NULL);
	return -1;
}

static TreeOwner owner_of(const json_t *spec)
{
	TreeOwner owner = {.uid = (uid_t)json_get_int(spec, "uid", 0)};
	owner.gid = (gid_t)json_get_int(spec, "gid", (int64_t)owner.uid);
	owner.change = geteuid() == 0 && owner.uid != 0;
	return owner;
}

/* The last part of the repo's name: its workspace is the folder NAME/NAME, as GitHub has it. */
static const char *workspace_name(const Task *task)
{
	const char *repo = task_repo_name(task);
	const char *slash = strrchr(repo, '/');
	const char *name = slash ? slash + 1 : repo;
	return name[0] && name[0] != '.' ? name : "repo";
}

static const char *const kept_of_home[] = {"work", NULL}; /* the place mounts work there */

bool job_strip_folders(const Task *task, bool begins, GError **error)
{
	const char *name = workspace_name(task);
	g_autofree char *inner = g_strconcat(name, "/", name, NULL);
	const char *const work[] = {"_temp", name, inner, NULL};
	const TreeOwner owner = owner_of(task->spec);
	const TreeOwner *wanted = begins ? &owner : NULL;
	return tree_strip(task->folder_fd, "work", work, wanted, error) &&
	       tree_strip(task->folder_fd, "home", kept_of_home, wanted, error);
}

bool job_has_emptied(const Task *task)
{
	const char *name = workspace_name(task);
	g_autofree char *inner = g_strconcat(name, "/", name, NULL);
	const char *const work[] = {"_temp", name, inner, NULL};
	return tree_is_stripped(task->folder_fd, "work", work) && tree_is_stripped(task->folder_fd, "home", kept_of_home);
}

/* Opens work/ and home/ in the task's folder and gives them to the job's user; they may be an earlier job's. */
static bool make_folders(Job *job, GError **error)
{
	if (!job_strip_folders(job->task, true, error))
		return false;
	job->work_fd = tree_make_folder(job->task->folder_fd, "work", job->owner, error);
	autofd int mountpoint = job->work_fd < 0 ? -1 : tree_make_folder(job->task->folder_fd, "home/work", job->owner, error);
	autofd int temporary = mountpoint < 0 ? -1 : tree_make_folder(job->work_fd, "_temp", job->owner, error);
	if (temporary < 0)
		return false;
	const char *name = workspace_name(job->task);
	job->workspace = g_strdup_printf("%s/%s", name, name);
	job->workspace_path = g_build_filename(job->task->folder, "work", job->workspace, NULL);
	autofd int workspace = job_open_workspace(job, error);
	return workspace >= 0;
}

PlaceNetwork job_network(const Job *job)
{
	PlaceNetwork network;
	return place_network_parse(json_get_string(job->spec, "network", "none"), &network) ? network : PLACE_NETWORK_NONE;
}

static const char **texts_of(const json_t *list)
{
	size_t count = json_array_size(list);
	if (!json_is_array(list))
		return NULL;
	const char **out = g_new0(const char *, count + 1);
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		out[i] = text ? text : "";
	}
	return out;
}

const char **job_allow(const Job *job)
{
	return texts_of(json_object_get(job->spec, "allow"));
}

const char **job_devices(const Job *job)
{
	return texts_of(json_object_get(job->spec, "devices"));
}

/* The place's folder in memory, or _temp on the disk: files that live for one step are not worth an inode there. */
bool job_open_runner(Job *job, GError **error)
{
	bool in_memory = job->place->runner_fd >= 0;
	if (in_memory && job->runner_fd >= 0)
		return true;
	int fd = in_memory ? fd_duplicate(job->place->runner_fd, error)
	                   : tree_make_folder(job->work_fd, "_temp", job->owner, error);
	if (fd < 0)
		return false;
	autofd_close(&job->runner_fd);
	job->runner_fd = fd;
	if (!job->runner_inside)
		job->runner_inside = in_memory ? g_strdup(job->place->runner_inside)
		                               : g_strconcat(job->place->work_inside, "/_temp", NULL);
	return true;
}

bool job_is_stopped(void *data)
{
	Job *job = data;
	return task_is_cancelled(job->task) || (job_deadline(job) && monotonic_us() >= job_deadline(job));
}

void job_say(void *data, const char *text)
{
	Job *job = data;
	joblog_say(job->log, "", text);
	joblog_flush(job->log, NULL);
}

void job_set_limits(const Job *job, PlaceSpec *spec)
{
	const json_t *limits = json_object_get(job->spec, "limits");
	spec->memory_bytes = json_get_int(limits, "memory_bytes", 0);
	spec->processes = json_get_int(limits, "processes", 0);
	spec->file_bytes = json_get_int(limits, "file_bytes", 0);
	spec->open_files = json_get_int(limits, "open_files", 0);
	spec->cpus = json_get_real(limits, "cpus", 0);
	spec->read_bytes_s = json_get_int(limits, "read_bytes_s", 0);
	spec->write_bytes_s = json_get_int(limits, "write_bytes_s", 0);
}

static bool open_place(Job *job, GError **error)
{
	const char *name = json_get_string(job->spec, "executor", "sandbox");
	job->executor = executor_find(name);
	if (!job->executor)
		return fail(error, ASSAY_ERROR_USER, "executor '%s' is not known; see 'assay doctor'", name);
	const json_t *given = json_object_get(job->spec, "mounts");
	size_t count = json_array_size(given);
	g_autofree PlaceMount *mounts = g_new0(PlaceMount, count + 1);
	for (size_t i = 0; i < count; i++) {
		const json_t *mount = json_array_get(given, i);
		mounts[i] = (PlaceMount){.source = json_get_string(mount, "source", ""),
		        .target = json_get_string(mount, "target", ""),
		        .writable = json_get_bool(mount, "writable", false)};
	}
	g_autofree char *work = g_build_filename(job->task->folder, "work", NULL);
	g_autofree char *home = g_build_filename(job->task->folder, "home", NULL);
	g_autofree const char **allow = job_allow(job);
	g_autofree const char **devices = job_devices(job);
	PlaceSpec spec = {.work_folder = work,
	        .home_folder = home,
	        .mounts = mounts,
	        .mounts_len = count,
	        .network = job_network(job),
	        .devices = devices,
	        .allow = allow,
	        .uid = job->owner.uid,
	        .gid = job->owner.gid,
	        .service = true,
	        .hostname = "assay"};
	job_set_limits(job, &spec);
	if (containers_are_asked(job) && strcmp(name, "null") != 0) {
		/* What names images and services may hold expressions; where things lie is not known yet. */
		if (!contexts_fill_env(job, error) || !containers_open(job, &spec, error))
			return false;
		job->place_env = containers_env(job);
	} else {
		mode_t ours = umask(022);
		bool opened = job->executor->open(&spec, &job->place, error);
		umask(ours);
		if (!opened)
			return false;
	}
	if (!job_open_runner(job, error))
		return false;
	json_t *event = task_event(EVENT_ISOLATION);
	json_set_string(event, "executor", job->executor->name);
	json_set_string(event, "level", job->place->isolation);
	json_t *missing = json_array();
	for (guint i = 0; job->place->missing && i < job->place->missing->len; i++)
		json_array_append_new(missing, json_string(job->place->missing->pdata[i]));
	json_set(event, "missing", missing);
	job->workspace_inside = g_strconcat(job->place->work_inside, "/", job->workspace, NULL);
	return task_emit_later(job->task, event, error);
}

bool job_write_event(Job *job, GError **error)
{
	const char *path = json_get_string(job->spec, "event_file", NULL);
	const json_t *event = json_object_get(json_object_get(job->contexts, "github"), "event");
	g_autoptr(GBytes) bytes = path ? fd_read_file(path, TASK_SPEC_BYTES_MAX, error) : NULL;
	if (path && !bytes)
		return false;
	gsize len = 0;
	const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	char *raw = bytes ? NULL : json_dumps(event, JSON_INDENT(2) | JSON_ENCODE_ANY);
	if (!bytes) {
		text = raw ? raw : "{}";
		len = strlen(text);
	}
	autofd int folder = tree_make_folder(job->runner_fd, job->place->image ? "." : "_github_workflow", job->owner, error);
	bool done = folder >= 0 && tree_write_file(folder, "event.json", text, len, 0644, job->owner, error);
	free(raw);
	return done;
}

/* `assay run`: the job starts in a copy of the working tree. */
static bool copy_local(Job *job, GError **error)
{
	const char *local = json_get_string(job->spec, "local", NULL);
	if (!local)
		return true;
	autofd int from = open(local, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return fail_errno(error, errno, "cannot open %s", local);
	autofd int workspace = job_open_workspace(job, error);
	return workspace >= 0 &&
	       tree_copy(from, workspace, json_get_string(job->spec, "data", NULL), job->owner, error);
}

/* On GitHub the token has what `permissions` says. Here it has what its forge gave it, and nobody is left to believe more. */
static void say_permissions(Job *job)
{
	const json_t *declared = json_object_get(job->definition, "permissions");
	if (!task_job_token(job->task) || !declared)
		return;
	g_autofree char *text = json_text(declared);
	joblog_sayf(job->log, "##[notice]", "GITHUB_TOKEN is the token that an admin gave to this repo, with the rights that it has at "
	            "the forge: 'permissions' %s are noted and cannot narrow it", text);
}

/* What the definition asks for and this worker cannot give is refused before anything runs. */
static bool check_definition(const Job *job, GError **error)
{
	if (json_array_size(json_object_get(job->definition, "steps")) == 0)
		return fail(error, ASSAY_ERROR_USER, "the job has no steps");
	return true;
}

/*
 * A called job sees what its callers hand it, and what the environment that it names has. The first thing a job does:
 * what it was not handed is then nowhere but in the mask.
 */
static bool narrow_secrets(Job *job, GError **error)
{
	const json_t *chain = json_object_get(json_object_get(job->definition, "call"), "secrets");
	if (!chain)
		return true;
	if (task_job_token(job->task)) /* callers may hand it on by name */
		json_set_string(job->task->secrets, "GITHUB_TOKEN", task_job_token(job->task));
	json_t *handed = calls_secrets(chain, job->task->secrets, json_object_get(job->spec, "contexts"), error);
	if (!handed)
		return false;
	const char *name, *other;
	json_t *value, *replaced;
	void *next;
	json_object_foreach(job->task->environment_secrets, name, value) {
		json_object_foreach_safe(handed, next, other, replaced)
			if (g_ascii_strcasecmp(name, other) == 0)
				json_object_del(handed, other);
		json_object_set(handed, name, value);
	}
	json_decref(job->task->secrets);
	job->task->secrets = handed;
	json_object_foreach(handed, name, value)
		mask_add(job->task->mask, json_string_value(value), json_string_length(value));
	return true;
}

static bool open_job(Job *job, GError **error)
{
	const json_t *limits = json_object_get(job->spec, "limits");
	const char *log_path = json_get_string(job->spec, "log", NULL);
	job->owner = owner_of(job->spec);
	if (!log_path)
		return fail(error, ASSAY_ERROR_USER, "job.json: 'log' is missing");
	job->log = joblog_open(log_path, job->task->mask, json_get_int(limits, "log_bytes", 0), error);
	if (!job->log || !narrow_secrets(job, error) || !check_definition(job, error) || !make_folders(job, error))
		return false;
	contexts_fill(job);
	job->energy = energy_open(ENERGY_FOLDER);
	if (!open_place(job, error))
		return false;
	/* The host executor may run programs that need set-user-ID, and an admin has chosen it for that. */
	confine_before_strangers(strcmp(job->executor->name, "host") == 0);
	contexts_set_places(job);
	say_permissions(job);
	job->service = service_open(job, error);
	if (!job->service || !job_write_event(job, error) || !copy_local(job, error))
		return false;
	return contexts_fill_env(job, error);
}

/* The job's `outputs`; one with a secret in it is left out, since others would read it unmasked. */
static bool emit_outputs(Job *job, GError **error)
{
	const json_t *declared = json_object_get(job->definition, "outputs");
	g_autoptr(json_t) outputs = json_object();
	size_t bytes = 0;
	const char *name;
	json_t *value;
	contexts_set_env(job, NULL);
	json_object_foreach((json_t *)(uintptr_t)declared, name, value) {
		g_autofree char *text = contexts_string(job, value, error);
		if (!text) {
			g_prefix_error(error, "output '%s': ", name);
			return false;
		}
		bytes += strlen(text);
		if (bytes > OUTPUT_BYTES_MAX)
			return fail(error, ASSAY_ERROR_USER, "the job's outputs have more than %d bytes; use an artifact",
			        OUTPUT_BYTES_MAX);
		if (mask_finds(job->task->mask, text)) {
			g_autofree char *message =
			        g_strdup_printf("output '%s' holds a secret and is not passed on", name);
			job_annotate(job, "warning", message);
			continue;
		}
		json_set_string(outputs, name, text);
	}
	if (json_object_size(outputs) == 0)
		return true;
	json_t *event = task_event(EVENT_OUTPUTS);
	json_set(event, "outputs", g_steal_pointer(&outputs));
	return task_emit(job->task, event, error);
}

static void close_job(Job *job)
{
	if (containers_are_asked(job))
		task_flush(job->task, NULL); /* what images leave may take a while to go */
	service_close(job->service);
	if (job->place)
		job->executor->close(job->place);
	containers_close(job);
	energy_close(job->energy);
	joblog_close(job->log);
	if (!TASK_GIVES_BACK)
		return;
	matchers_free(job->matchers);
	json_decref(job->definition);
	json_decref(job->contexts);
	json_decref(job->env);
	json_decref(job->step_outputs);
	json_decref(job->step_state);
	json_decref(job->step_env);
	g_ptr_array_unref(job->paths);
	g_ptr_array_unref(job->posts);
	g_free(job->workspace);
	g_free(job->workspace_path);
	g_free(job->workspace_inside);
	g_free(job->stop_token);
	g_free(job->disk_why);
	autofd_close(&job->work_fd);
	autofd_close(&job->runner_fd);
	g_free(job->runner_inside);
	action_uses_free(job->uses);
	if (job->action_states)
		g_hash_table_unref(job->action_states);
	if (job->action_names)
		g_ptr_array_unref(job->action_names);
	g_free(job->step_key);
	g_free(job->node);
}

void job_post_free(JobPost *post)
{
	if (!post)
		return;
	g_free(post->name);
	json_decref(post->with);
	json_decref(post->state);
	json_decref(post->step);
	g_free(post->key);
	if (post->free_data)
		post->free_data(post->data);
	g_free(post);
}

/* What the job's state, a time limit and the disk make of its end. */
static void settle_end(Job *job, TaskEnd *end)
{
	g_autoptr(GError) error = NULL;
	if (!joblog_flush(job->log, &error)) {
		task_end_fail(end, CAUSE_DISK, g_strdup(error->message));
	} else if (job->timed_out) {
		task_end_fail(end, CAUSE_TIMEOUT, limits_job_time(job));
	} else if (job->state == RUN_CANCELLED) {
		task_end_fail(end, CAUSE_CANCELLED, g_strdup("the job was cancelled"));
		end->status = "cancelled";
	} else if (job->state == RUN_RUNNING) {
		end->status = "success";
	}
}

void job_run(Task *task, TaskEnd *end)
{
	Job job = {.task = task, .spec = task->spec, .end = end, .work_fd = -1, .runner_fd = -1, .printed_fd = -1,
	        .state = RUN_RUNNING};
	g_autoptr(GError) error = NULL;
	const json_t *definition = json_object_get(task->spec, "definition");
	job.definition = json_is_object(definition) ? json_incref((json_t *)(uintptr_t)definition) : json_object();
	job.paths = g_ptr_array_new_with_free_func(g_free);
	job.posts = g_ptr_array_new_with_free_func((GDestroyNotify)job_post_free);
	int64_t limit = json_get_int(json_object_get(task->spec, "limits"), "timeout_us", 0);
	if (limit > 0)
		job.deadline_us = monotonic_us() + limit;
	bool opened = open_job(&job, &error);
	bool good = opened && action_use_prepare(&job, &error);
	bool unprepared = opened && !good;
	if (good) {
		steps_run(&job);
		good = emit_outputs(&job, &error);
	}
	if (!good) {
		steps_notice_end(&job); /* a long pull may have been ended by it */
		bool wrong_name = (unprepared || containers_are_asked(&job)) && (error->code == ASSAY_ERROR_ABSENT || error->code == ASSAY_ERROR_DENIED);
		const char *otherwise = error->code == ASSAY_ERROR_USER || wrong_name ? CAUSE_INVALID : CAUSE_AGENT;
		if (unprepared && job.build_cause)
			otherwise = job.build_cause;
		if (job.log)
			joblog_say(job.log, "##[error]", error->message);
		task_end_fail(end, task_cause_of(task, error, otherwise), g_strdup(error->message));
		if (job.state == RUN_RUNNING)
			job.state = RUN_FAILURE;
	}
	if (job.log)
		settle_end(&job, end);
	close_job(&job);
}
