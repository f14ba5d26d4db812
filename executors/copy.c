/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COPY of a Dockerfile, carried out within a place whose root is the image: what a path means there, links included, the
 * kernel says, and nothing outside can be meant. Static and without libc, as init is, since an image need not have one.
 *
 *   copy put DEST /|- MODE|- OWNER|-  what lies in FROM goes to DEST, which is a folder (/) or may be a file's name
 *   copy take SOURCE…                 files of this image go to FROM
 *
 * FROM holds 0, 1, 2 …: `N.file/NAME` is a file, `N.folder/…` what is in a folder.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "executors/init_sys.h"

#define FROM "/run/assay/from"
#define PATH_BYTES 4096
#define DEPTH_MAX 256
#define ENTRIES_BYTES 4096
#define TAKEN_MAX 100000

typedef long (*Each)(int folder, const char *name, void *data);

static char buffer[256 * 1024];
static long chosen_mode = -1;
static long chosen_uid = -1, chosen_gid = -1;
static long root_device;

void copy_main(long *stack);
void *memset(void *at, int byte, size_t len);
void *memcpy(void *restrict to, const void *restrict from, size_t len);

#if defined(__x86_64__)
__asm__(".text\n.globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall copy_main\n\thlt\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl _start\n_start:\n\tmov x29, xzr\n\tmov x0, sp\n\tbl copy_main\n\tbrk #0\n");
#endif

void *memset(void *at, int byte, size_t len)
{
	for (volatile char *each = at; len > 0; len--)
		*each++ = (char)byte;
	return at;
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	volatile char *target = to;
	for (const char *each = from; len > 0; len--)
		*target++ = *each++;
	return to;
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void say(const char *text)
{
	SYS(__NR_write, 2, text, text_len(text));
}

/* What cannot be done ends it: the image would not be what its Dockerfile says. */
static void stop(const char *what, const char *name, long got) __attribute__((noreturn));
static void stop(const char *what, const char *name, long got)
{
	static const struct {
		int number;
		const char *text;
	} known[] = {{ENOENT, "no such file or folder"}, {ENOTDIR, "not a folder"}, {EISDIR, "it is a folder"}, {EEXIST, "something else is there"},
	        {ENOSPC, "the disk is full"}, {EDQUOT, "the disk is full"}, {EACCES, "not allowed"}, {EPERM, "not allowed"},
	        {ELOOP, "too many links"}, {ENAMETOOLONG, "the name is too long"}, {EFBIG, "the file is too large"}, {EROFS, "it cannot be written there"}};
	char number[24];
	say(what);
	say(" '");
	say(name);
	say("': ");
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].number == -got) {
			say(known[i].text);
			number[0] = '\0';
			goto end;
		}
	text_number(number, (uint64_t)-got);
	say("error ");
	say(number);
end:
	say("\n");
	SYS(__NR_exit_group, 1);
	__builtin_unreachable();
}

static long look(int at, const char *name, struct stat *out, int flags)
{
	return SYS(__NR_newfstatat, at, name, out, flags);
}

/* Calls for each entry of a folder; what is added meanwhile may or may not be among them. */
static void each_entry(int folder, const char *shown, Each each, void *data)
{
	char entries[ENTRIES_BYTES] __attribute__((aligned(8)));
	for (;;) {
		long len = SYS(__NR_getdents64, folder, entries, sizeof entries);
		if (len < 0)
			stop("cannot read the folder", shown, len);
		if (len == 0)
			return;
		for (long at = 0; at < len;) {
			const char *entry = entries + at; /* struct linux_dirent64: ino, off, reclen, type, name */
			at += *(const unsigned short *)(entry + 16);
			const char *name = entry + 19;
			if (!same(name, ".") && !same(name, ".."))
				each(folder, name, data);
		}
	}
}

static int open_folder(int at, const char *name, int more)
{
	long fd = SYS(__NR_openat, at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | more);
	if (fd < 0)
		stop("cannot open the folder", name, fd);
	return (int)fd;
}

