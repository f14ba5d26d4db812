/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sweep, in this order: mark all that is live; count for each pack what lives in it and in no pack before it; move
 * what is live out of packs that are mostly dead; write the new list of the condemned; remove what was condemned long
 * enough and is dead still. A kill between any two of these leaves a store that is right and merely larger.
 */
#include "agent/objects/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/objects/bytes.h"
#include "agent/objects/chunk.h"
#include "agent/objects/manifest.h"
#include "agent/objects/objects_private.h"
#include "agent/objects/shelf_private.h"

#define LOCK_NAME "sweep.lock"
#define SMALL_BYTES (16U * 1024 * 1024) /* packs below this are joined … */
#define SMALL_PACKS 8                   /* … when there are as many of them */

typedef struct Pack {
	char name[PACK_NAME_BYTES];
	int64_t condemned_us;
	bool young;
	bool read;      /* its footer could be read: else it is left for verify to tell */
	bool rewritten; /* what was live in it is in another pack now */
	uint64_t bytes;       /* of the file */
	uint64_t chunk_bytes; /* of all chunks in it */
	uint64_t live_bytes;  /* of live chunks that no pack before it holds */
} Pack;

typedef struct Sweep {
	Shelf *shelf;
	ShelfReader *reader;
	IndexTable *live; /* entry.kind: DATA or, when its references are followed, NODE; pack: who holds it */
	GArray *packs;
	SweepResult result;
} Sweep;

/* Marks an object. True when it is a node that was not yet followed. */
static bool mark(Sweep *sweep, const uint8_t *id, PackKind kind)
{
	IndexPlace *place = index_table_get(sweep->live, id);
	if (place) {
		bool follow = kind == PACK_NODE && place->entry.kind != PACK_NODE;
		if (follow)
			place->entry.kind = PACK_NODE;
		return follow;
	}
	IndexPlace fresh = {.pack = INDEX_PACK_NONE, .entry = {.raw = 1, .kind = (uint8_t)kind}};
	memcpy(fresh.entry.id, id, HASH_BYTES);
	index_table_put(sweep->live, &fresh);
	return kind == PACK_NODE;
}

static bool is_node(const ManifestEntry *entry)
{
	return entry->type == MANIFEST_SUBFOLDER || entry->type == MANIFEST_INNER ||
	       (entry->type != MANIFEST_CHUNK && entry->bytes > CHUNK_WHOLE_BYTES);
}

/* Marks what is below. An object that is not there, or is no node, ends the way down and not the sweep. */
static bool follow(Sweep *sweep, const uint8_t *id, int depth, GError **error)
{
	if (shelf_is_empty_id(id) || !mark(sweep, id, PACK_NODE))
		return true;
	if (depth > MANIFEST_PATH_BYTES_MAX)
		return fail(error, ASSAY_ERROR_SYSTEM, "a tree is deeper than paths can be: it is damaged");
	size_t len;
	g_autoptr(GError) why = NULL;
	const uint8_t *bytes = shelf_read(sweep->reader, id, &len, &why);
	if (!bytes && why->code != ASSAY_ERROR_ABSENT) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	g_autoptr(ManifestNode) node = bytes ? manifest_parse(bytes, len, NULL) : NULL;
	for (uint32_t i = 0; node && i < node->count; i++) {
		const ManifestEntry *entry = &node->entries[i];
		if (entry->type == MANIFEST_LINK || shelf_is_empty_id(entry->id))
			continue;
		if (!is_node(entry))
			mark(sweep, entry->id, PACK_DATA);
		else if (!follow(sweep, entry->id, depth + 1, error))
			return false;
	}
	return true;
}

static bool keep(const char *digest, void *keeper, GError **error)
{
	uint8_t id[HASH_BYTES];
	return objects_read_digest(digest, id, error) && follow(keeper, id, 0, error);
}

