/* SPDX-License-Identifier: Apache-2.0 */
#include "executors/image_manifest.h"

#include <string.h>

#include "agent/base/error.h"

#define DIGEST "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define LAYER "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"" DIGEST "\",\"size\":7}"
#define CONFIG "\"config\":{\"digest\":\"" DIGEST "\",\"size\":10}"

static void refuse_manifest(const char *text, const char *why)
{
	g_autoptr(GError) error = NULL;
	g_auto(Manifest) manifest = {.layers = NULL};
	g_assert_false(manifest_read(text, strlen(text), "amd64", NULL, &manifest, &error));
	if (!strstr(error->message, why))
		g_error("'%s' is not in '%s'", why, error->message);
}

static void a_list_gives_this_machines(void)
{
	g_autoptr(GError) error = NULL;
	g_auto(Manifest) manifest = {.layers = NULL};
	const char *text = "{\"schemaVersion\":2,\"manifests\":["
	                   "{\"digest\":\"x\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"s390x\"}},"
	                   "{\"digest\":\"" DIGEST "\",\"size\":5,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}";
	g_assert_true(manifest_read(text, strlen(text), "amd64", NULL, &manifest, &error));
	g_assert_cmpstr(manifest.chosen.digest, ==, DIGEST);
	g_assert_cmpint(manifest.chosen.size, ==, 5);
	g_assert_false(manifest_read(text, strlen(text), "arm64", NULL, &manifest, &error));
	g_assert_nonnull(strstr(error->message, "linux/s390x, linux/amd64"));
}

static void a_manifest_gives_layers_in_order(void)
{
	g_autoptr(GError) error = NULL;
	g_auto(Manifest) manifest = {.layers = NULL};
	const char *text = "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "," LAYER "]}";
	g_assert_true(manifest_read(text, strlen(text), "amd64", NULL, &manifest, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(manifest.layers->len, ==, 2);
	g_assert_cmpint(g_array_index(manifest.layers, Descriptor, 1).size, ==, 7);
}

static void lies_are_refused(void)
{
	refuse_manifest("{", "manifest");
	refuse_manifest("{\"schemaVersion\":1}", "schema version 2");
	refuse_manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:../../x\",\"size\":1}}", "no digest of sha256");
	refuse_manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"" DIGEST "\",\"size\":-1}}", "says a size of -1");
	refuse_manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"" DIGEST "\",\"size\":9999999999}}", "says a size of 9999999999");
	refuse_manifest("{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", "0 layers");
	refuse_manifest("{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"text/html\",\"digest\":\"" DIGEST
	                "\",\"size\":1}]}",
	        "of the kind 'text/html'");
	g_autoptr(GString) many = g_string_new("{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER);
	for (int i = 0; i < IMAGE_LAYERS_MAX; i++)
		g_string_append(many, "," LAYER);
	g_string_append(many, "]}");
	refuse_manifest(many->str, "128 layers");
}

static void refuse_config(const char *text, const char *why)
{
	g_autoptr(GError) error = NULL;
	g_auto(ImageConfig) config = {.env = NULL};
	g_assert_false(image_config_read(text, strlen(text), "amd64", &config, &error));
	if (!strstr(error->message, why))
		g_error("'%s' is not in '%s'", why, error->message);
}

static void configs_have_bounds(void)
{
	refuse_config("{\"os\":\"windows\"}", "windows/amd64");
	refuse_config("{\"architecture\":\"arm64\"}", "linux/arm64");
	refuse_config("{\"config\":{\"Env\":[\"noequals\"]}}", "not NAME=value");
	refuse_config("{\"config\":{\"Env\":[\"A=b\\u0000c\"]}}", "");
	refuse_config("{\"config\":{\"Env\":{}}}", "is no list");
	refuse_config("{\"config\":{\"WorkingDir\":\"rel\"}}", "not absolute");
	refuse_config("{\"rootfs\":{\"diff_ids\":[\"../x\"]}}", "no digest of sha256");
	g_autoptr(GString) many = g_string_new("{\"config\":{\"Env\":[\"A=b\"");
	for (int i = 0; i < 100000; i++)
		g_string_append_printf(many, ",\"V%d=x\"", i);
	g_string_append(many, "]}}");
	refuse_config(many->str, "at most 4096 are taken");
}

static void a_config_gives_what_runs(void)
{
	g_autoptr(GError) error = NULL;
	g_auto(ImageConfig) config = {.env = NULL};
	const char *text = "{\"config\":{\"Env\":[\"A=b\"],\"Entrypoint\":[\"/e\"],\"Cmd\":null,\"User\":\"u:g\",\"Healthcheck\":{\"Test\":["
	                   "\"CMD-SHELL\",\"true\"],\"Interval\":5000000000}},\"rootfs\":{\"diff_ids\":[\"" DIGEST "\"]}}";
	g_assert_true(image_config_read(text, strlen(text), "amd64", &config, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(config.env[0], ==, "A=b");
	g_assert_cmpstr(config.entrypoint[0], ==, "/e");
	g_assert_null(config.command[0]);
	g_assert_cmpstr(config.user, ==, "u:g");
	g_assert_cmpstr(config.folder, ==, "/");
	g_assert_cmpint(json_integer_value(json_object_get(config.health, "interval_us")), ==, 5000000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/image_manifest/" #name, name)
	ADD(a_list_gives_this_machines);
	ADD(a_manifest_gives_layers_in_order);
	ADD(lies_are_refused);
	ADD(configs_have_bounds);
	ADD(a_config_gives_what_runs);
	return g_test_run();
}
