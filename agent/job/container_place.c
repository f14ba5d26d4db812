/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/container_place.h"

#include <string.h>
#include <sys/stat.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/container_view.h"
#include "agent/model/expr.h"

#define STANDARD_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define HOME_INSIDE "/github/home"
#define RUNNER_INSIDE "/github/workflow"

PlaceNetwork container_place_network(const Job *job, bool wants_neighbours)
{
	PlaceNetwork network = job_network(job);
	return wants_neighbours && network == PLACE_NETWORK_NONE ? PLACE_NETWORK_LOOPBACK : network;
}

static int64_t tighter(int64_t a, int64_t b)
{
	return a > 0 && b > 0 ? MIN(a, b) : MAX(a, b);
}

static double fewer_cpus(double a, double b)
{
	return a > 0 && b > 0 ? MIN(a, b) : MAX(a, b);
}

static bool open_with(Job *job, const ContainerSpec *spec, const ContainerOptions *options, GArray *mounts, Place **out,
        GError **error)
{
	g_autofree char *home = g_build_filename(job->task->folder, "home", NULL);
	g_autofree char *store = g_build_filename(json_get_string(job->spec, "data", "."), "images", NULL);
	g_autofree char *scratch = g_build_filename(job->task->folder, "roots", spec->name, NULL);
	g_autoptr(json_t) settings = json_copy(json_object_get(job->spec, "images"));
	if (!settings)
		settings = json_object();
	json_set_bool(settings, "untrusted", json_get_bool(job->spec, "untrusted", false));
	g_ptr_array_add(options->tmpfs, NULL);
	const PlaceImage image = {.reference = spec->image,
	        .made = spec->made,
	        .username = spec->username,
	        .password = spec->password,
	        .store = store,
	        .settings = settings,
	        .scratch = scratch,
	        .user = options->user,
	        .work_below = spec->work_below,
	        .work_inside = spec->work_inside,
	        .home_inside = HOME_INSIDE,
	        .runner_inside = RUNNER_INSIDE,
	        .folder = options->folder,
	        .shm_bytes = options->shm_bytes,
	        .tmpfs = (const char *const *)options->tmpfs->pdata,
	        .read_only = options->read_only,
	        .stopped = job_is_stopped,
	        .say = job_say,
	        .data = job};
	g_autoptr(GString) hosts = g_string_new(spec->hosts);
	for (guint i = 0; i < options->hosts->len; i++)
		g_string_append_printf(hosts, "%s\n", (const char *)options->hosts->pdata[i]);
	const bool neighbours = spec->shares_network || spec->network_of;
	g_autofree const char **allow = job_allow(job);
	g_autofree const char **devices = job_devices(job);
	PlaceSpec place = {.work_folder = spec->work_folder,
	        .home_folder = home,
	        .mounts = (const PlaceMount *)(const void *)mounts->data,
	        .mounts_len = mounts->len,
	        .network = container_place_network(job, neighbours),
	        .devices = devices,
	        .allow = allow,
	        .uid = job->owner.uid,
	        .gid = job->owner.gid,
	        .service = spec->runner_service,
	        .hostname = options->hostname ? options->hostname : "assay",
	        .hosts = hosts->str,
	        .shares_network = spec->shares_network && container_place_network(job, true) != PLACE_NETWORK_HOST,
	        .network_of = container_place_network(job, true) != PLACE_NETWORK_HOST ? spec->network_of : NULL,
	        .image = &image};
	job_set_limits(job, &place);
	place.memory_bytes = tighter(place.memory_bytes, options->memory_bytes);
	place.processes = tighter(place.processes, options->processes);
	place.file_bytes = tighter(place.file_bytes, options->file_bytes);
	place.open_files = tighter(place.open_files, options->open_files);
	place.cpus = fewer_cpus(place.cpus, options->cpus);
	const Executor *executor = executor_find("container");
	mode_t ours = umask(022);
	bool good = executor && executor->open(&place, out, error);
	umask(ours);
	g_ptr_array_set_size(options->tmpfs, (gint)options->tmpfs->len - 1);
	return good || executor || fail(error, ASSAY_ERROR_SYSTEM, "this worker has no executor 'container'");
}

bool container_place_open(Job *job, const ContainerSpec *spec, Place **out, GError **error)
{
	g_auto(ContainerOptions) none = {.env = NULL};
	const ContainerOptions *options = spec->options;
	if (!options) {
		if (!container_options_parse(NULL, &none, error))
			return false;
		options = &none;
	}
	GArray *mounts = g_array_new(FALSE, TRUE, sizeof(PlaceMount));
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	bool good = container_view_check_devices(job, options, error);
	for (guint i = 0; good && spec->volumes && i < spec->volumes->len; i++)
		good = container_view_add_volume(job, spec->volumes->pdata[i], mounts, texts, error);
	for (guint i = 0; good && i < options->volumes->len; i++)
		good = container_view_add_volume(job, options->volumes->pdata[i], mounts, texts, error);
	*out = NULL;
	good = good && open_with(job, spec, options, mounts, out, error) && *out;
	g_array_unref(mounts);
	return good;
}

/* Lowest first: the image's own, the workflow's `env`, `--env` of the options. */
json_t *container_place_env(const Place *place, const json_t *env, const ContainerOptions *options)
{
	json_t *out = json_object();
	json_set_string(out, "PATH", STANDARD_PATH);
	for (char **one = place->image->env; *one; one++) {
		const char *equals = strchr(*one, '=');
		g_autofree char *name = g_strndup(*one, (gsize)(equals - *one));
		json_set(out, name, json_string_any(equals + 1, strlen(equals + 1)));
	}
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)env, key, value) {
		g_autofree char *text = expr_to_string(value);
		json_set_string(out, key, text);
	}
	if (options)
		json_object_update(out, options->env);
	return out;
}
