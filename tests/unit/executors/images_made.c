/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are made here: what a place leaves becomes a layer, without what would have an effect that its Dockerfile does
 * not have; a record that is not whole is no image; the sweep takes them as any other.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/executor.h"
#include "executors/images.h"
#include "executors/ready.h"
#include "tests/lib/oci.h"

typedef struct Fixture {
	const Executor *executor;
	char *root, *work, *store, *layout, *scratch, *copier, *from;
	char *begin; /* the base's key */
	json_t *config;
	GPtrArray *layers;
} Fixture;

/* The host's programs are mounted into an image of links. */
static const TarEntry plain[] = {{.name = "bin", .type = '2', .link = "usr/bin"}, {.name = "lib", .type = '2', .link = "usr/lib"},
        {.name = "lib64", .type = '2', .link = "usr/lib64"}, {.name = "etc", .type = '5'}, {.name = "data", .text = "lower"},
        {.name = "folder/a", .text = "a"}, {.name = "way", .type = '2', .link = "/elsewhere"}, {.name = NULL}};

static void set_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	fixture->executor = executor_find("container");
	fixture->root = g_dir_make_tmp("assay-made-XXXXXX", NULL);
	g_assert_cmpint(chmod(fixture->root, 0755), ==, 0);
	fixture->work = g_build_filename(fixture->root, "work", NULL);
	fixture->store = g_build_filename(fixture->root, "images", NULL);
	fixture->layout = g_build_filename(fixture->root, "layout", NULL);
	fixture->scratch = g_build_filename(fixture->root, "scratch", NULL);
	fixture->copier = g_build_filename(fixture->root, "copy", NULL);
	fixture->from = g_build_filename(fixture->root, "from", NULL);
	g_assert_true(fd_make_folder(fixture->work, 0777, NULL) && fd_make_folder(fixture->from, 0777, NULL));
	fixture->layers = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
	g_ptr_array_add(fixture->layers, oci_tar(plain));
	g_free(oci_layout(fixture->layout, fixture->layers, json_pack("{s:[s],s:[s]}", "Env", "A=b", "Cmd", "sh")));
	g_autofree char *reference = g_strconcat("oci:", fixture->layout, NULL);
	g_autoptr(json_t) settings = json_pack("{s:[s]}", "local", fixture->root);
	const PlaceImage image = {.reference = reference, .store = fixture->store, .scratch = fixture->scratch, .settings = settings};
	g_assert_true(fixture->executor->maker->begin(&image, 0, 0, &fixture->begin, &fixture->config, &error));
	g_assert_no_error(error);
	g_assert_true(fixture->executor->maker->write_copier(fixture->copier, &error));
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_ptr_array_unref(fixture->layers);
	json_decref(fixture->config);
	g_assert_true(fd_remove_tree(fixture->root, NULL));
	char *const texts[] = {fixture->root, fixture->work, fixture->store, fixture->layout, fixture->scratch, fixture->copier, fixture->from,
	        fixture->begin};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
}

static bool finds(Fixture *fixture, const char *key)
{
	const PlaceImage image = {.store = fixture->store, .made = key};
	return fixture->executor->maker->find(&image, 0, 0);
}

/* Runs a command in a place of an image; what it changed lies in the scratch folder then. Its exit code. */
static int runs_words(Fixture *fixture, const char *made, const char *const *argv)
{
	g_autoptr(GError) error = NULL;
	Place *place = NULL;
	const PlaceMount mounts[] = {{.source = "/usr", .target = "/usr"}, {.source = fixture->copier, .target = "/run/assay/copy"},
	        {.source = fixture->from, .target = "/run/assay/from", .writable = true}};
	const PlaceImage image = {.made = made, .store = fixture->store, .scratch = fixture->scratch, .keeps_scratch = true,
	        .work_inside = "/run/assay/work", .home_inside = "/run/assay/home", .runner_inside = "/run/assay/runner"};
	const PlaceSpec spec = {.work_folder = fixture->work, .home_folder = fixture->work, .image = &image, .mounts = mounts,
	        .mounts_len = G_N_ELEMENTS(mounts)};
	if (!fixture->executor->open(&spec, &place, &error))
		g_error("%s", error->message);
	const char *const envp[] = {"PATH=/usr/bin:/bin", NULL};
	const StepSpec step = {.name = "case", .argv = argv, .envp = envp, .folder = "/", .fds = {-1, STDERR_FILENO, STDERR_FILENO}};
	Child child = {.fd = -1};
	StepEnd end;
	g_assert_true(fixture->executor->start(place, &step, &child, &error));
	struct pollfd wait = {.fd = child.fd, .events = POLLIN};
	g_assert_cmpint(poll(&wait, 1, 120000), ==, 1);
	g_assert_true(fixture->executor->finish(place, &child, &end, &error));
	fixture->executor->close(place);
	return end.exit_code;
}

