/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects_snapshot(): walks a tree, reads and hashes what the stat cache does not know, stores what is new.
 *
 * The crew's tasks are folders (read the names, stat each) and batches of files (read, cut, hash, store). A folder is
 * done when its batches and its subfolders are; the thread that ends the last of them builds its node and goes up. So
 * the nodes come bottom up, whatever order the threads take, and the root's id depends on the tree alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/objects/bytes.h"
#include "agent/objects/chunk.h"
#include "agent/objects/crew.h"
#include "agent/objects/ingest.h"
#include "agent/objects/objects_private.h"
#include "agent/objects/statcache.h"
#include "agent/objects/tree.h"

#define BATCH_FILES 64
#define BATCH_BYTES (4 * 1024 * 1024)

typedef struct Item {
	const char *name; /* in the folder's texts */
	const char *link;
	uint16_t name_len;
	uint16_t link_len;
	uint8_t type; /* ManifestType; 0 when it vanished while we looked */
	bool known;   /* its id is the cache's */
	uint64_t files;
	uint64_t bytes;
	uint8_t id[HASH_BYTES];
	StatKey key;
} Item;

typedef struct Folder Folder;
struct Folder {
	Folder *parent;
	guint at; /* its item in the parent */
	char *path; /* below the root of the tree; "" for the root */
	GArray *items;
	GStringChunk *texts;
	gint waiting; /* for itself, its batches and its subfolders; atomic */
	GList link;   /* in Snapshot.folders */
};

/* A task: with no items, "walk this folder". */
typedef struct Batch {
	Folder *folder;
	guint first;
	guint count;
} Batch;

typedef struct Seat {
	ShelfWriter *writer;
	TreeBuilder *folders;
	Ingest *ingest;
} Seat;

typedef struct Snapshot {
	Objects *objects;
	int tree_fd; /* the folder that is stored, or that has the file */
	StatCache *cache;
	Seat seats[8];
	GMutex lock; /* for the folders and the result */
	GQueue folders;
	uint8_t root[HASH_BYTES];
	uint64_t files;
	uint64_t bytes;
} Snapshot;

static Folder *folder_new(Snapshot *all, Folder *parent, guint at, char *path)
{
	Folder *folder = g_new0(Folder, 1);
	folder->parent = parent;
	folder->at = at;
	folder->path = path;
	folder->items = g_array_new(FALSE, TRUE, sizeof(Item));
	folder->texts = g_string_chunk_new(4096);
	folder->waiting = 1;
	folder->link.data = folder;
	g_mutex_lock(&all->lock);
	g_queue_push_tail_link(&all->folders, &folder->link);
	g_mutex_unlock(&all->lock);
	return folder;
}

static void folder_free(Folder *folder)
{
	g_free(folder->path);
	g_array_unref(folder->items);
	g_string_chunk_free(folder->texts);
	g_free(folder);
}

static Item *item_at(const Folder *folder, guint i)
{
	return &g_array_index(folder->items, Item, i);
}

static void push(Crew *crew, Folder *folder, guint first, guint count)
{
	Batch *batch = g_new(Batch, 1);
	*batch = (Batch){folder, first, count};
	crew_push(crew, batch);
}

/* Reads and stores one file. */
static bool take(Seat *seat, int folder_fd, Item *item, GError **error)
{
	IngestFile file;
	if (!ingest_file(seat->ingest, folder_fd, item->name, &file, error))
		return false;
	if (file.vanished)
		item->type = 0;
	item->bytes = file.bytes;
	item->key = file.key;
	memcpy(item->id, file.id, HASH_BYTES);
	return true;
}

/*
 * An id from the cache counts only if the store still has the object, and will keep it. What a list names was there
 * when the cache was written; after a sweep it is looked up again.
 */
static bool recall(Snapshot *all, Item *item)
{
	Shelf *shelf = all->objects->shelf;
	if (!all->cache || !statcache_find(all->cache, &item->key, item->id) || !shelf_has(shelf, item->id))
		return false;
	if (item->bytes <= CHUNK_WHOLE_BYTES || statcache_is_current(all->cache))
		return true;
	g_autoptr(ShelfReader) reader = shelf_reader_new(shelf);
	return tree_list_stays(shelf, reader, item->id);
}

