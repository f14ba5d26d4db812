/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the agent: over its socket, or to ASSAY_URL with ASSAY_TOKEN. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/**
 * One request of the API.
 *
 * @path   from "/api/v1" on, with its query; parts that came from people were escaped by client_escape()
 * @body   borrowed; NULL: none
 * @out    the answer; may be NULL
 * Returns false with the error of the agent's problem document, or REMOTE when the agent cannot be reached
 */
bool client_request(const char *method, const char *path, const json_t *body, json_t **out, GError **error);
/** Streams a body to stdout as it comes, until it ends. */
bool client_print(const char *path, GError **error);
/** The same into a file. False also when not all of it came. */
bool client_save(const char *path, FILE *file, GError **error);
/** Percent-encodes one part of a path or a query's value; the caller's. */
char *client_escape(const char *text);
/** "acme/digits" as two escaped parts; USER when it is not owner/name. */
char *client_repo(const char *repo, GError **error);
