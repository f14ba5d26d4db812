/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CacheService, and the older protocol of the same thing. What a client stores is kept byte by byte, since not every
 * client's cache is a tar; the built-in action unpacks such an entry when it meets one, and an entry of the built-in
 * action is packed here for a client, as a tar whose names are those that tar -P would have written in the workspace.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/ask.h"
#include "agent/job/cache.h"
#include "agent/job/service_private.h"

#define KEYS_MAX 10

static void upload_id(const Connection *connection, const char *key, const char *version, char out[SERVICE_ID_BYTES])
{
	g_autofree char *words = g_strconcat("cache\n", version, "\n", key, NULL);
	service_sign(connection->service, words, out);
}

/* May this entry be written? BUSY when it is there, DENIED when this run may not. */
static bool reserve(Connection *connection, const char *key, const char *version, GError **error)
{
	g_autoptr(json_t) with = json_pack("{s:s, s:[s]}", "key", key, "versions", version);
	g_autoptr(json_t) answer = NULL;
	return ask_agent(connection->job, "cache.reserve", with, &answer, error);
}

static json_t *create(Connection *connection, const json_t *body, GError **error)
{
	const char *key = json_get_string(body, "key", ""), *version = json_get_string(body, "version", "");
	g_autoptr(GError) why = NULL;
	if (!reserve(connection, key, version, &why)) {
		if (why->code != ASSAY_ERROR_DENIED) {
			g_propagate_error(error, g_steal_pointer(&why));
			return NULL;
		}
		/* The clients know this word, and go on without a cache. */
		g_autofree char *message = g_strconcat("cache write denied: ", why->message, NULL);
		return json_pack("{s:b, s:s, s:s}", "ok", 0, "signed_upload_url", "", "message", message);
	}
	char id[SERVICE_ID_BYTES];
	upload_id(connection, key, version, id);
	if (!blob_begin(connection, id, body, error))
		return NULL;
	g_autofree char *path = g_strconcat("/blobs/upload/", id, NULL);
	g_autofree char *url = service_url(connection->service, path, NULL);
	return json_pack("{s:b, s:s}", "ok", 1, "signed_upload_url", url);
}

/* The upload into the store and under its key; the entry's id, 0 with the reason. */
static int64_t keep(Connection *connection, const char *id, int64_t told_bytes, GError **error)
{
	g_autoptr(json_t) about = blob_about(connection, id, error);
	autofd int fd = about ? blob_open(connection, id, error) : -1;
	struct stat info;
	if (fd < 0 || fstat(fd, &info) < 0)
		return 0;
	if (told_bytes >= 0 && told_bytes != info.st_size) {
		fail(error, ASSAY_ERROR_USER, "%" G_GINT64_FORMAT " bytes were told, and %" G_GINT64_FORMAT " have come", told_bytes,
		        (gint64)info.st_size);
		return 0;
	}
	g_autofree char *path = g_strdup_printf("up-%s/data", id);
	g_autoptr(Objects) objects = job_open_store(connection->job, error);
	ObjectsTree tree;
	if (!objects || !objects_snapshot(objects, connection->folder_fd, path, &tree, error))
		return 0;
	g_autoptr(json_t) with = json_pack("{s:s, s:[s], s:s, s:s, s:I}", "key", json_get_string(about, "key", ""), "versions",
	        json_get_string(about, "version", ""), "digest", tree.digest, "form", "blob", "bytes", (json_int_t)tree.bytes);
	g_autoptr(json_t) answer = NULL;
	if (!ask_agent(connection->job, "cache.put", with, &answer, error))
		return 0;
	blob_end(connection, id);
	return json_get_int(answer, "id", 1);
}

static json_t *finalize(Connection *connection, const json_t *body, GError **error)
{
	char id[SERVICE_ID_BYTES];
	upload_id(connection, json_get_string(body, "key", ""), json_get_string(body, "version", ""), id);
	const char *size = json_get_string(body, "size_bytes", NULL);
	int64_t entry = keep(connection, id, size ? g_ascii_strtoll(size, NULL, 10) : -1, error);
	if (entry == 0)
		return NULL;
	g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, entry);
	return json_pack("{s:b, s:s}", "ok", 1, "entry_id", number);
}

