/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads under way, as files: `up-ID/about.json`, a file for each block, and `data`. The protocol is that of Azure's
 * block blobs, of which the clients use Put Blob, Put Block and Put Block List. Blocks come over several connections,
 * so nothing is kept in memory; a file gets its name when it is whole.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/service_private.h"

#define BUFFER_BYTES (256 * 1024)
#define LIST_BYTES_MAX (16 * 1024 * 1024)
#define BLOCK_ID_BYTES_MAX 200
#define CREATED_HEADERS "ETag: \"0\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nx-ms-request-server-encrypted: false\r\n"

static bool is_id(const char *id)
{
	return strlen(id) == SERVICE_ID_BYTES - 1 && strspn(id, "0123456789abcdef") == SERVICE_ID_BYTES - 1;
}

static int open_folder(Connection *connection, const char *id, GError **error)
{
	g_autofree char *name = g_strconcat("up-", id, NULL);
	int fd = is_id(id) ? openat(connection->folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd < 0)
		fail(error, ASSAY_ERROR_ABSENT, "there is no such upload under way");
	return fd;
}

static int count_uploads(Connection *connection)
{
	int count = 0;
	int copy = openat(connection->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	for (struct dirent *entry; entries && (entry = readdir(entries));)
		count += g_str_has_prefix(entry->d_name, "up-");
	if (entries)
		closedir(entries);
	else if (copy >= 0)
		close(copy);
	return count;
}

bool blob_begin(Connection *connection, const char *id, const json_t *about, GError **error)
{
	g_autofree char *name = g_strconcat("up-", id, NULL);
	blob_end(connection, id);
	if (count_uploads(connection) >= SERVICE_UPLOADS_MAX)
		return fail(error, ASSAY_ERROR_USER, "more than %d uploads are under way in this job", SERVICE_UPLOADS_MAX);
	autofd int folder = tree_make_folder(connection->folder_fd, name, (TreeOwner){0}, error);
	g_autofree char *text = json_text(about);
	return folder >= 0 && tree_write_file(folder, "about.json", text, strlen(text), 0600, (TreeOwner){0}, error);
}

json_t *blob_about(Connection *connection, const char *id, GError **error)
{
	autofd int folder = open_folder(connection, id, error);
	g_autoptr(GBytes) bytes = folder < 0 ? NULL : tree_read_file(folder, "about.json", SERVICE_JSON_BYTES_MAX, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	return json_parse(text ? text : "", len, "an upload's description", error);
}

/* Takes room for bytes of all uploads together. */
static bool reserve(Connection *connection, int64_t bytes, GError **error)
{
	if (atomic_fetch_add(connection->service->staged_bytes, bytes) + bytes <= SERVICE_STAGED_BYTES_MAX)
		return true;
	atomic_fetch_sub(connection->service->staged_bytes, bytes);
	return fail(error, ASSAY_ERROR_USER, "the job's uploads under way have more than %" G_GINT64_FORMAT " bytes",
	        SERVICE_STAGED_BYTES_MAX);
}

bool blob_receive(Connection *connection, int fd, int64_t limit_bytes, int64_t *out_bytes, GError **error)
{
	g_autofree char *buffer = g_malloc(BUFFER_BYTES);
	int64_t bytes = 0;
	for (ssize_t got; (got = http_read_body(connection->reader, buffer, BUFFER_BYTES, error)) != 0;) {
		if (got < 0)
			return false;
		bytes += got;
		if (bytes > limit_bytes)
			return fail(error, ASSAY_ERROR_USER, "an upload has more than %" G_GINT64_FORMAT " bytes", limit_bytes);
		if (!reserve(connection, got, error) || !fd_write_all(fd, buffer, (size_t)got, "an upload", error))
			return false;
	}
	*out_bytes = bytes;
	return true;
}

/* A file under a name of its own until it is whole. */
static int create_part(int folder, char out_name[64], GError **error)
{
	uint8_t random[12];
	char hex[25];
	random_bytes(random, sizeof random);
	hex_write(random, sizeof random, hex);
	g_snprintf(out_name, 64, "part-%s", hex);
	return tree_create_file(folder, out_name, 0600, (TreeOwner){0}, error);
}

static bool receive_as(Connection *connection, int folder, const char *name, GError **error)
{
	char part[64];
	int64_t bytes = 0;
	autofd int fd = create_part(folder, part, error);
	bool good = fd >= 0 && blob_receive(connection, fd, SERVICE_BLOB_BYTES_MAX, &bytes, error);
	if (good && renameat(folder, part, folder, name) < 0)
		good = fail_errno(error, errno, "cannot keep an upload");
	if (fd >= 0 && !good)
		unlinkat(folder, part, 0);
	return good;
}

static char *block_name(const char *block_id)
{
	g_autofree char *hex = hash_bytes_hex(block_id, strlen(block_id));
	return g_strconcat("block-", hex, NULL);
}

static bool append_block(int folder, const char *block_id, int out, int64_t *bytes, GError **error)
{
	g_autofree char *name = block_name(block_id);
	autofd int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(error, ASSAY_ERROR_USER, "the block list names a block that was not sent");
	struct stat info;
	if (fstat(fd, &info) < 0 || (*bytes += info.st_size) > SERVICE_BLOB_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "an upload has more than %" G_GINT64_FORMAT " bytes", SERVICE_BLOB_BYTES_MAX);
	g_autofree char *buffer = NULL;
	for (;;) {
		ssize_t got = buffer ? -1 : copy_file_range(fd, NULL, out, NULL, 1 << 30, 0);
		if (got == 0)
			break;
		if (got > 0)
			continue;
		if (!buffer)
			buffer = g_malloc(BUFFER_BYTES);
		got = read(fd, buffer, BUFFER_BYTES);
		if (got == 0)
			break;
		if (got < 0)
			return fail_errno(error, errno, "cannot read a block");
		if (!fd_write_all(out, buffer, (size_t)got, "an upload", error))
			return false;
	}
	return true;
}

/* <BlockList><Latest>ID</Latest>…</BlockList>: all that is of interest are the texts between the tags. */
static bool join_blocks(Connection *connection, int folder, GError **error)
{
	g_autoptr(GBytes) bytes = http_read_all(connection->reader, LIST_BYTES_MAX, error);
	if (!bytes)
		return false;
	gsize len = 0;
	const char *raw = g_bytes_get_data(bytes, &len);
	g_autofree char *text = g_strndup(raw ? raw : "", len);
	char part[64];
	autofd int out = create_part(folder, part, error);
	bool good = out >= 0;
	int count = 0;
	int64_t size = 0;
	static const char *const tags[] = {"Latest", "Uncommitted", "Committed"};
	for (char *at = text; good && (at = strchr(at, '<')); at++)
		for (size_t i = 0; good && i < G_N_ELEMENTS(tags); i++) {
			size_t tag = strlen(tags[i]);
			if (strncmp(at + 1, tags[i], tag) != 0 || at[tag + 1] != '>')
				continue;
			const char *begin = at + tag + 2;
			g_autofree char *block = g_strndup(begin, strcspn(begin, "<"));
			if (++count > SERVICE_BLOCKS_MAX)
				good = fail(error, ASSAY_ERROR_USER, "the block list has more than %d blocks", SERVICE_BLOCKS_MAX);
			good = good && append_block(folder, block, out, &size, error);
		}
	if (good && renameat(folder, part, folder, "data") < 0)
		good = fail_errno(error, errno, "cannot keep an upload");
	if (out >= 0 && !good)
		unlinkat(folder, part, 0);
	return good;
}

void blob_put(Connection *connection, const char *id)
{
	g_autoptr(GError) error = NULL;
	autofd int folder = open_folder(connection, id, &error);
	const char *what = g_hash_table_lookup(connection->request.query, "comp");
	const char *block = g_hash_table_lookup(connection->request.query, "blockid");
	bool good = folder >= 0;
	if (good && g_strcmp0(what, "block") == 0) {
		if (!block || !block[0] || strlen(block) > BLOCK_ID_BYTES_MAX) {
			good = fail(&error, ASSAY_ERROR_USER, "a block without an id");
		} else {
			g_autofree char *name = block_name(block);
			good = receive_as(connection, folder, name, &error);
		}
	} else if (good && g_strcmp0(what, "blocklist") == 0) {
		good = join_blocks(connection, folder, &error);
	} else if (good && !what) {
		good = receive_as(connection, folder, "data", &error);
	} else if (good) {
		good = fail(&error, ASSAY_ERROR_USER, "comp=%.40s is not known here", what);
	}
	if (good)
		service_answer_empty(connection, 201, CREATED_HEADERS);
	else
		service_answer_error(connection, error);
}

bool blob_write_at(Connection *connection, const char *id, int64_t offset, GError **error)
{
	autofd int folder = open_folder(connection, id, error);
	if (folder < 0)
		return false;
	if (offset < 0 || offset > SERVICE_BLOB_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "an upload has more than %" G_GINT64_FORMAT " bytes", SERVICE_BLOB_BYTES_MAX);
	autofd int fd = openat(folder, "data", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || lseek(fd, offset, SEEK_SET) < 0)
		return fail_errno(error, errno, "cannot keep an upload");
	int64_t bytes = 0;
	return blob_receive(connection, fd, SERVICE_BLOB_BYTES_MAX - offset, &bytes, error);
}

int blob_open(Connection *connection, const char *id, GError **error)
{
	autofd int folder = open_folder(connection, id, error);
	int fd = folder < 0 ? -1 : openat(folder, "data", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (folder >= 0 && fd < 0)
		fail(error, ASSAY_ERROR_USER, "nothing was uploaded");
	return fd;
}

void blob_end(Connection *connection, const char *id)
{
	g_autofree char *name = g_strconcat("up-", id, NULL);
	if (is_id(id))
		tree_remove(connection->folder_fd, name, NULL);
	if (count_uploads(connection) == 0)
		atomic_store(connection->service->staged_bytes, 0);
}
