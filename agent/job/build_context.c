/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder is a stranger's: every way in it is opened below it, and a link is followed only where a source names it, never
 * out of it. Names are taken in the order of their bytes, so that the digest is the same wherever they lie.
 */
#include "agent/job/build_context.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"

#define IGNORE_BYTES_MAX (256 * 1024)
#define PATTERNS_MAX 1000
#define FILES_MAX 200000
#define MATCHES_MAX 10000
#define DEPTH_MAX 128
#define COPY_BYTES (128 * 1024)

/* ---- patterns ---- */

/* One `[a-z]` at the pattern; false when it is no whole set. */
static bool in_set(const char *pattern, size_t len, char byte, size_t *out_used, bool *out_in)
{
	size_t at = 1;
	bool negated = at < len && pattern[at] == '^';
	at += negated;
	bool found = false;
	for (size_t first = at; at < len && (pattern[at] != ']' || at == first); at++) {
		if (pattern[at] == '\\' && at + 1 < len)
			at++;
		unsigned char low = (unsigned char)pattern[at], high = low;
		if (at + 2 < len && pattern[at + 1] == '-' && pattern[at + 2] != ']') {
			at += 2;
			high = (unsigned char)pattern[at];
		}
		found = found || ((unsigned char)byte >= low && (unsigned char)byte <= high);
	}
	if (at >= len)
		return false;
	*out_used = at + 1;
	*out_in = found != negated;
	return true;
}

/* How much of the pattern stands for this one byte; 0: it does not. */
static size_t one_byte(const char *pattern, size_t len, char byte)
{
	size_t used = 0;
	bool in = false;
	if (pattern[0] == '?')
		return 1;
	if (pattern[0] == '[' && in_set(pattern, len, byte, &used, &in))
		return in ? used : 0;
	if (pattern[0] == '\\' && len > 1)
		return pattern[1] == byte ? 2 : 0;
	return pattern[0] == byte ? 1 : 0;
}

/* One name; neither has a slash. The last star alone is gone back to. */
static bool name_matches(const char *pattern, size_t pattern_len, const char *name, size_t name_len)
{
	size_t p = 0, n = 0, star = SIZE_MAX, from = 0;
	for (;;) {
		if (p < pattern_len && pattern[p] == '*') {
			star = ++p;
			from = n;
			continue;
		}
		if (n == name_len && p == pattern_len)
			return true;
		size_t used = n < name_len && p < pattern_len ? one_byte(pattern + p, pattern_len - p, name[n]) : 0;
		if (used > 0) {
			p += used;
			n++;
		} else if (star != SIZE_MAX && from < name_len) {
			p = star;
			n = ++from;
		} else {
			return false;
		}
	}
}

static size_t part_len(const char *path)
{
	return strcspn(path, "/");
}

static const char *next_part(const char *path)
{
	size_t len = part_len(path);
	return path + len + (path[len] == '/');
}

bool build_pattern_matches(const char *pattern, const char *path)
{
	const char *star = NULL, *from = path;
	for (;;) {
		size_t len = part_len(pattern);
		if (len == 2 && strncmp(pattern, "**", 2) == 0) {
			star = pattern = next_part(pattern);
			from = path;
			if (!*pattern)
				return *path != '\0';
			continue;
		}
		if (!*pattern)
			return true; /* the rest of the path lies below what matches */
		if (*path && name_matches(pattern, len, path, part_len(path))) {
			pattern = next_part(pattern);
			path = next_part(path);
		} else if (star && *from) {
			pattern = star;
			path = from = next_part(from);
		} else {
			return false;
		}
	}
}

