/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place whose root is an image: its layers are brought here (images.c) and laid over one another under a folder of the
 * place's own; what runs in it runs by the sandbox, with the same walls. There is no engine and no daemon.
 *
 * Where the host gives a range of ids (ids.c), an image that runs as root has its other users, too: files belong to who the
 * layers say, and chown, setuid and setgroups do what they say. Otherwise, and for an image that runs as somebody else, one id
 * of the host stands for the image's user: all files belong to him, and he can become nobody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "executors/images.h"
#include "executors/place.h"
#include "executors/ready.h"
#include "executors/registry.h"
#include "executors/root.h"
#include "executors/unpack.h"

#define SHM_BYTES (64 * 1024 * 1024)
#define SWEEP_EVERY_US (60LL * 60 * G_USEC_PER_SEC)

extern const Executor executor_container;
extern const Executor executor_sandbox;

/* What a place holds besides the sandbox. */
typedef struct Held {
	Image *image;
	char *scratch;
	bool keeps_scratch;
} Held;

static void held_free(void *data)
{
	Held *held = data;
	if (held->scratch && !held->keeps_scratch)
		fd_remove_tree(held->scratch, NULL);
	g_free(held->scratch);
	image_release(held->image);
	g_free(held);
}

static bool container_probe(GError **error)
{
	return executor_sandbox.probe(error) && registry_probe(error) && unpack_probe(error);
}

/* "top:…:bottom"; the caller's. */
static char *lower_of(const Image *image)
{
	GString *lower = g_string_new(NULL);
	for (guint i = image->layers->len; i > 0; i--)
		g_string_append_printf(lower, "%s%s", lower->len ? ":" : "", (const char *)image->layers->pdata[i - 1]);
	return g_string_free(lower, FALSE);
}

static bool make_scratch(const char *scratch, const PlaceSpec *spec, GError **error)
{
	static const char *const names[] = {"upper", "work"};
	if (!fd_remove_tree(scratch, error) || !fd_make_folder(scratch, 0700, error))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(scratch, names[i], NULL);
		if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0 ||
		        (geteuid() == 0 && spec->uid != 0 && chown(path, spec->uid, spec->gid) < 0))
			return fail_errno(error, errno, "cannot make %s", path);
	}
	return true;
}

static PlaceDefaults *defaults_of(const Image *image, const ImageUser *user, const Ids *ids)
{
	PlaceDefaults *defaults = g_new0(PlaceDefaults, 1);
	defaults->digest = g_strdup(image->digest);
	defaults->env = g_strdupv(image->config.env);
	defaults->entrypoint = g_strdupv(image->config.entrypoint);
	defaults->command = g_strdupv(image->config.command);
	defaults->folder = g_strdup(image->config.folder);
	defaults->home = g_strdup(user->home);
	defaults->has_users = image->has_users;
	if (ids && !image->has_users && user->uid == 0)
		defaults->alone = g_strdup(ids->why_not);
	defaults->health = image->config.health ? json_deep_copy(image->config.health) : NULL;
	return defaults;
}

/* Once an hour somebody looks what can go; who it is does not matter. */
static void sweep_sometimes(const PlaceImage *image)
{
	g_autofree char *stamp = g_build_filename(image->store, "swept", NULL);
	struct stat info;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (stat(stamp, &info) == 0 && (now.tv_sec - info.st_mtim.tv_sec) * G_USEC_PER_SEC < SWEEP_EVERY_US)
		return;
	if (!g_file_set_contents(stamp, "", 0, NULL))
		return;
	ImageSweep sweep;
	image_sweep(image->store, json_get_int(image->settings, "age_us", 0), json_get_int(image->settings, "bytes", 0), &sweep,
	        NULL); /* whatever could not go is looked at again in an hour */
}

static bool check_spec(const PlaceSpec *spec, GError **error)
{
	const PlaceImage *image = spec->image;
	if (!image || (!image->reference && !image->made) || !image->store || !image->scratch)
		return fail(error, ASSAY_ERROR_USER, "container: it needs an image; write 'container:' in the workflow's job");
	if (!image->work_inside || !image->home_inside || !image->runner_inside)
		return fail(error, ASSAY_ERROR_USER, "container: it needs to know where folders are seen");
	return true;
}

