/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the service share. */
#pragma once

#include <stdatomic.h>

#include "agent/job/archive.h"
#include "agent/job/http.h"
#include "agent/job/service.h"

#define SERVICE_KEY_BYTES 32
#define SERVICE_FOLDER "service"                          /* in the task's folder */
#define SERVICE_BLOB_BYTES_MAX G_GINT64_CONSTANT(10737418240)   /* one upload */
#define SERVICE_STAGED_BYTES_MAX G_GINT64_CONSTANT(21474836480) /* all uploads under way */
#define SERVICE_UNPACKED_BYTES_MAX G_GINT64_CONSTANT(53687091200)
#define SERVICE_UNPACKED_FILES_MAX 1000000
#define SERVICE_UPLOADS_MAX 500                           /* under way at once */
#define SERVICE_BLOCKS_MAX 50000
#define SERVICE_JSON_BYTES_MAX (256 * 1024)
#define SERVICE_ID_BYTES 33

struct Service {
	int listen_fd;
	int port;
	uint8_t key[SERVICE_KEY_BYTES];
	char *token;
	char *run_id, *job_id;         /* as the token names them */
	GArray *pids;                  /* pid_t: connections */
	int64_t connections;           /* so far */
	_Atomic int64_t *staged_bytes; /* shared by all connections */
};

/** One connection, in its own process. */
typedef struct Connection {
	Job *job;
	Service *service;
	int fd;
	int folder_fd; /* SERVICE_FOLDER */
	HttpReader *reader;
	HttpRequest request;
	bool answered;
	bool broken; /* it cannot be used again */
} Connection;

/** Reads and answers requests until the connection ends. */
void service_serve(Connection *connection);

/** Answers with JSON; takes body. */
void service_answer_json(Connection *connection, int status, json_t *body);
/** Answers without a body. headers: further lines, each with CRLF, or NULL. */
void service_answer_empty(Connection *connection, int status, const char *headers);
/** Answers in the form of Twirp. */
void service_answer_error(Connection *connection, const GError *error);
/** Answers with a file, or the part of it that the request asks for; HEAD without bytes. */
void service_answer_file(Connection *connection, int fd, const char *type, const char *headers);
/** The request's body as JSON. */
json_t *service_read_json(Connection *connection, GError **error);
/** A header's value, or NULL. */
const char *service_header(const Connection *connection, const char *name);

/** 32 hex characters that only we can make of these words. */
void service_sign(const Service *service, const char *words, char out[SERVICE_ID_BYTES]);
/** The URL of a path with its signature; the caller's. */
char *service_url(const Service *service, const char *path, const char *more);
/** Was the path signed by us? */
bool service_is_signed(const Connection *connection);

/* Uploads under way (service_blobs.c): a folder each, named by an id. */
/** Begins an upload anew. */
bool blob_begin(Connection *connection, const char *id, const json_t *about, GError **error);
/** What blob_begin() was told; ABSENT when there is no such upload. */
json_t *blob_about(Connection *connection, const char *id, GError **error);
/** PUT of a block, a block list or a whole blob. */
void blob_put(Connection *connection, const char *id);
/** Bytes at an offset, as the older cache protocol sends them. */
bool blob_write_at(Connection *connection, const char *id, int64_t offset, GError **error);
/** The bytes, whole: a descriptor, or -1. */
int blob_open(Connection *connection, const char *id, GError **error);
void blob_end(Connection *connection, const char *id);
/** Copies the body into a file, which is cut first. */
bool blob_receive(Connection *connection, int fd, int64_t limit_bytes, int64_t *out_bytes, GError **error);

/** POST /twirp/…ArtifactService/METHOD and GET of a download. */
void service_artifacts(Connection *connection, const char *method);
void service_artifact_download(Connection *connection, const char *digest);
/** POST /twirp/…CacheService/METHOD, /_apis/artifactcache/…, and GET of a download. */
void service_caches(Connection *connection, const char *method);
void service_caches_rest(Connection *connection, const char *path);
void service_cache_download(Connection *connection, const char *digest);