/* "/a/./b/" is "a/b", "." is "": the caller's; NULL when it climbs. */
static char *clean(const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	g_autoptr(GString) out = g_string_new(NULL);
	for (char **part = parts; *part; part++) {
		if (!**part || strcmp(*part, ".") == 0)
			continue;
		if (strcmp(*part, "..") == 0)
			return NULL;
		g_string_append_printf(out, "%s%s", out->len ? "/" : "", *part);
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

/* ---- .dockerignore ---- */

static bool read_patterns(BuildContext *context, const char *text, const char *name, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		const char *one = g_strstrip(*line);
		if (!*one || *one == '#')
			continue;
		bool except = *one == '!';
		g_autofree char *path = clean(g_strstrip((char *)(uintptr_t)(one + except)));
		if (!path || !*path)
			continue; /* of what lies outside, or all of it: neither changes anything */
		if (context->ignored->len >= PATTERNS_MAX)
			return fail(error, ASSAY_ERROR_USER, "%s has more than %d patterns", name, PATTERNS_MAX);
		g_ptr_array_add(context->ignored, g_strconcat(except ? "!" : "", path, NULL));
		context->has_exceptions = context->has_exceptions || except;
	}
	return true;
}

bool build_context_open(BuildContext *context, const char *dockerfile, GError **error)
{
	g_autofree char *own = g_strconcat(dockerfile, ".dockerignore", NULL);
	const char *const names[] = {own, ".dockerignore"};
	context->ignored = g_ptr_array_new_with_free_func(g_free);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(GError) why = NULL;
		g_autoptr(GBytes) bytes = tree_read_file(context->folder_fd, names[i], IGNORE_BYTES_MAX, &why);
		if (!bytes && g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_ABSENT))
			continue;
		if (!bytes)
			return fail(error, (AssayError)why->code, "%s cannot be read: %s", names[i], why->message);
		gsize len = 0;
		const char *text = g_bytes_get_data(bytes, &len);
		g_autofree char *copy = g_strndup(text ? text : "", len);
		return read_patterns(context, copy, names[i], error);
	}
	return true;
}

void build_context_clear(BuildContext *context)
{
	g_clear_pointer(&context->ignored, g_ptr_array_unref);
}

/* The last pattern that matches decides. */
static bool is_ignored(const BuildContext *context, const char *path)
{
	for (guint i = context->ignored->len; i > 0; i--) {
		const char *pattern = context->ignored->pdata[i - 1];
		bool except = pattern[0] == '!';
		if (build_pattern_matches(pattern + except, path))
			return !except;
	}
	return false;
}

/* ---- copying ---- */

typedef struct Take {
	BuildContext *context;
	Hash *hash;
	int stage_fd;
	int *count;
	int matches;
} Take;

static void hash_entry(Hash *hash, char kind, const char *path, mode_t mode, const char *more)
{
	g_autofree char *text = g_strdup_printf("%c %o %zu ", kind, (unsigned)mode, strlen(path));
	hash_update(hash, text, strlen(text));
	hash_update(hash, path, strlen(path) + 1);
	hash_update(hash, more, strlen(more) + 1);
}

