/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody used for long goes, and what was used longest ago when there is too much. A layer goes by a rename into
 * staging/ under its exclusive lock, so that nobody ever sees a half of one; then its files are removed. Folders of
 * staging/ that nobody locks, and downloads nobody writes, are leftovers of what was killed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "executors/images.h"

#define NOTE_BYTES_MAX 65536
#define LEFTOVER_US (60LL * 60 * G_USEC_PER_SEC) /* a download that nobody went on with */

typedef struct Layer {
	char *folder; /* "layers-64001" */
	char *name;
	int64_t used_us;
	int64_t bytes;
} Layer;

static void layer_free(gpointer data)
{
	Layer *layer = data;
	g_free(layer->folder);
	g_free(layer->name);
	g_free(layer);
}

static GPtrArray *names_of(int at, const char *name)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder && fd >= 0)
		close(fd);
	for (struct dirent *entry; folder && (entry = readdir(folder));)
		if (entry->d_name[0] != '.')
			g_ptr_array_add(names, g_strdup(entry->d_name));
	if (folder)
		closedir(folder);
	return names;
}

static int64_t time_of(const struct stat *info)
{
	return (int64_t)info->st_mtim.tv_sec * G_USEC_PER_SEC + info->st_mtim.tv_nsec / 1000;
}

static void find_layers(int store_fd, const char *folder, GPtrArray *out)
{
	g_autoptr(GPtrArray) names = names_of(store_fd, folder);
	for (guint i = 0; i < names->len; i++) {
		const char *file = names->pdata[i];
		g_autofree char *path = g_build_filename(folder, file, NULL);
		struct stat info;
		if (!g_str_has_suffix(file, ".json") || fstatat(store_fd, path, &info, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		autofd int fd = openat(store_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		g_autoptr(GBytes) bytes = fd < 0 ? NULL : fd_read_all(fd, NOTE_BYTES_MAX, path, NULL);
		gsize len = 0;
		const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
		g_autoptr(json_t) note = len > 0 ? json_parse(text, len, path, NULL) : NULL;
		Layer *layer = g_new0(Layer, 1);
		*layer = (Layer){.folder = g_strdup(folder), .name = g_strndup(file, strlen(file) - strlen(".json")),
		        .used_us = time_of(&info), .bytes = json_get_int(note, "bytes", 0)};
		g_ptr_array_add(out, layer);
	}
}

static int oldest_first(gconstpointer a, gconstpointer b)
{
	const Layer *left = *(Layer *const *)a, *right = *(Layer *const *)b;
	return (left->used_us > right->used_us) - (left->used_us < right->used_us);
}

/* false when somebody uses it, or it cannot go. */
static bool remove_layer(const char *store, int store_fd, const Layer *layer)
{
	g_autofree char *folder = g_build_filename(layer->folder, layer->name, NULL);
	g_autofree char *file = g_strconcat(folder, ".json", NULL);
	g_autofree char *token = random_token(12);
	g_autofree char *trash = g_build_filename("staging", token, NULL);
	g_autofree char *path = g_build_filename(store, trash, NULL);
	autofd int lock = openat(store_fd, file, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat info;
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || fstat(lock, &info) < 0 || time_of(&info) != layer->used_us)
		return false; /* also: used since we looked */
	mkdirat(store_fd, "staging", 0700);
	if (renameat(store_fd, folder, store_fd, trash) < 0 && errno != ENOENT)
		return false;
	unlinkat(store_fd, file, 0);
	fd_remove_tree(path, NULL); /* what does not go now is a leftover of the next sweep */
	return true;
}

static void remove_leftovers(const char *store, int store_fd, int64_t now)
{
	g_autoptr(GPtrArray) stages = names_of(store_fd, "staging");
	for (guint i = 0; i < stages->len; i++) {
		g_autofree char *inside = g_build_filename("staging", stages->pdata[i], NULL);
		g_autofree char *path = g_build_filename(store, inside, NULL);
		autofd int fd = openat(store_fd, inside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat info;
		/* One that was made this instant may not be locked yet. */
		if (fd >= 0 && fstat(fd, &info) == 0 && now - time_of(&info) > LEFTOVER_US / 60 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			fd_remove_tree(path, NULL);
	}
	g_autoptr(GPtrArray) downloads = names_of(store_fd, "downloads");
	for (guint i = 0; i < downloads->len; i++) {
		g_autofree char *inside = g_build_filename("downloads", downloads->pdata[i], NULL);
		autofd int fd = openat(store_fd, inside, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		struct stat info;
		if (fd >= 0 && fstat(fd, &info) == 0 && now - time_of(&info) > LEFTOVER_US && flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(store_fd, inside, 0);
	}
}

/* Manifests, configs and records are small, and are asked for again when they are missing. */
static void remove_old_files(int store_fd, const char *folder, int64_t oldest_us)
{
	g_autoptr(GPtrArray) names = names_of(store_fd, folder);
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *inside = g_build_filename(folder, names->pdata[i], NULL);
		struct stat info;
		if (fstatat(store_fd, inside, &info, AT_SYMLINK_NOFOLLOW) == 0 && time_of(&info) < oldest_us)
			unlinkat(store_fd, inside, 0);
	}
}

bool image_sweep(const char *store, int64_t max_age_us, int64_t max_bytes, ImageSweep *out, GError **error)
{
	*out = (ImageSweep){0};
	autofd int store_fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store_fd < 0)
		return errno == ENOENT || fail_errno(error, errno, "cannot open the store of images %s", store);
	struct timespec clock;
	clock_gettime(CLOCK_REALTIME, &clock); /* as the disk's times are */
	int64_t now = (int64_t)clock.tv_sec * G_USEC_PER_SEC + clock.tv_nsec / 1000;
	g_autoptr(GPtrArray) folders = names_of(store_fd, ".");
	g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func(layer_free);
	for (guint i = 0; i < folders->len; i++)
		if (g_str_has_prefix(folders->pdata[i], "layers-"))
			find_layers(store_fd, folders->pdata[i], layers);
	g_ptr_array_sort(layers, oldest_first);
	for (guint i = 0; i < layers->len; i++)
		out->left_bytes += ((const Layer *)layers->pdata[i])->bytes;
	for (guint i = 0; i < layers->len; i++) {
		const Layer *layer = layers->pdata[i];
		bool old = max_age_us > 0 && now - layer->used_us > max_age_us;
		bool much = max_bytes > 0 && out->left_bytes > max_bytes;
		if ((!old && !much) || !remove_layer(store, store_fd, layer))
			continue;
		out->layers++;
		out->bytes += layer->bytes;
		out->left_bytes -= layer->bytes;
	}
	if (max_age_us > 0) {
		remove_old_files(store_fd, "blobs", now - max_age_us);
		remove_old_files(store_fd, "made", now - max_age_us); /* what images made here are of; without it they are made again */
	}
	remove_leftovers(store, store_fd, now);
	return true;
}