/* Looks an entry up. *out_url is NULL when there is none. */
static bool look(Connection *connection, const char *key, json_t *restore_keys, const char *version, char **out_url,
        char **out_key, GError **error)
{
	*out_url = *out_key = NULL;
	if (json_array_size(restore_keys) >= KEYS_MAX)
		return fail(error, ASSAY_ERROR_USER, "more than %d keys", KEYS_MAX);
	g_autoptr(json_t) with = json_pack("{s:s, s:[s], s:O?}", "key", key, "versions", version, "restore_keys", restore_keys);
	g_autoptr(json_t) answer = NULL;
	if (!with)
		return fail(error, ASSAY_ERROR_USER, "keys and version are texts");
	if (!ask_agent(connection->job, "cache.get", with, &answer, error))
		return false;
	const char *digest = json_get_string(answer, "digest", NULL);
	if (!digest)
		return true;
	const char *form = "blob";
	if (strcmp(json_get_string(answer, "form", "tree"), "tree") == 0)
		form = strcmp(json_get_string(answer, "version", ""), version) == 0 ? "zst" : "gz";
	g_autofree char *path = g_strdup_printf("/blobs/cache/%s.%s", digest, form);
	*out_url = service_url(connection->service, path, NULL);
	*out_key = g_strdup(json_get_string(answer, "key", ""));
	return true;
}

static json_t *get_url(Connection *connection, const json_t *body, GError **error)
{
	g_autofree char *url = NULL, *key = NULL;
	if (!look(connection, json_get_string(body, "key", ""), json_object_get(body, "restore_keys"),
	            json_get_string(body, "version", ""), &url, &key, error))
		return NULL;
	if (!url)
		return json_pack("{s:b, s:s, s:s}", "ok", 0, "signed_download_url", "", "matched_key", "");
	return json_pack("{s:b, s:s, s:s}", "ok", 1, "signed_download_url", url, "matched_key", key);
}

void service_caches(Connection *connection, const char *method)
{
	static const struct {
		const char *name;
		json_t *(*run)(Connection *connection, const json_t *body, GError **error);
	} methods[] = {{"CreateCacheEntry", create}, {"FinalizeCacheEntryUpload", finalize}, {"GetCacheEntryDownloadURL", get_url}};
	g_autoptr(GError) error = NULL;
	json_t *answer = NULL;
	g_autoptr(json_t) body = service_read_json(connection, &error);
	for (size_t i = 0; body && i < G_N_ELEMENTS(methods); i++)
		if (strcmp(methods[i].name, method) == 0)
			answer = methods[i].run(connection, body, &error);
	if (body && !answer && !error)
		fail(&error, ASSAY_ERROR_ABSENT, "CacheService has no method '%.80s' here", method);
	if (answer)
		service_answer_json(connection, 200, answer);
	else
		service_answer_error(connection, error);
}

/* An upload of the older protocol is known by a number. */
static void rest_id(const Connection *connection, const char *number, char out[SERVICE_ID_BYTES])
{
	g_autofree char *words = g_strconcat("rest\n", number, NULL);
	service_sign(connection->service, words, out);
}

static bool rest_look(Connection *connection, GError **error)
{
	const char *keys = g_hash_table_lookup(connection->request.query, "keys");
	const char *version = g_hash_table_lookup(connection->request.query, "version");
	if (!keys || !version)
		return fail(error, ASSAY_ERROR_USER, "'keys' and 'version' are needed");
	g_auto(GStrv) words = g_strsplit(keys, ",", KEYS_MAX + 1);
	g_autoptr(json_t) others = json_array();
	for (size_t i = 1; words[0] && words[i]; i++)
		json_array_append_new(others, json_string(words[i]));
	g_autofree char *url = NULL, *key = NULL;
	if (!look(connection, words[0] ? words[0] : "", others, version, &url, &key, error))
		return false;
	if (!url)
		service_answer_empty(connection, 204, NULL);
	else
		service_answer_json(connection, 200, json_pack("{s:s, s:s, s:s, s:s}", "archiveLocation", url, "cacheKey", key,
		        "cacheVersion", version, "scope", ""));
	return true;
}

static bool rest_reserve(Connection *connection, GError **error)
{
	g_autoptr(json_t) body = service_read_json(connection, error);
	if (!body)
		return false;
	const char *key = json_get_string(body, "key", ""), *version = json_get_string(body, "version", "");
	if (!reserve(connection, key, version, error))
		return false;
	char id[SERVICE_ID_BYTES];
	upload_id(connection, key, version, id);
	id[12] = '\0';
	g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, g_ascii_strtoull(id, NULL, 16));
	rest_id(connection, number, id);
	if (!blob_begin(connection, id, body, error))
		return false;
	service_answer_json(connection, 201, json_pack("{s:I}", "cacheId", (json_int_t)g_ascii_strtoll(number, NULL, 10)));
	return true;
}

