/* SPDX-License-Identifier: Apache-2.0 */
/* What names an image: what is taken can stand in an address as it is, and means the same when it is written again. */
#include <stdint.h>
#include <string.h>

#include "agent/model/container.h"
#include "executors/image_ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reference(const char *text)
{
	g_auto(ImageRef) ref = {.source = IMAGE_REGISTRY};
	if (!image_ref_parse(text, &ref, NULL))
		return;
	if (ref.source != IMAGE_REGISTRY) {
		g_assert_true(ref.path && ref.path[0] == '/');
		return;
	}
	g_assert_true(ref.tag || ref.digest);
	g_assert_null(strpbrk(ref.repository, " \t\r\n?#%@:"));
	g_assert_null(strpbrk(ref.registry, " \t\r\n?#%@/"));
	g_assert_null(strstr(ref.repository, ".."));
	g_assert_true(!ref.digest || image_digest_is_valid(ref.digest));
	g_autofree char *written = image_ref_text(&ref);
	g_auto(ImageRef) again = {.source = IMAGE_REGISTRY};
	if (strlen(written) > IMAGE_REF_BYTES_MAX)
		return;
	g_assert_true(image_ref_parse(written, &again, NULL));
	g_assert_cmpstr(again.repository, ==, ref.repository);
	g_assert_cmpstr(again.registry, ==, ref.registry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	check_reference(text);
	g_auto(ContainerOptions) options = {.env = NULL};
	if (container_options_parse(text, &options, NULL))
		g_assert_true(json_is_object(options.env) && options.cpus >= 0 && options.memory_bytes >= 0);
	int outside = 0, inside = 0;
	bool udp = false;
	if (container_port_parse(text, &outside, &inside, &udp, NULL))
		g_assert_true(inside > 0 && inside < 65536 && outside >= 0 && outside < 65536);
	ContainerVolume volume = {.source = NULL};
	if (container_volume_parse(text, &volume, NULL)) {
		g_assert_true(volume.target[0] == '/' && !strstr(volume.target, "/../"));
		container_volume_clear(&volume);
	}
	return 0;
}
