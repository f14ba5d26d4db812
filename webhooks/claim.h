/* SPDX-License-Identifier: Apache-2.0 */
/* One string out of a JSON text that nobody has vouched for yet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * Finds the string at object keys `outer`, then `inner` (NULL: at `outer` itself), without building a tree: one pass,
 * no memory but the answer, at most CLAIM_DEPTH_MAX levels.
 *
 * Returns   the caller's; NULL when there is none, it has escapes other than "\/", or the text is not JSON up to there
 */
char *claim_string(const char *json, size_t len, const char *outer, const char *inner);

/** Is it "owner/name" of letters, digits, '.', '_' and '-', neither part "." or "..", at most 100 bytes each? */
bool claim_is_repo_name(const char *name);

/** claim_string(), when it is a repo's name; else NULL. The caller's. */
char *claim_repo(const char *json, size_t len, const char *outer, const char *inner);
