/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places whose image is hostile: links where /proc, /dev or a mount of ours must be, setuid programs, a lower layer that
 * is written to. Each attempt says what it saw; beside it stands what works.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/executor.h"
#include "tests/lib/oci.h"

typedef struct Fixture {
	const Executor *executor;
	char *root, *work, *home, *store, *layout, *scratch;
	GPtrArray *layers;
	json_t *config;
	Place *place;
} Fixture;

/* The host's programs in an image of links; entries of a case come as a layer above. */
static const TarEntry plain[] = {{.name = "bin", .type = '2', .link = "usr/bin"}, {.name = "lib", .type = '2', .link = "usr/lib"},
        {.name = "lib64", .type = '2', .link = "usr/lib64"}, {.name = "etc", .type = '5'}, {.name = "data", .text = "lower"},
        {.name = NULL}};

static void set_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->executor = executor_find("container");
	fixture->root = g_dir_make_tmp("assay-container-XXXXXX", NULL);
	g_assert_cmpint(chmod(fixture->root, 0755), ==, 0);
	fixture->work = g_build_filename(fixture->root, "work", NULL);
	fixture->home = g_build_filename(fixture->root, "home", NULL);
	fixture->store = g_build_filename(fixture->root, "images", NULL);
	fixture->layout = g_build_filename(fixture->root, "layout", NULL);
	fixture->scratch = g_build_filename(fixture->root, "scratch", NULL);
	g_assert_true(fd_make_folder(fixture->work, 0777, NULL) && fd_make_folder(fixture->home, 0777, NULL));
	fixture->layers = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
	g_ptr_array_add(fixture->layers, oci_tar(plain));
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->executor->close(fixture->place);
	g_ptr_array_unref(fixture->layers);
	g_assert_true(fd_remove_tree(fixture->root, NULL));
	g_free(fixture->root);
	g_free(fixture->work);
	g_free(fixture->home);
	g_free(fixture->store);
	g_free(fixture->layout);
	g_free(fixture->scratch);
}

static bool open_place(Fixture *fixture, const char *const *tmpfs, bool read_only, GError **error)
{
	g_autofree char *reference = g_strconcat("oci:", fixture->layout, NULL);
	g_autoptr(json_t) settings = json_pack("{s:[s]}", "local", fixture->root);
	const PlaceMount programs[] = {{.source = "/usr", .target = "/usr"}};
	const PlaceImage image = {.reference = reference, .store = fixture->store, .scratch = fixture->scratch, .settings = settings,
	        .work_inside = "/__w", .home_inside = "/github/home", .runner_inside = "/github/workflow", .tmpfs = tmpfs,
	        .read_only = read_only};
	const PlaceSpec spec = {.work_folder = fixture->work, .home_folder = fixture->home, .image = &image, .mounts = programs,
	        .mounts_len = G_N_ELEMENTS(programs)};
	g_free(oci_layout(fixture->layout, fixture->layers, fixture->config));
	return fixture->executor->open(&spec, &fixture->place, error);
}

/* What a script prints, and ends with. */
static char *output_of(Fixture *fixture, const char *script, int *out_code)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_build_filename(fixture->root, "output", NULL);
	autofd int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	const char *const envp[] = {"PATH=/usr/bin:/bin", NULL};
	const StepSpec step = {.name = "case", .argv = argv, .envp = envp, .folder = "/__w", .fds = {-1, fd, fd}};
	Child child = {.fd = -1};
	StepEnd end;
	g_assert_true(fixture->executor->start(fixture->place, &step, &child, &error));
	struct pollfd wait = {.fd = child.fd, .events = POLLIN};
	g_assert_cmpint(poll(&wait, 1, 60000), ==, 1);
	g_assert_true(fixture->executor->finish(fixture->place, &child, &end, &error));
	char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	*out_code = end.exit_code;
	return text;
}

static void passes(Fixture *fixture, const char *script)
{
	int code = -1;
	g_autofree char *text = output_of(fixture, script, &code);
	if (code != 0)
		g_error("'%s' ended with %d and said '%s'", script, code, text);
}

static void opens(Fixture *fixture)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(open_place(fixture, NULL, false, &error));
	g_assert_no_error(error);
}

