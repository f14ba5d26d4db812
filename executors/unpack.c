/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two readers of libarchive, one behind the other: the first takes gzip or zstd away, the second reads the tar of what
 * comes out; between them the bytes are hashed (the layer's diff id) and counted. libarchive is loaded when the first
 * layer is: a waiting worker does not carry it.
 *
 * Where one id is all that there is, owners are not kept: all belongs to whoever unpacks, and a place maps that one user
 * to the image's. So that this user can do in the place what root could, he keeps the right to read and write all of it.
 */
#include "executors/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/hash.h"
#include "agent/base/library.h"

#define ENTRIES_MAX 1000000
#define BYTES_MAX (INT64_C(32) << 30)
#define RATIO_MAX 200
#define RATIO_FROM (INT64_C(256) << 20)
#define PATH_BYTES_MAX 4095
#define DEPTH_MAX 256
#define XATTR_BYTES_MAX 65536
#define XATTRS_MAX 64
#define BUFFER_BYTES (256 * 1024)
#define ID_MOST 65535
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define OPAQUE_XATTR "user.overlay.opaque"

/* libarchive's calls, by name. */
#define CALLS(C)                                                                                                     \
	C(archive_read_new) C(archive_read_free) C(archive_read_support_format_raw) C(archive_read_support_format_tar)   \
	C(archive_read_support_format_empty)                                                                             \
	C(archive_read_support_filter_gzip) C(archive_read_support_filter_zstd) C(archive_read_open_fd)                  \
	C(archive_read_open2) C(archive_read_next_header) C(archive_read_data) C(archive_read_data_block)                \
	C(archive_error_string) C(archive_filter_bytes) C(archive_entry_pathname) C(archive_entry_hardlink)              \
	C(archive_entry_symlink) C(archive_entry_filetype) C(archive_entry_mode) C(archive_entry_size)                   \
	C(archive_entry_uid) C(archive_entry_gid) C(archive_entry_mtime) C(archive_entry_mtime_nsec) C(archive_entry_xattr_reset) C(archive_entry_xattr_next)
#define FIELD(name) __typeof__(&name) name;
typedef struct Archive {
	CALLS(FIELD)
} Archive;
#undef FIELD

static bool load(Archive *out, GError **error)
{
#define SYMBOL(name) {#name, &out->name},
	const LibrarySymbol symbols[] = {CALLS(SYMBOL)};
#undef SYMBOL
	return library_load("libarchive.so.13", "libarchive13", symbols, G_N_ELEMENTS(symbols), error);
}

bool unpack_probe(GError **error)
{
	Archive archive;
	return load(&archive, error);
}

typedef struct Unpack {
	Archive a;
	struct archive *outer; /* takes the compression away */
	struct archive *tar;
	Hash *hash;
	UnpackLimits limits;
	UnpackEnd end;
	int64_t streamed; /* bytes of the tar so far */
	int root_fd;
	bool ended;
	char *buffer;
	GError *why; /* of the stream */
} Unpack;

/* What a path means: the folder it lies in, and its name there. */
typedef struct Spot {
	int folder_fd;
	char *name;
} Spot;

static void spot_clear(Spot *spot)
{
	autofd_close(&spot->folder_fd);
	g_free(spot->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Spot, spot_clear)

/* ---- the stream ---- */

static bool count_stream(Unpack *unpack, ssize_t len)
{
	unpack->streamed += len;
	int64_t packed = MAX(unpack->a.archive_filter_bytes(unpack->outer, -1), 1);
	if (unpack->streamed > unpack->limits.bytes)
		return fail(&unpack->why, ASSAY_ERROR_REMOTE, "it unpacks to more than %" G_GINT64_FORMAT " bytes",
		        unpack->limits.bytes);
	if (unpack->streamed > unpack->limits.ratio_from && unpack->streamed / packed > unpack->limits.ratio)
		return fail(&unpack->why, ASSAY_ERROR_REMOTE,
		        "it unpacks to more than %" G_GINT64_FORMAT " times its size, as a bomb does", unpack->limits.ratio);
	return true;
}

static la_ssize_t read_stream(struct archive *archive, void *data, const void **out)
{
	(void)archive;
	Unpack *unpack = data;
	if (unpack->ended)
		return 0;
	if (unpack->why) /* asked once more after it has failed */
		return -1;
	la_ssize_t len = unpack->a.archive_read_data(unpack->outer, unpack->buffer, BUFFER_BYTES);
	if (len < 0) {
		const char *why = unpack->a.archive_error_string(unpack->outer);
		fail(&unpack->why, ASSAY_ERROR_REMOTE, "it cannot be decompressed: %s", why ? why : "it is damaged");
		return -1;
	}
	unpack->ended = len == 0;
	if (len > 0)
		hash_update(unpack->hash, unpack->buffer, (size_t)len);
	*out = unpack->buffer;
	return count_stream(unpack, len) ? len : -1;
}

static bool open_stream(Unpack *unpack, int blob_fd, GError **error)
{
	struct archive_entry *entry = NULL;
	unpack->outer = unpack->a.archive_read_new();
	unpack->tar = unpack->a.archive_read_new();
	unpack->a.archive_read_support_filter_gzip(unpack->outer);
	unpack->a.archive_read_support_filter_zstd(unpack->outer);
	unpack->a.archive_read_support_format_empty(unpack->outer);
	unpack->a.archive_read_support_format_raw(unpack->outer);
	unpack->a.archive_read_support_format_tar(unpack->tar);
	int got = unpack->a.archive_read_open_fd(unpack->outer, blob_fd, BUFFER_BYTES);
	if (got == ARCHIVE_OK)
		got = unpack->a.archive_read_next_header(unpack->outer, &entry);
	if (got == ARCHIVE_EOF) /* not one byte: an empty layer */
		unpack->ended = true;
	else if (got < ARCHIVE_WARN)
		return fail(error, ASSAY_ERROR_REMOTE, "it is neither gzip nor zstd nor tar: %s",
		        unpack->a.archive_error_string(unpack->outer));
	return true;
}

/* ---- places ---- */

static int open_below(int root, const char *path, uint64_t flags)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC,
	        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* "./a//b/" is "a/b"; "" is the root itself. NULL when it climbs, or is too long or too deep. */
static char *clean_path(const char *path)
{
	if (!path || strlen(path) > PATH_BYTES_MAX)
		return NULL;
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	g_autoptr(GString) out = g_string_new(NULL);
	int depth = 0;
	for (char **part = parts; *part; part++) {
		if (!**part || strcmp(*part, ".") == 0)
			continue;
		if (strcmp(*part, "..") == 0 || strlen(*part) > 255 || ++depth > DEPTH_MAX)
			return NULL;
		g_string_append_printf(out, "%s%s", out->len ? "/" : "", *part);
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

static bool refuse(GError **error, const char *path, const char *why)
{
	g_autofree char *shown = g_strescape(path, NULL);
	return fail(error, ASSAY_ERROR_REMOTE, "its entry '%.200s' %s", shown, why);
}

static bool disk_failed(GError **error, int why, const char *path)
{
	g_autofree char *shown = g_strescape(path, NULL);
	return fail_errno(error, why, "cannot write its entry '%.200s'", shown);
}

static bool is_whiteout(const struct stat *info)
{
	return S_ISCHR(info->st_mode) && info->st_rdev == 0;
}

/* What a folder hides of the layers below it. */
static bool set_opaque(int folder_fd, const char *path, GError **error)
{
	return fsetxattr(folder_fd, OPAQUE_XATTR, "y", 1, 0) == 0 || disk_failed(error, errno, path);
}

/* Makes the folder `name`, or takes the one that is there; a whiteout under that name becomes its opacity. */
static int make_folder(int at, const char *name, const char *path, GError **error)
{
	struct stat info;
	bool hidden = false;
	if (fstatat(at, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(info.st_mode)) {
		hidden = is_whiteout(&info);
		if (!hidden && S_ISLNK(info.st_mode)) {
			refuse(error, path, "goes through a link");
			return -1;
		}
		unlinkat(at, name, 0);
	}
	if (mkdirat(at, name, 0755) < 0 && errno != EEXIST) {
		disk_failed(error, errno, path);
		return -1;
	}
	autofd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		disk_failed(error, errno, path);
		return -1;
	}
	if (hidden && !set_opaque(fd, path, error))
		return -1;
	return fd_steal(&fd);
}

/* The folder that a path lies in, made where it is missing. */
static bool find_spot(const Unpack *unpack, const char *path, Spot *out, GError **error)
{
	const char *slash = strrchr(path, '/');
	g_autofree char *parent = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup(".");
	autofd int fd = open_below(unpack->root_fd, parent, O_RDONLY | O_DIRECTORY);
	if (fd < 0 && (errno == ELOOP || errno == EXDEV))
		return refuse(error, path, "goes through a link");
	if (fd < 0) {
		g_auto(GStrv) parts = g_strsplit(parent, "/", -1);
		fd = open_below(unpack->root_fd, ".", O_RDONLY | O_DIRECTORY);
		for (char **part = parts; fd >= 0 && *part; part++) {
			int next = make_folder(fd, *part, path, error);
			close(fd_steal(&fd));
			fd = next;
		}
		if (fd < 0)
			return false;
	}
	*out = (Spot){.folder_fd = fd_steal(&fd), .name = g_strdup(slash ? slash + 1 : path)};
	return true;
}

/* Removes what an entry replaces; a folder of this layer with all that is in it is left to be refused. */
static bool make_room(const Spot *spot, const char *path, GError **error)
{
	if (unlinkat(spot->folder_fd, spot->name, 0) == 0 || errno == ENOENT)
		return true;
	if (errno == EISDIR && unlinkat(spot->folder_fd, spot->name, AT_REMOVEDIR) == 0)
		return true;
	return refuse(error, path, "takes the place of a folder that is not empty");
}

/* ---- entries ---- */

/* Of what a layer may say of a file only `user.` is kept, and of that nothing that overlayfs reads. */
static void put_xattrs(const Unpack *unpack, struct archive_entry *entry, int fd)
{
	int count = MIN(unpack->a.archive_entry_xattr_reset(entry), XATTRS_MAX);
	for (int i = 0; i < count; i++) {
		const char *name = NULL;
		const void *value = NULL;
		size_t size = 0;
		if (unpack->a.archive_entry_xattr_next(entry, &name, &value, &size) != ARCHIVE_OK)
			return;
		if (name && g_str_has_prefix(name, "user.") && !g_str_has_prefix(name, "user.overlay.") && size <= XATTR_BYTES_MAX)
			fsetxattr(fd, name, value, size, 0); /* where the disk has none, files are good without them */
	}
}

/* An id beyond what a place has is root's, as everything is where there is one. */
static bool put_owner(const Unpack *unpack, struct archive_entry *entry, int fd, const char *name)
{
	if (!unpack->limits.owners)
		return true;
	la_int64_t uid = unpack->a.archive_entry_uid(entry), gid = unpack->a.archive_entry_gid(entry);
	uid = uid < 0 || uid > ID_MOST ? 0 : uid;
	gid = gid < 0 || gid > ID_MOST ? 0 : gid;
	return fchownat(fd, name, (uid_t)uid, (gid_t)gid, name[0] ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) == 0;
}

/* Who has one id and no rights must be able to do what root could. */
static mode_t mode_of(const Unpack *unpack, struct archive_entry *entry, mode_t mask, mode_t at_least)
{
	return (unpack->a.archive_entry_mode(entry) & mask) | (unpack->limits.owners ? 0 : at_least);
}

static void put_time(const Unpack *unpack, struct archive_entry *entry, const Spot *spot)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
	        {.tv_sec = unpack->a.archive_entry_mtime(entry), .tv_nsec = unpack->a.archive_entry_mtime_nsec(entry)}};
	utimensat(spot->folder_fd, spot->name, times, AT_SYMLINK_NOFOLLOW);
}

static bool write_block(int fd, const char *bytes, size_t len, off_t offset)
{
	while (len > 0) {
		ssize_t put = pwrite(fd, bytes, len, offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		bytes += put;
		len -= (size_t)put;
		offset += put;
	}
	return true;
}

static bool tar_failed(Unpack *unpack, GError **error)
{
	if (unpack->why) {
		g_propagate_error(error, g_steal_pointer(&unpack->why));
		return false;
	}
	const char *why = unpack->a.archive_error_string(unpack->tar);
	return fail(error, ASSAY_ERROR_REMOTE, "its tar is damaged: %s", why ? why : "it ends too early");
}

static bool put_bytes(Unpack *unpack, struct archive_entry *entry, int fd, const char *path, GError **error)
{
	int64_t size = unpack->a.archive_entry_size(entry);
	if (size < 0 || size > unpack->limits.bytes - unpack->end.bytes)
		return fail(error, ASSAY_ERROR_REMOTE, "it unpacks to more than %" G_GINT64_FORMAT " bytes", unpack->limits.bytes);
	unpack->end.bytes += size;
	for (;;) {
		const void *block = NULL;
		size_t len = 0;
		la_int64_t offset = 0;
		int got = unpack->a.archive_read_data_block(unpack->tar, &block, &len, &offset);
		if (got == ARCHIVE_EOF)
			break;
		if (got < ARCHIVE_WARN)
			return tar_failed(unpack, error);
		if (offset < 0 || offset > size || (int64_t)len > size - offset)
			return refuse(error, path, "has more bytes than it says");
		if (!write_block(fd, block, len, offset))
			return disk_failed(error, errno, path);
	}
	return ftruncate(fd, size) == 0 || disk_failed(error, errno, path);
}

static bool put_file(Unpack *unpack, struct archive_entry *entry, const Spot *spot, const char *path, GError **error)
{
	mode_t mode = mode_of(unpack, entry, 0777, 0600);
	if (!make_room(spot, path, error))
		return false;
	autofd int fd = openat(spot->folder_fd, spot->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return disk_failed(error, errno, path);
	if (!put_bytes(unpack, entry, fd, path, error))
		return false;
	put_xattrs(unpack, entry, fd);
	if (!put_owner(unpack, entry, fd, "") || fchmod(fd, mode) < 0)
		return disk_failed(error, errno, path);
	put_time(unpack, entry, spot);
	return true;
}

static bool put_folder(Unpack *unpack, struct archive_entry *entry, const Spot *spot, const char *path, GError **error)
{
	struct stat info;
	if (fstatat(spot->folder_fd, spot->name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode) &&
	        !make_room(spot, path, error))
		return false;
	autofd int fd = make_folder(spot->folder_fd, spot->name, path, error);
	if (fd < 0)
		return false;
	put_xattrs(unpack, entry, fd);
	return (put_owner(unpack, entry, fd, "") && fchmod(fd, mode_of(unpack, entry, 01777, 0700)) == 0) ||
	       disk_failed(error, errno, path);
}

static bool put_link(Unpack *unpack, struct archive_entry *entry, const Spot *spot, const char *path, GError **error)
{
	const char *says = unpack->a.archive_entry_symlink(entry);
	if (!says || !*says || strlen(says) > PATH_BYTES_MAX)
		return refuse(error, path, "is a link that says nothing, or too much");
	if (!make_room(spot, path, error))
		return false;
	if (symlinkat(says, spot->folder_fd, spot->name) < 0 || !put_owner(unpack, entry, spot->folder_fd, spot->name))
		return disk_failed(error, errno, path);
	put_time(unpack, entry, spot);
	return true;
}

static bool put_hard_link(Unpack *unpack, const char *target, const Spot *spot, const char *path, GError **error)
{
	g_autofree char *clean = clean_path(target);
	if (!clean || !*clean)
		return refuse(error, path, "is a hard link out of the layer");
	if (strcmp(clean, path) == 0)
		return true;
	const char *slash = strrchr(clean, '/');
	g_autofree char *parent = slash ? g_strndup(clean, (gsize)(slash - clean)) : g_strdup(".");
	autofd int from = open_below(unpack->root_fd, parent, O_PATH | O_DIRECTORY);
	const char *name = slash ? slash + 1 : clean;
	struct stat info;
	if (from < 0 || fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) < 0 || (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)))
		return refuse(error, path, "is a hard link to what is no file of this layer");
	if (!make_room(spot, path, error))
		return false;
	return linkat(from, name, spot->folder_fd, spot->name, 0) == 0 || disk_failed(error, errno, path);
}

/* `.wh.name` hides `name` of the layers below, and nothing of this one. */
static bool put_whiteout(const Spot *spot, const char *path, GError **error)
{
	if (strcmp(spot->name, OPAQUE) == 0)
		return set_opaque(spot->folder_fd, path, error);
	if (g_str_has_prefix(spot->name, WHITEOUT WHITEOUT))
		return true; /* notes of an old file system */
	const char *name = spot->name + strlen(WHITEOUT);
	struct stat info;
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return refuse(error, path, "hides no name");
	if (fstatat(spot->folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(info.st_mode))
			return true;
		autofd int fd = openat(spot->folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd >= 0 ? set_opaque(fd, path, error) : disk_failed(error, errno, path);
	}
	return mknodat(spot->folder_fd, name, S_IFCHR, makedev(0, 0)) == 0 || disk_failed(error, errno, path);
}

static bool put_entry(Unpack *unpack, struct archive_entry *entry, GError **error)
{
	const char *given = unpack->a.archive_entry_pathname(entry);
	g_autofree char *path = clean_path(given);
	if (!path)
		return refuse(error, given ? given : "", "has a path that is too long or leads out of the layer");
	if (!*path)
		return true; /* the root itself */
	g_auto(Spot) spot = {.folder_fd = -1};
	if (!find_spot(unpack, path, &spot, error))
		return false;
	if (g_str_has_prefix(spot.name, WHITEOUT))
		return put_whiteout(&spot, path, error);
	const char *target = unpack->a.archive_entry_hardlink(entry);
	if (target)
		return put_hard_link(unpack, target, &spot, path, error);
	mode_t kind = unpack->a.archive_entry_filetype(entry);
	if (kind == AE_IFREG)
		return put_file(unpack, entry, &spot, path, error);
	if (kind == AE_IFDIR)
		return put_folder(unpack, entry, &spot, path, error);
	if (kind == AE_IFLNK)
		return put_link(unpack, entry, &spot, path, error);
	unpack->end.left_out++;
	return true;
}

/* To the stream's end, behind the tar's: all of it is what the diff id names. */
static bool drain(Unpack *unpack, GError **error)
{
	const void *unused;
	la_ssize_t len;
	while ((len = read_stream(NULL, unpack, &unused)) > 0)
		;
	return len == 0 || tar_failed(unpack, error);
}

static bool put_all(Unpack *unpack, GError **error)
{
	struct archive_entry *entry = NULL;
	int got = unpack->a.archive_read_open2(unpack->tar, unpack, NULL, read_stream, NULL, NULL);
	while (got >= ARCHIVE_WARN && (got = unpack->a.archive_read_next_header(unpack->tar, &entry)) >= ARCHIVE_WARN) {
		if (got == ARCHIVE_EOF)
			break;
		if (++unpack->end.entries > unpack->limits.entries)
			return fail(error, ASSAY_ERROR_REMOTE, "it has more than %" G_GINT64_FORMAT " entries", unpack->limits.entries);
		if (!put_entry(unpack, entry, error))
			return false;
	}
	if (got != ARCHIVE_EOF && unpack->streamed > 0)
		return tar_failed(unpack, error);
	return drain(unpack, error);
}

bool unpack_layer(int blob_fd, int folder_fd, const UnpackLimits *limits, UnpackEnd *out, GError **error)
{
	static const UnpackLimits none = {0};
	const UnpackLimits *given = limits ? limits : &none;
	Unpack unpack = {.root_fd = folder_fd,
	        .limits = {.entries = given->entries > 0 ? given->entries : ENTRIES_MAX,
	                .bytes = given->bytes > 0 ? given->bytes : BYTES_MAX,
	                .ratio = given->ratio > 0 ? given->ratio : RATIO_MAX,
	                .ratio_from = given->ratio_from > 0 ? given->ratio_from : RATIO_FROM,
	                .owners = given->owners}};
	if (!load(&unpack.a, error))
		return false;
	unpack.hash = hash_new();
	unpack.buffer = g_malloc(BUFFER_BYTES);
	bool good = open_stream(&unpack, blob_fd, error) && put_all(&unpack, error);
	if (good) {
		uint8_t digest[HASH_BYTES];
		char hex[HASH_HEX_BYTES];
		hash_final(unpack.hash, digest);
		hex_write(digest, sizeof digest, hex);
		*out = unpack.end;
		g_snprintf(out->diff_id, sizeof out->diff_id, "sha256:%s", hex);
	}
	unpack.a.archive_read_free(unpack.tar);
	unpack.a.archive_read_free(unpack.outer);
	hash_free(unpack.hash);
	g_free(unpack.buffer);
	g_clear_error(&unpack.why);
	return good;
}