/* Looks at one name. Folders and links are settled here; files are read later. */
static bool look(Snapshot *all, Folder *folder, int fd, const char *name, GError **error)
{
	struct stat info;
	if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT) /* it is gone since its name was read */
			return true;
		return fail_errno(error, errno, "cannot look at %s", SHOWN(name));
	}
	Item item = {.name_len = (uint16_t)strlen(name), .files = 1};
	if (S_ISREG(info.st_mode)) {
		item.type = info.st_mode & S_IXUSR ? MANIFEST_EXECUTABLE : MANIFEST_FILE;
		item.bytes = (uint64_t)info.st_size;
		item.key = statcache_key(&info);
	} else if (S_ISDIR(info.st_mode)) {
		item.type = MANIFEST_SUBFOLDER;
	} else if (S_ISLNK(info.st_mode)) {
		char target[MANIFEST_LINK_BYTES_MAX + 2];
		ssize_t len = readlinkat(fd, name, target, sizeof target);
		if (len < 0)
			return errno == ENOENT || fail_errno(error, errno, "cannot read the link %s", SHOWN(name));
		if (len == 0 || len > MANIFEST_LINK_BYTES_MAX)
			return fail(error, ASSAY_ERROR_USER, "%s: the link's target is too long", SHOWN(name));
		item.type = MANIFEST_LINK;
		item.link = g_string_chunk_insert_len(folder->texts, target, len);
		item.link_len = (uint16_t)len;
	} else {
		const char *what = S_ISFIFO(info.st_mode) ? "a named pipe" : S_ISSOCK(info.st_mode) ? "a socket" : "a device";
		return fail(error, ASSAY_ERROR_USER,
		        "%s is %s; only files, folders and links can be stored: remove it or leave it out", SHOWN(name),
		        what);
	}
	item.name = g_string_chunk_insert_len(folder->texts, name, item.name_len);
	item.known = item.type != MANIFEST_SUBFOLDER && item.type != MANIFEST_LINK && recall(all, &item);
	g_array_append_val(folder->items, item);
	return true;
}

static int compare_items(const void *a, const void *b)
{
	const Item *left = a;
	const Item *right = b;
	return manifest_name_compare(left->name, left->name_len, right->name, right->name_len);
}

static bool read_names(Snapshot *all, Folder *folder, int fd, GError **error)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	DIR *names = copy >= 0 ? fdopendir(copy) : NULL;
	if (!names) {
		int why = errno;
		autofd_close(&copy);
		return fail_errno(error, why, "cannot read the folder");
	}
	bool done = true;
	struct dirent *entry;
	while (done && (errno = 0, entry = readdir(names)))
		if (manifest_name_fits(entry->d_name, strlen(entry->d_name)))
			done = look(all, folder, fd, entry->d_name, error);
	if (done && errno)
		done = fail_errno(error, errno, "cannot read the folder");
	closedir(names);
	g_array_sort(folder->items, compare_items);
	return done;
}

/* Builds the node of a folder that waits for nothing more, then those of its parents that now do the same. */
static bool settle(Snapshot *all, Seat *seat, Folder *folder, GError **error)
{
	while (folder && g_atomic_int_dec_and_test(&folder->waiting)) {
		uint8_t id[HASH_BYTES];
		uint64_t files;
		uint64_t bytes;
		for (guint i = 0; i < folder->items->len; i++) {
			const Item *item = item_at(folder, i);
			ManifestEntry entry = {
			        .type = (ManifestType)item->type,
			        .name = item->name,
			        .name_len = item->name_len,
			        .link = item->link,
			        .link_len = item->link_len,
			        .files = item->files,
			        .bytes = item->bytes,
			};
			memcpy(entry.id, item->id, HASH_BYTES);
			if (item->type && !tree_builder_add(seat->folders, &entry, error))
				return false;
			if (all->cache && (item->type == MANIFEST_FILE || item->type == MANIFEST_EXECUTABLE))
				statcache_note(all->cache, &item->key, item->id, item->known);
		}
		if (!tree_builder_end(seat->folders, id, &files, &bytes, error))
			return false;
		Folder *parent = folder->parent;
		g_mutex_lock(&all->lock);
		g_queue_unlink(&all->folders, &folder->link);
		if (!parent) {
			memcpy(all->root, id, HASH_BYTES);
			all->files = files;
			all->bytes = bytes;
		}
		g_mutex_unlock(&all->lock);
		if (parent) {
			Item *item = item_at(parent, folder->at);
			memcpy(item->id, id, HASH_BYTES);
			item->files = files;
			item->bytes = bytes;
		}
		folder_free(folder);
		folder = parent;
	}
	return true;
}