static void links_in_our_way_are_refused(Fixture *fixture, gconstpointer data)
{
	(void)data;
	static const TarEntry cases[][3] = {
	        {{.name = "proc", .type = '2', .link = "/tmp"}},
	        {{.name = "dev", .type = '2', .link = "etc"}},
	        {{.name = "sys", .type = '2', .link = ".."}},
	        {{.name = "sys", .type = '5'}, {.name = "sys/devices", .type = '2', .link = "/etc"}},
	        {{.name = "__w", .type = '2', .link = "/proc"}},
	        {{.name = "github", .type = '2', .link = "/"}},
	        {{.name = "etc", .type = '2', .link = "/tmp"}},
	        {{.name = "usr", .type = '2', .link = "/"}},
	        {{.name = "tmp", .type = '2', .link = "/proc/self"}},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_ptr_array_set_size(fixture->layers, 1);
		g_ptr_array_add(fixture->layers, oci_tar(cases[i]));
		g_assert_false(open_place(fixture, NULL, false, &error));
		if (!strstr(error->message, "the image has a link where ours must be") && !strstr(error->message, "cannot make"))
			g_error("case %zu: %s", i, error->message);
		g_assert_false(g_file_test(fixture->scratch, G_FILE_TEST_EXISTS));
	}
	g_ptr_array_set_size(fixture->layers, 1);
	opens(fixture); /* and without them it is a place */
	passes(fixture, "test -c /dev/null && test -d /proc/self && test -w /__w");
}

static void files_in_our_way_are_refused_or_replaced(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const TarEntry file[] = {{.name = "proc", .text = "a file"}, {.name = NULL}};
	g_autoptr(GError) error = NULL;
	g_ptr_array_add(fixture->layers, oci_tar(file));
	g_assert_false(open_place(fixture, NULL, false, &error));
	g_assert_nonnull(strstr(error->message, "proc"));
	g_ptr_array_set_size(fixture->layers, 1);
	/* The host's names are ours whatever the image has there; a link is replaced, and not written through. */
	const TarEntry hosts[] = {{.name = "etc/hosts", .type = '2', .link = "../data"}, {.name = "etc/resolv.conf", .type = '2', .link = "/data"},
	        {.name = NULL}};
	g_ptr_array_add(fixture->layers, oci_tar(hosts));
	opens(fixture);
	passes(fixture, "grep -q localhost /etc/hosts && test \"$(cat /data)\" = lower && test ! -L /etc/hosts");
}

static void devices_and_masks_are_ours(Fixture *fixture, gconstpointer data)
{
	(void)data;
	/* An image's own /dev, with a null that is a link, is never seen; masks are made from ours (CVE-2025-31133). */
	const TarEntry entries[] = {{.name = "dev", .type = '5'}, {.name = "dev/null", .type = '2', .link = "/data"},
	        {.name = "dev/extra", .text = "x"}, {.name = NULL}};
	g_ptr_array_add(fixture->layers, oci_tar(entries));
	opens(fixture);
	passes(fixture, "test -c /dev/null && test \"$(stat -c %t:%T /dev/null)\" = 1:3 && test ! -e /dev/extra");
	passes(fixture, "echo x >/dev/null && test \"$(cat /data)\" = lower && test -z \"$(cat /proc/keys)\"");
	passes(fixture, "! echo 1 >/proc/sys/kernel/core_pattern && ! echo b >/proc/sysrq-trigger && ! test -e /dev/kmsg");
	passes(fixture, "! mknod /__w/disk b 8 0 && ! mount -t tmpfs x /tmp");
}

static void nobody_gains_rights(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const TarEntry entries[] = {{.name = "su", .text = "#!/bin/sh\nid -u\n", .mode = 06755}, {.name = NULL}};
	g_ptr_array_add(fixture->layers, oci_tar(entries));
	opens(fixture);
	passes(fixture, "test \"$(stat -c %a /su)\" = 755 && grep -q '^CapEff:.0000000000000000' /proc/self/status && "
	                "grep -q '^NoNewPrivs:.1' /proc/self/status && grep -q '^Seccomp:.2' /proc/self/status");
	passes(fixture, "grep ' / ' /proc/self/mounts | grep -q nosuid && ! unshare -U true && ! chroot / true");
}

static char *lower_digest(const Fixture *fixture)
{
	g_autofree char *layers = g_strdup_printf("%s/layers-%u", fixture->store, (unsigned)geteuid());
	g_autoptr(GDir) dir = g_dir_open(layers, 0, NULL);
	for (const char *name; dir && (name = g_dir_read_name(dir));) {
		g_autofree char *path = g_build_filename(layers, name, "data", NULL);
		char *text = NULL;
		gsize len = 0;
		if (g_file_get_contents(path, &text, &len, NULL)) {
			char *hex = hash_bytes_hex(text, len);
			g_free(text);
			return hex;
		}
	}
	g_assert_not_reached();
}

static void what_is_written_stays_in_the_place(Fixture *fixture, gconstpointer data)
{
	(void)data;
	opens(fixture);
	g_autofree char *before = lower_digest(fixture);
	passes(fixture, "echo changed >/data && ln /data /hard && echo more >>/hard && rm -rf /etc && mkdir /etc && touch /etc/new && "
	                "test \"$(ls /etc)\" = new && chown 5:5 /data && test \"$(cat /data)\" = \"$(printf 'changed\\nmore')\"");
	fixture->executor->close(g_steal_pointer(&fixture->place));
	g_assert_false(g_file_test(fixture->scratch, G_FILE_TEST_EXISTS));
	g_autofree char *after = lower_digest(fixture);
	g_assert_cmpstr(after, ==, before);
	opens(fixture); /* a new place is as the image is */
	passes(fixture, "test \"$(cat /data)\" = lower && test ! -e /hard");
}