/* Copies what the shelf knows of its packs, those that are not condemned first. */
static void collect(Sweep *sweep, int64_t now_us, int64_t grace_us)
{
	Shelf *shelf = sweep->shelf;
	g_mutex_lock(&shelf->lock);
	for (int pass = 0; pass < 2; pass++) {
		for (guint i = 0; i < shelf->packs->len; i++) {
			const ShelfPack *known = shelf->packs->pdata[i];
			struct stat info;
			if (!known->there || (known->condemned_us != 0) != (pass == 1) ||
			        fstatat(shelf->packs_fd, known->name, &info, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			Pack pack = {.condemned_us = known->condemned_us, .bytes = (uint64_t)info.st_size};
			g_strlcpy(pack.name, known->name, sizeof pack.name);
			pack.young = (int64_t)info.st_mtim.tv_sec * 1000000 + info.st_mtim.tv_nsec / 1000 > now_us - grace_us;
			g_array_append_val(sweep->packs, pack);
		}
	}
	g_mutex_unlock(&shelf->lock);
}

/* Counts what lives in each pack; a live object belongs to the first pack that has it. */
static void count(Sweep *sweep)
{
	for (guint i = 0; i < sweep->packs->len; i++) {
		Pack *pack = &g_array_index(sweep->packs, Pack, i);
		uint64_t bytes;
		autofd int fd = openat(sweep->shelf->packs_fd, pack->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(PackEntry));
		pack->read = fd >= 0 && pack_read_entries(fd, pack->name, entries, &bytes, NULL);
		for (guint j = 0; j < entries->len; j++) {
			const PackEntry *entry = &g_array_index(entries, PackEntry, j);
			IndexPlace *place = index_table_get(sweep->live, entry->id);
			pack->chunk_bytes += entry->stored;
			if (place && place->pack == INDEX_PACK_NONE) {
				place->pack = i;
				pack->live_bytes += entry->stored;
			}
		}
	}
	sweep->result.live = (int64_t)index_table_count(sweep->live);
}

static void count_missing(const IndexPlace *place, void *data)
{
	Sweep *sweep = data;
	IndexPlace found; /* what was written since the packs were counted is not missing */
	sweep->result.missing += place->pack == INDEX_PACK_NONE && !shelf_find(sweep->shelf, place->entry.id, &found);
}

/* Writes what is in the writer as a pack of the store. */
static bool finish(const Sweep *sweep, PackWriter *writer, GError **error)
{
	PackSealed sealed;
	if (pack_writer_entries(writer)->len == 0)
		return true;
	return pack_writer_seal(writer, &sealed, error) && pack_publish(sweep->shelf->packs_fd, &sealed, error);
}

/* Moves the live objects of a pack into the writer's. A damaged one cannot move: then the pack stays. */
static bool move_out(Sweep *sweep, guint number, PackWriter *writer, GError **error)
{
	Pack *pack = &g_array_index(sweep->packs, Pack, number);
	autofd int fd = openat(sweep->shelf->packs_fd, pack->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(PackEntry));
	uint64_t bytes;
	if (fd < 0 || !pack_read_entries(fd, pack->name, entries, &bytes, NULL))
		return true;
	for (guint i = 0; i < entries->len; i++) {
		const PackEntry *entry = &g_array_index(entries, PackEntry, i);
		const IndexPlace *place = index_table_get(sweep->live, entry->id);
		if (!place || place->pack != number)
			continue;
		g_autofree uint8_t *stored = g_malloc(entry->stored);
		g_autofree uint8_t *raw = g_malloc(entry->raw);
		if (!pack_read_at(fd, stored, entry->stored, entry->offset, NULL) || !pack_decode(entry, stored, raw, NULL))
			return true;
		if (!pack_writer_fits(writer, entry->raw) && !finish(sweep, writer, error))
			return false;
		PackEntry moved;
		pack_writer_new_file(writer);
		if (!pack_writer_add(writer, entry->id, (PackKind)entry->kind, raw, entry->raw, &moved, error))
			return false;
	}
	pack->rewritten = true;
	sweep->result.rewritten++;
	return true;
}

static bool is_small(const Pack *pack)
{
	return pack->read && !pack->condemned_us && !pack->young && pack->live_bytes > 0 && pack->bytes < SMALL_BYTES;
}

static bool rewrite(Sweep *sweep, GError **error)
{
	guint small = 0;
	for (guint i = 0; i < sweep->packs->len; i++)
		small += is_small(&g_array_index(sweep->packs, Pack, i));
	PackWriter *writer = pack_writer_new(sweep->shelf->packs_fd);
	bool done = true;
	for (guint i = 0; done && i < sweep->packs->len; i++) {
		const Pack *pack = &g_array_index(sweep->packs, Pack, i);
		bool dying = pack->read && !pack->condemned_us && !pack->young && pack->live_bytes > 0 &&
		             pack->live_bytes < pack->chunk_bytes / 2;
		if (dying || (small >= SMALL_PACKS && is_small(pack)))
			done = move_out(sweep, i, writer, error);
	}
	done = done && finish(sweep, writer, error);
	pack_writer_free(writer);
	if (done && fsync(sweep->shelf->packs_fd) < 0)
		done = fail_errno(error, errno, "cannot sync the packs of the content store");
	return done;
}

/* A pack that a writer found alive while it was condemned is taken off the list; a dead one comes onto it. */
static bool judge(Sweep *sweep, int64_t now_us, int64_t grace_us, GPtrArray *doomed, GError **error)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(Condemned));
	for (guint i = 0; i < sweep->packs->len; i++) {
		Pack *pack = &g_array_index(sweep->packs, Pack, i);
		bool dead = pack->read && (pack->live_bytes == 0 || pack->rewritten);
		if (!dead || (pack->young && !pack->condemned_us))
			continue;
		Condemned line = {.since_us = pack->condemned_us ? pack->condemned_us : now_us};
		g_strlcpy(line.name, pack->name, sizeof line.name);
		g_array_append_val(list, line);
		if (pack->condemned_us && pack->condemned_us <= now_us - grace_us)
			g_ptr_array_add(doomed, pack);
	}
	sweep->result.condemned = (int64_t)(list->len - doomed->len);
	return condemned_write(sweep->shelf->folder_fd, list, error);
}

