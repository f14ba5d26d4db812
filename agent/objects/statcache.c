/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records sorted by inode, in one file that is mapped. The inode finds the record, so a path is not needed; all of the
 * key must be equal. A file changed within a clock tick before the snapshot began is never noted: it could change
 * again and keep its times (git calls this racy).
 */
#include "agent/objects/statcache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/fd.h"
#include "agent/objects/bytes.h"

#define FOLDER_NAME "stat"
#define HEADER_BYTES 48 /* magic, epoch, SHA-256 of the records */
#define FILES_MIN 64    /* a smaller tree is read in no time … */
#define BYTES_MIN (16 * 1024 * 1024)
#define CACHES_MAX 256 /* roots that are remembered */
#define TICK_NS INT64_C(20000000)

typedef struct Record {
	StatKey key;
	uint8_t id[HASH_BYTES];
} Record;
G_STATIC_ASSERT(sizeof(Record) == 72);

struct StatCache {
	int folder_fd;
	char name[HASH_HEX_BYTES];
	int64_t start_ns;
	uint64_t epoch;     /* of the store, now */
	uint64_t epoch_then; /* and when the records were written */
	uint8_t *mapped;
	size_t mapped_bytes;
	const Record *records;
	size_t count;
	GMutex lock; /* for all below */
	GArray *noted;
	bool changed; /* a file was noted that the cache did not know */
};

static const uint8_t magic[8] = {'A', 'S', 'S', 'A', 'Y', 'S', 'T', 'A'};

