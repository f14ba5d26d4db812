/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three sources. Blobs of a registry are kept in the store (small ones by digest, layers while they are not
 * unpacked), so that a download that was cut goes on where it ended, also in another job. Files and folders of the host
 * are read only where the admin has said so.
 */
#include "executors/images_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "executors/image_manifest.h"
#include "executors/registry.h"
#include "executors/unpack.h"

#define LISTS_MAX 3 /* a list of lists is enough */
#define HEX_AT (sizeof "sha256:" - 1)

struct ImageSourceReader {
	const PlaceImage *spec;
	ImageSource kind;
	Registry *registry;
	int store_fd;
	int folder_fd;     /* of a layout, or of an archive that was taken apart */
	char *stage;       /* its path, to be removed; NULL: none */
	Manifest manifest;
	char *digest;
	char *config_name; /* of an archive */
	GPtrArray *layer_names;
};

/* ---- what is allowed ---- */

static bool lists(const json_t *array, const char *text)
{
	size_t i;
	json_t *item;
	json_array_foreach((json_t *)(uintptr_t)array, i, item)
		if (g_strcmp0(json_string_value(item), text) == 0)
			return true;
	return false;
}

static bool is_below(const json_t *folders, const char *path)
{
	size_t i;
	json_t *item;
	json_array_foreach((json_t *)(uintptr_t)folders, i, item) {
		const char *folder = json_string_value(item);
		size_t len = folder ? strlen(folder) : 0;
		if (len > 0 && strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0' || folder[len - 1] == '/') &&
		        !strstr(path, "/../") && !g_str_has_suffix(path, "/.."))
			return true;
	}
	return false;
}

static bool is_allowed(const PlaceImage *spec, const ImageRef *ref, GError **error)
{
	const json_t *registries = json_object_get(spec->settings, "registries");
	bool untrusted = json_get_bool(spec->settings, "untrusted", false);
	if (ref->source != IMAGE_REGISTRY)
		return is_below(json_object_get(spec->settings, "local"), ref->path) ||
		       fail(error, ASSAY_ERROR_DENIED,
		               "%s lies outside the folders that images may be read from; an admin lists those in images.local", ref->path);
	if (lists(registries, ref->registry))
		return true;
	if (json_array_size(registries) > 0)
		return fail(error, ASSAY_ERROR_DENIED, "the registry %s is not one of those that an admin allows (images.registries)",
		        ref->registry);
	if (untrusted)
		return fail(error, ASSAY_ERROR_DENIED,
		        "a job that is not trusted pulls only from registries that an admin lists in images.registries, and %s is none",
		        ref->registry);
	return true;
}

/* ---- small things by digest ---- */

