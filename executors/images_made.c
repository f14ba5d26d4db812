/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are made here. One is a record, made/KEY.json: its layers, the lowest first, and its config. A layer is what a
 * place has changed of the image below: the upper folder of its overlay as the kernel wrote it, looked through when nothing
 * of the place runs any more, and moved to the others. A record is written last and replaced at once, so it never names what
 * is not whole; one whose layers have gone is none.
 *
 * What a stranger's process has left there becomes a lower layer of later places. Of what overlayfs reads, only whiteouts
 * and opaque folders stay, which say no more than that something was removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "executors/images.h"
#include "executors/ready.h"
#include "executors/unpack.h"

#define NAME_HEX 26 /* of a layer, as of those that are pulled */
#define KEY_HEX 64
#define RECORD_BYTES_MAX (IMAGE_CONFIG_BYTES_MAX + 65536)
#define ENTRIES_MAX 1000000
#define BYTES_MAX (INT64_C(32) << 30)
#define DEPTH_MAX 256
#define NAMES_BYTES_MAX 65536 /* of a file's attributes */
#define OVERLAY_XATTR "user.overlay."
#define OPAQUE_XATTR "user.overlay.opaque"
#define OURS "run/assay" /* where a place that makes an image has what is not the image's */

extern const unsigned char embed_place_copy[];
extern const size_t embed_place_copy_len;

static char *layers_name(uid_t uid)
{
	return g_strdup_printf("layers-%u", (unsigned)(geteuid() == 0 ? uid : geteuid()));
}

/* Of an image whose root has other users; NULL: there are none. */
static char *users_layers_name(uid_t uid, const Ids *ids)
{
	return ids && ids->first_uid ? g_strdup_printf("layers-%u-%u-%u", (unsigned)(geteuid() == 0 ? uid : geteuid()),
	                                       (unsigned)ids->first_uid, (unsigned)ids->first_gid) : NULL;
}

/* What other users leave is looked through by root alone: an ordinary user's agent makes images of one. */
static const Ids *ids_of(const json_t *settings, uid_t uid, gid_t gid)
{
	return geteuid() == 0 ? ready_ids(json_get_string(settings, "ids", NULL), uid, gid) : NULL;
}