static int runs(Fixture *fixture, const char *made, const char *script)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	return runs_words(fixture, made, argv);
}

/* The key of the image with what the scratch folder holds; the caller's. */
static char *adds(Fixture *fixture, const char *from)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *token = random_token(16);
	char *key = hash_bytes_hex(token, strlen(token));
	int64_t bytes = -1;
	const ImageAddition addition = {.store = fixture->store, .from = from, .key = key, .scratch = fixture->scratch, .config = fixture->config};
	if (!fixture->executor->maker->add(&addition, &bytes, &error))
		g_error("%s", error->message);
	g_assert_cmpint(bytes, >=, 0);
	g_assert_true(finds(fixture, key));
	g_assert_true(fd_remove_tree(fixture->scratch, NULL));
	return key;
}

static void a_place_becomes_a_layer(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(runs(fixture, fixture->begin, "echo new >/made; rm /data; rm -r /folder; mkdir /folder; echo b >/folder/b"), ==, 0);
	g_autofree char *one = adds(fixture, fixture->begin);
	g_assert_cmpint(runs(fixture, one, "test -s /made && test ! -e /data && test ! -e /folder/a && test -s /folder/b && echo more >>/made"), ==, 0);
	g_autofree char *two = adds(fixture, one);
	g_assert_cmpint(runs(fixture, two, "grep -q new /made && grep -q more /made && test ! -e /run/assay/made"), ==, 0);
	g_assert_true(fd_remove_tree(fixture->scratch, NULL));
	g_assert_cmpint(runs(fixture, one, "! grep -q more /made"), ==, 0); /* and the first is as it was */
	g_assert_true(fd_remove_tree(fixture->scratch, NULL));
	g_assert_cmpint(runs(fixture, fixture->begin, "test -e /data && test -e /folder/a"), ==, 0);
}

/* By the process itself, as far as the kernel lets it, and then with what it could not do. */
static void what_overlayfs_would_obey_goes(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(runs(fixture, fixture->begin,
	                        "touch /hidden /suid; chmod 6755 /suid; mkfifo /pipe; mkdir /d /sticky; chmod 1777 /sticky; chmod 0 /d; "
	                        "setfattr -n user.overlay.redirect -v /etc /d 2>/dev/null; setfattr -n user.overlay.metacopy /hidden 2>/dev/null; :"), ==, 0);
	static const char *const names[] = {"user.overlay.redirect", "user.overlay.metacopy", "user.overlay.opaque", "user.overlay.overlay.opaque",
	        "user.overlay.whiteout", "user.overlay.xwhiteouts", "user.overlay.origin", "user.kept"};
	g_autofree char *upper = g_build_filename(fixture->scratch, "upper", NULL);
	g_autofree char *file = g_build_filename(upper, "hidden", NULL);
	g_autofree char *folder = g_build_filename(upper, "d", NULL);
	const char *const paths[] = {file, folder, upper};
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		chmod(paths[i], 0755);
		for (size_t k = 0; k < G_N_ELEMENTS(names); k++)
			setxattr(paths[i], names[k], "x/etc", 5, 0);
	}
	chmod(folder, 0);
	g_autofree char *key = adds(fixture, fixture->begin);
	g_autoptr(GError) error = NULL;
	g_autoptr(Image) image = NULL;
	const PlaceImage spec = {.store = fixture->store, .made = key};
	g_assert_true(image_made(&spec, 0, ready_ids(NULL, 0, 0), &image, &error));
	g_autofree char *layer = g_build_filename(image->layers_folder, image->layers->pdata[image->layers->len - 1], NULL);
	const char *const inner[] = {"hidden", "d", "."};
	for (size_t i = 0; i < G_N_ELEMENTS(inner); i++) {
		g_autofree char *path = g_build_filename(layer, inner[i], NULL);
		char value[16];
		for (size_t k = 0; k + 1 < G_N_ELEMENTS(names); k++)
			if (getxattr(path, names[k], value, sizeof value) >= 0)
				g_error("%s still has %s", inner[i], names[k]);
		g_assert_cmpint(getxattr(path, "user.kept", value, sizeof value), ==, 5);
	}
	struct stat info;
	g_autofree char *suid = g_build_filename(layer, "suid", NULL);
	g_autofree char *pipe = g_build_filename(layer, "pipe", NULL);
	g_autofree char *sticky = g_build_filename(layer, "sticky", NULL);
	g_assert_true(stat(suid, &info) == 0 && (info.st_mode & 07777) == 0755);
	g_assert_true(stat(sticky, &info) == 0 && (info.st_mode & 07777) == 01777);
	g_assert_true(lstat(pipe, &info) < 0);
	g_assert_cmpint(runs(fixture, key, "test -e /hidden && test -e /data"), ==, 0);
}