static GBytes *read_checked(int at, const char *name, const char *digest, size_t most, GError **error)
{
	autofd int fd = fd_open_beneath(at, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, false, error);
	g_autoptr(GBytes) bytes = fd < 0 ? NULL : fd_read_all(fd, most, name, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autofree char *hex = hash_bytes_hex(text ? text : "", len);
	if (digest && strcmp(hex, digest + HEX_AT) != 0) {
		fail(error, ASSAY_ERROR_REMOTE, "%s has the digest sha256:%s, not its name's; it is damaged", name, hex);
		return NULL;
	}
	return g_steal_pointer(&bytes);
}

static char *blob_name(const ImageSourceReader *source, const char *digest)
{
	return g_strconcat(source->kind == IMAGE_LAYOUT ? "blobs/sha256/" : "blobs/", digest + HEX_AT, NULL);
}

static void keep_blob(const ImageSourceReader *source, const char *digest, GBytes *bytes)
{
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autofree char *path = g_build_filename(source->spec->store, "blobs", digest + HEX_AT, NULL);
	mkdirat(source->store_fd, "blobs", 0700);
	fd_replace_file(path, text ? text : "", len, 0600, false, NULL); /* without it the registry is asked again */
}

/* A blob that is named by its digest: from the layout, or from the store, or from the registry. */
static GBytes *small_blob(ImageSourceReader *source, const Descriptor *blob, bool manifest, GError **error)
{
	g_autofree char *name = blob_name(source, blob->digest);
	size_t most = manifest ? MANIFEST_BYTES_MAX : IMAGE_CONFIG_BYTES_MAX;
	if (source->kind == IMAGE_LAYOUT)
		return read_checked(source->folder_fd, name, blob->digest, most, error);
	GBytes *here = read_checked(source->store_fd, name, blob->digest, most, NULL);
	if (here)
		return here;
	GBytes *bytes = manifest ? registry_manifest(source->registry, blob->digest, NULL, error)
	                         : registry_blob(source->registry, blob, error);
	if (bytes)
		keep_blob(source, blob->digest, bytes);
	return bytes;
}

/* ---- the manifest ---- */

static bool follow_lists(ImageSourceReader *source, GBytes *first, const char *tag, GError **error)
{
	g_autoptr(GBytes) bytes = g_bytes_ref(first);
	for (int depth = 0; depth < LISTS_MAX; depth++) {
		gsize len = 0;
		const char *text = g_bytes_get_data(bytes, &len);
		g_auto(Manifest) manifest = {.layers = NULL};
		if (!manifest_read(text ? text : "", len, image_architecture(), depth == 0 ? tag : NULL, &manifest, error))
			return false;
		if (!manifest.chosen.digest) {
			source->manifest = manifest;
			manifest = (Manifest){.layers = NULL};
			return true;
		}
		g_free(source->digest);
		source->digest = g_strdup(manifest.chosen.digest);
		g_bytes_unref(g_steal_pointer(&bytes));
		bytes = small_blob(source, &manifest.chosen, true, error);
		if (!bytes)
			return false;
	}
	return fail(error, ASSAY_ERROR_REMOTE, "its manifest is a list of lists of lists");
}

static bool open_registry(ImageSourceReader *source, const ImageRef *ref, GError **error)
{
	const PlaceImage *spec = source->spec;
	const RegistryWatch watch = {.stopped = spec->stopped, .say = spec->say, .data = spec->data};
	source->registry = registry_open(ref, spec->settings, spec->username, spec->password, &watch, error);
	if (!source->registry)
		return false;
	g_autoptr(GBytes) bytes = registry_manifest(source->registry, ref->digest ? ref->digest : ref->tag, &source->digest, error);
	return bytes && follow_lists(source, bytes, NULL, error);
}

static bool open_layout(ImageSourceReader *source, const ImageRef *ref, GError **error)
{
	source->folder_fd = open(ref->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (source->folder_fd < 0)
		return fail_errno(error, errno, "cannot open the layout %s", ref->path);
	g_autoptr(GBytes) bytes = read_checked(source->folder_fd, "index.json", NULL, MANIFEST_BYTES_MAX, error);
	if (!bytes)
		return false;
	return follow_lists(source, bytes, ref->tag, error);
}

/* ---- a file of `docker save` ---- */

static bool read_archive(ImageSourceReader *source, const ImageRef *ref, GError **error)
{
	g_autoptr(GBytes) bytes = read_checked(source->folder_fd, "manifest.json", NULL, MANIFEST_BYTES_MAX, error);
	gsize len = 0;
	const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	g_autoptr(json_t) list = bytes ? json_parse(text ? text : "", len, "manifest.json", error) : NULL;
	if (!list)
		return false;
	g_autofree char *tail = ref->tag ? g_strconcat(":", ref->tag, NULL) : NULL;
	size_t i, k;
	json_t *entry, *name;
	json_array_foreach(list, i, entry) {
		bool wanted = !tail;
		json_array_foreach(json_object_get(entry, "RepoTags"), k, name)
			wanted = wanted || (json_is_string(name) && g_str_has_suffix(json_string_value(name), tail));
		if (!wanted)
			continue;
		const json_t *layers = json_object_get(entry, "Layers");
		source->config_name = g_strdup(json_get_string(entry, "Config", NULL));
		if (!source->config_name || json_array_size(layers) > IMAGE_LAYERS_MAX)
			return fail(error, ASSAY_ERROR_REMOTE, "manifest.json of %s names no config, or too many layers", ref->path);
		json_array_foreach((json_t *)(uintptr_t)layers, k, name)
			g_ptr_array_add(source->layer_names, g_strdup(json_is_string(name) ? json_string_value(name) : ""));
		return true;
	}
	return fail(error, ASSAY_ERROR_ABSENT, "%s has no image%s%s", ref->path, ref->tag ? " tagged " : "", ref->tag ? ref->tag : "");
}

static bool open_archive(ImageSourceReader *source, const ImageRef *ref, uid_t uid, gid_t gid, GError **error)
{
	autofd int file = open(ref->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0)
		return fail_errno(error, errno, "cannot open the archive %s", ref->path);
	g_autofree char *token = random_token(12);
	source->stage = g_build_filename(source->spec->store, "staging", token, NULL);
	if (!fd_make_folder(source->stage, 0700, error))
		return false;
	source->folder_fd = open(source->stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (source->folder_fd < 0 || flock(source->folder_fd, LOCK_EX | LOCK_NB) < 0)
		return fail_errno(error, errno, "cannot open %s", source->stage);
	uid_t as = geteuid() == 0 ? uid : 0;
	if (as != 0 && fchown(source->folder_fd, uid, gid) < 0)
		return fail_errno(error, errno, "cannot give %s to the jobs' user", source->stage);
	UnpackEnd end;
	return unpack_confined(file, source->folder_fd, -1, as, gid, NULL, source->spec->stopped, source->spec->data, &end, error) &&
	       read_archive(source, ref, error);
}

/* ---- the door ---- */

ImageSourceReader *images_source_open(const PlaceImage *spec, const ImageRef *ref, int store_fd, uid_t uid, gid_t gid,
        GError **error)
{
	if (!is_allowed(spec, ref, error))
		return NULL;
	ImageSourceReader *source = g_new0(ImageSourceReader, 1);
	*source = (ImageSourceReader){.spec = spec, .kind = ref->source, .store_fd = store_fd, .folder_fd = -1,
	        .layer_names = g_ptr_array_new_with_free_func(g_free)};
	bool good = ref->source == IMAGE_REGISTRY ? open_registry(source, ref, error)
	            : ref->source == IMAGE_LAYOUT ? open_layout(source, ref, error)
	                                          : open_archive(source, ref, uid, gid, error);
	if (good)
		return source;
	images_source_close(source);
	return NULL;
}

void images_source_close(ImageSourceReader *source)
{
	if (!source)
		return;
	registry_close(source->registry);
	autofd_close(&source->folder_fd);
	if (source->stage)
		fd_remove_tree(source->stage, NULL);
	g_free(source->stage);
	g_free(source->digest);
	g_free(source->config_name);
	g_ptr_array_unref(source->layer_names);
	manifest_clear(&source->manifest);
	g_free(source);
}

const char *images_source_digest(const ImageSourceReader *source)
{
	return source->digest ? source->digest : "";
}

GBytes *images_source_config(ImageSourceReader *source, GError **error)
{
	if (source->kind != IMAGE_ARCHIVE)
		return small_blob(source, &source->manifest.config, false, error);
	GBytes *bytes = read_checked(source->folder_fd, source->config_name, NULL, IMAGE_CONFIG_BYTES_MAX, error);
	if (bytes) {
		gsize len = 0;
		const char *text = g_bytes_get_data(bytes, &len);
		g_autofree char *hex = hash_bytes_hex(text ? text : "", len);
		source->digest = g_strconcat("sha256:", hex, NULL);
	}
	return bytes;
}

size_t images_source_layers(const ImageSourceReader *source)
{
	return source->kind == IMAGE_ARCHIVE ? source->layer_names->len : source->manifest.layers->len;
}

/* A layer of a layout is hashed where it lies; its writer could change it afterwards, and the diff id would tell. */
static int open_checked(ImageSourceReader *source, const Descriptor *layer, GError **error)
{
	g_autofree char *name = blob_name(source, layer->digest);
	autofd int fd = fd_open_beneath(source->folder_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, false, error);
	g_autoptr(Hash) hash = hash_new();
	g_autofree char *buffer = g_malloc(1 << 16);
	int64_t len = 0;
	ssize_t got = 0;
	if (fd < 0)
		return -1;
	while (len <= layer->size && ((got = read(fd, buffer, 1 << 16)) > 0 || (got < 0 && errno == EINTR)))
		if (got > 0) {
			hash_update(hash, buffer, (size_t)got);
			len += got;
		}
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_final(hash, digest);
	hex_write(digest, sizeof digest, hex);
	if (got < 0)
		fail_errno(error, errno, "cannot read %s", name);
	else if (len != layer->size)
		fail(error, ASSAY_ERROR_REMOTE, "%s has not the %" G_GINT64_FORMAT " bytes that its manifest says", name, layer->size);
	else if (strcmp(hex, layer->digest + HEX_AT) != 0)
		fail(error, ASSAY_ERROR_REMOTE, "%s has the digest sha256:%s; it is damaged", name, hex);
	else
		return fd_steal(&fd);
	return -1;
}

static char *download_name(const Descriptor *layer)
{
	return g_strconcat("downloads/", layer->digest + HEX_AT, NULL);
}

static int download(ImageSourceReader *source, const Descriptor *layer, size_t index, GError **error)
{
	g_autofree char *name = download_name(layer);
	mkdirat(source->store_fd, "downloads", 0700);
	autofd int fd = openat(source->store_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* Another job may bring the same blob under another diff id, or for another user: then into a file without a name. */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd_steal(&fd));
		fd = openat(source->store_fd, "downloads", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	}
	if (fd < 0) {
		fail_errno(error, errno, "cannot make a file in the store of images");
		return -1;
	}
	if (source->spec->say) {
		g_autofree char *size = g_format_size((guint64)layer->size);
		g_autofree char *text = g_strdup_printf("layer %zu of %zu: %s", index + 1, images_source_layers(source), size);
		source->spec->say(source->spec->data, text);
	}
	if (!registry_download(source->registry, layer, fd, error))
		return -1;
	return fd_steal(&fd);
}

int images_source_layer(ImageSourceReader *source, size_t index, GError **error)
{
	if (source->kind == IMAGE_ARCHIVE) /* links within it are what `docker save` wrote for layers that come twice */
		return fd_open_beneath(source->folder_fd, source->layer_names->pdata[index], O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, true,
		        error);
	const Descriptor *layer = &g_array_index(source->manifest.layers, Descriptor, index);
	return source->kind == IMAGE_LAYOUT ? open_checked(source, layer, error) : download(source, layer, index, error);
}

void images_source_forget(ImageSourceReader *source, size_t index)
{
	if (source->kind != IMAGE_REGISTRY)
		return;
	g_autofree char *name = download_name(&g_array_index(source->manifest.layers, Descriptor, index));
	unlinkat(source->store_fd, name, 0);
}