/* Deals the files that must be read into batches; large ones go alone. */
static void deal(Crew *crew, Folder *folder)
{
	guint first = 0;
	guint files = 0;
	uint64_t bytes = 0;
	for (guint i = 0; i <= folder->items->len; i++) {
		bool end = i == folder->items->len;
		if (files > 0 && (end || files == BATCH_FILES || bytes >= BATCH_BYTES)) {
			g_atomic_int_inc(&folder->waiting);
			push(crew, folder, first, i - first);
			first = i;
			files = 0;
			bytes = 0;
		}
		if (!end && !item_at(folder, i)->known &&
		        (item_at(folder, i)->type == MANIFEST_FILE || item_at(folder, i)->type == MANIFEST_EXECUTABLE)) {
			files++;
			bytes += item_at(folder, i)->bytes;
		}
	}
}

static bool walk(Snapshot *all, Crew *crew, Folder *folder, GError **error)
{
	autofd int fd = fd_open_beneath(all->tree_fd, folder->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, false, error);
	if (fd < 0 || !read_names(all, folder, fd, error)) {
		g_prefix_error(error, "%s: ", folder->path[0] ? SHOWN(folder->path) : ".");
		return false;
	}
	for (guint i = folder->items->len; i-- > 0;) { /* the first is to lie on top of the stack */
		const Item *item = item_at(folder, i);
		if (item->type != MANIFEST_SUBFOLDER)
			continue;
		char *path = objects_join(folder->path, item->name);
		if (strlen(path) > MANIFEST_PATH_BYTES_MAX) {
			fail(error, ASSAY_ERROR_USER, "%s…: the path is longer than %d bytes", SHOWN(path),
			        MANIFEST_PATH_BYTES_MAX);
			g_free(path);
			return false;
		}
		g_atomic_int_inc(&folder->waiting);
		push(crew, folder_new(all, folder, i, path), 0, 0);
	}
	deal(crew, folder);
	return true;
}

static bool read_batch(Snapshot *all, Seat *seat, const Batch *batch, GError **error)
{
	Folder *folder = batch->folder;
	autofd int fd = fd_open_beneath(all->tree_fd, folder->path, O_PATH | O_DIRECTORY, 0, false, error);
	if (fd < 0)
		return false;
	for (guint i = batch->first; i < batch->first + batch->count; i++) {
		Item *item = item_at(folder, i);
		if (item->known || (item->type != MANIFEST_FILE && item->type != MANIFEST_EXECUTABLE))
			continue;
		if (!take(seat, fd, item, error)) {
			g_autofree char *path = objects_join(folder->path, item->name);
			g_prefix_error(error, "%s: ", SHOWN(path));
			return false;
		}
	}
	return true;
}

static bool work(Crew *crew, void *task, unsigned worker, void *data, GError **error)
{
	Snapshot *all = data;
	Seat *seat = &all->seats[worker];
	g_autofree Batch *batch = task;
	bool done = batch->count > 0 ? read_batch(all, seat, batch, error) : walk(all, crew, batch->folder, error);
	return done && settle(all, seat, batch->folder, error);
}