static bool count_file(BuildContext *context, const char *path, GError **error)
{
	if (++context->files > FILES_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s: more than %d files are copied; leave some out by .dockerignore", path, FILES_MAX);
	if (context->stopped && context->stopped(context->data))
		return fail(error, ASSAY_ERROR_BUSY, "it was stopped");
	return true;
}

static bool copy_file(Take *take, int from, const char *path, int to, const char *name, GError **error)
{
	BuildContext *context = take->context;
	struct stat info;
	if (!count_file(context, path, error))
		return false;
	if (fstat(from, &info) < 0 || !S_ISREG(info.st_mode))
		return fail(error, ASSAY_ERROR_USER, "%s: not a regular file", path);
	mode_t mode = (info.st_mode & 0777) | 0600;
	autofd int out = tree_create_file(to, name, mode, context->owner, error);
	if (out < 0)
		return false;
	hash_entry(take->hash, 'f', path, mode, "");
	g_autofree char *buffer = g_malloc(COPY_BYTES);
	int64_t size = 0;
	for (ssize_t len; (len = read(from, buffer, COPY_BYTES)) != 0;) {
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return fail_errno(error, errno, "cannot read %s", path);
		size += len;
		context->bytes += len;
		if (context->bytes_max > 0 && context->bytes > context->bytes_max)
			return fail(error, ASSAY_ERROR_USER, "%s: more than %" G_GINT64_FORMAT " bytes are copied; leave some out by .dockerignore", path,
			        context->bytes_max);
		hash_update(take->hash, buffer, (size_t)len);
		if (!fd_write_all(out, buffer, (size_t)len, path, error))
			return false;
	}
	hash_update(take->hash, &size, sizeof size);
	const struct timespec times[2] = {info.st_mtim, info.st_mtim};
	futimens(out, times);
	return true;
}

static int by_bytes(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a folder, in order; NULL with error. */
static GPtrArray *names_in(int folder_fd, const char *path, GError **error)
{
	int copy = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	if (!entries) {
		fail_errno(error, errno, "cannot read the folder %s", path);
		autofd_close(&copy);
		return NULL;
	}
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	for (struct dirent *entry; (entry = readdir(entries)) && names->len <= FILES_MAX;)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			g_ptr_array_add(names, g_strdup(entry->d_name));
	closedir(entries);
	g_ptr_array_sort(names, by_bytes);
	return names;
}

static bool copy_folder(Take *take, int from, const char *path, int to, int depth, GError **error);

static bool copy_entry(Take *take, int from, const char *name, const char *path, int to, int depth, GError **error)
{
	struct stat info;
	bool ignored = is_ignored(take->context, path);
	if (fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || fail_errno(error, errno, "cannot look at %s", path);
	if (ignored && (!S_ISDIR(info.st_mode) || !take->context->has_exceptions))
		return true;
	if (S_ISLNK(info.st_mode)) {
		char target[4096];
		ssize_t len = readlinkat(from, name, target, sizeof target - 1);
		if (len < 0)
			return fail_errno(error, errno, "cannot read the link %s", path);
		target[len] = '\0';
		hash_entry(take->hash, 'l', path, 0, target);
		return count_file(take->context, path, error) &&
		       (symlinkat(target, to, name) == 0 || fail_errno(error, errno, "cannot make the link %s", path));
	}
	if (S_ISREG(info.st_mode)) {
		autofd int file = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		return file >= 0 ? copy_file(take, file, path, to, name, error) : fail_errno(error, errno, "cannot open %s", path);
	}
	if (!S_ISDIR(info.st_mode))
		return true; /* sockets and the like are nothing to copy */
	if (depth >= DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s: folders nested deeper than %d", path, DEPTH_MAX);
	autofd int inner = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (inner < 0)
		return fail_errno(error, errno, "cannot open the folder %s", path);
	autofd int made = tree_make_folder(to, name, take->context->owner, error);
	if (made < 0 || !copy_folder(take, inner, path, made, depth + 1, error))
		return false;
	mode_t mode = (info.st_mode & 0777) | 0700;
	if (ignored && unlinkat(to, name, AT_REMOVEDIR) == 0)
		return true; /* it holds no exception */
	hash_entry(take->hash, 'd', path, mode, "");
	return count_file(take->context, path, error) &&
	       (fchmod(made, mode) == 0 || fail_errno(error, errno, "cannot copy the folder %s", path));
}

static bool copy_folder(Take *take, int from, const char *path, int to, int depth, GError **error)
{
	g_autoptr(GPtrArray) names = names_in(from, path[0] ? path : ".", error);
	for (guint i = 0; names && i < names->len; i++) {
		g_autofree char *inner = path[0] ? g_strconcat(path, "/", names->pdata[i], NULL) : g_strdup(names->pdata[i]);
		if (!copy_entry(take, from, names->pdata[i], inner, to, depth, error))
			return false;
	}
	return names != NULL;
}

/* ---- sources ---- */

/* What a source names, by its path below the folder. */
static bool take_path(Take *take, const char *path, GError **error)
{
	struct stat info;
	autofd int fd = fd_open_beneath(take->context->folder_fd, path[0] ? path : ".", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, true, error);
	if (fd < 0)
		return false;
	if (fstat(fd, &info) < 0)
		return fail_errno(error, errno, "cannot look at %s", path);
	bool folder = S_ISDIR(info.st_mode);
	if (!folder && !S_ISREG(info.st_mode))
		return fail(error, ASSAY_ERROR_USER, "%s: neither a file nor a folder", path);
	g_autofree char *name = g_strdup_printf("%d.%s", (*take->count)++, folder ? "folder" : "file");
	autofd int to = tree_make_folder(take->stage_fd, name, take->context->owner, error);
	if (to < 0)
		return false;
	take->matches++;
	hash_entry(take->hash, folder ? 'D' : 'F', path, 0, "");
	g_autofree char *base = g_path_get_basename(path[0] ? path : ".");
	return folder ? copy_folder(take, fd, path, to, 0, error) : copy_file(take, fd, path, to, base, error);
}

/* The paths that the parts of a pattern match, from a folder on. */
static bool take_matching(Take *take, const char *pattern, const char *path, int depth, GError **error)
{
	if (!*pattern) {
		if (take->matches >= MATCHES_MAX)
			return fail(error, ASSAY_ERROR_USER, "more than %d files match", MATCHES_MAX);
		return is_ignored(take->context, path) || take_path(take, path, error);
	}
	size_t len = part_len(pattern);
	g_autofree char *part = g_strndup(pattern, len);
	const char *rest = next_part(pattern);
	if (depth > DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "a source has more than %d parts", DEPTH_MAX);
	if (!strpbrk(part, "*?[\\")) {
		g_autofree char *inner = path[0] ? g_strconcat(path, "/", part, NULL) : g_strdup(part);
		return take_matching(take, rest, inner, depth + 1, error);
	}
	g_autoptr(GError) why = NULL;
	autofd int fd = fd_open_beneath(take->context->folder_fd, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0, true, &why);
	g_autoptr(GPtrArray) names = fd < 0 ? NULL : names_in(fd, path, &why);
	for (guint i = 0; names && i < names->len; i++) {
		const char *name = names->pdata[i];
		g_autofree char *inner = path[0] ? g_strconcat(path, "/", name, NULL) : g_strdup(name);
		struct stat info;
		if (!name_matches(part, len, name, strlen(name)) || (*rest && (fstatat(fd, name, &info, 0) < 0 || !S_ISDIR(info.st_mode))))
			continue;
		if (!take_matching(take, rest, inner, depth + 1, error))
			return false;
	}
	return true; /* a folder that is not there matches nothing */
}

bool build_context_take(BuildContext *context, const char *source, int stage_fd, int *count, Hash *hash, GError **error)
{
	g_autofree char *path = clean(source);
	if (!path)
		return fail(error, ASSAY_ERROR_USER, "'%s' leads out of the Dockerfile's folder", source);
	Take take = {.context = context, .hash = hash, .stage_fd = stage_fd, .count = count};
	g_autoptr(GError) why = NULL;
	if (!take_matching(&take, path, "", 0, &why)) {
		if (why->code == ASSAY_ERROR_ABSENT)
			return fail(error, ASSAY_ERROR_USER, "'%s' is not there, below the Dockerfile's folder", source);
		if (why->code == ASSAY_ERROR_DENIED)
			return fail(error, ASSAY_ERROR_USER, "'%s' cannot be read below the Dockerfile's folder: %s", source, why->message);
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	return take.matches > 0 ||
	       fail(error, ASSAY_ERROR_USER, "'%s' is not there, below the Dockerfile's folder, or .dockerignore leaves it out", source);
}
