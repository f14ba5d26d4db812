/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifacts, listed and as zips. The zip is made while it is sent, by a process of its own (agent/daemon/download.h): what it
 * will weigh nobody knows, so it has no length, and one that could not be ended breaks the connection instead of looking
 * whole. It is named for people in `Content-Disposition`, which a stranger's name must not break out of.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/download.h"
#include "agent/store/runs.h"
#include "web/feed.h"
#include "web/handlers.h"
#include "web/problem.h"

#define DOWNLOADS_MAX 8 /* each is a process that packs */
#define PIECE_BYTES FEED_BYTES_MAX

typedef struct ZipFeed {
	Feed feed;
	Face *face;
	Download *download;
} ZipFeed;

static void on_ready(void *data)
{
	feed_wake(data);
}

static bool zip_fill(Feed *feed, GString *out)
{
	ZipFeed *zip = (ZipFeed *)feed;
	g_autoptr(GError) error = NULL;
	gsize len = 0;
	g_string_set_size(out, PIECE_BYTES);
	DownloadState state = download_read(zip->download, out->str, PIECE_BYTES, &len, &error);
	g_string_truncate(out, len);
	if (state == DOWNLOAD_FAILED) {
		log_warning("a download of an artifact broke off, continuing", KV("why", error->message));
		feed->has_failed = true;
	}
	return state == DOWNLOAD_BYTES || state == DOWNLOAD_LATER;
}

static void zip_free(Feed *feed)
{
	ZipFeed *zip = (ZipFeed *)feed;
	download_free(zip->download);
	zip->face->downloads--;
	g_free(zip);
}

/** RFC 6266: a name that any program can use, and the true one encoded as RFC 8187 has it. */
static void name_file(Request *request, const char *name)
{
	g_autofree char *encoded = target_escape(name);
	g_autofree char *plain = g_strdup(name);
	for (char *at = plain; *at; at++)
		if (!g_ascii_isalnum(*at) && !strchr("._- ", *at))
			*at = '_';
	g_autofree char *value = g_strdup_printf("attachment; filename=\"%s.zip\"; filename*=UTF-8''%s.zip", plain, encoded);
	reply_header(request, "Content-Disposition", value);
}

static bool start(Request *request, const json_t *artifact, GError **error)
{
	Face *face = request->face;
	const char *worker = daemon_worker(face->daemon);
	if (!worker)
		return fail(error, ASSAY_ERROR_BUSY, "cannot pack the artifact: the agent stops; try again when it is back");
	if (!feed_may_open(error))
		return false;
	if (face->downloads >= DOWNLOADS_MAX)
		return fail(error, ASSAY_ERROR_BUSY, "cannot pack one more artifact: %d are being downloaded; try again when one has ended",
		        DOWNLOADS_MAX);
	g_autofree char *folder = g_build_filename(daemon_config(face->daemon)->data, "objects", NULL);
	ZipFeed *zip = g_new0(ZipFeed, 1);
	*zip = (ZipFeed){.feed = {.fill = zip_fill, .free = zip_free, .is_plain = true}, .face = face};
	const DownloadSpec spec = {.worker = worker, .folder = folder, .digest = json_get_string(artifact, "digest", ""),
	        .time_us = json_get_int(artifact, "created_us", 0), .ready = on_ready, .data = &zip->feed};
	zip->download = download_start(&spec, error);
	if (!zip->download) {
		g_free(zip);
		return false;
	}
	face->downloads++;
	return reply_feed(request, "application/zip", &zip->feed);
}

/** Takes artifact, which may be NULL with the error set. */
static bool give(Request *request, json_t *taken, GError **error)
{
	g_autoptr(json_t) artifact = taken;
	if (!artifact)
		return false;
	const char *name = json_get_string(artifact, "name", "");
	if (json_get_bool(artifact, "expired", false)) {
		g_autofree char *detail = g_strdup_printf("the artifact '%s' expired at %s; run the job again to have it", name,
		        json_get_string(artifact, "expires_at", ""));
		problem_answer(request, 410, "expired", detail);
		return true;
	}
	if (request->is_head) {
		reply_empty(request, 200);
		request->reply.type = "application/zip";
		request->reply.is_unsized = true;
	} else if (!start(request, artifact, error)) {
		return false;
	}
	name_file(request, name);
	return true;
}

bool api_artifacts_list(Request *request, GError **error)
{
	int64_t id, attempt;
	if (!request_param_id(request, "id", &id, error) ||
	        !request_query_int(request, "attempt", 1, G_MAXINT64, 0, &attempt, error))
		return false;
	g_autoptr(json_t) run = runs_get_attempt(request->face->store, id, attempt, error);
	return run && reply_json(request, 200, runs_artifact_get(request->face->store, id, attempt, NULL, error));
}

bool download_artifact(Request *request, GError **error)
{
	int64_t id, attempt;
	if (!request_param_id(request, "id", &id, error) ||
	        !request_query_int(request, "attempt", 1, G_MAXINT64, 0, &attempt, error))
		return false;
	Store *store = request->face->store;
	g_autoptr(json_t) run = runs_get_attempt(store, id, attempt, error);
	return run && give(request, runs_artifact_find(store, id, attempt, request_param(request, "name"), 0, error), error);
}

bool download_artifact_by_id(Request *request, GError **error)
{
	int64_t id, number;
	if (!request_param_id(request, "id", &id, error) || !request_param_id(request, "artifact", &number, error))
		return false;
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) run = runs_get(request->face->store, id, error);
	if (!run)
		return false;
	if (g_strcmp0(repo, json_get_string(run, "repo", NULL)) != 0)
		return fail(error, ASSAY_ERROR_ABSENT, "the repo '%s' has no run with the id %" G_GINT64_FORMAT, repo, id);
	return give(request, runs_artifact_find(request->face->store, id, 0, NULL, number, error), error);
}
