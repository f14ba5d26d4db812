/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests and configs come from strangers: every count and size is bounded, every digest checked before it becomes a
 * file's name, and nothing that is not understood is passed over in silence.
 */
#include "executors/image_manifest.h"

#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "executors/image_ref.h"

#define LIST_MAX 4096
#define LAYER_BYTES_MAX (INT64_C(64) << 30)
#define TEXT_BYTES_MAX 131072 /* of one variable or word: what the kernel takes */
#define NAME_ANNOTATION "org.opencontainers.image.ref.name"

const char *image_architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#else
	return "unknown";
#endif
}

void descriptor_clear(Descriptor *descriptor)
{
	g_clear_pointer(&descriptor->media_type, g_free);
	g_clear_pointer(&descriptor->digest, g_free);
}

static bool read_descriptor(const json_t *json, int64_t most, const char *what, Descriptor *out, GError **error)
{
	const char *digest = json_get_string(json, "digest", NULL);
	int64_t size = json_get_int(json, "size", -1);
	if (!image_digest_is_valid(digest))
		return fail(error, ASSAY_ERROR_REMOTE, "its %s has no digest of sha256", what);
	if (size < 0 || size > most)
		return fail(error, ASSAY_ERROR_REMOTE,
		        "its %s says a size of %" G_GINT64_FORMAT " bytes; at most %" G_GINT64_FORMAT " are taken", what, size, most);
	*out = (Descriptor){.media_type = g_strdup(json_get_string(json, "mediaType", "")), .digest = g_strdup(digest),
	        .size = size};
	return true;
}

static bool is_for_us(const json_t *entry, const char *architecture, const char *tag)
{
	const json_t *platform = json_object_get(entry, "platform");
	const char *named = json_get_string(json_object_get(entry, "annotations"), NAME_ANNOTATION, NULL);
	if (tag && named && strcmp(named, tag) != 0)
		return false;
	if (!json_is_object(platform))
		return true; /* a layout's index often says nothing */
	return strcmp(json_get_string(platform, "os", "linux"), "linux") == 0 &&
	       strcmp(json_get_string(platform, "architecture", architecture), architecture) == 0;
}

static bool choose(const json_t *list, const char *architecture, const char *tag, Manifest *out, GError **error)
{
	if (json_array_size(list) > LIST_MAX)
		return fail(error, ASSAY_ERROR_REMOTE, "its list has more than %d manifests", LIST_MAX);
	g_autoptr(GString) others = g_string_new(NULL);
	size_t i;
	json_t *entry;
	json_array_foreach((json_t *)(uintptr_t)list, i, entry) {
		if (is_for_us(entry, architecture, tag))
			return read_descriptor(entry, MANIFEST_BYTES_MAX, "manifest", &out->chosen, error);
		const json_t *platform = json_object_get(entry, "platform");
		if (others->len < 200)
			g_string_append_printf(others, "%s%.40s/%.40s", others->len ? ", " : "",
			        json_get_string(platform, "os", "?"), json_get_string(platform, "architecture", "?"));
	}
	return fail(error, ASSAY_ERROR_USER, "it has nothing for linux/%s%s%s; it has: %s", architecture,
	        tag ? " named " : "", tag ? tag : "", others->len ? others->str : "nothing");
}

static bool read_layers(const json_t *layers, Manifest *out, GError **error)
{
	static const char *const known[] = {"application/vnd.oci.image.layer.v1.tar",
	        "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd",
	        "application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip",
	        "application/vnd.docker.image.rootfs.diff.tar.zstd", NULL};
	if (!json_is_array(layers) || json_array_size(layers) == 0 || json_array_size(layers) > IMAGE_LAYERS_MAX)
		return fail(error, ASSAY_ERROR_REMOTE, "its manifest has %zu layers; 1 to %d can be used", json_array_size(layers),
		        IMAGE_LAYERS_MAX);
	size_t i;
	json_t *layer;
	json_array_foreach((json_t *)(uintptr_t)layers, i, layer) {
		Descriptor one = {0};
		const char *type = json_get_string(layer, "mediaType", "");
		if (!g_strv_contains(known, type))
			return fail(error, ASSAY_ERROR_REMOTE, "its layer %zu is of the kind '%.100s', which cannot be unpacked here",
			        i + 1, type);
		if (!read_descriptor(layer, LAYER_BYTES_MAX, "layer", &one, error))
			return false;
		g_array_append_val(out->layers, one);
	}
	return true;
}

