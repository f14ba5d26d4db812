/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: the file that is installed says what the program does, commented out or not. */
#include "agent/daemon/config.h"

#include <glib/gstdio.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

static Config *load(const char *text, GError **error)
{
	g_autofree char *path = NULL;
	int fd = g_file_open_tmp("assay-config-XXXXXX", &path, NULL);
	g_assert_cmpint(fd, >=, 0);
	g_close(fd, NULL);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	Config *config = config_load(path, error);
	g_unlink(path);
	return config;
}

static void assert_same(const Config *a, const Config *b)
{
	g_assert_cmpstr(a->data, ==, b->data);
	g_assert_cmpstr(a->listen_address, ==, b->listen_address);
	g_assert_cmpint(a->listen_port, ==, b->listen_port);
	g_assert_cmpstr(a->socket, ==, b->socket);
	g_assert_cmpint(a->jobs, ==, b->jobs);
	g_assert_cmpint(a->body_bytes, ==, b->body_bytes);
	g_assert_cmpint(a->job_timeout_us, ==, b->job_timeout_us);
	g_assert_cmpint(a->job_memory_bytes, ==, b->job_memory_bytes);
	g_assert_cmpint(a->job_processes, ==, b->job_processes);
	g_assert_cmpint(a->job_disk_bytes, ==, b->job_disk_bytes);
	g_assert_cmpfloat(a->job_cpus, ==, b->job_cpus);
	g_assert_cmpint(a->job_open_files, ==, b->job_open_files);
	g_assert_cmpint(a->job_file_bytes, ==, b->job_file_bytes);
	g_assert_cmpint(a->job_read_bytes_s, ==, b->job_read_bytes_s);
	g_assert_cmpint(a->job_write_bytes_s, ==, b->job_write_bytes_s);
	g_assert_cmpint(a->log_bytes, ==, b->log_bytes);
	g_assert_cmpint(a->gate_expires_us, ==, b->gate_expires_us);
	g_assert_cmpstr(a->network, ==, b->network);
	g_assert_cmpint(a->full_is_host, ==, b->full_is_host);
	g_assert_cmpstr(a->executor_default, ==, b->executor_default);
	g_assert_cmpint(a->job_uid, ==, b->job_uid);
	g_assert_cmpstrv(a->action_sources, b->action_sources);
	g_assert_cmpstrv(a->action_fetch, b->action_fetch);
	g_assert_cmpstr(a->log_level, ==, b->log_level);
}

static char *installed(void)
{
	char *text = NULL;
	g_assert_true(g_file_get_contents(TEST_SOURCE_DIR "/packaging/assay.yml", &text, NULL, NULL));
	return text;
}

static void installed_file_changes_nothing(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = installed();
	g_autoptr(Config) defaults = config_load(NULL, &error);
	g_autoptr(Config) config = load(text, &error);
	g_assert_no_error(error);
	assert_same(defaults, config);
}

static void installed_file_names_the_defaults(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *commented = installed();
	/* A comment without a blank is a key. */
	g_autoptr(GRegex) keys = g_regex_new("^( *)#(?=[a-z_]+:| )", G_REGEX_MULTILINE, 0, NULL);
	g_autoptr(GRegex) prose = g_regex_new("^ *# .*\n", G_REGEX_MULTILINE, 0, NULL);
	g_autofree char *mounts = g_regex_replace_literal(prose, commented, -1, 0, "", 0, NULL);
	g_autofree char *text = g_regex_replace(keys, mounts, -1, 0, "\\1", 0, NULL);
	g_autoptr(GString) whole = g_string_new(text);
	g_string_replace(whole, "mounts:\n", "mounts: []\n", 0);
	g_autoptr(Config) defaults = config_load(NULL, &error);
	g_autoptr(Config) config = load(whole->str, &error);
	g_assert_no_error(error);
	assert_same(defaults, config);
}

static void unknown_key_is_refused_with_its_place(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = load("jobs: 2\nlimits:\n  bodi: 1 MiB\n", &error);
	g_assert_null(config);
	g_assert_nonnull(strstr(error->message, ":3:3: unknown key 'bodi'"));
}

