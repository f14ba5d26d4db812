/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, lists of them and configs: what is taken has digests that can be file names, and is within its bounds. */
#include <stdint.h>
#include <string.h>

#include "executors/image_manifest.h"
#include "executors/image_ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_auto(Manifest) manifest = {.layers = NULL};
	g_auto(ImageConfig) config = {.env = NULL};
	if (manifest_read((const char *)data, size, "amd64", size % 2 ? "tag" : NULL, &manifest, NULL)) {
		if (manifest.chosen.digest) {
			g_assert_true(image_digest_is_valid(manifest.chosen.digest));
		} else {
			g_assert_true(image_digest_is_valid(manifest.config.digest) && manifest.config.size >= 0);
			g_assert_true(manifest.layers->len > 0 && manifest.layers->len <= IMAGE_LAYERS_MAX);
			for (guint i = 0; i < manifest.layers->len; i++)
				g_assert_true(image_digest_is_valid(g_array_index(manifest.layers, Descriptor, i).digest));
		}
	}
	if (image_config_read((const char *)data, size, "amd64", &config, NULL)) {
		g_assert_cmpuint(g_strv_length(config.env), <=, IMAGE_ENV_MAX);
		for (char **one = config.env; *one; one++)
			g_assert_true(strchr(*one, '=') > *one);
		for (char **one = config.diff_ids; *one; one++)
			g_assert_true(image_digest_is_valid(*one));
		g_assert_true(config.folder[0] == '/');
	}
	return 0;
}
