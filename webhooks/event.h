/* SPDX-License-Identifier: Apache-2.0 */
/* Small readers that every forge's parse() uses. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/forge.h"

/** A header that is a delivery's id: 1 to 128 printable characters without spaces. The caller's, or NULL. */
char *event_delivery_id(const ForgeRequest *request, const char *header);
/** The string at a path of keys that ends with NULL, or NULL. Borrowed. */
const char *event_text(const json_t *object, ...) G_GNUC_NULL_TERMINATED;
/** A commit's id: 40 or 64 hex characters and not all zeros; the caller's, or NULL. */
char *event_sha(const char *text);
/** Is it an id of zeros: a ref that was not there before, or is not any more? */
bool event_is_zero_sha(const char *text);
/** The first line of a message, shortened to 200 characters; the caller's, NULL for NULL. */
char *event_title(const char *message);
/** Takes prefix and name together: "refs/heads/" and "main"; NULL when name is no branch or tag name. The caller's. */
char *event_ref(const char *prefix, const char *name);
/** Does it start with "refs/" and is it safe to hand to git: no control characters, "..", "//" or leading '-'? */
bool event_is_ref(const char *ref);
