/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume is a folder of the job's own, by name or below its work folder, or a path of this machine that an admin lists.
 * A step may have put a link in the way to a folder of the job: none is followed.
 */
#include "agent/job/container_view.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"

/* A folder of the job's own, by name: its path in the task's folder, the caller's. */
static char *own_volume(const char *name, GError **error)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	if (strspn(name, allowed) == strlen(name) && name[0] != '.' && strlen(name) <= 100)
		return g_build_filename("volumes", name, NULL);
	fail(error, ASSAY_ERROR_USER, "volumes: '%s' is no name of a volume", name);
	return NULL;
}

/* The part of a path that lies below the job's work folder; NULL: it does not. */
static const char *below_work(const Job *job, const char *source, char **to_free)
{
	static const char *const insides[] = {CONTAINER_WORK_INSIDE, "/home/runner/work"};
	for (size_t i = 0; i < G_N_ELEMENTS(insides); i++) {
		size_t len = strlen(insides[i]);
		if (strncmp(source, insides[i], len) == 0 && (source[len] == '/' || source[len] == '\0'))
			return source[len] ? source + len + 1 : ".";
	}
	if (!g_str_has_prefix(source, "./") && strcmp(source, ".") != 0)
		return NULL;
	*to_free = g_build_filename(job->workspace, source, NULL);
	return *to_free;
}

static bool host_path_allowed(const Job *job, const char *source, bool read_only)
{
	const json_t *allowed = json_object_get(json_object_get(job->spec, "images"), "volumes");
	g_autofree char *clean = g_canonicalize_filename(source, "/");
	size_t i;
	json_t *one;
	json_array_foreach(allowed, i, one) {
		const char *path = json_get_string(one, "path", "");
		size_t len = strlen(path);
		bool below = len > 0 && strncmp(clean, path, len) == 0 && (clean[len] == '/' || clean[len] == '\0');
		if (below && strcmp(clean, source) == 0 && (read_only || json_get_bool(one, "writable", false)))
			return true;
	}
	return false;
}

bool container_view_add_volume(Job *job, const char *text, GArray *mounts, GPtrArray *texts, GError **error)
{
	ContainerVolume volume = {.source = NULL};
	if (!container_volume_parse(text, &volume, error))
		return false;
	g_autofree char *source = volume.source;
	g_autofree char *joined = NULL;
	g_ptr_array_add(texts, volume.target);
	PlaceMount mount = {.target = volume.target, .writable = !volume.read_only, .source = job->task->folder};
	const char *inside = source ? below_work(job, source, &joined) : NULL;
	if (source && strstr(source, "docker.sock"))
		return fail(error, ASSAY_ERROR_USER, "volumes: '%s': there is no Docker here, and its socket would be root on this machine",
		        text);
	if (source && source[0] == '/' && !inside) {
		if (json_get_bool(job->spec, "untrusted", false))
			return fail(error, ASSAY_ERROR_DENIED, "volumes: '%s' is a path of this machine, which runs of forks do not see", text);
		if (!host_path_allowed(job, source, volume.read_only))
			return fail(error, ASSAY_ERROR_DENIED,
			        "volumes: '%s' is a path of this machine; an admin allows those in images.volumes%s", text,
			        volume.read_only ? "" : " (writable: true), or mount it :ro");
		mount.source = g_strdup(source);
		g_ptr_array_add(texts, (char *)(uintptr_t)mount.source);
	} else {
		g_autofree char *unnamed = g_strdup_printf("unnamed-%u", texts->len);
		char *below = inside ? g_build_filename("work", inside, NULL) : own_volume(source ? source : unnamed, error);
		if (!below)
			return false;
		g_ptr_array_add(texts, below);
		autofd int fd = tree_make_folder(job->task->folder_fd, below, job->owner, error);
		if (fd < 0)
			return false;
		mount.below = below;
	}
	g_array_append_val(mounts, mount);
	return true;
}

static bool is_gpu(const char *path)
{
	return g_str_has_prefix(path, "/dev/nvidia") || g_str_has_prefix(path, "/dev/dri/") || strcmp(path, "/dev/kfd") == 0;
}

/* All of the agent's devices are there anyway; without the one that was asked for the job would end later, and stranger. */
bool container_view_check_devices(const Job *job, const ContainerOptions *options, GError **error)
{
	g_autofree const char **devices = job_devices(job);
	for (guint i = 0; i < options->devices->len; i++) {
		const char *wish = options->devices->pdata[i];
		bool gpus = strcmp(wish, CONTAINER_GPUS) == 0;
		bool there = false;
		for (const char **one = devices; one && *one && !there; one++)
			there = gpus ? is_gpu(*one) : g_str_has_prefix(*one, wish) && strchr("/", (*one)[strlen(wish)]);
		if (!there)
			return fail(error, ASSAY_ERROR_DENIED, "options: --%s%s%s: %s; an admin lists devices in sandbox.devices", gpus ? "gpus" : "device",
			        gpus ? "" : " ", gpus ? "" : wish,
			        json_get_bool(job->spec, "untrusted", false) ? "runs of forks have no devices" : "this agent gives jobs no such device");
	}
	return true;
}