/* Which of the two it is: what an entrypoint may do depends on it. */
static void say_users(const PlaceImage *spec, const Image *image, const ImageUser *user, const Ids *ids)
{
	if (!spec->say || !ids)
		return;
	g_autofree char *text =
	        image->has_users ? g_strdup_printf("Users: root and 65535 others, ids from %u (%s)", (unsigned)ids->first_uid, ids->source)
	        : ids->first_uid || user->uid != 0
	                ? g_strdup_printf("Users: %u alone; only an image that runs as root has others", (unsigned)user->uid)
	                : g_strdup_printf("Users: root alone, who cannot become another: %s", ids->why_not ? ids->why_not : "");
	spec->say(spec->data, text);
}

static bool container_open(const PlaceSpec *spec, Place **out, GError **error)
{
	g_autoptr(Image) image = NULL;
	ImageUser user = {.home = NULL};
	if (!check_spec(spec, error))
		return false;
	const Ids *ids = ready_ids(json_get_string(spec->image->settings, "ids", NULL), spec->uid, spec->gid);
	if (!(spec->image->made ? image_made(spec->image, spec->uid, ids, &image, error)
	                        : image_prepare(spec->image, spec->uid, spec->gid, ids, &image, error)))
		return false;
	sweep_sometimes(spec->image);
	if (!image_user(image, spec->image->user ? spec->image->user : image->config.user, &user, error))
		return false;
	g_autofree char *home = user.home;
	if (!spec->image->made)
		say_users(spec->image, image, &user, ids);
	Held *held = g_new0(Held, 1);
	held->scratch = g_strdup(spec->image->scratch);
	held->keeps_scratch = spec->image->keeps_scratch;
	g_autofree char *lower = lower_of(image);
	const PlaceRoot root = {.layers_folder = image->layers_folder,
	        .lower = lower,
	        .scratch = held->scratch,
	        .read_only = spec->image->read_only,
	        .keeps_scratch = spec->image->keeps_scratch,
	        .uid = user.uid,
	        .gid = user.gid,
	        .ids = image->has_users ? ids : NULL,
	        .work_below = spec->image->work_below,
	        .work_inside = spec->image->work_inside,
	        .home_inside = spec->image->home_inside,
	        .runner_inside = spec->image->runner_inside,
	        .folder = spec->image->folder ? spec->image->folder : image->config.folder,
	        .shm_bytes = spec->image->shm_bytes > 0 ? spec->image->shm_bytes : SHM_BYTES,
	        .tmpfs = spec->image->tmpfs};
	PlaceSpec inner = *spec;
	inner.image = NULL;
	inner.root = &root;
	Place *place = NULL;
	bool good = make_scratch(held->scratch, spec, error) && executor_sandbox.open(&inner, &place, error);
	if (good) {
		place->image = defaults_of(image, &user, spec->image->made ? NULL : ids);
		held->image = g_steal_pointer(&image);
		place->extra = held;
		place->extra_free = held_free;
		*out = place;
		return true;
	}
	held_free(held);
	return false;
}

static bool container_start(Place *place, const StepSpec *spec, Child *out, GError **error)
{
	return executor_sandbox.start(place, spec, out, error);
}

static void container_signal(Place *place, Child *child, int signal_number)
{
	executor_sandbox.signal(place, child, signal_number);
}

static bool container_finish(Place *place, Child *child, StepEnd *out, GError **error)
{
	return executor_sandbox.finish(place, child, out, error);
}

static void container_close(Place *place)
{
	executor_sandbox.close(place);
}

const Executor executor_container = {
	.name = "container",
	.summary = "a root that is an image, pulled and unpacked here; walls as of sandbox, no engine",
	.probe = container_probe,
	.open = container_open,
	.start = container_start,
	.signal = container_signal,
	.finish = container_finish,
	.close = container_close,
	.maker = &image_maker,
};