static bool remove_doomed(Sweep *sweep, const GPtrArray *doomed, GError **error)
{
	for (guint i = 0; i < doomed->len; i++) {
		const Pack *pack = doomed->pdata[i];
		if (unlinkat(sweep->shelf->packs_fd, pack->name, 0) < 0 && errno != ENOENT)
			return fail_errno(error, errno, "cannot remove a pack of the content store");
		sweep->result.removed++;
		sweep->result.removed_bytes += (int64_t)pack->bytes;
	}
	return true;
}

static bool run(Sweep *sweep, int64_t now_us, int64_t grace_us, SweepLive live, void *data, GError **error)
{
	/* The packs first, the live digests after: what is written in between is in neither, and stays. */
	if (!shelf_refresh(sweep->shelf, error))
		return false;
	collect(sweep, now_us, grace_us);
	if (!live(keep, sweep, data, error))
		return false;
	count(sweep);
	if (!shelf_refresh(sweep->shelf, error))
		return false;
	index_table_each(sweep->live, count_missing, sweep);
	g_autoptr(GPtrArray) doomed = g_ptr_array_new();
	if (!rewrite(sweep, error) || !judge(sweep, now_us, grace_us, doomed, error) ||
	        !remove_doomed(sweep, doomed, error) || !shelf_refresh(sweep->shelf, error))
		return false;
	return doomed->len == 0 || shelf_write_index(sweep->shelf, true, error);
}

bool objects_sweep(Objects *objects, int64_t now_us, int64_t grace_us, SweepLive live, void *data, SweepResult *out,
        GError **error)
{
	autofd int lock = openat(objects->shelf->folder_fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (lock < 0)
		return fail_errno(error, errno, "cannot lock the content store for a sweep");
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return fail(error, ASSAY_ERROR_BUSY, "another sweep of the content store is at work; try again later");
	Sweep sweep = {.shelf = objects->shelf, .reader = shelf_reader_new(objects->shelf), .live = index_table_new()};
	sweep.packs = g_array_new(FALSE, TRUE, sizeof(Pack));
	bool done = run(&sweep, now_us, grace_us, live, data, error);
	if (done)
		*out = sweep.result;
	else
		g_prefix_error(error, "cannot sweep the content store: ");
	g_array_unref(sweep.packs);
	index_table_free(sweep.live);
	shelf_reader_free(sweep.reader);
	return done;
}