static void devices_and_great_layers_are_refused(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *key = hash_bytes_hex("x", 1);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) settings = json_pack("{s:i}", "layer_entries", 10);
	int64_t bytes;
	g_assert_cmpint(runs(fixture, fixture->begin, "i=0; while [ $i -lt 20 ]; do : >/$i; i=$((i + 1)); done"), ==, 0);
	const ImageAddition addition = {.store = fixture->store, .settings = settings, .from = fixture->begin, .key = key,
	        .scratch = fixture->scratch, .config = fixture->config};
	g_assert_false(fixture->executor->maker->add(&addition, &bytes, &error));
	g_assert_nonnull(strstr(error->message, "more than 10 files"));
	g_assert_false(finds(fixture, key));
	g_assert_true(fd_remove_tree(fixture->scratch, NULL));
	if (geteuid() != 0)
		return;
	g_assert_cmpint(runs(fixture, fixture->begin, ":"), ==, 0);
	g_autofree char *node = g_build_filename(fixture->scratch, "upper", "node", NULL);
	g_assert_cmpint(mknod(node, S_IFCHR | 0666, makedev(1, 5)), ==, 0);
	g_autofree char *clean = adds(fixture, fixture->begin);
	g_assert_cmpint(runs(fixture, clean, "test ! -e /node"), ==, 0);
}

