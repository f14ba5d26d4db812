/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job's place is set aside while the action's is there: whatever writes scripts, reads environment files or names
 * folders does it for the place that is the job's at that time. The action's place is in the job's network.
 */
#include "agent/job/docker_action.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/child.h"
#include "agent/job/container_place.h"
#include "agent/job/containers.h"
#include "agent/job/contexts.h"
#include "agent/job/steps.h"

#define WORKSPACE_INSIDE "/github/workspace"

/* What is the job's own and has to come back. */
typedef struct Aside {
	const Executor *executor;
	Place *place;
	int runner_fd;
	char *runner_inside;
	char *workspace_inside;
	const json_t *place_env;
} Aside;

static Aside set_aside(Job *job, Place *place, const json_t *env)
{
	Aside aside = {.executor = job->executor, .place = job->place, .runner_fd = job->runner_fd,
	        .runner_inside = job->runner_inside, .workspace_inside = job->workspace_inside, .place_env = job->place_env};
	job->executor = executor_find("container");
	job->place = place;
	job->runner_fd = -1;
	job->runner_inside = NULL;
	job->workspace_inside = g_strdup(WORKSPACE_INSIDE);
	job->place_env = env;
	return aside;
}

static void bring_back(Job *job, Aside *aside)
{
	autofd_close(&job->runner_fd);
	g_free(job->runner_inside);
	g_free(job->workspace_inside);
	job->executor = aside->executor;
	job->place = aside->place;
	job->runner_fd = aside->runner_fd;
	job->runner_inside = aside->runner_inside;
	job->workspace_inside = aside->workspace_inside;
	job->place_env = aside->place_env;
	contexts_set_places(job);
}

static GPtrArray *command_of(const Place *place, const DockerAction *action)
{
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	bool own = action->entrypoint && action->entrypoint[0];
	if (own)
		g_ptr_array_add(argv, g_strdup(action->entrypoint));
	for (char **word = own ? NULL : place->image->entrypoint; word && *word; word++)
		g_ptr_array_add(argv, g_strdup(*word));
	for (const char *const *word = action->args; word && *word; word++)
		g_ptr_array_add(argv, g_strdup(*word));
	for (char **word = own || action->args ? NULL : place->image->command; word && *word; word++)
		g_ptr_array_add(argv, g_strdup(*word));
	g_ptr_array_add(argv, NULL);
	return argv;
}

static bool run_inside(Job *job, const DockerAction *action, StepResult *out, GError **error)
{
	g_autoptr(GPtrArray) argv = command_of(job->place, action);
	if (argv->len == 1)
		return fail(error, ASSAY_ERROR_USER, "its image names no program; give 'entrypoint' or 'args'");
	if (!job_open_runner(job, error))
		return false;
	contexts_set_places(job);
	if (!job_write_event(job, error))
		return false;
	const ChildSpec spec = {.name = action->name,
	        .argv = (const char *const *)argv->pdata,
	        .extra_env = action->extra_env,
	        .folder = WORKSPACE_INSIDE};
	steps_command(job, &spec, out);
	return true;
}

const char *docker_action_cause(const Job *job, const GError *error)
{
	const char *otherwise = error->code == ASSAY_ERROR_SYSTEM || error->code == ASSAY_ERROR_REMOTE ? CAUSE_AGENT : CAUSE_INVALID;
	if (job->build_cause)
		otherwise = job->build_cause;
	if (error->code == ASSAY_ERROR_BUSY && !task_is_cancelled(job->task))
		otherwise = CAUSE_TIMEOUT;
	return task_cause_of(job->task, error, otherwise);
}

void docker_action_run(Job *job, const DockerAction *action, StepResult *out)
{
	g_autoptr(GError) error = NULL;
	const char *reference = g_str_has_prefix(action->image, "docker://") ? action->image + strlen("docker://") : action->image;
	g_autofree char *name = g_strdup_printf("action-%d-%d", job->step, job->depth);
	autofd int workspace = job_open_workspace(job, &error);
	g_autofree char *folder = g_build_filename(job->task->folder, "work", NULL);
	const ContainerSpec spec = {.image = reference,
	        .made = action->made,
	        .name = name,
	        .work_folder = folder,
	        .work_below = job->workspace,
	        .work_inside = WORKSPACE_INSIDE,
	        .hosts = containers_hosts(job),
	        .network_of = containers_network(job)};
	job->build_cause = NULL; /* an earlier action's */
	Place *place = NULL;
	bool good = workspace >= 0 && container_place_open(job, &spec, &place, &error);
	if (good) {
		g_autoptr(json_t) env = container_place_env(place, NULL, NULL);
		Aside aside = set_aside(job, place, env);
		good = run_inside(job, action, out, &error);
		bring_back(job, &aside);
		executor_find("container")->close(place);
	}
	if (good)
		return;
	step_result_fail(out, docker_action_cause(job, error), g_strdup_printf("%s: %s", action->name, error->message));
}
