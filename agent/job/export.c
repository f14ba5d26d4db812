/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people download. The agent neither reads the store nor packs, so this process does, and ends: it streams one tree as
 * a zip into a pipe. When the reader goes, the pipe ends it; what came to be too much is ended by its limits. All that it
 * needs is opened before it reads what jobs have stored; from then on it has the store for reading and the pipe.
 */
#include "agent/job/export.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/log.h"
#include "agent/job/archive.h"
#include "agent/job/confine.h"
#include "agent/objects/objects.h"

#define CPU_S_MAX (60 * 60)
#define MEMORY_BYTES_MAX ((rlim_t)1024 * 1024 * 1024)

typedef struct Export {
	ArchiveWriter *writer;
	int64_t time_s;
} Export;

static bool on_entry(const ObjectsEntry *entry, void *data, GError **error)
{
	const Export *export = data;
	const ArchiveEntry told = {.path = entry->path, .link = entry->link, .is_folder = entry->is_folder,
	        .is_executable = entry->is_executable, .bytes = entry->bytes, .time_s = export->time_s};
	return archive_writer_entry(export->writer, &told, error);
}

static bool on_piece(const uint8_t *bytes, size_t len, void *data, GError **error)
{
	const Export *export = data;
	return archive_writer_bytes(export->writer, bytes, len, error);
}

static bool set_limits(GError **error)
{
	const struct rlimit cpu = {CPU_S_MAX, CPU_S_MAX}, none = {0, 0};
	if (setrlimit(RLIMIT_CPU, &cpu) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return fail_errno(error, errno, "cannot set limits");
#ifndef __SANITIZE_ADDRESS__ /* whose shadow is larger than any limit */
	const struct rlimit memory = {MEMORY_BYTES_MAX, MEMORY_BYTES_MAX};
	if (setrlimit(RLIMIT_DATA, &memory) < 0)
		return fail_errno(error, errno, "cannot set limits");
#endif
	return true;
}

static bool export_tree(const char *folder, const char *digest, int64_t time_s, GError **error)
{
	g_autoptr(Objects) objects = objects_open(folder, error);
	g_autoptr(ArchiveWriter) writer = objects ? archive_writer_new(STDOUT_FILENO, error) : NULL;
	if (!writer || !set_limits(error))
		return false;
	const char *const writable[] = {NULL};
	confine_service(folder, writable);
	Export export = {.writer = writer, .time_s = time_s};
	const ObjectsWalk walk = {.entry = on_entry, .piece = on_piece, .data = &export};
	return objects_walk(objects, digest, &walk, error) && archive_writer_end(writer, error);
}

int export_main(int argc, char **argv)
{
	gint64 time_s;
	if (argc != 4 || !g_ascii_string_to_signed(argv[3], 10, 0, G_MAXINT32, &time_s, NULL)) {
		fprintf(stderr, "assay: worker: 'export' needs the store's folder, a digest, and a time in seconds\n");
		return 2;
	}
	signal(SIGPIPE, SIG_DFL); /* nobody reads any more: an end as good as any */
	g_autoptr(GError) error = NULL;
	if (!export_tree(argv[1], argv[2], time_s, &error))
		log_error("cannot pack an artifact", KV("why", error->message));
	_exit(error ? error_exit_status(error) : 0); /* confined as it is, it could not look for leaks */
}