/* An image of one user answers that it is done. */
static void give(int at, const char *name)
{
	long got = chosen_uid < 0 ? 0 : SYS(__NR_fchownat, at, name, chosen_uid, chosen_gid, AT_SYMLINK_NOFOLLOW);
	if (got < 0)
		stop("cannot give away", name, got);
}

/* Makes a folder and what is above it, by whatever links lead there. */
static void make_folders(const char *path)
{
	char part[PATH_BYTES];
	size_t len = text_len(path);
	if (len >= sizeof part)
		stop("cannot make", "a folder", -ENAMETOOLONG);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		struct stat info;
		long got = SYS(__NR_mkdirat, AT_FDCWD, part, 0755);
		if (got == 0)
			give(AT_FDCWD, part);
		if (got == -EEXIST)
			got = look(AT_FDCWD, part, &info, 0) == 0 && S_ISDIR(info.st_mode) ? 0 : -ENOTDIR;
		if (got < 0)
			stop("cannot make the folder", part, got);
	}
}

static void put_time(int at, const char *name, const struct stat *info)
{
	const struct timespec times[2] = {info->st_mtim, info->st_mtim};
	SYS(__NR_utimensat, at, name, times, AT_SYMLINK_NOFOLLOW);
}

static void clear_way(int to, const char *name)
{
	long got = SYS(__NR_unlinkat, to, name, 0);
	if (got < 0 && got != -ENOENT)
		stop("cannot replace", name, got);
}

static void copy_file(int from, const char *name, int to, const char *as, const struct stat *info, int more)
{
	long in = SYS(__NR_openat, from, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | more);
	if (in < 0)
		stop("cannot read", name, in);
	clear_way(to, as);
	long out = SYS(__NR_openat, to, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		stop("cannot make the file", as, out);
	for (;;) {
		long len = SYS(__NR_read, in, buffer, sizeof buffer);
		if (len < 0)
			stop("cannot read", name, len);
		if (len == 0)
			break;
		for (long at = 0; at < len;) {
			long wrote = SYS(__NR_write, out, buffer + at, len - at);
			if (wrote <= 0)
				stop("cannot write", as, wrote);
			at += wrote;
		}
	}
	give(to, as);
	SYS(__NR_fchmod, out, chosen_mode >= 0 ? (unsigned)chosen_mode : info->st_mode & 0777);
	SYS(__NR_close, in);
	SYS(__NR_close, out);
	put_time(to, as, info);
}

static void copy_link(int from, const char *name, int to, const struct stat *info)
{
	char target[PATH_BYTES];
	long len = SYS(__NR_readlinkat, from, name, target, sizeof target - 1);
	if (len < 0)
		stop("cannot read the link", name, len);
	target[len] = '\0';
	clear_way(to, name);
	long got = SYS(__NR_symlinkat, target, to, name);
	if (got < 0)
		stop("cannot make the link", name, got);
	give(to, name);
	put_time(to, name, info);
}

typedef struct Copy {
	int to;
	int depth;
} Copy;

static long copy_entry(int from, const char *name, void *data)
{
	const Copy *copy = data;
	struct stat info, there;
	long got = look(from, name, &info, AT_SYMLINK_NOFOLLOW);
	if (got < 0)
		stop("cannot look at", name, got);
	if (S_ISREG(info.st_mode)) {
		copy_file(from, name, copy->to, name, &info, O_NOFOLLOW);
	} else if (S_ISLNK(info.st_mode)) {
		copy_link(from, name, copy->to, &info);
	} else if (S_ISDIR(info.st_mode)) {
		if (root_device && (long)info.st_dev != root_device)
			return 0; /* something else is mounted there */
		if (copy->depth >= DEPTH_MAX)
			stop("folders are nested too deep at", name, -ELOOP);
		got = SYS(__NR_mkdirat, copy->to, name, 0755);
		if (got < 0 && (got != -EEXIST || look(copy->to, name, &there, 0) < 0 || !S_ISDIR(there.st_mode)))
			stop("cannot make the folder", name, got);
		if (got == 0)
			give(copy->to, name);
		Copy inner = {.to = open_folder(copy->to, name, 0), .depth = copy->depth + 1};
		int folder = open_folder(from, name, O_NOFOLLOW);
		each_entry(folder, name, copy_entry, &inner);
		if (got == 0 || chosen_mode >= 0)
			SYS(__NR_fchmod, inner.to, chosen_mode >= 0 ? (unsigned)chosen_mode : (info.st_mode & 01777) | 0700);
		SYS(__NR_close, folder);
		SYS(__NR_close, inner.to);
	}
	return 0;
}

/* ---- who ---- */

static bool read_number(const char *text, size_t len, long *out)
{
	long number = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || number > 429496729)
			return false;
		number = number * 10 + text[i] - '0';
	}
	*out = number;
	return len > 0;
}