static void records_that_are_not_whole_are_none(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const ImageMaker *maker = fixture->executor->maker;
	g_assert_cmpint(runs(fixture, fixture->begin, "echo >/x"), ==, 0);
	g_autofree char *key = adds(fixture, fixture->begin);
	g_assert_false(finds(fixture, "../../etc/passwd"));
	g_assert_false(finds(fixture, "00"));
	g_autofree char *file = g_strconcat(key, ".json", NULL);
	g_autofree char *path = g_build_filename(fixture->store, "made", file, NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	static const char *const bad[] = {"", "{", "{\"layers_folder\":\"layers-0\",\"layers\":[\"../../../etc\"],\"config\":{}}", "[]"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_true(g_file_set_contents(path, bad[i], -1, NULL));
		g_assert_false(finds(fixture, key));
	}
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_true(finds(fixture, key));
	ImageSweep sweep;
	g_autoptr(GError) error = NULL;
	g_assert_true(image_sweep(fixture->store, 0, 1, &sweep, &error)); /* to one byte: all that nobody holds */
	g_assert_cmpint(sweep.layers, >=, 1);
	g_assert_false(finds(fixture, key));
	int64_t bytes;
	const ImageAddition addition = {.store = fixture->store, .from = "00", .key = key, .config = fixture->config};
	g_assert_false(maker->add(&addition, &bytes, &error));
	g_assert_cmpint(error->code, ==, ASSAY_ERROR_ABSENT);
}

static void stage_file(Fixture *fixture, const char *path, const char *text)
{
	g_autofree char *whole = g_build_filename(fixture->from, path, NULL);
	g_autofree char *folder = g_path_get_dirname(whole);
	g_assert_true(fd_make_folder(folder, 0755, NULL) && g_file_set_contents(whole, text, -1, NULL));
}

static int copies(Fixture *fixture, const char *dest, const char *folder, const char *mode)
{
	const char *const argv[] = {"/run/assay/copy", "put", dest, folder, mode, "-", NULL};
	return runs_words(fixture, fixture->begin, argv);
}

static void files_go_where_the_image_says(Fixture *fixture, gconstpointer data)
{
	(void)data;
	stage_file(fixture, "0.file/one", "1");
	stage_file(fixture, "1.folder/inner/two", "2");
	g_autofree char *link = g_build_filename(fixture->from, "1.folder", "link", NULL);
	g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
	g_assert_cmpint(copies(fixture, "/etc/new/place", "/", "-"), ==, 0);
	g_autofree char *key = adds(fixture, fixture->begin);
	g_assert_cmpint(runs(fixture, key, "test -s /etc/new/place/one && test -s /etc/new/place/inner/two && test -L /etc/new/place/link"), ==, 0);
	g_assert_true(fd_remove_tree(fixture->scratch, NULL));
	/* A link of the image, which means nothing there; a file in the way; a name that is a folder. */
	g_assert_cmpint(copies(fixture, "/way/x", "/", "-"), ==, 1);
	g_assert_cmpint(copies(fixture, "/data/x", "/", "-"), ==, 1);
	g_autofree char *folder = g_build_filename(fixture->from, "1.folder", NULL);
	g_assert_true(fd_remove_tree(folder, NULL));
	g_assert_true(fd_remove_tree(fixture->scratch, NULL));
	g_assert_cmpint(copies(fixture, "/folder", "-", "711"), ==, 0);
	g_autofree char *second = adds(fixture, fixture->begin);
	g_assert_cmpint(runs(fixture, second, "test -s /folder/one && test \"$(stat -c %a /folder/one)\" = 711"), ==, 0);
	g_assert_true(fd_remove_tree(fixture->scratch, NULL) && fd_remove_tree(fixture->from, NULL) && fd_make_folder(fixture->from, 0777, NULL));
	const char *const nobody[] = {"/run/assay/copy", "put", "/new", "-", "-", "no:body", NULL};
	const char *const some[] = {"/run/assay/copy", "put", "/new", "-", "-", "some:7", NULL};
	stage_file(fixture, "0.file/one", "1");
	g_assert_cmpint(runs_words(fixture, fixture->begin, nobody), ==, 1);
	g_assert_true(fd_remove_tree(fixture->scratch, NULL));
	g_assert_cmpint(runs(fixture, fixture->begin, "printf 'x:x:1:1\\nsomeone:x:4:4\\nsome:x:5:6\\n' >/etc/passwd"), ==, 0);
	g_autofree char *named = adds(fixture, fixture->begin);
	g_assert_cmpint(runs_words(fixture, named, some), ==, 0);
	g_autofree char *given = adds(fixture, named);
	bool users = geteuid() == 0 && ready_ids(NULL, 0, 0)->first_uid;
	g_assert_cmpint(runs(fixture, given, users ? "test \"$(stat -c %u:%g /new)\" = 5:7" : "test -s /new"), ==, 0);
	g_assert_true(fd_remove_tree(fixture->scratch, NULL) && fd_remove_tree(fixture->from, NULL) && fd_make_folder(fixture->from, 0777, NULL));
	const char *const take[] = {"/run/assay/copy", "take", "/folder", "/da*", "/data", NULL};
	g_assert_cmpint(runs_words(fixture, fixture->begin, take), ==, 0);
	g_autofree char *first = g_build_filename(fixture->from, "0.folder", "a", NULL);
	g_autofree char *third = g_build_filename(fixture->from, "2.file", "data", NULL);
	g_assert_true(g_file_test(first, G_FILE_TEST_IS_REGULAR) && g_file_test(third, G_FILE_TEST_IS_REGULAR));
	const char *const none[] = {"/run/assay/copy", "take", "/nothing*", NULL};
	g_assert_cmpint(runs_words(fixture, fixture->begin, none), ==, 1);
}

static void an_image_of_nothing_is_a_begin(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	g_autofree char *key = NULL, *again = NULL;
	g_autoptr(json_t) config = NULL;
	g_autoptr(json_t) other = NULL;
	const PlaceImage image = {.reference = "scratch", .store = fixture->store, .scratch = fixture->scratch};
	g_assert_true(fixture->executor->maker->begin(&image, 0, 0, &key, &config, &error));
	g_assert_true(fixture->executor->maker->begin(&image, 0, 0, &again, &other, &error));
	g_assert_cmpstr(key, ==, again);
	stage_file(fixture, "0.file/one", "1");
	const char *const argv[] = {"/run/assay/copy", "put", "/one", "-", "-", "-", NULL};
	g_assert_cmpint(runs_words(fixture, key, argv), ==, 0);
	g_autofree char *made = adds(fixture, key);
	const char *const take[] = {"/run/assay/copy", "take", "/one", NULL};
	g_assert_true(fd_remove_tree(fixture->from, NULL) && fd_make_folder(fixture->from, 0777, NULL));
	g_assert_cmpint(runs_words(fixture, made, take), ==, 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "unpack") == 0) /* as the worker does for a layer */
		return image_unpack_main(argc - 1, argv + 1);
	g_test_init(&argc, &argv, NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *folder = g_dir_make_tmp("assay-made-XXXXXX", NULL);
	struct statfs disk;
	bool carries = folder && statfs(folder, &disk) == 0 && disk.f_type != OVERLAYFS_SUPER_MAGIC &&
	               setxattr(folder, "user.try", "x", 1, 0) == 0;
	rmdir(folder);
	if (!carries || !executor_find("container")->probe(&error)) {
		g_printerr("# images cannot be made here: %s\n", error ? error->message : "the disk cannot carry an overlay");
		return 0;
	}
#define CASE(name) g_test_add("/images_made/" #name, Fixture, NULL, set_up, name, tear_down)
	CASE(a_place_becomes_a_layer);
	CASE(what_overlayfs_would_obey_goes);
	CASE(devices_and_great_layers_are_refused);
	CASE(records_that_are_not_whole_are_none);
	CASE(files_go_where_the_image_says);
	CASE(an_image_of_nothing_is_a_begin);
#undef CASE
	return g_test_run();
}
