/* SPDX-License-Identifier: Apache-2.0 */
/* YAML tree → Workflow; every mistake with line and column, as many as there are. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "agent/model/workflow.h"

/**
 * Reads a workflow file.
 *
 * @out_errors   array of {"line","column","message","caret"}, in file order; empty when it is valid. The caller's.
 * Returns       the workflow, or NULL when there is any error
 */
Workflow *reader_read(const char *text, size_t len, const char *path, json_t **out_errors);