static bool is_hex(const char *text, size_t len)
{
	return text && strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static char *record_path(const char *store, const char *key)
{
	g_autofree char *file = g_strconcat(key, ".json", NULL);
	return g_build_filename(store, "made", file, NULL);
}

/* NULL with ABSENT where there is none that is of use. */
static json_t *read_record(const char *store, uid_t uid, const Ids *ids, const char *key, bool *out_users, GError **error)
{
	g_autofree char *one = layers_name(uid);
	g_autofree char *users = users_layers_name(uid, ids);
	g_autofree char *path = is_hex(key, KEY_HEX) ? record_path(store, key) : NULL;
	g_autoptr(GBytes) bytes = path ? fd_read_file(path, RECORD_BYTES_MAX, NULL) : NULL;
	gsize len = 0;
	const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	g_autoptr(json_t) record = len > 0 ? json_parse(text, len, "a record", NULL) : NULL;
	const char *folder = json_get_string(record, "layers_folder", "");
	*out_users = g_strcmp0(folder, users) == 0;
	bool good = record && (*out_users || strcmp(folder, one) == 0) && json_is_object(json_object_get(record, "config"));
	size_t i;
	json_t *name;
	json_array_foreach(json_object_get(record, "layers"), i, name)
		good = good && is_hex(json_string_value(name), NAME_HEX);
	if (good)
		return g_steal_pointer(&record);
	fail(error, ASSAY_ERROR_ABSENT, "an image that was made here is not there any more; run the job again");
	return NULL;
}

/* Holds a layer that is there; -1: it is not, or goes just now. */
static int hold(int layers_fd, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".json", NULL);
	autofd int fd = openat(layers_fd, file, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat info;
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0 || fstat(fd, &info) < 0 || info.st_nlink == 0 ||
	        fstatat(layers_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(info.st_mode))
		return -1;
	futimens(fd, NULL);
	return fd_steal(&fd);
}

bool image_made(const PlaceImage *spec, uid_t uid, const Ids *ids, Image **out, GError **error)
{
	bool users = false;
	g_autoptr(json_t) record = read_record(spec->store, uid, ids, spec->made, &users, error);
	if (!record)
		return false;
	g_autoptr(Image) image = g_new0(Image, 1);
	image->layers = g_ptr_array_new_with_free_func(g_free);
	image->locks = g_array_new(FALSE, FALSE, sizeof(int));
	image->layers_folder = g_build_filename(spec->store, json_get_string(record, "layers_folder", ""), NULL);
	image->has_users = users;
	image->digest = g_strconcat("sha256:", spec->made, NULL);
	g_autoptr(json_t) whole = json_pack("{s:O,s:{s:[]}}", "config", json_object_get(record, "config"), "rootfs", "diff_ids");
	g_autofree char *text = json_text(whole);
	if (!image_config_read(text, strlen(text), image_architecture(), &image->config, error))
		return false;
	autofd int layers_fd = open(image->layers_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t i;
	json_t *name;
	json_array_foreach(json_object_get(record, "layers"), i, name) {
		int held = layers_fd < 0 ? -1 : hold(layers_fd, json_string_value(name));
		if (held < 0)
			return fail(error, ASSAY_ERROR_ABSENT, "a layer of an image that was made here is not there any more; run the job again");
		g_array_append_val(image->locks, held);
		g_ptr_array_add(image->layers, g_strdup(json_string_value(name)));
	}
	g_autofree char *path = record_path(spec->store, spec->made);
	utimensat(AT_FDCWD, path, NULL, 0);
	*out = g_steal_pointer(&image);
	return true;
}

static bool find_made(const PlaceImage *spec, uid_t uid, gid_t gid)
{
	g_autoptr(Image) image = NULL;
	return image_made(spec, uid, ids_of(spec->settings, uid, gid), &image, NULL);
}

/* ---- what a place has left ---- */

typedef struct Look {
	const ImageAddition *addition;
	bool users; /* files belong to several, whose root may read what they have shut */
	int64_t entries, bytes;
	int64_t entries_max, bytes_max;
} Look;

/* An attribute's name is a stranger's too; the value of this one is all that overlayfs looks at. */
static bool is_plain_opaque(const char *path, const char *name, bool folder)
{
	char value[4];
	return folder && strcmp(name, OPAQUE_XATTR) == 0 && lgetxattr(path, name, value, sizeof value) == 1 && value[0] == 'y';
}

static bool strip_xattrs(int at, const char *name, bool folder, GError **error)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d/%s", at, name);
	g_autofree char *names = g_malloc(NAMES_BYTES_MAX);
	ssize_t len = llistxattr(path, names, NAMES_BYTES_MAX);
	if (len < 0)
		return errno == ENOTSUP || fail_errno(error, errno, "cannot read the attributes of a file of the layer");
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1) {
		const char *one = names + i;
		bool overlay = g_str_has_prefix(one, OVERLAY_XATTR) && !is_plain_opaque(path, one, folder);
		bool others = g_str_has_prefix(one, "trusted.") || strcmp(one, "security.capability") == 0;
		if ((overlay || others) && lremovexattr(path, one) < 0)
			return fail_errno(error, errno, "cannot take the attribute %s from a file of the layer", one);
	}
	return true;
}

static bool look_through(Look *look, int at, int depth, GError **error);

