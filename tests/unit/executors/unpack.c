/* SPDX-License-Identifier: Apache-2.0 */
/* Layers that no honest tool makes: refused by name or contained, and the canary beside the folder stays as it is. */
#include "executors/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/executor.h"
#include "executors/ready.h"
#include "tests/lib/oci.h"

typedef struct Fixture {
	char *root, *folder, *canary;
	int folder_fd;
	UnpackEnd end;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->root = g_dir_make_tmp("assay-unpack-XXXXXX", NULL);
	fixture->folder = g_build_filename(fixture->root, "layer", NULL);
	fixture->canary = g_build_filename(fixture->root, "canary", NULL);
	g_assert_true(fd_make_folder(fixture->folder, 0755, NULL));
	g_assert_true(g_file_set_contents(fixture->canary, "alive", -1, NULL));
	fixture->folder_fd = open(fixture->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(fixture->canary, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "alive");
	struct stat info;
	g_assert_cmpint(stat(fixture->canary, &info), ==, 0);
	g_assert_cmpint(info.st_nlink, ==, 1);
	close(fixture->folder_fd);
	g_assert_true(fd_remove_tree(fixture->root, NULL));
	g_free(fixture->root);
	g_free(fixture->folder);
	g_free(fixture->canary);
}

static bool unpack_bytes(Fixture *fixture, const GByteArray *bytes, const UnpackLimits *limits, GError **error)
{
	autofd int blob = fd_sealed("layer", bytes->data, bytes->len, error);
	return blob >= 0 && unpack_confined(blob, fixture->folder_fd, -1, 0, 0, limits, NULL, NULL, &fixture->end, error);
}

static void good(Fixture *fixture, const TarEntry *entries)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GByteArray) tar = oci_tar(entries);
	g_autoptr(GByteArray) packed = oci_gzip(tar);
	g_autofree char *digest = oci_digest(tar);
	g_assert_true(unpack_bytes(fixture, packed, NULL, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(fixture->end.diff_id, ==, digest);
}

static void refused(Fixture *fixture, const TarEntry *entries, const char *why)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GByteArray) tar = oci_tar(entries);
	g_assert_false(unpack_bytes(fixture, tar, NULL, &error));
	if (!strstr(error->message, why))
		g_error("'%s' is not in '%s'", why, error->message);
}

static struct stat look(const Fixture *fixture, const char *path)
{
	struct stat info = {0};
	if (fstatat(fixture->folder_fd, path, &info, AT_SYMLINK_NOFOLLOW) < 0)
		info.st_mode = 0;
	return info;
}

static bool is_hidden(const Fixture *fixture, const char *path)
{
	struct stat info = look(fixture, path);
	return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
}

