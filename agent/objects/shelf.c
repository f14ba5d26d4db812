/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state that writers and readers share: which packs there are and which chunk is where, under one lock that is
 * held for a look-up only.
 *
 * A chunk that a writer is about to store is entered at once, with no pack, so that two threads do not store it twice;
 * it gets its place when its pack has its name. So what is in the index and has a pack is always on disk.
 */
#include "agent/objects/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/objects/index.h"
#include "agent/objects/shelf_private.h"

#define INDEX_NAME "index"
#define LOOSE_PACKS_MAX 64     /* packs outside the index file before it is written anew … */
#define LOOSE_CHUNKS_MIN 16384 /* … or as many chunks, when they are a tenth of it */
#define CLOCK_STEP_NS 20000000 /* a folder changed within this time may change again without a new mtime */

static bool open_folders(Shelf *shelf, const char *folder, GError **error)
{
	g_autofree char *packs = g_build_filename(folder, "packs", NULL);
	shelf->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	shelf->packs_fd = open(packs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (shelf->folder_fd >= 0 && shelf->packs_fd >= 0)
		return true;
	if (errno != ENOENT)
		return fail_errno(error, errno, "cannot open the content store %s", folder);
	autofd_close(&shelf->folder_fd);
	if (!fd_make_folder(packs, 0755, error))
		return false;
	shelf->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	shelf->packs_fd = open(packs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (shelf->folder_fd < 0 || shelf->packs_fd < 0)
		return fail_errno(error, errno, "cannot open the content store %s", folder);
	return true;
}

Shelf *shelf_open(const char *folder, GError **error)
{
	g_autoptr(Shelf) shelf = g_new0(Shelf, 1);
	g_mutex_init(&shelf->lock);
	shelf->folder_fd = shelf->packs_fd = -1;
	shelf->packs = g_ptr_array_new_with_free_func(g_free);
	shelf->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	shelf->table = index_table_new();
	if (!open_folders(shelf, folder, error) || !shelf_refresh(shelf, error))
		return NULL;
	return g_steal_pointer(&shelf);
}

void shelf_close(Shelf *shelf)
{
	if (!shelf)
		return;
	autofd_close(&shelf->folder_fd);
	autofd_close(&shelf->packs_fd);
	g_hash_table_unref(shelf->by_name);
	g_ptr_array_unref(shelf->packs);
	index_table_free(shelf->table);
	index_file_free(shelf->file);
	g_free(shelf->file_packs);
	g_mutex_clear(&shelf->lock);
	g_free(shelf);
}

int shelf_folder_fd(const Shelf *shelf)
{
	return shelf->folder_fd;
}

/* The number of a pack by its name; a new number for a new name. */
static uint32_t pack_number(Shelf *shelf, const char *name)
{
	void *found;
	if (g_hash_table_lookup_extended(shelf->by_name, name, NULL, &found))
		return GPOINTER_TO_UINT(found);
	g_assert(shelf->packs->len < INDEX_PACK_NONE);
	ShelfPack *pack = g_new0(ShelfPack, 1);
	g_strlcpy(pack->name, name, sizeof pack->name);
	g_ptr_array_add(shelf->packs, pack);
	g_hash_table_insert(shelf->by_name, pack->name, GUINT_TO_POINTER(shelf->packs->len - 1));
	return shelf->packs->len - 1;
}

static ShelfPack *pack_at(const Shelf *shelf, uint32_t number)
{
	return shelf->packs->pdata[number];
}

/* Enters the chunks of a pack. A damaged one is left out: its chunks are missing, and verify says why. */
static void load_pack(Shelf *shelf, uint32_t number)
{
	ShelfPack *pack = pack_at(shelf, number);
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(PackEntry));
	autofd int fd = openat(shelf->packs_fd, pack->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t bytes;
	pack->loaded = true;
	if (fd < 0 || !pack_read_entries(fd, pack->name, entries, &bytes, NULL))
		return;
	pack->loose = true;
	shelf->loose_packs++;
	for (guint i = 0; i < entries->len; i++) {
		IndexPlace place = {number, g_array_index(entries, PackEntry, i)};
		if (!pack->condemned_us || !index_table_get(shelf->table, place.entry.id))
			index_table_put(shelf->table, &place);
	}
}

/* Maps the index file and says which of the packs on disk it covers. */
static void load_file(Shelf *shelf)
{
	g_clear_pointer(&shelf->file, index_file_free);
	g_clear_pointer(&shelf->file_packs, g_free);
	shelf->file = index_file_open(shelf->folder_fd, INDEX_NAME);
	if (!shelf->file)
		return;
	uint32_t count = index_file_packs(shelf->file);
	shelf->file_packs = g_new(uint32_t, MAX(count, 1));
	for (uint32_t i = 0; i < count; i++) {
		char name[PACK_NAME_BYTES];
		hex_write(index_file_pack(shelf->file, i), HASH_BYTES, name);
		g_strlcat(name, ".pack", sizeof name);
		void *number;
		if (!g_hash_table_lookup_extended(shelf->by_name, name, NULL, &number) ||
		        !pack_at(shelf, GPOINTER_TO_UINT(number))->there) {
			/* A pack is gone, and a chunk of it may be in another pack as well: the footers know. */
			g_clear_pointer(&shelf->file, index_file_free);
			return;
		}
		shelf->file_packs[i] = GPOINTER_TO_UINT(number);
	}
	for (uint32_t i = 0; i < count; i++)
		pack_at(shelf, shelf->file_packs[i])->loaded = pack_at(shelf, shelf->file_packs[i])->filed = true;
}

/* Reads the names in packs/. Out: whether a pack is gone that was there before. */
static bool scan(Shelf *shelf, bool *out_gone, GError **error)
{
	int copy = openat(shelf->packs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
	if (!folder) {
		int why = errno;
		autofd_close(&copy);
		return fail_errno(error, why, "cannot read the packs of the content store");
	}
	for (guint i = 0; i < shelf->packs->len; i++) {
		pack_at(shelf, i)->was = pack_at(shelf, i)->there;
		pack_at(shelf, i)->there = false;
	}
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (pack_is_name(entry->d_name))
			pack_at(shelf, pack_number(shelf, entry->d_name))->there = true;
		shelf->unfinished |= g_str_has_prefix(entry->d_name, PACK_TEMPORARY_PREFIX);
	}
	closedir(folder);
	*out_gone = false;
	for (guint i = 0; i < shelf->packs->len; i++)
		*out_gone |= pack_at(shelf, i)->was && !pack_at(shelf, i)->there;
	return true;
}

static void forget(Shelf *shelf)
{
	g_clear_pointer(&shelf->file, index_file_free);
	g_clear_pointer(&shelf->file_packs, g_free);
	index_table_free(shelf->table);
	shelf->table = index_table_new();
	shelf->loose_packs = 0;
	for (guint i = 0; i < shelf->packs->len; i++)
		pack_at(shelf, i)->loaded = pack_at(shelf, i)->loose = pack_at(shelf, i)->filed = false;
}

/* Under the lock: marks the packs that a sweep means to remove. */
static void load_condemned(Shelf *shelf)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(Condemned));
	shelf->epoch = condemned_read(shelf->folder_fd, list);
	for (guint i = 0; i < shelf->packs->len; i++)
		pack_at(shelf, i)->condemned_us = 0;
	for (guint i = 0; i < list->len; i++) {
		const Condemned *line = &g_array_index(list, Condemned, i);
		void *number;
		if (g_hash_table_lookup_extended(shelf->by_name, line->name, NULL, &number))
			pack_at(shelf, GPOINTER_TO_UINT(number))->condemned_us = line->since_us;
	}
}

