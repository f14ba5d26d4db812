/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References as Docker reads them: the first part is a host when it has a dot, a colon, or is `localhost`; a name
 * without a host is Docker Hub's, and one without a slash is in its `library`. Everything else is refused here, so that
 * what follows can put the parts into addresses as they are.
 */
#include "executors/image_ref.h"

#include <string.h>

#include "agent/base/error.h"

#define HUB "docker.io"
#define TAG_BYTES_MAX 128
#define NAME_BYTES_MAX 255
#define DIGEST_PREFIX "sha256:"
#define DIGEST_HEX 64

bool image_digest_is_valid(const char *digest)
{
	if (!digest || !g_str_has_prefix(digest, DIGEST_PREFIX) || strlen(digest) != strlen(DIGEST_PREFIX) + DIGEST_HEX)
		return false;
	return strspn(digest + strlen(DIGEST_PREFIX), "0123456789abcdef") == DIGEST_HEX;
}

static bool tag_is_valid(const char *tag)
{
	size_t len = strlen(tag);
	if (len == 0 || len > TAG_BYTES_MAX || tag[0] == '.' || tag[0] == '-')
		return false;
	for (const char *at = tag; *at; at++)
		if (!g_ascii_isalnum(*at) && !strchr("_.-", *at))
			return false;
	return true;
}

/* host, host:port, [::1]:port */
static bool registry_is_valid(const char *registry)
{
	const char *at = registry;
	if (*at == '[') {
		size_t len = strspn(at + 1, "0123456789abcdefABCDEF:.");
		if (len == 0 || at[len + 1] != ']')
			return false;
		at += len + 2;
	} else {
		while (g_ascii_isalnum(*at) || *at == '.' || *at == '-')
			at++;
		if (at == registry || registry[0] == '-' || registry[0] == '.' || strstr(registry, ".."))
			return false;
	}
	if (*at == '\0')
		return true;
	guint64 port = 0;
	return *at == ':' && g_ascii_string_to_unsigned(at + 1, 10, 1, 65535, &port, NULL);
}

/* [a-z0-9]+ with separators . _ __ - between, parts divided by single slashes */
static bool repository_is_valid(const char *name)
{
	if (!*name || strlen(name) > NAME_BYTES_MAX)
		return false;
	bool after_letter = false;
	for (const char *at = name; *at; at++) {
		if (g_ascii_islower(*at) || g_ascii_isdigit(*at)) {
			after_letter = true;
			continue;
		}
		if (!strchr("/._-", *at) || !after_letter)
			return false;
		if (*at == '_' && at[1] == '_')
			at++;
		while (*at == '-' && at[1] == '-')
			at++;
		after_letter = false;
	}
	return after_letter;
}

static bool is_host(const char *part)
{
	return strchr(part, '.') || strchr(part, ':') || strcmp(part, "localhost") == 0;
}

static bool parse_offline(const char *text, ImageRef *out, GError **error)
{
	static const struct {
		const char *prefix;
		ImageSource source;
	} kinds[] = {{"oci:", IMAGE_LAYOUT}, {"docker-archive:", IMAGE_ARCHIVE}};
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (!g_str_has_prefix(text, kinds[i].prefix))
			continue;
		const char *path = text + strlen(kinds[i].prefix);
		const char *colon = strrchr(path, ':');
		out->source = kinds[i].source;
		if (colon && !strchr(colon, '/')) {
			out->path = g_strndup(path, (gsize)(colon - path));
			out->tag = g_strdup(colon + 1);
		} else {
			out->path = g_strdup(path);
		}
		if (out->path[0] != '/' || (out->tag && !tag_is_valid(out->tag)))
			return fail(error, ASSAY_ERROR_USER, "image '%s': write %s/FOLDER or %s/FOLDER:TAG with an absolute path",
			        text, kinds[i].prefix, kinds[i].prefix);
		return true;
	}
	return true;
}

static bool parse_registry(const char *text, ImageRef *out, GError **error)
{
	const char *name = g_str_has_prefix(text, "docker://") ? text + strlen("docker://") : text;
	g_autofree char *rest = g_strdup(name);
	char *at = strchr(rest, '@');
	if (at) {
		*at = '\0';
		if (!image_digest_is_valid(at + 1))
			return fail(error, ASSAY_ERROR_USER, "image '%s': its digest is not sha256: and 64 hex digits", text);
		out->digest = g_strdup(at + 1);
	}
	char *slash = strchr(rest, '/');
	g_autofree char *first = slash ? g_strndup(rest, (gsize)(slash - rest)) : NULL;
	bool host = first && is_host(first);
	char *path = host ? slash + 1 : rest;
	char *colon = strrchr(path, ':');
	if (colon && !strchr(colon, '/')) {
		*colon = '\0';
		if (!tag_is_valid(colon + 1))
			return fail(error, ASSAY_ERROR_USER, "image '%s': its tag '%s' is not one", text, colon + 1);
		out->tag = g_strdup(colon + 1);
	}
	if (!out->tag && !out->digest)
		out->tag = g_strdup("latest");
	out->registry = g_strdup(host ? first : HUB);
	if (strcmp(out->registry, "index.docker.io") == 0 || strcmp(out->registry, "registry-1.docker.io") == 0) {
		g_free(out->registry);
		out->registry = g_strdup(HUB);
	}
	bool hub = strcmp(out->registry, HUB) == 0;
	out->repository = hub && !strchr(path, '/') ? g_strconcat("library/", path, NULL) : g_strdup(path);
	if (!registry_is_valid(out->registry) || !repository_is_valid(out->repository))
		return fail(error, ASSAY_ERROR_USER,
		        "image '%s' is not a name such as alpine:3.20, ghcr.io/owner/name:tag or host:5000/name@sha256:…", text);
	return true;
}

bool image_ref_parse(const char *text, ImageRef *out, GError **error)
{
	g_auto(ImageRef) ref = {.source = IMAGE_REGISTRY};
	if (!text || !*text)
		return fail(error, ASSAY_ERROR_USER, "the image's name is empty; give one such as alpine:3.20");
	if (strlen(text) > IMAGE_REF_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "the image's name is longer than %d bytes", IMAGE_REF_BYTES_MAX);
	if (!parse_offline(text, &ref, error) || (!ref.path && !parse_registry(text, &ref, error)))
		return false;
	*out = ref;
	ref = (ImageRef){.source = IMAGE_REGISTRY};
	return true;
}

char *image_ref_text(const ImageRef *ref)
{
	const char *const kinds[] = {"", "oci:", "docker-archive:"};
	g_autofree char *name = ref->source == IMAGE_REGISTRY ? g_strconcat(ref->registry, "/", ref->repository, NULL)
	                                                      : g_strconcat(kinds[ref->source], ref->path, NULL);
	return g_strconcat(name, ref->tag ? ":" : "", ref->tag ? ref->tag : "", ref->digest ? "@" : "",
	        ref->digest ? ref->digest : "", NULL);
}

void image_ref_clear(ImageRef *ref)
{
	g_clear_pointer(&ref->registry, g_free);
	g_clear_pointer(&ref->repository, g_free);
	g_clear_pointer(&ref->tag, g_free);
	g_clear_pointer(&ref->digest, g_free);
	g_clear_pointer(&ref->path, g_free);
}
