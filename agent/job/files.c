/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns and a walk. Matching is by components, with memory of nothing, and bounded by the path's length squared. */
#include "agent/job/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"

/* Reads "[…]" at *pattern; true when it fits the byte. A bracket without an end is itself. */
static bool match_set(const char **pattern, const char *pattern_end, char byte)
{
	const char *at = *pattern + 1;
	bool negated = at < pattern_end && (*at == '!' || *at == '^');
	at += negated;
	const char *close = at < pattern_end ? memchr(at + 1, ']', (size_t)(pattern_end - at - 1)) : NULL;
	if (!close) {
		*pattern += 1;
		return byte == '[';
	}
	bool fits = false;
	for (; at < close; at++) {
		if (at + 2 < close && at[1] == '-') {
			fits |= (guint8)at[0] <= (guint8)byte && (guint8)byte <= (guint8)at[2];
			at += 2;
		} else {
			fits |= *at == byte;
		}
	}
	*pattern = close + 1;
	return fits != negated;
}

/* One component: the classic walk with one point to come back to. */
static bool match_name(const char *pattern, const char *pattern_end, const char *name, const char *name_end)
{
	const char *star = NULL;
	const char *star_name = NULL;
	while (name < name_end) {
		const char *next = pattern;
		bool fits = false;
		if (pattern < pattern_end && *pattern == '*') {
			star = ++pattern;
			star_name = name;
			continue;
		}
		if (pattern < pattern_end) {
			if (*pattern == '[') {
				fits = match_set(&next, pattern_end, *name);
			} else {
				next = pattern + 1;
				if (*pattern == '\\' && next < pattern_end)
					fits = *next++ == *name;
				else
					fits = *pattern == '?' || *pattern == *name;
			}
		}
		if (fits) {
			pattern = next;
			name++;
		} else if (star) {
			pattern = star;
			name = ++star_name;
		} else {
			return false;
		}
	}
	while (pattern < pattern_end && *pattern == '*')
		pattern++;
	return pattern == pattern_end;
}

static const char *component_end(const char *at)
{
	const char *slash = strchr(at, '/');
	return slash ? slash : at + strlen(at);
}

bool files_match(const char *pattern, const char *path)
{
	const char *back_pattern = NULL;
	const char *back_path = NULL;
	for (;;) {
		const char *pattern_end = component_end(pattern);
		if (pattern_end - pattern == 2 && memcmp(pattern, "**", 2) == 0) {
			if (*pattern_end == '\0')
				return true;
			pattern = pattern_end + 1;
			back_pattern = pattern;
			back_path = path;
			continue;
		}
		const char *path_end = component_end(path);
		bool both_end = *pattern_end == '\0' && *path_end == '\0';
		bool both_go_on = *pattern_end == '/' && *path_end == '/';
		if ((both_end || both_go_on) && match_name(pattern, pattern_end, path, path_end)) {
			if (both_end)
				return true;
			pattern = pattern_end + 1;
			path = path_end + 1;
			continue;
		}
		if (!back_pattern)
			return false;
		const char *skipped = component_end(back_path);
		if (*skipped == '\0')
			return false;
		back_path = skipped + 1;
		pattern = back_pattern;
		path = back_path;
	}
}

typedef struct Walk {
	GPtrArray *patterns; /* char *, normal form */
	GArray *leave_out;   /* bool for each */
	FilesRules rules;
	GPtrArray *found;
} Walk;

/* The last pattern that fits decides. */
static bool is_wanted(const Walk *walk, const char *path)
{
	for (guint i = walk->patterns->len; i > 0; i--) {
		const char *pattern = walk->patterns->pdata[i - 1];
		bool fits = pattern[0] == '\0' || files_match(pattern, path);
		size_t len = strlen(pattern);
		if (!fits && walk->rules.folders_whole) {
			g_autofree char *below = g_strconcat(pattern, "/**", NULL);
			fits = len > 0 && files_match(below, path);
		}
		if (fits)
			return !g_array_index(walk->leave_out, bool, i - 1);
	}
	return false;
}

