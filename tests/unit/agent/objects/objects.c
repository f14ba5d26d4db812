/* SPDX-License-Identifier: Apache-2.0 */
/* The content store from outside: what goes in comes out, once, under one name, and never from beyond the folder. */
#include "agent/objects/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"

/* A root with a store and a source folder in it. */
typedef struct Place {
	char *root;
	int fd;
	Objects *objects;
} Place;

static Objects *open_store(const Place *place)
{
	g_autofree char *folder = g_build_filename(place->root, "store", NULL);
	g_autoptr(GError) error = NULL;
	Objects *objects = objects_open(folder, &error);
	g_assert_no_error(error);
	return objects;
}

static void set_up(Place *place, G_GNUC_UNUSED const void *data)
{
	place->root = g_dir_make_tmp("assay-objects-XXXXXX", NULL);
	g_assert_nonnull(place->root);
	place->fd = open(place->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(place->fd, >=, 0);
	g_assert_cmpint(mkdirat(place->fd, "source", 0755), ==, 0);
	place->objects = open_store(place);
}

static void tear_down(Place *place, G_GNUC_UNUSED const void *data)
{
	objects_close(place->objects);
	close(place->fd);
	g_assert_true(fd_remove_tree(place->root, NULL));
	g_free(place->root);
}

/* Bytes that do not compress, the same for the same seed. */
static uint8_t *noise(size_t len, uint64_t seed)
{
	uint8_t *bytes = g_malloc(len + 8);
	for (size_t i = 0; i < len; i += 8) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		memcpy(bytes + i, &seed, 8);
	}
	return bytes;
}

static void write_bytes(const Place *place, const char *path, const void *bytes, size_t len, mode_t mode)
{
	int fd = openat(place->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	g_assert_cmpint(fd, >=, 0);
	g_assert_true(fd_write_all(fd, bytes, len, path, NULL));
	close(fd);
}

static void write_text(const Place *place, const char *path, const char *text)
{
	write_bytes(place, path, text, strlen(text), 0644);
}

static void write_noise(const Place *place, const char *path, size_t len, uint64_t seed)
{
	g_autofree uint8_t *bytes = noise(len, seed);
	write_bytes(place, path, bytes, len, 0644);
}

static ObjectsTree snapshot(const Place *place, const char *path)
{
	g_autoptr(GError) error = NULL;
	ObjectsTree tree;
	objects_snapshot(place->objects, place->fd, path, &tree, &error);
	g_assert_no_error(error);
	return tree;
}

static void restore(const Place *place, const char *digest, const char *path, bool exact)
{
	g_autoptr(GError) error = NULL;
	objects_restore(place->objects, digest, place->fd, path, exact, &error);
	g_assert_no_error(error);
}

/* `diff -r` of two folders below the root, links and modes too. */
static void assert_same(const Place *place, const char *a, const char *b)
{
	g_autofree char *command = g_strdup_printf(
	        "cd '%s' && diff -r --no-dereference '%s' '%s' && "
	        "test \"$(cd '%s' && find . -printf '%%y %%m %%l %%p\\0' | sort -z | sha256sum)\" = "
	        "\"$(cd '%s' && find . -printf '%%y %%m %%l %%p\\0' | sort -z | sha256sum)\"",
	        place->root, a, b, a, b);
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, command, NULL};
	int status = -1;
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
}

static void make_source(const Place *place)
{
	g_assert_cmpint(mkdirat(place->fd, "source/empty folder", 0755), ==, 0);
	g_assert_cmpint(mkdirat(place->fd, "source/deep", 0755), ==, 0);
	g_assert_cmpint(mkdirat(place->fd, "source/deep/er", 0755), ==, 0);
	write_text(place, "source/a.txt", "alpha\n");
	write_text(place, "source/deep/b.txt", "beta\n");
	write_text(place, "source/deep/er/c.txt", "gamma\n");
	write_text(place, "source/empty", "");
	write_text(place, "source/two\nlines", "a newline in a name");
	write_text(place, "source/bad \xff\xfe utf8", "bytes in a name");
	write_bytes(place, "source/run.sh", "#!/bin/sh\n", 10, 0755);
	g_assert_cmpint(symlinkat("a.txt", place->fd, "source/link"), ==, 0);
	g_assert_cmpint(symlinkat("/etc", place->fd, "source/deep/outside"), ==, 0);
	g_assert_cmpint(symlinkat("nowhere", place->fd, "source/dangling"), ==, 0);
	write_noise(place, "source/whole", 128 * 1024, 1);
	write_noise(place, "source/cut", 128 * 1024 + 1, 2);
	write_noise(place, "source/large", 5000000, 3);
}