/* A number, or the third field of the line of that name. */
static long find_id(const char *name, size_t len, const char *file)
{
	long id;
	if (read_number(name, len, &id))
		return id;
	long fd = SYS(__NR_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	long size = 0;
	for (long got; fd >= 0 && (got = SYS(__NR_read, fd, buffer + size, (long)sizeof buffer - size)) > 0;)
		size += got;
	if (fd >= 0)
		SYS(__NR_close, fd);
	for (long at = 0; at < size; at++) {
		bool good = at + (long)len < size && buffer[at + (long)len] == ':';
		for (size_t i = 0; good && i < len; i++)
			good = buffer[at + (long)i] == name[i];
		long field = at + (long)len + 1;
		while (good && field < size && buffer[field] != ':' && buffer[field] != '\n')
			field++;
		long end = ++field;
		while (good && end < size && buffer[end] != ':' && buffer[end] != '\n')
			end++;
		if (good && end <= size && read_number(buffer + field, (size_t)(end - field), &id))
			return id;
		while (at < size && buffer[at] != '\n')
			at++;
	}
	stop("the image has nobody called", name, -ENOENT);
}

/* "user", "user:group": a user alone is a group of the same number, as Docker has it. */
static void choose_owner(const char *owner)
{
	size_t len = 0;
	while (owner[len] && owner[len] != ':')
		len++;
	chosen_uid = len > 0 ? find_id(owner, len, "/etc/passwd") : 0;
	const char *group = owner + len + (owner[len] == ':');
	chosen_gid = *group ? find_id(group, text_len(group), "/etc/group") : chosen_uid;
}

/* ---- put ---- */

typedef struct Put {
	const char *dest;
	bool folder;
} Put;

static long put_file(int from, const char *name, void *data)
{
	const Put *put = data;
	struct stat info, there;
	char parent[PATH_BYTES];
	long got = look(from, name, &info, AT_SYMLINK_NOFOLLOW);
	if (got < 0)
		stop("cannot look at", name, got);
	if (!put->folder && (look(AT_FDCWD, put->dest, &there, 0) < 0 || !S_ISDIR(there.st_mode))) {
		size_t slash = text_len(put->dest);
		while (slash > 0 && put->dest[slash - 1] != '/')
			slash--;
		if (slash >= sizeof parent)
			stop("cannot make", name, -ENAMETOOLONG);
		memcpy(parent, put->dest, slash);
		parent[slash > 1 ? slash - 1 : slash] = '\0';
		if (slash > 1)
			make_folders(parent);
		copy_file(from, name, AT_FDCWD, put->dest, &info, O_NOFOLLOW);
		return 0;
	}
	if (put->dest[1])
		make_folders(put->dest);
	int to = open_folder(AT_FDCWD, put->dest, 0);
	copy_file(from, name, to, name, &info, O_NOFOLLOW);
	SYS(__NR_close, to);
	return 0;
}

static void name_of(char *at, const char *more, uint64_t number, const char *kind)
{
	text_copy(text_copy(text_number(text_copy(at, more), number), "."), kind);
}

static void put_all(Put *put)
{
	int from = open_folder(AT_FDCWD, FROM, 0);
	for (uint64_t i = 0;; i++) {
		char name[64];
		struct stat info;
		name_of(name, "", i, "file");
		if (look(from, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
			int folder = open_folder(from, name, O_NOFOLLOW);
			each_entry(folder, name, put_file, put);
			SYS(__NR_close, folder);
			continue;
		}
		name_of(name, "", i, "folder");
		if (look(from, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			return;
		if (put->dest[1])
			make_folders(put->dest);
		Copy copy = {.to = open_folder(AT_FDCWD, put->dest, 0)};
		int folder = open_folder(from, name, O_NOFOLLOW);
		each_entry(folder, name, copy_entry, &copy);
		SYS(__NR_close, folder);
		SYS(__NR_close, copy.to);
	}
}

/* ---- take ---- */

static uint64_t taken;

/* `*` and `?` alone; in time that grows with pattern × name. */
static bool matches(const char *pattern, const char *name)
{
	const char *star = NULL, *from = NULL;
	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			from = name;
		} else if (*name && (*pattern == *name || *pattern == '?')) {
			pattern++;
			name++;
		} else if (!*name && !*pattern) {
			return true;
		} else if (star && *from) {
			pattern = star;
			name = ++from;
		} else {
			return false;
		}
	}
}

static void take_one(int at, const char *path, const char *name)
{
	char made[128];
	struct stat info;
	long got = look(at, path, &info, 0);
	if (got < 0)
		stop("cannot take", path, got);
	if (taken >= TAKEN_MAX)
		stop("too many files match at", path, -E2BIG);
	bool folder = S_ISDIR(info.st_mode);
	if (!folder && !S_ISREG(info.st_mode))
		stop("cannot take", path, -EINVAL);
	name_of(made, FROM "/", taken++, folder ? "folder" : "file");
	got = SYS(__NR_mkdirat, AT_FDCWD, made, 0755);
	if (got < 0)
		stop("cannot make", made, got);
	int to = open_folder(AT_FDCWD, made, 0);
	if (folder) {
		Copy copy = {.to = to};
		int from = open_folder(at, path, 0);
		root_device = (long)info.st_dev;
		each_entry(from, path, copy_entry, &copy);
		SYS(__NR_close, from);
	} else {
		copy_file(at, path, to, name, &info, 0);
	}
	SYS(__NR_close, to);
}

static long take_matching(int folder, const char *name, void *data)
{
	if (matches(data, name))
		take_one(folder, name, name);
	return 0;
}

static void take(char *source)
{
	size_t slash = text_len(source);
	while (slash > 0 && source[slash - 1] != '/')
		slash--;
	char *name = source + slash;
	bool wild = false;
	for (const char *at = name; *at; at++)
		wild = wild || *at == '*' || *at == '?';
	if (!wild) {
		take_one(AT_FDCWD, source, name);
		return;
	}
	source[slash - 1] = '\0';
	int folder = open_folder(AT_FDCWD, source[0] ? source : "/", 0);
	uint64_t before = taken;
	each_entry(folder, source, take_matching, name);
	if (taken == before)
		stop("nothing matches", name, -ENOENT);
}

/* The kernel's stack: the count of arguments, and they. */
void copy_main(long *stack)
{
	long count = stack[0];
	char **arguments = (char **)(stack + 1);
	if (count == 6 && same(arguments[1], "put")) {
		const char *mode = arguments[4];
		if (mode[0] != '-')
			for (chosen_mode = 0; *mode >= '0' && *mode <= '7'; mode++)
				chosen_mode = (chosen_mode * 8 + *mode - '0') & 0777;
		if (!same(arguments[5], "-"))
			choose_owner(arguments[5]);
		Put put = {.dest = arguments[2], .folder = arguments[3][0] == '/'};
		put_all(&put);
		SYS(__NR_exit_group, 0);
	}
	if (count > 2 && same(arguments[1], "take")) {
		for (long i = 2; i < count; i++)
			take(arguments[i]);
		SYS(__NR_exit_group, 0);
	}
	stop("cannot understand", count > 1 ? arguments[1] : "", -EINVAL);
}