static bool rest_write(Connection *connection, const char *number, GError **error)
{
	const char *range = service_header(connection, "content-range");
	char id[SERVICE_ID_BYTES];
	rest_id(connection, number, id);
	if (!range || !g_str_has_prefix(range, "bytes ") || !g_ascii_isdigit(range[6]))
		return fail(error, ASSAY_ERROR_USER, "a part of a cache needs 'Content-Range: bytes FROM-TO/*'");
	if (!blob_write_at(connection, id, g_ascii_strtoll(range + 6, NULL, 10), error))
		return false;
	service_answer_empty(connection, 204, NULL);
	return true;
}

static bool rest_commit(Connection *connection, const char *number, GError **error)
{
	char id[SERVICE_ID_BYTES];
	rest_id(connection, number, id);
	g_autoptr(json_t) body = service_read_json(connection, error);
	if (!body || keep(connection, id, json_get_int(body, "size", -1), error) == 0)
		return false;
	service_answer_empty(connection, 204, NULL);
	return true;
}

void service_caches_rest(Connection *connection, const char *path)
{
	g_autoptr(GError) error = NULL;
	const char *method = connection->request.method;
	const char *number = g_str_has_prefix(path, "caches/") ? path + 7 : "";
	bool good = false;
	if (strcmp(method, "GET") == 0 && strcmp(path, "cache") == 0) {
		good = rest_look(connection, &error);
	} else if (strcmp(method, "GET") == 0 && strcmp(path, "caches") == 0) {
		service_answer_json(connection, 200, json_pack("{s:i, s:[]}", "totalCount", 0, "artifactCaches"));
		good = true;
	} else if (strcmp(method, "POST") == 0 && strcmp(path, "caches") == 0) {
		good = rest_reserve(connection, &error);
	} else if (strcmp(method, "PATCH") == 0 && number[0]) {
		good = rest_write(connection, number, &error);
	} else if (strcmp(method, "POST") == 0 && number[0]) {
		good = rest_commit(connection, number, &error);
	} else {
		fail(&error, ASSAY_ERROR_ABSENT, "there is nothing here");
	}
	if (!good)
		service_answer_error(connection, error);
}

/* The entry's bytes as a file of the service's folder. */
static bool fetch(Connection *connection, const char *digest, const char *form, const char *name, GError **error)
{
	g_autoptr(Objects) objects = job_open_store(connection->job, error);
	if (!objects)
		return false;
	g_autofree char *part = g_strdup_printf("part-%s-%d", digest, (int)getpid());
	bool good = false;
	if (strcmp(form, "blob") == 0) {
		good = objects_restore(objects, digest, connection->folder_fd, part, false, error);
	} else {
		g_autofree char *folder = g_strdup_printf("tree-%s-%d", digest, (int)getpid());
		autofd int tree = tree_make_folder(connection->folder_fd, folder, (TreeOwner){0}, error);
		autofd int out = tree < 0 ? -1 : tree_create_file(connection->folder_fd, part, 0600, (TreeOwner){0}, error);
		good = out >= 0 && objects_restore(objects, digest, tree, ".", false, error) &&
		       archive_pack(tree, ARCHIVE_TAR, strcmp(form, "gz") == 0, out, cache_name_for_tar, connection->job, error);
		tree_remove(connection->folder_fd, folder, NULL);
	}
	if (good && renameat(connection->folder_fd, part, connection->folder_fd, name) < 0)
		good = fail_errno(error, errno, "cannot keep a cache's bytes");
	if (!good)
		tree_remove(connection->folder_fd, part, NULL);
	return good;
}

void service_cache_download(Connection *connection, const char *file)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = g_strsplit(file, ".", 2);
	g_autofree char *name = g_strconcat("cache-", file, NULL);
	autofd int fd = openat(connection->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && words[0] && words[1] && fetch(connection, words[0], words[1], name, &error))
		fd = openat(connection->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		service_answer_file(connection, fd, "application/octet-stream", NULL);
	else if (error)
		service_answer_error(connection, error);
	else
		service_answer_empty(connection, 404, NULL);
}
