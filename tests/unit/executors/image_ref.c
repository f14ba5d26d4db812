/* SPDX-License-Identifier: Apache-2.0 */
#include "executors/image_ref.h"

#include <string.h>

#include "agent/base/error.h"

#define HEX64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void expect(const char *text, const char *whole)
{
	g_autoptr(GError) error = NULL;
	g_auto(ImageRef) ref = {.source = IMAGE_REGISTRY};
	g_assert_true(image_ref_parse(text, &ref, &error));
	g_assert_no_error(error);
	g_autofree char *got = image_ref_text(&ref);
	g_assert_cmpstr(got, ==, whole);
}

static void refuse(const char *text)
{
	g_autoptr(GError) error = NULL;
	g_auto(ImageRef) ref = {.source = IMAGE_REGISTRY};
	g_assert_false(image_ref_parse(text, &ref, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
}

static void names_are_read_as_docker_does(void)
{
	expect("alpine", "docker.io/library/alpine:latest");
	expect("docker://alpine:3.20", "docker.io/library/alpine:3.20");
	expect("acme/tool", "docker.io/acme/tool:latest");
	expect("index.docker.io/acme/tool", "docker.io/acme/tool:latest");
	expect("ghcr.io/a/b/c:v1.2-x_y", "ghcr.io/a/b/c:v1.2-x_y");
	expect("localhost/x", "localhost/x:latest");
	expect("host:5000/x@sha256:" HEX64, "host:5000/x@sha256:" HEX64);
	expect("host:5000/x:1@sha256:" HEX64, "host:5000/x:1@sha256:" HEX64);
	expect("[::1]:5000/a__b/c-d.e", "[::1]:5000/a__b/c-d.e:latest");
	expect("oci:/srv/image", "oci:/srv/image");
	expect("oci:/srv/image:tag", "oci:/srv/image:tag");
	expect("docker-archive:/srv/a.tar:1", "docker-archive:/srv/a.tar:1");
}

static void what_is_no_name_is_refused(void)
{
	static const char *const wrong[] = {"", "UPPER", "a//b", "a/", "/a", "a/../b", "a b", "a\nb", "x:", "x:-tag", "x@sha256:abc",
	        "x@md5:" HEX64, "host:99999/x", "host:/x", "-host.io/x", "a..b.io/x", "ho%73t.io/x", "host.io/x?y", "user@host.io/x",
	        "oci:relative", "docker-archive:", "x:" HEX64 HEX64 HEX64, "a._b", "a___b/c"};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		refuse(wrong[i]);
	g_autofree char *length = g_strnfill(5000, 'a');
	refuse(length);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/image_ref/names_are_read_as_docker_does", names_are_read_as_docker_does);
	g_test_add_func("/image_ref/what_is_no_name_is_refused", what_is_no_name_is_refused);
	return g_test_run();
}
