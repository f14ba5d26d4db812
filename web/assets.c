/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assets. Pages name them with the hash of their bytes, so a browser keeps them for good and sees a new one at once after
 * an upgrade; under its plain name an asset is asked for again each time.
 */
#include "web/assets.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/hash.h"

#define HASH_SHOWN 16

extern const unsigned char embed_app_js[], embed_logo_svg[], embed_phone_css[], embed_style_css[];
extern const size_t embed_app_js_len, embed_logo_svg_len, embed_phone_css_len, embed_style_css_len;

typedef struct Asset {
	const char *stem, *ending, *type;
	const unsigned char *bytes;
	const size_t *len;
} Asset;

static const Asset assets[] = {
        {"app", "js", "text/javascript; charset=utf-8", embed_app_js, &embed_app_js_len},
        {"logo", "svg", "image/svg+xml", embed_logo_svg, &embed_logo_svg_len},
        {"phone", "css", "text/css; charset=utf-8", embed_phone_css, &embed_phone_css_len},
        {"style", "css", "text/css; charset=utf-8", embed_style_css, &embed_style_css_len},
};

/** "/assets/style.0f3a….css", made once. */
static const char *address_of(size_t index)
{
	static char *addresses[G_N_ELEMENTS(assets)];
	if (!addresses[index]) {
		const Asset *asset = &assets[index];
		g_autofree char *hash = hash_bytes_hex(asset->bytes, *asset->len);
		addresses[index] = g_strdup_printf("/assets/%s.%.*s.%s", asset->stem, HASH_SHOWN, hash, asset->ending);
	}
	return addresses[index];
}

const char *assets_address(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(assets); i++) {
		g_autofree char *plain = g_strconcat(assets[i].stem, ".", assets[i].ending, NULL);
		if (g_str_equal(plain, name))
			return address_of(i);
	}
	return NULL;
}

bool assets_get(Request *request, GError **error)
{
	const char *file = request_param(request, "file");
	for (size_t i = 0; i < G_N_ELEMENTS(assets); i++) {
		const Asset *asset = &assets[i];
		const char *hashed = address_of(i) + strlen("/assets/");
		g_autofree char *plain = g_strconcat(asset->stem, ".", asset->ending, NULL);
		bool is_hashed = g_str_equal(file, hashed);
		if (!is_hashed && !g_str_equal(file, plain))
			continue;
		g_autofree char *tag = g_strdup_printf("\"%.*s\"", HASH_SHOWN, hashed + strlen(asset->stem) + 1);
		reply_header(request, "Cache-Control", is_hashed ? "public, max-age=31536000, immutable" : "no-cache");
		reply_header(request, "ETag", tag);
		if (g_strcmp0(request_header(request, "if-none-match"), tag) == 0)
			return reply_empty(request, 304);
		return reply_bytes(request, 200, asset->type, g_bytes_new_static(asset->bytes, *asset->len));
	}
	return fail(error, ASSAY_ERROR_ABSENT, "there is no asset '%s'; load the page again", file);
}
