/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ArtifactService. A client sends a zip (or, with a type of its own, one file); what is kept is the tree in it, in the
 * content store and under the run, as the built-in action keeps it. A download packs the tree again, once a job.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/artifacts.h"
#include "agent/job/ask.h"
#include "agent/job/disk.h"
#include "agent/job/service_private.h"

#define ARTIFACT_VERSION_MIN 4

static void upload_id(const Connection *connection, const char *name, char out[SERVICE_ID_BYTES])
{
	g_autofree char *words = g_strconcat("artifact\n", name, NULL);
	service_sign(connection->service, words, out);
}

/* A run's token speaks of this run; the job is the one that put the artifact, of which the run decides. */
static bool check_ids(const Connection *connection, const json_t *body, bool of_this_job, GError **error)
{
	const Service *service = connection->service;
	if (strcmp(json_get_string(body, "workflow_run_backend_id", ""), service->run_id) != 0 ||
	        (of_this_job && strcmp(json_get_string(body, "workflow_job_run_backend_id", ""), service->job_id) != 0))
		return fail(error, ASSAY_ERROR_DENIED, "the request is for another run or job than the token");
	return true;
}

static json_t *create(Connection *connection, const json_t *body, GError **error)
{
	const char *name = json_get_string(body, "name", "");
	g_autoptr(json_t) question = json_pack("{s:s}", "name", name);
	g_autoptr(json_t) answer = NULL;
	if (!check_ids(connection, body, true, error) || !artifacts_check_name(name, error))
		return NULL;
	if (json_get_int(body, "version", 0) < ARTIFACT_VERSION_MIN) {
		fail(error, ASSAY_ERROR_USER, "artifacts of version %d and later are known here", ARTIFACT_VERSION_MIN);
		return NULL;
	}
	if (!ask_agent(connection->job, "artifact.check", question, &answer, error))
		return NULL;
	char id[SERVICE_ID_BYTES];
	upload_id(connection, name, id);
	if (!blob_begin(connection, id, body, error))
		return NULL;
	g_autofree char *path = g_strconcat("/blobs/upload/", id, NULL);
	g_autofree char *url = service_url(connection->service, path, NULL);
	return json_pack("{s:b, s:s}", "ok", 1, "signed_upload_url", url);
}

static bool check_hash(int fd, const char *wanted, GError **error)
{
	if (!wanted || !g_str_has_prefix(wanted, "sha256:"))
		return true;
	g_autoptr(Hash) hash = hash_new();
	g_autofree char *buffer = g_malloc(256 * 1024);
	int64_t at = 0;
	for (ssize_t got; (got = pread(fd, buffer, 256 * 1024, at)) != 0; at += got) {
		if (got < 0)
			return fail_errno(error, errno, "cannot read an upload");
		hash_update(hash, buffer, (size_t)got);
	}
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_final(hash, digest);
	hex_write(digest, sizeof digest, hex);
	return strcmp(hex, wanted + 7) == 0 || fail(error, ASSAY_ERROR_USER, "the upload's bytes have another digest than told");
}

/* What an upload may unpack to: the disk is looked at each second only, and much is written in one. */
static ArchiveLimits limits_of(const Connection *connection)
{
	ArchiveLimits limits = {.files = SERVICE_UNPACKED_FILES_MAX, .bytes = SERVICE_UNPACKED_BYTES_MAX};
	int64_t disk = json_get_int(json_object_get(connection->job->spec, "limits"), "disk_bytes", 0);
	int64_t rest = disk > 0 ? MAX(disk - disk_measure(connection->job->task->folder_fd, disk, 0).bytes, 0) : limits.bytes;
	if (rest < limits.bytes) {
		limits.bytes = rest;
		limits.bytes_of = "disk space (limits.job_disk)";
	}
	return limits;
}

