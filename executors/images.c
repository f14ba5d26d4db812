/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing an image here: reference, manifest (by way of a list), config, then layer by layer. A layer's file NAME.json
 * is its lock: shared by places that use it, exclusive for whoever makes or removes it; its time is the last use. The
 * kernel lets a lock go with its holder, so a kill leaves nothing but a folder below staging/ that the sweep finds.
 */
#include "executors/images.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include "executors/image_ref.h"
#include "executors/images_source.h"
#include "executors/ready.h"
#include "executors/unpack.h"

#define NAME_HEX 26 /* of a diff id: 104 bits, and 127 of them fit into one mount's options */
#define LOCK_ASK_MS 100
#define USER_FILE_BYTES_MAX (4 * 1024 * 1024)

typedef struct Pull {
	const PlaceImage *spec;
	uid_t uid;
	gid_t gid;
	const Ids *ids;
	int store_fd;
	int layers_fd;
	Image *image;
	ImageSourceReader *source;
} Pull;

static void say(const Pull *pull, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(const Pull *pull, const char *format, ...)
{
	if (!pull->spec->say)
		return;
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	pull->spec->say(pull->spec->data, text);
}

static bool is_stopped(const Pull *pull)
{
	return pull->spec->stopped && pull->spec->stopped(pull->spec->data);
}

static int open_folder(int at, const char *name, GError **error)
{
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST) {
		fail_errno(error, errno, "cannot make %s in the store of images", name);
		return -1;
	}
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fail_errno(error, errno, "cannot open %s in the store of images", name);
	return fd;
}

/* ---- locks ---- */

