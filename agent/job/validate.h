/* SPDX-License-Identifier: Apache-2.0 */
/* Workflow files → verdicts for people or programs. */
#pragma once

#include <stdbool.h>

typedef struct ValidateSpec {
	bool json;   /* a line of JSON a file */
	bool lint;   /* warnings too */
	bool strict; /* a warning is a failure */
} ValidateSpec;

/**
 * Checks files, and those below folders, and prints what there is to say, in order.
 *
 * @paths    NULL-terminated
 * Returns   an exit status: 0 all valid, 1 one is not, 2 and 3 when one could not be read
 */
int validate_paths(const ValidateSpec *spec, char *const *paths);