static bool walk_folder(Walk *walk, int folder_fd, const char *prefix, int depth, GError **error)
{
	if (depth > FILES_DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s: folders nested deeper than %d", prefix, FILES_DEPTH_MAX);
	int copy = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	if (!entries) {
		int why = errno;
		if (copy >= 0)
			close(copy);
		return fail_errno(error, why, "cannot read the folder %s", prefix);
	}
	bool good = true;
	for (struct dirent *entry; good && (entry = readdir(entries));) {
		const char *name = entry->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (name[0] == '.' && !walk->rules.hidden))
			continue;
		struct stat info;
		if (fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		g_autofree char *path = prefix[0] ? g_strconcat(prefix, "/", name, NULL) : g_strdup(name);
		if (S_ISDIR(info.st_mode)) {
			autofd int inner = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			good = inner < 0 || walk_folder(walk, inner, path, depth + 1, error);
		} else if ((S_ISREG(info.st_mode) || S_ISLNK(info.st_mode)) && is_wanted(walk, path)) {
			if (walk->found->len >= FILES_FOUND_MAX)
				good = fail(error, ASSAY_ERROR_USER, "the patterns name more than %d files", FILES_FOUND_MAX);
			else
				g_ptr_array_add(walk->found, g_steal_pointer(&path));
		}
	}
	closedir(entries);
	return good;
}

static gint by_bytes(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Without "./", doubled slashes and a slash at the end; false when it leaves the root. */
static bool normalise(const char *pattern, char **out, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(pattern, "/", -1);
	g_autoptr(GString) text = g_string_new(NULL);
	if (pattern[0] == '/')
		return fail(error, ASSAY_ERROR_DENIED, "%s: outside of the workspace", pattern);
	for (char **part = parts; *part; part++) {
		if (!(*part)[0] || strcmp(*part, ".") == 0)
			continue;
		if (strcmp(*part, "..") == 0)
			return fail(error, ASSAY_ERROR_DENIED, "%s: outside of the workspace", pattern);
		g_string_append_printf(text, "%s%s", text->len ? "/" : "", *part);
	}
	*out = g_string_free(g_steal_pointer(&text), FALSE);
	return true;
}

GPtrArray *files_find(int root_fd, const char *const *patterns, size_t count, FilesRules rules, GError **error)
{
	g_autoptr(GPtrArray) normal = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) leave_out = g_array_new(FALSE, FALSE, sizeof(bool));
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
	for (size_t i = 0; i < count; i++) {
		bool out = patterns[i][0] == '!';
		char *text = NULL;
		if (!normalise(patterns[i] + out, &text, error))
			return NULL;
		g_ptr_array_add(normal, text);
		g_array_append_val(leave_out, out);
	}
	Walk walk = {.patterns = normal, .leave_out = leave_out, .rules = rules, .found = found};
	if (!walk_folder(&walk, root_fd, "", 0, error))
		return NULL;
	g_ptr_array_sort(found, by_bytes);
	return g_steal_pointer(&found);
}

char *files_hash(int root_fd, const char *const *patterns, size_t count, GError **error)
{
	g_autoptr(GPtrArray) found = files_find(root_fd, patterns, count, (FilesRules){.hidden = true}, error);
	if (!found)
		return NULL;
	g_autoptr(Hash) all = hash_new();
	g_autofree char *buffer = g_malloc(1 << 16);
	bool any = false;
	for (guint i = 0; i < found->len; i++) {
		autofd int fd = fd_open_beneath(root_fd, found->pdata[i], O_RDONLY | O_NONBLOCK, 0, false, NULL);
		struct stat info;
		if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
			continue; /* a link */
		g_autoptr(Hash) one = hash_new();
		for (ssize_t got; (got = read(fd, buffer, 1 << 16)) != 0;) {
			if (got < 0) {
				fail_errno(error, errno, "cannot read %s", (const char *)found->pdata[i]);
				return NULL;
			}
			hash_update(one, buffer, (size_t)got);
		}
		uint8_t digest[HASH_BYTES];
		hash_final(one, digest);
		hash_update(all, digest, sizeof digest);
		any = true;
	}
	if (!any)
		return g_strdup("");
	uint8_t digest[HASH_BYTES];
	hash_final(all, digest);
	char *hex = g_malloc(HASH_HEX_BYTES);
	hex_write(digest, sizeof digest, hex);
	return hex;
}

char *files_fixed_part(const char *pattern)
{
	size_t len = strcspn(pattern, "*?[");
	if (pattern[len] == '\0')
		return g_strdup(pattern);
	while (len > 0 && pattern[len - 1] != '/')
		len--;
	while (len > 0 && pattern[len - 1] == '/')
		len--;
	return g_strndup(pattern, len);
}