static bool is_opaque(const Fixture *fixture, const char *path)
{
	g_autofree char *whole = g_build_filename(fixture->folder, path, NULL);
	char value[4] = {0};
	return lgetxattr(whole, "user.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

static void files_folders_and_links(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const TarEntry entries[] = {{.name = "./a/", .type = '5', .mode = 01777}, {.name = "a/f", .text = "text", .mode = 0755},
	        {.name = "a/hard", .type = '1', .link = "./a/f"}, {.name = "/absolute", .text = "below"},
	        {.name = "link", .type = '2', .link = "../../etc/passwd"}, {.name = "deep/er/f", .text = ""}, {.name = NULL}};
	good(fixture, entries);
	g_assert_cmpint(look(fixture, "a").st_mode & 07777, ==, 01777);
	g_assert_cmpint(look(fixture, "a/f").st_mode & 07777, ==, 0755);
	g_assert_cmpint(look(fixture, "a/f").st_nlink, ==, 2);
	g_assert_cmpint(look(fixture, "absolute").st_size, ==, 5);
	g_assert_true(S_ISLNK(look(fixture, "link").st_mode));
	g_assert_cmpint(fixture->end.entries, ==, 6);
}

static void setuid_bits_and_devices_go(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const TarEntry entries[] = {{.name = "su", .text = "x", .mode = 06755}, {.name = "disk", .type = '3'}, {.name = "block", .type = '4'},
	        {.name = "locked", .text = "x", .mode = 0001}, {.name = "shut", .type = '5', .mode = 0005}, {.name = "shut/in", .text = "x"},
	        {.name = NULL}};
	good(fixture, entries);
	g_assert_cmpint(look(fixture, "su").st_mode & 07777, ==, 0755);
	g_assert_cmpint(look(fixture, "disk").st_mode, ==, 0);
	g_assert_cmpint(look(fixture, "block").st_mode, ==, 0);
	g_assert_cmpint(fixture->end.left_out, ==, 2);
	g_assert_cmpint(look(fixture, "locked").st_mode & 0777, ==, 0601);
	g_assert_cmpint(look(fixture, "shut").st_mode & 0777, ==, 0705);
}

static void attributes_of_overlayfs_and_rights_go(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const TarEntry entries[] = {{.name = "a", .text = "x", .xattr = "SCHILY.xattr.user.overlay.redirect=/etc"},
	        {.name = "b", .text = "x", .xattr = "SCHILY.xattr.user.overlay.metacopy="},
	        {.name = "c", .text = "x", .xattr = "SCHILY.xattr.trusted.overlay.opaque=y"},
	        {.name = "d", .text = "x", .xattr = "SCHILY.xattr.security.capability=abcdefgh"},
	        {.name = "e", .type = '5', .xattr = "SCHILY.xattr.user.overlay.opaque=y"},
	        {.name = "f", .text = "x", .xattr = "SCHILY.xattr.user.kept=yes"}, {.name = NULL}};
	static const char *const names[] = {"user.overlay.redirect", "user.overlay.metacopy", "trusted.overlay.opaque",
	        "security.capability", "user.overlay.opaque"};
	good(fixture, entries);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_strdup_printf("%s/%c", fixture->folder, (char)('a' + (char)i));
		char value[16];
		g_assert_cmpint(lgetxattr(path, names[i], value, sizeof value), <, 0);
	}
	g_autofree char *kept = g_build_filename(fixture->folder, "f", NULL);
	char value[16];
	g_assert_cmpint(lgetxattr(kept, "user.kept", value, sizeof value), ==, 3);
}

static void whiteouts_hide_what_is_below(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const TarEntry entries[] = {{.name = ".wh.gone"}, {.name = "d", .type = '5'}, {.name = "d/.wh..wh..opq"}, {.name = "d/own", .text = "x"},
	        {.name = "e/.wh.hidden"}, {.name = "back", .text = "x"}, {.name = ".wh.back"},       /* of this layer: stays */
	        {.name = ".wh.again"}, {.name = "again", .type = '5'}, {.name = "again/x", .text = "x"}, /* a folder that begins anew */
	        {.name = ".wh.hard", .type = '1', .link = "not/here"}, {.name = ".wh..wh.plnk", .type = '5'}, {.name = NULL}};
	good(fixture, entries);
	g_assert_true(is_hidden(fixture, "gone"));
	g_assert_true(is_hidden(fixture, "e/hidden"));
	g_assert_true(is_hidden(fixture, "hard"));
	g_assert_true(is_opaque(fixture, "d"));
	g_assert_true(S_ISREG(look(fixture, "d/own").st_mode));
	g_assert_true(S_ISREG(look(fixture, "back").st_mode));
	g_assert_true(is_opaque(fixture, "again"));
	g_assert_cmpint(look(fixture, ".wh..wh.plnk").st_mode, ==, 0);
}

static void no_path_leaves_the_layer(Fixture *fixture, gconstpointer data)
{
	(void)data;
	static const TarEntry cases[][4] = {
	        {{.name = "../canary", .text = "dead"}},
	        {{.name = "a/../../canary", .text = "dead"}},
	        {{.name = "..", .type = '5'}},
	        {{.name = "l", .type = '2', .link = ".."}, {.name = "l/canary", .text = "dead"}},
	        {{.name = "l", .type = '2', .link = "/tmp"}, {.name = "l/d", .type = '5'}},
	        {{.name = "l", .type = '2', .link = ".."}, {.name = "l/.wh.canary"}},
	        {{.name = "l", .type = '2', .link = ".."}, {.name = "l/.wh..wh..opq"}},
	        {{.name = "h", .type = '1', .link = "../canary"}},
	        {{.name = "l", .type = '2', .link = ".."}, {.name = "h", .type = '1', .link = "l/canary"}},
	        {{.name = "l", .type = '2', .link = "../canary"}, {.name = "h", .type = '1', .link = "/../canary"}},
	        {{.name = ".wh..."}, {.name = ".wh..", .text = ""}},
	        {{.name = ".wh."}},
	};
	static const char *const whys[] = {"leads out", "leads out", "leads out", "goes through a link", "goes through a link",
	        "goes through a link", "goes through a link", "hard link out", "no file of this layer", "hard link out", "hides no name",
	        "hides no name"};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		refused(fixture, cases[i], whys[i]);
		g_assert_true(fd_remove_tree(fixture->folder, NULL));
		g_assert_true(fd_make_folder(fixture->folder, 0755, NULL));
		close(fixture->folder_fd);
		fixture->folder_fd = open(fixture->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
}

/* A file that is written to through a link of its own layer, and a hard link that is overwritten. */
static void links_are_replaced_and_not_written_to(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const TarEntry entries[] = {{.name = "f", .type = '2', .link = "../canary"}, {.name = "f", .text = "own"},
	        {.name = "d", .type = '2', .link = ".."}, {.name = "d", .type = '5', .mode = 0777}, {.name = "one", .text = "1"},
	        {.name = "two", .type = '1', .link = "one"}, {.name = "two", .text = "22"}, {.name = NULL}};
	good(fixture, entries);
	g_assert_true(S_ISREG(look(fixture, "f").st_mode));
	g_assert_true(S_ISDIR(look(fixture, "d").st_mode));
	g_assert_cmpint(look(fixture, "one").st_size, ==, 1);
	g_assert_cmpint(look(fixture, "two").st_size, ==, 2);
}

static void bombs_are_given_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *zeros = g_strnfill(3 << 20, 'z');
	const TarEntry entries[] = {{.name = "bomb", .text = zeros}, {.name = "more", .text = "x"}, {.name = NULL}};
	static const struct {
		UnpackLimits limits;
		const char *why;
	} cases[] = {{{.bytes = 1 << 20}, "more than 1048576 bytes"}, {{.ratio = 20, .ratio_from = 1 << 20}, "as a bomb does"},
	        {{.entries = 1}, "more than 1 entries"}};
	g_autoptr(GByteArray) tar = oci_tar(entries);
	g_autoptr(GByteArray) packed = oci_gzip(tar);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(unpack_bytes(fixture, packed, &cases[i].limits, &error));
		if (!strstr(error->message, cases[i].why))
			g_error("'%s' is not in '%s'", cases[i].why, error->message);
	}
	g_autoptr(GError) error = NULL;
	g_assert_true(unpack_bytes(fixture, packed, NULL, &error)); /* and with the limits as they are it is a layer */
	g_assert_no_error(error);
}

