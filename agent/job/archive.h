/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of strangers into folders of ours, with limits; and folders into archives. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/job/tree.h"

typedef enum ArchiveForm { ARCHIVE_ZIP, ARCHIVE_TAR } ArchiveForm; /* a tar may be compressed by gzip or zstd */

typedef struct ArchiveLimits {
	int64_t files;
	int64_t bytes;        /* of all files together, unpacked */
	const char *bytes_of; /* a setting whose rest that is, for the message; NULL: none */
} ArchiveLimits;

/** Loads the library that the others need, and load by themselves: for a process that is about to give up opening files. */
bool archive_load(GError **error);

/** Where an entry goes: a path below the folder, the caller's; NULL with the reason when it may not be there. */
typedef char *(*ArchivePlace)(void *data, const char *name, GError **error);

/**
 * Unpacks files, folders and, from a tar, links. Nothing else is in an honest archive.
 *
 * @fd          the archive, from its start
 * @folder_fd   where it goes, a folder that no step can reach
 * @place       NULL: names as they are; absolute ones and `..` are refused
 * Returns      false with USER when the archive is broken, too large, or has a name that leaves the folder
 */
bool archive_unpack(int fd, ArchiveForm form, ArchiveLimits limits, int folder_fd, ArchivePlace place, void *data,
        GError **error);
/** A path without `.` and doubled slashes; NULL when it is absolute, has `..`, or is longer than a path may be. */
char *archive_clean_name(const char *name);

/**
 * Writes a folder with all that is in it as an archive; owners and times are left out.
 *
 * @rename   what an entry is called in it, the caller's, NULL to leave the entry out; or NULL: as it is called
 */
bool archive_pack(int folder_fd, ArchiveForm form, bool gzip, int out_fd, ArchivePlace rename, void *data, GError **error);

/** A zip that is written entry by entry to a descriptor, which may be a pipe; what it has in memory does not grow with it. */
typedef struct ArchiveWriter ArchiveWriter;

typedef struct ArchiveEntry {
	const char *path;
	const char *link;  /* a link's target; NULL: none */
	bool is_folder;
	bool is_executable;
	int64_t bytes;     /* that archive_writer_bytes() will bring */
	int64_t time_s;    /* seconds since the epoch */
} ArchiveEntry;

/** NULL with SYSTEM. The descriptor is borrowed. */
ArchiveWriter *archive_writer_new(int out_fd, GError **error);
bool archive_writer_entry(ArchiveWriter *writer, const ArchiveEntry *entry, GError **error);
/** Bytes of the file that was entered last. */
bool archive_writer_bytes(ArchiveWriter *writer, const void *bytes, size_t len, GError **error);
/** Writes the list of entries, without which it is no zip. */
bool archive_writer_end(ArchiveWriter *writer, GError **error);
void archive_writer_free(ArchiveWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveWriter, archive_writer_free)
