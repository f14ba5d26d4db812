/* SPDX-License-Identifier: Apache-2.0 */
/* The small common part of all executors. Nothing here touches the machine. */
#include "executors/place.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"

#define PATH_FALLBACK "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_FOLDERS_MAX 256

void place_init(Place *place, const Executor *executor, const char *work_inside, const char *home_inside,
        const char *isolation)
{
	place->executor = executor;
	place->work_inside = g_strdup(work_inside);
	place->runner_fd = -1;
	place->service_fd = -1;
	place->home_inside = g_strdup(home_inside);
	place->isolation = g_strdup(isolation);
	place->missing = g_ptr_array_new_with_free_func(g_free);
}

void place_lacks(Place *place, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_ptr_array_add(place->missing, g_strdup_vprintf(format, arguments));
	va_end(arguments);
}

void place_clear(Place *place)
{
	g_clear_pointer(&place->work_inside, g_free);
	g_clear_pointer(&place->home_inside, g_free);
	g_clear_pointer(&place->runner_inside, g_free);
	if (place->runner_fd >= 0)
		close(place->runner_fd);
	place->runner_fd = -1;
	if (place->service_fd >= 0)
		close(place->service_fd);
	place->service_fd = -1;
	g_clear_pointer(&place->isolation, g_free);
	g_clear_pointer(&place->missing, g_ptr_array_unref);
	if (place->image) {
		g_free(place->image->digest);
		g_strfreev(place->image->env);
		g_strfreev(place->image->entrypoint);
		g_strfreev(place->image->command);
		g_free(place->image->folder);
		g_free(place->image->home);
		g_free(place->image->alone);
		json_decref(place->image->health);
		g_clear_pointer(&place->image, g_free);
	}
	if (place->extra_free)
		place->extra_free(place->extra);
	place->extra_free = NULL;
}

bool place_check_step(const StepSpec *spec, GError **error)
{
	if (!spec->argv || !spec->argv[0] || !spec->argv[0][0])
		return fail(error, ASSAY_ERROR_USER, "it has no command; give one");
	if (!spec->folder || spec->folder[0] != '/')
		return fail(error, ASSAY_ERROR_USER, "its folder '%s' is not an absolute path", spec->folder ? spec->folder : "");
	return true;
}

static const char *path_of(const char *const *envp)
{
	for (; envp && *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return PATH_FALLBACK;
}

char **place_candidates(const StepSpec *spec)
{
	GPtrArray *paths = g_ptr_array_new();
	if (strchr(spec->argv[0], '/')) {
		g_ptr_array_add(paths, g_strdup(spec->argv[0]));
	} else {
		g_auto(GStrv) folders = g_strsplit(path_of(spec->envp), ":", PATH_FOLDERS_MAX);
		for (char **folder = folders; *folder; folder++)
			g_ptr_array_add(paths, g_build_filename((*folder)[0] ? *folder : ".", spec->argv[0], NULL));
	}
	g_ptr_array_add(paths, NULL);
	return (char **)g_ptr_array_free(paths, FALSE);
}