static bool is_there(int layers_fd, const char *name)
{
	struct stat info;
	return fstatat(layers_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

/* The layer's file with a lock of this kind; -1 with error. Waits, and looks at the watch meanwhile. */
static int take_lock(const Pull *pull, const char *file, int kind, GError **error)
{
	for (bool told = false;;) {
		autofd int fd = openat(pull->layers_fd, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		struct stat info;
		if (fd < 0) {
			fail_errno(error, errno, "cannot open %s in the store of images", file);
			return -1;
		}
		if (flock(fd, kind | LOCK_NB) == 0) {
			if (fstat(fd, &info) == 0 && info.st_nlink > 0)
				return fd_steal(&fd);
			continue; /* the sweep has just removed it */
		}
		if (errno != EWOULDBLOCK && errno != EINTR) {
			fail_errno(error, errno, "cannot lock %s in the store of images", file);
			return -1;
		}
		if (is_stopped(pull)) {
			fail(error, ASSAY_ERROR_BUSY, "it was stopped");
			return -1;
		}
		if (!told)
			say(pull, "waiting for another job that brings the same layer");
		told = true;
		poll(NULL, 0, LOCK_ASK_MS);
	}
}

/* ---- one layer ---- */

static bool move_in(const Pull *pull, int staging_fd, const char *stage, const char *name, GError **error)
{
	autofd int folder = openat(staging_fd, stage, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0 || fchmod(folder, 0755) < 0 || syncfs(folder) < 0) /* a layer that is here is whole, also after a crash */
		return fail_errno(error, errno, "cannot write the layer to the disk");
	if (renameat(staging_fd, stage, pull->layers_fd, name) < 0)
		return fail_errno(error, errno, "cannot move the layer to its place");
	return true;
}

static bool unpack_into(const Pull *pull, int blob_fd, int folder_fd, const char *diff_id, UnpackEnd *out, GError **error)
{
	const json_t *settings = pull->spec->settings;
	const UnpackLimits limits = {.bytes = json_get_int(settings, "layer_bytes", 0),
	        .entries = json_get_int(settings, "layer_entries", 0),
	        .owners = pull->image->has_users};
	if (lseek(blob_fd, 0, SEEK_SET) < 0)
		return fail_errno(error, errno, "cannot read the downloaded layer");
	if (pull->uid != 0 && geteuid() == 0 && fchown(folder_fd, pull->uid, pull->gid) < 0)
		return fail_errno(error, errno, "cannot give the layer's folder to the jobs' user");
	uid_t as = geteuid() == 0 && !limits.owners ? pull->uid : 0;
	Failure failure = {0};
	int ids_fd = limits.owners ? ready_ids_user(pull->ids, pull->uid, pull->gid, &failure) : -1;
	if (limits.owners && ids_fd < 0)
		return fail_errno(error, failure.why, "cannot give the image its users: %s", failure.what);
	if (!unpack_confined(blob_fd, folder_fd, ids_fd, as, pull->gid, &limits, pull->spec->stopped, pull->spec->data, out, error))
		return false;
	if (strcmp(out->diff_id, diff_id) != 0)
		return fail(error, ASSAY_ERROR_REMOTE, "it unpacks to %s and not to %s, which the image's config names", out->diff_id,
		        diff_id);
	return true;
}

static bool write_note(int fd, const char *diff_id, const UnpackEnd *end, GError **error)
{
	g_autoptr(json_t) note = json_object();
	json_set_string(note, "diff_id", diff_id);
	json_set_int(note, "bytes", end->bytes);
	json_set_int(note, "entries", end->entries);
	g_autofree char *text = json_text(note);
	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return fail_errno(error, errno, "cannot write the layer's note");
	return fd_write_all(fd, text, strlen(text), "the layer's note", error);
}

/* With the exclusive lock held. */
static bool make_layer(const Pull *pull, size_t index, const char *diff_id, const char *name, int lock_fd, GError **error)
{
	autofd int staging = open_folder(pull->store_fd, "staging", error);
	g_autofree char *stage = random_token(12);
	autofd int blob = staging < 0 ? -1 : images_source_layer(pull->source, index, error);
	if (blob < 0)
		return false;
	autofd int folder = open_folder(staging, stage, error);
	UnpackEnd end = {.entries = 0};
	bool good = folder >= 0 && flock(folder, LOCK_EX | LOCK_NB) == 0 &&
	            unpack_into(pull, blob, folder, diff_id, &end, error) && write_note(lock_fd, diff_id, &end, error) &&
	            move_in(pull, staging, stage, name, error);
	if (!good) {
		g_autofree char *path = g_build_filename(pull->spec->store, "staging", stage, NULL);
		fd_remove_tree(path, NULL);
		return false;
	}
	images_source_forget(pull->source, index);
	if (end.left_out > 0)
		say(pull, "%" G_GINT64_FORMAT " device nodes of the layer were left out", end.left_out);
	return true;
}

/* Makes sure that a layer is here, and holds it. */
static bool hold_layer(const Pull *pull, size_t index, const char *diff_id, GError **error)
{
	g_autofree char *name = g_strndup(diff_id + strlen("sha256:"), NAME_HEX);
	g_autofree char *file = g_strconcat(name, ".json", NULL);
	for (;;) {
		autofd int shared = take_lock(pull, file, LOCK_SH, error);
		if (shared < 0)
			return false;
		if (is_there(pull->layers_fd, name)) {
			futimens(shared, NULL);
			int kept = fd_steal(&shared);
			g_array_append_val(pull->image->locks, kept);
			g_ptr_array_add(pull->image->layers, g_steal_pointer(&name));
			return true;
		}
		close(fd_steal(&shared));
		autofd int exclusive = take_lock(pull, file, LOCK_EX, error);
		if (exclusive < 0)
			return false;
		if (!is_there(pull->layers_fd, name) && !make_layer(pull, index, diff_id, name, exclusive, error)) {
			g_prefix_error(error, "layer %zu: ", index + 1);
			unlinkat(pull->layers_fd, file, 0);
			return false;
		}
	}
}

/* A layer that comes twice counts where it is highest; overlayfs takes each folder once. */
static bool comes_again(char **diff_ids, size_t index)
{
	for (char **later = diff_ids + index + 1; *later; later++)
		if (strncmp(*later, diff_ids[index], strlen("sha256:") + NAME_HEX) == 0)
			return true;
	return false;
}

static bool pull_layers(Pull *pull, GError **error)
{
	char **diff_ids = pull->image->config.diff_ids;
	size_t count = g_strv_length(diff_ids);
	if (count == 0 || count != images_source_layers(pull->source))
		return fail(error, ASSAY_ERROR_REMOTE, "its manifest has %zu layers and its config %zu",
		        images_source_layers(pull->source), count);
	for (size_t i = 0; i < count; i++)
		if (!comes_again(diff_ids, i) && !hold_layer(pull, i, diff_ids[i], error))
			return false;
	return true;
}

/* ---- an image ---- */

static bool open_store(Pull *pull, GError **error)
{
	if (!fd_make_folder(pull->spec->store, 0700, error))
		return false;
	pull->store_fd = open(pull->spec->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pull->store_fd < 0)
		return fail_errno(error, errno, "cannot open the store of images %s", pull->spec->store);
	return true;
}

/* Layers lie apart by whom they belong to. */
static bool open_layers(Pull *pull, GError **error)
{
	unsigned owner = geteuid() == 0 ? pull->uid : geteuid();
	g_autofree char *name = pull->image->has_users
	        ? g_strdup_printf("layers-%u-%u-%u", owner, (unsigned)pull->ids->first_uid, (unsigned)pull->ids->first_gid)
	        : g_strdup_printf("layers-%u", owner);
	pull->layers_fd = open_folder(pull->store_fd, name, error);
	pull->image->layers_folder = g_build_filename(pull->spec->store, name, NULL);
	return pull->layers_fd >= 0;
}

/* "", "root", "0:0": who may have other users beside him. Any other is the one that the job's id stands for. */
static bool is_root(const char *user)
{
	static const char *const names[] = {"", "0", "root", NULL};
	g_auto(GStrv) parts = g_strsplit(user ? user : "", ":", 2);
	return !parts[0] || (g_strv_contains(names, parts[0]) && (!parts[1] || g_strv_contains(names, parts[1])));
}

static bool prepare(Pull *pull, GError **error)
{
	g_auto(ImageRef) ref = {.source = IMAGE_REGISTRY};
	g_autoptr(GBytes) config = NULL;
	if (!image_ref_parse(pull->spec->reference, &ref, error) || !open_store(pull, error))
		return false;
	g_autofree char *name = image_ref_text(&ref);
	say(pull, "Pulling %s", name);
	int64_t start = monotonic_us();
	pull->source = images_source_open(pull->spec, &ref, pull->store_fd, pull->uid, pull->gid, error);
	config = pull->source ? images_source_config(pull->source, error) : NULL;
	gsize len = 0;
	const char *text = config ? g_bytes_get_data(config, &len) : NULL;
	bool good = config && image_config_read(text ? text : "", len, image_architecture(), &pull->image->config, error);
	pull->image->has_users = good && pull->ids && pull->ids->first_uid &&
	        is_root(pull->spec->user ? pull->spec->user : pull->image->config.user);
	good = good && open_layers(pull, error) && pull_layers(pull, error);
	if (!good) {
		g_prefix_error(error, "image %s: ", name);
		return false;
	}
	pull->image->digest = g_strdup(images_source_digest(pull->source));
	say(pull, "Image %s, %u layers, ready after %.1f s", pull->image->digest, pull->image->layers->len,
	        (double)(monotonic_us() - start) / 1e6);
	return true;
}

bool image_prepare(const PlaceImage *spec, uid_t uid, gid_t gid, const Ids *ids, Image **out, GError **error)
{
	g_autoptr(Image) image = g_new0(Image, 1);
	image->layers = g_ptr_array_new_with_free_func(g_free);
	image->locks = g_array_new(FALSE, FALSE, sizeof(int));
	Pull pull = {.spec = spec, .uid = uid, .gid = gid, .ids = ids, .store_fd = -1, .layers_fd = -1, .image = image};
	bool good = prepare(&pull, error);
	images_source_close(pull.source);
	autofd_close(&pull.layers_fd);
	autofd_close(&pull.store_fd);
	if (good)
		*out = g_steal_pointer(&image);
	return good;
}

void image_release(Image *image)
{
	if (!image)
		return;
	for (guint i = 0; i < image->locks->len; i++)
		close(g_array_index(image->locks, int, i));
	g_array_unref(image->locks);
	g_ptr_array_unref(image->layers);
	g_free(image->digest);
	g_free(image->layers_folder);
	image_config_clear(&image->config);
	g_free(image);
}

/* ---- its users ---- */

/* A file of the image as the highest layer has it, or NULL. */
static char *read_from_layers(const Image *image, const char *path)
{
	autofd int layers = open(image->layers_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (guint i = image->layers->len; layers >= 0 && i > 0; i--) {
		g_autofree char *inside = g_build_filename(image->layers->pdata[i - 1], path, NULL);
		autofd int fd = fd_open_beneath(layers, inside, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, false, NULL);
		struct stat info;
		if (fd < 0)
			continue;
		if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
			return NULL; /* hidden, or nothing to read */
		g_autoptr(GBytes) bytes = fd_read_all(fd, USER_FILE_BYTES_MAX, path, NULL);
		gsize len = 0;
		const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
		return bytes ? g_strndup(text ? text : "", len) : NULL;
	}
	return NULL;
}

/* The fields of the line of a colon-separated file whose first or third field is this; NULL: none. */
static char **find_line(const char *text, const char *wanted)
{
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	bool number = wanted[0] && strspn(wanted, "0123456789") == strlen(wanted);
	for (char **line = lines; *line; line++) {
		char **fields = g_strsplit(*line, ":", 7);
		if (g_strv_length(fields) >= 3 && strcmp(fields[number ? 2 : 0], wanted) == 0)
			return fields;
		g_strfreev(fields);
	}
	return NULL;
}

static bool read_id(const char *text, uint32_t *out)
{
	guint64 id = 0;
	if (!text || !g_ascii_string_to_unsigned(text, 10, 0, 0x7ffffffe, &id, NULL))
		return false;
	*out = (uint32_t)id;
	return true;
}

bool image_user(const Image *image, const char *user, ImageUser *out, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(user ? user : "", ":", 2);
	const char *name = parts[0] && parts[0][0] ? parts[0] : "0";
	const char *group = parts[0] ? parts[1] : NULL;
	g_autofree char *passwd = read_from_layers(image, "etc/passwd");
	g_auto(GStrv) line = find_line(passwd, name);
	ImageUser found = {.uid = 0};
	size_t fields = line ? g_strv_length(line) : 0;
	if (!read_id(line ? line[2] : name, &found.uid))
		return fail(error, ASSAY_ERROR_USER, "the image's /etc/passwd has no user '%s'; give a number", name);
	if (fields > 3)
		read_id(line[3], &found.gid);
	if (group && group[0] && !read_id(group, &found.gid)) {
		g_autofree char *groups = read_from_layers(image, "etc/group");
		g_auto(GStrv) group_line = find_line(groups, group);
		if (!group_line || !read_id(group_line[2], &found.gid))
			return fail(error, ASSAY_ERROR_USER, "the image's /etc/group has no group '%s'; give a number", group);
	}
	found.home = g_strdup(fields > 5 && line[5][0] == '/' ? line[5] : found.uid == 0 ? "/root" : "/");
	*out = found;
	return true;
}