static void damage_is_told(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const TarEntry entries[] = {{.name = "f", .text = "some text that is long enough"}, {.name = NULL}};
	g_autoptr(GByteArray) tar = oci_tar(entries);
	g_autoptr(GByteArray) packed = oci_gzip(tar);
	g_autoptr(GError) error = NULL;
	g_byte_array_set_size(packed, packed->len / 2);
	g_assert_false(unpack_bytes(fixture, packed, NULL, &error));
	g_clear_error(&error);
	g_byte_array_set_size(tar, 700);
	g_assert_false(unpack_bytes(fixture, tar, NULL, &error));
	g_clear_error(&error);
	g_autoptr(GByteArray) rubbish = g_byte_array_new();
	for (int i = 0; i < 3000; i++)
		g_byte_array_append(rubbish, (const guint8 *)"rubbish", 7);
	g_assert_false(unpack_bytes(fixture, rubbish, NULL, &error));
	g_assert_nonnull(strstr(error->message, "tar"));
	g_clear_error(&error);
	g_autoptr(GByteArray) nothing = g_byte_array_new();
	g_assert_true(unpack_bytes(fixture, nothing, NULL, &error));
	g_assert_cmpstr(fixture->end.diff_id, ==, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#define JOB_ID 64001

static void is_owned(const Fixture *fixture, const char *path, const Ids *ids, unsigned uid, unsigned gid, unsigned mode)
{
	struct stat info = look(fixture, path);
	g_assert_cmpuint(info.st_uid, ==, uid ? ids->first_uid + uid - 1 : JOB_ID);
	g_assert_cmpuint(info.st_gid, ==, gid ? ids->first_gid + gid - 1 : JOB_ID);
	g_assert_cmpuint(info.st_mode & 07777, ==, mode);
}

/* By a child that is root of these ids alone: it can give files to nobody else, whatever the layer says. */
static void files_belong_to_who_the_layer_says(Fixture *fixture, gconstpointer data)
{
	(void)data;
	const Ids *ids = geteuid() == 0 ? ready_ids("auto", JOB_ID, JOB_ID) : NULL;
	if (!ids || ids->first_uid == 0) {
		g_test_skip(ids ? ids->why_not : "only root can look at it");
		return;
	}
	Failure failure = {0};
	int ids_fd = ready_ids_user(ids, JOB_ID, JOB_ID, &failure);
	g_assert_cmpint(ids_fd, >=, 0);
	g_assert_cmpint(fchown(fixture->folder_fd, JOB_ID, JOB_ID), ==, 0);
	const TarEntry entries[] = {{.name = "root", .text = "x", .mode = 04755},
	        {.name = "db", .type = '5', .uid = 70, .gid = 71, .mode = 0700}, {.name = "db/f", .text = "x", .uid = 70, .gid = 71, .mode = 0400},
	        {.name = "db/hard", .type = '1', .link = "db/f"}, {.name = "shut", .type = '5', .uid = 70, .mode = 01},
	        {.name = "shut/most", .text = "x", .uid = 65535, .gid = 65535, .mode = 0644}, {.name = "beyond", .text = "x", .uid = 65536, .gid = 2000000},
	        {.name = "link", .type = '2', .link = "/etc/shadow", .uid = 5, .gid = 6}, {.name = "db/.wh.gone", .text = ""},
	        {.name = "none", .text = "x", .uid = 9, .mode = 06000}, {.name = NULL}};
	g_autoptr(GError) error = NULL;
	g_autoptr(GByteArray) tar = oci_tar(entries);
	autofd int blob = fd_sealed("layer", tar->data, tar->len, &error);
	const UnpackLimits limits = {.owners = true};
	g_assert_true(unpack_confined(blob, fixture->folder_fd, ids_fd, 0, 0, &limits, NULL, NULL, &fixture->end, &error));
	g_assert_no_error(error);
	is_owned(fixture, "root", ids, 0, 0, 0755);
	is_owned(fixture, "db", ids, 70, 71, 0700);
	is_owned(fixture, "db/f", ids, 70, 71, 0400);
	is_owned(fixture, "db/hard", ids, 70, 71, 0400);
	is_owned(fixture, "shut", ids, 70, 0, 01);
	is_owned(fixture, "shut/most", ids, 65535, 65535, 0644);
	is_owned(fixture, "beyond", ids, 0, 0, 0644);
	is_owned(fixture, "link", ids, 5, 6, 0777);
	is_owned(fixture, "none", ids, 9, 0, 0);
	g_assert_true(is_hidden(fixture, "db/gone"));
}

static bool at_once(void *data)
{
	(void)data;
	return true;
}

/* Its bytes come from a pipe that never ends. */
static void it_can_be_stopped(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	int ends[2];
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_assert_false(unpack_confined(ends[0], fixture->folder_fd, -1, 0, 0, NULL, at_once, NULL, &fixture->end, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_BUSY);
	close(ends[0]);
	close(ends[1]);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "unpack") == 0) /* as the worker does for a layer */
		return image_unpack_main(argc - 1, argv + 1);
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/unpack/" #name, Fixture, NULL, set_up, name, tear_down)
	ADD(files_folders_and_links);
	ADD(setuid_bits_and_devices_go);
	ADD(attributes_of_overlayfs_and_rights_go);
	ADD(whiteouts_hide_what_is_below);
	ADD(no_path_leaves_the_layer);
	ADD(links_are_replaced_and_not_written_to);
	ADD(bombs_are_given_up);
	ADD(damage_is_told);
	ADD(files_belong_to_who_the_layer_says);
	ADD(it_can_be_stopped);
	return g_test_run();
}