/* Under the lock. Numbers stay valid, so readers need not be told; a pack that is gone fails to open. */
static bool refresh(Shelf *shelf, bool all, GError **error)
{
	struct stat info;
	struct timespec now;
	if (fstat(shelf->packs_fd, &info) < 0 || clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
		return fail_errno(error, errno, "cannot read the packs of the content store");
	int64_t changed = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
	int64_t clock = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (!all && shelf->scanned && changed == shelf->changed_ns) {
		load_condemned(shelf);
		return true;
	}
	bool gone;
	if (!scan(shelf, &gone, error))
		return false;
	load_condemned(shelf);
	if (all || gone)
		forget(shelf);
	if (!shelf->file)
		load_file(shelf);
	for (guint i = 0; i < shelf->packs->len; i++)
		if (pack_at(shelf, i)->there && !pack_at(shelf, i)->loaded)
			load_pack(shelf, i);
	shelf->scanned = clock - changed > CLOCK_STEP_NS;
	shelf->changed_ns = changed;
	return true;
}

bool shelf_refresh(Shelf *shelf, GError **error)
{
	g_mutex_lock(&shelf->lock);
	bool done = refresh(shelf, false, error);
	g_mutex_unlock(&shelf->lock);
	return done;
}

void shelf_abandon(Shelf *shelf)
{
	g_mutex_lock(&shelf->lock);
	forget(shelf);
	shelf->scanned = false;
	refresh(shelf, true, NULL);
	g_mutex_unlock(&shelf->lock);
}

/* Under the lock. */
static bool find(Shelf *shelf, const uint8_t *id, IndexPlace *out)
{
	const IndexPlace *fresh = index_table_get(shelf->table, id);
	if (fresh) {
		*out = *fresh;
		return true;
	}
	if (!shelf->file || !index_file_get(shelf->file, id, out))
		return false;
	out->pack = shelf->file_packs[out->pack];
	return true;
}

bool shelf_find(Shelf *shelf, const uint8_t id[HASH_BYTES], IndexPlace *out)
{
	g_mutex_lock(&shelf->lock);
	bool found = find(shelf, id, out);
	g_mutex_unlock(&shelf->lock);
	return found;
}

/* Under the lock: what may be relied on. */
static bool stays(Shelf *shelf, const uint8_t *id)
{
	IndexPlace place;
	return find(shelf, id, &place) &&
	       (place.pack == INDEX_PACK_NONE || !pack_at(shelf, place.pack)->condemned_us);
}

bool shelf_has(Shelf *shelf, const uint8_t id[HASH_BYTES])
{
	g_mutex_lock(&shelf->lock);
	bool has = stays(shelf, id);
	g_mutex_unlock(&shelf->lock);
	return has || shelf_is_empty_id(id);
}

uint64_t shelf_epoch(Shelf *shelf)
{
	g_mutex_lock(&shelf->lock);
	uint64_t epoch = shelf->epoch;
	g_mutex_unlock(&shelf->lock);
	return epoch;
}

bool shelf_size(Shelf *shelf, const uint8_t id[HASH_BYTES], uint32_t *out)
{
	IndexPlace place;
	*out = 0;
	if (shelf_is_empty_id(id))
		return true;
	if (!shelf_find(shelf, id, &place))
		return false;
	*out = place.entry.raw;
	return true;
}

bool shelf_reserve(Shelf *shelf, const uint8_t id[HASH_BYTES])
{
	g_mutex_lock(&shelf->lock);
	bool fresh = !stays(shelf, id);
	if (fresh) {
		IndexPlace place = {.pack = INDEX_PACK_NONE, .entry.raw = 1};
		memcpy(place.entry.id, id, HASH_BYTES);
		index_table_put(shelf->table, &place);
	}
	g_mutex_unlock(&shelf->lock);
	return fresh;
}

void shelf_enter(Shelf *shelf, const char *name, const GArray *entries)
{
	g_mutex_lock(&shelf->lock);
	uint32_t number = pack_number(shelf, name);
	ShelfPack *pack = pack_at(shelf, number);
	pack->there = pack->loaded = true;
	shelf->loose_packs += !pack->loose;
	pack->loose = true;
	for (guint i = 0; i < entries->len; i++) {
		IndexPlace place = {number, g_array_index(entries, PackEntry, i)};
		index_table_put(shelf->table, &place);
	}
	g_mutex_unlock(&shelf->lock);
}

/* Under the lock: the old file and the table become one new file. */
typedef struct Gather {
	GArray *places;
} Gather;

static void gather(const IndexPlace *place, void *data)
{
	Gather *all = data;
	if (place->pack != INDEX_PACK_NONE)
		g_array_append_val(all->places, *place);
}

static bool write_file(Shelf *shelf, GError **error)
{
	g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(IndexPlace));
	index_table_each(shelf->table, gather, &(Gather){places});
	uint64_t old = shelf->file ? index_file_count(shelf->file) : 0;
	for (uint64_t i = 0; i < old; i++) {
		IndexPlace place;
		index_file_at(shelf->file, i, &place);
		if (place.pack >= index_file_packs(shelf->file) || index_table_get(shelf->table, place.entry.id))
			continue;
		place.pack = shelf->file_packs[place.pack];
		g_array_append_val(places, place);
	}
	g_array_sort(places, index_place_compare);
	/* Packs that could not be read are left out, so that they are tried again. */
	g_autoptr(GByteArray) names = g_byte_array_new();
	g_autofree uint32_t *numbers = g_new(uint32_t, shelf->packs->len + 1);
	uint32_t count = 0;
	for (guint i = 0; i < shelf->packs->len; i++) {
		const ShelfPack *pack = pack_at(shelf, i);
		if (!pack->loose && !pack->filed)
			continue;
		uint8_t hash[HASH_BYTES];
		char hex[HASH_HEX_BYTES];
		g_strlcpy(hex, pack->name, sizeof hex);
		g_assert(hex_read(hex, hash, HASH_BYTES));
		g_byte_array_append(names, hash, HASH_BYTES);
		numbers[i] = count++;
	}
	for (guint i = 0; i < places->len; i++)
		g_array_index(places, IndexPlace, i).pack = numbers[g_array_index(places, IndexPlace, i).pack];
	return index_file_write(shelf->folder_fd, INDEX_NAME, names->data, count,
	        (const IndexPlace *)(const void *)places->data, places->len, error);
}

bool shelf_write_index(Shelf *shelf, bool always, GError **error)
{
	g_mutex_lock(&shelf->lock);
	size_t fresh = index_table_count(shelf->table);
	uint64_t old = shelf->file ? index_file_count(shelf->file) : 0;
	bool due = always || shelf->loose_packs > LOOSE_PACKS_MAX ||
	           (fresh > LOOSE_CHUNKS_MIN && fresh > old / 10);
	bool done = true;
	if (due) {
		done = write_file(shelf, error);
		forget(shelf);
		done = refresh(shelf, true, done ? error : NULL) && done;
	}
	g_mutex_unlock(&shelf->lock);
	return done;
}