static void put_and_get(Place *place, G_GNUC_UNUSED const void *data)
{
	g_autoptr(GError) error = NULL;
	char digest[65];
	g_assert_true(objects_put(place->objects, "hello", 5, digest, &error));
	g_assert_cmpstr(digest, ==, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
	g_autoptr(GBytes) bytes = objects_get(place->objects, digest, 5, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "hello", 5);
	g_assert_null(objects_get(place->objects, digest, 4, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	g_clear_error(&error);
	g_assert_true(objects_put(place->objects, "", 0, digest, &error));
	g_autoptr(GBytes) empty = objects_get(place->objects, digest, 0, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(g_bytes_get_size(empty), ==, 0);
	digest[0] ^= 1;
	g_assert_null(objects_get(place->objects, digest, 100, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_ABSENT);
	g_clear_error(&error);
	g_assert_null(objects_get(place->objects, "../../etc/passwd", 100, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
}

static void another_handle_sees_what_was_put(Place *place, G_GNUC_UNUSED const void *data)
{
	g_autoptr(GError) error = NULL;
	char digest[65];
	Objects *other = open_store(place);
	g_assert_true(objects_put(place->objects, "hello", 5, digest, &error));
	g_autoptr(GBytes) bytes = objects_get(other, digest, 100, &error);
	g_assert_no_error(error);
	g_assert_nonnull(bytes);
	objects_close(other);
	other = open_store(place);
	g_autoptr(GBytes) again = objects_get(other, digest, 100, &error);
	g_assert_no_error(error);
	objects_close(other);
}

static void a_tree_comes_back_as_it_was(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	ObjectsTree tree = snapshot(place, "source");
	g_assert_cmpint(tree.files, ==, 13);
	restore(place, tree.digest, "parents/are/made", false);
	assert_same(place, "source", "parents/are/made");
	g_autoptr(GError) error = NULL;
	g_assert_true(objects_verify(place->objects, true, NULL, &error));
	g_assert_no_error(error);
}

static void a_large_file_comes_back(Place *place, G_GNUC_UNUSED const void *data)
{
	write_noise(place, "source/hundred", 100 * 1000 * 1000 + 3, 4);
	ObjectsTree tree = snapshot(place, "source");
	g_assert_cmpint(tree.bytes, ==, 100 * 1000 * 1000 + 3);
	g_assert_cmpint(tree.new_bytes, >, 100 * 1000 * 1000);
	restore(place, tree.digest, "back", false);
	assert_same(place, "source", "back");
}

static void a_second_snapshot_stores_nothing(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	ObjectsTree first = snapshot(place, "source");
	ObjectsTree second = snapshot(place, "source");
	g_assert_cmpstr(first.digest, ==, second.digest);
	g_assert_cmpint(first.new_bytes, >, 0);
	g_assert_cmpint(second.new_bytes, ==, 0);
	g_assert_cmpint(first.bytes, ==, second.bytes);
}

static void an_insert_in_a_large_file_stores_little(Place *place, G_GNUC_UNUSED const void *data)
{
	size_t len = 20 * 1000 * 1000;
	g_autofree uint8_t *bytes = noise(len, 5);
	write_bytes(place, "source/data", bytes, len, 0644);
	snapshot(place, "source");
	GByteArray *longer = g_byte_array_new();
	g_byte_array_append(longer, bytes, (guint)len / 2);
	g_byte_array_append(longer, (const uint8_t *)"inserted", 8);
	g_byte_array_append(longer, bytes + len / 2, (guint)(len - len / 2));
	write_bytes(place, "source/data", longer->data, longer->len, 0644);
	g_byte_array_unref(longer);
	ObjectsTree tree = snapshot(place, "source");
	g_assert_cmpint(tree.new_bytes, >, 0);
	g_assert_cmpint(tree.new_bytes, <, 1000 * 1000);
}

static void the_digest_is_of_the_contents_alone(Place *place, G_GNUC_UNUSED const void *data)
{
	g_assert_cmpint(mkdirat(place->fd, "other", 0700), ==, 0);
	for (int i = 0; i < 600; i++) {
		g_autofree char *forth = g_strdup_printf("source/%03d", i);
		g_autofree char *back = g_strdup_printf("other/%03d", 599 - i);
		g_autofree char *text = g_strdup_printf("%d", i);
		g_autofree char *other = g_strdup_printf("%d", 599 - i);
		write_text(place, forth, text);
		write_bytes(place, back, other, strlen(other), 0600);
		struct timespec old[2] = {{.tv_sec = i}, {.tv_sec = i}};
		g_assert_cmpint(utimensat(place->fd, back, old, 0), ==, 0);
	}
	ObjectsTree forth = snapshot(place, "source");
	ObjectsTree back = snapshot(place, "other");
	g_assert_cmpstr(forth.digest, ==, back.digest);
	g_assert_cmpint(fchmodat(place->fd, "other/007", 0700, 0), ==, 0);
	ObjectsTree executable = snapshot(place, "other");
	g_assert_cmpstr(executable.digest, !=, back.digest);
}

static void a_file_is_a_tree_too(Place *place, G_GNUC_UNUSED const void *data)
{
	write_text(place, "source/model.bin", "weights");
	ObjectsTree tree = snapshot(place, "source/model.bin");
	g_assert_cmpint(tree.files, ==, 1);
	g_assert_cmpint(tree.bytes, ==, 7);
	restore(place, tree.digest, "as/name", false);
	restore(place, tree.digest, "into/", false);
	g_autofree char *name = g_build_filename(place->root, "as/name", NULL);
	g_autofree char *into = g_build_filename(place->root, "into/model.bin", NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(name, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "weights");
	g_assert_true(g_file_test(into, G_FILE_TEST_IS_REGULAR));
	g_autoptr(GBytes) bytes = objects_get_file(place->objects, tree.digest, "model.bin", 7, NULL);
	g_assert_nonnull(bytes);
}

static void a_file_of_a_tree_is_found_by_its_path(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	ObjectsTree tree = snapshot(place, "source");
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = objects_get_file(place->objects, tree.digest, "deep/er/c.txt", 100, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "gamma\n", 6);
	g_autoptr(GBytes) large = objects_get_file(place->objects, tree.digest, "large", 5000000, &error);
	g_assert_no_error(error);
	g_autofree uint8_t *wanted = noise(5000000, 3);
	g_assert_cmpmem(g_bytes_get_data(large, NULL), g_bytes_get_size(large), wanted, 5000000);
	static const struct {
		const char *path;
		int code;
	} bad[] = {{"deep", ASSAY_ERROR_USER}, {"", ASSAY_ERROR_ABSENT}, {"deep/none", ASSAY_ERROR_ABSENT},
	        {"link", ASSAY_ERROR_USER}, {"a.txt/x", ASSAY_ERROR_ABSENT}, {"../source/a.txt", ASSAY_ERROR_ABSENT}};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_null(objects_get_file(place->objects, tree.digest, bad[i].path, 100, &error));
		g_assert_error(error, ASSAY_ERROR, bad[i].code);
		g_clear_error(&error);
	}
}

static void list_names_every_file_in_order(Place *place, G_GNUC_UNUSED const void *data)
{
	write_text(place, "source/b", "bb");
	write_text(place, "source/a.c", "");
	g_assert_cmpint(mkdirat(place->fd, "source/a", 0755), ==, 0);
	write_bytes(place, "source/a/x", "x", 1, 0700);
	g_assert_cmpint(symlinkat("b", place->fd, "source/l"), ==, 0);
	ObjectsTree tree = snapshot(place, "source");
	g_autoptr(json_t) all = objects_list(place->objects, tree.digest, NULL);
	g_autofree char *text = json_text(all);
	g_assert_cmpstr(text, ==,
	        "[{\"bytes\":0,\"digest\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"mode\":"
	        "\"100644\",\"path\":\"a.c\"},{\"bytes\":1,\"digest\":"
	        "\"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\",\"mode\":\"100755\",\"path\":\"a/"
	        "x\"},{\"bytes\":2,\"digest\":\"3b64db95cb55c763391c707108489ae18b4112d783300de38e033b4c98c3deaf\","
	        "\"mode\":\"100644\",\"path\":\"b\"},{\"bytes\":0,\"link\":\"b\",\"mode\":\"120000\",\"path\":\"l\"}]");
}

static void diff_says_what_changed(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	ObjectsTree from = snapshot(place, "source");
	write_text(place, "source/a.txt", "alpha and more\n");
	g_assert_cmpint(unlinkat(place->fd, "source/deep/er/c.txt", 0), ==, 0);
	g_assert_cmpint(unlinkat(place->fd, "source/empty folder", AT_REMOVEDIR), ==, 0);
	g_assert_cmpint(mkdirat(place->fd, "source/new", 0755), ==, 0);
	write_text(place, "source/new/one", "1");
	ObjectsTree to = snapshot(place, "source");
	g_autoptr(json_t) diff = objects_diff(place->objects, from.digest, to.digest, NULL);
	g_autofree char *text = json_text(diff);
	g_assert_cmpstr(text, ==,
	        "{\"added\":[{\"bytes\":1,\"path\":\"new/one\"}],\"changed\":[{\"bytes\":15,\"bytes_before\":6,\"path\":"
	        "\"a.txt\"}],\"removed\":[{\"bytes\":6,\"path\":\"deep/er/c.txt\"}]}");
}

static void restore_replaces_and_exact_removes(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	ObjectsTree tree = snapshot(place, "source");
	restore(place, tree.digest, "back", false);
	write_text(place, "back/a.txt", "other\n");
	write_text(place, "back/stays", "mine");
	g_assert_cmpint(unlinkat(place->fd, "back/deep/b.txt", 0), ==, 0);
	g_assert_cmpint(symlinkat("../../source/a.txt", place->fd, "back/deep/b.txt"), ==, 0);
	restore(place, tree.digest, "back", false);
	g_assert_cmpint(faccessat(place->fd, "back/stays", F_OK, 0), ==, 0);
	restore(place, tree.digest, "back", true);
	assert_same(place, "source", "back");
	/* A folder where a file belongs, a file and a link where a folder belongs. */
	g_assert_cmpint(unlinkat(place->fd, "back/a.txt", 0), ==, 0);
	g_assert_cmpint(mkdirat(place->fd, "back/a.txt", 0755), ==, 0);
	write_text(place, "back/a.txt/inside", "x");
	g_autoptr(GError) error = NULL;
	g_assert_false(objects_restore(place->objects, tree.digest, place->fd, "back", false, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	g_assert_cmpint(unlinkat(place->fd, "back/empty folder", AT_REMOVEDIR), ==, 0);
	g_assert_cmpint(symlinkat("../source", place->fd, "back/empty folder"), ==, 0);
	restore(place, tree.digest, "back", true);
	assert_same(place, "source", "back");
}

static void an_unchanged_file_is_not_written_again(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	ObjectsTree tree = snapshot(place, "source");
	restore(place, tree.digest, "back", false);
	struct stat before;
	struct stat after;
	g_assert_cmpint(fstatat(place->fd, "back/large", &before, 0), ==, 0);
	restore(place, tree.digest, "back", true);
	g_assert_cmpint(fstatat(place->fd, "back/large", &after, 0), ==, 0);
	g_assert_cmpuint(before.st_ino, ==, after.st_ino);
}

static void paths_stay_below_the_root(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	ObjectsTree tree = snapshot(place, "source");
	g_autoptr(GError) error = NULL;
	g_assert_cmpint(symlinkat("/tmp", place->fd, "out"), ==, 0);
	static const char *const bad[] = {"../x", "/x", "out/x", "source/../../x", "source/deep/outside"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_false(objects_restore(place->objects, tree.digest, place->fd, bad[i], false, &error));
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_DENIED);
		g_clear_error(&error);
	}
	static const char *const sources[] = {"..", "/etc/passwd", "out/x", "source/../../x"};
	for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
		ObjectsTree none;
		g_assert_false(objects_snapshot(place->objects, place->fd, sources[i], &none, &error));
		g_assert_nonnull(error);
		g_clear_error(&error);
	}
}

static void a_pipe_is_refused_by_name(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	g_assert_cmpint(mkfifoat(place->fd, "source/deep/pipe", 0600), ==, 0);
	g_autoptr(GError) error = NULL;
	ObjectsTree tree;
	g_assert_false(objects_snapshot(place->objects, place->fd, "source", &tree, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	g_assert_nonnull(strstr(error->message, "deep"));
	g_assert_nonnull(strstr(error->message, "pipe is a named pipe"));
	g_assert_cmpint(unlinkat(place->fd, "source/deep/pipe", 0), ==, 0);
	tree = snapshot(place, "source");
	restore(place, tree.digest, "back", false);
	assert_same(place, "source", "back");
}

/* Sets the ctime of everything back behind the tick in which nothing is cached. */
static void grow_old(void)
{
	g_usleep(60000);
}

static void a_changed_file_is_seen_through_the_stat_cache(Place *place, G_GNUC_UNUSED const void *data)
{
	for (int i = 0; i < 100; i++) {
		g_autofree char *path = g_strdup_printf("source/%d", i);
		write_text(place, path, path);
	}
	grow_old();
	ObjectsTree first = snapshot(place, "source");
	ObjectsTree same = snapshot(place, "source");
	g_assert_cmpstr(first.digest, ==, same.digest);
	/* Same length, and the old time of modification: only the time of change tells. */
	struct stat info;
	g_assert_cmpint(fstatat(place->fd, "source/50", &info, 0), ==, 0);
	write_text(place, "source/50", "source/XX");
	struct timespec times[2] = {info.st_atim, info.st_mtim};
	g_assert_cmpint(utimensat(place->fd, "source/50", times, 0), ==, 0);
	ObjectsTree changed = snapshot(place, "source");
	g_assert_cmpstr(first.digest, !=, changed.digest);
	g_autoptr(json_t) diff = objects_diff(place->objects, first.digest, changed.digest, NULL);
	g_assert_cmpuint(json_array_size(json_object_get(diff, "changed")), ==, 1);
}

/* Flips one bit at `at` of the only pack. */
static void flip(const Place *place, double where)
{
	g_autofree char *folder = g_build_filename(place->root, "store", "packs", NULL);
	g_autoptr(GDir) packs = g_dir_open(folder, 0, NULL);
	g_autofree char *path = g_build_filename(folder, g_dir_read_name(packs), NULL);
	struct stat info;
	g_assert_cmpint(stat(path, &info), ==, 0);
	g_assert_cmpint(chmod(path, 0600), ==, 0);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	g_assert_cmpint(fd, >=, 0);
	off_t at = (off_t)((double)(info.st_size - 1) * where);
	uint8_t byte;
	g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
	byte ^= 0x10;
	g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
	close(fd);
}

static void verify_finds_a_flipped_byte(Place *place, G_GNUC_UNUSED const void *data)
{
	write_noise(place, "source/data", 300000, 6);
	write_text(place, "source/text", "text");
	snapshot(place, "source");
	static const double places[] = {0.0, 0.00002, 0.3, 0.9, 0.9995, 1.0};
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(json_t) report = NULL;
		flip(place, places[i]);
		objects_close(place->objects);
		place->objects = open_store(place);
		g_assert_false(objects_verify(place->objects, true, &report, &error));
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_SYSTEM);
		g_assert_cmpuint(json_array_size(json_object_get(report, "bad")), >=, 1);
		flip(place, places[i]);
	}
	objects_close(place->objects);
	place->objects = open_store(place);
	g_autoptr(json_t) report = NULL;
	g_assert_true(objects_verify(place->objects, true, &report, NULL));
	g_assert_cmpint(json_get_int(report, "packs", 0), ==, 1);
}

/* In a child: snapshots `path` with a handle of its own, and exits with 0 when that worked. */
static pid_t snapshot_in_child(const Place *place, const char *path)
{
	pid_t child = fork();
	g_assert_cmpint(child, >=, 0);
	if (child > 0)
		return child;
	Objects *objects = open_store(place);
	ObjectsTree tree;
	bool done = objects_snapshot(objects, place->fd, path, &tree, NULL);
	objects_close(objects);
	_exit(done ? 0 : 1);
}

static void processes_write_at_once(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	g_assert_cmpint(mkdirat(place->fd, "other", 0755), ==, 0);
	write_noise(place, "other/large", 5000000, 3);
	write_noise(place, "other/own", 3000000, 7);
	pid_t children[4];
	for (int i = 0; i < 4; i++)
		children[i] = snapshot_in_child(place, i % 2 ? "source" : "other");
	for (int i = 0; i < 4; i++) {
		int status;
		g_assert_cmpint(waitpid(children[i], &status, 0), ==, children[i]);
		g_assert_cmpint(status, ==, 0);
	}
	g_assert_true(objects_verify(place->objects, true, NULL, NULL));
	ObjectsTree tree = snapshot(place, "source");
	g_assert_cmpint(tree.new_bytes, ==, 0);
	restore(place, tree.digest, "back", false);
	assert_same(place, "source", "back");
}

static void a_kill_leaves_nothing_to_repair(Place *place, G_GNUC_UNUSED const void *data)
{
	make_source(place);
	ObjectsTree kept = snapshot(place, "source");
	write_noise(place, "source/more", 8000000, 8);
	for (int i = 0; i < 20; i++) {
		g_autofree char *path = g_strdup_printf("source/%d", i);
		write_noise(place, path, 1500000, (uint64_t)i + 100);
		pid_t child = snapshot_in_child(place, "source");
		g_usleep((gulong)g_random_int_range(0, 60000));
		kill(child, SIGKILL);
		int status;
		g_assert_cmpint(waitpid(child, &status, 0), ==, child);
		g_autoptr(GError) error = NULL;
		objects_verify(place->objects, true, NULL, &error);
		g_assert_no_error(error);
	}
	ObjectsTree tree = snapshot(place, "source");
	restore(place, tree.digest, "back", false);
	assert_same(place, "source", "back");
	restore(place, kept.digest, "kept", false);
	g_autofree char *folder = g_build_filename(place->root, "store", "packs", NULL);
	g_autoptr(GDir) packs = g_dir_open(folder, 0, NULL);
	for (const char *name; (name = g_dir_read_name(packs));)
		g_assert_true(g_str_has_suffix(name, ".pack")); /* what the killed left is gone */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	umask(022);
#define TEST(name) g_test_add("/objects/" #name, Place, NULL, set_up, name, tear_down)
	TEST(put_and_get);
	TEST(another_handle_sees_what_was_put);
	TEST(a_tree_comes_back_as_it_was);
	TEST(a_large_file_comes_back);
	TEST(a_second_snapshot_stores_nothing);
	TEST(an_insert_in_a_large_file_stores_little);
	TEST(the_digest_is_of_the_contents_alone);
	TEST(a_file_is_a_tree_too);
	TEST(a_file_of_a_tree_is_found_by_its_path);
	TEST(list_names_every_file_in_order);
	TEST(diff_says_what_changed);
	TEST(restore_replaces_and_exact_removes);
	TEST(an_unchanged_file_is_not_written_again);
	TEST(paths_stay_below_the_root);
	TEST(a_pipe_is_refused_by_name);
	TEST(a_changed_file_is_seen_through_the_stat_cache);
	TEST(verify_finds_a_flipped_byte);
	TEST(processes_write_at_once);
	TEST(a_kill_leaves_nothing_to_repair);
	return g_test_run();
}