static void folders_and_devices_are_read_or_refused(void)
{
	static const char *const refused[] = {"devices: /dev/null", "devices: [nvidia0]", "devices: [/dev/../etc/passwd]", "devices: [/dev]",
	        "mounts: [{source: /a, target: /b, forks: 1}]", "mounts: [{source: /a, target: /b, fork: true}]", NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = load("sandbox:\n  devices: [\"/dev/nvidia*\", /dev/kfd]\n  mounts:\n"
	                                "    - {source: /a, target: /b, writable: true}\n    - {source: /c, target: /d, forks: true}\n", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(config->devices[0], ==, "/dev/nvidia*");
	g_assert_cmpstr(config->devices[1], ==, "/dev/kfd");
	g_assert_null(config->devices[2]);
	g_assert_cmpint(config->mounts_len, ==, 2);
	g_assert_true(config->mounts[0].writable && !config->mounts[0].forks);
	g_assert_true(!config->mounts[1].writable && config->mounts[1].forks);
	for (const char *const *row = refused; *row; row++) {
		g_autoptr(GError) why = NULL;
		g_autofree char *text = g_strdup_printf("sandbox:\n  %s\n", *row);
		g_autoptr(Config) none = load(text, &why);
		g_assert_null(none);
		g_assert_nonnull(strstr(why->message, ":2:"));
	}
}

static void limits_are_read_or_refused(void)
{
	static const char *const refused[] = {"job_cpus: -1", "job_cpus: 0.001", "job_cpus: many", "job_cpus: 2 cores", "job_cpus: nan",
	        "job_open_files: 3", "job_open_files: -5", "job_file: big", "job_read: 1", "job_write: 10 KiB", "job_write: fast", NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = load("limits:\n  job_cpus: 1.5\n  job_open_files: 256\n  job_file: 2 GiB\n  job_write: 20 MiB\n", &error);
	g_assert_no_error(error);
	g_assert_cmpfloat(config->job_cpus, ==, 1.5);
	g_assert_cmpint(config->job_open_files, ==, 256);
	g_assert_cmpint(config->job_file_bytes, ==, INT64_C(2) << 30);
	g_assert_cmpint(config->job_read_bytes_s, ==, 0);
	g_assert_cmpint(config->job_write_bytes_s, ==, 20 << 20);
	for (const char *const *row = refused; *row; row++) {
		g_autoptr(GError) why = NULL;
		g_autofree char *text = g_strdup_printf("limits:\n  %s\n", *row);
		g_autoptr(Config) none = load(text, &why);
		g_assert_null(none);
		g_assert_nonnull(strstr(why->message, ":2:"));
	}
}

static void networks_are_read_or_refused(void)
{
	static const char *const refused[] = {"network: host", "full_network: full", "full_network: [own]", "allow: pypi.org:443",
	        "allow: ['127.0.0.1:80']", "allow: ['https://pypi.org']", "allow: ['*.pypi.org']", "allow: [{host: a}]",
	        "repos: [acme/digits]", "repos: {acme: {allow: []}}", "repos: {acme/digits: [pypi.org:443]}", "repos: {acme/digits: {network: full}}",
	        "repos: {acme/digits: {allow: pypi.org}}", "repos: {acme/digits: {allow: ['127.0.0.1:80']}}", "repos: {acme/digits: {}}", NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = load("sandbox: {network: full, full_network: host, allow: ['*', '[fd00::1]:22', pypi.org:443]}\n", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(config->network, ==, "full");
	g_assert_true(config->full_is_host);
	g_assert_cmpuint(g_strv_length(config->allow), ==, 3);
	g_assert_cmpstr(config->allow[1], ==, "[fd00::1]:22");
	g_assert_cmpuint(json_object_size(config->repo_allow), ==, 0);
	g_autoptr(Config) by_repo = load("sandbox: {allow: ['*'], repos: {acme/digits: {allow: ['pypi.org:443', '10.0.0.0/8']}, acme/none: {allow: []}}}\n", &error);
	g_assert_no_error(error);
	g_assert_cmpuint(g_strv_length(by_repo->allow), ==, 1);
	g_assert_cmpuint(json_array_size(json_object_get(by_repo->repo_allow, "acme/digits")), ==, 2);
	g_assert_cmpstr(json_string_value(json_array_get(json_object_get(by_repo->repo_allow, "acme/digits"), 1)), ==, "10.0.0.0/8");
	g_assert_true(json_is_array(json_object_get(by_repo->repo_allow, "acme/none")));
	g_autoptr(Config) nothing = load("sandbox: {full_network: own, allow: []}\n", &error);
	g_assert_no_error(error);
	g_assert_false(nothing->full_is_host);
	g_assert_nonnull(nothing->allow);
	g_assert_cmpuint(g_strv_length(nothing->allow), ==, 0);
	for (const char *const *row = refused; *row; row++) {
		g_autoptr(GError) why = NULL;
		g_autofree char *text = g_strdup_printf("sandbox:\n  %s\n", *row);
		g_autoptr(Config) none = load(text, &why);
		g_assert_null(none);
		g_assert_nonnull(strstr(why->message, ":2:"));
	}
}

static void ids_are_a_word_or_the_first(void)
{
	static const char *const good[] = {"auto", "none", "100000"};
	static const char *const refused[] = {"ids: 0", "ids: -1", "ids: some", "ids: [1]", "ids: 4294967295", "ids: 100000:65536", NULL};
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *text = g_strdup_printf("sandbox: {ids: %s}\n", good[i]);
		g_autoptr(Config) config = load(text, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(json_get_string(config->images, "ids", NULL), ==, good[i]);
	}
	for (const char *const *row = refused; *row; row++) {
		g_autoptr(GError) why = NULL;
		g_autofree char *text = g_strdup_printf("sandbox:\n  %s\n", *row);
		g_autoptr(Config) none = load(text, &why);
		g_assert_null(none);
		g_assert_nonnull(strstr(why->message, ":2:"));
	}
}

static void images_are_as_a_worker_is_told(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = load("images:\n  registries: [ghcr.io]\n  mirrors: {docker.io: ['http://m:5000']}\n  plain_http: ['r:5000']\n"
	                                "  volumes: [/srv/a, {path: /srv/b, writable: true}]\n  keep: 2 d\n  size: 1 GiB\n  stall: 5 s\n",
	        &error);
	g_assert_no_error(error);
	const json_t *images = config->images;
	g_assert_cmpstr(json_string_value(json_array_get(json_object_get(images, "registries"), 0)), ==, "ghcr.io");
	g_assert_cmpstr(json_string_value(json_array_get(json_object_get(json_object_get(images, "mirrors"), "docker.io"), 0)), ==,
	        "http://m:5000");
	g_assert_cmpint(json_integer_value(json_object_get(images, "age_us")), ==, INT64_C(172800000000));
	g_assert_cmpint(json_integer_value(json_object_get(images, "bytes")), ==, 1 << 30);
	g_assert_cmpint(json_integer_value(json_object_get(images, "stall_s")), ==, 5);
	g_assert_true(json_is_true(json_object_get(json_array_get(json_object_get(images, "volumes"), 1), "writable")));
	static const char *const wrong[] = {"images: {mirrors: [x]}\n", "images: {mirrors: {docker.io: [m]}}\n", "images: {volumes: [rel]}\n",
	        "images: {volumes: ['/']}\n", "images: {registry: []}\n", "images: {local: x}\n"};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(GError) why = NULL;
		g_autoptr(Config) none = load(wrong[i], &why);
		g_assert_null(none);
		g_assert_nonnull(why);
	}
}

static void sources_of_actions_are_a_list_and_may_be_none(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) none = load("actions: {sources: [], fetch: [actions/cache]}\n", &error);
	g_assert_no_error(error);
	g_assert_null(none->action_sources[0]);
	g_assert_cmpstr(none->action_fetch[0], ==, "actions/cache");
	g_autoptr(Config) two = load("actions:\n  sources: ['file:///srv/{repo}.git', 'https://x/{repo}']\n", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(two->action_sources[1], ==, "https://x/{repo}");
	g_autoptr(Config) bad = load("actions:\n  sources: ['https://x/repo']\n", &error);
	g_assert_null(bad);
	g_assert_nonnull(strstr(error->message, ":2:13: a list of addresses with {repo}"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/networks_are_read_or_refused", networks_are_read_or_refused);
	g_test_add_func("/config/folders_and_devices_are_read_or_refused", folders_and_devices_are_read_or_refused);
	g_test_add_func("/config/limits_are_read_or_refused", limits_are_read_or_refused);
	g_test_add_func("/config/installed_file_changes_nothing", installed_file_changes_nothing);
	g_test_add_func("/config/installed_file_names_the_defaults", installed_file_names_the_defaults);
	g_test_add_func("/config/unknown_key_is_refused_with_its_place", unknown_key_is_refused_with_its_place);
	g_test_add_func("/config/ids_are_a_word_or_the_first", ids_are_a_word_or_the_first);
	g_test_add_func("/config/images_are_as_a_worker_is_told", images_are_as_a_worker_is_told);
	g_test_add_func("/config/sources_of_actions_are_a_list_and_may_be_none", sources_of_actions_are_a_list_and_may_be_none);
	return g_test_run();
}
