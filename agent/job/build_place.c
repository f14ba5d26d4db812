/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place of a build: the image so far as its root, and of the job its limits and the kind of its network alone. The job's
 * own place is set aside meanwhile, since whoever runs commands runs them in that.
 */
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/build_private.h"
#include "agent/job/child.h"
#include "agent/job/steps.h"

#define STANDARD_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PlaceImage build_place_image(Build *build)
{
	return (PlaceImage){.store = build->store,
	        .settings = build->settings,
	        .work_inside = BUILD_INSIDE "/work",
	        .home_inside = BUILD_INSIDE "/home",
	        .runner_inside = BUILD_INSIDE "/runner",
	        .stopped = job_is_stopped,
	        .say = job_say,
	        .data = build->job};
}

char *build_make_folder(Build *build, int *out_fd, GError **error)
{
	g_autofree char *name = g_strdup_printf("build/%d", build->stages_made++);
	autofd int fd = tree_make_folder(build->job->task->folder_fd, name, build->job->owner, error);
	if (fd < 0)
		return NULL;
	if (out_fd)
		*out_fd = fd_steal(&fd);
	return g_build_filename(build->job->task->folder, name, NULL);
}

static bool open_place(Build *build, const BuildCommand *command, Place **out, GError **error)
{
	Job *job = build->job;
	g_autofree char *empty = g_build_filename(build->folder, "empty", NULL);
	g_autofree char *copier = g_build_filename(build->folder, "copy", NULL);
	g_autofree char *apt = g_build_filename(build->folder, "apt.conf", NULL);
	PlaceMount mounts[3] = {{.source = apt, .target = BUILD_APT}};
	size_t mounts_len = 1;
	if (command->stage) {
		mounts[mounts_len++] = (PlaceMount){.source = command->stage, .target = BUILD_FROM, .writable = command->stage_is_writable};
		mounts[mounts_len++] = (PlaceMount){.source = copier, .target = BUILD_COPIER};
	}
	PlaceImage image = build_place_image(build);
	image.made = command->made;
	image.user = command->user;
	image.folder = command->folder;
	image.scratch = command->scratch;
	image.keeps_scratch = true;
	g_autofree const char **allow = job_allow(job);
	PlaceSpec spec = {.work_folder = empty,
	        .home_folder = empty,
	        .mounts = mounts,
	        .mounts_len = mounts_len,
	        .network = job_network(job),
	        .allow = allow,
	        .uid = job->owner.uid,
	        .gid = job->owner.gid,
	        .hostname = "assay",
	        .image = &image};
	job_set_limits(job, &spec);
	mode_t ours = umask(022);
	bool good = executor_find("container")->open(&spec, out, error);
	umask(ours);
	return good;
}

static char **environment_of(const BuildCommand *command, const Place *place)
{
	GPtrArray *lines = g_ptr_array_new();
	bool path = false, home = false, apt = false;
	for (const char *const *one = command->env; one && *one; one++) {
		path = path || g_str_has_prefix(*one, "PATH=");
		home = home || g_str_has_prefix(*one, "HOME=");
		apt = apt || g_str_has_prefix(*one, "APT_CONFIG=");
		g_ptr_array_add(lines, g_strdup(*one));
	}
	if (!path)
		g_ptr_array_add(lines, g_strdup(STANDARD_PATH));
	if (!apt)
		g_ptr_array_add(lines, g_strdup("APT_CONFIG=" BUILD_APT));
	if (!home)
		g_ptr_array_add(lines, g_strconcat("HOME=", place->image->home, NULL));
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(lines, FALSE);
}

/* How a command ended, as an error whose code says who can act. */
static bool judge(Job *job, const ChildEnd *end, GError **error)
{
	StepResult result = {.state = RUN_SUCCESS};
	step_result_clear(&result);
	steps_take_end(job, end, &result);
	bool good = result.state == RUN_SUCCESS;
	if (!good) {
		bool ended = g_strcmp0(result.cause, CAUSE_CANCELLED) == 0 || g_strcmp0(result.cause, CAUSE_TIMEOUT) == 0;
		bool ours = g_strcmp0(result.cause, CAUSE_AGENT) == 0 || g_strcmp0(result.cause, CAUSE_DISK) == 0;
		job->build_cause = ended ? NULL : result.cause;
		fail(error, ended ? ASSAY_ERROR_BUSY : ours ? ASSAY_ERROR_SYSTEM : ASSAY_ERROR_USER, "%s", result.message);
	}
	step_result_clear(&result);
	return good;
}

bool build_command(Build *build, const BuildCommand *command, GError **error)
{
	Job *job = build->job;
	Place *place = NULL;
	if (!open_place(build, command, &place, error))
		return false;
	const Executor *outer_executor = job->executor;
	Place *outer_place = job->place;
	job->executor = executor_find("container");
	job->place = place;
	g_auto(GStrv) env = environment_of(command, place);
	const ChildSpec spec = {.name = command->name, .argv = command->argv, .only_env = (const char *const *)env,
	        .folder = command->folder};
	ChildEnd end = {0};
	bool good = child_run(job, &spec, &end, error) && judge(job, &end, error);
	job->executor->close(place);
	job->executor = outer_executor;
	job->place = outer_place;
	return good;
}