static void clear_descriptor(gpointer data)
{
	descriptor_clear(data);
}

bool manifest_read(const char *text, size_t len, const char *architecture, const char *tag, Manifest *out,
        GError **error)
{
	if (len > MANIFEST_BYTES_MAX)
		return fail(error, ASSAY_ERROR_REMOTE, "its manifest has more than %d bytes", MANIFEST_BYTES_MAX);
	g_autoptr(json_t) json = json_parse(text, len, "the manifest", error);
	if (!json) {
		if (error && *error)
			(*error)->code = ASSAY_ERROR_REMOTE;
		return false;
	}
	g_auto(Manifest) manifest = {.layers = g_array_new(FALSE, TRUE, sizeof(Descriptor))};
	g_array_set_clear_func(manifest.layers, clear_descriptor);
	const json_t *list = json_object_get(json, "manifests");
	bool good;
	if (json_get_int(json, "schemaVersion", 0) != 2)
		good = fail(error, ASSAY_ERROR_REMOTE, "its manifest is not of schema version 2; push the image again by a newer tool");
	else if (json_is_array(list))
		good = choose(list, architecture, tag, &manifest, error);
	else
		good = read_descriptor(json_object_get(json, "config"), IMAGE_CONFIG_BYTES_MAX, "config", &manifest.config, error) &&
		       read_layers(json_object_get(json, "layers"), &manifest, error);
	if (good) {
		*out = manifest;
		manifest = (Manifest){.layers = NULL};
	}
	return good;
}

void manifest_clear(Manifest *manifest)
{
	descriptor_clear(&manifest->chosen);
	descriptor_clear(&manifest->config);
	g_clear_pointer(&manifest->layers, g_array_unref);
}

/* A list of strings, each without NUL; absent and null are an empty one. NULL on error. */
static char **read_strings(const json_t *value, const char *what, size_t most, GError **error)
{
	if (value && !json_is_null(value) && !json_is_array(value)) {
		fail(error, ASSAY_ERROR_REMOTE, "its config's %s is no list", what);
		return NULL;
	}
	if (json_array_size(value) > most) {
		fail(error, ASSAY_ERROR_REMOTE, "its config's %s has %zu entries; at most %zu are taken", what,
		        json_array_size(value), most);
		return NULL;
	}
	g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);
	size_t i;
	json_t *item;
	json_array_foreach((json_t *)(uintptr_t)value, i, item) {
		const char *text = json_string_value(item);
		if (!text || strlen(text) != json_string_length(item) || json_string_length(item) > TEXT_BYTES_MAX) {
			fail(error, ASSAY_ERROR_REMOTE, "entry %zu of its config's %s is no usable text", i + 1, what);
			return NULL;
		}
		g_ptr_array_add(out, g_strdup(text));
	}
	g_ptr_array_add(out, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&out), FALSE);
}

