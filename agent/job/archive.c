/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libarchive reads, tree.c writes: an entry never is more than a name and bytes, and each name is walked component by
 * component below a held descriptor. What an archive says about owners, devices and times is not looked at.
 */
#include "agent/job/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/library.h"

#define BLOCK_BYTES (256 * 1024)
#define NAME_BYTES_MAX 4096
#define PART_BYTES_MAX 255
#define DEPTH_MAX 256

/* libarchive brings a dozen libraries along, so it is loaded with the first archive. Its calls by name: */
#define CALLS(C)                                                                                                     \
	C(archive_entry_clear) C(archive_entry_filetype) C(archive_entry_free) C(archive_entry_hardlink)             \
	C(archive_entry_new) C(archive_entry_pathname) C(archive_entry_perm) C(archive_entry_set_filetype)           \
	C(archive_entry_set_mtime) C(archive_entry_set_pathname) C(archive_entry_set_perm)                           \
	C(archive_entry_set_size) C(archive_entry_set_symlink) C(archive_entry_symlink) C(archive_errno)             \
	C(archive_error_string) C(archive_read_data_block) C(archive_read_free) C(archive_read_new)                  \
	C(archive_read_next_header) C(archive_read_open_fd) C(archive_read_support_filter_gzip)                      \
	C(archive_read_support_filter_zstd) C(archive_read_support_format_tar)                                       \
	C(archive_read_support_format_zip_seekable) C(archive_write_add_filter_gzip)                                 \
	C(archive_write_add_filter_zstd) C(archive_write_close) C(archive_write_data) C(archive_write_free)          \
	C(archive_write_header) C(archive_write_new) C(archive_write_open_fd)                                        \
	C(archive_write_set_bytes_in_last_block) C(archive_write_set_filter_option)                                  \
	C(archive_write_set_format_gnutar) C(archive_write_set_format_option) C(archive_write_set_format_zip)
#define FIELD(name) __typeof__(&name) name;
static struct {
	bool loaded;
	CALLS(FIELD)
} lib;
#undef FIELD

bool archive_load(GError **error)
{
#define SYMBOL(name) {#name, &lib.name},
	static const LibrarySymbol symbols[] = {CALLS(SYMBOL)};
#undef SYMBOL
	lib.loaded = lib.loaded || library_load("libarchive.so.13", "libarchive13", symbols, G_N_ELEMENTS(symbols), error);
	return lib.loaded;
}

static void free_reader(struct archive *archive)
{
	lib.archive_read_free(archive);
}
typedef struct archive ReadArchive;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReadArchive, free_reader)

/* Names are UTF-8 while libarchive works, whatever the worker's own locale is. */
typedef struct Charset {
	locale_t utf8, before;
} Charset;

static Charset use_utf8(void)
{
	Charset charset = {.utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0)};
	if (charset.utf8)
		charset.before = uselocale(charset.utf8);
	return charset;
}

static void use_before(Charset *charset)
{
	if (!charset->utf8)
		return;
	uselocale(charset->before);
	freelocale(charset->utf8);
}
#define charset_scope __attribute__((cleanup(use_before), unused)) Charset charset = use_utf8()

char *archive_clean_name(const char *name)
{
	if (!name || name[0] == '/' || strlen(name) > NAME_BYTES_MAX)
		return NULL;
	g_auto(GStrv) parts = g_strsplit(name, "/", -1);
	g_autoptr(GString) clean = g_string_new(NULL);
	int depth = 0;
	for (char **part = parts; *part; part++) {
		if (!(*part)[0] || strcmp(*part, ".") == 0)
			continue;
		if (strcmp(*part, "..") == 0 || strlen(*part) > PART_BYTES_MAX || ++depth > DEPTH_MAX)
			return NULL;
		g_string_append_printf(clean, "%s%s", clean->len ? "/" : "", *part);
	}
	return g_string_free(g_steal_pointer(&clean), FALSE);
}

typedef struct Unpack {
	struct archive *archive;
	ArchiveForm form;
	ArchiveLimits limits;
	int folder_fd;
	ArchivePlace place;
	void *data;
	int64_t files, bytes;
} Unpack;

static char *place_name(const Unpack *unpack, const char *name, GError **error)
{
	if (unpack->place)
		return unpack->place(unpack->data, name, error);
	char *clean = archive_clean_name(name);
	if (!clean)
		fail(error, ASSAY_ERROR_USER, "the archive has a name that leads out of it: %.200s", name);
	return clean;
}

