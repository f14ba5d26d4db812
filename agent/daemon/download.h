/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of the content store as a zip, packed by a process of its own and read from a pipe without ever waiting. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Download Download;

typedef struct DownloadSpec {
	const char *worker; /* assay-worker */
	const char *folder; /* of the store */
	const char *digest; /* of the tree */
	int64_t time_us;    /* that the zip's files get */
	void (*ready)(void *data); /* download_read() has something to say again */
	void *data;
} DownloadSpec;

typedef enum DownloadState { DOWNLOAD_BYTES, DOWNLOAD_LATER, DOWNLOAD_END, DOWNLOAD_FAILED } DownloadState;

/** Starts to pack. NULL with SYSTEM. Nothing of the spec is kept but `ready` and `data`. */
Download *download_start(const DownloadSpec *spec, GError **error);
/**
 * Takes what there is.
 *
 * @out_len   of DOWNLOAD_BYTES
 * Returns    DOWNLOAD_LATER: ready() is called once there is more; DOWNLOAD_FAILED: with the reason
 */
DownloadState download_read(Download *download, void *buffer, size_t room, size_t *out_len, GError **error);
/** Ends the process if it has not ended. */
void download_free(Download *download);
