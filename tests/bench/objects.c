/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content store against the machine, in one run: first, unchanged and changed snapshot and restore of many small
 * files and of a few large ones, beside a bare walk, a read with SHA-256 by two threads, and `cp -r` of the same bytes.
 *
 *   ninja bench-objects && tests/bench-objects [FOLDER] [FILES] [LARGE_MIB]
 *
 * Wall seconds; a ratio is to the limit named with it. On a busy machine compare ratios only.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/objects/objects.h"

#define FOLDERS 100

static char *root;
static int root_fd;
static uint64_t seed = 88172645463325252U;

static uint64_t next_number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static void write_noise(const char *path, size_t len)
{
	g_autofree uint8_t *bytes = g_malloc(1024 * 1024);
	autofd int fd = openat(root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	g_assert_cmpint(fd, >=, 0);
	while (len > 0) {
		size_t part = MIN(len, (size_t)1024 * 1024);
		for (size_t i = 0; i + 8 <= 1024 * 1024 && i < part; i += 8) {
			uint64_t number = next_number();
			memcpy(bytes + i, &number, 8);
		}
		g_assert_true(fd_write_all(fd, bytes, part, path, NULL));
		len -= part;
	}
}

static void run(const char *command)
{
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)command, NULL};
	int status = -1;
	g_assert_true(g_spawn_sync(root, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
}

static double seconds_since(int64_t start)
{
	return (double)(monotonic_us() - start) / 1e6;
}

/* The limits: a walk alone, and a walk with read and SHA-256; first-level folders dealt to two threads. */
typedef struct Probe {
	const char *tree;
	bool hash;
	gint next;
	char **folders;
} Probe;

static void probe_folder(const Probe *probe, const char *path, uint8_t *buffer)
{
	g_autoptr(Hash) hash = hash_new();
	autofd int fd = openat(root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
	for (struct dirent *entry; (entry = readdir(names));) {
		struct stat info;
		if (entry->d_name[0] == '.' || fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0 ||
		        !S_ISREG(info.st_mode) || !probe->hash)
			continue;
		autofd int file = openat(fd, entry->d_name, O_RDONLY | O_CLOEXEC);
		for (ssize_t got; (got = read(file, buffer, 1024 * 1024)) > 0;)
			hash_update(hash, buffer, (size_t)got);
		uint8_t id[HASH_BYTES];
		hash_final(hash, id);
	}
	closedir(names);
}

static void *probe_thread(void *data)
{
	Probe *probe = data;
	g_autofree uint8_t *buffer = g_malloc(1024 * 1024);
	for (gint at; probe->folders[at = g_atomic_int_add(&probe->next, 1)];)
		probe_folder(probe, probe->folders[at], buffer);
	return NULL;
}

static double probe(const char *tree, bool hash)
{
	int64_t start = monotonic_us();
	g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);
	autofd int fd = openat(root_fd, tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
	for (struct dirent *entry; (entry = readdir(names));)
		if (entry->d_name[0] != '.')
			g_ptr_array_add(folders, g_build_filename(tree, entry->d_name, NULL));
	closedir(names);
	g_ptr_array_add(folders, NULL);
	g_ptr_array_add(folders, NULL); /* the second thread may look one further */
	g_ptr_array_add(folders, NULL);
	Probe all = {tree, hash, 0, (char **)folders->pdata};
	GThread *second = g_thread_new("probe", probe_thread, &all);
	probe_thread(&all);
	g_thread_join(second);
	return seconds_since(start);
}

static double snapshot(Objects *objects, const char *path, ObjectsTree *out)
{
	g_autoptr(GError) error = NULL;
	int64_t start = monotonic_us();
	objects_snapshot(objects, root_fd, path, out, &error);
	g_assert_no_error(error);
	return seconds_since(start);
}

static double restore(Objects *objects, const char *digest, const char *path)
{
	g_autoptr(GError) error = NULL;
	int64_t start = monotonic_us();
	objects_restore(objects, digest, root_fd, path, false, &error);
	g_assert_no_error(error);
	return seconds_since(start);
}

static void tell(const char *what, double seconds, const char *limit, double limit_seconds)
{
	printf("  %-28s %8.3f s   %6.2f x %s\n", what, seconds, seconds / limit_seconds, limit);
}

static void measure(Objects *objects, const char *tree, const char *change, size_t changed_bytes)
{
	ObjectsTree first;
	ObjectsTree again;
	double walk = probe(tree, false);
	walk = MIN(walk, probe(tree, false));
	double hash = probe(tree, true);
	hash = MIN(hash, probe(tree, true));
	g_autofree char *copy = g_strdup_printf("cp -r %s copy && sync -f copy", tree);
	int64_t start = monotonic_us();
	run(copy);
	double cp = seconds_since(start);
	g_usleep(50000);
	double one = snapshot(objects, tree, &first);
	printf("%s: %" G_GINT64_FORMAT " files, %.1f MB; stored %.1f MB\n", tree, first.files, (double)first.bytes / 1e6,
	        (double)first.new_bytes / 1e6);
	printf("  walk %.3f s, walk + read + SHA-256 %.3f s (two threads), cp -r + sync %.3f s\n", walk, hash, cp);
	tell("first snapshot, durable", one, "read + SHA-256", hash);
	tell("", one, "cp -r + sync", cp);
	double same = MIN(snapshot(objects, tree, &again), snapshot(objects, tree, &again));
	g_assert_cmpstr(first.digest, ==, again.digest);
	tell("unchanged snapshot", same, "walk", walk);
	run(change);
	double changed = snapshot(objects, tree, &again);
	tell("changed snapshot", changed, "walk", walk);
	printf("  changed: %.2f MB new for %.2f MB changed\n", (double)again.new_bytes / 1e6, (double)changed_bytes / 1e6);
	tell("restore", restore(objects, first.digest, "back"), "cp -r + sync", cp);
	tell("restore over the same", restore(objects, first.digest, "back"), "read + SHA-256", hash);
	run("rm -rf copy back");
}

int main(int argc, char **argv)
{
	g_autofree char *folder = g_build_filename(argc > 1 ? argv[1] : g_get_tmp_dir(), "assay-bench-XXXXXX", NULL);
	long files = argc > 2 ? strtol(argv[2], NULL, 10) : 20000;
	long large = argc > 3 ? strtol(argv[3], NULL, 10) : 256;
	root = g_mkdtemp(folder);
	g_assert_nonnull(root);
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(mkdirat(root_fd, "small", 0755) | mkdirat(root_fd, "large", 0755), ==, 0);
	for (int i = 0; i < FOLDERS; i++) {
		g_autofree char *path = g_strdup_printf("small/%02d", i);
		g_assert_cmpint(mkdirat(root_fd, path, 0755), ==, 0);
	}
	for (long i = 0; i < files; i++) {
		g_autofree char *path = g_strdup_printf("small/%02ld/%06ld.jpg", i % FOLDERS, i);
		write_noise(path, 1024 + next_number() % (22 * 1024));
	}
	for (int i = 0; i < 4; i++) {
		g_autofree char *path = g_strdup_printf("large/%d", i);
		g_assert_cmpint(mkdirat(root_fd, path, 0755), ==, 0);
		g_autofree char *file = g_strdup_printf("large/%d/data", i);
		write_noise(file, (size_t)large * 1024 * 1024 / 4);
	}
	g_autofree char *store = g_build_filename(root, "store", NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(Objects) objects = objects_open(store, &error);
	g_assert_no_error(error);
	g_usleep(50000);
	measure(objects, "small", "for i in small/00/*000.jpg; do head -c 10000 /dev/urandom > $i; done",
	        (size_t)(files / 1000) * 10000);
	measure(objects, "large", "for i in 0 1; do dd if=/dev/urandom of=large/$i/data bs=4096 count=1 seek=1000 "
	                          "conv=notrunc status=none; done", 8192);
	int64_t start = monotonic_us();
	g_autoptr(json_t) report = NULL;
	g_assert_true(objects_verify(objects, true, &report, NULL));
	printf("full verify of %.1f MB: %.3f s\n", (double)json_integer_value(json_object_get(report, "bytes")) / 1e6,
	        seconds_since(start));
	g_assert_true(fd_remove_tree(root, NULL));
	return 0;
}
