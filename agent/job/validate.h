/* SPDX-License-Identifier: Apache-2.0 */
/* Workflow files → verdicts for people or programs. */
#pragma once

#include <stdbool.h>

#include "agent/base/yaml.h"

/** lint_document(): the program that only checks does without it, and without what it knows of actions. */
typedef json_t *(*LintFunction)(const YamlDocument *document, const char *folder);

typedef struct ValidateSpec {
	bool json;         /* a line of JSON a file */
	LintFunction lint; /* warnings too; NULL: none */
	bool strict;       /* a warning is a failure */
} ValidateSpec;

/**
 * Checks files, and those below folders, and prints what there is to say, in order.
 *
 * @paths    NULL-terminated
 * Returns   an exit status: 0 all valid, 1 one is not, 2 and 3 when one could not be read
 */
int validate_paths(const ValidateSpec *spec, char *const *paths);