/* Bytes → a folder with the artifact's files. */
static bool unfold(Connection *connection, int fd, const json_t *about, const char *folder, GError **error)
{
	const char *type = json_get_string(about, "mime_type", "application/zip");
	autofd int tree = tree_make_folder(connection->folder_fd, folder, (TreeOwner){0}, error);
	if (tree < 0)
		return false;
	const ArchiveLimits limits = limits_of(connection);
	struct stat info;
	if (g_str_has_prefix(type, "application/zip"))
		return archive_unpack(fd, ARCHIVE_ZIP, limits, tree, NULL, NULL, error);
	if (fstat(fd, &info) == 0 && info.st_size > limits.bytes)
		return fail(error, ASSAY_ERROR_USER, "the upload has %" G_GINT64_FORMAT " bytes, more than the rest of the job's disk space "
		                                     "(limits.job_disk)", (gint64)info.st_size);
	const char *name = json_get_string(about, "name", "artifact"); /* checked: it has no slash */
	autofd int to = tree_create_file(tree, name, 0644, (TreeOwner){0}, error);
	g_autofree char *buffer = g_malloc(256 * 1024);
	for (ssize_t got = 1; to >= 0 && got > 0;) {
		got = read(fd, buffer, 256 * 1024);
		if (got < 0)
			return fail_errno(error, errno, "cannot read an upload");
		if (!fd_write_all(to, buffer, (size_t)got, name, error))
			return false;
	}
	return to >= 0;
}

static json_t *put_tree(Connection *connection, const json_t *about, const char *folder, GError **error)
{
	g_autoptr(Objects) objects = job_open_store(connection->job, error);
	ObjectsTree tree;
	if (!objects || !objects_snapshot(objects, connection->folder_fd, folder, &tree, error))
		return NULL;
	g_autoptr(json_t) with = json_pack("{s:s, s:s, s:I, s:I}", "name", json_get_string(about, "name", ""), "digest", tree.digest,
	        "bytes", (json_int_t)tree.bytes, "files", (json_int_t)tree.files);
	const char *expires = json_get_string(about, "expires_at", NULL);
	if (expires)
		json_set_string(with, "expires_at", expires);
	g_autoptr(json_t) answer = NULL;
	return ask_agent(connection->job, "artifact.put", with, &answer, error) ? g_steal_pointer(&answer) : NULL;
}

static json_t *finalize(Connection *connection, const json_t *body, GError **error)
{
	if (!check_ids(connection, body, true, error))
		return NULL;
	char id[SERVICE_ID_BYTES];
	upload_id(connection, json_get_string(body, "name", ""), id);
	g_autoptr(json_t) about = blob_about(connection, id, error);
	autofd int fd = about ? blob_open(connection, id, error) : -1;
	struct stat info;
	if (fd < 0 || fstat(fd, &info) < 0)
		return NULL;
	/* 64 bit numbers are texts in this JSON. */
	const char *size = json_get_string(body, "size", NULL);
	if (size && g_ascii_strtoll(size, NULL, 10) != info.st_size) {
		fail(error, ASSAY_ERROR_USER, "%s bytes were told, and %" G_GINT64_FORMAT " have come", size, (gint64)info.st_size);
		return NULL;
	}
	if (!check_hash(fd, json_get_string(body, "hash", NULL), error))
		return NULL;
	g_autofree char *folder = g_strconcat("tree-", id, NULL);
	g_autoptr(json_t) put = NULL;
	if (tree_remove(connection->folder_fd, folder, error) && unfold(connection, fd, about, folder, error))
		put = put_tree(connection, about, folder, error);
	tree_remove(connection->folder_fd, folder, NULL);
	if (!put)
		return NULL;
	blob_end(connection, id);
	g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(put, "id", 0));
	return json_pack("{s:b, s:s}", "ok", 1, "artifact_id", number);
}

static json_t *find(Connection *connection, const char *name, GError **error)
{
	g_autoptr(json_t) with = json_object();
	g_autoptr(json_t) answer = NULL;
	if (name)
		json_set_string(with, "name", name);
	if (!ask_agent(connection->job, "artifact.get", with, &answer, error))
		return NULL;
	return json_incref(json_object_get(answer, "artifacts"));
}

static json_t *list(Connection *connection, const json_t *body, GError **error)
{
	if (!check_ids(connection, body, false, error))
		return NULL;
	g_autoptr(json_t) found = find(connection, NULL, error);
	if (!found)
		return NULL;
	const char *name = json_get_string(body, "name_filter", NULL);
	const char *id = json_get_string(body, "id_filter", NULL);
	json_t *artifacts = json_array();
	size_t i;
	json_t *one;
	json_array_foreach(found, i, one) {
		g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(one, "id", 0));
		g_autofree char *bytes = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(one, "bytes", 0));
		g_autofree char *job = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(one, "job", 0));
		const char *its_name = json_get_string(one, "name", "");
		if ((name && strcmp(name, its_name) != 0) || (id && strcmp(id, number) != 0))
			continue;
		json_array_append_new(artifacts, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "workflow_run_backend_id",
		        connection->service->run_id, "workflow_job_run_backend_id", job, "database_id", number, "name", its_name,
		        "size", bytes, "created_at", json_get_string(one, "created_at", "1970-01-01T00:00:00Z")));
	}
	return json_pack("{s:o}", "artifacts", artifacts);
}