/* Docker's times are in nanoseconds; ours are not. */
static json_t *read_health(const json_t *health)
{
	const json_t *test = json_object_get(health, "Test");
	const char *kind = json_string_value(json_array_get(test, 0));
	if (!kind || strcmp(kind, "NONE") == 0 || json_array_size(test) < 2 || json_array_size(test) > IMAGE_ENV_MAX)
		return NULL;
	size_t i;
	json_t *word;
	json_array_foreach((json_t *)(uintptr_t)test, i, word)
		if (!json_is_string(word))
			return NULL;
	json_t *out = json_object();
	json_set(out, "test", json_deep_copy(test));
	json_set_int(out, "interval_us", json_get_int(health, "Interval", 0) / 1000);
	json_set_int(out, "timeout_us", json_get_int(health, "Timeout", 0) / 1000);
	json_set_int(out, "start_us", json_get_int(health, "StartPeriod", 0) / 1000);
	json_set_int(out, "retries", json_get_int(health, "Retries", 0));
	return out;
}

static bool check_platform(const json_t *json, const char *architecture, GError **error)
{
	const char *os = json_get_string(json, "os", "linux");
	const char *machine = json_get_string(json, "architecture", architecture);
	if (strcmp(os, "linux") == 0 && strcmp(machine, architecture) == 0)
		return true;
	return fail(error, ASSAY_ERROR_USER, "it is for %.40s/%.40s, and this machine is linux/%s", os, machine, architecture);
}

static bool check_env(char **env, GError **error)
{
	for (; *env; env++)
		if ((*env)[0] == '=' || !strchr(*env, '='))
			return fail(error, ASSAY_ERROR_REMOTE, "its config's Env has '%.40s', which is not NAME=value", *env);
	return true;
}

bool image_config_read(const char *text, size_t len, const char *architecture, ImageConfig *out, GError **error)
{
	if (len > IMAGE_CONFIG_BYTES_MAX)
		return fail(error, ASSAY_ERROR_REMOTE, "its config has more than %d bytes", IMAGE_CONFIG_BYTES_MAX);
	g_autoptr(json_t) json = json_parse(text, len, "the image's config", error);
	if (!json) {
		if (error && *error)
			(*error)->code = ASSAY_ERROR_REMOTE;
		return false;
	}
	const json_t *inner = json_object_get(json, "config");
	const json_t *root = json_object_get(json, "rootfs");
	g_auto(ImageConfig) config = {.user = g_strdup(json_get_string(inner, "User", "")),
	        .folder = g_strdup(json_get_string(inner, "WorkingDir", "")),
	        .health = read_health(json_object_get(inner, "Healthcheck")),
	        .raw = json_is_object(inner) ? json_incref((json_t *)(uintptr_t)inner) : json_object()};
	if (!check_platform(json, architecture, error) ||
	        !(config.env = read_strings(json_object_get(inner, "Env"), "Env", IMAGE_ENV_MAX, error)) ||
	        !check_env(config.env, error) ||
	        !(config.entrypoint = read_strings(json_object_get(inner, "Entrypoint"), "Entrypoint", IMAGE_ENV_MAX, error)) ||
	        !(config.command = read_strings(json_object_get(inner, "Cmd"), "Cmd", IMAGE_ENV_MAX, error)) ||
	        !(config.diff_ids = read_strings(json_object_get(root, "diff_ids"), "diff_ids", IMAGE_LAYERS_MAX, error)))
		return false;
	for (char **id = config.diff_ids; *id; id++)
		if (!image_digest_is_valid(*id))
			return fail(error, ASSAY_ERROR_REMOTE, "its config names a layer '%.80s', which is no digest of sha256", *id);
	if (config.folder[0] == '\0') {
		g_free(config.folder);
		config.folder = g_strdup("/");
	}
	if (config.folder[0] != '/')
		return fail(error, ASSAY_ERROR_REMOTE, "its config's WorkingDir '%.100s' is not absolute", config.folder);
	*out = config;
	config = (ImageConfig){.env = NULL};
	return true;
}

void image_config_clear(ImageConfig *config)
{
	g_strfreev(config->env);
	g_strfreev(config->entrypoint);
	g_strfreev(config->command);
	g_strfreev(config->diff_ids);
	g_free(config->user);
	g_free(config->folder);
	json_decref(config->health);
	json_decref(config->raw);
	*config = (ImageConfig){.env = NULL};
}