static bool look_at(Look *look, int at, const char *name, const struct stat *info, int depth, GError **error)
{
	bool folder = S_ISDIR(info->st_mode);
	if (S_ISCHR(info->st_mode) && info->st_rdev == 0)
		return true; /* a whiteout */
	if (!folder && !S_ISREG(info->st_mode) && !S_ISLNK(info->st_mode)) {
		if (unlinkat(at, name, 0) < 0)
			return fail_errno(error, errno, "cannot remove a pipe, socket or device of the layer");
		return true;
	}
	/* Made by us on the way to a mount, or by the kernel for us. */
	if (geteuid() == 0 && look->addition->uid != 0 && info->st_uid == 0 &&
	        fchownat(at, name, look->addition->uid, look->addition->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_errno(error, errno, "cannot give a file of the layer to the jobs' user");
	mode_t more = look->users ? 0 : folder ? 0700 : 0600;
	mode_t mode = (info->st_mode & (folder ? 01777 : 0777)) | more;
	if (!S_ISLNK(info->st_mode) && (info->st_mode & 07777) != mode && fchmodat(at, name, mode, 0) < 0)
		return fail_errno(error, errno, "cannot change the mode of a file of the layer");
	if (!S_ISLNK(info->st_mode) && !strip_xattrs(at, name, folder, error))
		return false;
	look->bytes += (int64_t)info->st_blocks * 512;
	if (look->bytes > look->bytes_max)
		return fail(error, ASSAY_ERROR_USER, "what it changed of the image has more than %" G_GINT64_FORMAT " bytes", look->bytes_max);
	if (!folder)
		return true;
	autofd int inner = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return inner >= 0 ? look_through(look, inner, depth + 1, error) : fail_errno(error, errno, "cannot open a folder of the layer");
}

/* Nothing runs in there any more: what is looked at stays as it is. */
static bool look_through(Look *look, int at, int depth, GError **error)
{
	if (depth > DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "what it changed of the image has folders nested deeper than %d", DEPTH_MAX);
	int copy = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	if (!entries) {
		autofd_close(&copy);
		return fail_errno(error, errno, "cannot read a folder of the layer");
	}
	bool good = true;
	for (struct dirent *entry; good && (entry = readdir(entries));) {
		struct stat info;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (++look->entries > look->entries_max)
			good = fail(error, ASSAY_ERROR_USER, "what it changed of the image has more than %" G_GINT64_FORMAT " files",
			        look->entries_max);
		else if (fstatat(at, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			good = fail_errno(error, errno, "cannot look at a file of the layer");
		else
			good = look_at(look, at, entry->d_name, &info, depth, error);
	}
	closedir(entries);
	return good;
}

/* Where a place has its own things: names of this machine, and folders that were mounted over. */
static void remove_ours(int upper)
{
	static const char *const files[] = {"hostname", "hosts", "resolv.conf"};
	autofd int etc = fd_open_beneath(upper, "etc", O_RDONLY | O_DIRECTORY, 0, false, NULL);
	for (size_t i = 0; etc >= 0 && i < G_N_ELEMENTS(files); i++)
		unlinkat(etc, files[i], 0);
	autofd int run = fd_open_beneath(upper, "run", O_RDONLY | O_DIRECTORY, 0, false, NULL);
	if (run < 0)
		return;
	g_autofree char *ours = g_strdup_printf("/proc/self/fd/%d/assay", run);
	fd_remove_tree(ours, NULL);
}

/* ---- a layer ---- */

static bool write_note(int fd, const Look *look, GError **error)
{
	g_autoptr(json_t) note = json_object();
	json_set_string(note, "made", look->addition->key);
	json_set_int(note, "bytes", look->bytes);
	json_set_int(note, "entries", look->entries);
	g_autofree char *text = json_text(note);
	return fd_write_all(fd, text, strlen(text), "the layer's note", error);
}

/* Moves the folder `upper` of the scratch to the layers; out_lock holds it from its first moment on. */
static bool add_layer(Look *look, int layers_fd, char **out_name, int *out_lock, GError **error)
{
	uint8_t random[NAME_HEX / 2];
	char name[NAME_HEX + 1];
	random_bytes(random, sizeof random);
	hex_write(random, sizeof random, name);
	g_autofree char *file = g_strconcat(name, ".json", NULL);
	autofd int scratch = open(look->addition->scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autofd int upper = scratch < 0 ? -1 : openat(scratch, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper < 0)
		return fail_errno(error, errno, "cannot open what the place has changed");
	remove_ours(upper);
	if (!strip_xattrs(scratch, "upper", true, error) || !look_through(look, upper, 0, error))
		return false;
	autofd int lock = openat(layers_fd, file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool good = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) == 0 && fchmod(upper, 0755) == 0 && syncfs(upper) == 0;
	if (!good)
		fail_errno(error, errno, "cannot write the layer to the disk");
	good = good && write_note(lock, look, error);
	if (good && renameat(scratch, "upper", layers_fd, name) < 0)
		good = errno == EXDEV ? fail(error, ASSAY_ERROR_SYSTEM, "the folders jobs and images of the agent's data lie on two disks, and "
		                                                        "an image cannot be made then; put them on one")
		                      : fail_errno(error, errno, "cannot move the layer to its place");
	if (!good) {
		unlinkat(layers_fd, file, 0);
		return false;
	}
	*out_name = g_strdup(name);
	*out_lock = fd_steal(&lock);
	return true;
}

static bool write_record(const char *store, const char *layers_folder, const char *key, json_t *layers, const json_t *config,
        GError **error)
{
	g_autoptr(json_t) record = json_pack("{s:s,s:O,s:O}", "layers_folder", layers_folder, "layers", layers, "config", config);
	g_autofree char *text = json_text(record);
	g_autofree char *path = record_path(store, key);
	g_autofree char *folder = g_path_get_dirname(path);
	return fd_make_folder(folder, 0700, error) && fd_replace_file(path, text, strlen(text), 0600, false, error);
}

static bool add_made(const ImageAddition *addition, int64_t *out_bytes, GError **error)
{
	Look look = {.addition = addition,
	        .entries_max = json_get_int(addition->settings, "layer_entries", 0),
	        .bytes_max = json_get_int(addition->settings, "layer_bytes", 0)};
	look.entries_max = look.entries_max > 0 ? look.entries_max : ENTRIES_MAX;
	look.bytes_max = look.bytes_max > 0 ? look.bytes_max : BYTES_MAX;
	*out_bytes = 0;
	g_autoptr(json_t) below = read_record(addition->store, addition->uid, ids_of(addition->settings, addition->uid, addition->gid),
	        addition->from, &look.users, error);
	const char *folder = json_get_string(below, "layers_folder", "");
	g_autofree char *path = g_build_filename(addition->store, folder, NULL);
	autofd int layers_fd = below ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (!below || !is_hex(addition->key, KEY_HEX))
		return error && *error ? false : fail(error, ASSAY_ERROR_SYSTEM, "an image has no key");
	if (layers_fd < 0)
		return fail_errno(error, errno, "cannot open the store of images %s", path);
	g_autoptr(json_t) layers = json_deep_copy(json_object_get(below, "layers"));
	g_autofree char *name = NULL;
	autofd int lock = -1;
	if (addition->scratch && json_array_size(layers) >= IMAGE_LAYERS_MAX)
		return fail(error, ASSAY_ERROR_USER, "the image has more than %d layers; put several commands into one RUN", IMAGE_LAYERS_MAX);
	if (addition->scratch) {
		if (!add_layer(&look, layers_fd, &name, &lock, error))
			return false;
		json_array_append_new(layers, json_string(name));
	}
	*out_bytes = look.bytes;
	return write_record(addition->store, folder, addition->key, layers, addition->config, error);
}

/* ---- the begin ---- */

/* One layer without a file: an overlay wants one below it. */
static bool begin_empty(const PlaceImage *spec, uid_t uid, gid_t gid, const char *folder, json_t **out_layers, GError **error)
{
	g_autofree char *path = g_build_filename(spec->store, folder, NULL);
	g_autofree char *upper = g_build_filename(spec->scratch, "upper", NULL);
	if (!fd_make_folder(spec->store, 0700, error) || !fd_make_folder(path, 0700, error) || !fd_make_folder(upper, 0755, error))
		return false;
	if (geteuid() == 0 && uid != 0 && chown(upper, uid, gid) < 0)
		return fail_errno(error, errno, "cannot give %s to the jobs' user", upper);
	const ImageAddition addition = {.uid = uid, .gid = gid, .scratch = spec->scratch, .key = "scratch"};
	Look look = {.addition = &addition, .entries_max = 1, .bytes_max = 1 << 20};
	g_autofree char *name = NULL;
	autofd int layers_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int lock = -1;
	if (layers_fd < 0)
		return fail_errno(error, errno, "cannot open the store of images %s", path);
	bool good = add_layer(&look, layers_fd, &name, &lock, error);
	fd_remove_tree(spec->scratch, NULL);
	if (good)
		*out_layers = json_pack("[s]", name);
	return good;
}

static bool begin_made(const PlaceImage *spec, uid_t uid, gid_t gid, char **out_key, json_t **out_config, GError **error)
{
	const Ids *ids = spec->one_user ? NULL : ids_of(spec->settings, uid, gid);
	g_autofree char *users = users_layers_name(uid, ids);
	g_autofree char *folder = users ? g_steal_pointer(&users) : layers_name(uid);
	g_autoptr(Image) image = NULL;
	bool empty = strcmp(spec->reference, "scratch") == 0;
	PlaceImage base = *spec;
	base.user = "0"; /* who it is when it is changed */
	if (!empty && !image_prepare(&base, uid, gid, ids, &image, error))
		return false;
	g_autofree char *text = g_strdup_printf("begin\n%s\n%s\n", folder, empty ? "scratch" : image->digest);
	g_autofree char *key = hash_bytes_hex(text, strlen(text));
	g_autoptr(json_t) layers = NULL;
	g_autoptr(json_t) config = empty ? json_object() : json_incref(image->config.raw);
	if (!empty) {
		layers = json_array();
		for (guint i = 0; i < image->layers->len; i++)
			json_array_append_new(layers, json_string(image->layers->pdata[i]));
	} else if (!find_made(&(PlaceImage){.store = spec->store, .settings = spec->settings, .made = key}, uid, gid) && !begin_empty(spec, uid, gid, folder, &layers, error)) {
		return false;
	}
	if (layers && !write_record(spec->store, folder, key, layers, config, error))
		return false;
	*out_key = g_steal_pointer(&key);
	*out_config = g_steal_pointer(&config);
	return true;
}

static bool unpack_made(int archive_fd, int folder_fd, uid_t uid, gid_t gid, bool (*stopped)(void *data), void *data, GError **error)
{
	UnpackEnd end;
	uid_t as = geteuid() == 0 ? uid : 0;
	if (as != 0 && fchown(folder_fd, uid, gid) < 0)
		return fail_errno(error, errno, "cannot give a folder to the jobs' user");
	return unpack_confined(archive_fd, folder_fd, -1, as, gid, NULL, stopped, data, &end, error);
}

static bool write_copier(const char *path, GError **error)
{
	return fd_replace_file(path, embed_place_copy, embed_place_copy_len, 0755, false, error);
}

const ImageMaker image_maker = {
	.begin = begin_made,
	.find = find_made,
	.add = add_made,
	.unpack = unpack_made,
	.write_copier = write_copier,
};