/* The folder of a path, made if need be, and its last part. */
static int open_parent(const Unpack *unpack, const char *path, const char **out_name, GError **error)
{
	const char *slash = strrchr(path, '/');
	g_autofree char *folder = g_strndup(path, slash ? (size_t)(slash - path) : 0);
	*out_name = slash ? slash + 1 : path;
	return tree_make_folder(unpack->folder_fd, folder, (TreeOwner){0}, error);
}

static bool write_bytes(Unpack *unpack, int fd, const char *path, GError **error)
{
	const void *block;
	size_t len;
	la_int64_t offset;
	for (int code; (code = lib.archive_read_data_block(unpack->archive, &block, &len, &offset)) != ARCHIVE_EOF;) {
		if (code != ARCHIVE_OK)
			return fail(error, ASSAY_ERROR_USER, "%.200s: %s", path,
			        lib.archive_error_string(unpack->archive) ? lib.archive_error_string(unpack->archive) : "it is broken");
		if (offset < 0 || offset > unpack->limits.bytes || (uint64_t)unpack->bytes + len > (uint64_t)unpack->limits.bytes)
			return fail(error, ASSAY_ERROR_USER, "the archive has more than %" G_GINT64_FORMAT " bytes unpacked%s%s",
			        unpack->limits.bytes, unpack->limits.bytes_of ? ", the rest of the job's " : "",
			        unpack->limits.bytes_of ? unpack->limits.bytes_of : "");
		unpack->bytes += (int64_t)len;
		if (lseek(fd, offset, SEEK_SET) < 0)
			return fail_errno(error, errno, "cannot write %s", path);
		if (!fd_write_all(fd, block, len, path, error))
			return false;
	}
	return true;
}

static bool unpack_one(Unpack *unpack, struct archive_entry *entry, GError **error)
{
	const char *name = lib.archive_entry_pathname(entry);
	const char *link = lib.archive_entry_hardlink(entry);
	g_autofree char *path = name ? place_name(unpack, name, error) : NULL;
	if (!path)
		return name ? false : fail(error, ASSAY_ERROR_USER, "the archive has an entry whose name cannot be read");
	if (!path[0])
		return true; /* the root itself */
	mode_t type = lib.archive_entry_filetype(entry);
	if (type == AE_IFDIR && !link) {
		autofd int made = tree_make_folder(unpack->folder_fd, path, (TreeOwner){0}, error);
		return made >= 0;
	}
	const char *last;
	autofd int folder = open_parent(unpack, path, &last, error);
	if (folder < 0)
		return false;
	if (link && unpack->form == ARCHIVE_TAR) {
		g_autofree char *from = place_name(unpack, link, error);
		return from && tree_remove(folder, last, error) && tree_link(unpack->folder_fd, from, unpack->folder_fd, path, error);
	}
	if (type == AE_IFLNK && unpack->form == ARCHIVE_TAR) {
		const char *target = lib.archive_entry_symlink(entry);
		if (!target || !target[0])
			return fail(error, ASSAY_ERROR_USER, "%.200s: a link without a target", path);
		if (!tree_remove(folder, last, error))
			return false;
		return symlinkat(target, folder, last) == 0 || fail_errno(error, errno, "cannot make the link %s", path);
	}
	if (type != AE_IFREG && type != 0)
		return fail(error, ASSAY_ERROR_USER, "%.200s: neither a file nor a folder", path);
	mode_t mode = lib.archive_entry_perm(entry) & 0111 ? 0755 : 0644;
	autofd int fd = tree_create_file(folder, last, mode, (TreeOwner){0}, error);
	return fd >= 0 && write_bytes(unpack, fd, path, error);
}

bool archive_unpack(int fd, ArchiveForm form, ArchiveLimits limits, int folder_fd, ArchivePlace place, void *data,
        GError **error)
{
	if (!archive_load(error))
		return false;
	charset_scope;
	g_autoptr(ReadArchive) archive = lib.archive_read_new();
	Unpack unpack = {.archive = archive, .form = form, .limits = limits, .folder_fd = folder_fd, .place = place, .data = data};
	if (form == ARCHIVE_ZIP) {
		lib.archive_read_support_format_zip_seekable(archive);
	} else {
		lib.archive_read_support_format_tar(archive);
		lib.archive_read_support_filter_gzip(archive);
		lib.archive_read_support_filter_zstd(archive);
	}
	if (lib.archive_read_open_fd(archive, fd, BLOCK_BYTES) != ARCHIVE_OK)
		return fail(error, ASSAY_ERROR_USER, "this is no %s: %s", form == ARCHIVE_ZIP ? "zip" : "tar",
		        lib.archive_error_string(archive) ? lib.archive_error_string(archive) : "unknown format");
	for (;;) {
		struct archive_entry *entry;
		int code = lib.archive_read_next_header(archive, &entry);
		if (code == ARCHIVE_EOF)
			return true;
		/* A warning is about a name that is no UTF-8 and the like: the bytes are what counts. */
		if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
			return fail(error, ASSAY_ERROR_USER, "the archive cannot be read: %s",
			        lib.archive_error_string(archive) ? lib.archive_error_string(archive) : "it is broken");
		if (++unpack.files > limits.files)
			return fail(error, ASSAY_ERROR_USER, "the archive has more than %" G_GINT64_FORMAT " entries", limits.files);
		if (!unpack_one(&unpack, entry, error))
			return false;
	}
}

