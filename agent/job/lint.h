/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is valid in a workflow and still a mistake, or a danger: rules, each with a name, found where they stand.
 * docs/lint.md lists them. A comment `# assay: ignore[rule, …]` on the line, or alone on the line above, silences.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/base/yaml.h"

typedef struct LintRule {
	const char *name;
	const char *what; /* one sentence for docs and help */
} LintRule;

/** Ends with a NULL name. */
extern const LintRule lint_rules[];

/**
 * Looks at a valid workflow.
 *
 * @folder    the repository's folder, where local actions are looked for; NULL: they are not
 * Returns    array of {"line","column","rule","message","caret"} in file order
 */
json_t *lint_document(const YamlDocument *document, const char *folder);