static void options_make_it_smaller(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	static const char *const tmpfs[] = {"/scratch:size=64k", NULL};
	fixture->config = json_pack("{s:[s],s:s}", "Env", "FROM=image", "WorkingDir", "/made/for/it");
	g_assert_true(open_place(fixture, tmpfs, true, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(fixture->place->image->env[0], ==, "FROM=image");
	g_assert_cmpstr(fixture->place->image->folder, ==, "/made/for/it");
	passes(fixture, "! touch /data && ! touch /new && touch /__w/works && test -d /made/for/it && cd /scratch && "
	                "! dd if=/dev/zero of=big bs=1k count=200 2>/dev/null");
	fixture->config = NULL;
}

static void a_wrong_spec_is_refused(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	static const char *const wrong[][2] = {{"/proc/x", NULL}, {"relative", NULL}, {"/a/../b", NULL}, {"/dev/shm", NULL}};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_assert_false(open_place(fixture, wrong[i], false, &error));
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
		g_clear_error(&error);
	}
	const PlaceSpec none = {.work_folder = fixture->work, .home_folder = fixture->home};
	g_assert_false(fixture->executor->open(&none, &fixture->place, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
}

static void places_can_share_a_network(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	const Executor *sandbox = executor_find("sandbox");
	PlaceSpec spec = {.work_folder = fixture->work, .home_folder = fixture->home, .network = PLACE_NETWORK_LOOPBACK,
	        .shares_network = true};
	Place *first = NULL;
	Place *second = NULL;
	g_assert_true(sandbox->open(&spec, &first, &error));
	const PlaceSpec joins = {.work_folder = fixture->work, .home_folder = fixture->home, .network = PLACE_NETWORK_LOOPBACK,
	        .network_of = first};
	g_assert_true(sandbox->open(&joins, &second, &error));
	g_assert_no_error(error);
	spec.shares_network = false;
	Place *third = NULL;
	g_assert_true(sandbox->open(&spec, &third, &error));
	const PlaceSpec refused = {.work_folder = fixture->work, .home_folder = fixture->home, .network_of = third};
	Place *none = NULL;
	g_assert_false(sandbox->open(&refused, &none, &error));
	g_clear_error(&error);
	Place *const places[] = {first, second, third};
	char *names[3];
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		Fixture one = *fixture;
		int code = -1;
		one.place = places[i];
		one.executor = sandbox;
		g_autofree char *path = g_build_filename(fixture->root, "output", NULL);
		autofd int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		const char *const argv[] = {"readlink", "/proc/self/ns/net", NULL};
		const char *const envp[] = {"PATH=/usr/bin:/bin", NULL};
		const StepSpec step = {.name = "case", .argv = argv, .envp = envp, .folder = one.place->work_inside, .fds = {-1, fd, fd}};
		Child child = {.fd = -1};
		StepEnd end;
		g_assert_true(sandbox->start(one.place, &step, &child, &error));
		struct pollfd wait = {.fd = child.fd, .events = POLLIN};
		g_assert_cmpint(poll(&wait, 1, 60000), ==, 1);
		g_assert_true(sandbox->finish(one.place, &child, &end, &error));
		code = end.exit_code;
		g_assert_cmpint(code, ==, 0);
		g_assert_true(g_file_get_contents(path, &names[i], NULL, NULL));
	}
	g_assert_cmpstr(names[0], ==, names[1]);
	g_assert_cmpstr(names[0], !=, names[2]);
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_free(names[i]);
		sandbox->close(places[i]);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "unpack") == 0) /* as the worker does for a layer */
		return image_unpack_main(argc - 1, argv + 1);
	g_test_init(&argc, &argv, NULL);
	g_autoptr(GError) error = NULL;
	if (!executor_find("container")->probe(&error)) {
		g_printerr("# images cannot be tested here: %s\n", error->message);
		return 0;
	}
#define ADD(name) g_test_add("/container/" #name, Fixture, NULL, set_up, name, tear_down)
	ADD(links_in_our_way_are_refused);
	ADD(files_in_our_way_are_refused_or_replaced);
	ADD(devices_and_masks_are_ours);
	ADD(nobody_gains_rights);
	ADD(what_is_written_stays_in_the_place);
	ADD(options_make_it_smaller);
	ADD(a_wrong_spec_is_refused);
	ADD(places_can_share_a_network);
	return g_test_run();
}
