/* SPDX-License-Identifier: Apache-2.0 */
/* YAML tree → Workflow; every mistake with line and column, as many as there are. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "agent/base/yaml.h"
#include "agent/model/workflow.h"

/**
 * Reads a workflow file.
 *
 * @out_errors   array of {"line","column","message","caret"}, in file order; empty when it is valid. The caller's.
 * Returns       the workflow, or NULL when there is any error
 */
Workflow *reader_read(const char *text, size_t len, const char *path, json_t **out_errors);
/** The same without making a Workflow of it: the tree of a valid file, or NULL. */
YamlDocument *reader_check(const char *text, size_t len, const char *path, json_t **out_errors);
/** Why jobs of a valid file cannot be run here, an array of "path:line:col: why". */
json_t *reader_refusals(const YamlDocument *document);