typedef struct Pack {
	struct archive *archive;
	struct archive_entry *entry;
	char *buffer;
	ArchivePlace rename;
	void *data;
} Pack;

static bool pack_failed(const Pack *pack, const char *path, GError **error)
{
	int why = lib.archive_errno(pack->archive);
	if (why > 0)
		return fail_errno(error, why, "cannot pack %s", path);
	return fail(error, ASSAY_ERROR_SYSTEM, "cannot pack %s", path);
}

static bool pack_file(const Pack *pack, int folder_fd, const char *name, const char *path, GError **error)
{
	autofd int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(error, errno, "cannot open %s", path);
	for (ssize_t got; (got = read(fd, pack->buffer, BLOCK_BYTES)) != 0;) {
		if (got < 0)
			return fail_errno(error, errno, "cannot read %s", path);
		if (lib.archive_write_data(pack->archive, pack->buffer, (size_t)got) < 0)
			return pack_failed(pack, path, error);
	}
	return true;
}

static bool pack_folder(const Pack *pack, int folder_fd, const char *prefix, int depth, GError **error);

static bool pack_one(const Pack *pack, int folder_fd, const char *name, const char *prefix, int depth, GError **error)
{
	g_autofree char *path = g_strconcat(prefix, prefix[0] ? "/" : "", name, NULL);
	g_autofree char *called = pack->rename ? pack->rename(pack->data, path, NULL) : g_strdup(path);
	struct stat info;
	if (fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_errno(error, errno, "cannot read %s", path);
	bool is_folder = S_ISDIR(info.st_mode);
	lib.archive_entry_clear(pack->entry);
	if (called && called[0]) {
		g_autofree char *with_slash = is_folder ? g_strconcat(called, "/", NULL) : g_strdup(called);
		lib.archive_entry_set_pathname(pack->entry, with_slash);
		lib.archive_entry_set_filetype(pack->entry, info.st_mode & S_IFMT);
		lib.archive_entry_set_perm(pack->entry, info.st_mode & 0777);
		lib.archive_entry_set_mtime(pack->entry, info.st_mtim.tv_sec, 0);
		if (S_ISREG(info.st_mode))
			lib.archive_entry_set_size(pack->entry, info.st_size);
		char target[4096];
		ssize_t len = S_ISLNK(info.st_mode) ? readlinkat(folder_fd, name, target, sizeof target - 1) : 0;
		if (len > 0) {
			target[len] = '\0';
			lib.archive_entry_set_symlink(pack->entry, target);
		}
		if (lib.archive_write_header(pack->archive, pack->entry) < ARCHIVE_WARN)
			return pack_failed(pack, path, error);
		if (S_ISREG(info.st_mode) && !pack_file(pack, folder_fd, name, path, error))
			return false;
	}
	if (!is_folder)
		return true;
	autofd int inner = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (inner < 0)
		return fail_errno(error, errno, "cannot open %s", path);
	return pack_folder(pack, inner, path, depth + 1, error);
}

static gint by_bytes(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool pack_folder(const Pack *pack, int folder_fd, const char *prefix, int depth, GError **error)
{
	if (depth > DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s: folders nested deeper than %d", prefix, DEPTH_MAX);
	int copy = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	if (!entries) {
		int why = errno;
		if (copy >= 0)
			close(copy);
		return fail_errno(error, why, "cannot read the folder %s", prefix);
	}
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	for (struct dirent *entry; (entry = readdir(entries));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			g_ptr_array_add(names, g_strdup(entry->d_name));
	closedir(entries);
	g_ptr_array_sort(names, by_bytes);
	for (guint i = 0; i < names->len; i++)
		if (!pack_one(pack, folder_fd, names->pdata[i], prefix, depth, error))
			return false;
	return true;
}

static void set_zip(struct archive *archive)
{
	lib.archive_write_set_format_zip(archive);
	/* Streaming readers know where a deflated entry ends; a stored one's end they would have to guess. */
	lib.archive_write_set_format_option(archive, "zip", "compression-level", "1");
	lib.archive_write_set_format_option(archive, "zip", "hdrcharset", "UTF-8");
}

bool archive_pack(int folder_fd, ArchiveForm form, bool gzip, int out_fd, ArchivePlace rename, void *data, GError **error)
{
	if (!archive_load(error))
		return false;
	charset_scope;
	struct archive *archive = lib.archive_write_new();
	Pack pack = {.archive = archive, .entry = lib.archive_entry_new(), .buffer = g_malloc(BLOCK_BYTES), .rename = rename, .data = data};
	if (form == ARCHIVE_ZIP) {
		set_zip(archive);
	} else {
		lib.archive_write_set_format_gnutar(archive);
		if (gzip)
			lib.archive_write_add_filter_gzip(archive);
		else
			lib.archive_write_add_filter_zstd(archive);
		lib.archive_write_set_filter_option(archive, NULL, "compression-level", "1");
	}
	lib.archive_write_set_bytes_in_last_block(archive, 1);
	bool good = lib.archive_write_open_fd(archive, out_fd) == ARCHIVE_OK || pack_failed(&pack, "an archive", error);
	good = good && pack_folder(&pack, folder_fd, "", 0, error);
	good = good && (lib.archive_write_close(archive) == ARCHIVE_OK || pack_failed(&pack, "an archive", error));
	lib.archive_write_free(archive);
	lib.archive_entry_free(pack.entry);
	g_free(pack.buffer);
	return good;
}

struct ArchiveWriter {
	struct archive *archive;
	struct archive_entry *entry;
	char *path; /* of the last one */
};

static bool writer_failed(const ArchiveWriter *writer, GError **error)
{
	const Pack pack = {.archive = writer->archive};
	return pack_failed(&pack, writer->path ? writer->path : "an archive", error);
}

ArchiveWriter *archive_writer_new(int out_fd, GError **error)
{
	if (!archive_load(error))
		return NULL;
	charset_scope; /* the option of the zip remembers the locale's */
	g_autoptr(ArchiveWriter) writer = g_new0(ArchiveWriter, 1);
	writer->archive = lib.archive_write_new();
	writer->entry = lib.archive_entry_new();
	set_zip(writer->archive);
	lib.archive_write_set_bytes_in_last_block(writer->archive, 1);
	if (lib.archive_write_open_fd(writer->archive, out_fd) != ARCHIVE_OK) {
		writer_failed(writer, error);
		return NULL;
	}
	return g_steal_pointer(&writer);
}

bool archive_writer_entry(ArchiveWriter *writer, const ArchiveEntry *entry, GError **error)
{
	charset_scope;
	g_free(writer->path);
	writer->path = g_strdup(entry->path);
	mode_t type = entry->link ? S_IFLNK : entry->is_folder ? S_IFDIR : S_IFREG;
	g_autofree char *with_slash = g_strconcat(entry->path, entry->is_folder ? "/" : "", NULL);
	lib.archive_entry_clear(writer->entry);
	lib.archive_entry_set_pathname(writer->entry, with_slash);
	lib.archive_entry_set_filetype(writer->entry, type);
	lib.archive_entry_set_perm(writer->entry, entry->link ? 0777 : entry->is_folder || entry->is_executable ? 0755 : 0644);
	lib.archive_entry_set_mtime(writer->entry, entry->time_s, 0);
	if (entry->link)
		lib.archive_entry_set_symlink(writer->entry, entry->link);
	else if (!entry->is_folder)
		lib.archive_entry_set_size(writer->entry, entry->bytes);
	return lib.archive_write_header(writer->archive, writer->entry) >= ARCHIVE_WARN || writer_failed(writer, error);
}

bool archive_writer_bytes(ArchiveWriter *writer, const void *bytes, size_t len, GError **error)
{
	return lib.archive_write_data(writer->archive, bytes, len) >= 0 || writer_failed(writer, error);
}

bool archive_writer_end(ArchiveWriter *writer, GError **error)
{
	charset_scope;
	return lib.archive_write_close(writer->archive) == ARCHIVE_OK || writer_failed(writer, error);
}

void archive_writer_free(ArchiveWriter *writer)
{
	if (!writer)
		return;
	lib.archive_write_free(writer->archive);
	lib.archive_entry_free(writer->entry);
	g_free(writer->path);
	g_free(writer);
}