static json_t *sign(Connection *connection, const json_t *body, GError **error)
{
	const char *name = json_get_string(body, "name", "");
	if (!check_ids(connection, body, false, error))
		return NULL;
	g_autoptr(json_t) found = find(connection, name, error);
	if (!found)
		return NULL;
	const json_t *one = json_array_get(found, 0);
	g_autofree char *path = g_strconcat("/blobs/artifact/", json_get_string(one, "digest", ""), ".zip", NULL);
	g_autofree char *url = service_url(connection->service, path, NULL);
	return json_pack("{s:s}", "signed_url", url);
}

static json_t *drop(Connection *connection, const json_t *body, GError **error)
{
	if (!check_ids(connection, body, false, error))
		return NULL;
	g_autoptr(json_t) with = json_pack("{s:s}", "name", json_get_string(body, "name", ""));
	g_autoptr(json_t) answer = NULL;
	if (!ask_agent(connection->job, "artifact.delete", with, &answer, error))
		return NULL;
	g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(answer, "id", 0));
	return json_pack("{s:b, s:s}", "ok", 1, "artifact_id", number);
}

void service_artifacts(Connection *connection, const char *method)
{
	static const struct {
		const char *name;
		json_t *(*run)(Connection *connection, const json_t *body, GError **error);
	} methods[] = {{"CreateArtifact", create}, {"FinalizeArtifact", finalize}, {"ListArtifacts", list},
	        {"GetSignedArtifactURL", sign}, {"DeleteArtifact", drop}};
	g_autoptr(GError) error = NULL;
	json_t *answer = NULL;
	g_autoptr(json_t) body = service_read_json(connection, &error);
	for (size_t i = 0; body && i < G_N_ELEMENTS(methods); i++)
		if (strcmp(methods[i].name, method) == 0)
			answer = methods[i].run(connection, body, &error);
	if (body && !answer && !error)
		fail(&error, ASSAY_ERROR_ABSENT, "ArtifactService has no method '%.80s' here", method);
	if (answer)
		service_answer_json(connection, 200, answer);
	else
		service_answer_error(connection, error);
}

/* The tree as a zip, under its final name once it is whole. */
static bool make_zip(Connection *connection, const char *digest, const char *name, GError **error)
{
	g_autofree char *folder = g_strdup_printf("tree-%s-%d", digest, (int)getpid());
	g_autofree char *part = g_strdup_printf("part-%s-%d", digest, (int)getpid());
	g_autoptr(Objects) objects = job_open_store(connection->job, error);
	autofd int tree = objects ? tree_make_folder(connection->folder_fd, folder, (TreeOwner){0}, error) : -1;
	bool good = tree >= 0 && objects_restore(objects, digest, tree, ".", false, error);
	autofd int out = good ? tree_create_file(connection->folder_fd, part, 0600, (TreeOwner){0}, error) : -1;
	good = out >= 0 && archive_pack(tree, ARCHIVE_ZIP, false, out, NULL, NULL, error);
	if (good && renameat(connection->folder_fd, part, connection->folder_fd, name) < 0)
		good = fail_errno(error, errno, "cannot keep a zip");
	tree_remove(connection->folder_fd, folder, NULL);
	unlinkat(connection->folder_fd, part, 0);
	return good;
}

void service_artifact_download(Connection *connection, const char *file)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *digest = g_strndup(file, strcspn(file, "."));
	g_autofree char *name = g_strconcat("zip-", digest, NULL);
	autofd int fd = openat(connection->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && make_zip(connection, digest, name, &error))
		fd = openat(connection->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		service_answer_file(connection, fd, "application/zip", "Content-Disposition: attachment; filename=\"artifact.zip\"\r\n");
	else
		service_answer_error(connection, error);
}
