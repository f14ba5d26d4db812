/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing chunks. A full pack is synced and named by a helper thread while the writer goes on; what is left is synced
 * by the commit, and then the folder, once. A pack that has its name is whole, so there is nothing to repair.
 */
#include <errno.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/objects/shelf_private.h"

struct ShelfWriter {
	Shelf *shelf;
	PackWriter *pack;
	GThreadPool *helper; /* made with the first full pack */
	GMutex lock;         /* for error */
	GError *error;       /* the helper's first */
	int64_t new_bytes;
};

/* A pack on its way to its name, with what it holds. */
typedef struct Parcel {
	PackSealed sealed;
	GArray *entries;
} Parcel;

ShelfWriter *shelf_writer_new(Shelf *shelf)
{
	ShelfWriter *writer = g_new0(ShelfWriter, 1);
	writer->shelf = shelf;
	writer->pack = pack_writer_new(shelf->packs_fd);
	g_mutex_init(&writer->lock);
	return writer;
}

static void wait_for_helper(ShelfWriter *writer)
{
	if (writer->helper)
		g_thread_pool_free(g_steal_pointer(&writer->helper), FALSE, TRUE);
}

void shelf_writer_free(ShelfWriter *writer)
{
	if (!writer)
		return;
	wait_for_helper(writer);
	pack_writer_free(writer->pack);
	g_clear_error(&writer->error);
	g_mutex_clear(&writer->lock);
	g_free(writer);
}

void shelf_writer_new_file(ShelfWriter *writer)
{
	pack_writer_new_file(writer->pack);
}

int64_t shelf_writer_new_bytes(const ShelfWriter *writer)
{
	return writer->new_bytes;
}

static bool deliver(Shelf *shelf, Parcel *parcel, GError **error)
{
	bool done = pack_publish(shelf->packs_fd, &parcel->sealed, error);
	if (done)
		shelf_enter(shelf, parcel->sealed.name, parcel->entries);
	g_array_unref(parcel->entries);
	g_free(parcel);
	return done;
}

static void help(void *data, void *user)
{
	ShelfWriter *writer = user;
	GError *error = NULL;
	if (deliver(writer->shelf, data, &error))
		return;
	g_mutex_lock(&writer->lock);
	if (!writer->error)
		writer->error = g_steal_pointer(&error);
	g_mutex_unlock(&writer->lock);
	g_clear_error(&error);
}

static Parcel *seal(ShelfWriter *writer, GError **error)
{
	Parcel *parcel = g_new0(Parcel, 1);
	const GArray *entries = pack_writer_entries(writer->pack);
	parcel->entries = g_array_sized_new(FALSE, FALSE, sizeof(PackEntry), entries->len);
	g_array_append_vals(parcel->entries, entries->data, entries->len);
	if (pack_writer_seal(writer->pack, &parcel->sealed, error))
		return parcel;
	g_array_unref(parcel->entries);
	g_free(parcel);
	return NULL;
}

static bool send_away(ShelfWriter *writer, GError **error)
{
	Parcel *parcel = seal(writer, error);
	if (!parcel)
		return false;
	if (!writer->helper)
		writer->helper = g_thread_pool_new(help, writer, 1, TRUE, NULL); /* its own: a fork has none of the shared ones */
	g_thread_pool_push(writer->helper, parcel, NULL); /* queued even where no thread can be made */
	return true;
}

bool shelf_add(ShelfWriter *writer, PackKind kind, const void *bytes, size_t len, uint8_t out_id[HASH_BYTES],
        GError **error)
{
	g_assert(len <= PACK_CHUNK_BYTES_MAX);
	hash_bytes(bytes, len, out_id);
	if (len == 0 || !shelf_reserve(writer->shelf, out_id))
		return true;
	if (!pack_writer_fits(writer->pack, len) && !send_away(writer, error))
		return false;
	PackEntry entry;
	if (!pack_writer_add(writer->pack, out_id, kind, bytes, len, &entry, error))
		return false;
	writer->new_bytes += entry.stored;
	return true;
}

bool shelf_commit(Shelf *shelf, ShelfWriter *const *writers, size_t count, GError **error)
{
	/* Small runs: what still is in memory goes behind the first writer's pack. */
	for (size_t i = 1; i < count; i++)
		if (pack_writer_entries(writers[i]->pack)->len > 0 &&
		        !pack_writer_merge(writers[0]->pack, writers[i]->pack, error))
			return false;
	for (size_t i = 0; i < count; i++) {
		if (pack_writer_entries(writers[i]->pack)->len > 0) {
			Parcel *parcel = seal(writers[i], error);
			if (!parcel || !deliver(shelf, parcel, error))
				return false;
		}
		wait_for_helper(writers[i]);
		if (writers[i]->error) {
			g_propagate_error(error, g_steal_pointer(&writers[i]->error));
			return false;
		}
	}
	/* Also when nothing is new: what another process has just named is relied on here. */
	if (fsync(shelf->packs_fd) < 0)
		return fail_errno(error, errno, "cannot sync the packs of the content store");
	if (shelf->unfinished)
		pack_remove_abandoned(shelf->packs_fd);
	shelf->unfinished = false;
	shelf_write_index(shelf, false, NULL); /* a cache: the packs are what counts */
	return true;
}