StatKey statcache_key(const struct stat *info)
{
	return (StatKey){
	        .device = (uint64_t)info->st_dev,
	        .inode = (uint64_t)info->st_ino,
	        .bytes = (int64_t)info->st_size,
	        .modified_ns = (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec,
	        .changed_ns = (int64_t)info->st_ctim.tv_sec * 1000000000 + info->st_ctim.tv_nsec,
	};
}

/* The records are in this machine's byte order: the cache never leaves it. */
static void load(StatCache *cache)
{
	autofd int fd = openat(cache->folder_fd, cache->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat info;
	if (fd < 0 || fstat(fd, &info) < 0 || info.st_size < HEADER_BYTES ||
	        ((size_t)info.st_size - HEADER_BYTES) % sizeof(Record))
		return;
	size_t len = (size_t)info.st_size;
	uint8_t *mapped = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapped == MAP_FAILED)
		return;
	uint8_t hash[HASH_BYTES];
	hash_bytes(mapped + HEADER_BYTES, len - HEADER_BYTES, hash);
	if (memcmp(mapped, magic, sizeof magic) != 0 || memcmp(mapped + 16, hash, HASH_BYTES) != 0) {
		munmap(mapped, len);
		return;
	}
	cache->mapped = mapped;
	cache->epoch_then = get64(mapped + 8);
	cache->mapped_bytes = len;
	cache->records = (const Record *)(const void *)(mapped + HEADER_BYTES);
	cache->count = (len - HEADER_BYTES) / sizeof(Record);
}

StatCache *statcache_open(int store_fd, int tree_fd, const char *single, uint64_t epoch)
{
	char link[64];
	char path[4096];
	struct timespec now;
	g_snprintf(link, sizeof link, "/proc/self/fd/%d", tree_fd);
	ssize_t len = readlink(link, path, sizeof path);
	if (len <= 0 || (size_t)len == sizeof path || clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
		return NULL;
	mkdirat(store_fd, FOLDER_NAME, 0755);
	int folder_fd = openat(store_fd, FOLDER_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder_fd < 0)
		return NULL;
	StatCache *cache = g_new0(StatCache, 1);
	cache->folder_fd = folder_fd;
	cache->epoch = epoch;
	cache->start_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	cache->noted = g_array_new(FALSE, FALSE, sizeof(Record));
	g_mutex_init(&cache->lock);
	g_autoptr(GString) root = g_string_new_len(path, len);
	g_string_append_c(root, '\0');
	g_string_append(root, single ? single : "");
	g_autofree char *hex = hash_bytes_hex(root->str, root->len);
	g_strlcpy(cache->name, hex, sizeof cache->name);
	load(cache);
	return cache;
}

void statcache_free(StatCache *cache)
{
	if (!cache)
		return;
	if (cache->mapped)
		munmap(cache->mapped, cache->mapped_bytes);
	close(cache->folder_fd);
	g_array_unref(cache->noted);
	g_mutex_clear(&cache->lock);
	g_free(cache);
}

bool statcache_is_current(const StatCache *cache)
{
	return cache->epoch == cache->epoch_then;
}

bool statcache_find(const StatCache *cache, const StatKey *key, uint8_t out_id[HASH_BYTES])
{
	size_t low = 0;
	size_t high = cache->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (cache->records[middle].key.inode < key->inode)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < cache->count && cache->records[low].key.inode == key->inode; low++) {
		if (memcmp(&cache->records[low].key, key, sizeof *key) == 0) {
			memcpy(out_id, cache->records[low].id, HASH_BYTES);
			return true;
		}
	}
	return false;
}

void statcache_note(StatCache *cache, const StatKey *key, const uint8_t id[HASH_BYTES], bool known)
{
	bool old_enough = key->inode && key->changed_ns < cache->start_ns - TICK_NS;
	Record record = {.key = *key};
	memcpy(record.id, id, HASH_BYTES);
	g_mutex_lock(&cache->lock);
	if (old_enough) {
		g_array_append_val(cache->noted, record);
		cache->changed |= !known;
	}
	g_mutex_unlock(&cache->lock);
}

static int compare(const void *a, const void *b)
{
	const Record *left = a;
	const Record *right = b;
	if (left->key.inode != right->key.inode)
		return left->key.inode < right->key.inode ? -1 : 1;
	return (left->key.device > right->key.device) - (left->key.device < right->key.device);
}

/* Roots come and go (each job has its own): the oldest caches make room. */
static void prune(const StatCache *cache)
{
	int copy = openat(cache->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
	if (!folder) {
		autofd_close(&copy);
		return;
	}
	unsigned count = 0;
	int64_t oldest = G_MAXINT64;
	g_autofree char *name = NULL;
	for (struct dirent *entry; (entry = readdir(folder));) {
		struct stat info;
		if (entry->d_name[0] == '.' || fstatat(cache->folder_fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		count++;
		if (info.st_mtim.tv_sec < oldest) {
			oldest = info.st_mtim.tv_sec;
			g_free(name);
			name = g_strdup(entry->d_name);
		}
	}
	closedir(folder);
	if (count > CACHES_MAX && name)
		unlinkat(cache->folder_fd, name, 0);
}

void statcache_save(StatCache *cache, uint64_t files, uint64_t bytes)
{
	if (!cache || (files < FILES_MIN && bytes < BYTES_MIN) ||
	        (!cache->changed && cache->noted->len == cache->count && statcache_is_current(cache)))
		return;
	g_array_sort(cache->noted, compare);
	size_t len = (size_t)cache->noted->len * sizeof(Record);
	uint8_t header[HEADER_BYTES] = {0};
	memcpy(header, magic, sizeof magic);
	put64(header + 8, cache->epoch);
	hash_bytes(cache->noted->data, len, header + 16);
	char temporary[HASH_HEX_BYTES + 8];
	uint8_t noise[3];
	char hex[7];
	random_bytes(noise, sizeof noise);
	hex_write(noise, sizeof noise, hex);
	g_snprintf(temporary, sizeof temporary, "%s.%s", cache->name, hex);
	autofd int fd = openat(cache->folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (!fd_write_all(fd, header, sizeof header, temporary, NULL) ||
	        !fd_write_all(fd, cache->noted->data, len, temporary, NULL) ||
	        renameat(cache->folder_fd, temporary, cache->folder_fd, cache->name) < 0)
		unlinkat(cache->folder_fd, temporary, 0);
	prune(cache);
}
