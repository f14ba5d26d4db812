/* SPDX-License-Identifier: Apache-2.0 */
/* Reading everything back: pack by pack, front to back, a pack a thread. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/objects/bytes.h"
#include "agent/objects/crew.h"
#include "agent/objects/shelf_private.h"

#define BAD_MAX 1000 /* more are counted and not told one by one */

typedef struct Inspection {
	Shelf *shelf;
	bool full;
	GMutex lock;
	json_t *bad;
	int64_t packs;
	int64_t chunks;
	int64_t bytes;
	int64_t bad_count;
} Inspection;

static void note(Inspection *all, const char *pack, const PackEntry *entry, const char *why)
{
	g_mutex_lock(&all->lock);
	all->bad_count++;
	if (json_array_size(all->bad) < BAD_MAX) {
		json_t *one = json_object();
		json_set_string(one, "pack", pack);
		if (entry) {
			char hex[HASH_HEX_BYTES];
			hex_write(entry->id, HASH_BYTES, hex);
			json_set_string(one, "object", hex);
			json_set_int(one, "offset", entry->offset);
		}
		json_set_string(one, "reason", why);
		json_array_append_new(all->bad, one);
	}
	g_mutex_unlock(&all->lock);
}

static void read_chunks(Inspection *all, int fd, const char *pack, const GArray *entries)
{
	g_autofree uint8_t *stored = NULL;
	g_autofree uint8_t *raw = NULL;
	size_t stored_room = 0;
	size_t raw_room = 0;
	for (guint i = 0; i < entries->len; i++) {
		const PackEntry *entry = &g_array_index(entries, PackEntry, i);
		if (stored_room < entry->stored) {
			g_free(stored);
			stored_room = MAX(entry->stored, 512U * 1024);
			stored = g_malloc(stored_room);
		}
		if (raw_room < entry->raw) {
			g_free(raw);
			raw_room = MAX(entry->raw, 512U * 1024);
			raw = g_malloc(raw_room);
		}
		g_autoptr(GError) error = NULL;
		if (!pack_read_at(fd, stored, entry->stored, entry->offset, &error) ||
		        !pack_decode(entry, stored, raw, &error))
			note(all, pack, entry, error->message);
	}
}

static bool inspect(G_GNUC_UNUSED Crew *crew, void *task, G_GNUC_UNUSED unsigned worker, void *data,
        G_GNUC_UNUSED GError **failed)
{
	Inspection *all = data;
	g_autofree char *pack = task;
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(PackEntry));
	autofd int fd = openat(all->shelf->packs_fd, pack, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) /* swept since */
		return true;
	uint64_t bytes = 0;
	if (fd < 0)
		note(all, pack, NULL, g_strerror(errno));
	else if (!pack_read_entries(fd, pack, entries, &bytes, &error))
		note(all, pack, NULL, error->message);
	else if (all->full)
		read_chunks(all, fd, pack, entries);
	g_mutex_lock(&all->lock);
	all->packs++;
	all->chunks += entries->len;
	all->bytes += (int64_t)bytes;
	g_mutex_unlock(&all->lock);
	for (guint i = 0; i < entries->len; i++) {
		const PackEntry *entry = &g_array_index(entries, PackEntry, i);
		IndexPlace place;
		if (!shelf_find(all->shelf, entry->id, &place))
			note(all, pack, entry, "the index does not know the chunk");
	}
	return true;
}

bool shelf_verify(Shelf *shelf, bool full, json_t **out, GError **error)
{
	if (!shelf_refresh(shelf, error))
		return false;
	Inspection all = {.shelf = shelf, .full = full, .bad = json_array()};
	g_mutex_init(&all.lock);
	g_autoptr(Crew) crew = crew_new(inspect, g_free, &all);
	for (guint i = 0; i < shelf->packs->len; i++) {
		const ShelfPack *pack = shelf->packs->pdata[i];
		if (pack->there)
			crew_push(crew, g_strdup(pack->name));
	}
	bool done = crew_run(crew, error);
	g_mutex_clear(&all.lock);
	json_t *report = json_object();
	json_set_int(report, "packs", all.packs);
	json_set_int(report, "chunks", all.chunks);
	json_set_int(report, "bytes", all.bytes);
	json_set(report, "bad", all.bad);
	if (out)
		*out = report;
	else
		json_decref(report);
	if (done && all.bad_count > 0)
		done = fail(error, ASSAY_ERROR_SYSTEM,
		        "the content store: %" G_GINT64_FORMAT
		        " damaged; snapshot their sources again or restore the packs from a backup",
		        all.bad_count);
	return done;
}