/* A root that is no folder: one item, in a node of its own kind. */
static bool store_single(Snapshot *all, int fd, const char *name, GError **error)
{
	Seat *seat = &all->seats[0];
	Folder *folder = folder_new(all, NULL, 0, g_strdup(""));
	if (!look(all, folder, fd, name, error))
		return false;
	if (folder->items->len == 0)
		return fail(error, ASSAY_ERROR_ABSENT, "it is gone");
	Item *item = item_at(folder, 0);
	if (item->type != MANIFEST_LINK && !item->known && !take(seat, fd, item, error))
		return false;
	if (!item->type)
		return fail(error, ASSAY_ERROR_ABSENT, "it is gone");
	ManifestEntry entry = {
	        .type = (ManifestType)item->type,
	        .name = item->name,
	        .name_len = item->name_len,
	        .link = item->link,
	        .link_len = item->link_len,
	        .bytes = item->bytes,
	};
	memcpy(entry.id, item->id, HASH_BYTES);
	if (all->cache && item->type != MANIFEST_LINK)
		statcache_note(all->cache, &item->key, item->id, item->known);
	g_autoptr(GByteArray) node = g_byte_array_new();
	manifest_encode(MANIFEST_ROOT, 0, &entry, 1, node);
	all->files = 1;
	all->bytes = item->bytes;
	return shelf_add(seat->writer, PACK_NODE, node->data, node->len, all->root, error);
}

static bool store(Snapshot *all, int fd, const char *single, GError **error)
{
	if (single)
		return store_single(all, fd, single, error);
	g_autoptr(Crew) crew = crew_new(work, g_free, all);
	push(crew, folder_new(all, NULL, 0, g_strdup("")), 0, 0);
	return crew_run(crew, error);
}

static bool run(Objects *objects, int fd, const char *single, ObjectsTree *out, GError **error)
{
	if (!shelf_refresh(objects->shelf, error))
		return false;
	Snapshot all = {.objects = objects, .tree_fd = fd};
	unsigned seats = crew_size();
	ShelfWriter *writers[G_N_ELEMENTS(all.seats)];
	g_mutex_init(&all.lock);
	g_queue_init(&all.folders);
	all.cache = statcache_open(shelf_folder_fd(objects->shelf), fd, single, shelf_epoch(objects->shelf));
	for (unsigned i = 0; i < seats; i++) {
		writers[i] = all.seats[i].writer = shelf_writer_new(objects->shelf);
		all.seats[i].folders = tree_builder_new(MANIFEST_FOLDER, writers[i]);
		all.seats[i].ingest = ingest_new(writers[i]);
	}
	bool done = store(&all, fd, single, error) && shelf_commit(objects->shelf, writers, seats, error);
	ObjectsTree tree = {.files = (int64_t)all.files, .bytes = (int64_t)all.bytes};
	for (unsigned i = 0; i < seats; i++) {
		tree.new_bytes += shelf_writer_new_bytes(writers[i]);
		tree_builder_free(all.seats[i].folders);
		ingest_free(all.seats[i].ingest);
		shelf_writer_free(writers[i]);
	}
	for (GList *link; (link = g_queue_pop_head_link(&all.folders));)
		folder_free(link->data);
	if (done)
		statcache_save(all.cache, all.files, all.bytes);
	else
		shelf_abandon(objects->shelf);
	statcache_free(all.cache);
	g_mutex_clear(&all.lock);
	hex_write(all.root, HASH_BYTES, tree.digest);
	if (done)
		*out = tree;
	return done;
}

bool objects_snapshot(Objects *objects, int root_fd, const char *path, ObjectsTree *out, GError **error)
{
	/* What the path names: a folder is opened itself, anything else through the folder it is in. */
	g_autofree char *plain = g_strdup(path[0] ? path : ".");
	for (size_t len = strlen(plain); len > 1 && plain[len - 1] == '/'; len--)
		plain[len - 1] = '\0';
	bool done = false;
	autofd int fd = fd_open_beneath(root_fd, plain, O_PATH | O_NOFOLLOW, 0, false, NULL);
	struct stat info;
	if (fd >= 0 && fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
		done = run(objects, fd, NULL, out, error);
	} else {
		g_autofree char *folder = g_path_get_dirname(plain);
		g_autofree char *name = g_path_get_basename(plain);
		autofd int folder_fd = fd_open_beneath(root_fd, folder, O_PATH | O_DIRECTORY, 0, false, error);
		if (folder_fd >= 0 && !manifest_name_fits(name, strlen(name)))
			fail(error, ASSAY_ERROR_DENIED, "the path leaves its folder");
		else if (folder_fd >= 0 && fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			fail_errno(error, errno, "cannot open it");
		else if (folder_fd >= 0)
			done = run(objects, folder_fd, name, out, error);
	}
	if (!done)
		g_prefix_error(error, "cannot snapshot '%s': ", SHOWN(path));
	return done;
}
